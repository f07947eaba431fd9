//! `GET /stream`: every change of an object as a server-sent event.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use tokio::sync::broadcast::error::RecvError;

use super::ApiState;
use super::wire::StreamEvent;
use crate::objects::{ChangeKind, ChangeTarget};

/// A comment is sent this often, so that proxies keep the connection and a reader that is gone is noticed.
const ALIVE: Duration = Duration::from_secs(15);

pub(super) async fn stream(
    State(state): State<ApiState>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = state.objects.subscribe();
    let events = futures::stream::unfold((changes, state), |(mut changes, state)| async move {
        loop {
            let event = match changes.recv().await {
                // Names of Secrets and ConfigMaps are nobody's business here.
                Ok(change) if !matches!(change.target, ChangeTarget::Object(_)) => continue,
                Ok(change) => {
                    let told = StreamEvent {
                        target: change.target.to_string(),
                        what: word(change.what).to_owned(),
                        at: state.clock.now(),
                    };
                    Event::default().event("change").json_data(told)
                }
                // The reader lists again, as every reader of a stream must be able to.
                Err(RecvError::Lagged(missed)) => {
                    Ok(Event::default().event("lagged").data(missed.to_string()))
                }
                Err(RecvError::Closed) => return None,
            };
            match event {
                Ok(event) => return Some((Ok(event), (changes, state))),
                Err(error) => tracing::debug!("failed to write an event: {error}"),
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE))
}

fn word(what: ChangeKind) -> &'static str {
    match what {
        ChangeKind::Added => "added",
        ChangeKind::SpecChanged => "spec",
        ChangeKind::MetadataChanged => "metadata",
        ChangeKind::StatusChanged => "status",
        ChangeKind::Removed => "removed",
        ChangeKind::Invalid => "invalid",
    }
}
