//! Which Helm is reproduced: one named field per behaviour that differs between Helm versions.
//!
//! The fields move independently of each other from version to version, so this is a struct with
//! one constructor per version and not an enum of generations. It holds no chart and no values.

/// How a rendered file is cut into documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitRule {
    /// `(?:^|\s*\n)---\s*`, every document trimmed on both sides (v3.19, v4.0, v4.1).
    TrimBoth,
    /// The same separator, documents trimmed on the left only (v4.2.0 to v4.2.3).
    TrimLeft,
    /// `(?m)^---[ \t]*`, trimmed on the left only, blank documents dropped (v4.2.4 and later).
    LineStart,
}

/// What happens to nulls while values are coalesced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullRule {
    /// A user's null deletes the chart's default; nulls in chart defaults are kept (v3.19, v4.0).
    UserDeletes,
    /// As before, but a user's null for a key without a default stays (v3.20, v4.1).
    UserDeletesDefaults,
    /// In addition nulls in chart defaults never reach templates (v4.2 and later).
    DropDefaults,
}

/// How `.Chart` looks to a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartShape {
    /// A Go struct: `.Chart.AppVersion`; unknown fields are errors (v3).
    Struct,
    /// A map with Go field names, all of them present (v4).
    Map,
}

/// How an execution error reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorFormat {
    /// Go's single line (v3).
    SingleLine,
    /// One indented block per template of the call chain (v4).
    Chain,
}

/// Everything that differs between the Helm versions this crate can stand in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmProfile {
    /// The version this profile stands for, with its leading `v`.
    pub version: &'static str,
    /// How rendered files are cut into documents.
    pub split: SplitRule,
    /// What coalescing does with nulls.
    pub nulls: NullRule,
    /// Whether all documents of a `values.yaml` are merged (v3.20 and later) or only the first counts.
    pub merges_value_documents: bool,
    /// The shape of `.Chart`.
    pub chart_shape: ChartShape,
    /// Whether webhook configurations have a place of their own, last, in the install order.
    pub webhooks_last: bool,
    /// The text of execution errors.
    pub errors: ErrorFormat,
    /// Whether `mustToYaml` exists (v4).
    pub must_to_yaml: bool,
    /// Whether `mustToToml` and the duration functions exist (v4.3).
    pub duration_functions: bool,
    /// Whether a chart of `apiVersion: v3` is of a generation of its own, which Helm reads but does not install (v4).
    pub chart_v3_apart: bool,
    /// What `typeOf .Values` prints.
    pub values_type: &'static str,
    /// Minor version of the Kubernetes 1.x that is assumed without a cluster.
    pub kube_minor: u32,
    /// The API versions that are assumed without a cluster.
    pub api_versions: &'static [&'static str],
    /// Whether a Kubernetes version's suffix is ignored by `kubeVersion` constraints.
    pub normalized_kube_version: bool,
    /// The Git commit of `.Capabilities.HelmVersion`.
    pub git_commit: &'static str,
    /// The Go release of `.Capabilities.HelmVersion`.
    pub go_version: &'static str,
}

impl HelmProfile {
    /// Helm v4.3.1, the default.
    #[must_use]
    pub fn v4_3_1() -> Self {
        Self {
            version: "v4.3.1",
            split: SplitRule::LineStart,
            nulls: NullRule::DropDefaults,
            merges_value_documents: true,
            chart_shape: ChartShape::Map,
            webhooks_last: true,
            errors: ErrorFormat::Chain,
            must_to_yaml: true,
            duration_functions: true,
            chart_v3_apart: true,
            values_type: "common.Values",
            kube_minor: 37,
            api_versions: crate::capabilities::API_VERSIONS_V0_37,
            normalized_kube_version: true,
            git_commit: "c0d08d0d6d9424d4a14febb5e8a3e51b0dd00dff",
            go_version: "go1.27.2",
        }
    }

    /// Helm v4.2.4: the text generation of v4.3 with an older client and without the duration
    /// functions; what helm-controller 1.6.3 embeds.
    #[must_use]
    pub fn v4_2() -> Self {
        Self {
            version: "v4.2.4",
            duration_functions: false,
            kube_minor: 36,
            api_versions: crate::capabilities::API_VERSIONS_V0_36,
            ..Self::v4_3_1()
        }
    }

    /// Helm v4.1.4: documents trimmed on both sides, nulls of chart defaults reach templates.
    #[must_use]
    pub fn v4_1() -> Self {
        Self {
            version: "v4.1.4",
            split: SplitRule::TrimBoth,
            nulls: NullRule::UserDeletesDefaults,
            kube_minor: 35,
            api_versions: crate::capabilities::API_VERSIONS_V0_35,
            ..Self::v4_2()
        }
    }

    /// Helm v3.19.0: `.Chart` is a struct, execution errors are one line.
    #[must_use]
    pub fn v3_19() -> Self {
        Self {
            version: "v3.19.0",
            nulls: NullRule::UserDeletes,
            merges_value_documents: false,
            chart_shape: ChartShape::Struct,
            webhooks_last: false,
            errors: ErrorFormat::SingleLine,
            must_to_yaml: false,
            chart_v3_apart: false,
            values_type: "chartutil.Values",
            kube_minor: 34,
            api_versions: crate::capabilities::API_VERSIONS_V0_34,
            normalized_kube_version: false,
            ..Self::v4_1()
        }
    }

    /// The profile for a version as a user writes it: `v4.3.1`, `4.2`, `v3.19`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix('v').unwrap_or(name);
        [Self::v4_3_1(), Self::v4_2(), Self::v4_1(), Self::v3_19()].into_iter().find(|profile| {
            let full = &profile.version[1..];
            full == name
                || full.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && name.contains('.'))
        })
    }
}

impl Default for HelmProfile {
    fn default() -> Self {
        Self::v4_3_1()
    }
}
