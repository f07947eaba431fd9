//! From a directory of a source to a compiled chart, as source-controller packages it: `valuesFiles` merged in place
//! of `values.yaml`, revision and generation in the version.
//!
//! Mirrors fluxcd/source-controller `internal/helm/chart/builder_local.go`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use helm_engine::values::{Map, load_values, merge_maps};
use helm_engine::{ChartFiles, CompiledChart, HelmProfile, load_archive, load_files};
use masterminds_semver::Version;

/// How many compiled charts are kept: the ones in use, and those of the push before.
const KEPT_CHARTS: usize = 16;

/// Why a chart could not be built, with Flux's reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{summary}: {message}")]
pub struct ChartBuildError {
    /// Flux's reason literal (`ValuesFilesError`).
    pub reason: &'static str,
    /// Flux's summary of that reason.
    pub summary: &'static str,
    /// What is wrong.
    pub message: String,
}

impl ChartBuildError {
    /// The chart is not where the object says, or no chart.
    pub fn reference(message: impl Into<String>) -> Self {
        Self { reason: "InvalidChartReference", summary: "invalid chart reference", message: message.into() }
    }

    fn values(message: impl Into<String>) -> Self {
        Self { reason: "ValuesFilesError", summary: "values files merge error", message: message.into() }
    }

    fn metadata(message: impl Into<String>) -> Self {
        Self { reason: "MetadataPatchError", summary: "chart metadata patch error", message: message.into() }
    }

    fn dependencies(message: impl Into<String>) -> Self {
        Self { reason: "DependencyBuildError", summary: "dependency build error", message: message.into() }
    }

    fn package(message: impl Into<String>) -> Self {
        Self { reason: "ChartPackageError", summary: "chart package error", message: message.into() }
    }
}

/// What a chart is built from. The strings of `identity` stand for the content: equal identities, equal charts.
#[derive(Debug, Clone)]
pub struct ChartRequest {
    /// Where the chart's content is told apart by: tree or blob ids of everything that is read.
    pub identity: Vec<String>,
    /// The chart's files, relative to its root, or one packaged archive.
    pub content: ChartContent,
    /// `valuesFiles` in their order: the path as written and the bytes, `None` when it is not there.
    pub values_files: Vec<(String, Option<Arc<[u8]>>)>,
    /// Skip values files that are not there.
    pub ignore_missing_values_files: bool,
    /// What goes behind the `+` of the version; empty for nothing.
    pub version_metadata: String,
}

impl ChartRequest {
    /// What tells this request from others.
    pub fn key(&self) -> ChartKey {
        ChartKey {
            identity: self.identity.clone(),
            values_files: self.values_files.iter().map(|(path, _)| path.clone()).collect(),
            ignore_missing_values_files: self.ignore_missing_values_files,
            version_metadata: self.version_metadata.clone(),
        }
    }
}

/// Tells charts apart: requests with equal keys build equal charts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChartKey {
    identity: Vec<String>,
    values_files: Vec<String>,
    ignore_missing_values_files: bool,
    version_metadata: String,
}

/// A chart's files.
#[derive(Debug, Clone)]
pub enum ChartContent {
    /// A directory: path relative to the chart's root, bytes.
    Directory(BTreeMap<String, Arc<[u8]>>),
    /// A `.tgz`.
    Archive(Arc<[u8]>),
}

/// A chart ready to be rendered for any number of clusters.
#[derive(Debug)]
pub struct BuiltChart {
    /// The compiled chart.
    pub compiled: Arc<CompiledChart>,
    /// Its name.
    pub name: String,
    /// Its version, with metadata.
    pub version: String,
    /// The values files that were merged, as written.
    pub values_files: Vec<String>,
}

impl BuiltChart {
    /// The message of the HelmChart's Ready condition.
    pub fn message(&self) -> String {
        let mut text = format!("packaged '{}' chart with version '{}'", self.name, self.version);
        if !self.values_files.is_empty() {
            text.push_str(&format!(" and merged values files [{}]", self.values_files.join(" ")));
        }
        text
    }
}

