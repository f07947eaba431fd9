//! What the command line adds to an agent: its API, its metrics, and the calls between rooms that the API needs.

use anyhow::Context as _;

use crate::api::{
    ApiParts, ApiState, Door, bind_socket, bind_tcp, observed, readiness, routes, serve_socket, serve_tcp,
};
use crate::app::{Agent, callbacks};
use crate::config::Settings;
use crate::model::Clock;
use crate::telemetry;

/// Serves the API and the metrics of `agent`, as the settings say.
pub(super) async fn attach(agent: &mut Agent, settings: &Settings) -> anyhow::Result<()> {
    let clock = Clock::system();
    let shutdown = agent.shutdown_token();
    let state = ApiState::new(ApiParts {
        queue: agent.queue.clone(),
        objects: agent.objects.clone(),
        clock: clock.clone(),
        token: settings.api_token.clone(),
        public_url: settings.public_url.clone(),
        callbacks: callbacks(agent, &clock),
    });
    let socket = bind_socket(&settings.socket()).await?;
    agent.supervise(
        "the API's socket",
        serve_socket(socket, routes(state.clone(), Door::Socket), shutdown.clone()),
    );
    if let Some(address) = settings.api_listen {
        let listener = bind_tcp(address, "the API", "api-listen").await?;
        tracing::info!(
            "the API answers on http://{}",
            listener.local_addr().context("the API has no address")?
        );
        agent.supervise("the API", serve_tcp(listener, routes(state, Door::Network), shutdown.clone()));
    }
    if let Some(address) = settings.metrics_listen {
        let listener = bind_tcp(address, "metrics", "metrics-listen").await?;
        tracing::info!(
            "metrics are at http://{}/metrics",
            listener.local_addr().context("metrics have no address")?
        );
        let metrics = agent.metrics.clone();
        let observe = observed(metrics.clone(), agent.queue.clone(), agent.objects.clone(), clock);
        let metrics = telemetry::routes(metrics, readiness(agent.queue.clone()), observe);
        agent.supervise("the metrics", serve_tcp(listener, metrics, shutdown));
    }
    Ok(())
}
