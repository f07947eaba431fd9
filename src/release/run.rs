//! The loop of one run: determine the state, pick the action, perform it, until the release is as wanted or no action
//! is left. Each action runs at most once in a run; after a remediation the run ends and the next one goes on.

use std::time::{Duration, Instant};

use flux_api::{
    Condition, ConditionStatus, DriftDetectionMode, HelmRelease, HelmReleaseStatus, Inventory,
    InventoryEntry, ReleaseAction, Snapshot, Time, condition_type, conditions, reason,
};
use helm_engine::Limits;
use helm_engine::release::{Release, Status};
use tokio_util::sync::CancellationToken;

use super::actions::{ActionFailure, Performer, Timings};
use super::next::{self, Action, Remediation};
use super::state::{self, ReleaseState, Wanted};
use super::storage::{Storage, StorageError};
use super::{names, snapshot};
use crate::cluster::{Cluster, Drift, ObjectDiff, ObjectId};
use crate::model::{Clock, Severity, Timestamp};
use crate::render::chart::BuiltChart;
use crate::render::hidden::HiddenTexts;
use crate::render::pool::RenderPool;
use crate::render::values::ComposedValues;

/// What one run is about.
pub struct ReleaseRequest<'a> {
    /// The member cluster.
    pub cluster: &'a Cluster,
    /// Where CPU work goes.
    pub pool: &'a RenderPool,
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
    let release_name = names::shorten(&request.object.composed_release_name());
    let storage = Storage::new(
        request.cluster.clone(),
        request.object.storage_namespace(),
        &release_name,
        request.clock.clone(),
        request.pool.clone(),
    );
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
    let performer = || Performer {
        cluster: request.cluster,
        storage: &storage,
        pool: request.pool,
        clock: request.clock,
        cancel: request.cancel,
        object: request.object,
        release_name: &release_name,
        limits: request.limits,
        hidden: &request.values.hidden,
        timings: Timings::default(),
    };
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

/// What an upgrade to a chart would be compared with.
pub struct DiffRequest<'a> {
    /// The member cluster.
    pub cluster: &'a Cluster,
    /// Where CPU work goes.
    pub pool: &'a RenderPool,
    /// The time.
    pub clock: &'a Clock,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
    /// The object.
    pub object: &'a HelmRelease,
    /// The chart.
    pub chart: &'a BuiltChart,
    /// The composed values.
    pub values: &'a ComposedValues,
    /// When a hostile chart is stopped.
    pub limits: &'a Limits,
}

/// What an install or upgrade would change, object by object; nothing is applied.
///
/// # Errors
/// With the text people read.
pub async fn diff(request: &DiffRequest<'_>) -> Result<Vec<ObjectDiff>, String> {
    let release_name = names::shorten(&request.object.composed_release_name());
    let namespace = request.object.storage_namespace();
    let storage = Storage::new(
        request.cluster.clone(),
        namespace,
        &release_name,
        request.clock.clone(),
        request.pool.clone(),
    );
    let history = storage.history().await.map_err(|error| error.to_string())?;
    let mut performer = Performer {
        cluster: request.cluster,
        storage: &storage,
        pool: request.pool,
        clock: request.clock,
        cancel: request.cancel,
        object: request.object,
        release_name: &release_name,
        limits: request.limits,
        hidden: &request.values.hidden,
        timings: Timings::default(),
    };
    performer.diff(request.chart, &request.values.values, &history).await
}

