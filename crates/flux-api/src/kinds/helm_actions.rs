//! The settings of a HelmRelease's actions: install, upgrade, test, rollback, uninstall.

use std::time::Duration;

use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// `spec.install`.
    Install {
        /// Absent: `spec.timeout`.
        timeout: Option<GoDuration>,
        /// What to do after a failure: remediate or retry.
        strategy: Option<ActionStrategy>,
        /// How to remediate.
        remediation: Option<InstallRemediation>,
        /// Fail on objects that belong to somebody else.
        disable_take_ownership: bool,
        /// Do not wait for readiness.
        disable_wait: bool,
        /// Do not wait for jobs.
        disable_wait_for_jobs: bool,
        /// Run no hooks.
        disable_hooks: bool,
        /// Do not check against the cluster's OpenAPI.
        #[serde(rename = "disableOpenAPIValidation")]
        disable_open_api_validation: bool,
        /// Do not check values against the chart's schema.
        disable_schema_validation: bool,
        /// Reuse the name of a deleted release.
        replace: bool,
        /// Deprecated word for `crds: Skip`.
        #[serde(rename = "skipCRDs")]
        skip_crds: bool,
        /// What to do with `crds/`.
        crds: Option<CrdsPolicy>,
        /// Make the target namespace.
        create_namespace: bool,
        /// Absent: true.
        server_side_apply: Option<bool>,
    }

    /// `spec.upgrade`.
    Upgrade {
        /// Absent: `spec.timeout`.
        timeout: Option<GoDuration>,
        /// What to do after a failure: remediate or retry.
        strategy: Option<ActionStrategy>,
        /// How to remediate.
        remediation: Option<UpgradeRemediation>,
        /// Fail on objects that belong to somebody else.
        disable_take_ownership: bool,
        /// Do not wait for readiness.
        disable_wait: bool,
        /// Do not wait for jobs.
        disable_wait_for_jobs: bool,
        /// Run no hooks.
        disable_hooks: bool,
        /// Do not check against the cluster's OpenAPI.
        #[serde(rename = "disableOpenAPIValidation")]
        disable_open_api_validation: bool,
        /// Do not check values against the chart's schema.
        disable_schema_validation: bool,
        /// Replace objects instead of patching; without effect under server-side apply.
        force: bool,
        /// Reuse the last release's values.
        preserve_values: bool,
        /// Delete what a failed upgrade made.
        cleanup_on_fail: bool,
        /// What to do with `crds/`.
        crds: Option<CrdsPolicy>,
        /// What a changed chart name means.
        chart_name_change_strategy: Option<ChartNameChangeStrategy>,
        /// Absent: auto, what the last release used.
        server_side_apply: Option<ServerSideApplyMode>,
    }

    /// What to do after a failed install or upgrade.
    ActionStrategy {
        /// Absent: RemediateOnFailure.
        name: Option<ActionStrategyName>,
        /// Absent: 5 minutes (RetryOnFailure).
        retry_interval: Option<GoDuration>,
    }

    /// `spec.install.remediation`.
    InstallRemediation {
        /// Further attempts; negative: without end.
        retries: i64,
        /// Absent: `spec.test.ignoreFailures`.
        ignore_test_failures: Option<bool>,
        /// Absent: false.
        remediate_last_failure: Option<bool>,
    }

    /// `spec.upgrade.remediation`.
    UpgradeRemediation {
        /// Further attempts; negative: without end.
        retries: i64,
        /// Absent: `spec.test.ignoreFailures`.
        ignore_test_failures: Option<bool>,
        /// Absent: true when there are retries.
        remediate_last_failure: Option<bool>,
        /// Absent: rollback.
        strategy: Option<RemediationStrategy>,
    }

    /// `spec.test`.
    Test {
        /// Run the chart's tests after install and upgrade.
        enable: bool,
        /// Absent: `spec.timeout`.
        timeout: Option<GoDuration>,
        /// A failed test fails nothing.
        ignore_failures: bool,
        /// Which tests.
        filters: Vec<TestFilter>,
    }

    /// One test to run, or to leave out.
    TestFilter {
        /// The test's name.
        name: String,
        /// Leave it out instead.
        exclude: bool,
    }

    /// `spec.rollback`.
    Rollback {
        /// Absent: `spec.timeout`.
        timeout: Option<GoDuration>,
        /// Do not wait for readiness.
        disable_wait: bool,
        /// Do not wait for jobs.
        disable_wait_for_jobs: bool,
        /// Run no hooks.
        disable_hooks: bool,
        /// Accepted, without effect as in Flux.
        recreate: bool,
        /// Replace objects instead of patching; without effect under server-side apply.
        force: bool,
        /// Delete what a failed rollback made.
        cleanup_on_fail: bool,
        /// Absent: auto, what the release rolled back to used.
        server_side_apply: Option<ServerSideApplyMode>,
    }

    /// `spec.uninstall`.
    Uninstall {
        /// Absent: `spec.timeout`.
        timeout: Option<GoDuration>,
        /// Run no hooks.
        disable_hooks: bool,
        /// Keep the release's history.
        keep_history: bool,
        /// Do not wait for the objects to go.
        disable_wait: bool,
        /// Absent: background.
        deletion_propagation: Option<DeletionPropagation>,
    }
}

