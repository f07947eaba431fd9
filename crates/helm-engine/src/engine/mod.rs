//! Compiles a chart once and renders it many times.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::capabilities::Capabilities;
use crate::chart::metadata::Metadata;
use crate::chart::{Chart, CrdFile};
use crate::limits::Limits;
use crate::manifest::{Hook, Manifest};
use crate::profile::HelmProfile;
use crate::values::UserValues;

/// The release a render is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// `.Release.Name`
    pub name: String,
    /// `.Release.Namespace`
    pub namespace: String,
    /// `.Release.Revision`
    pub revision: i64,
    /// `.Release.IsInstall`
    pub is_install: bool,
    /// `.Release.IsUpgrade`
    pub is_upgrade: bool,
    /// `.Release.Service`, always `Helm`.
    pub service: String,
}

/// Answers `lookup` calls of templates.
pub trait Lookup {
    /// The object, a list when `name` is empty, or `{}` when it does not exist.
    ///
    /// # Errors
    /// With the text that the template's error shall show.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, String>;
}

/// No cluster: every lookup finds nothing, as in `helm template`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCluster;

impl Lookup for NoCluster {
    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<serde_json::Value, String> {
        Ok(serde_json::Value::Object(serde_json::Map::new()))
    }
}

/// One `lookup` call a render made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupRead {
    /// `apiVersion` argument.
    pub api_version: String,
    /// `kind` argument.
    pub kind: String,
    /// `namespace` argument.
    pub namespace: String,
    /// `name` argument; empty for a list.
    pub name: String,
}

/// What a render looked at besides the chart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Paths below `.Values`, as `image.tag`; subcharts' paths start with the subchart's name.
    pub values: BTreeSet<String>,
    /// Parts of `.Capabilities`, as `KubeVersion` or `APIVersions/apps/v1`.
    pub capabilities: BTreeSet<String>,
    /// Objects looked up in the cluster.
    pub lookups: BTreeSet<LookupRead>,
    /// Whether time or randomness was used, so that a second render may differ.
    pub volatile: bool,
}

/// What the templates of a release became.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Documents that are no hooks, in install order.
    pub manifests: Vec<Manifest>,
    /// Hooks, in install order; they run by weight and name within an event.
    pub hooks: Vec<Hook>,
    /// The root chart's `NOTES.txt`.
    pub notes: String,
    /// The values the templates saw.
    pub values: serde_json::Value,
    /// Files below `crds/` of the chart and of its enabled subcharts.
    pub crds: Vec<CrdFile>,
    /// What was looked at.
    pub reads: Reads,
    /// What helm would have printed to stderr about values that could not be merged.
    pub warnings: Vec<String>,
}

impl Default for ReleaseOptions {
    /// Revision 1 of an install without a name.
    fn default() -> Self {
        Self {
            name: String::new(),
            namespace: "default".to_owned(),
            revision: 1,
            is_install: true,
            is_upgrade: false,
            service: "Helm".to_owned(),
        }
    }
}

/// Everything a render is given besides the values.
pub struct RenderContext<'a> {
    /// `.Release`
    pub release: &'a ReleaseOptions,
    /// `.Capabilities`
    pub capabilities: &'a Capabilities,
    /// Answers `lookup`.
    pub lookup: &'a dyn Lookup,
    /// When to stop.
    pub limits: &'a Limits,
    /// Leave JSON schemas out (`--skip-schema-validation`).
    pub skip_schema_validation: bool,
}

/// A chart that cannot be compiled or rendered; the texts are Helm's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A library chart cannot be a release.
    #[error("{0} charts are not installable")]
    NotInstallable(String),
}

/// A chart ready to be rendered: parsed once, usable from any thread.
#[derive(Debug)]
pub struct CompiledChart {
    chart: Chart,
    profile: HelmProfile,
    crds: Vec<CrdFile>,
}

impl Chart {
    /// Parses the templates and schemas of the chart and its subcharts.
    ///
    /// # Errors
    /// When the chart cannot be a release at all. Parse errors are reported when a release uses the
    /// template.
    pub fn compile(self, profile: &HelmProfile) -> Result<Arc<CompiledChart>, RenderError> {
        if !matches!(self.metadata.chart_type.as_str(), "" | "application") {
            return Err(RenderError::NotInstallable(self.metadata.chart_type));
        }
        Ok(Arc::new(CompiledChart { chart: self, profile: profile.clone(), crds: Vec::new() }))
    }
}

impl CompiledChart {
    /// `Chart.yaml`
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.chart.metadata
    }

    /// The chart as it was loaded.
    #[must_use]
    pub fn chart(&self) -> &Chart {
        &self.chart
    }

    /// The Helm version that is reproduced.
    #[must_use]
    pub fn profile(&self) -> &HelmProfile {
        &self.profile
    }

    /// Files below `crds/` of the chart and all its subcharts; [`Rendered::crds`] has only those of
    /// the enabled ones.
    #[must_use]
    pub fn crds(&self) -> &[CrdFile] {
        &self.crds
    }

    /// The chart's `values.yaml`.
    #[must_use]
    pub fn default_values(&self) -> serde_json::Value {
        self.chart.values.as_ref().map_or_else(|| serde_json::json!({}), crate::values::map_to_json)
    }

    /// Renders the chart for a release.
    ///
    /// # Errors
    /// With Helm's text, when dependencies, values, templates or their output are wrong.
    pub fn render(
        &self,
        values: &impl UserValues,
        release: &ReleaseOptions,
        capabilities: &Capabilities,
        lookup: &dyn Lookup,
        limits: &Limits,
    ) -> Result<Rendered, RenderError> {
        let context = RenderContext { release, capabilities, lookup, limits, skip_schema_validation: false };
        self.render_with(values, &context)
    }

    /// [`CompiledChart::render`] with everything that can be chosen.
    ///
    /// # Errors
    /// With Helm's text, when dependencies, values, templates or their output are wrong.
    pub fn render_with(
        &self,
        values: &impl UserValues,
        context: &RenderContext<'_>,
    ) -> Result<Rendered, RenderError> {
        let _ = (values.user_values(), context.release);
        Err(RenderError::NotInstallable(self.chart.metadata.chart_type.clone()))
    }
}
