//! Finds the manifests below a directory. Blocking; called on a blocking thread.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tracing::debug;

use super::problem::{ManifestProblem, OpenError};
use super::read::MAX_FILE;

/// Deepest directory looked into.
const MAX_DEPTH: usize = 32;
/// Most manifest files.
const MAX_FILES: usize = 20_000;
/// Most bytes in all of them together; what 20,000 hand-written files never reach.
const MAX_BYTES: usize = 256 << 20;

/// The manifests found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Contents by path relative to the root, in order of path.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Files and directories that are there but could not be read, or were not because of a limit.
    pub(super) problems: Vec<ManifestProblem>,
}

/// Reads every `*.yaml`, `*.yml` and `*.json` below `root`. Hidden names are left out, links that lead out, and the
/// templates of Helm charts.
pub(super) fn walk(root: &Path) -> Result<Found, OpenError> {
    let unreadable = |path: &Path, error: &std::io::Error| OpenError::Unreadable {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let real_root = fs::canonicalize(root).map_err(|error| unreadable(root, &error))?;
    let mut walk = Walk { root: &real_root, found: Found::default(), seen: HashSet::new(), bytes: 0 };
    // The root itself must be readable: a directory that has gone is no empty directory.
    fs::read_dir(&real_root).map_err(|error| unreadable(root, &error))?;
    walk.seen.insert(real_root.clone());
    walk.directory(&real_root, "", 0);
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    found: Found,
    /// Real paths already visited, so that links make neither loops nor duplicates.
    seen: HashSet<PathBuf>,
    bytes: usize,
}

impl Walk<'_> {
    fn problem(&mut self, file: &str, message: impl Into<String>) {
        let file = if file.is_empty() { ".".to_owned() } else { file.to_owned() };
        self.found.problems.push(ManifestProblem { file, line: 0, key: None, message: message.into() });
    }

    fn directory(&mut self, path: &Path, relative: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return self.problem(relative, format!("directories are nested more than {MAX_DEPTH} deep"));
        }
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => return self.problem(relative, format!("cannot be read: {error}")),
        };
        // Real files before links, so that a file keeps its own name when a link leads to it; then by name.
        let mut entries: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                let linked = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                (linked, entry.file_name(), entry.path())
            })
            .collect();
        entries.sort();
        let is_chart = entries.iter().any(|(_, name, _)| name == "Chart.yaml");
        for (linked, name, path) in entries {
            let Some(name) = name.to_str() else {
                debug!(path = %path.display(), "skipped a name that is no UTF-8");
                continue;
            };
            // Templates are no manifests yet, and most of them no YAML.
            if name.starts_with('.') || is_chart && matches!(name, "templates" | "charts") {
                continue;
            }
            let relative = if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
            self.entry(&path, &relative, linked, depth);
        }
    }

    fn entry(&mut self, path: &Path, relative: &str, linked: bool, depth: usize) {
        let real = if linked {
            match fs::canonicalize(path) {
                Ok(real) if real.starts_with(self.root) => real,
                Ok(_) => {
                    if is_manifest(relative) {
                        self.problem(relative, "is a link out of the directory and is not followed");
                    }
                    return;
                }
                Err(error) => {
                    if is_manifest(relative) {
                        self.problem(relative, format!("is a link that leads nowhere: {error}"));
                    }
                    return;
                }
            }
        } else {
            path.to_owned()
        };
        let kind = match fs::metadata(&real) {
            Ok(metadata) => metadata.file_type(),
            // It went away between listing and looking: the next scan decides.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.problem(relative, format!("cannot be read: {error}")),
        };
        let wanted = kind.is_dir() || kind.is_file() && is_manifest(relative);
        if !wanted || !self.seen.insert(real.clone()) {
            return;
        }
        if kind.is_dir() {
            return self.directory(&real, relative, depth + 1);
        }
        if self.found.files.len() == MAX_FILES {
            return self
                .problem(relative, format!("was not read: there are more than {MAX_FILES} manifests"));
        }
        match read(&real) {
            Ok(content) if self.bytes + content.len() > MAX_BYTES => {
                self.problem(
                    relative,
                    format!("was not read: the manifests have more than {MAX_BYTES} bytes"),
                );
            }
            Ok(content) => {
                self.bytes += content.len();
                self.found.files.insert(relative.to_owned(), content);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.problem(relative, format!("cannot be read: {error}")),
        }
    }
}

fn is_manifest(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending))
}

/// One byte over the limit is read, so that the reader can tell that it is over.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}
