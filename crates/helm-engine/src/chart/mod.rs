//! A chart as its author wrote it: metadata, templates, default values, files and subcharts.
//!
//! Loading fills [`Chart`]; it can still be changed (Flux sets the version and replaces the default
//! values) until [`Chart::compile`] turns it into a [`crate::CompiledChart`], which cannot.

mod archive;
mod decode;
pub(crate) mod dependencies;
pub(crate) mod ignore;
pub(crate) mod load;
pub(crate) mod metadata;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::values::{Map, UserValues, ValuesError};
use metadata::{Dependency, Metadata};

/// The files of an unpacked chart: path relative to the chart's root, with `/`, to contents.
///
/// Who fills it decides about symbolic links and irregular files; Helm follows links and refuses
/// irregular files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartFiles(BTreeMap<String, Arc<[u8]>>);

impl ChartFiles {
    /// No files yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces the one at the same path.
    pub fn insert(&mut self, path: impl Into<String>, data: impl Into<Arc<[u8]>>) {
        self.0.insert(path.into(), data.into());
    }

    /// The contents at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Arc<[u8]>> {
        self.0.get(path)
    }

    /// Paths and contents in the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<[u8]>)> {
        self.0.iter().map(|(path, data)| (path.as_str(), data))
    }
}

impl<P: Into<String>, D: Into<Arc<[u8]>>> FromIterator<(P, D)> for ChartFiles {
    fn from_iter<I: IntoIterator<Item = (P, D)>>(files: I) -> Self {
        Self(files.into_iter().map(|(path, data)| (path.into(), data.into())).collect())
    }
}

/// One file of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartFile {
    /// Path relative to the chart's root.
    pub name: String,
    /// Contents, without a byte order mark.
    pub data: Arc<[u8]>,
    /// Modification time in seconds since 1970, where the source had one.
    pub mod_time: Option<i64>,
}

/// A file below `crds/`, which Helm never renders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrdFile {
    /// Path relative to the chart it belongs to, as `crds/widget.yaml`.
    pub name: String,
    /// Path from the root chart's name on, as `app/charts/sub/crds/widget.yaml`.
    pub filename: String,
    /// Contents.
    pub data: Arc<[u8]>,
}

/// `Chart.lock`: the dependencies that were resolved when the chart was built.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// When it was written, as RFC 3339 text.
    #[serde(default)]
    pub generated: String,
    /// Hash of the dependencies in `Chart.yaml`.
    #[serde(default)]
    pub digest: String,
    /// The resolved dependencies.
    #[serde(default)]
    pub dependencies: Vec<Dependency>,
}

/// A loaded chart with its subcharts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// `Chart.yaml`, cleaned and checked.
    pub metadata: Metadata,
    /// `Chart.lock`, if there is one.
    pub lock: Option<Lock>,
    /// Files below `templates/`.
    pub templates: Vec<ChartFile>,
    /// Default values; `None` without a `values.yaml`.
    pub values: Option<Map>,
    /// `values.schema.json`, if there is one.
    pub schema: Option<Arc<[u8]>>,
    /// Modification time of the schema in seconds since 1970.
    pub schema_mod_time: Option<i64>,
    /// Modification time of `Chart.yaml` in seconds since 1970.
    pub mod_time: Option<i64>,
    /// All other files, as `.Files` shows them.
    pub files: Vec<ChartFile>,
    /// `values.yaml` as it was read or last replaced.
    pub raw_values: Option<Arc<[u8]>>,
    /// Subcharts from `charts/`, in the order of their files.
    pub dependencies: Vec<Chart>,
    /// Whether `Chart.yaml` has a list of dependencies, even an empty one; without, Helm takes
    /// every subchart as it is.
    pub declares_dependencies: bool,
}

impl Chart {
    /// The chart's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Gives the chart another version, as Flux does for `reconcileStrategy: Revision`.
    pub fn set_version(&mut self, version: &str) {
        version.clone_into(&mut self.metadata.version);
    }

    /// Replaces the default values; Flux merges `valuesFiles` and puts the result in the place of
    /// `values.yaml`.
    pub fn override_values(&mut self, values: &impl UserValues) {
        let values = values.user_values().into_owned();
        self.raw_values = Some(crate::values::to_yaml(&values).into_bytes().into());
        self.values = Some(values);
    }

    /// [`Chart::override_values`] from the bytes of a values file.
    ///
    /// # Errors
    /// When the text is no YAML or no table.
    pub fn override_values_yaml(&mut self, yaml: &[u8]) -> Result<(), ValuesError> {
        self.values = Some(crate::values::load_values(yaml)?);
        self.raw_values = Some(yaml.into());
        Ok(())
    }
}
