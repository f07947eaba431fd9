//! What every reconcile works with, and the notes it takes while it runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flux_api::{FluxObject, Time};
use helm_engine::release::SharedCharts;
use helm_engine::{HelmProfile, Limits};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::known_tags::KnownTags;
use super::turns::Turns;
use crate::cluster::Clusters;
use crate::model::{Cause, Clock, Event, Kind, ObjectKey, Revision, Severity, Timestamp};
use crate::notify;
use crate::objects::{Objects, StatusChange};
use crate::queue::{Applied, JobOutcome, JobResult, LeasedJob, NewJob, Priority, Queue, Step, StepOutcome};
use crate::render::chart::{ChartCache, ChartKey};
use crate::render::pool::RenderPool;
use crate::source::{GitCheckout, Sources};
use crate::telemetry::Metrics;

/// How far an interval is spread, so that a thousand objects of one interval do not come due together (Flux's
/// `--interval-jitter-percentage`).
const JITTER: f64 = 0.05;

/// First pause after a failure that may pass; doubles up to [`LONGEST_RETRY`] (Flux's `--min-retry-delay`).
const FIRST_RETRY: Duration = Duration::from_millis(750);
/// See [`FIRST_RETRY`] (Flux's `--max-retry-delay`).
const LONGEST_RETRY: Duration = Duration::from_secs(15 * 60);

/// Knobs of reconciling.
#[derive(Debug, Clone)]
pub struct ReconcilerSettings {
    /// Refuse references to objects of other namespaces.
    pub no_cross_namespace_refs: bool,
    /// The service account of the target cluster to act as when a HelmRelease names none.
    pub default_service_account: Option<String>,
    /// How long to wait before looking again at what a dependency does not announce.
    pub requeue_dependency: Duration,
    /// How often the same event goes to the same Alert at most.
    pub event_rate_limit: Duration,
    /// When a hostile chart is stopped.
    pub limits: Limits,
    /// The Helm version to equal.
    pub profile: HelmProfile,
    /// Host part of artifact URLs in statuses.
    pub artifact_host: String,
}

impl Default for ReconcilerSettings {
    fn default() -> Self {
        Self {
            no_cross_namespace_refs: false,
            default_service_account: None,
            requeue_dependency: Duration::from_secs(30),
            event_rate_limit: Duration::from_secs(300),
            limits: Limits::default(),
            profile: HelmProfile::default(),
            artifact_host: "http://localhost".to_owned(),
        }
    }
}

/// Asks the webhook listener where a Receiver's hook is.
pub type HookPaths = Box<dyn Fn(&ObjectKey) -> Result<String, (&'static str, String)> + Send + Sync>;

/// The rooms a reconciler is built of.
pub struct ReconcilerParts {
    /// Flux objects, Secrets, ConfigMaps.
    pub objects: Objects,
    /// The durable queue.
    pub queue: Queue,
    /// Git and registries.
    pub sources: Sources,
    /// Member clusters.
    pub clusters: Clusters,
    /// Render threads.
    pub pool: RenderPool,
    /// Messages out.
    pub notify: notify::Client,
    /// Where the hook of a Receiver is, or Flux's reason and the text why there is none.
    pub hook_paths: HookPaths,
    /// Counters and histograms.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Knobs.
    pub settings: ReconcilerSettings,
}

/// Reconciles objects. Cheap to clone.
#[derive(Clone)]
pub struct Reconciler {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) objects: Objects,
    pub(super) queue: Queue,
    pub(super) sources: Sources,
    pub(super) clusters: Clusters,
    pub(super) pool: RenderPool,
    pub(super) notify: notify::Client,
    pub(super) hook_paths: HookPaths,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) settings: ReconcilerSettings,
    pub(super) charts: ChartCache,
    /// Charts of Helm's records, as long as one is at hand.
    pub(super) recorded: SharedCharts,
    /// The commit each git source stands at, open for reading.
    pub(super) checkouts: Mutex<HashMap<ObjectKey, GitCheckout>>,
    /// What image repositories know, at hand.
    pub(super) tags: KnownTags,
    /// Whose turn it is to build a chart: of a thousand releases of one chart, the first builds it for all.
    pub(super) builders: Turns<ChartKey>,
    /// Whose turn it is to write to a branch: automations of one agent need not race with each other.
    pub(super) writers: Turns<String>,
    /// When which event last went out, for the rate limit.
    pub(super) told: Mutex<HashMap<[u8; 32], Timestamp>>,
}

