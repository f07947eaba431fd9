//! Follows objects of one collection: a list first, then a watch, again and again until dropped.
//!
//! Wakes by event; a watch that stays silent is checked by a list, so that a dead connection or lost event costs
//! seconds, not the whole wait. Holds no cache.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::breaker::random_fraction;
use super::connection::AnswerBody;
use super::error::{ApiError, Reason};
use super::member::Call;
use super::pool::Cluster;
use super::read::query;

/// The server ends a watch by itself after this time.
const WATCH_SECONDS: u32 = 240;
/// One event holds one object.
const LONGEST_LINE: usize = 16 << 20;
/// The longest rest between two attempts while the server cannot be used.
const LONGEST_REST: Duration = Duration::from_secs(15);

/// What a follower reports.
pub(super) enum Event {
    /// All objects that match, as they are now.
    Listed(Vec<Value>),
    /// One object came or changed.
    Changed(Value),
    /// One object is gone; its last state.
    Gone(Value),
    /// The server cannot be asked at the moment; the follower goes on trying.
    Trouble(ApiError),
}

/// Follows the objects of a collection that match a selector.
pub(super) struct Follower<'a> {
    cluster: &'a Cluster,
    collection: String,
    /// `fieldSelector=…` or `labelSelector=…`, encoded; may be empty.
    selector: String,
    api_version: String,
    kind: String,
    state: State<'a>,
    failures: u32,
}

enum State<'a> {
    List,
    Open { resource_version: String },
    Watch { stream: Lines<'a>, resource_version: String },
}

impl<'a> Follower<'a> {
    /// Follows one object by name.
    pub(super) fn of_name(
        cluster: &'a Cluster,
        collection: String,
        api_version: String,
        kind: String,
        name: &str,
    ) -> Self {
        let selector = format!("fieldSelector={}", query(&format!("metadata.name={name}")));
        Self { cluster, collection, selector, api_version, kind, state: State::List, failures: 0 }
    }

    /// Follows what carries the labels; everything when the selector is empty.
    pub(super) fn of_labels(
        cluster: &'a Cluster,
        collection: String,
        api_version: String,
        kind: String,
        labels: &str,
    ) -> Self {
        let selector =
            if labels.is_empty() { String::new() } else { format!("labelSelector={}", query(labels)) };
        Self { cluster, collection, selector, api_version, kind, state: State::List, failures: 0 }
    }

    /// The next thing that happened. May be dropped and called again only at its end: an event is never half read.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            match std::mem::replace(&mut self.state, State::List) {
                State::List => {
                    if self.failures > 0 {
                        tokio::time::sleep(rest(self.failures)).await;
                    }
                    match self.list().await {
                        Ok((items, resource_version)) => {
                            self.failures = 0;
                            self.state = State::Open { resource_version };
                            return Event::Listed(items);
                        }
                        Err(error) => return self.trouble(error),
                    }
                }
                State::Open { resource_version } => match self.open(&resource_version).await {
                    Ok(stream) => self.state = State::Watch { stream, resource_version },
                    Err(ApiError { reason: Reason::Gone { .. }, .. }) => self.state = State::List,
                    Err(error) => return self.trouble(error),
                },
                State::Watch { mut stream, mut resource_version } => {
                    let line = match timeout(self.cluster.member.settings.watch_silence, stream.next()).await
                    {
                        Ok(Some(line)) => line,
                        // The server ended the watch, as it does every few minutes: go on from where we were.
                        Ok(None) => {
                            drop(stream);
                            self.state = State::Open { resource_version };
                            continue;
                        }
                        Err(_) => continue,
                    };
                    let Some(event) = read_event(&line) else { continue };
                    if let Some(version) = event.object["metadata"]["resourceVersion"].as_str() {
                        resource_version = version.to_owned();
                    }
                    let WatchEvent { kind, object } = event;
                    // An error within the stream is a 410 almost always; a list puts it right in any case.
                    if kind == "ERROR" {
                        continue;
                    }
                    self.state = State::Watch { stream, resource_version };
                    match kind.as_str() {
                        "ADDED" | "MODIFIED" => return Event::Changed(object),
                        "DELETED" => return Event::Gone(object),
                        _ => {}
                    }
                }
            }
        }
    }

    fn trouble(&mut self, error: ApiError) -> Event {
        self.failures = self.failures.saturating_add(1);
        Event::Trouble(error)
    }

    fn attempt(&self) -> String {
        format!("watch {} objects", self.kind)
    }

    async fn list(&mut self) -> Result<(Vec<Value>, String), ApiError> {
        let attempt = self.attempt();
        let mut path = self.collection.clone();
        if !self.selector.is_empty() {
            path = format!("{path}?{}", self.selector);
        }
        let call = Call { headers: &self.cluster.headers, ..Call::get(path, &attempt) };
        let answer = self.cluster.member.call(&call).await?;
        let mut list: Value = answer.json().map_err(|reason| self.cluster.member.error(&attempt, reason))?;
        let mut items = match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        for item in &mut items {
            item["apiVersion"] = self.api_version.as_str().into();
            item["kind"] = self.kind.as_str().into();
        }
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        Ok((items, version))
    }

    async fn open(&mut self, resource_version: &str) -> Result<Lines<'a>, ApiError> {
        let attempt = self.attempt();
        let member = &self.cluster.member;
        let permit = member.health.watches.acquire().await.expect("the semaphore is never closed");
        let path = format!(
            "{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={}{}{}",
            self.collection,
            query(resource_version),
            if self.selector.is_empty() { "" } else { "&" },
            self.selector,
        );
        let call = Call { headers: &self.cluster.headers, ..Call::get(path, &attempt) };
        let body = member.open(&call).await?;
        Ok(Lines { body, buffer: BytesMut::new(), searched: 0, _permit: permit })
    }
}

/// A rest that doubles, with full jitter above half a second.
fn rest(failures: u32) -> Duration {
    let doubled = Duration::from_millis(500).saturating_mul(1 << failures.min(6)).min(LONGEST_REST);
    Duration::from_millis(500) + doubled.mul_f64(random_fraction())
}

#[derive(Deserialize)]
struct WatchEvent {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

fn read_event(line: &[u8]) -> Option<WatchEvent> {
    serde_json::from_slice(line).ok()
}

/// The lines of a body that does not end.
struct Lines<'a> {
    body: AnswerBody,
    buffer: BytesMut,
    /// How much of the buffer has been searched for an end of line.
    searched: usize,
    _permit: SemaphorePermit<'a>,
}

impl Lines<'_> {
    /// The next line; none at the end, on an error, or when a line is too long.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at).freeze();
                self.buffer.advance(1);
                self.searched = 0;
                if line.is_empty() {
                    continue;
                }
                return Some(line);
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LONGEST_LINE {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