/// Uninstalls a release whose object is being deleted or now names another release.
///
/// # Errors
/// With the text for the condition.
pub async fn uninstall(
    cluster: &Cluster,
    pool: &RenderPool,
    clock: &Clock,
    cancel: &CancellationToken,
    object: &HelmRelease,
) -> Result<Option<ReleaseEvent>, String> {
    // What the status remembers wins: the spec may already name something else.
    let observed = object.status.history.first();
    let name = observed
        .map(|snapshot| snapshot.name.clone())
        .unwrap_or_else(|| names::shorten(&object.composed_release_name()));
    let namespace =
        object.status.storage_namespace.clone().unwrap_or_else(|| object.storage_namespace().to_owned());
    let storage = Storage::new(cluster.clone(), namespace, &name, clock.clone(), pool.clone());
    let history = storage.history().await.map_err(|error| error.to_string())?;
    let Some(last) = history.last() else { return Ok(None) };
    let described = format!(
        "{} with chart {}@{}",
        names::full_name(&last.namespace, &last.name, last.version),
        last.chart.metadata.name,
        last.chart.metadata.version
    );
    let mut performer = Performer {
        cluster,
        storage: &storage,
        pool,
        clock,
        cancel,
        object,
        release_name: &name,
        limits: &Limits::default(),
        hidden: &HiddenTexts::default(),
        timings: Timings::default(),
    };
    let event = |severity, reason, message| ReleaseEvent {
        severity,
        reason,
        message,
        chart_version: last.chart.metadata.version.clone(),
        app_version: last.chart.metadata.app_version.clone(),
        config_digest: String::new(),
    };
    match performer.uninstall(&history).await {
        Ok(_) => Ok(Some(event(
            Severity::Info,
            reason::UNINSTALL_SUCCEEDED,
            format!("Helm uninstall succeeded for release {described}"),
        ))),
        Err(failure) => Err(format!("Helm uninstall failed for release {described}: {}", failure.message)),
    }
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

    /// Puts a stored release at the head of the history.
    fn observe(&mut self, release: Option<Box<Release>>, action: Option<ReleaseAction>) {
        let Some(release) = release else { return };
        let known = self.status.history.iter().position(|snapshot| snapshot.version == release.version);
        let digest = known
            .map(|place| self.status.history[place].config_digest.clone())
            .filter(|_| action.is_none())
            .unwrap_or_else(|| self.config_digest.clone());
        let mut taken = snapshot::of(&release, &digest, self.request.oci_digest, action);
        if let Some(place) = known {
            let old = self.status.history.remove(place);
            taken.action = taken.action.or(old.action);
            taken.test_hooks = old.test_hooks;
        }
        self.status.history.insert(0, taken);
        self.status.history.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.version));
    }

    fn settle(
        &mut self,
        action: &Action,
        outcome: Result<Release, ActionFailure>,
        took: Duration,
        history: &mut Vec<Release>,
    ) {
        let stored = match &outcome {
            Ok(release) => Some(release.clone()),
            Err(failure) => failure.release.as_deref().cloned(),
        };
        update_history(history, action, stored.as_ref(), outcome.is_ok());
        match action {
            Action::Install => self.after_release(ReleaseAction::Install, outcome, took),
            Action::Upgrade { forget_history } => {
                if *forget_history {
                    self.status.history.clear();
                }
                self.after_release(ReleaseAction::Upgrade, outcome, took);
            }
            Action::Unlock => self.after_unlock(outcome),
            Action::Test => self.after_test(outcome),
            Action::Rollback { to } => self.after_rollback(*to, outcome),
            Action::UninstallRemediation => self.after_uninstall(outcome),
            Action::Nothing | Action::Stall { .. } | Action::Correct => {}
        }
    }

    fn looks_for_drift(&self) -> bool {
        self.spec().drift_detection_mode() != DriftDetectionMode::Disabled
    }

    fn drifted(&mut self, drifts: &[Drift]) {
        let lines: Vec<String> = drifts.iter().map(Drift::summary).collect();
        let message = format!(
            "Cluster state of release {} has drifted from the desired state:\n{}",
            snapshot::full_name(&self.head()),
            lines.join("\n")
        );
        self.condition(condition_type::DRIFTED, true, reason::DRIFT_DETECTED, &message);
        self.event(Severity::Error, reason::DRIFT_DETECTED, message);
    }

    fn not_drifted(&mut self) {
        if self.looks_for_drift() {
            let message = "No drift detected against the cluster state";
            self.condition(condition_type::DRIFTED, false, reason::NO_DRIFT_DETECTED, message);
        } else {
            conditions::remove(&mut self.status.conditions, condition_type::DRIFTED);
        }
    }

    fn corrected(&mut self, done: &[String], outcome: Result<(), String>) {
        let name = snapshot::full_name(&self.head());
        match outcome {
            Ok(()) if done.is_empty() => {}
            Ok(()) => {
                let message =
                    format!("Cluster state of release {name} has been corrected:\n{}", done.join("\n"));
                self.event(Severity::Info, reason::DRIFT_CORRECTED, message);
            }
            Err(errors) => {
                let partially = if done.is_empty() { "" } else { "partially " };
                let mut message =
                    format!("Failed to {partially}correct cluster state of release {name}:\n{errors}");
                if !done.is_empty() {
                    message.push_str(&format!("\n\nSuccessful corrections:\n{}", done.join("\n")));
                }
                self.event(Severity::Error, reason::DRIFT_CORRECTION_FAILED, message);
            }
        }
    }

    fn after_release(
        &mut self,
        verb: ReleaseAction,
        outcome: Result<Release, ActionFailure>,
        took: Duration,
    ) {
        self.status.last_attempted_release_action = Some(verb);
        self.status.last_attempted_release_action_duration = Some(took.into());
        let word = match verb {
            ReleaseAction::Install => "install",
            ReleaseAction::Upgrade => "upgrade",
        };
        match outcome {
            Ok(release) => {
                if verb == ReleaseAction::Install {
                    self.status.history.clear();
                }
                self.supersede(release.version);
                self.observe(Some(Box::new(release)), Some(verb));
                let head = self.head();
                let message = format!(
                    "Helm {word} succeeded for release {} with chart {}",
                    snapshot::full_name(&head),
                    snapshot::chart_of(&head)
                );
                let reason = match verb {
                    ReleaseAction::Install => reason::INSTALL_SUCCEEDED,
                    ReleaseAction::Upgrade => reason::UPGRADE_SUCCEEDED,
                };
                conditions::remove(&mut self.status.conditions, condition_type::REMEDIATED);
                self.condition(condition_type::RELEASED, true, reason, &message);
                if self.spec().test().enable {
                    let text = format!(
                        "Helm release {} with chart {} is awaiting tests",
                        snapshot::full_name(&head),
                        snapshot::chart_of(&head)
                    );
                    self.set(condition_type::TEST_SUCCESS, ConditionStatus::Unknown, "AwaitingTests", &text);
                }
                self.event(Severity::Info, reason, message);
            }
            Err(failure) => {
                self.status.failures += 1;
                // Only an attempt that reached storage uses up a retry: a cluster that could not be asked, or a chart
                // that did not render, says nothing about the release.
                if failure.release.is_some() {
                    match verb {
                        ReleaseAction::Install => self.status.install_failures += 1,
                        ReleaseAction::Upgrade => self.status.upgrade_failures += 1,
                    }
                }
                self.observe(failure.release, Some(verb));
                let object = self.request.object;
                let message = format!(
                    "Helm {word} failed for release {}/{} with chart {}@{}: {}",
                    object.release_namespace(),
                    names::shorten(&object.composed_release_name()),
                    self.request.chart.name,
                    self.request.chart.version,
                    failure.message
                );
                let reason = match verb {
                    ReleaseAction::Install => reason::INSTALL_FAILED,
                    ReleaseAction::Upgrade => reason::UPGRADE_FAILED,
                };
                self.condition(condition_type::RELEASED, false, reason, &message);
                self.event(Severity::Error, reason, message);
            }
        }
    }

    fn after_unlock(&mut self, outcome: Result<Release, ActionFailure>) {
        match outcome {
            Ok(release) => {
                let stale = release.info.description.split('\'').nth(1).unwrap_or("pending").to_owned();
                let message = format!(
                    "Unlocked Helm release {} with chart {}@{} in {stale} state",
                    names::full_name(&release.namespace, &release.name, release.version),
                    release.chart.metadata.name,
                    release.chart.metadata.version
                );
                self.observe(Some(Box::new(release)), None);
                self.condition(condition_type::RELEASED, false, reason::PENDING_RELEASE, &message);
                self.event(Severity::Info, reason::PENDING_RELEASE, message);
            }
            Err(failure) => {
                let message = format!("Unlock of Helm release failed: {}", failure.message);
                self.condition(condition_type::RELEASED, false, reason::PENDING_RELEASE, &message);
                self.event(Severity::Error, reason::PENDING_RELEASE, message);
            }
        }
    }

    fn after_test(&mut self, outcome: Result<Release, ActionFailure>) {
        let (failed, release) = match outcome {
            Ok(release) => (None, Some(release)),
            Err(failure) => (Some(failure.message), failure.release.map(|release| *release)),
        };
        if let (Some(release), Some(head)) = (&release, self.status.history.first_mut()) {
            head.test_hooks = Some(snapshot::test_results(release));
            head.digest = snapshot::digest(release, head.oci_digest.as_deref().unwrap_or_default());
        }
        let head = self.head();
        let described = format!("{} with chart {}", snapshot::full_name(&head), snapshot::chart_of(&head));
        match failed {
            None => {
                let count = head.test_hooks.as_ref().map_or(0, std::collections::BTreeMap::len);
                let what = if count == 0 {
                    "no test hooks".to_owned()
                } else {
                    let plural = if count == 1 { "" } else { "s" };
                    format!("{count} test hook{plural} completed successfully")
                };
                let message = format!("Helm test succeeded for release {described}: {what}");
                self.condition(condition_type::TEST_SUCCESS, true, reason::TEST_SUCCEEDED, &message);
                self.event(Severity::Info, reason::TEST_SUCCEEDED, message);
            }
            Some(error) => {
                let message = format!("Helm test failed for release {described}: {error}");
                self.condition(condition_type::TEST_SUCCESS, false, reason::TEST_FAILED, &message);
                let ignored = self.wanted().ignore_test_failures;
                if !ignored {
                    self.status.failures += 1;
                    match self.status.last_attempted_release_action {
                        Some(ReleaseAction::Install) => self.status.install_failures += 1,
                        Some(ReleaseAction::Upgrade) => self.status.upgrade_failures += 1,
                        None => {}
                    }
                }
                self.event(Severity::Error, reason::TEST_FAILED, message);
            }
        }
    }

    fn after_rollback(&mut self, to: i64, outcome: Result<Release, ActionFailure>) {
        let target =
            self.status.history.iter().find(|snapshot| snapshot.version == to).cloned().unwrap_or_default();
        let described = format!(
            "previous release {} with chart {}",
            snapshot::full_name(&target),
            snapshot::chart_of(&target)
        );
        match outcome {
            Ok(release) => {
                self.supersede(release.version);
                self.observe(Some(Box::new(release)), None);
                if let Some(head) = self.status.history.first_mut() {
                    head.config_digest = target.config_digest.clone();
                }
                let message = format!("Helm rollback to {described} succeeded");
                self.condition(condition_type::REMEDIATED, true, reason::ROLLBACK_SUCCEEDED, &message);
                self.event(Severity::Info, reason::ROLLBACK_SUCCEEDED, message);
            }
            Err(failure) => {
                self.status.failures += 1;
                self.observe(failure.release, None);
                let message = format!("Helm rollback to {described} failed: {}", failure.message);
                self.condition(condition_type::REMEDIATED, false, reason::ROLLBACK_FAILED, &message);
                self.event(Severity::Error, reason::ROLLBACK_FAILED, message);
            }
        }
    }

    fn after_uninstall(&mut self, outcome: Result<Release, ActionFailure>) {
        let head = self.head();
        let described =
            format!("release {} with chart {}", snapshot::full_name(&head), snapshot::chart_of(&head));
        match outcome {
            Ok(release) => {
                if let Some(head) = self.status.history.first_mut() {
                    head.status = Status::Uninstalled.as_str().to_owned();
                    head.deleted =
                        release.info.deleted.as_deref().and_then(|text| text.parse().ok()).map(Time::new);
                }
                self.status.inventory = None;
                let message = format!("Helm uninstall remediation for {described} succeeded");
                self.condition(condition_type::REMEDIATED, true, reason::UNINSTALL_SUCCEEDED, &message);
                self.event(Severity::Info, reason::UNINSTALL_SUCCEEDED, message);
            }
            Err(failure) => {
                self.status.failures += 1;
                let message =
                    format!("Helm uninstall remediation for {described} failed: {}", failure.message);
                self.condition(condition_type::REMEDIATED, false, reason::UNINSTALL_FAILED, &message);
                self.event(Severity::Error, reason::UNINSTALL_FAILED, message);
            }
        }
    }

    fn in_sync(&mut self) {
        self.status.observed_post_renderers_digest = post_renderers_digest(self.request.object);
        self.status.observed_common_metadata_digest = common_metadata_digest(self.request.object);
        self.status.failures = 0;
        self.status.install_failures = 0;
        self.status.upgrade_failures = 0;
        let ignore = self.wanted().ignore_test_failures;
        snapshot::truncate(&mut self.status.history, ignore);
        if !self.spec().test().enable {
            conditions::remove(&mut self.status.conditions, condition_type::TEST_SUCCESS);
        }
        conditions::remove(&mut self.status.conditions, condition_type::STALLED);
        let head = self.head();
        // The condition of an older object, or of a run that was cut off before it could write it.
        let released = conditions::get(&self.status.conditions, condition_type::RELEASED);
        if !released.is_some_and(Condition::is_true) && !head.name.is_empty() {
            let (word, reason) = match head.action {
                Some(ReleaseAction::Install) => ("install", reason::INSTALL_SUCCEEDED),
                Some(ReleaseAction::Upgrade) | None => ("upgrade", reason::UPGRADE_SUCCEEDED),
            };
            let message = format!(
                "Helm {word} succeeded for release {} with chart {}",
                snapshot::full_name(&head),
                snapshot::chart_of(&head)
            );
            self.condition(condition_type::RELEASED, true, reason, &message);
        }
    }

    fn stall(&mut self, reason: &str, message: &str) {
        let (generation, now) = (self.generation(), self.now());
        conditions::mark_stalled(&mut self.status.conditions, reason, message, generation, now);
    }

    /// Every older release of the history that was deployed is superseded by the new one.
    fn supersede(&mut self, version: i64) {
        for older in self.status.history.iter_mut().filter(|older| older.version != version) {
            if older.status == Status::Deployed.as_str() {
                older.status = Status::Superseded.as_str().to_owned();
            }
        }
    }

    fn head(&self) -> Snapshot {
        self.status.history.first().cloned().unwrap_or_default()
    }

    fn condition(&mut self, kind: &str, holds: bool, reason: &str, message: &str) {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        self.set(kind, status, reason, message);
    }

    fn set(&mut self, kind: &str, status: ConditionStatus, reason: &str, message: &str) {
        let (generation, now) = (self.generation(), self.now());
        let condition = Condition::new(kind, status, reason, message);
        conditions::set(&mut self.status.conditions, condition, generation, now);
    }

    fn event(&mut self, severity: Severity, reason: &'static str, message: String) {
        let chart = self.request.chart;
        self.events.push(ReleaseEvent {
            severity,
            reason,
            message,
            chart_version: chart.version.clone(),
            app_version: chart.compiled.metadata().app_version.clone(),
            config_digest: self.config_digest.clone(),
        });
    }
}

fn post_renderers_digest(object: &HelmRelease) -> Option<String> {
    (!object.spec.post_renderers.is_empty()).then(|| snapshot::spec_digest(&object.spec.post_renderers))
}

fn common_metadata_digest(object: &HelmRelease) -> Option<String> {
    object.spec.common_metadata.as_ref().map(snapshot::spec_digest)
}

/// Keeps what is known of the storage up to date without reading it again.
fn update_history(history: &mut Vec<Release>, action: &Action, stored: Option<&Release>, succeeded: bool) {
    let Some(stored) = stored else { return };
    if matches!(action, Action::UninstallRemediation) && succeeded {
        history.clear();
        return;
    }
    let replaces = matches!(action, Action::Install | Action::Upgrade { .. } | Action::Rollback { .. });
    if replaces && succeeded {
        for older in history.iter_mut() {
            if older.info.status == Status::Deployed {
                older.info.status = Status::Superseded;
            }
        }
    }
    match history.iter_mut().find(|release| release.version == stored.version) {
        Some(known) => *known = stored.clone(),
        None => history.push(stored.clone()),
    }
}
