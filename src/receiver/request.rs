//! One request, from its head to the answer.
//!
//! The order is the contract: path, method, headers, the body through the MAC, the proof, the parsing, one transaction,
//! the answer. Before the proof nothing of the body is looked at and nothing is written.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flux_api::FluxObject;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::facts::Malformed;
use super::identity::Unproved;
use super::log::{clean, kept_headers};
use super::proof::{Proof, Refused, Slot};
use super::provider::{Parsed, Provider, Rules, header as text_header};
use super::routes::{Route, Served};
use super::state::{Outcome, ReceiverState, Rejection};
use super::{Peer, filter, limits, plan};
use crate::model::{Cause, DeliveryId, Timestamp};
use crate::queue::{NewDelivery, NewJob, Priority, Recorded, StoreError};

/// A delivery with the sender's id is a duplicate for so long: three days, the longest any forge redelivers.
const SAME_ID: std::time::Duration = std::time::Duration::from_secs(72 * 3600);
/// One without an id for so long: long enough for a sender's retries, short enough that pushing the same tag again a
/// minute later counts.
const SAME_BODY: std::time::Duration = std::time::Duration::from_secs(60);
/// Longer ids are kept as their digest.
const ID_LENGTH: usize = 200;

/// Every way a request can fail, and what it is answered with.
#[derive(Debug)]
enum Failure {
    NotFound,
    Method,
    NotReady,
    Encoding,
    ContentType,
    Refused(Refused),
    /// An identity token that says something else than it must.
    Denied(String),
    /// The keys that a proof is checked with are not to be had.
    Keys(String),
    TooLarge,
    TooSlow,
    Broken,
    Malformed(Malformed),
    Busy,
    Store(StoreError),
}

impl Failure {
    fn outcome(&self) -> Outcome {
        match self {
            Failure::NotFound
            | Failure::Method
            | Failure::Encoding
            | Failure::ContentType
            | Failure::TooLarge
            | Failure::TooSlow
            | Failure::Broken => Outcome::Unfit,
            Failure::Refused(_) | Failure::Denied(_) => Outcome::Refused,
            Failure::Malformed(_) => Outcome::Malformed,
            Failure::NotReady | Failure::Busy | Failure::Keys(_) | Failure::Store(_) => Outcome::Unavailable,
        }
    }

    /// Status and headers only: whoever has proved nothing is told nothing.
    fn answer(&self, throttled: bool) -> Response {
        let retry = |seconds: &'static str| [(header::RETRY_AFTER, seconds), (header::CONNECTION, "close")];
        let close = [(header::CONNECTION, "close")];
        match self {
            Failure::NotFound => (StatusCode::NOT_FOUND, close).into_response(),
            Failure::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST"), (header::CONNECTION, "close")])
                    .into_response()
            }
            Failure::NotReady => (StatusCode::SERVICE_UNAVAILABLE, retry("60")).into_response(),
            Failure::Encoding | Failure::ContentType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, close).into_response()
            }
            Failure::Keys(_) => (StatusCode::SERVICE_UNAVAILABLE, retry("10")).into_response(),
            Failure::Refused(_) | Failure::Denied(_) if throttled => {
                (StatusCode::TOO_MANY_REQUESTS, retry("10")).into_response()
            }
            Failure::Refused(Refused::Twice(_)) | Failure::Broken => {
                (StatusCode::BAD_REQUEST, close).into_response()
            }
            Failure::Refused(_) | Failure::Denied(_) => (StatusCode::UNAUTHORIZED, close).into_response(),
            Failure::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, close).into_response(),
            Failure::TooSlow => (StatusCode::REQUEST_TIMEOUT, close).into_response(),
            // The proof held, so the sender may know.
            Failure::Malformed(why) => {
                (StatusCode::BAD_REQUEST, Json(json!({ "error": why.to_string() }))).into_response()
            }
            Failure::Busy => (StatusCode::SERVICE_UNAVAILABLE, retry("5")).into_response(),
            Failure::Store(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response()
            }
        }
    }
}

