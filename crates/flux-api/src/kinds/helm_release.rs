//! HelmRelease.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::common::{
    CommonMetadata, ConfigKind, DependencyRef, HealthCheckExpr, IgnoreRule, ImageOverride, Inventory,
    KubeConfigRef, OciVerification, Patch, SourceRef,
};
use super::helm_actions::{Install, Rollback, Test, Uninstall, Upgrade};
use super::helm_chart::ReconcileStrategy;
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};
use crate::object::Object;
use crate::time::Time;

api! {
    /// A Helm release: which chart, which values, where to.
    HelmReleaseSpec {
        /// A chart to take out of a source; exactly one of this and `chart_ref`.
        chart: Option<HelmChartTemplate>,
        /// An OCIRepository, HelmChart or ExternalArtifact that has the chart.
        chart_ref: Option<SourceRef>,
        /// How often to look without being told.
        interval: GoDuration,
        /// The cluster to release to; the host's own when absent.
        kube_config: Option<KubeConfigRef>,
        /// Leave it alone.
        suspend: bool,
        /// Absent: made of target namespace and name.
        release_name: Option<String>,
        /// Where the release's objects go; the object's own namespace when absent.
        target_namespace: Option<String>,
        /// Where the release's history is kept; the object's own namespace when absent.
        storage_namespace: Option<String>,
        /// Releases that must be ready first.
        depends_on: Vec<DependencyRef>,
        /// Longest time for one Helm action.
        timeout: Option<GoDuration>,
        /// Releases kept; 0: all.
        max_history: Option<i64>,
        /// The account to act as.
        service_account_name: Option<String>,
        /// Absent: true.
        persistent_client: Option<bool>,
        /// What to do when the cluster differs from the release.
        drift_detection: Option<DriftDetection>,
        /// Settings of the install.
        install: Option<Install>,
        /// Settings of the upgrade.
        upgrade: Option<Upgrade>,
        /// Settings of the tests.
        test: Option<Test>,
        /// Settings of the rollback.
        rollback: Option<Rollback>,
        /// Settings of the uninstall.
        uninstall: Option<Uninstall>,
        /// Values from Secrets and ConfigMaps, in order.
        values_from: Vec<ValuesRef>,
        /// Values; an object.
        values: Option<Value>,
        /// Labels and annotations for every object.
        common_metadata: Option<CommonMetadata>,
        /// Changes to what was rendered; the old patch fields are among `patches`.
        post_renderers: Vec<PostRenderer>,
        /// Whether hooks pass through the post-renderers.
        post_render_strategy: Option<PostRenderStrategy>,
        /// How readiness is waited for.
        wait_strategy: Option<WaitStrategy>,
        /// How to tell the health of custom kinds.
        health_check_exprs: Vec<HealthCheckExpr>,
    }

    /// `spec.chart`.
    HelmChartTemplate {
        /// Metadata of the HelmChart made of it.
        metadata: Option<CommonMetadata>,
        /// Its spec.
        spec: HelmChartTemplateSpec,
    }

    /// `spec.chart.spec`.
    HelmChartTemplateSpec {
        /// The chart's name, or its path in a GitRepository or Bucket.
        chart: String,
        /// A version or range; absent: `*`.
        version: Option<String>,
        /// HelmRepository, GitRepository or Bucket.
        source_ref: SourceRef,
        /// Absent: the release's.
        interval: Option<GoDuration>,
        /// Absent: ChartVersion.
        reconcile_strategy: Option<ReconcileStrategy>,
        /// Values files merged left to right in place of the chart's values.yaml; the old `valuesFile` stands first.
        values_files: Vec<String>,
        /// Skip values files that are not there.
        ignore_missing_values_files: bool,
        /// Whose signature is needed (registry only).
        verify: Option<OciVerification>,
    }

    /// What to do when the cluster differs from the release.
    DriftDetection {
        /// Absent: disabled.
        mode: Option<DriftDetectionMode>,
        /// What may differ.
        ignore: Vec<IgnoreRule>,
    }

    /// Values from a Secret or ConfigMap of the same namespace.
    ValuesRef {
        /// Secret or ConfigMap.
        kind: Option<ConfigKind>,
        /// Its name.
        name: String,
        /// Absent: `values.yaml`.
        values_key: Option<String>,
        /// Put the value there, in `--set` grammar, instead of merging it.
        target_path: Option<String>,
        /// Go on when it is not there.
        optional: bool,
        /// Take the value as it stands (with `target_path`).
        literal: bool,
    }

    /// One change to what was rendered.
    PostRenderer {
        /// With kustomize.
        kustomize: Option<KustomizePostRenderer>,
    }

    /// Changes kustomize makes.
    KustomizePostRenderer {
        /// Patches.
        patches: Vec<Patch>,
        /// Image overrides.
        images: Vec<ImageOverride>,
    }

    /// How readiness is waited for.
    WaitStrategy {
        /// Absent: poller.
        name: Option<WaitStrategyName>,
    }

    /// What a HelmRelease stands at.
    HelmReleaseStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// `<namespace>/<name>` of the HelmChart made for it.
        helm_chart: Option<String>,
        /// The storage namespace in use.
        storage_namespace: Option<String>,
        /// Releases, newest first.
        history: Vec<Snapshot>,
        /// What the release applied.
        inventory: Option<Inventory>,
        /// Failures since the last success or change.
        failures: i64,
        /// Failed installs since the last success or change.
        install_failures: i64,
        /// Failed upgrades since the last success or change.
        upgrade_failures: i64,
        /// The generation last attempted.
        last_attempted_generation: i64,
        /// What the last attempt was.
        last_attempted_release_action: Option<ReleaseAction>,
        /// How long it took.
        last_attempted_release_action_duration: Option<GoDuration>,
        /// The chart version last attempted.
        last_attempted_revision: Option<String>,
        /// The digest of the source last attempted.
        last_attempted_revision_digest: Option<String>,
        /// The digest of the values last attempted.
        last_attempted_config_digest: Option<String>,
        /// The digest of the post-renderers last applied.
        observed_post_renderers_digest: Option<String>,
        /// The digest of the common metadata last applied.
        observed_common_metadata_digest: Option<String>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
        /// The `forceAt` last handled.
        last_handled_force_at: Option<String>,
        /// The `resetAt` last handled.
        last_handled_reset_at: Option<String>,
    }

    /// One release in `status.history`.
    Snapshot {
        /// Version of the digest's recipe: `v2`.
        api_version: Option<String>,
        /// Digest of the release as stored.
        digest: String,
        /// The release's name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// Its revision.
        version: i64,
        /// Helm's word: deployed, superseded, failed, ...
        status: String,
        /// What made it.
        action: Option<ReleaseAction>,
        /// The chart's name.
        chart_name: String,
        /// The chart's version.
        chart_version: String,
        /// The chart's app version.
        app_version: Option<String>,
        /// Digest of the values.
        config_digest: String,
        /// When the release was first installed.
        first_deployed: Option<Time>,
        /// When this revision was deployed.
        last_deployed: Option<Time>,
        /// When it was uninstalled.
        deleted: Option<Time>,
        /// Results of the test hooks; absent when none were run.
        test_hooks: Option<BTreeMap<String, TestHookStatus>>,
        /// Digest of the OCI artifact the chart came from.
        oci_digest: Option<String>,
    }

    /// How a test hook ended.
    TestHookStatus {
        /// When it started.
        last_started: Option<Time>,
        /// When it ended.
        last_completed: Option<Time>,
        /// Succeeded or Failed.
        phase: Option<String>,
    }
}