impl Reconciler {
    /// A reconciler over these rooms.
    pub fn new(parts: ReconcilerParts) -> Self {
        let ReconcilerParts {
            objects,
            queue,
            sources,
            clusters,
            pool,
            notify,
            hook_paths,
            metrics,
            clock,
            settings,
        } = parts;
        Self {
            inner: Arc::new(Inner {
                objects,
                queue,
                sources,
                clusters,
                pool,
                notify,
                hook_paths,
                metrics,
                clock,
                settings,
                charts: ChartCache::new(),
                recorded: SharedCharts::default(),
                checkouts: Mutex::new(HashMap::new()),
                tags: KnownTags::default(),
                builders: Turns::default(),
                writers: Turns::default(),
                told: Mutex::new(HashMap::new()),
            }),
        }
    }
}

impl Inner {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn checkout(&self, key: &ObjectKey) -> Option<GitCheckout> {
        self.checkouts.lock().expect("held for one look-up").get(key).cloned()
    }

    pub(super) fn keep_checkout(&self, key: &ObjectKey, checkout: GitCheckout) {
        self.checkouts.lock().expect("held for one insert").insert(key.clone(), checkout);
    }

    pub(super) fn forget_checkout(&self, key: &ObjectKey) {
        self.checkouts.lock().expect("held for one removal").remove(key);
    }
}

/// How a reconcile ended; the worker turns it into the job's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// Good; come again after the interval.
    Interval(Duration),
    /// Good, and nothing to come back for (suspended, static kinds).
    Nothing,
    /// Waits for something that announces itself; look again after this long all the same.
    Wait { after: Duration, why: String },
    /// Failed; try again with backoff, at the latest after the interval.
    Retry { error: String, interval: Duration, after: Option<Duration> },
    /// Failed, and only a change helps; looked at again after the interval all the same.
    Stalled { error: String, interval: Option<Duration> },
    /// A newer job for the object took over.
    Superseded,
    /// The object is gone.
    Gone,
}

/// What a run works from: the generation of its object, and the revision of its source. A newer one ends its waits.
pub(super) type Basis = Option<(i64, Option<String>)>;

/// Notes of one run: steps for `sluice explain`, jobs for dependents, events, what was applied.
pub(super) struct Run<'a> {
    pub(super) inner: &'a Inner,
    pub(super) job: &'a LeasedJob,
    pub(super) cause: Cause,
    pub(super) cancel: CancellationToken,
    /// Shared with the worker that watches over the run.
    pub(super) basis: Arc<Mutex<Basis>>,
    pub(super) steps: Vec<Step>,
    pub(super) spawn: Vec<NewJob>,
    pub(super) events: Vec<Event>,
    pub(super) applied: Vec<Applied>,
    /// Statuses to be kept, and shown, when the job ends.
    pub(super) statuses: Vec<StatusChange>,
}

impl<'a> Run<'a> {
    pub(super) fn new(inner: &'a Inner, job: &'a LeasedJob, cancel: CancellationToken) -> Self {
        Self {
            inner,
            job,
            cause: job.cause(),
            cancel,
            basis: Arc::default(),
            steps: Vec::new(),
            spawn: Vec::new(),
            events: Vec::new(),
            applied: Vec::new(),
            statuses: Vec::new(),
        }
    }

    pub(super) fn time(&self) -> Time {
        Time::new(self.inner.now())
    }

    /// Notes one step.
    pub(super) fn step(
        &mut self,
        step: &str,
        started: Timestamp,
        duration: Duration,
        outcome: StepOutcome,
        detail: impl Into<String>,
    ) -> &mut Step {
        self.steps.push(Step {
            job: Some(self.job.id.clone()),
            delivery: self.cause.delivery.clone(),
            object: self.job.object.clone(),
            step: step.to_owned(),
            cluster: None,
            revision: None,
            started_at: started,
            duration,
            outcome,
            detail: detail.into(),
        });
        self.steps.last_mut().expect("just pushed")
    }

    /// Adds a job for another object, caused by this one.
    pub(super) fn wake(&mut self, object: ObjectKey, cause: Cause) {
        let priority = if cause.delivery.is_some() { Priority::Push } else { Priority::Normal };
        self.spawn.push(NewJob { object, cause, due_at: self.inner.now(), payload: Value::Null, priority });
    }

