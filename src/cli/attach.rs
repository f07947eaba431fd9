//! What the command line adds to an agent: its API, its metrics, and the calls between rooms that the API needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use flux_api::Receiver;

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
    let callbacks = callbacks(agent, &clock);
    let static_problem = Arc::clone(&callbacks.static_problem);
    let state = ApiState::new(ApiParts {
        queue: agent.queue.clone(),
        objects: agent.objects.clone(),
        clock: clock.clone(),
        token: settings.api_token.clone(),
        public_url: settings.public_url.clone(),
        callbacks,
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
        let counted = deliveries(agent);
        let gauges =
            observed(metrics.clone(), agent.queue.clone(), agent.objects.clone(), static_problem, clock);
        let observe: telemetry::Observed = Arc::new(move || {
            counted();
            gauges()
        });
        let metrics = telemetry::routes(metrics, readiness(agent.queue.clone()), observe);
        agent.supervise("the metrics", serve_tcp(listener, metrics, shutdown));
    }
    Ok(())
}

/// Brings the count of deliveries up to date. Paths that are nobody's count for the provider `unknown`.
fn deliveries(agent: &Agent) -> impl Fn() + Send + Sync + use<> {
    let (receiver, objects, metrics) = (agent.receiver.clone(), agent.objects.clone(), agent.metrics.clone());
    move || {
        let mut totals: BTreeMap<(String, &str), u64> = BTreeMap::new();
        for count in receiver.counts() {
            let of = count.receiver.and_then(|key| objects.get_as::<Receiver>(&key.namespace, &key.name));
            let provider = of.map_or("unknown".to_owned(), |it| it.spec.receiver_type().as_str().to_owned());
            *totals.entry((provider, count.outcome.as_str())).or_default() += count.count;
        }
        for ((provider, outcome), so_far) in totals {
            metrics.deliveries(&provider, outcome, so_far);
        }
    }
}
