//! The API for people, scripts and `sluice`'s own commands: JSON over a unix socket and over TCP.
//!
//! It reads `objects` and `queue`, and changes three things only: suspend, the request annotations, and what a replay
//! puts into the queue. It reconciles nothing itself. What needs other rooms (a diff, a replay, reach of clusters)
//! comes in as [`Callbacks`], so that this room knows neither receivers nor clusters.

mod deliveries;
mod error;
mod explain;
mod fault;
mod goal;
mod guard;
mod listen;
mod objects;
mod observe;
mod stream;
mod wait;
pub mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use flux_api::FluxObject;
use futures::future::BoxFuture;
use secrecy::SecretString;
use url::Url;

use crate::model::{Clock, DeliveryId, ObjectKey, Timestamp};
use crate::objects::Objects;
use crate::queue::Queue;

pub use error::ApiError;
pub use listen::{ListenError, bind_socket, bind_tcp, serve_socket, serve_tcp};
pub use observe::{observed, readiness};
use wire::{ClusterReach, DiffReport, DiffRequest, Rejection, Replayed};

/// Largest request body: a list of object keys, never a manifest.
const MAX_BODY: usize = 256 * 1024;

/// What the API needs of the rest of the agent. Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Shared>);

struct Shared {
    parts: ApiParts,
    started: Timestamp,
}

/// The parts of an [`ApiState`].
pub struct ApiParts {
    /// The store.
    pub queue: Queue,
    /// Flux objects.
    pub objects: Objects,
    /// The time.
    pub clock: Clock,
    /// What clients must send over TCP; none when only this machine can connect.
    pub token: Option<SecretString>,
    /// The address under which forges reach the receivers, if it is known.
    pub public_url: Option<Url>,
    /// What other rooms do.
    pub callbacks: Callbacks,
}

/// A call into another room.
pub type Call<Q, A> = Arc<dyn Fn(Q) -> BoxFuture<'static, Result<A, ApiError>> + Send + Sync>;

/// The path of a Receiver's hook.
pub type HookPath = Arc<dyn Fn(&ObjectKey) -> Option<String> + Send + Sync>;

/// Why nothing can come of an object that nothing reconciles (a Provider, an Alert), if so.
pub type StaticProblem = Arc<dyn Fn(&FluxObject) -> Option<String> + Send + Sync>;

/// What other rooms do for the API; `app` fills them in.
#[derive(Clone)]
pub struct Callbacks {
    /// What a revision would change, per cluster, without applying it.
    /// None in a build that cannot tell.
    pub diff: Option<Call<DiffRequest, DiffReport>>,
    /// Handles a stored delivery once more.
    pub replay: Call<DeliveryId, Replayed>,
    /// Whether every member cluster that objects name can be reached.
    pub reach: Call<(), Vec<ClusterReach>>,
    /// The last deliveries that were refused, newest first.
    pub rejected: Arc<dyn Fn() -> Vec<Rejection> + Send + Sync>,
    /// The path of a Receiver's hook (`/hook/<hex>`), if its secret can be read.
    pub hook_path: HookPath,
    /// What is wrong with a Provider or an Alert, which have no status to say it.
    pub static_problem: StaticProblem,
}

/// Which door a request comes in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The unix socket: the file system says who may.
    Socket,
    /// TCP: the token says who may; without one, only what this machine's own programs send.
    Network,
}

impl ApiState {
    /// The API over these parts.
    pub fn new(parts: ApiParts) -> Self {
        let started = parts.clock.now();
        Self(Arc::new(Shared { parts, started }))
    }

    /// What is wrong with objects at this moment.
    fn faults(&self) -> fault::Faults<'_> {
        fault::Faults::new(&self.objects, &self.callbacks.static_problem, self.0.started)
    }
}

impl std::ops::Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0.parts
    }
}

/// The routes behind one door.
pub fn routes(state: ApiState, door: Door) -> Router {
    let quick = Router::new()
        .route("/version", get(objects::version))
        .route("/objects", get(objects::list))
        .route("/objects/{kind}/{namespace}/{name}", get(objects::show))
        .route("/objects/{kind}/{namespace}/{name}/sources", get(objects::sources))
        .route("/objects/{kind}/{namespace}/{name}/reconcile", post(objects::reconcile))
        .route("/objects/{kind}/{namespace}/{name}/suspend", post(objects::suspend))
        .route("/objects/{kind}/{namespace}/{name}/resume", post(objects::resume))
        .route("/problems", get(objects::problems))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}", get(deliveries::show))
        .route("/deliveries/{id}/replay", post(deliveries::replay))
        .route("/hooks", get(deliveries::hooks))
        .route("/explain/{*what}", get(explain::explain))
        .layer(from_fn(guard::deadline));
    let slow = Router::new()
        .route("/diff", post(objects::diff))
        .route("/clusters", get(objects::clusters))
        .layer(from_fn(guard::long_deadline));
    // These end by themselves: a long poll at its own timeout, a stream when its reader goes.
    let held = Router::new().route("/wait", get(wait::wait)).route("/stream", get(stream::stream));
    let api = quick.merge(slow).merge(held).fallback(error::no_such_route);
    Router::new()
        .nest("/api/v1", api)
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state((state.clone(), door), guard::admit))
        .with_state(state)
}
