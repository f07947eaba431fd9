//! The loop of one run: determine the state, pick the action, perform it, until the release is as wanted or no action
//! is left. Each action runs at most once in a run; after a remediation the run ends and the next one goes on.

mod after;

use std::time::{Duration, Instant};

use flux_api::{
    DriftDetectionMode, HelmRelease, HelmReleaseStatus, Inventory, InventoryEntry, ReleaseAction, Time,
};
use helm_engine::Limits;
use helm_engine::release::{Release, SharedCharts};
use tokio_util::sync::CancellationToken;

use super::actions::{ActionFailure, Performer, Timings};
use super::next::{self, Action, Remediation};
use super::state::{self, ReleaseState, Wanted};
use super::storage::{Storage, StorageError};
use super::{names, snapshot};
use crate::cluster::{Cluster, Drift, ObjectDiff, ObjectId};
use crate::model::{Clock, Severity, Timestamp};
use crate::render::chart::BuiltChart;
use crate::render::pool::RenderPool;
use crate::render::values::ComposedValues;

/// What one run, or one comparison, is about.
pub struct ReleaseRequest<'a> {
    /// The member cluster.
    pub cluster: &'a Cluster,
    /// Where CPU work goes.
    pub pool: &'a RenderPool,
    /// Charts of records that are at hand.
    pub charts: &'a SharedCharts,
    /// The time.
    pub clock: &'a Clock,
    /// Stops waiting when a newer revision is there.
    pub cancel: &'a CancellationToken,
    /// The object with its status as it stands.
    pub object: &'a HelmRelease,
    /// The chart it wants.
    pub chart: &'a BuiltChart,
    /// The composed values.
    pub values: &'a ComposedValues,
    /// Digest of the OCI artifact the chart came from; empty for others.
    pub oci_digest: &'a str,
    /// An unhandled `forceAt`: act even when all is as wanted or attempts are used up.
    pub forced: bool,
    /// When a hostile chart is stopped.
    pub limits: &'a Limits,
}

impl ReleaseRequest<'_> {
    fn release_name(&self) -> String {
        names::shorten(&self.object.composed_release_name())
    }

    fn storage(&self, release_name: &str) -> Storage {
        let namespace = self.object.storage_namespace();
        let (cluster, clock, pool) = (self.cluster.clone(), self.clock.clone(), self.pool.clone());
        Storage::new(cluster, namespace, release_name, clock, pool, self.charts.clone())
    }

    fn performer<'a>(&'a self, storage: &'a Storage, release_name: &'a str) -> Performer<'a> {
        Performer {
            cluster: self.cluster,
            storage,
            pool: self.pool,
            clock: self.clock,
            cancel: self.cancel,
            object: self.object,
            release_name,
            limits: self.limits,
            hidden: &self.values.hidden,
            timings: Timings::default(),
        }
    }
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseEvent {
    /// How bad.
    pub severity: Severity,
    /// Flux's reason.
    pub reason: &'static str,
    /// Flux's text.
    pub message: String,
    /// Chart version, values digest and app version, for the event's metadata.
    pub chart_version: String,
    /// See `chart_version`.
    pub app_version: String,
    /// See `chart_version`.
    pub config_digest: String,
}

/// One part of the work and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseStep {
    /// `render`, `apply`, `wait`, `record` …
    pub step: &'static str,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The error if it failed, else empty.
    pub error: String,
}

/// How the run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As wanted.
    Ready,
    /// A failure that the next run may mend; the text is in the conditions.
    Retry,
    /// Failed under `RetryOnFailure`: try again after this long.
    RetryAfter(Duration),
    /// Nothing more is tried until something changes.
    Stalled,
    /// Stopped because a newer revision is there.
    Superseded,
}

/// What a run leaves behind.
#[derive(Debug)]
pub struct ReleaseOutcome {
    /// The object's new status: history, counters, conditions but `Ready`, inventory.
    pub status: HelmReleaseStatus,
    /// What to tell.
    pub events: Vec<ReleaseEvent>,
    /// What was done.
    pub steps: Vec<ReleaseStep>,
    /// How it ended.
    pub verdict: Verdict,
    /// Whether any action ran.
    pub acted: bool,
}

struct Run<'a> {
    request: &'a ReleaseRequest<'a>,
    status: HelmReleaseStatus,
    events: Vec<ReleaseEvent>,
    config_digest: String,
    acted: bool,
}

/// The kinds of action that run once per run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unlock,
    Release,
    Test,
    Correct,
    Remediate,
}

