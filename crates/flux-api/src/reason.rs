//! Reason words of conditions and events, as Flux spells them: alert filters and dashboards match on them.

// Shared by all kinds
/// `Succeeded`.
pub const SUCCEEDED: &str = "Succeeded";
/// `Failed`.
pub const FAILED: &str = "Failed";
/// `Progressing`.
pub const PROGRESSING: &str = "Progressing";
/// `ProgressingWithRetry`.
pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";
/// `Suspended`.
pub const SUSPENDED: &str = "Suspended";
/// `DependencyNotReady`.
pub const DEPENDENCY_NOT_READY: &str = "DependencyNotReady";
/// `InvalidPath`.
pub const INVALID_PATH: &str = "InvalidPath";
/// `InvalidURL`.
pub const INVALID_URL: &str = "InvalidURL";
/// `InsecureConnectionsDisallowed`.
pub const INSECURE_CONNECTIONS_DISALLOWED: &str = "InsecureConnectionsDisallowed";
/// `UnsupportedConnectionType`.
pub const UNSUPPORTED_CONNECTION_TYPE: &str = "UnsupportedConnectionType";
/// `PruneFailed`.
pub const PRUNE_FAILED: &str = "PruneFailed";
/// `ArtifactFailed`.
pub const ARTIFACT_FAILED: &str = "ArtifactFailed";
/// `BuildFailed`.
pub const BUILD_FAILED: &str = "BuildFailed";
/// `HealthCheckFailed`.
pub const HEALTH_CHECK_FAILED: &str = "HealthCheckFailed";
/// `HealthCheckCanceled`.
pub const HEALTH_CHECK_CANCELED: &str = "HealthCheckCanceled";
/// `ReconciliationSucceeded`.
pub const RECONCILIATION_SUCCEEDED: &str = "ReconciliationSucceeded";
/// `ReconciliationFailed`.
pub const RECONCILIATION_FAILED: &str = "ReconciliationFailed";
/// `InvalidCELExpression`.
pub const INVALID_CEL_EXPRESSION: &str = "InvalidCELExpression";
/// `FeatureGateDisabled`.
pub const FEATURE_GATE_DISABLED: &str = "FeatureGateDisabled";
/// `AccessDenied`.
pub const ACCESS_DENIED: &str = "AccessDenied";

// Sources
/// `NewRevision`.
pub const NEW_REVISION: &str = "NewRevision";
/// `IncludeChange`.
pub const INCLUDE_CHANGE: &str = "IncludeChange";
/// `NotFound`.
pub const NOT_FOUND: &str = "NotFound";
/// `NoArtifact`.
pub const NO_ARTIFACT: &str = "NoArtifact";
/// `NewArtifact`.
pub const NEW_ARTIFACT: &str = "NewArtifact";
/// `ArtifactUpToDate`.
pub const ARTIFACT_UP_TO_DATE: &str = "ArtifactUpToDate";
/// `ArtifactVerificationFailed`.
pub const ARTIFACT_VERIFICATION_FAILED: &str = "ArtifactVerificationFailed";
/// `GarbageCollectionSucceeded`.
pub const GARBAGE_COLLECTION_SUCCEEDED: &str = "GarbageCollectionSucceeded";
/// `GarbageCollectionFailed`.
pub const GARBAGE_COLLECTION_FAILED: &str = "GarbageCollectionFailed";
/// `GitOperationSucceeded`.
pub const GIT_OPERATION_SUCCEEDED: &str = "GitOperationSucceeded";
/// `GitOperationFailed`.
pub const GIT_OPERATION_FAILED: &str = "GitOperationFailed";
/// `AuthenticationFailed`.
pub const AUTHENTICATION_FAILED: &str = "AuthenticationFailed";
/// `InvalidProviderConfiguration`.
pub const INVALID_PROVIDER_CONFIGURATION: &str = "InvalidProviderConfiguration";
/// `URLInvalid`.
pub const URL_INVALID: &str = "URLInvalid";
/// `EmptyGitRepository`.
pub const EMPTY_GIT_REPOSITORY: &str = "EmptyGitRepository";
/// `VerificationError`.
pub const VERIFICATION_ERROR: &str = "VerificationError";
/// `InvalidVerificationMode`.
pub const INVALID_VERIFICATION_MODE: &str = "InvalidVerificationMode";
/// `InvalidGitObject`.
pub const INVALID_GIT_OBJECT: &str = "InvalidGitObject";
/// `InvalidTagSignature`.
pub const INVALID_TAG_SIGNATURE: &str = "InvalidTagSignature";
/// `InvalidCommitSignature`.
pub const INVALID_COMMIT_SIGNATURE: &str = "InvalidCommitSignature";
/// `DirectoryCreationFailed`.
pub const DIRECTORY_CREATION_FAILED: &str = "DirectoryCreationFailed";
/// `StatOperationFailed`.
pub const STAT_OPERATION_FAILED: &str = "StatOperationFailed";
/// `ReadOperationFailed`.
pub const READ_OPERATION_FAILED: &str = "ReadOperationFailed";
/// `AcquireLockFailed`.
pub const ACQUIRE_LOCK_FAILED: &str = "AcquireLockFailed";
/// `ArchiveOperationFailed`.
pub const ARCHIVE_OPERATION_FAILED: &str = "ArchiveOperationFailed";
/// `CacheOperationFailed`.
pub const CACHE_OPERATION_FAILED: &str = "CacheOperationFailed";
/// `SourceIgnoreError`.
pub const SOURCE_IGNORE_ERROR: &str = "SourceIgnoreError";
/// `PatchOperationFailed`.
pub const PATCH_OPERATION_FAILED: &str = "PatchOperationFailed";
/// `SymlinkUpdateFailed`.
pub const SYMLINK_UPDATE_FAILED: &str = "SymlinkUpdateFailed";
/// `OCIArtifactPullFailed`.
pub const OCI_ARTIFACT_PULL_FAILED: &str = "OCIArtifactPullFailed";
/// `OCIArtifactLayerOperationFailed`.
pub const OCI_ARTIFACT_LAYER_OPERATION_FAILED: &str = "OCIArtifactLayerOperationFailed";
/// `IndexationFailed`.
pub const INDEXATION_FAILED: &str = "IndexationFailed";
/// `BucketOperationSucceeded`.
pub const BUCKET_OPERATION_SUCCEEDED: &str = "BucketOperationSucceeded";
/// `BucketOperationFailed`.
pub const BUCKET_OPERATION_FAILED: &str = "BucketOperationFailed";
/// `InvalidSTSConfiguration`.
pub const INVALID_STS_CONFIGURATION: &str = "InvalidSTSConfiguration";

