//! The webhook receiver: proves that a delivery is authentic, records it with the jobs it causes, and answers.
//!
//! The answer never waits for anything but one insert: nothing is fetched, rendered or applied here, and no cluster is
//! talked to. Nothing is parsed or written before the proof holds, and no 2xx is sent before the row is on disk. The one
//! exception: the public keys that identity tokens are checked with, which are fetched ahead of need (`keys`).
//! Adding a sender is a file in `provider/`.

mod cel;
mod facts;
mod filter;
mod framing;
mod identity;
mod images;
mod json;
mod jwt;
mod keys;
mod limits;
mod log;
mod plan;
mod proof;
mod provider;
mod replay;
mod request;
mod routes;
mod serve;
mod state;

#[cfg(test)]
mod tests;

pub use facts::{Change, FactKind, Facts};
pub use proof::Slot;
pub use provider::Provider;
pub use replay::Replay;
pub use routes::{NotReady, hook_path};
pub use serve::{Peer, ServeLimits, serve};
pub use state::{Count, Outcome, ReceiverSettings, ReceiverState, Rejection};

use self::routes::Routes;
use crate::model::{ObjectKey, Timestamp};
use crate::objects::Objects;

/// The routes of `--listen`: exactly the paths of the Receivers, and 404 for all else.
pub fn router(state: ReceiverState) -> axum::Router {
    axum::Router::new().fallback(request::handle).with_state(state)
}

/// The Receivers that cannot be served as they and their Secrets stand, and why.
pub fn unserved(objects: &Objects) -> Vec<(ObjectKey, NotReady)> {
    let states = Routes::read(objects, &Routes::default()).state.into_iter();
    states.filter_map(|(key, state)| state.err().map(|problem| (key, problem))).collect()
}

/// The headers that a sender would put on a body: event, delivery id and proof, for `sluice hook send`.
pub fn sign(
    provider: Provider,
    token: &[u8],
    body: &[u8],
    id: &str,
    at: Timestamp,
) -> Vec<(&'static str, String)> {
    provider.sign(token, body, id, at)
}