/// Answers one request.
pub(super) async fn handle(State(state): State<ReceiverState>, request: Request) -> Response {
    let deadline = Instant::now() + state.settings().body_timeout;
    let received_at = state.now();
    let (head, body) = request.into_parts();
    let served = match route(&state, &head) {
        Ok(served) => served,
        Err(failure) => {
            state.count(None, failure.outcome(), None);
            return failure.answer(false);
        }
    };
    let delivery = receive(&state, &served, &head.method, &head.headers, body, deadline, received_at).await;
    match delivery {
        Ok(answer) => answer,
        Err(failure) => {
            let address = client(&head.extensions, &head.headers, &state);
            let throttled = note(&state, &served, &head.headers, address, &failure);
            failure.answer(throttled)
        }
    }
}

fn client(extensions: &http::Extensions, headers: &HeaderMap, state: &ReceiverState) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical());
    let forwarded: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    limits::client(peer, &forwarded, &state.settings().trusted_proxies)
}

/// The Receiver at this path. The path is compared as it was sent: escapes, doubled slashes and queries are other paths.
fn route(state: &ReceiverState, head: &http::request::Parts) -> Result<Arc<Served>, Failure> {
    if head.uri.query().is_some() {
        return Err(Failure::NotFound);
    }
    match state.routes().find(head.uri.path()) {
        Some(Route::To(served)) => Ok(Arc::clone(served)),
        Some(Route::NotReady) => Err(Failure::NotReady),
        None => Err(Failure::NotFound),
    }
}

/// Everything after the path.
async fn receive(
    state: &ReceiverState,
    served: &Served,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
    deadline: Instant,
    received_at: Timestamp,
) -> Result<Response, Failure> {
    if method != Method::POST {
        return Err(Failure::Method);
    }
    let encoded = headers.get_all(header::CONTENT_ENCODING).iter().any(|value| value != "identity");
    if encoded {
        // A compressed body would have to be unpacked before anything is known about its sender.
        return Err(Failure::Encoding);
    }
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > state.settings().body_limit as u64) {
        return Err(Failure::TooLarge);
    }
    let rules = Rules { accept_sha1: state.settings().accept_sha1, now: received_at };
    let mut claims = None;
    let mut proof = match &served.identity {
        None => served.provider.verify(headers, &served.tokens(), rules).map_err(Failure::Refused)?,
        Some(identity) => {
            match timeout_at(deadline, identity.prove(headers, state.keys(), received_at)).await {
                Ok(Ok(proved)) => {
                    claims = Some(proved);
                    Proof::Given(Slot::Token)
                }
                Ok(Err(Unproved::Refused(refused))) => return Err(Failure::Refused(refused)),
                Ok(Err(Unproved::Denied(why))) => return Err(Failure::Denied(why)),
                Ok(Err(Unproved::Keys(why))) => return Err(Failure::Keys(why)),
                Ok(Err(Unproved::Busy)) => return Err(Failure::Busy),
                Err(_) => return Err(Failure::TooSlow),
            }
        }
    };
    if matches!(proof, Proof::UnsignedPing) {
        state.count(Some(&served.key), Outcome::Ping, None);
        return Ok(StatusCode::OK.into_response());
    }
    // Held until the answer: the parsed facts live as long as the body.
    let mut share = state.budget().open();
    let body = timeout_at(deadline, read(state, body, &mut proof, &mut share))
        .await
        .unwrap_or(Err(Failure::TooSlow))?;
    let body = Bytes::from(body);
    let slot = match proof {
        Proof::Given(slot) => slot,
        Proof::Body(running) => {
            let is_sha1 = running.is_sha1();
            let slot = running.finish().map_err(Failure::Refused)?;
            // Nexus knows nothing else.
            if is_sha1 && served.provider != Provider::Nexus && state.is_first_sha1(&served.key) {
                tracing::warn!(
                    receiver = %served.key,
                    "deliveries for `{}` are signed with SHA-1 alone\nhint: let the sender sign with SHA-256, then \
                     set `--accept-sha1=false`",
                    served.key
                );
            }
            slot
        }
        Proof::UnsignedPing => return Err(Failure::Broken),
    };
    // From here on the delivery is authentic.
    if !served.provider.takes(headers) {
        return Err(Failure::ContentType);
    }
    let parsed = served.provider.parse(headers, &body).map_err(Failure::Malformed)?;
    let (listed, problems) = wanted(state, served, headers, &body, &parsed, claims, deadline).await?;
    record(state, served, headers, body, parsed, &listed, problems, slot, received_at).await
}