// HelmChart
/// `ChartPackageSucceeded`.
pub const CHART_PACKAGE_SUCCEEDED: &str = "ChartPackageSucceeded";
/// `ChartPullSucceeded`.
pub const CHART_PULL_SUCCEEDED: &str = "ChartPullSucceeded";
/// `NoSourceArtifact`.
pub const NO_SOURCE_ARTIFACT: &str = "NoSourceArtifact";
/// `SourceUnavailable`.
pub const SOURCE_UNAVAILABLE: &str = "SourceUnavailable";
/// `UnsupportedSourceKind`.
pub const UNSUPPORTED_SOURCE_KIND: &str = "UnsupportedSourceKind";
/// `InvalidChartReference`.
pub const INVALID_CHART_REFERENCE: &str = "InvalidChartReference";
/// `ChartPullError`.
pub const CHART_PULL_ERROR: &str = "ChartPullError";
/// `MetadataPatchError`.
pub const METADATA_PATCH_ERROR: &str = "MetadataPatchError";
/// `ValuesFilesError`.
pub const VALUES_FILES_ERROR: &str = "ValuesFilesError";
/// `DependencyBuildError`.
pub const DEPENDENCY_BUILD_ERROR: &str = "DependencyBuildError";
/// `ChartPackageError`.
pub const CHART_PACKAGE_ERROR: &str = "ChartPackageError";
/// `ChartVerificationError`.
pub const CHART_VERIFICATION_ERROR: &str = "ChartVerificationError";
/// `ResolvedDependencies`.
pub const RESOLVED_DEPENDENCIES: &str = "ResolvedDependencies";

