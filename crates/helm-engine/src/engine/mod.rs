//! Compiles a chart once and renders it many times.

mod chart_object;
mod compiled;
mod encode;
mod errors;
mod functions;
mod objects;
mod plan;
mod reads;
mod render;
#[cfg(test)]
mod tests;
mod toml;
mod tpl;

use std::rc::Rc;
use std::sync::Arc;

use crate::capabilities::Capabilities;
use crate::chart::dependencies::MissingDependencies;
use crate::limits::Limits;
use crate::manifest::ManifestError;
use crate::schema::SchemaError;
use crate::values::CoalesceError;

pub use compiled::{CompiledChart, Rendered};
pub use reads::{LookupRead, Reads};

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
///
/// A render keeps it for its own duration only, but the functions of a template cannot borrow, so it
/// is handed over as an `Rc`.
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

/// Fills a buffer with random bytes.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Everything a render is given besides the values.
#[derive(Clone)]
pub struct RenderContext<'a> {
    /// `.Release`
    pub release: &'a ReleaseOptions,
    /// `.Capabilities`
    pub capabilities: &'a Capabilities,
    /// Answers `lookup`.
    pub lookup: Rc<dyn Lookup>,
    /// When to stop.
    pub limits: &'a Limits,
    /// Leave JSON schemas out (`--skip-schema-validation`).
    pub skip_schema_validation: bool,
    /// Fill [`Reads::values`]; it takes a few hundredths of the time of a render.
    pub note_values: bool,
    /// What `now` answers: seconds since 1970 and nanoseconds.
    pub now: (i64, u32),
    /// Where `randAlphaNum`, `genCA` and their like get their bytes. Passwords and keys are made of
    /// them: outside tests it must be a cryptographic source.
    pub entropy: Entropy,
}

impl<'a> RenderContext<'a> {
    /// A context with the system's time and randomness: the one place where this crate asks for
    /// either.
    #[must_use]
    pub fn new(
        release: &'a ReleaseOptions,
        capabilities: &'a Capabilities,
        lookup: Rc<dyn Lookup>,
        limits: &'a Limits,
    ) -> Self {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            release,
            capabilities,
            lookup,
            limits,
            skip_schema_validation: false,
            note_values: false,
            now: (i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX), since_1970.subsec_nanos()),
            entropy: Arc::new(|buffer| {
                getrandom::fill(buffer).expect("the system has a source of random bytes")
            }),
        }
    }
}

/// A chart that cannot be rendered; the texts are Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A library chart cannot be a release.
    #[error("{0} charts are not installable")]
    NotInstallable(String),
    /// A chart of `apiVersion: v3`, which no Helm version installs yet.
    #[error("invalid chart apiVersion")]
    ApiVersion,
    /// A dependency of such a chart.
    #[error("unsupported chart dependency type")]
    DependencyType,
    /// Subcharts that `Chart.yaml` names are not there.
    #[error(transparent)]
    MissingDependencies(#[from] MissingDependencies),
    /// The release's name cannot be one.
    #[error("release name check failed: release name {}: {reason}", crate::gostring::quote(name))]
    ReleaseName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The values do not fit the subcharts.
    #[error("chart dependencies processing failed: {0}")]
    Dependencies(CoalesceError),
    /// The values do not fit the chart.
    #[error(transparent)]
    Values(CoalesceError),
    /// The values do not meet a schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The chart does not work with the cluster's version.
    #[error("chart requires kubeVersion: {constraint} which is incompatible with Kubernetes {version}")]
    KubeVersion {
        /// The chart's constraint.
        constraint: String,
        /// The cluster's version.
        version: String,
    },
    /// A template cannot be parsed or executed.
    #[error("{0}")]
    Template(String),
    /// A template used more than it may.
    #[error("{file}: {limit}")]
    Limit {
        /// The template.
        file: String,
        /// Which limit it reached.
        limit: String,
    },
    /// What a template gave is no YAML.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl RenderError {
    /// The text `helm template` prints after `Error: `.
    #[must_use]
    pub fn cli_text(&self) -> String {
        match self {
            Self::MissingDependencies(_) | Self::DependencyType => format!(
                "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: {self}"
            ),
            Self::KubeVersion { .. } | Self::Template(_) | Self::Limit { .. } | Self::Manifest(_) => {
                format!("{self}\n\nUse --debug flag to render out invalid YAML")
            }
            _ => self.to_string(),
        }
    }
}