/// The objects that the Receiver lists and its expressions let through, and what is wrong with either.
async fn wanted(
    state: &ReceiverState,
    served: &Served,
    headers: &HeaderMap,
    body: &[u8],
    parsed: &Parsed,
    claims: Option<Map<String, Value>>,
    deadline: Instant,
) -> Result<(Vec<Arc<FluxObject>>, Vec<String>), Failure> {
    let no_cross_namespace_refs = state.settings().no_cross_namespace_refs;
    let (listed, mut problems) = plan::listed(state.objects(), served.receiver(), no_cross_namespace_refs);
    if served.filters.is_empty() {
        return Ok((plan::objects_of(listed), problems));
    }
    if body.len() > filter::LONGEST_BODY {
        return Err(Failure::TooLarge);
    }
    let request = match &parsed.request {
        Some(request) => request.clone(),
        None => filter::request(headers, body).map_err(Failure::Malformed)?,
    };
    let claims = claims.filter(|_| served.provider == Provider::GenericOidc);
    let filters = Arc::clone(&served.filters);
    // A second's worth of evaluation must not hold up other deliveries.
    let evaluation = tokio::task::spawn_blocking(move || filters.apply(listed, &request, claims.as_ref()));
    let evaluated = timeout_at(deadline, evaluation).await.map_err(|_| Failure::Busy)?;
    let (kept, more) = evaluated.map_err(|_| Failure::Busy)?;
    problems.extend(more);
    Ok((plan::objects_of(kept), problems))
}

