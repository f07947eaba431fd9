//! What `.Capabilities` says about the cluster and about Helm, and the tables used without a cluster.

use crate::profile::HelmProfile;

/// Kubernetes version, API versions and Helm version, as templates see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The cluster's version.
    pub kube_version: KubeVersion,
    /// `group/version` entries, and `group/version/Kind` when they come from a cluster.
    pub api_versions: Vec<String>,
    /// Helm's build information.
    pub helm_version: BuildInfo,
}

impl Capabilities {
    /// What Helm assumes without a cluster.
    #[must_use]
    pub fn defaults(profile: &HelmProfile) -> Self {
        Self {
            kube_version: KubeVersion {
                version: format!("v1.{}.0", profile.kube_minor),
                normalized: format!("v1.{}.0", profile.kube_minor),
                major: "1".to_owned(),
                minor: profile.kube_minor.to_string(),
            },
            api_versions: profile.api_versions.iter().map(|&s| s.to_owned()).collect(),
            helm_version: BuildInfo::of(profile),
        }
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::defaults(&HelmProfile::default())
    }
}

/// A Kubernetes version in the three forms templates use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeVersion {
    /// The full version with `v` and suffix, as `v1.33.4-gke.1245000`.
    pub version: String,
    /// Without the suffix, as `v1.33.4`: what `kubeVersion` constraints are checked against.
    pub normalized: String,
    /// `1`
    pub major: String,
    /// `33`
    pub minor: String,
}

/// A Kubernetes version that cannot be read; the text is client-go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeVersionError {
    /// No dotted numbers at the start.
    #[error("could not parse {0:?} as version")]
    NotAVersion(String),
    /// Fewer than two numbers.
    #[error("illegal version string {0:?}")]
    TooShort(String),
    /// A number that does not fit.
    #[error(
        "illegal non-numeric version component {component:?} in {version:?}: strconv.ParseUint: parsing {component:?}: value out of range"
    )]
    OutOfRange {
        /// The offending number.
        component: String,
        /// The whole version.
        version: String,
    },
    /// A major version with a leading zero.
    #[error("illegal zero-prefixed version component {component:?} in {version:?}")]
    ZeroPrefixed {
        /// The offending number.
        component: String,
        /// The whole version.
        version: String,
    },
}

impl KubeVersion {
    /// Reads a version as `--kube-version` does: `1.33`, `v1.33.4-gke.1245000`.
    ///
    /// # Errors
    /// When the text does not start with two dotted numbers.
    pub fn parse(text: &str) -> Result<Self, KubeVersionError> {
        let numbers = parse_generic(text)?;
        let version = if text.starts_with('v') { text.to_owned() } else { format!("v{text}") };
        let parts: Vec<String> = numbers.iter().map(u64::to_string).collect();
        Ok(Self {
            version,
            normalized: format!("v{}", parts.join(".")),
            major: parts[0].clone(),
            minor: parts[1].clone(),
        })
    }
}

impl KubeVersion {
    /// [`KubeVersion::parse`] as a profile's helm does it: older ones drop the suffix.
    ///
    /// # Errors
    /// As [`KubeVersion::parse`].
    pub fn parse_as(text: &str, profile: &HelmProfile) -> Result<Self, KubeVersionError> {
        let mut version = Self::parse(text)?;
        if !profile.normalized_kube_version {
            version.version.clone_from(&version.normalized);
        }
        Ok(version)
    }
}

/// apimachinery's `ParseGeneric`: `^\s*v?([0-9]+(?:\.[0-9]+)*)(.*)*$`, at least two numbers.
fn parse_generic(text: &str) -> Result<Vec<u64>, KubeVersionError> {
    let trimmed = text.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
    let body = trimmed.strip_prefix('v').unwrap_or(trimmed);
    let bytes = body.as_bytes();
    let mut end = 0;
    loop {
        let start = end;
        while end < bytes.len() && bytes[end].is_ascii_digit() {
            end += 1;
        }
        if end == start || body[end..].contains('\n') {
            return Err(KubeVersionError::NotAVersion(text.to_owned()));
        }
        if end + 1 < bytes.len() && bytes[end] == b'.' && bytes[end + 1].is_ascii_digit() {
            end += 1;
        } else {
            break;
        }
    }
    let parts: Vec<&str> = body[..end].split('.').collect();
    if parts.len() < 2 {
        return Err(KubeVersionError::TooShort(text.to_owned()));
    }
    if parts[0].len() > 1 && parts[0].starts_with('0') {
        return Err(KubeVersionError::ZeroPrefixed {
            component: parts[0].to_owned(),
            version: text.to_owned(),
        });
    }
    parts
        .iter()
        .map(|part| {
            part.parse().map_err(|_| KubeVersionError::OutOfRange {
                component: (*part).to_owned(),
                version: text.to_owned(),
            })
        })
        .collect()
}

/// Helm's own build information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// As `v4.3.1`.
    pub version: String,
    /// The commit it was built from.
    pub git_commit: String,
    /// `clean` or `dirty`.
    pub git_tree_state: String,
    /// The Go release it was built with.
    pub go_version: String,
    /// The Kubernetes client's version, as `v1.37`; absent in Helm 3.
    pub kube_client_version: Option<String>,
}

impl BuildInfo {
    /// What the release binary of the profile's version reports.
    #[must_use]
    pub fn of(profile: &HelmProfile) -> Self {
        Self {
            version: profile.version.to_owned(),
            git_commit: profile.git_commit.to_owned(),
            git_tree_state: "clean".to_owned(),
            go_version: profile.go_version.to_owned(),
            kube_client_version: match profile.chart_shape {
                crate::profile::ChartShape::Map => Some(format!("v1.{}", profile.kube_minor)),
                crate::profile::ChartShape::Struct => None,
            },
        }
    }
}

/// The groups and versions of client-go v0.37 (Helm v4.3), in its scheme's order.
pub(crate) const API_VERSIONS_V0_37: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// The groups and versions of client-go v0.34 (Helm v3.19), in its scheme's order.
pub(crate) const API_VERSIONS_V0_34: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "autoscaling/v2beta1",
    "autoscaling/v2beta2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha1",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1alpha1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// The groups and versions of client-go v0.35 (Helm v4.1), in its scheme's order.
pub(crate) const API_VERSIONS_V0_35: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "autoscaling/v2beta1",
    "autoscaling/v2beta2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha1",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// The groups and versions of client-go v0.36 (Helm v4.2), in its scheme's order.
pub(crate) const API_VERSIONS_V0_36: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha2",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];
