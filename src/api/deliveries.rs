//! The inbox, and where Receivers listen.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flux_api::Receiver;
use serde::Deserialize;
use serde_json::Value;

use super::wire::{DeliveryDetail, DeliveryLine, HookLine, Replayed};
use super::{ApiError, ApiState, explain};
use crate::model::{DeliveryId, Kind, ObjectKey, Timestamp};
use crate::queue::{DeliveryFilter, DeliverySummary, Story};

/// Lines given when nobody says how many.
const LINES: u32 = 50;
/// Most lines in one answer.
const MOST_LINES: u32 = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListQuery {
    rejected: bool,
    receiver: Option<String>,
    namespace: Option<String>,
    since: Option<Timestamp>,
    before: Option<String>,
    limit: Option<u32>,
}

/// Stored deliveries, or with `rejected=true` those that were refused.
pub(super) async fn list(
    State(state): State<ApiState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let receiver = query
        .receiver
        .map(|text| text.parse::<ObjectKey>().map_err(|error| ApiError::bad_request(format!("{error}"))))
        .transpose()?;
    let limit = query.limit.unwrap_or(LINES).min(MOST_LINES);
    if query.rejected {
        let mut rejected = (state.callbacks.rejected)();
        let namespace = query.namespace.as_deref();
        rejected.retain(|it| {
            receiver.as_ref().is_none_or(|receiver| it.receiver == *receiver)
                && namespace.is_none_or(|namespace| it.receiver.namespace == namespace)
        });
        rejected.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        return to_json(rejected);
    }
    let filter = DeliveryFilter {
        receiver,
        namespace: query.namespace,
        since: query.since,
        before: query.before.map(DeliveryId::new),
    };
    let found = state.queue.list_deliveries(&filter, limit).await?;
    to_json(found.into_iter().map(line).collect::<Vec<_>>())
}

fn to_json(list: impl serde::Serialize) -> Result<Json<Value>, ApiError> {
    serde_json::to_value(list).map(Json).map_err(|error| ApiError::failed(error.to_string()))
}

pub(super) fn line(delivery: DeliverySummary) -> DeliveryLine {
    DeliveryLine {
        id: delivery.id.to_string(),
        receiver: delivery.receiver,
        provider: delivery.provider,
        event: delivery.event,
        sender_id: delivery.sender_id,
        received_at: delivery.received_at,
        stored_at: delivery.stored_at,
        facts: delivery.facts,
        note: delivery.note,
        jobs: delivery.jobs.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
    }
}

/// The one delivery whose id, or whose sender's id, begins so.
async fn find(state: &ApiState, prefix: &str) -> Result<DeliveryId, ApiError> {
    let story = state.queue.story_of_delivery(prefix).await?;
    story.deliveries.into_iter().next().map(|delivery| delivery.id).ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no delivery `{prefix}`\nhint: `sluice deliveries list` shows those that are kept"
        ))
    })
}

pub(super) async fn show(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<DeliveryDetail>, ApiError> {
    let id = find(&state, &id).await?;
    let gone = || ApiError::not_found(format!("there is no delivery `{id}` any more"));
    let delivery = state.queue.delivery(&id).await?.ok_or_else(gone)?;
    let (body, body_base64) = match delivery.body {
        None => (None, None),
        Some(bytes) => match String::from_utf8(bytes.to_vec()) {
            Ok(text) => (Some(text), None),
            Err(_) => (None, Some(STANDARD.encode(&bytes))),
        },
    };
    let story = Story {
        deliveries: Vec::new(),
        jobs: delivery.jobs,
        steps: delivery.steps,
        messages: delivery.messages,
    };
    Ok(Json(DeliveryDetail {
        line: line(delivery.summary),
        headers: delivery.headers,
        body,
        body_base64,
        body_size: delivery.body_size,
        story: explain::view(&state, story),
    }))
}

pub(super) async fn replay(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Replayed>, ApiError> {
    let id = find(&state, &id).await?;
    (state.callbacks.replay)(id).await.map(Json)
}

pub(super) async fn hooks(State(state): State<ApiState>) -> Json<Vec<HookLine>> {
    let lines = state.objects.list(Kind::Receiver).into_iter().filter_map(|object| {
        let receiver = object.get::<Receiver>()?;
        let key = ObjectKey::new(Kind::Receiver, object.namespace(), object.name());
        let path = (state.callbacks.hook_path)(&key);
        let url = match (&state.public_url, &path) {
            (Some(base), Some(path)) => Some(format!("{}{path}", base.as_str().trim_end_matches('/'))),
            _ => None,
        };
        Some(HookLine {
            receiver: key,
            provider: receiver.spec.receiver_type().as_str().to_owned(),
            path,
            url,
            suspended: object.suspended(),
        })
    });
    Json(lines.collect())
}