/// The version's metadata as Flux composes it: the first 12 hex digits of the revision under
/// `reconcileStrategy: Revision`, the HelmChart's generation when values files are merged.
pub fn version_metadata(revision_hex: Option<&str>, merges_values: bool, generation: i64) -> String {
    let mut parts = Vec::new();
    if let Some(hex) = revision_hex {
        parts.push(hex.chars().take(12).collect::<String>());
    }
    if merges_values {
        parts.push(generation.to_string());
    }
    parts.join(".")
}

/// Builds and compiles a chart.
pub fn build(request: &ChartRequest, profile: &HelmProfile) -> Result<BuiltChart, ChartBuildError> {
    let mut chart = match &request.content {
        ChartContent::Directory(files) => {
            if !files.contains_key("Chart.yaml") {
                return Err(ChartBuildError::reference("stat Chart.yaml: no such file or directory"));
            }
            load_files(
                &files.iter().map(|(path, data)| (path.clone(), Arc::clone(data))).collect::<ChartFiles>(),
            )
        }
        ChartContent::Archive(bytes) => load_archive(bytes),
    }
    .map_err(|error| ChartBuildError::reference(error.to_string()))?;
    let mut version = chart.metadata.version.clone();
    if !request.version_metadata.is_empty() {
        version = with_metadata(&version, &request.version_metadata)?;
    }
    let mut merged = Map::new();
    let mut used = Vec::new();
    for (path, content) in &request.values_files {
        let Some(content) = content else {
            if request.ignore_missing_values_files {
                continue;
            }
            let shown = path.trim_start_matches("./");
            return Err(ChartBuildError::values(format!(
                "no values file found at path '/{shown}' (reference '{path}')"
            )));
        };
        let values = load_values(content).map_err(|error| {
            ChartBuildError::values(format!("unmarshaling values from '{path}' failed: {error}"))
        })?;
        merged = merge_maps(merged, values);
        used.push(path.clone());
    }
    chart.set_version(&version);
    if !used.is_empty() {
        chart.override_values(&merged);
    }
    let missing: Vec<&str> = chart
        .metadata
        .dependencies
        .iter()
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !chart.dependencies.iter().any(|present| present.name() == *name))
        .collect();
    if !missing.is_empty() {
        return Err(ChartBuildError::dependencies(format!(
            "chart `{}` needs {} which are not in its `charts/` directory\nhint: commit them with `helm dependency build`",
            chart.name(),
            missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        )));
    }
    let name = chart.name().to_owned();
    let compiled = chart.compile(profile).map_err(|error| ChartBuildError::package(error.to_string()))?;
    Ok(BuiltChart { compiled, name, version, values_files: used })
}

fn with_metadata(version: &str, metadata: &str) -> Result<String, ChartBuildError> {
    let parsed = Version::parse(version).map_err(|error| ChartBuildError::metadata(error.to_string()))?;
    let mut text = format!("{}.{}.{}", parsed.major(), parsed.minor(), parsed.patch());
    if !parsed.prerelease().is_empty() {
        text.push_str(&format!("-{}", parsed.prerelease()));
    }
    Ok(format!("{text}+{metadata}"))
}

/// Compiled charts by what they were built from. A push that touches no file of a chart finds it here.
#[derive(Debug, Default)]
pub struct ChartCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    charts: HashMap<ChartKey, Arc<BuiltChart>>,
    /// Least recently used first.
    order: VecDeque<ChartKey>,
}

impl Inner {
    /// Makes `key` the one that is forgotten last.
    fn used(&mut self, key: &ChartKey) {
        if let Some(place) = self.order.iter().position(|known| known == key) {
            self.order.remove(place);
        }
        self.order.push_back(key.clone());
    }
}

