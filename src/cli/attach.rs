//! What the command line adds to an agent: its API, its metrics, and the calls between rooms that the API needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context as _;
use flux_api::Receiver;

use crate::api::{
    ApiParts, ApiState, Door, bind_socket, bind_tcp, observed, readiness, routes, serve_socket, serve_tcp,
};
use crate::app::{Agent, callbacks};
use crate::config::Settings;
use crate::model::{Clock, ObjectKey};
use crate::receiver::Count;
use crate::telemetry::{self, DeliveryLabels};

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

/// Receivers that have series of their own; those of more are counted together, by their type.
const RECEIVERS: usize = 1_000;

/// Brings the count of deliveries up to date. Paths that are nobody's count for the provider `unknown`.
fn deliveries(agent: &Agent) -> impl Fn() + Send + Sync + use<> {
    let (receiver, objects, metrics) = (agent.receiver.clone(), agent.objects.clone(), agent.metrics.clone());
    move || {
        let provider = |key: &ObjectKey| {
            let of = objects.get_as::<Receiver>(&key.namespace, &key.name)?;
            Some(of.spec.receiver_type().as_str().to_owned())
        };
        for (labels, so_far) in totals(receiver.counts(), provider) {
            metrics.deliveries(&labels, so_far);
        }
    }
}

fn totals(
    counts: Vec<Count>,
    provider: impl Fn(&ObjectKey) -> Option<String>,
) -> BTreeMap<DeliveryLabels, u64> {
    let known: BTreeSet<&ObjectKey> = counts.iter().filter_map(|count| count.receiver.as_ref()).collect();
    let own: BTreeSet<ObjectKey> = known.into_iter().take(RECEIVERS).cloned().collect();
    let mut totals = BTreeMap::new();
    for count in counts {
        let receiver = count.receiver.as_ref().filter(|key| own.contains(key));
        let labels = DeliveryLabels {
            provider: count.receiver.as_ref().and_then(&provider).unwrap_or_else(|| "unknown".to_owned()),
            receiver: receiver.map(|key| format!("{}/{}", key.namespace, key.name)).unwrap_or_default(),
            token: count.token.map(|slot| slot.key().to_owned()).unwrap_or_default(),
            outcome: count.outcome.as_str().to_owned(),
        };
        *totals.entry(labels).or_default() += count.count;
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::receiver::{Outcome, Slot};

    #[test]
    fn h6_deliveries_show_which_token_they_came_by() {
        let key = |number: usize| ObjectKey::new(Kind::Receiver, "apps", format!("r{number:04}"));
        let count = |number, token| Count {
            receiver: Some(key(number)),
            outcome: Outcome::Accepted,
            token,
            count: 2,
        };
        let mut counts = vec![count(0, Some(Slot::Token)), count(0, Some(Slot::Previous))];
        counts.push(Count { receiver: None, ..count(0, None) });
        let found = totals(counts, |_| Some("github".to_owned()));
        let lines: Vec<String> = found
            .iter()
            .map(|(it, so_far)| format!("{} {} {} {so_far}", it.provider, it.receiver, it.token))
            .collect();
        assert_eq!(lines, ["github apps/r0000 token 2", "github apps/r0000 token.previous 2", "unknown   2"]);
        // However many Receivers there are.
        let many = totals((0..RECEIVERS + 50).map(|it| count(it, None)).collect(), |_| None);
        assert_eq!(many.len(), RECEIVERS + 1);
        assert_eq!(many.values().sum::<u64>(), 2 * (RECEIVERS as u64 + 50));
    }
}
