//! `GET /explain/…`: the story of a delivery, a commit or an object.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};

use super::deliveries::line;
use super::wire::{JobLine, MessageLine, StepLine, StoryView};
use super::{ApiError, ApiState, goal};
use crate::model::ObjectKey;
use crate::queue::{Step, StoredJob, StoredMessage, Story};

/// Jobs of an object that are told: what a person reads of a night.
const JOBS: u32 = 20;
/// Shortest beginning of an id or commit that is looked up.
const SHORTEST: usize = 4;

pub(super) async fn explain(
    State(state): State<ApiState>,
    Path(what): Path<String>,
) -> Result<Json<StoryView>, ApiError> {
    let what = what.trim_matches('/');
    if what.contains('/') {
        let key: ObjectKey = what.parse().map_err(|error| ApiError::bad_request(format!("{error}")))?;
        let story = state.queue.story_of_object(&key, JOBS).await?;
        let mut view = view(&state, story);
        if view.objects.iter().all(|it| it.object != key) {
            let faults = state.faults();
            let object = state.objects.get(&key).map(|object| goal::now(&object, faults.of(&object)));
            match object.or_else(|| faults.absent_now(&key)) {
                Some(object) => view.objects.insert(0, object),
                None if view.jobs.is_empty() => return Err(super::objects::missing(&state.objects, &key)),
                None => {}
            }
        }
        return Ok(Json(view));
    }
    if what.len() < SHORTEST {
        return Err(ApiError::bad_request(format!(
            "`{what}` is too short\nhint: give at least {SHORTEST} characters of a delivery's id or a commit, or `Kind/namespace/name`"
        )));
    }
    let mut story = state.queue.story_of_delivery(what).await?;
    if story.is_empty() {
        story = state.queue.story_of_commit(what).await?;
    }
    if story.is_empty() {
        return Err(ApiError::not_found(format!(
            "nothing is known of a delivery or commit `{what}`\nhint: `sluice deliveries list` shows what came in, `sluice deliveries list --rejected` what was refused"
        )));
    }
    Ok(Json(view(&state, story)))
}

/// A story for the wire, with how its objects stand now.
pub(super) fn view(state: &ApiState, story: Story) -> StoryView {
    let faults = state.faults();
    let keys: BTreeSet<ObjectKey> = story
        .jobs
        .iter()
        .map(|job| &job.object)
        .chain(story.steps.iter().map(|step| &step.object))
        .cloned()
        .collect();
    StoryView {
        deliveries: story.deliveries.into_iter().map(line).collect(),
        jobs: story.jobs.into_iter().map(job).collect(),
        steps: story.steps.into_iter().map(step).collect(),
        messages: story.messages.into_iter().map(message).collect(),
        objects: keys
            .iter()
            .filter_map(|key| {
                let object = state.objects.get(key).map(|object| goal::now(&object, faults.of(&object)));
                object.or_else(|| faults.absent_now(key))
            })
            .collect(),
    }
}

pub(super) fn job(job: StoredJob) -> JobLine {
    JobLine {
        id: job.id.to_string(),
        object: job.object,
        state: job.state.as_str().to_owned(),
        causes: job.causes,
        attempts: job.attempts,
        created_at: job.created_at,
        due_at: job.due_at,
        started_at: job.started_at,
        finished_at: job.finished_at,
        last_error: job.last_error,
        superseded_by: job.superseded_by.map(|id| id.to_string()),
    }
}

pub(super) fn step(step: Step) -> StepLine {
    StepLine {
        job: step.job.map(|id| id.to_string()),
        object: step.object,
        step: step.step,
        cluster: step.cluster,
        revision: step.revision.map(|revision| revision.to_string()),
        started_at: step.started_at,
        duration_us: u64::try_from(step.duration.as_micros()).unwrap_or(u64::MAX),
        outcome: step.outcome.as_str().to_owned(),
        detail: step.detail,
    }
}

pub(super) fn message(stored: StoredMessage) -> MessageLine {
    let event = stored.message.event;
    MessageLine {
        id: stored.id,
        alert: stored.message.alert,
        provider: stored.message.provider,
        object: event.object,
        severity: event.severity.as_str().to_owned(),
        reason: event.reason,
        message: event.message,
        state: stored.state.as_str().to_owned(),
        attempts: stored.attempts,
        created_at: stored.created_at,
        finished_at: stored.finished_at,
        last_error: stored.last_error,
    }
}
