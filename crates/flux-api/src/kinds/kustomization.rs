//! Kustomization.

use std::collections::BTreeMap;
use std::time::Duration;

use super::common::{
    CommonMetadata, ConfigKind, DependencyRef, HealthCheckExpr, IgnoreRule, ImageOverride, Inventory,
    KubeConfigRef, LocalRef, Patch, SourceRef,
};
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};
use crate::time::Time;

api! {
    /// Manifests from a source, built with kustomize and applied.
    KustomizationSpec {
        /// GitRepository, OCIRepository, Bucket or ExternalArtifact.
        source_ref: SourceRef,
        /// The directory in the source; its root when absent.
        path: Option<String>,
        /// How often to look without being told.
        interval: GoDuration,
        /// Pause after a failure; absent: `interval`.
        retry_interval: Option<GoDuration>,
        /// Longest time to build, apply and wait.
        timeout: Option<GoDuration>,
        /// Delete what has left the source.
        prune: Option<bool>,
        /// What happens to the objects when this one is deleted.
        deletion_policy: Option<DeletionPolicy>,
        /// Wait for everything applied.
        wait: bool,
        /// Objects to wait for.
        health_checks: Vec<HealthCheck>,
        /// How to tell the health of custom kinds.
        health_check_exprs: Vec<HealthCheckExpr>,
        /// Kustomizations that must be ready first.
        depends_on: Vec<DependencyRef>,
        /// Recreate objects whose immutable fields change.
        force: bool,
        /// Leave it alone.
        suspend: bool,
        /// The namespace of everything.
        target_namespace: Option<String>,
        /// Put before every name.
        name_prefix: Option<String>,
        /// Put after every name.
        name_suffix: Option<String>,
        /// Labels and annotations for every object.
        common_metadata: Option<CommonMetadata>,
        /// Patches; the old patch fields are among them.
        patches: Vec<Patch>,
        /// Image overrides.
        images: Vec<ImageOverride>,
        /// Components to add.
        components: Vec<String>,
        /// Skip components that are not there.
        ignore_missing_components: bool,
        /// Annotations kustomize adds.
        build_metadata: Vec<BuildMetadata>,
        /// Variables to fill in.
        post_build: Option<PostBuild>,
        /// What may differ on the cluster.
        ignore: Vec<IgnoreRule>,
        /// How to decrypt.
        decryption: Option<Decryption>,
        /// The account to act as.
        service_account_name: Option<String>,
        /// The cluster to apply to; the host's own when absent.
        kube_config: Option<KubeConfigRef>,
    }

    /// An object to wait for.
    HealthCheck {
        /// Absent: `apps/v1`.
        api_version: Option<String>,
        /// The kind.
        kind: String,
        /// The name.
        name: String,
        /// The namespace.
        namespace: Option<String>,
    }

    /// Variables to fill in after the build.
    PostBuild {
        /// Variables; they win over `substitute_from`.
        substitute: BTreeMap<String, String>,
        /// Secrets and ConfigMaps whose keys are variables, later ones win.
        substitute_from: Vec<SubstituteRef>,
        /// Absent: WithVariables.
        substitute_strategy: Option<SubstituteStrategy>,
    }

    /// A Secret or ConfigMap whose keys are variables.
    SubstituteRef {
        /// Secret or ConfigMap.
        kind: Option<ConfigKind>,
        /// Its name.
        name: String,
        /// Go on when it is not there.
        optional: bool,
    }

    /// How to decrypt.
    Decryption {
        /// `sops`.
        provider: String,
        /// The keys.
        secret_ref: Option<LocalRef>,
        /// Identity for a cloud's key service.
        service_account_name: Option<String>,
    }

    /// What a Kustomization stands at.
    KustomizationStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// The revision last applied with success.
        last_applied_revision: Option<String>,
        /// The revision that one was made from.
        last_applied_origin_revision: Option<String>,
        /// The revision last attempted.
        last_attempted_revision: Option<String>,
        /// What was applied.
        inventory: Option<Inventory>,
        /// Builds, newest first, at most five.
        history: Vec<KustomizationRun>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }

    /// One build and how it fared.
    KustomizationRun {
        /// Digest of what was built.
        digest: String,
        /// When it was first reconciled.
        first_reconciled: Option<Time>,
        /// When it was last reconciled.
        last_reconciled: Option<Time>,
        /// How long that took.
        last_reconciled_duration: Option<GoDuration>,
        /// The Ready reason it ended with.
        last_reconciled_status: String,
        /// How often it was reconciled.
        total_reconciliations: i64,
        /// `revision` and `originRevision`.
        metadata: BTreeMap<String, String>,
    }
}

words! {
    /// What happens to the objects when the Kustomization is deleted.
    DeletionPolicy {
        MirrorPrune = "MirrorPrune",
        Delete = "Delete",
        WaitForTermination = "WaitForTermination",
        Orphan = "Orphan",
    }

    /// Annotations kustomize adds.
    BuildMetadata {
        OriginAnnotations = "originAnnotations",
        TransformerAnnotations = "transformerAnnotations",
    }

    /// When variables are looked for.
    SubstituteStrategy {
        WithVariables = "WithVariables",
        Always = "Always",
    }
}

/// The least a Kustomization waits, and what its timeout stays below its interval.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(30);

impl KustomizationSpec {
    /// The interval less 30 s, at least 30 s, unless said otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or_else(
            || self.interval.get().saturating_sub(TIMEOUT_MARGIN).max(TIMEOUT_MARGIN),
            GoDuration::get,
        )
    }

    /// The interval unless said otherwise.
    pub fn retry_interval(&self) -> Duration {
        self.retry_interval.unwrap_or(self.interval).get()
    }

    /// Whether objects that left the source are deleted.
    pub fn prune(&self) -> bool {
        self.prune.unwrap_or(false)
    }

    /// MirrorPrune unless said otherwise.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        self.deletion_policy.unwrap_or(DeletionPolicy::MirrorPrune)
    }

    /// The directory in the source; `.` when nothing is said.
    pub fn path(&self) -> &str {
        self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or(".")
    }
}

impl HealthCheck {
    /// `apps/v1` unless said otherwise.
    pub fn api_version(&self) -> &str {
        self.api_version.as_deref().unwrap_or("apps/v1")
    }
}

impl PostBuild {
    /// WithVariables unless said otherwise.
    pub fn substitute_strategy(&self) -> SubstituteStrategy {
        self.substitute_strategy.unwrap_or(SubstituteStrategy::WithVariables)
    }
}

impl SubstituteRef {
    /// Secret or ConfigMap; the API makes it required, so the fallback is never seen.
    pub fn kind(&self) -> ConfigKind {
        self.kind.unwrap_or(ConfigKind::ConfigMap)
    }
}
