//! Takes due jobs, runs each on a task of its own, and writes what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flux_api::FluxObject;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::context::{Basis, Done, Inner, Reconciler, Run};
use super::{
    dependents, git_repository, helm_chart, helm_release, image_policy, image_repository,
    image_update_automation, receiver, unsupported,
};
use crate::model::{Event, Kind, ObjectKey, Severity};
use crate::objects::StatusRecord;
use crate::queue::{JobOutcome, JobResult, LeasedJob, NewStatus, StepOutcome, StoreError};
use crate::render::pool::panic_text;

/// How long a worker may hold a job without a sign of life.
const LEASE: Duration = Duration::from_secs(30);

/// How often a running job shows that it lives; three chances within a lease.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Most jobs taken with one claim: enough to keep a push to a thousand clusters from queueing behind the claims.
const CLAIM: usize = 128;

/// How long to leave a store alone that could not be used; a timer, nothing is waited for by it.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How long running jobs may take to stop at a shutdown before they are given back.
const GRACE: Duration = Duration::from_secs(8);

/// Runs jobs until `shutdown`, `concurrent` at once.
///
/// # Errors
/// When the store fails in a way that will not pass.
pub async fn work(
    reconciler: Reconciler,
    concurrent: usize,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let inner = reconciler.inner;
    let worker = format!("worker-{}", uuid::Uuid::new_v4().simple());
    let mut running: JoinSet<()> = JoinSet::new();
    // Stops waits at a shutdown, so that their releases are recorded as failed and not left pending.
    let stop = CancellationToken::new();
    loop {
        while running.try_join_next().is_some() {}
        let room = concurrent.saturating_sub(running.len()).min(CLAIM);
        let mut idle = true;
        if room > 0 {
            let limit = u32::try_from(room).unwrap_or(u32::MAX);
            match inner.queue.claim(limit, &worker, LEASE).await {
                Ok(jobs) => {
                    idle = jobs.is_empty();
                    for job in jobs {
                        let inner = Arc::clone(&inner);
                        let stop = stop.clone();
                        running.spawn(async move { run_job(&inner, job, stop).await });
                    }
                }
                Err(error @ (StoreError::Closed | StoreError::Broken { .. })) => {
                    stop.cancel();
                    return Err(anyhow::Error::from(error).context("the workers have no store"));
                }
                Err(error) => {
                    tracing::error!("failed to claim jobs: {error}");
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(STORE_PAUSE) => continue,
                    }
                }
            }
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = running.join_next(), if !running.is_empty() => {}
            () = inner.queue.wait(), if idle && room > 0 => {}
            () = std::future::ready(()), if !idle => {}
        }
    }
    stop.cancel();
    let drained = tokio::time::timeout(GRACE, async { while running.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("{} jobs did not stop in time; the next start finishes them", running.len());
        running.shutdown().await;
    }
    Ok(())
}

async fn run_job(inner: &Inner, job: LeasedJob, stop: CancellationToken) {
    let lease = job.lease.clone();
    let cancel = stop.child_token();
    let mut superseded = inner.queue.superseded(&lease);
    let key = job.object.clone();
    let basis = Arc::new(Mutex::new(wanted(inner, &key)));
    let clock = std::time::Instant::now();
    let outcome = {
        let work =
            AssertUnwindSafe(reconcile(inner, &job, cancel.clone(), Arc::clone(&basis))).catch_unwind();
        let mut work = std::pin::pin!(work);
        let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = heartbeat.tick() => {
                    match inner.queue.renew(&lease, LEASE).await {
                        Ok(()) => {}
                        Err(error @ StoreError::LeaseLost { .. }) => {
                            tracing::warn!(object = %key, "stopped `{key}`: {error}");
                            cancel.cancel();
                        }
                        // Somebody may take the job over; its effects can be had twice without harm.
                        Err(error) => tracing::warn!(object = %key, "failed to renew `{key}`'s lease: {error}"),
                    }
                }
                changed = superseded.changed(), if !cancel.is_cancelled() => {
                    // Waits end at the next safe point; what was applied stays applied. A newer job that wants the
                    // same as this one (a second look, a dependency that became ready) lets it finish.
                    let newer = *superseded.borrow_and_update()
                        && wanted(inner, &key) != *basis.lock().expect("held for one look");
                    if changed.is_err() || newer {
                        cancel.cancel();
                    }
                }
            }
        }
    };
    let (mut result, mut shown) = match outcome {
        Ok(ended) => ended,
        Err(panic) => {
            let error = panic_text(panic.as_ref());
            tracing::error!(object = %key, "reconciling `{key}` panicked: {error}");
            (JobResult::of(JobOutcome::Panicked { error }), Vec::new())
        }
    };
    count(inner, &job, &result, clock.elapsed());
    // A status, the jobs that follow from it and the messages about it reach the disk together or not at all.
    shown.push(key.clone());
    let mut unsaved = inner.objects.unsaved(&shown).await;
    result.statuses = unsaved.take_records().into_iter().map(to_keep).collect();
    match inner.queue.finish(&lease, result).await {
        Ok(()) => unsaved.kept(),
        Err(error) => {
            tracing::error!(object = %key, "failed to record the end of `{key}`'s job: {error}");
        }
    }
}

