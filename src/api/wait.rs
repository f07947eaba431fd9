//! `GET /wait`: holds the answer until an object, and all that follows from it, has got there.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use flux_api::{FluxObject, HelmChart};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::goal::{Goal, judge, through_chart};
use super::objects::{key_of, missing, source_of};
use super::wire::{WaitQuery, WaitReport, WaitState};
use super::{ApiError, ApiState};
use crate::model::{Kind, ObjectKey};

/// Longest time an answer is held; the client asks again. Proxies cut longer ones.
const LONGEST: u64 = 60;

pub(super) async fn wait(
    State(state): State<ApiState>,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Result<Json<WaitReport>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let key = key_of(&query.kind, &query.namespace, &query.name)?;
    let goal = match (query.revision, query.requested_at) {
        (Some(revision), None) => Goal::Revision(revision),
        (None, Some(at)) => Goal::Handled(at),
        (None, None) => Goal::Ready,
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request("a wait is for a `revision` or for `requested_at`, not both"));
        }
    };
    let deadline = Instant::now() + Duration::from_secs(query.timeout.unwrap_or(LONGEST).min(LONGEST));
    // Before the first look, so that no change falls between the two.
    let mut changes = state.objects.subscribe();
    loop {
        let report = look(&state, &key, &goal).await?;
        if report.done || report.failed {
            return Ok(Json(report));
        }
        match timeout_at(deadline, changes.recv()).await {
            Err(_) | Ok(Err(RecvError::Closed)) => return Ok(Json(report)),
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
        }
        // A burst of changes is one look.
        while !matches!(
            changes.try_recv(),
            Err(tokio::sync::broadcast::error::TryRecvError::Empty
                | tokio::sync::broadcast::error::TryRecvError::Closed)
        ) {}
    }
}

async fn look(state: &ApiState, key: &ObjectKey, goal: &Goal) -> Result<WaitReport, ApiError> {
    let object = state.objects.get(key).ok_or_else(|| missing(&state.objects, key))?;
    let mut members = vec![judge(goal, &object, &also(state, &object).await?, state.faults().of(&object))];
    if matches!(goal, Goal::Revision(_)) {
        for dependent in dependents(state, key) {
            members.push(judge(goal, &dependent, &also(state, &dependent).await?, None));
        }
    }
    let counts = |wanted: WaitState| members.iter().filter(|member| member.state == wanted).count();
    let failed = counts(WaitState::Failed) + counts(WaitState::Suspended) > 0;
    let done = counts(WaitState::Waiting) == 0 && !failed;
    Ok(WaitReport { done, failed, members })
}

/// Revisions a release has that its own status does not show.
async fn also(state: &ApiState, object: &FluxObject) -> Result<Vec<String>, ApiError> {
    let FluxObject::HelmRelease(release) = object else { return Ok(Vec::new()) };
    let chart = release
        .helm_chart_name()
        .and_then(|(namespace, name)| state.objects.get_as::<HelmChart>(&namespace, &name));
    let mut known: Vec<String> = chart.and_then(|chart| through_chart(object, &chart)).into_iter().collect();
    let key = ObjectKey::new(Kind::HelmRelease, object.namespace(), object.name());
    known.extend(
        state.queue.applied(&key).await?.into_iter().map(|applied| applied.revision.as_str().to_owned()),
    );
    Ok(known)
}

/// Everything that takes its content from a source, through a chart or directly.
fn dependents(state: &ApiState, source: &ObjectKey) -> Vec<std::sync::Arc<FluxObject>> {
    let mut sources: BTreeSet<ObjectKey> = [source.clone()].into();
    let of = |kind: Kind, sources: &BTreeSet<ObjectKey>| -> Vec<_> {
        let follows = |object: &FluxObject| source_of(object).is_some_and(|key| sources.contains(&key));
        state.objects.list(kind).into_iter().filter(|object| follows(object)).collect()
    };
    for chart in of(Kind::HelmChart, &sources) {
        sources.insert(ObjectKey::new(Kind::HelmChart, chart.namespace(), chart.name()));
    }
    let mut found = of(Kind::HelmRelease, &sources);
    found.extend(of(Kind::Kustomization, &sources));
    found
}
