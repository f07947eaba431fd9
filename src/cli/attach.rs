//! What the command line adds to an agent: its API, its metrics, and the calls between rooms that the API needs.

use std::sync::Arc;

use anyhow::Context as _;
use axum::http::StatusCode;
use serde_json::Value;

use crate::api::wire::{ClusterReach, Rejection, Replayed};
use crate::api::{
    ApiError, ApiParts, ApiState, Callbacks, Door, bind_socket, bind_tcp, observed, readiness, routes,
    serve_socket, serve_tcp,
};
use crate::app::Agent;
use crate::config::Settings;
use crate::model::{Cause, CauseKind, Clock, DeliveryId, Kind, ObjectKey};
use crate::queue::{NewJob, Priority, Queue};
use crate::receiver::ReceiverState;
use crate::telemetry::{self, Metrics};

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
        let metrics = Metrics::new();
        let observe = observed(metrics.clone(), agent.queue.clone(), agent.objects.clone(), clock);
        let metrics = telemetry::routes(metrics, readiness(agent.queue.clone()), observe);
        agent.supervise("the metrics", serve_tcp(listener, metrics, shutdown));
    }
    Ok(())
}

fn callbacks(agent: &Agent, clock: &Clock) -> Callbacks {
    let (queue, clock) = (agent.queue.clone(), clock.clone());
    let (reconciler, objects) = (agent.reconciler.clone(), agent.objects.clone());
    let (refusals, paths) = (agent.receiver.clone(), agent.receiver.clone());
    Callbacks {
        diff: None,
        replay: Arc::new(move |id| {
            let (queue, clock) = (queue.clone(), clock.clone());
            Box::pin(async move { replay(&queue, &clock, id).await })
        }),
        reach: Arc::new(move |()| {
            let reconciler = reconciler.clone();
            Box::pin(async move {
                let found = reconciler.reach().await.into_iter().map(|it| {
                    let (version, error) = match it.version {
                        Ok(version) => (Some(version), None),
                        Err(error) => (None, Some(error)),
                    };
                    ClusterReach { cluster: it.cluster, objects: it.objects, version, error }
                });
                Ok(found.collect())
            })
        }),
        rejected: Arc::new(move || rejections(&refusals, &objects.list(Kind::Receiver))),
        hook_path: Arc::new(move |key| paths.path_of(key).ok()),
    }
}

/// What was refused, newest first.
fn rejections(receiver: &ReceiverState, receivers: &[Arc<flux_api::FluxObject>]) -> Vec<Rejection> {
    let mut all = Vec::new();
    for object in receivers {
        let key = ObjectKey::new(Kind::Receiver, object.namespace(), object.name());
        all.extend(receiver.rejections(&key).into_iter().map(|it| Rejection {
            at: it.at,
            receiver: key.clone(),
            event: it.event,
            sender_id: Some(it.sender_id).filter(|id| !id.is_empty()),
            reason: it.reason,
            from: it.address.map(|address| address.to_string()),
        }));
    }
    all.sort_by_key(|it| std::cmp::Reverse(it.at));
    all
}

/// Puts the jobs that a delivery caused by itself in once more, with what they were told then.
async fn replay(queue: &Queue, clock: &Clock, id: DeliveryId) -> Result<Replayed, ApiError> {
    let gone = || ApiError::not_found(format!("there is no delivery `{id}` any more"));
    let delivery = queue.delivery(&id).await?.ok_or_else(gone)?;
    let first = |cause: &Cause| {
        matches!(cause.kind, CauseKind::Delivery | CauseKind::Replay) && cause.delivery.as_ref() == Some(&id)
    };
    let mut objects: Vec<ObjectKey> = Vec::new();
    let mut jobs = Vec::new();
    for job in delivery.jobs.iter().filter(|job| job.causes.iter().any(first)) {
        if objects.contains(&job.object) {
            continue;
        }
        objects.push(job.object.clone());
        jobs.push(NewJob {
            object: job.object.clone(),
            cause: Cause { kind: CauseKind::Replay, delivery: Some(id.clone()) },
            due_at: clock.now(),
            payload: if job.payload.is_object() { job.payload.clone() } else { Value::Null },
            priority: Priority::Push,
        });
    }
    if jobs.is_empty() {
        let note = delivery.summary.note.unwrap_or_else(|| "it caused no job".to_owned());
        return Ok(Replayed {
            objects,
            note: Some(format!("nothing came of this delivery, so there is nothing to do again: {note}")),
        });
    }
    queue
        .enqueue(jobs)
        .await
        .map_err(|error| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(Replayed { objects, note: None })
}
