//! What an action leaves in the status: history, counters, conditions, and the events told of it.
//!
//! Reasons and texts are helm-controller's. Nothing is performed here.

use std::time::Duration;

use flux_api::{
    Condition, ConditionStatus, ReleaseAction, Snapshot, Time, condition_type, conditions, reason,
};
use helm_engine::release::{Release, Status};

use super::{ActionFailure, ReleaseEvent, Run, common_metadata_digest, post_renderers_digest};
use crate::cluster::Drift;
use crate::model::Severity;
use crate::release::next::Action;
use crate::release::{names, snapshot};

impl Run<'_> {
    /// Puts a stored release at the head of the history.
    pub(super) fn observe(&mut self, release: Option<Box<Release>>, action: Option<ReleaseAction>) {
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

    pub(super) fn settle(
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

    pub(super) fn drifted(&mut self, drifts: &[Drift]) {
        let lines: Vec<String> = drifts.iter().map(Drift::summary).collect();
        let message = format!(
            "Cluster state of release {} has drifted from the desired state:\n{}",
            snapshot::full_name(&self.head()),
            lines.join("\n")
        );
        self.condition(condition_type::DRIFTED, true, reason::DRIFT_DETECTED, &message);
        self.event(Severity::Error, reason::DRIFT_DETECTED, message);
    }

    pub(super) fn not_drifted(&mut self) {
        if self.looks_for_drift() {
            let message = "No drift detected against the cluster state";
            self.condition(condition_type::DRIFTED, false, reason::NO_DRIFT_DETECTED, message);
        } else {
            conditions::remove(&mut self.status.conditions, condition_type::DRIFTED);
        }
    }

    pub(super) fn corrected(&mut self, done: &[String], outcome: Result<(), String>) {
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

    pub(super) fn in_sync(&mut self) {
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

    pub(super) fn stall(&mut self, reason: &str, message: &str) {
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