impl ChartCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The chart of an equal request, if it is still there.
    pub fn get(&self, key: &ChartKey) -> Option<Arc<BuiltChart>> {
        let mut inner = self.inner.lock().expect("the cache is held for one look-up");
        let chart = inner.charts.get(key).cloned()?;
        inner.used(key);
        Some(chart)
    }

    /// Keeps a chart, and forgets what was not used for longest when there are too many.
    pub fn put(&self, key: ChartKey, chart: Arc<BuiltChart>) {
        let mut inner = self.inner.lock().expect("the cache is held for one insert");
        inner.used(&key);
        inner.charts.insert(key, chart);
        while inner.order.len() > KEPT_CHARTS {
            if let Some(oldest) = inner.order.pop_front() {
                inner.charts.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, Arc<[u8]>> {
        list.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes()))).collect()
    }

    fn request(values_files: &[(&str, Option<&str>)]) -> ChartRequest {
        ChartRequest {
            identity: vec!["tree".into()],
            content: ChartContent::Directory(files(&[
                ("Chart.yaml", "apiVersion: v2\nname: hello\nversion: 1.0.0\n"),
                ("values.yaml", "a: 1\n"),
                ("templates/x.yaml", "kind: X\n"),
            ])),
            values_files: values_files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), text.map(|text| Arc::from(text.as_bytes()))))
                .collect(),
            ignore_missing_values_files: false,
            version_metadata: String::new(),
        }
    }

    #[test]
    fn versions_carry_revision_and_generation() {
        assert_eq!(version_metadata(None, false, 3), "");
        assert_eq!(version_metadata(None, true, 3), "3");
        assert_eq!(
            version_metadata(Some("21a9daedc59819eeeca81a7314ce5cf56d0f74c6"), false, 1),
            "21a9daedc598"
        );
        assert_eq!(
            version_metadata(Some("21a9daedc59819eeeca81a7314ce5cf56d0f74c6"), true, 1),
            "21a9daedc598.1"
        );
        let mut request = request(&[]);
        request.version_metadata = "21a9daedc598.1".into();
        let built = build(&request, &HelmProfile::default()).unwrap();
        assert_eq!(built.version, "1.0.0+21a9daedc598.1");
        assert_eq!(built.message(), "packaged 'hello' chart with version '1.0.0+21a9daedc598.1'");
    }

    #[test]
    fn values_files_replace_the_charts_own_values() {
        let built = build(
            &request(&[("./v.yaml", Some("b: {c: 1, d: 1}")), ("m.yaml", Some("b: {c: 2}"))]),
            &HelmProfile::default(),
        )
        .unwrap();
        assert_eq!(built.compiled.default_values(), serde_json::json!({"b": {"c": 2, "d": 1}}));
        assert!(built.message().ends_with(" and merged values files [./v.yaml m.yaml]"));
    }

    #[test]
    fn a_missing_values_file_is_an_error_unless_ignored() {
        let mut request = request(&[("./no.yaml", None)]);
        let error = build(&request, &HelmProfile::default()).unwrap_err();
        assert_eq!(error.reason, "ValuesFilesError");
        assert_eq!(
            error.to_string(),
            "values files merge error: no values file found at path '/no.yaml' (reference './no.yaml')"
        );
        request.ignore_missing_values_files = true;
        assert!(build(&request, &HelmProfile::default()).is_ok());
    }

    #[test]
    fn a_directory_without_a_chart_is_an_invalid_reference() {
        let mut request = request(&[]);
        request.content = ChartContent::Directory(files(&[("readme", "x")]));
        assert_eq!(build(&request, &HelmProfile::default()).unwrap_err().reason, "InvalidChartReference");
    }

    #[test]
    fn the_charts_that_are_used_stay() {
        let cache = ChartCache::new();
        let chart = Arc::new(build(&request(&[]), &HelmProfile::default()).unwrap());
        let key = |number: usize| {
            let mut request = request(&[]);
            request.identity = vec![number.to_string()];
            request.key()
        };
        for number in 0..KEPT_CHARTS {
            cache.put(key(number), Arc::clone(&chart));
        }
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(KEPT_CHARTS), Arc::clone(&chart));
        assert!(cache.get(&key(0)).is_some(), "used a moment ago");
        assert!(cache.get(&key(1)).is_none());
        assert_eq!(Arc::strong_count(&chart), KEPT_CHARTS + 1);
    }

    #[test]
    fn a_chart_without_a_values_file_is_not_taken_where_the_file_is_required() {
        let mut lenient = request(&[("./no.yaml", None)]);
        lenient.ignore_missing_values_files = true;
        assert_ne!(lenient.key(), request(&[("./no.yaml", None)]).key());
    }
}