words! {
    /// What to do when the cluster differs from the release.
    DriftDetectionMode {
        Enabled = "enabled",
        Warn = "warn",
        Disabled = "disabled",
    }

    /// Whether hooks pass through the post-renderers.
    PostRenderStrategy {
        NoHooks = "nohooks",
        Combined = "combined",
        Separate = "separate",
    }

    /// How readiness is waited for.
    WaitStrategyName {
        Poller = "poller",
        Legacy = "legacy",
    }

    /// What made a release.
    ReleaseAction {
        Install = "install",
        Upgrade = "upgrade",
    }
}

/// Longest time for one Helm action when nothing is said.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Releases kept when nothing is said.
const MAX_HISTORY: i64 = 5;

impl HelmReleaseSpec {
    /// 5 minutes unless said otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(TIMEOUT, GoDuration::get)
    }

    /// 5 unless said otherwise; 0 keeps all.
    pub fn max_history(&self) -> i64 {
        self.max_history.unwrap_or(MAX_HISTORY)
    }

    /// true unless said otherwise.
    pub fn persistent_client(&self) -> bool {
        self.persistent_client.unwrap_or(true)
    }

    /// disabled unless said otherwise.
    pub fn drift_detection_mode(&self) -> DriftDetectionMode {
        self.drift_detection.as_ref().and_then(|drift| drift.mode).unwrap_or(DriftDetectionMode::Disabled)
    }

    /// combined unless said otherwise.
    pub fn post_render_strategy(&self) -> PostRenderStrategy {
        self.post_render_strategy.unwrap_or(PostRenderStrategy::Combined)
    }

    /// poller unless said otherwise.
    pub fn wait_strategy(&self) -> WaitStrategyName {
        self.wait_strategy.as_ref().and_then(|wait| wait.name).unwrap_or(WaitStrategyName::Poller)
    }

    /// Settings of the install, with their defaults.
    pub fn install(&self) -> Install {
        self.install.clone().unwrap_or_default()
    }

    /// Settings of the upgrade, with their defaults.
    pub fn upgrade(&self) -> Upgrade {
        self.upgrade.clone().unwrap_or_default()
    }

    /// Settings of the tests, with their defaults.
    pub fn test(&self) -> Test {
        self.test.clone().unwrap_or_default()
    }

    /// Settings of the rollback, with their defaults.
    pub fn rollback(&self) -> Rollback {
        self.rollback.clone().unwrap_or_default()
    }

    /// Settings of the uninstall, with their defaults.
    pub fn uninstall(&self) -> Uninstall {
        self.uninstall.clone().unwrap_or_default()
    }

    /// Longest time for the install.
    pub fn install_timeout(&self) -> Duration {
        self.action_timeout(self.install.as_ref().and_then(|action| action.timeout))
    }

    /// Longest time for the upgrade.
    pub fn upgrade_timeout(&self) -> Duration {
        self.action_timeout(self.upgrade.as_ref().and_then(|action| action.timeout))
    }

    /// Longest time for the tests.
    pub fn test_timeout(&self) -> Duration {
        self.action_timeout(self.test.as_ref().and_then(|action| action.timeout))
    }

    /// Longest time for the rollback.
    pub fn rollback_timeout(&self) -> Duration {
        self.action_timeout(self.rollback.as_ref().and_then(|action| action.timeout))
    }

    /// Longest time for the uninstall.
    pub fn uninstall_timeout(&self) -> Duration {
        self.action_timeout(self.uninstall.as_ref().and_then(|action| action.timeout))
    }

    fn action_timeout(&self, own: Option<GoDuration>) -> Duration {
        own.map_or_else(|| self.timeout(), GoDuration::get)
    }
}

