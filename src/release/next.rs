//! Which action a state calls for: a pure function, mirroring `actionForState` of fluxcd/helm-controller
//! (`internal/reconcile/atomic_release.go`).

use flux_api::{DriftDetectionMode, HelmReleaseSpec, HelmReleaseStatus, ReleaseAction, RemediationStrategy};

use super::snapshot;
use super::state::ReleaseState;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Install the chart.
    Install,
    /// Upgrade; `forget_history` when the release was not ours.
    Upgrade {
        /// The history so far belongs to somebody else and goes.
        forget_history: bool,
    },
    /// Mark a release whose action was cut off as failed.
    Unlock,
    /// Run the test hooks.
    Test,
    /// Put right what was changed on the cluster.
    Correct,
    /// Roll back to this revision.
    Rollback {
        /// The revision of the history that ended well.
        to: i64,
    },
    /// Remediate by uninstalling.
    UninstallRemediation,
    /// Nothing; all is as wanted.
    Nothing,
    /// Nothing any more: attempts are used up, or there is nothing to roll back to.
    Stall {
        /// `RetriesExceeded` or `MissingRollbackTarget`.
        reason: &'static str,
        /// The condition's text.
        message: String,
    },
}

/// The remediation of the last attempted action, with defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remediation {
    /// Failures counted so far.
    pub failures: i64,
    /// Further attempts; negative for ever.
    pub retries: i64,
    /// Remediate after the last failure too.
    pub last_failure: bool,
    /// How.
    pub strategy: RemediationStrategy,
    /// Failed tests are no failures.
    pub ignore_test_failures: bool,
}

impl Remediation {
    /// The remediation of `action`.
    pub fn of(action: ReleaseAction, spec: &HelmReleaseSpec, status: &HelmReleaseStatus) -> Self {
        let tests = spec.test().ignore_failures;
        match action {
            ReleaseAction::Install => {
                let remediation = spec.install().remediation();
                Self {
                    failures: status.install_failures,
                    retries: remediation.retries,
                    last_failure: remediation.remediate_last_failure.unwrap_or(false),
                    strategy: RemediationStrategy::Uninstall,
                    ignore_test_failures: remediation.ignore_test_failures.unwrap_or(tests),
                }
            }
            ReleaseAction::Upgrade => {
                let remediation = spec.upgrade().remediation();
                Self {
                    failures: status.upgrade_failures,
                    retries: remediation.retries,
                    last_failure: remediation.remediate_last_failure.unwrap_or(remediation.retries > 0),
                    strategy: remediation.strategy.unwrap_or(RemediationStrategy::Rollback),
                    ignore_test_failures: remediation.ignore_test_failures.unwrap_or(tests),
                }
            }
        }
    }

    /// Whether no attempt is left.
    pub fn exhausted(&self) -> bool {
        self.retries >= 0 && self.failures > self.retries
    }
}

fn exceeded(what: &str, failures: i64) -> Action {
    Action::Stall {
        reason: "RetriesExceeded",
        message: format!("Failed to {what} after {failures} attempt(s)"),
    }
}

/// Picks the action. `forced` is an unhandled `reconcile.fluxcd.io/forceAt`.
pub fn action(
    state: &ReleaseState,
    spec: &HelmReleaseSpec,
    status: &HelmReleaseStatus,
    forced: bool,
) -> Action {
    let install = Remediation::of(ReleaseAction::Install, spec, status);
    let upgrade = Remediation::of(ReleaseAction::Upgrade, spec, status);
    // Under RetryOnFailure attempts never run out: the next one comes after the retry interval.
    let install_retries = spec.install().retry_interval().is_some();
    let upgrade_retries = spec.upgrade().retry_interval().is_some();
    let upgrade_or_stall = |forget_history: bool| {
        if !forced && !upgrade_retries && upgrade.exhausted() {
            exceeded("upgrade", upgrade.failures)
        } else {
            Action::Upgrade { forget_history }
        }
    };
    match state {
        ReleaseState::InSync if forced => Action::Upgrade { forget_history: false },
        ReleaseState::InSync => Action::Nothing,
        ReleaseState::Locked(_) => Action::Unlock,
        ReleaseState::Absent(_) => {
            if !forced && !install_retries && install.exhausted() {
                exceeded("install", install.failures)
            } else {
                Action::Install
            }
        }
        ReleaseState::Unmanaged(_) => upgrade_or_stall(true),
        ReleaseState::OutOfSync(_) => upgrade_or_stall(false),
        ReleaseState::Untested => Action::Test,
        ReleaseState::Drifted(_) if spec.drift_detection_mode() == DriftDetectionMode::Enabled => {
            Action::Correct
        }
        ReleaseState::Drifted(_) => Action::Nothing,
        ReleaseState::Failed(_) if forced => Action::Upgrade { forget_history: false },
        ReleaseState::Failed(_) => failed(spec, status, install_retries, upgrade_retries),
        ReleaseState::Unknown(message) => Action::Stall { reason: "StateError", message: message.clone() },
    }
}

