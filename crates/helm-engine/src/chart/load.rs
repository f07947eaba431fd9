//! Puts a chart together from its files, subcharts included.

use std::collections::BTreeMap;

use super::archive::{BOM, Budget};
use super::decode::Seen;
use super::ignore::{HELM_IGNORE, IgnoreError, Rules};
use super::metadata::MetadataError;
use super::{Chart, ChartFile, ChartFiles, archive};
use crate::gostring;
use crate::values::ValuesError;

/// A chart that cannot be loaded; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The archive is not compressed with gzip.
    #[error("gzip: invalid header")]
    NotGzip,
    /// The archive is damaged.
    #[error("{0}")]
    Archive(std::io::Error),
    /// The archive holds no file.
    #[error("no files in chart archive")]
    EmptyArchive,
    /// The chart unpacks to too much.
    #[error("decompressed chart is larger than the maximum size {0}")]
    ChartTooLarge(u64),
    /// The chart has too many files.
    #[error("chart has more than {0} files")]
    TooManyFiles(usize),
    /// Packaged subcharts are packed into each other too deep.
    #[error("subcharts are nested more than {0} deep")]
    TooDeep(usize),
    /// One file is too large.
    #[error("decompressed chart file {} is larger than the maximum file size {limit}", gostring::quote(file))]
    FileTooLarge {
        /// The file.
        file: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A path in the archive is absolute.
    #[error("chart illegally contains absolute paths")]
    AbsolutePath,
    /// A file lies beside the chart's directory.
    #[error("chart illegally contains content outside the base directory: {}", gostring::quote(.0))]
    OutsideBase(String),
    /// A path leaves the chart's directory.
    #[error("chart illegally references parent directory")]
    ParentReference,
    /// A path starts with a drive letter.
    #[error("chart contains illegally named files")]
    DrivePath,
    /// `Chart.yaml` is not inside a directory.
    #[error("chart yaml not in base directory")]
    MetadataOutsideBase,
    /// The archive has no `Chart.yaml`.
    #[error("unable to detect chart version, no Chart.yaml found")]
    NoChartInArchive,
    /// `apiVersion` is none that Helm knows.
    #[error("unsupported chart version")]
    UnsupportedVersion,
    /// There is no `Chart.yaml`.
    #[error("Chart.yaml file is missing")]
    NoMetadata,
    /// A YAML file of the chart cannot be read.
    #[error("cannot load {file}: {reason}")]
    File {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// `Chart.yaml` breaks a rule.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// `.helmignore` has a bad pattern.
    #[error(transparent)]
    Ignore(#[from] IgnoreError),
    /// A packaged subchart holds its files under another name.
    #[error("error unpacking subchart tar in {chart}: expected {expected}, got {found}")]
    SubchartName {
        /// The parent.
        chart: String,
        /// Name of the archive.
        expected: String,
        /// The path found.
        found: String,
    },
    /// A subchart cannot be loaded.
    #[error("error unpacking subchart {name} in {chart}: {source}")]
    Subchart {
        /// The subchart's file or directory.
        name: String,
        /// The parent.
        chart: String,
        /// What is wrong with it.
        source: Box<LoadError>,
    },
}

/// Loads a packaged chart (`.tgz`).
///
/// # Errors
/// When the archive is damaged, unsafe or too large, or the chart in it is wrong.
pub fn load_archive(tgz: &[u8]) -> Result<Chart, LoadError> {
    let mut budget = Budget::default();
    let files = archive::read(tgz, &mut budget)?;
    if !files.iter().any(|file| file.name == "Chart.yaml") {
        return Err(LoadError::NoChartInArchive);
    }
    assemble_root(files, budget)
}

/// Loads an unpacked chart; `.helmignore` is applied.
///
/// # Errors
/// When the chart is wrong or larger than helm accepts.
pub fn load_files(files: &ChartFiles) -> Result<Chart, LoadError> {
    let rules = Rules::parse(files.get(HELM_IGNORE).map(AsRef::as_ref))?;
    let mut kept = Vec::new();
    let mut budget = Budget::default();
    for (path, data) in files.iter() {
        if rules.ignores_file(path) {
            continue;
        }
        budget.take(data.len() as u64)?;
        let data = match data.strip_prefix(BOM) {
            Some(rest) => rest.into(),
            None => data.clone(),
        };
        kept.push(ChartFile { name: path.to_owned(), data, mod_time: None });
    }
    assemble_root(kept, budget)
}

/// The chart that was asked for, whose version Helm must know before it looks at anything else.
fn assemble_root(files: Vec<ChartFile>, mut budget: Budget) -> Result<Chart, LoadError> {
    for file in files.iter().filter(|file| file.name == "Chart.yaml") {
        let wrong = |reason: String| LoadError::File { file: "Chart.yaml", reason };
        let yaml = crate::yaml::parse_bytes(&file.data).map_err(|error| wrong(error.to_string()))?;
        if !matches!(super::decode::api_version(&yaml).map_err(wrong)?.as_str(), "" | "v1" | "v2" | "v3") {
            return Err(LoadError::UnsupportedVersion);
        }
    }
    assemble(files, 0, &mut budget)
}

fn assemble(files: Vec<ChartFile>, depth: usize, budget: &mut Budget) -> Result<Chart, LoadError> {
    if depth > archive::MAX_DEPTH {
        return Err(LoadError::TooDeep(archive::MAX_DEPTH));
    }
    let mut chart = Chart::default();
    let mut seen = Seen::default();
    let mut subcharts: BTreeMap<String, Vec<ChartFile>> = BTreeMap::new();
    let mut found = false;
    for file in &files {
        if file.name == "Chart.yaml" {
            found = true;
            read_metadata(&mut chart, &mut seen, "Chart.yaml", &file.data)?;
            chart.mod_time = file.mod_time;
            if chart.metadata.api_version.is_empty() {
                "v1".clone_into(&mut chart.metadata.api_version);
            }
        }
    }
    // What v2 still reads as a part of the metadata is a file like any other to v3.
    let requirements = chart.metadata.api_version != "v3";
    for file in files {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => read_lock(&mut chart, "Chart.lock", &file.data)?,
            "values.yaml" => {
                let values = crate::values::load_values(&file.data);
                chart.values = Some(values.map_err(|error: ValuesError| LoadError::File {
                    file: "values.yaml",
                    reason: error.to_string(),
                })?);
                chart.raw_values = Some(file.data);
            }
            "values.schema.json" => {
                chart.schema_mod_time = file.mod_time;
                chart.schema = Some(file.data);
            }
            "requirements.yaml" if requirements => {
                found = true;
                read_metadata(&mut chart, &mut seen, "requirements.yaml", &file.data)?;
                if chart.metadata.api_version == "v1" {
                    chart.files.push(file);
                }
            }
            "requirements.lock" if requirements => {
                found = true;
                read_lock(&mut chart, "requirements.lock", &file.data)?;
                if chart.metadata.api_version == "v1" {
                    chart.files.push(file);
                }
            }
            name if name.starts_with("templates/") => chart.templates.push(file),
            name if name.starts_with("charts/") => {
                if gostring::extension(name) == ".prov" {
                    chart.files.push(file);
                    continue;
                }
                let below = name["charts/".len()..].to_owned();
                let subchart = below.split('/').next().unwrap_or_default().to_owned();
                subcharts.entry(subchart).or_default().push(ChartFile { name: below, ..file });
            }
            _ => chart.files.push(file),
        }
    }
    if !found {
        return Err(LoadError::NoMetadata);
    }
    chart.metadata.validate(&seen)?;
    for (name, files) in subcharts {
        if name.starts_with(['_', '.']) {
            continue;
        }
        let subchart = if gostring::extension(&name) == ".tgz" {
            let file = &files[0];
            if file.name != name {
                return Err(LoadError::SubchartName {
                    chart: chart.metadata.name,
                    expected: name,
                    found: file.name.clone(),
                });
            }
            archive::read(&file.data, budget).and_then(|files| assemble(files, depth + 1, budget))
        } else {
            assemble(
                files
                    .into_iter()
                    .filter_map(|file| {
                        let (_, below) = file.name.split_once('/')?;
                        Some(ChartFile { name: below.to_owned(), data: file.data, mod_time: file.mod_time })
                    })
                    .collect(),
                depth + 1,
                budget,
            )
        };
        chart.dependencies.push(subchart.map_err(|source| LoadError::Subchart {
            name,
            chart: chart.metadata.name.clone(),
            source: Box::new(source),
        })?);
    }
    Ok(chart)
}

fn read_metadata(
    chart: &mut Chart,
    seen: &mut Seen,
    file: &'static str,
    data: &[u8],
) -> Result<(), LoadError> {
    let wrong = |reason: String| LoadError::File { file, reason };
    let yaml = crate::yaml::parse_bytes(data).map_err(|error| wrong(error.to_string()))?;
    super::decode::metadata(&mut chart.metadata, seen, &yaml).map_err(wrong)?;
    chart.declares_dependencies = seen.dependencies;
    Ok(())
}

fn read_lock(chart: &mut Chart, file: &'static str, data: &[u8]) -> Result<(), LoadError> {
    let wrong = |reason: String| LoadError::File { file, reason };
    let yaml = crate::yaml::parse_bytes(data).map_err(|error| wrong(error.to_string()))?;
    chart.lock = super::decode::lock(&yaml).map_err(wrong)?;
    Ok(())
}