    /// Notes an event of the object at hand.
    pub(super) fn event(
        &mut self,
        object: &FluxObject,
        severity: Severity,
        reason: &str,
        message: impl Into<String>,
        metadata: &[(&str, &str)],
    ) {
        let group = object.kind().group();
        let mut all: std::collections::BTreeMap<String, String> = object
            .metadata()
            .annotations
            .iter()
            .filter(|(key, _)| key.starts_with("event.toolkit.fluxcd.io/"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        all.extend(
            metadata
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| (format!("{group}/{key}"), (*value).to_owned())),
        );
        let message = message.into();
        let key = &self.job.object;
        match severity {
            Severity::Error => tracing::warn!(object = %key, reason, "{key}: {message}"),
            Severity::Info => tracing::info!(object = %key, reason, "{key}: {message}"),
            Severity::Trace => tracing::debug!(object = %key, reason, "{key}: {message}"),
        }
        self.events.push(Event {
            object: key.clone(),
            api_version: object.kind().api_version(),
            uid: object.metadata().uid.clone(),
            resource_version: object.metadata().resource_version.clone(),
            severity,
            timestamp: self.inner.now(),
            reason: reason.to_owned(),
            message,
            metadata: all,
            reporting_controller: controller(object).to_owned(),
            cause: self.cause.clone(),
        });
    }

    /// Notes how long something took, from a clock that does not jump.
    pub(super) fn stopwatch(&self) -> Stopwatch {
        Stopwatch { started: self.inner.now(), clock: Instant::now() }
    }

    /// The job's result for the queue.
    pub(super) fn finish(self, done: Done) -> JobResult {
        let now = self.inner.now();
        let again = |after: Duration| NewJob {
            object: self.job.object.clone(),
            cause: Cause::of(crate::model::CauseKind::Interval),
            due_at: now.saturating_add(after).unwrap_or(Timestamp::MAX),
            payload: Value::Null,
            priority: Priority::Timer,
        };
        let (outcome, next) = match done {
            Done::Interval(interval) => (JobOutcome::Done, Some(again(jittered(interval, &self.job.object)))),
            Done::Nothing | Done::Gone => (JobOutcome::Done, None),
            Done::Wait { after, why: _ } => (JobOutcome::Done, Some(again(after))),
            Done::Retry { error, interval, after } => {
                let pause =
                    after.unwrap_or_else(|| backoff(self.job.attempts).min(interval.max(FIRST_RETRY)));
                (JobOutcome::Retry { after: pause, error }, None)
            }
            Done::Stalled { error, interval } => (
                JobOutcome::Failed { error },
                interval.map(|interval| again(jittered(interval, &self.job.object))),
            ),
            Done::Superseded => (JobOutcome::Superseded, None),
        };
        JobResult {
            outcome,
            next,
            spawn: self.spawn,
            statuses: Vec::new(),
            steps: self.steps,
            messages: Vec::new(),
            applied: self.applied,
        }
    }
}

/// When something began, by both clocks.
pub(super) struct Stopwatch {
    pub(super) started: Timestamp,
    clock: Instant,
}

impl Stopwatch {
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

/// The pause after the n-th failure in a row.
fn backoff(attempts: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1u32.checked_shl(attempts.min(20)).unwrap_or(u32::MAX)).min(LONGEST_RETRY)
}

/// The interval, up to 5 % longer or shorter, the same for an object every time.
fn jittered(interval: Duration, object: &ObjectKey) -> Duration {
    use std::hash::{Hash as _, Hasher as _};
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    object.hash(&mut hasher);
    let unit = (hasher.finish() % 10_000) as f64 / 10_000.0;
    interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * unit)
}

/// Whose part is played: Flux users filter on the controller's name.
pub(super) fn controller(object: &FluxObject) -> &'static str {
    match object.kind().group() {
        "source.toolkit.fluxcd.io" => "source-controller",
        "helm.toolkit.fluxcd.io" => "helm-controller",
        "kustomize.toolkit.fluxcd.io" => "kustomize-controller",
        "image.toolkit.fluxcd.io" => match object.kind() {
            Kind::ImageUpdateAutomation => "image-automation-controller",
            _ => "image-reflector-controller",
        },
        _ => "notification-controller",
    }
}

/// The revision of a job's step, for `sluice explain <commit>`.
pub(super) fn at(revision: &str) -> Option<Revision> {
    Some(Revision::new(revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_spread_by_at_most_a_twentieth() {
        let minute = Duration::from_secs(60);
        for number in 0..200 {
            let key = ObjectKey::new(Kind::HelmRelease, "apps", format!("app-{number}"));
            let spread = jittered(minute, &key);
            assert!(spread >= Duration::from_secs(57) && spread <= Duration::from_secs(63), "{spread:?}");
            assert_eq!(spread, jittered(minute, &key));
        }
    }

    #[test]
    fn retries_back_off_to_a_quarter_of_an_hour() {
        assert_eq!(backoff(0), Duration::from_millis(750));
        assert_eq!(backoff(3), Duration::from_secs(6));
        assert_eq!(backoff(40), Duration::from_secs(900));
    }
}