words! {
    /// What to do with a chart's `crds/`.
    CrdsPolicy {
        Skip = "Skip",
        Create = "Create",
        CreateReplace = "CreateReplace",
    }

    /// What a failed action leads to.
    ActionStrategyName {
        RemediateOnFailure = "RemediateOnFailure",
        RetryOnFailure = "RetryOnFailure",
    }

    /// How a failed upgrade is made good.
    RemediationStrategy {
        Rollback = "rollback",
        Uninstall = "uninstall",
    }

    /// What a changed chart name means for the release.
    ChartNameChangeStrategy {
        InPlaceUpdate = "InPlaceUpdate",
        Reinstall = "Reinstall",
    }

    /// Whether an upgrade or rollback applies on the server's side.
    ServerSideApplyMode {
        Enabled = "enabled",
        Disabled = "disabled",
        Auto = "auto",
    }

    /// What happens to dependents on uninstall.
    DeletionPropagation {
        Background = "background",
        Foreground = "foreground",
        Orphan = "orphan",
    }
}

/// Pause between retries of `RetryOnFailure` when nothing is said.
const RETRY_INTERVAL: Duration = Duration::from_secs(5 * 60);

impl ActionStrategy {
    /// RemediateOnFailure unless said otherwise.
    pub fn name(&self) -> ActionStrategyName {
        self.name.unwrap_or(ActionStrategyName::RemediateOnFailure)
    }

    /// The pause between retries when the strategy is RetryOnFailure, `None` when it remediates.
    pub fn retry_interval(&self) -> Option<Duration> {
        (self.name() == ActionStrategyName::RetryOnFailure)
            .then(|| self.retry_interval.map_or(RETRY_INTERVAL, GoDuration::get))
    }
}

impl Install {
    /// The pause between retries under RetryOnFailure, `None` when failures are remediated.
    pub fn retry_interval(&self) -> Option<Duration> {
        self.strategy.as_ref().and_then(ActionStrategy::retry_interval)
    }

    /// Create unless said otherwise; the deprecated `skipCRDs` counts when `crds` is absent.
    pub fn crds(&self) -> CrdsPolicy {
        self.crds.unwrap_or(if self.skip_crds { CrdsPolicy::Skip } else { CrdsPolicy::Create })
    }

    /// true unless said otherwise.
    pub fn server_side_apply(&self) -> bool {
        self.server_side_apply.unwrap_or(true)
    }

    /// The remediation, with its defaults when absent.
    pub fn remediation(&self) -> InstallRemediation {
        self.remediation.clone().unwrap_or_default()
    }
}

impl Upgrade {
    /// The pause between retries under RetryOnFailure, `None` when failures are remediated.
    pub fn retry_interval(&self) -> Option<Duration> {
        self.strategy.as_ref().and_then(ActionStrategy::retry_interval)
    }

    /// Create unless said otherwise: what Flux does, whatever its documentation says.
    pub fn crds(&self) -> CrdsPolicy {
        self.crds.unwrap_or(CrdsPolicy::Create)
    }

    /// auto unless said otherwise.
    pub fn server_side_apply(&self) -> ServerSideApplyMode {
        self.server_side_apply.unwrap_or(ServerSideApplyMode::Auto)
    }

    /// Reinstall unless said otherwise.
    pub fn chart_name_change_strategy(&self) -> ChartNameChangeStrategy {
        self.chart_name_change_strategy.unwrap_or(ChartNameChangeStrategy::Reinstall)
    }

    /// The remediation, with its defaults when absent.
    pub fn remediation(&self) -> UpgradeRemediation {
        self.remediation.clone().unwrap_or_default()
    }
}

impl InstallRemediation {
    /// Whether the last failure is remediated too; no unless said otherwise.
    pub fn remediate_last_failure(&self) -> bool {
        self.remediate_last_failure.unwrap_or(false)
    }

    /// Whether so many failures are too many. `retries: 3` allows four attempts.
    pub fn retries_exhausted(&self, failures: i64) -> bool {
        self.retries >= 0 && failures > self.retries
    }
}

impl UpgradeRemediation {
    /// rollback unless said otherwise.
    pub fn strategy(&self) -> RemediationStrategy {
        self.strategy.unwrap_or(RemediationStrategy::Rollback)
    }

    /// Whether the last failure is remediated too; when there are retries, unless said otherwise.
    pub fn remediate_last_failure(&self) -> bool {
        self.remediate_last_failure.unwrap_or(self.retries > 0)
    }

    /// Whether so many failures are too many. `retries: 3` allows four attempts.
    pub fn retries_exhausted(&self, failures: i64) -> bool {
        self.retries >= 0 && failures > self.retries
    }
}

impl Rollback {
    /// auto unless said otherwise.
    pub fn server_side_apply(&self) -> ServerSideApplyMode {
        self.server_side_apply.unwrap_or(ServerSideApplyMode::Auto)
    }
}

impl Uninstall {
    /// background unless said otherwise.
    pub fn deletion_propagation(&self) -> DeletionPropagation {
        self.deletion_propagation.unwrap_or(DeletionPropagation::Background)
    }
}
