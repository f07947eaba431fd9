//! The routes of `--metrics-listen`: `/metrics`, `/healthz`, `/readyz`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::future::BoxFuture;

use super::{Metrics, escape};

/// Whether the agent can do its work now, and if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Brings the gauges up to date before a scrape.
pub type Observed = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Clone)]
struct Watched {
    metrics: Metrics,
    ready: Readiness,
    observe: Observed,
}

/// The routes. `observe` runs before each scrape.
pub fn routes(metrics: Metrics, ready: Readiness, observe: Observed) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        // Alive is who answers.
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(Watched { metrics, ready, observe })
}

async fn scrape(State(watched): State<Watched>) -> impl IntoResponse {
    (watched.observe)().await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], watched.metrics.encode())
}

async fn readyz(State(watched): State<Watched>) -> impl IntoResponse {
    match (watched.ready)() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", escape(&why))),
    }
}