fn failed(
    spec: &HelmReleaseSpec,
    status: &HelmReleaseStatus,
    install_retries: bool,
    upgrade_retries: bool,
) -> Action {
    let Some(last) = status.last_attempted_release_action else {
        return Action::Upgrade { forget_history: false };
    };
    let retries = match last {
        ReleaseAction::Install => install_retries,
        ReleaseAction::Upgrade => upgrade_retries,
    };
    let remediation = Remediation::of(last, spec, status);
    if retries || remediation.failures <= 0 {
        return Action::Upgrade { forget_history: false };
    }
    if remediation.exhausted() && !remediation.last_failure {
        let what = match last {
            ReleaseAction::Install => "install",
            ReleaseAction::Upgrade => "upgrade",
        };
        return exceeded(what, remediation.failures);
    }
    match remediation.strategy {
        RemediationStrategy::Uninstall => Action::UninstallRemediation,
        RemediationStrategy::Rollback => {
            match snapshot::previous(&status.history, remediation.ignore_test_failures) {
                Some(good) => Action::Rollback { to: good.version },
                None => Action::Stall {
                    reason: "MissingRollbackTarget",
                    message: "missing target release for rollback: cannot remediate failed release"
                        .to_owned(),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flux_api::{
        ActionStrategy, ActionStrategyName, Install, InstallRemediation, Snapshot, Upgrade,
        UpgradeRemediation,
    };

    use super::*;

    fn failing(action: ReleaseAction, failures: i64, history: &[(i64, &str)]) -> HelmReleaseStatus {
        HelmReleaseStatus {
            last_attempted_release_action: Some(action),
            install_failures: if action == ReleaseAction::Install { failures } else { 0 },
            upgrade_failures: if action == ReleaseAction::Upgrade { failures } else { 0 },
            history: history
                .iter()
                .map(|(version, status)| Snapshot {
                    version: *version,
                    status: (*status).to_owned(),
                    ..Snapshot::default()
                })
                .collect(),
            ..HelmReleaseStatus::default()
        }
    }

    fn with_upgrade(remediation: UpgradeRemediation) -> HelmReleaseSpec {
        HelmReleaseSpec {
            upgrade: Some(Upgrade { remediation: Some(remediation), ..Upgrade::default() }),
            ..HelmReleaseSpec::default()
        }
    }

    fn state() -> ReleaseState {
        ReleaseState::Failed(String::new())
    }

    #[test]
    fn a_failed_upgrade_without_retries_stalls_unless_the_last_failure_is_remediated() {
        let status = failing(ReleaseAction::Upgrade, 1, &[(2, "failed"), (1, "superseded")]);
        let plain = HelmReleaseSpec::default();
        assert!(matches!(
            action(&state(), &plain, &status, false),
            Action::Stall { reason: "RetriesExceeded", .. }
        ));
        let last =
            with_upgrade(UpgradeRemediation { remediate_last_failure: Some(true), ..Default::default() });
        assert_eq!(action(&state(), &last, &status, false), Action::Rollback { to: 1 });
    }

    #[test]
    fn three_retries_are_four_attempts() {
        let spec = with_upgrade(UpgradeRemediation {
            retries: 3,
            remediate_last_failure: Some(false),
            ..Default::default()
        });
        let out_of_sync = ReleaseState::OutOfSync(String::new());
        for failures in 0..=3 {
            let status = failing(ReleaseAction::Upgrade, failures, &[(2, "failed"), (1, "superseded")]);
            assert_eq!(
                action(&out_of_sync, &spec, &status, false),
                Action::Upgrade { forget_history: false },
                "{failures}"
            );
        }
        let status = failing(ReleaseAction::Upgrade, 4, &[(2, "failed"), (1, "superseded")]);
        assert!(matches!(action(&out_of_sync, &spec, &status, false), Action::Stall { .. }));
        assert_eq!(action(&out_of_sync, &spec, &status, true), Action::Upgrade { forget_history: false });
    }

    #[test]
    fn a_failed_install_is_uninstalled_before_the_next_attempt() {
        let remediation = InstallRemediation { retries: 1, ..Default::default() };
        let spec = HelmReleaseSpec {
            install: Some(Install { remediation: Some(remediation), ..Install::default() }),
            ..HelmReleaseSpec::default()
        };
        let status = failing(ReleaseAction::Install, 1, &[(1, "failed")]);
        assert_eq!(action(&state(), &spec, &status, false), Action::UninstallRemediation);
        let used_up = failing(ReleaseAction::Install, 2, &[(1, "failed")]);
        assert!(matches!(action(&state(), &spec, &used_up, false), Action::Stall { .. }));
        assert!(matches!(
            action(&ReleaseState::Absent(String::new()), &spec, &used_up, false),
            Action::Stall { reason: "RetriesExceeded", .. }
        ));
    }

    #[test]
    fn without_a_good_release_there_is_nothing_to_roll_back_to() {
        let spec = with_upgrade(UpgradeRemediation { retries: 5, ..Default::default() });
        let status = failing(ReleaseAction::Upgrade, 1, &[(2, "failed"), (1, "failed")]);
        assert!(matches!(
            action(&state(), &spec, &status, false),
            Action::Stall { reason: "MissingRollbackTarget", .. }
        ));
    }

    #[test]
    fn changed_conditions_start_over_with_an_upgrade() {
        let status = failing(ReleaseAction::Upgrade, 0, &[(2, "failed"), (1, "superseded")]);
        assert_eq!(
            action(&state(), &HelmReleaseSpec::default(), &status, false),
            Action::Upgrade { forget_history: false }
        );
    }

    #[test]
    fn retry_on_failure_upgrades_again_and_never_stalls() {
        let strategy =
            ActionStrategy { name: Some(ActionStrategyName::RetryOnFailure), ..ActionStrategy::default() };
        let spec = HelmReleaseSpec {
            upgrade: Some(Upgrade { strategy: Some(strategy), ..Upgrade::default() }),
            ..HelmReleaseSpec::default()
        };
        let status = failing(ReleaseAction::Upgrade, 9, &[(2, "failed"), (1, "superseded")]);
        assert_eq!(action(&state(), &spec, &status, false), Action::Upgrade { forget_history: false });
    }

    #[test]
    fn each_other_state_has_its_action() {
        let (spec, status) = (HelmReleaseSpec::default(), HelmReleaseStatus::default());
        let text = String::new;
        for (state, expected) in [
            (ReleaseState::InSync, Action::Nothing),
            (ReleaseState::Absent(text()), Action::Install),
            (ReleaseState::Unmanaged(text()), Action::Upgrade { forget_history: true }),
            (ReleaseState::OutOfSync(text()), Action::Upgrade { forget_history: false }),
            (ReleaseState::Locked(text()), Action::Unlock),
            (ReleaseState::Untested, Action::Test),
        ] {
            assert_eq!(action(&state, &spec, &status, false), expected, "{state:?}");
        }
        assert_eq!(
            action(&ReleaseState::InSync, &spec, &status, true),
            Action::Upgrade { forget_history: false }
        );
    }
}
