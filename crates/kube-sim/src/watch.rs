//! Watch streams: resume from a resource version, bookmarks, `410 Gone` once the log was cut.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use serde_json::{Value, json};

use crate::resources::Resource;
use crate::select::Selector;
use crate::store::{Cluster, LogKind};

/// How often a silent watch sends a bookmark when the client asked for them.
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);
/// How long before its end a watch sends one in any case.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// What a watch request asks for.
pub(crate) struct WatchRequest {
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) selector: Selector,
    pub(crate) from: u64,
    pub(crate) initial: Vec<Value>,
    pub(crate) bookmarks: bool,
    /// The client asked for the current state as events, then a marked bookmark.
    pub(crate) send_initial_events: bool,
    pub(crate) timeout: Duration,
    pub(crate) metadata_only: bool,
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({ "type": kind, "object": object }).to_string();
    text.push('\n');
    Bytes::from(text)
}

fn bookmark(resource: &Resource, version: u64, initial_end: bool) -> Bytes {
    let mut object = json!({
        "apiVersion": resource.api_version(), "kind": resource.kind,
        "metadata": { "resourceVersion": version.to_string(), "creationTimestamp": null },
    });
    if initial_end {
        object["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
    }
    line("BOOKMARK", &object)
}

/// The object as a `PartialObjectMetadata`.
pub(crate) fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

/// After the usual pause, but not later than shortly before the end, so that the next watch can go on from there.
fn next_bookmark(deadline: tokio::time::Instant) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    let last = deadline.checked_sub(LAST_BOOKMARK).filter(|last| *last > now);
    (now + BOOKMARK_EVERY).min(last.unwrap_or(deadline))
}

struct State {
    cluster: Arc<Cluster>,
    request: WatchRequest,
    position: u64,
    deadline: tokio::time::Instant,
    bookmark_at: tokio::time::Instant,
    first: bool,
    ended: bool,
}

/// The body of a watch answer: one JSON line per event until the timeout.
pub(crate) fn stream(
    cluster: Arc<Cluster>,
    request: WatchRequest,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let deadline = tokio::time::Instant::now() + request.timeout;
    let position = request.from;
    let state = State {
        cluster,
        request,
        position,
        deadline,
        bookmark_at: next_bookmark(deadline),
        first: true,
        ended: false,
    };
    stream::unfold(state, |mut state| async move {
        loop {
            if state.ended {
                return None;
            }
            let mut changed = state.cluster.changed();
            let mut chunk = Vec::new();
            if std::mem::take(&mut state.first) {
                for object in std::mem::take(&mut state.request.initial) {
                    let shown = if state.request.metadata_only { partial(&object) } else { object };
                    chunk.extend_from_slice(&line("ADDED", &shown));
                }
                if state.request.send_initial_events {
                    chunk.extend_from_slice(&bookmark(&state.request.resource, state.position, true));
                }
            }
            match state.cluster.log_since(state.position) {
                Err(oldest) => {
                    let gone = crate::status::gone(state.position, oldest);
                    chunk.extend_from_slice(&line("ERROR", &gone.body));
                    state.ended = true;
                }
                Ok((entries, version)) => {
                    for entry in entries {
                        if entry.group != state.request.resource.group
                            || entry.plural != state.request.resource.plural
                        {
                            continue;
                        }
                        let request = &state.request;
                        let namespace = entry.object["metadata"]["namespace"].as_str();
                        if request.namespace.is_some() && request.namespace.as_deref() != namespace {
                            continue;
                        }
                        let was = entry.previous.as_ref().is_some_and(|old| request.selector.matches(old));
                        let is = request.selector.matches(&entry.object);
                        let kind = match (entry.kind, was, is) {
                            (LogKind::Added, _, true) => "ADDED",
                            (LogKind::Modified, true, true) => "MODIFIED",
                            (LogKind::Modified, false, true) => "ADDED",
                            (LogKind::Modified, true, false) => "DELETED",
                            (LogKind::Deleted, _, true) => "DELETED",
                            _ => continue,
                        };
                        let mut shown = match (&entry.previous, is) {
                            // What no longer fits goes as it was when it did, at the version of the change.
                            (Some(previous), false) => (**previous).clone(),
                            _ => (*entry.object).clone(),
                        };
                        shown["metadata"]["resourceVersion"] =
                            entry.object["metadata"]["resourceVersion"].clone();
                        if request.metadata_only {
                            shown = partial(&shown);
                        }
                        chunk.extend_from_slice(&line(kind, &shown));
                    }
                    state.position = version;
                }
            }
            if !chunk.is_empty() {
                return Some((Ok(Bytes::from(chunk)), state));
            }
            tokio::select! {
                alive = changed.changed() => {
                    if alive.is_err() {
                        return None;
                    }
                }
                () = tokio::time::sleep_until(state.bookmark_at.min(state.deadline)) => {
                    if tokio::time::Instant::now() >= state.deadline {
                        return None;
                    }
                    state.bookmark_at = next_bookmark(state.deadline);
                    if state.request.bookmarks {
                        let mark = bookmark(&state.request.resource, state.position, false);
                        return Some((Ok(mark), state));
                    }
                }
            }
        }
    })
}
