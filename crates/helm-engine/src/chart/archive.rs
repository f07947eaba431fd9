//! Reads a packaged chart (`.tgz`) into its files, with Helm's checks on paths and sizes.

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;

use super::ChartFile;
use super::load::LoadError;
use crate::gostring;

/// The most bytes a chart may have once unpacked: Helm's 100 MiB.
pub(crate) const MAX_CHART_SIZE: u64 = 100 * 1024 * 1024;

/// The most bytes one file of a chart may have: 5 MiB, what Helm 3 allows.
pub(crate) const MAX_FILE_SIZE: u64 = 5 * 1024 * 1024;

/// The most files a chart may have, those of its packaged subcharts included. Helm has no such bound.
pub(crate) const MAX_FILES: usize = 100_000;

/// How deep packaged subcharts may be packed into each other. Helm has no such bound.
pub(crate) const MAX_DEPTH: usize = 64;

/// What may still be unpacked: the bounds hold for a chart with all it contains.
pub(super) struct Budget {
    bytes: u64,
    files: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MAX_CHART_SIZE, files: MAX_FILES }
    }
}

impl Budget {
    /// Takes one file of that size.
    pub(super) fn take(&mut self, size: u64) -> Result<(), LoadError> {
        self.bytes = self.bytes.checked_sub(size).ok_or(LoadError::ChartTooLarge(MAX_CHART_SIZE))?;
        self.files = self.files.checked_sub(1).ok_or(LoadError::TooManyFiles(MAX_FILES))?;
        Ok(())
    }
}

/// Byte order mark, cut off every file.
pub(super) const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];

/// The files of a packaged chart, paths relative to the chart's root, in the archive's order.
pub(super) fn read(tgz: &[u8], budget: &mut Budget) -> Result<Vec<ChartFile>, LoadError> {
    if !tgz.starts_with(&[0x1f, 0x8b]) {
        return Err(LoadError::NotGzip);
    }
    let limited = GzDecoder::new(tgz).take(2 * MAX_CHART_SIZE);
    let mut archive = tar::Archive::new(limited);
    let mut files = Vec::new();
    for (count, entry) in archive.entries().map_err(LoadError::Archive)?.enumerate() {
        if count >= MAX_FILES {
            return Err(LoadError::TooManyFiles(MAX_FILES));
        }
        let mut entry = entry.map_err(LoadError::Archive)?;
        let kind = entry.header().entry_type();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if kind.is_dir()
            || path.ends_with('/')
            || kind.is_pax_global_extensions()
            || kind.is_pax_local_extensions()
        {
            continue;
        }
        let name = name_in_chart(&path)?;
        let size = entry.size();
        if size > budget.bytes {
            return Err(LoadError::ChartTooLarge(MAX_CHART_SIZE));
        }
        if size > MAX_FILE_SIZE {
            return Err(LoadError::FileTooLarge { file: name, limit: MAX_FILE_SIZE });
        }
        budget.take(size)?;
        let Some(data) = read_file(&mut entry, size).map_err(LoadError::Archive)? else {
            return Err(LoadError::ChartTooLarge(MAX_CHART_SIZE));
        };
        if budget.bytes == 0 {
            return Err(LoadError::ChartTooLarge(MAX_CHART_SIZE));
        }
        let data = data.strip_prefix(BOM).map(Arc::from).unwrap_or(data);
        let mod_time = entry.header().mtime().ok().and_then(|secs| i64::try_from(secs).ok());
        files.push(ChartFile { name, data, mod_time });
    }
    if files.is_empty() {
        return Err(LoadError::EmptyArchive);
    }
    Ok(files)
}

/// So many bytes, read to where they stay; none if the archive has fewer.
fn read_file(entry: &mut impl Read, size: u64) -> std::io::Result<Option<Arc<[u8]>>> {
    let size = usize::try_from(size).unwrap_or_default();
    let mut data: Arc<[u8]> = std::iter::repeat_n(0, size).collect();
    let bytes = Arc::get_mut(&mut data).expect("nobody else knows it yet");
    match entry.read_exact(bytes) {
        Ok(()) => Ok(Some(data)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Cuts the first path component off and refuses what would leave the chart.
fn name_in_chart(path: &str) -> Result<String, LoadError> {
    let delimiter = if path.contains('\\') { '\\' } else { '/' };
    let (first, rest) = path.split_once(delimiter).unwrap_or((path, ""));
    let rest = if delimiter == '\\' { rest.replace('\\', "/") } else { rest.to_owned() };
    if rest.starts_with('/') {
        return Err(LoadError::AbsolutePath);
    }
    let name = gostring::clean_path(&rest);
    if name == "." {
        return Err(LoadError::OutsideBase(path.to_owned()));
    }
    if name.starts_with("..") {
        return Err(LoadError::ParentReference);
    }
    let bytes = name.as_bytes();
    if bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && bytes[2] == b'/' {
        return Err(LoadError::DrivePath);
    }
    if first == "Chart.yaml" {
        return Err(LoadError::MetadataOutsideBase);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str) -> String {
        name_in_chart(path).unwrap_err().to_string()
    }

    #[test]
    fn the_first_component_is_cut_off() {
        assert_eq!(name_in_chart("app/templates/a.yaml").unwrap(), "templates/a.yaml");
        assert_eq!(name_in_chart(r"app\templates\a.yaml").unwrap(), "templates/a.yaml");
        assert_eq!(name_in_chart("app/./x//y").unwrap(), "x/y");
    }

    #[test]
    fn paths_that_leave_the_chart_are_refused() {
        assert_eq!(refused("app//etc/passwd"), "chart illegally contains absolute paths");
        assert_eq!(refused("app/../../x"), "chart illegally references parent directory");
        assert_eq!(refused("app/c:/x"), "chart contains illegally named files");
        assert_eq!(refused("app"), "chart illegally contains content outside the base directory: \"app\"");
        assert_eq!(refused("Chart.yaml/x"), "chart yaml not in base directory");
    }
}