fn to_keep(record: StatusRecord) -> NewStatus {
    let StatusRecord { object, status, generation, spec_hash } = record;
    NewStatus { object, status, generation, spec_hash }
}

/// A job's result, and the objects whose statuses it changed.
type Ended = (JobResult, Vec<ObjectKey>);

/// What an object asks for now: its generation, and the revision its source stands at.
fn wanted(inner: &Inner, key: &ObjectKey) -> Basis {
    let object = inner.objects.get(key)?;
    let source = match &*object {
        FluxObject::HelmRelease(release) => dependents::source_of(release),
        _ => None,
    };
    let revision = source
        .and_then(|source| inner.objects.get(&source))
        .and_then(|source| source.artifact().map(|artifact| artifact.revision.clone()));
    Some((object.metadata().generation, revision))
}

/// What operators see of a job.
fn count(inner: &Inner, job: &LeasedJob, result: &JobResult, took: Duration) {
    let key = &job.object;
    let kind = key.kind.as_str();
    let outcome = match &result.outcome {
        JobOutcome::Done => "done",
        JobOutcome::Failed { .. } => "failed",
        JobOutcome::Retry { .. } => "retry",
        JobOutcome::Superseded => "superseded",
        JobOutcome::Panicked { .. } => "panicked",
    };
    inner.metrics.job(kind, outcome);
    inner.metrics.reconcile(kind, &key.namespace, &key.name, took);
    for step in &result.steps {
        match (step.step.as_str(), &step.cluster) {
            ("fetch", _) => inner.metrics.fetch(kind, step.duration),
            ("render", _) => inner.metrics.render(step.duration),
            ("apply", Some(cluster)) => inner.metrics.apply(cluster, step.duration),
            _ => {}
        }
    }
    let applied = result.steps.iter().any(|step| step.step == "apply" && step.outcome == StepOutcome::Done);
    if applied
        && let Some(arrived) = job.cause().delivery.and_then(|id| id.generated_at())
        && let Ok(took) = Duration::try_from(inner.now().duration_since(arrived))
    {
        inner.metrics.push_applied(took);
    }
}

/// Boxed: a job's future is large, and lives as long as its cluster takes.
fn reconcile<'a>(
    inner: &'a Inner,
    job: &'a LeasedJob,
    cancel: CancellationToken,
    basis: Arc<Mutex<Basis>>,
) -> BoxFuture<'a, Ended> {
    run_story(inner, job, cancel, basis).boxed()
}

async fn run_story(
    inner: &Inner,
    job: &LeasedJob,
    cancel: CancellationToken,
    basis: Arc<Mutex<Basis>>,
) -> Ended {
    let mut run = Run { basis, ..Run::new(inner, job, cancel) };
    let object = inner.objects.get(&job.object);
    let done = match &object {
        None => {
            forget(&run).await;
            Done::Gone
        }
        Some(object) if object.suspended() && object.metadata().deletion_timestamp.is_none() => Done::Nothing,
        Some(object) => dispatch(&mut run, object).await,
    };
    let events = std::mem::take(&mut run.events);
    let shown = std::mem::take(&mut run.shown);
    let mut result = run.finish(done);
    result.messages = events.iter().flat_map(|event| inner.messages_of(event)).collect();
    (result, shown)
}