impl Object<HelmReleaseSpec, HelmReleaseStatus> {
    /// Where the release's objects go.
    pub fn release_namespace(&self) -> &str {
        self.spec.target_namespace.as_deref().unwrap_or(&self.metadata.namespace)
    }

    /// Where the release's history is kept.
    pub fn storage_namespace(&self) -> &str {
        self.spec.storage_namespace.as_deref().unwrap_or(&self.metadata.namespace)
    }

    /// The release's name before it is shortened to Helm's 53 characters: `releaseName`, else
    /// `<targetNamespace>-<name>`, else the name.
    pub fn composed_release_name(&self) -> String {
        let name = &self.metadata.name;
        match (&self.spec.release_name, &self.spec.target_namespace) {
            (Some(release), _) => release.clone(),
            (None, Some(target)) => format!("{target}-{name}"),
            (None, None) => name.clone(),
        }
    }

    /// Namespace and name of the HelmChart made for `spec.chart`; `None` with a `chartRef`.
    pub fn helm_chart_name(&self) -> Option<(String, String)> {
        let chart = self.spec.chart.as_ref()?;
        let own = &self.metadata.namespace;
        Some((chart.spec.source_ref.namespace(own).to_owned(), format!("{own}-{}", self.metadata.name)))
    }
}

impl HelmChartTemplateSpec {
    /// `*` unless said otherwise.
    pub fn version(&self) -> &str {
        self.version.as_deref().filter(|version| !version.is_empty()).unwrap_or("*")
    }

    /// ChartVersion unless said otherwise.
    pub fn reconcile_strategy(&self) -> ReconcileStrategy {
        self.reconcile_strategy.unwrap_or(ReconcileStrategy::ChartVersion)
    }
}

impl ValuesRef {
    /// The key to read; `values.yaml` unless said otherwise.
    pub fn values_key(&self) -> &str {
        self.values_key.as_deref().filter(|key| !key.is_empty()).unwrap_or("values.yaml")
    }

    /// Secret or ConfigMap; the API makes it required, so the fallback is never seen.
    pub fn kind(&self) -> ConfigKind {
        self.kind.unwrap_or(ConfigKind::ConfigMap)
    }
}