// HelmRelease
/// `InstallSucceeded`.
pub const INSTALL_SUCCEEDED: &str = "InstallSucceeded";
/// `InstallFailed`.
pub const INSTALL_FAILED: &str = "InstallFailed";
/// `UpgradeSucceeded`.
pub const UPGRADE_SUCCEEDED: &str = "UpgradeSucceeded";
/// `UpgradeFailed`.
pub const UPGRADE_FAILED: &str = "UpgradeFailed";
/// `TestSucceeded`.
pub const TEST_SUCCEEDED: &str = "TestSucceeded";
/// `TestFailed`.
pub const TEST_FAILED: &str = "TestFailed";
/// `AwaitingTests`.
pub const AWAITING_TESTS: &str = "AwaitingTests";
/// `RollbackSucceeded`.
pub const ROLLBACK_SUCCEEDED: &str = "RollbackSucceeded";
/// `RollbackFailed`.
pub const ROLLBACK_FAILED: &str = "RollbackFailed";
/// `UninstallSucceeded`.
pub const UNINSTALL_SUCCEEDED: &str = "UninstallSucceeded";
/// `UninstallFailed`.
pub const UNINSTALL_FAILED: &str = "UninstallFailed";
/// `DriftDetected`.
pub const DRIFT_DETECTED: &str = "DriftDetected";
/// `NoDriftDetected`.
pub const NO_DRIFT_DETECTED: &str = "NoDriftDetected";
/// `DriftCorrected`.
pub const DRIFT_CORRECTED: &str = "DriftCorrected";
/// `DriftCorrectionFailed`.
pub const DRIFT_CORRECTION_FAILED: &str = "DriftCorrectionFailed";
/// `SourceNotReady`.
pub const SOURCE_NOT_READY: &str = "SourceNotReady";
/// `ValuesError`.
pub const VALUES_ERROR: &str = "ValuesError";
/// `ChartMutateError`.
pub const CHART_MUTATE_ERROR: &str = "ChartMutateError";
/// `RESTClientError`.
pub const REST_CLIENT_ERROR: &str = "RESTClientError";
/// `ResourceManagerError`.
pub const RESOURCE_MANAGER_ERROR: &str = "ResourceManagerError";
/// `FactoryError`.
pub const FACTORY_ERROR: &str = "FactoryError";
/// `StateError`.
pub const STATE_ERROR: &str = "StateError";
/// `ReconcileError`.
pub const RECONCILE_ERROR: &str = "ReconcileError";
/// `PendingRelease`.
pub const PENDING_RELEASE: &str = "PendingRelease";
/// `InventoryBuildFailed`.
pub const INVENTORY_BUILD_FAILED: &str = "InventoryBuildFailed";
/// `NamespaceCheckSkipped`.
pub const NAMESPACE_CHECK_SKIPPED: &str = "NamespaceCheckSkipped";
/// `RetriesExceeded`.
pub const RETRIES_EXCEEDED: &str = "RetriesExceeded";
/// `MissingRollbackTarget`.
pub const MISSING_ROLLBACK_TARGET: &str = "MissingRollbackTarget";
/// `HelmChartCreated`.
pub const HELM_CHART_CREATED: &str = "HelmChartCreated";
/// `HelmChartConfigured`.
pub const HELM_CHART_CONFIGURED: &str = "HelmChartConfigured";
/// `HelmChartDeleted`.
pub const HELM_CHART_DELETED: &str = "HelmChartDeleted";
/// `HelmChartSyncErr`.
pub const HELM_CHART_SYNC_ERR: &str = "HelmChartSyncErr";

// Images
/// `ImageURLInvalid`.
pub const IMAGE_URL_INVALID: &str = "ImageURLInvalid";
/// `InvalidPolicy`.
pub const INVALID_POLICY: &str = "InvalidPolicy";
/// `IntervalNotConfigured`.
pub const INTERVAL_NOT_CONFIGURED: &str = "IntervalNotConfigured";
/// `Failure`.
pub const FAILURE: &str = "Failure";
/// `UpdateFailed`.
pub const UPDATE_FAILED: &str = "UpdateFailed";
/// `SourceManagerFailed`.
pub const SOURCE_MANAGER_FAILED: &str = "SourceManagerFailed";
/// `InvalidUpdateStrategy`.
pub const INVALID_UPDATE_STRATEGY: &str = "InvalidUpdateStrategy";
/// `InvalidSourceConfiguration`.
pub const INVALID_SOURCE_CONFIGURATION: &str = "InvalidSourceConfiguration";
/// `InvalidPolicySelector`.
pub const INVALID_POLICY_SELECTOR: &str = "InvalidPolicySelector";
/// `RemovedTemplateField`.
pub const REMOVED_TEMPLATE_FIELD: &str = "RemovedTemplateField";

// Receivers, Providers, Alerts
/// `TokenNotFound`.
pub const TOKEN_NOT_FOUND: &str = "TokenNotFound";
/// `ValidationFailed`.
pub const VALIDATION_FAILED: &str = "ValidationFailed";
/// `NotificationDispatchFailed`.
pub const NOTIFICATION_DISPATCH_FAILED: &str = "NotificationDispatchFailed";
/// `MetadataAppendFailed`.
pub const METADATA_APPEND_FAILED: &str = "MetadataAppendFailed";

// ArtifactGenerator
/// `ReconciliationDisabled`.
pub const RECONCILIATION_DISABLED: &str = "ReconciliationDisabled";
/// `SourceFetchFailed`.
pub const SOURCE_FETCH_FAILED: &str = "SourceFetchFailed";