fn kind_of(action: &Action) -> Option<Kind> {
    match action {
        Action::Unlock => Some(Kind::Unlock),
        Action::Install | Action::Upgrade { .. } => Some(Kind::Release),
        Action::Test => Some(Kind::Test),
        Action::Correct => Some(Kind::Correct),
        Action::Rollback { .. } | Action::UninstallRemediation => Some(Kind::Remediate),
        Action::Nothing | Action::Stall { .. } => None,
    }
}

/// Brings one release to what its object wants, as far as one run goes.
///
/// # Errors
/// When the history cannot be read; nothing has been changed then.
pub async fn run(request: &ReleaseRequest<'_>) -> Result<ReleaseOutcome, StorageError> {
    let release_name = request.release_name();
    let storage = request.storage(&release_name);
    let read_started = request.clock.now();
    let read_clock = Instant::now();
    let mut history = storage.history().await?;
    let mut steps = vec![ReleaseStep {
        step: "history",
        started: read_started,
        duration: read_clock.elapsed(),
        error: String::new(),
    }];
    let mut run = Run {
        request,
        status: request.object.status.clone(),
        events: Vec::new(),
        config_digest: snapshot::config_digest(&request.values.values),
        acted: false,
    };
    run.note_attempt();
    let mut done: Vec<Kind> = Vec::new();
    let mut forced = request.forced;
    let performer = || request.performer(&storage, &release_name);
    let verdict = loop {
        let mut state = state::determine(history.last(), &run.status.history, &run.wanted());
        if state == ReleaseState::InSync
            && run.looks_for_drift()
            && let Some(last) = history.last()
        {
            let mut performer = performer();
            let found = performer.drift(last).await;
            steps.extend(performer.timings.steps.drain(..).map(step));
            match found {
                Ok(drifts) if drifts.iter().any(Drift::is_change) => state = ReleaseState::Drifted(drifts),
                Ok(_) => {}
                // What was done already has to be told; the next run looks again.
                Err(error) if run.acted => tracing::warn!("unable to determine cluster state: {error}"),
                Err(error) => return Err(StorageError::Undetermined(error)),
            }
        }
        if let ReleaseState::Drifted(drifts) = &state {
            run.drifted(drifts);
        }
        let action = next::action(&state, &request.object.spec, &run.status, forced);
        if let Some(kind) = kind_of(&action) {
            if done.contains(&kind) {
                break run.retry_verdict();
            }
            done.push(kind);
        }
        match &action {
            Action::Nothing => {
                run.in_sync();
                if state == ReleaseState::InSync {
                    run.not_drifted();
                }
                break Verdict::Ready;
            }
            Action::Stall { reason, message } => {
                run.stall(reason, message);
                break Verdict::Stalled;
            }
            Action::Correct => {
                if let (ReleaseState::Drifted(drifts), Some(last)) = (&state, history.last()) {
                    let mut performer = performer();
                    let outcome = performer.correct(last, drifts).await;
                    steps.extend(performer.timings.steps.drain(..).map(step));
                    run.corrected(&performer.timings.corrected, outcome);
                }
                run.acted = true;
                continue;
            }
            _ => {}
        }
        run.acted = true;
        forced = false;
        let mut performer = performer();
        let started = Instant::now();
        let outcome = perform(&action, &mut performer, request, &history).await;
        let timings = std::mem::take(&mut performer.timings);
        steps.extend(timings.steps.into_iter().map(step));
        if let Some(ids) = &timings.inventory {
            run.status.inventory = Some(inventory(ids));
        }
        let cancelled = |failure: &ActionFailure| {
            failure.cancelled || (failure.release.is_none() && request.cancel.is_cancelled())
        };
        if outcome.as_ref().is_err_and(cancelled) {
            run.observe(outcome.err().and_then(|failure| failure.release), None);
            break Verdict::Superseded;
        }
        let remediated = matches!(action, Action::Rollback { .. } | Action::UninstallRemediation);
        // Nothing stored, or a record that could not be brought up to date: what storage says now is read again by
        // the next run.
        let unstored = outcome.as_ref().is_err_and(|failure| failure.release.is_none() || failure.unrecorded);
        run.settle(&action, outcome, started.elapsed(), &mut history);
        if remediated || unstored {
            break run.retry_verdict();
        }
    };
    Ok(ReleaseOutcome { status: run.status, events: run.events, steps, verdict, acted: run.acted })
}

