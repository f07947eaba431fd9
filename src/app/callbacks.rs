//! What the API asks of rooms it does not know: comparisons, replays, reach of clusters, refused deliveries.

use std::sync::Arc;

use flux_api::FluxObject;
use futures::FutureExt;

use super::agent::Agent;
use crate::api::wire::{
    ClusterReach, DiffReport, DiffRequest, ObjectDiff, Rejection, Replayed, ResourceChange,
};
use crate::api::{ApiError, Callbacks};
use crate::model::{Clock, Kind, ObjectKey};
use crate::reconcile::{Reconciler, ReleaseDiff};

/// Comparisons at once: each renders and asks a cluster about every object.
const COMPARISONS: usize = 8;

/// The callbacks over a started agent.
pub fn callbacks(agent: &Agent, clock: &Clock) -> Callbacks {
    let reconciler = agent.reconciler.clone();
    let diff = Arc::new(move |request: DiffRequest| {
        let reconciler = reconciler.clone();
        async move { Ok(compare(&reconciler, request).await) }.boxed()
    });
    let (queue, receiver, now) = (agent.queue.clone(), agent.receiver.clone(), clock.clone());
    let replay = Arc::new(move |id: crate::model::DeliveryId| {
        let (queue, receiver, now) = (queue.clone(), receiver.clone(), now.clone());
        async move {
            let failed = |error: crate::queue::StoreError| ApiError::failed(error.to_string());
            let delivery = queue
                .delivery(&id)
                .await
                .map_err(failed)?
                .ok_or_else(|| ApiError::not_found(format!("there is no delivery `{id}`")))?;
            let replay = receiver.replay(&delivery, now.now()).await.map_err(ApiError::conflict)?;
            let objects = replay.jobs.iter().map(|job| job.object.clone()).collect();
            if !replay.jobs.is_empty() {
                queue.enqueue(replay.jobs).await.map_err(failed)?;
            }
            Ok(Replayed { objects, note: replay.note })
        }
        .boxed()
    });
    let reconciler = agent.reconciler.clone();
    let reach = Arc::new(move |()| {
        let reconciler = reconciler.clone();
        async move {
            let found = reconciler.reach().await;
            Ok(found
                .into_iter()
                .map(|reach| {
                    let (version, error) = match reach.version {
                        Ok(version) => (Some(version), None),
                        Err(error) => (None, Some(error)),
                    };
                    ClusterReach { cluster: reach.cluster, objects: reach.objects, version, error }
                })
                .collect())
        }
        .boxed()
    });
    let (receiver, objects) = (agent.receiver.clone(), agent.objects.clone());
    let rejected = Arc::new(move || {
        let mut all: Vec<Rejection> = objects
            .list(Kind::Receiver)
            .iter()
            .flat_map(|object| {
                let key = ObjectKey::new(Kind::Receiver, object.namespace(), object.name());
                let refused = receiver.rejections(&key);
                refused.into_iter().map(move |refused| Rejection {
                    at: refused.at,
                    receiver: key.clone(),
                    event: refused.event,
                    sender_id: Some(refused.sender_id).filter(|id| !id.is_empty()),
                    reason: refused.reason.to_string(),
                    from: refused.address.map(|address| address.to_string()),
                })
            })
            .collect();
        all.sort_by_key(|rejection| std::cmp::Reverse(rejection.at));
        all
    });
    let receiver = agent.receiver.clone();
    let hook_path = Arc::new(move |key: &ObjectKey| receiver.path_of(key).ok());
    let reconciler = agent.reconciler.clone();
    let static_problem = Arc::new(move |object: &FluxObject| reconciler.passive_problem(object));
    Callbacks { diff: Some(diff), replay, reach, rejected, hook_path, static_problem }
}

async fn compare(reconciler: &Reconciler, request: DiffRequest) -> DiffReport {
    use futures::StreamExt as _;
    let objects = if request.objects.is_empty() {
        reconciler.releases(request.namespace.as_deref())
    } else {
        request.objects
    };
    let revision = request.revision;
    let compared = futures::stream::iter(objects)
        .map(|object| {
            let (reconciler, revision) = (reconciler.clone(), revision.clone());
            async move { shown(reconciler.diff(&object, revision.as_deref()).await) }
        })
        .buffered(COMPARISONS)
        .collect::<Vec<_>>()
        .await;
    DiffReport { objects: compared }
}

fn shown(diff: ReleaseDiff) -> ObjectDiff {
    let ReleaseDiff { object, cluster, revision, outcome } = diff;
    let (changes, error) = match outcome {
        Err(error) => (Vec::new(), Some(error)),
        Ok(found) => {
            let error = found.iter().find_map(|diff| {
                diff.error.as_ref().map(|error| format!("{}: {error}", diff.object.subject()))
            });
            let changes = found
                .into_iter()
                .filter(|diff| !diff.text.is_empty())
                .map(|diff| ResourceChange {
                    resource: diff.object.subject(),
                    before: diff.before,
                    after: diff.after,
                })
                .collect();
            (changes, error)
        }
    };
    ObjectDiff { object, cluster, revision, error, changes }
}
