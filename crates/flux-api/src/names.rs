//! Names that are part of the contract: finalizer, annotations, labels.

/// The one finalizer Flux uses on every kind that has one.
pub const FINALIZER: &str = "finalizers.fluxcd.io";

/// Annotations.
pub mod annotation {
    /// Any change of its value asks for a reconcile; echoed to `status.lastHandledReconcileAt`.
    pub const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";
    /// Equal to `requestedAt`: one upgrade or install regardless of exhaustion and sync (HelmRelease).
    pub const FORCE_AT: &str = "reconcile.fluxcd.io/forceAt";
    /// Equal to `requestedAt`: failure counters start again (HelmRelease).
    pub const RESET_AT: &str = "reconcile.fluxcd.io/resetAt";
    /// Annotations with this prefix go into the object's events.
    pub const EVENT_PREFIX: &str = "event.toolkit.fluxcd.io/";
    /// `disabled` exempts an object from drift detection (HelmRelease).
    pub const DRIFT_DETECTION: &str = "helm.toolkit.fluxcd.io/driftDetection";
    /// `disabled` leaves the object alone (objects a Kustomization applies).
    pub const RECONCILE: &str = "kustomize.toolkit.fluxcd.io/reconcile";
    /// `Override`, `Merge`, `IfNotPresent` or `Ignore` (objects a Kustomization applies).
    pub const SSA: &str = "kustomize.toolkit.fluxcd.io/ssa";
    /// `enabled` recreates the object on immutable fields (objects a Kustomization applies).
    pub const FORCE: &str = "kustomize.toolkit.fluxcd.io/force";
    /// `disabled` keeps the object when it leaves the source (objects a Kustomization applies).
    pub const PRUNE: &str = "kustomize.toolkit.fluxcd.io/prune";
    /// `disabled` leaves variables in the object as they are (objects a Kustomization applies).
    pub const SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";
    /// `disabled` leaves the object encrypted (objects a Kustomization applies).
    pub const DECRYPT: &str = "kustomize.toolkit.fluxcd.io/decrypt";
    /// The revision, on events of a source.
    pub const SOURCE_REVISION: &str = "source.toolkit.fluxcd.io/revision";
    /// The artifact's digest, on events of a source.
    pub const SOURCE_DIGEST: &str = "source.toolkit.fluxcd.io/digest";
    /// The revision, on events of a Kustomization.
    pub const KUSTOMIZE_REVISION: &str = "kustomize.toolkit.fluxcd.io/revision";
    /// The revision the artifact was made from, on events of a Kustomization.
    pub const KUSTOMIZE_ORIGIN_REVISION: &str = "kustomize.toolkit.fluxcd.io/originRevision";
    /// `update` limits an event to commit-status and generic providers.
    pub const KUSTOMIZE_COMMIT_STATUS: &str = "kustomize.toolkit.fluxcd.io/commit_status";
    /// The chart's version, on events of a HelmRelease.
    pub const HELM_REVISION: &str = "helm.toolkit.fluxcd.io/revision";
    /// The values' digest, on events of a HelmRelease.
    pub const HELM_TOKEN: &str = "helm.toolkit.fluxcd.io/token";
    /// The chart's app version, on events of a HelmRelease.
    pub const HELM_APP_VERSION: &str = "helm.toolkit.fluxcd.io/app-version";
    /// The OCI digest, on events of a HelmRelease.
    pub const HELM_OCI_DIGEST: &str = "helm.toolkit.fluxcd.io/oci-digest";
    /// On OCI artifacts: the repository they were made from.
    pub const OCI_SOURCE: &str = "org.opencontainers.image.source";
    /// On OCI artifacts: the revision they were made from.
    pub const OCI_REVISION: &str = "org.opencontainers.image.revision";
}

/// Labels.
pub mod label {
    /// `Enabled` on a ConfigMap or Secret: its change reconciles what reads it.
    pub const WATCH: &str = "reconcile.fluxcd.io/watch";
    /// The HelmRelease an object belongs to.
    pub const HELM_NAME: &str = "helm.toolkit.fluxcd.io/name";
    /// The namespace of that HelmRelease.
    pub const HELM_NAMESPACE: &str = "helm.toolkit.fluxcd.io/namespace";
    /// The Kustomization an object belongs to.
    pub const KUSTOMIZE_NAME: &str = "kustomize.toolkit.fluxcd.io/name";
    /// The namespace of that Kustomization.
    pub const KUSTOMIZE_NAMESPACE: &str = "kustomize.toolkit.fluxcd.io/namespace";
    /// The shard an object belongs to.
    pub const SHARD: &str = "sharding.fluxcd.io/key";
}

/// Field managers and reporting controllers, by Flux's names.
pub mod controller {
    /// GitRepository, OCIRepository, HelmRepository, HelmChart, Bucket.
    pub const SOURCE: &str = "source-controller";
    /// HelmRelease.
    pub const HELM: &str = "helm-controller";
    /// Kustomization.
    pub const KUSTOMIZE: &str = "kustomize-controller";
    /// Receiver, Provider, Alert.
    pub const NOTIFICATION: &str = "notification-controller";
    /// ImageRepository, ImagePolicy.
    pub const IMAGE_REFLECTOR: &str = "image-reflector-controller";
    /// ImageUpdateAutomation.
    pub const IMAGE_AUTOMATION: &str = "image-automation-controller";
}
