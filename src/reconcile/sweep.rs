//! Turns changes of objects, Secrets and ConfigMaps into jobs, and looks at everything once after a start.

use std::collections::BTreeSet;

use flux_api::FluxObject;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::context::{Inner, Reconciler};
use super::dependents;
use crate::model::{Cause, CauseKind, Kind, ObjectKey};
use crate::objects::{Change, ChangeKind, ChangeTarget};
use crate::queue::{NewJob, Priority};

/// Follows the objects until `shutdown`.
///
/// # Errors
/// When the objects' home has ended.
pub async fn follow_changes(reconciler: Reconciler, shutdown: CancellationToken) -> anyhow::Result<()> {
    let inner = reconciler.inner;
    let mut changes = inner.objects.subscribe();
    sweep(&inner, CauseKind::Start).await;
    loop {
        let change = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            change = changes.recv() => change,
        };
        match change {
            Ok(change) => {
                let mut jobs = jobs_of(&inner, &change);
                // Whatever else is there already goes into the same transaction.
                while let Ok(more) = changes.try_recv() {
                    jobs.extend(jobs_of(&inner, &more));
                }
                enqueue(&inner, jobs).await;
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::debug!("missed {missed} changes of objects, looking at all of them");
                // As at a start: running work is not interrupted for a mere look.
                sweep(&inner, CauseKind::Start).await;
            }
            Err(RecvError::Closed) => anyhow::bail!("the watch of the objects ended"),
        }
    }
}

/// Whether anything is ever done for an object of this kind.
fn has_story(kind: Kind) -> bool {
    !matches!(kind, Kind::Provider | Kind::Alert)
}

async fn sweep(inner: &Inner, cause: CauseKind) {
    let jobs = inner
        .objects
        .all()
        .iter()
        .filter(|object| has_story(object.kind()))
        .map(|object| (ObjectKey::new(object.kind(), object.namespace(), object.name()), Cause::of(cause)))
        // A chart made for a release is built by the release.
        .filter(|(key, _)| inner.objects.owner(key).is_none())
        .collect();
    enqueue(inner, jobs).await;
}

fn jobs_of(inner: &Inner, change: &Change) -> Vec<(ObjectKey, Cause)> {
    let because = |kind: CauseKind| move |key: ObjectKey| (key, Cause::of(kind));
    match (&change.target, change.what) {
        (_, ChangeKind::StatusChanged | ChangeKind::Invalid) => Vec::new(),
        (ChangeTarget::Object(key), what) => {
            if !has_story(key.kind) || inner.objects.owner(key).is_some() {
                return Vec::new();
            }
            let mut jobs = Vec::new();
            match what {
                ChangeKind::Added | ChangeKind::SpecChanged => {
                    jobs.push((key.clone(), Cause::of(CauseKind::Change)));
                    if key.kind == Kind::GitRepository {
                        let automations = dependents::automations_of(&inner.objects, key);
                        jobs.extend(automations.into_iter().map(because(CauseKind::Change)));
                    }
                }
                ChangeKind::MetadataChanged => {
                    // A request by annotation, or the beginning of a deletion.
                    if let Some(object) = inner.objects.get(key) {
                        let asked = asks(&object);
                        if asked || object.metadata().deletion_timestamp.is_some() {
                            let kind = if asked { CauseKind::Request } else { CauseKind::Change };
                            jobs.push((key.clone(), Cause::of(kind)));
                        }
                    }
                }
                // The job finds the object gone and removes its archives, or its tags.
                ChangeKind::Removed if matches!(key.kind, Kind::GitRepository | Kind::ImageRepository) => {
                    jobs.push((key.clone(), Cause::of(CauseKind::Change)));
                }
                ChangeKind::Removed => {}
                ChangeKind::StatusChanged | ChangeKind::Invalid => {}
            }
            jobs
        }
        (ChangeTarget::Secret(namespace, name), _) => {
            dependents::of_config(&inner.objects, true, namespace, name)
                .into_iter()
                .map(because(CauseKind::Change))
                .collect()
        }
        (ChangeTarget::Namespace(name), _) => dependents::of_namespace(&inner.objects, name)
            .into_iter()
            .map(because(CauseKind::Change))
            .collect(),
        (ChangeTarget::ConfigMap(namespace, name), _) => {
            dependents::of_config(&inner.objects, false, namespace, name)
                .into_iter()
                .map(because(CauseKind::Change))
                .collect()
        }
    }
}

/// Whether a `requestedAt` has not been handled yet.
fn asks(object: &FluxObject) -> bool {
    object.requested_at().is_some() && object.requested_at() != object.last_handled_reconcile_at()
}

async fn enqueue(inner: &Inner, jobs: Vec<(ObjectKey, Cause)>) {
    let mut seen = BTreeSet::new();
    let now = inner.now();
    let jobs: Vec<NewJob> = jobs
        .into_iter()
        .filter(|(key, _)| seen.insert(key.clone()))
        .map(|(object, cause)| {
            let priority = if cause.kind == CauseKind::Request { Priority::Push } else { Priority::Normal };
            NewJob { object, cause, due_at: now, payload: Value::Null, priority }
        })
        .collect();
    if jobs.is_empty() {
        return;
    }
    if let Err(error) = inner.queue.enqueue(jobs).await {
        // The interval of each object finds the change later; the store's own trouble shows in /readyz.
        tracing::error!("failed to enqueue jobs for changed objects: {error}");
    }
}