/// Reads the body through the MAC, within the limits.
async fn read(
    state: &ReceiverState,
    mut body: Body,
    proof: &mut Proof,
    share: &mut limits::Share,
) -> Result<Vec<u8>, Failure> {
    let limit = state.settings().body_limit;
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Broken)?;
        let Ok(chunk) = frame.into_data() else { continue };
        let length = bytes.len() + chunk.len();
        if length > limit {
            return Err(Failure::TooLarge);
        }
        if length > bytes.capacity() {
            let capacity = (bytes.capacity() * 2).clamp(length, limit.max(length));
            if !share.grow_to(capacity) {
                return Err(Failure::Busy);
            }
            bytes.reserve_exact(capacity - bytes.len());
        }
        if let Proof::Body(running) = proof {
            running.update(&chunk);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Stores the delivery with its jobs, and answers once it is on disk.
#[expect(clippy::too_many_arguments, reason = "one delivery, taken apart")]
async fn record(
    state: &ReceiverState,
    served: &Served,
    headers: &HeaderMap,
    body: Bytes,
    parsed: Parsed,
    listed: &[Arc<FluxObject>],
    problems: Vec<String>,
    slot: Slot,
    received_at: Timestamp,
) -> Result<Response, Failure> {
    let receiver = served.receiver();
    let provider = served.provider;
    let event_header = provider.event_header().and_then(|name| text_header(headers, name));
    let filtered = provider.filtered_event(event_header, parsed.event.as_deref());
    let plan = plan::plan(receiver, provider, filtered, &parsed.facts, listed, problems);

    let id = DeliveryId::generate();
    let event = clean(event_header.or(parsed.event.as_deref()).unwrap_or_default());
    let sender_id = provider
        .id_headers()
        .iter()
        .find_map(|name| text_header(headers, name).map(str::to_owned))
        .or(parsed.id)
        .filter(|id| !id.is_empty());
    let (dedup_key, same_for) = dedup(sender_id.as_deref(), &body);
    let body_size = body.len() as u64;
    // A part keeps the whole in memory, so only the whole is shared.
    let stored_body = match body.get(..state.settings().stored_body) {
        Some(beginning) if beginning.len() < body.len() => Bytes::copy_from_slice(beginning),
        _ => body,
    };
    let delivery = NewDelivery {
        id: id.clone(),
        receiver: served.key.clone(),
        provider: provider.as_str().to_owned(),
        event: event.clone(),
        sender_id: sender_id.as_deref().map(clean),
        dedup_key,
        dedup_until: received_at.saturating_add(same_for).unwrap_or(Timestamp::MAX),
        received_at,
        headers: kept_headers(headers),
        body: stored_body,
        body_size,
        facts: serde_json::to_value(&parsed.facts).unwrap_or(Value::Null),
        note: plan.note.clone(),
    };
    let jobs: Vec<NewJob> = plan
        .wake
        .into_iter()
        .map(|(object, payload)| NewJob {
            object,
            cause: Cause::delivery(id.clone()),
            due_at: received_at,
            payload,
            priority: Priority::Push,
        })
        .collect();
    let count = jobs.len();
    let recorded = state.queue().record_delivery(delivery, jobs).await.map_err(Failure::Store)?;
    match recorded {
        Recorded::Stored(id) => {
            let outcome = if count == 0 { Outcome::Recorded } else { Outcome::Accepted };
            state.count(Some(&served.key), outcome, Some(slot));
            let note = plan.note;
            tracing::info!(
                receiver = %served.key, delivery = %id, event, token = slot.key(), jobs = count, note,
                "recorded delivery `{id}` for `{}`", served.key
            );
            Ok(Json(json!({ "delivery": id, "jobs": count, "note": note })).into_response())
        }
        Recorded::Duplicate { of } => {
            state.count(Some(&served.key), Outcome::Duplicate, Some(slot));
            tracing::debug!(receiver = %served.key, delivery = %of, event, "delivery `{of}` came once more");
            Ok(Json(json!({ "delivery": of, "duplicate": true })).into_response())
        }
    }
}

/// What makes a delivery the same as another, and for how long.
fn dedup(sender_id: Option<&str>, body: &[u8]) -> (String, std::time::Duration) {
    match sender_id {
        Some(id) if id.len() <= ID_LENGTH => (format!("id:{id}"), SAME_ID),
        Some(id) => (format!("id-sha256:{}", hex::encode(Sha256::digest(id))), SAME_ID),
        None => (format!("body-sha256:{}", hex::encode(Sha256::digest(body))), SAME_BODY),
    }
}

/// Counts, remembers and logs a failure; true if the sender has had too many.
fn note(
    state: &ReceiverState,
    served: &Served,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    failure: &Failure,
) -> bool {
    state.count(Some(&served.key), failure.outcome(), None);
    let reason = match failure {
        Failure::Refused(refused) => refused.reason(),
        Failure::Malformed(why) => why.to_string(),
        Failure::Keys(why) | Failure::Denied(why) => why.clone(),
        Failure::Store(error) => {
            tracing::error!(receiver = %served.key, %error, "a delivery could not be stored; the sender is told to come again");
            return false;
        }
        _ => return false,
    };
    if !state.failed(&served.key, address) {
        return true;
    }
    let claimed =
        |name: Option<&str>| name.and_then(|name| text_header(headers, name)).map(clean).unwrap_or_default();
    let event = claimed(served.provider.event_header());
    let sender_id =
        claimed(served.provider.id_headers().iter().copied().find(|name| headers.contains_key(*name)));
    let reason = clean(&reason);
    tracing::warn!(
        receiver = %served.key, address = address.map(tracing::field::display), event, sender_id, reason,
        "refused a delivery for `{}`: {reason}", served.key
    );
    state.remember(&served.key, Rejection { at: state.now(), address, event, sender_id, reason });
    false
}