async fn dispatch(run: &mut Run<'_>, object: &FluxObject) -> Done {
    match object {
        FluxObject::GitRepository(git) => match git.metadata.deletion_timestamp {
            Some(_) => gone(run).await,
            None => git_repository::reconcile(run, object, git).await,
        },
        FluxObject::HelmChart(chart) => match chart.metadata.deletion_timestamp {
            Some(_) => gone(run).await,
            None => helm_chart::reconcile(run, object, chart).await,
        },
        FluxObject::HelmRelease(release) => helm_release::reconcile(run, object, release).await,
        FluxObject::Receiver(receiver) => match receiver.metadata.deletion_timestamp {
            Some(_) => gone(run).await,
            None => receiver::reconcile(run, object, receiver).await,
        },
        FluxObject::ImageRepository(repository) => match repository.metadata.deletion_timestamp {
            Some(_) => gone(run).await,
            None => image_repository::reconcile(run, object, repository).await,
        },
        FluxObject::ImagePolicy(policy) => match policy.metadata.deletion_timestamp {
            Some(_) => gone(run).await,
            None => image_policy::reconcile(run, object, policy).await,
        },
        FluxObject::ImageUpdateAutomation(automation) => match automation.metadata.deletion_timestamp {
            Some(_) => gone(run).await,
            None => image_update_automation::reconcile(run, object, automation).await,
        },
        // Static: nothing happens to them on their own.
        FluxObject::Provider(_) | FluxObject::Alert(_) => match object.metadata().deletion_timestamp {
            Some(_) => gone(run).await,
            None => Done::Nothing,
        },
        FluxObject::OCIRepository(_)
        | FluxObject::HelmRepository(_)
        | FluxObject::Bucket(_)
        | FluxObject::ExternalArtifact(_)
        | FluxObject::Kustomization(_) => match object.metadata().deletion_timestamp {
            Some(_) => gone(run).await,
            None => unsupported::reconcile(run, object).await,
        },
    }
}

/// Removes what an object that is gone left on disk and in the store.
async fn forget(run: &Run<'_>) {
    let key = &run.job.object;
    if key.kind == Kind::GitRepository {
        run.inner.forget_checkout(key);
        if let Err(error) = run.inner.sources.remove_artifacts(key).await {
            tracing::warn!(object = %key, "failed to remove the artifacts of `{key}`: {error}");
        }
    }
    if key.kind == Kind::ImageRepository
        && let Err(error) = run.inner.forget_tags(key).await
    {
        tracing::warn!(object = %key, "failed to remove the tags of `{key}`: {error}");
    }
}

/// Lets go of an object that leaves nothing behind on any cluster.
async fn gone(run: &mut Run<'_>) -> Done {
    let key = run.job.object.clone();
    forget(run).await;
    match run.inner.objects.finalize(&key).await {
        Ok(true) => Done::Gone,
        Ok(false) => Done::Wait { after: Duration::ZERO, why: "the manifest is back".to_owned() },
        Err(error) => {
            Done::Retry { error: error.to_string(), interval: Duration::from_secs(60), after: None }
        }
    }
}

impl Run<'_> {
    /// The run reads its source now, perhaps later than it began: what is there now is what it works from.
    pub(super) fn reads_source(&self) {
        *self.basis.lock().expect("held for one write") = wanted(self.inner, &self.job.object);
    }

    /// Writes a status: shown at once, on disk with the end of the job. A failure is logged, the next run writes it
    /// again.
    pub(super) async fn write_status<S: serde::Serialize>(&mut self, key: &ObjectKey, uid: &str, status: &S) {
        match serde_json::to_value(status) {
            Ok(status) => self.write_status_json(key, uid, status).await,
            Err(error) => tracing::error!(object = %key, "failed to encode the status of `{key}`: {error}"),
        }
    }

    /// See [`Run::write_status`].
    pub(super) async fn write_status_json(&mut self, key: &ObjectKey, uid: &str, status: Value) {
        match self.inner.objects.stage_status(key, uid, &status) {
            Ok(()) => self.shown.push(key.clone()),
            Err(error) => tracing::warn!(object = %key, "failed to write the status of `{key}`: {error}"),
        }
    }

    /// Notes an event of another object than the job's: the HelmChart of a release.
    pub(super) fn event_of(
        &mut self,
        object: &FluxObject,
        key: &ObjectKey,
        severity: Severity,
        reason: &str,
        message: impl Into<String>,
        metadata: &[(&str, &str)],
    ) {
        self.event(object, severity, reason, message, metadata);
        if let Some(last) = self.events.last_mut() {
            let event: &mut Event = last;
            event.object = key.clone();
        }
    }
}