fn step((step, started, duration, error): (&'static str, Timestamp, Duration, String)) -> ReleaseStep {
    ReleaseStep { step, started, duration, error }
}

async fn perform(
    action: &Action,
    performer: &mut Performer<'_>,
    request: &ReleaseRequest<'_>,
    history: &[Release],
) -> Result<Release, ActionFailure> {
    match action {
        Action::Install => performer.install(request.chart, &request.values.values, history).await,
        Action::Upgrade { .. } => performer.upgrade(request.chart, &request.values.values, history).await,
        Action::Unlock => performer.unlock(history).await,
        Action::Test => performer.test(history).await,
        Action::Rollback { to } => performer.rollback(*to, history).await,
        Action::UninstallRemediation => performer.uninstall(history).await,
        Action::Nothing | Action::Stall { .. } | Action::Correct => {
            unreachable!("the loop does these itself")
        }
    }
}

/// What an install or upgrade would change, object by object; nothing is applied.
///
/// # Errors
/// With the text people read.
pub async fn diff(request: &ReleaseRequest<'_>) -> Result<Vec<ObjectDiff>, String> {
    let release_name = request.release_name();
    let storage = request.storage(&release_name);
    let history = storage.history().await.map_err(|error| error.to_string())?;
    let mut performer = request.performer(&storage, &release_name);
    performer.diff(request.chart, &request.values.values, &history).await
}

fn inventory(ids: &[ObjectId]) -> Inventory {
    Inventory {
        entries: ids
            .iter()
            .map(|id| InventoryEntry { id: id.inventory_id(), v: id.version.clone() })
            .collect(),
    }
}

impl Run<'_> {
    fn spec(&self) -> &flux_api::HelmReleaseSpec {
        &self.request.object.spec
    }

    fn generation(&self) -> i64 {
        self.request.object.metadata.generation
    }

    fn now(&self) -> Time {
        Time::new(self.request.clock.now())
    }

    /// Failure counters start over when chart, values or the object itself changed.
    fn note_attempt(&mut self) {
        let changed = self.status.last_attempted_generation != self.generation()
            || self.status.last_attempted_revision.as_deref() != Some(&self.request.chart.version)
            || self.status.last_attempted_config_digest.as_deref() != Some(&self.config_digest);
        if changed {
            self.status.failures = 0;
            self.status.install_failures = 0;
            self.status.upgrade_failures = 0;
        }
        self.status.last_attempted_generation = self.generation();
        self.status.last_attempted_revision = Some(self.request.chart.version.clone());
        self.status.last_attempted_config_digest = Some(self.config_digest.clone());
        self.status.storage_namespace = Some(self.request.object.storage_namespace().to_owned());
    }

    fn post_render_changed(&self) -> Option<&'static str> {
        let object = self.request.object;
        if object.status.observed_generation == self.generation() {
            return None;
        }
        let digest = post_renderers_digest(object);
        if digest != self.status.observed_post_renderers_digest && !self.status.history.is_empty() {
            return Some("postrenderers digest has changed");
        }
        let digest = common_metadata_digest(object);
        if digest != self.status.observed_common_metadata_digest && !self.status.history.is_empty() {
            return Some("common metadata digest has changed");
        }
        None
    }

    fn wanted(&self) -> Wanted<'_> {
        let test = self.spec().test();
        let ignore = self
            .status
            .last_attempted_release_action
            .map(|last| Remediation::of(last, self.spec(), &self.status).ignore_test_failures)
            .unwrap_or(test.ignore_failures);
        Wanted {
            chart_name: &self.request.chart.name,
            chart_version: &self.request.chart.version,
            config_digest: &self.config_digest,
            post_render_changed: if self.acted { None } else { self.post_render_changed() },
            tests: test.enable,
            ignore_test_failures: ignore,
        }
    }

    /// What to do after a failure or a remediation.
    fn retry_verdict(&self) -> Verdict {
        let after = match self.status.last_attempted_release_action {
            Some(ReleaseAction::Install) => self.spec().install().retry_interval(),
            Some(ReleaseAction::Upgrade) => self.spec().upgrade().retry_interval(),
            None => None,
        };
        after.map_or(Verdict::Retry, Verdict::RetryAfter)
    }

    fn looks_for_drift(&self) -> bool {
        self.spec().drift_detection_mode() != DriftDetectionMode::Disabled
    }
}

fn post_renderers_digest(object: &HelmRelease) -> Option<String> {
    (!object.spec.post_renderers.is_empty()).then(|| snapshot::spec_digest(&object.spec.post_renderers))
}

fn common_metadata_digest(object: &HelmRelease) -> Option<String> {
    object.spec.common_metadata.as_ref().map(snapshot::spec_digest)
}
