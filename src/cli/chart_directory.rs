//! Reads a chart's directory as helm does: links are followed under their own names, and what
//! `.helmignore` leaves out is not even opened. It does not know what the files mean.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{anyhow, bail};
use helm_engine::{ChartFiles, IgnoreRules};

/// The most bytes a chart directory may hold; helm's limit.
pub(super) const MAX_CHART_BYTES: u64 = 100 * 1024 * 1024;

/// How deep a chart's directories may nest; a link to a directory above would never end.
const MAX_DIRECTORY_DEPTH: usize = 64;

/// How many links may lead to one file; Go's limit.
const MAX_LINKS: usize = 255;

/// Every file of the chart.
pub(super) fn read(root: &Path) -> anyhow::Result<ChartFiles> {
    let rules = match fs::read(root.join(".helmignore")) {
        Ok(text) => IgnoreRules::parse(Some(&text))?,
        Err(_) => IgnoreRules::parse(None)?,
    };
    let mut files = ChartFiles::new();
    let mut remaining = MAX_CHART_BYTES;
    // Depth first and in the order of names, so that the first error is the one helm meets first.
    let mut pending = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((path, name, depth)) = pending.pop() {
        let metadata = metadata(&path)?;
        if !name.is_empty() && rules.ignores(&name, metadata.is_dir()) {
            continue;
        }
        if metadata.is_dir() {
            if depth > MAX_DIRECTORY_DEPTH {
                bail!("chart directory {} nests too deeply", path.display());
            }
            let mut below = Vec::new();
            for entry in fs::read_dir(&path)
                .map_err(|error| anyhow!("open {}: {}", path.display(), go_error(&error)))?
            {
                below.push(entry?.file_name());
            }
            below.sort_unstable_by(|a, b| b.cmp(a));
            for entry in below {
                let slash = if name.is_empty() { "" } else { "/" };
                let below = format!("{name}{slash}{}", entry.to_string_lossy());
                pending.push((path.join(entry), below, depth + 1));
            }
            continue;
        }
        if !metadata.is_file() {
            bail!("cannot load irregular file {} as it has file mode type bits set", path.display());
        }
        let data = contents(&path, remaining).map_err(|error| anyhow!("error reading {name}: {error}"))?;
        remaining -= data.len() as u64;
        files.insert(name, data);
    }
    Ok(files)
}

/// The operating system's text the way Go writes it.
pub(super) fn go_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn contents(path: &Path, remaining: u64) -> Result<Vec<u8>, String> {
    let fail = |error: io::Error| format!("open {}: {}", path.display(), go_error(&error));
    let mut data = Vec::new();
    fs::File::open(path).map_err(fail)?.take(remaining + 1).read_to_end(&mut data).map_err(fail)?;
    if data.len() as u64 > remaining {
        return Err(format!("chart exceeds maximum decompressed size of {MAX_CHART_BYTES} bytes"));
    }
    Ok(data)
}

/// What a path leads to, and helm's text where a link leads nowhere.
fn metadata(path: &Path) -> anyhow::Result<fs::Metadata> {
    let found = fs::symlink_metadata(path)
        .map_err(|error| anyhow!("lstat {}: {}", path.display(), go_error(&error)))?;
    if !found.is_symlink() {
        return Ok(found);
    }
    let resolved =
        resolve(path).map_err(|error| anyhow!("error evaluating symlink {}: {error}", path.display()))?;
    fs::symlink_metadata(&resolved)
        .map_err(|error| anyhow!("lstat {}: {}", resolved.display(), go_error(&error)))
}

/// Follows links as Go's `filepath.EvalSymlinks` does, which names the part that is missing.
fn resolve(path: &Path) -> Result<PathBuf, String> {
    let parts = |path: &Path| -> VecDeque<OsString> {
        let named = |part: Component<'_>| match part {
            Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
            _ => None,
        };
        path.components().filter_map(named).collect()
    };
    let mut left = parts(path);
    let mut resolved = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(part);
        let fail = |error: io::Error| format!("lstat {}: {}", next.display(), go_error(&error));
        let found = fs::symlink_metadata(&next).map_err(fail)?;
        if !found.is_symlink() {
            if !found.is_dir() && !left.is_empty() {
                return Err("not a directory".to_owned());
            }
            resolved = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err("EvalSymlinks: too many links".to_owned());
        }
        let target = fs::read_link(&next).map_err(fail)?;
        if target.is_absolute() {
            resolved = PathBuf::from("/");
        }
        let mut longer = parts(&target);
        longer.append(&mut left);
        left = longer;
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    fn names(root: &Path) -> Vec<String> {
        read(root).unwrap().iter().map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn links_are_followed_under_their_own_names() {
        let shared = directory(&[("helpers/_a.tpl", "a"), ("one.yaml", "b")]);
        let chart = directory(&[("Chart.yaml", "x")]);
        symlink(shared.path().join("helpers"), chart.path().join("templates")).unwrap();
        symlink("Chart.yaml", chart.path().join("same.yaml")).unwrap();
        assert_eq!(names(chart.path()), ["Chart.yaml", "same.yaml", "templates/_a.tpl"]);
    }

    #[test]
    fn what_is_ignored_is_not_opened() {
        let chart = directory(&[(".helmignore", ".git/\n*.sock\n"), ("Chart.yaml", "x"), (".git/a", "")]);
        symlink("nowhere", chart.path().join(".git/dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(chart.path().join("a.sock")).unwrap();
        assert_eq!(names(chart.path()), [".helmignore", "Chart.yaml"]);
    }

    #[test]
    fn h73_links_that_lead_nowhere_or_round_are_named() {
        let chart = directory(&[("Chart.yaml", "x")]);
        let root = chart.path().canonicalize().unwrap();
        symlink("gone/far", root.join("a")).unwrap();
        assert_eq!(
            read(&root).unwrap_err().to_string(),
            format!(
                "error evaluating symlink {0}/a: lstat {0}/gone: no such file or directory",
                root.display()
            )
        );
        fs::remove_file(root.join("a")).unwrap();
        symlink("b", root.join("b")).unwrap();
        let error = read(&root).unwrap_err().to_string();
        assert!(error.ends_with("EvalSymlinks: too many links"), "{error}");
        fs::remove_file(root.join("b")).unwrap();
        symlink(".", root.join("round")).unwrap();
        assert!(read(&root).is_err());
    }

    #[test]
    fn irregular_files_are_refused() {
        let chart = directory(&[("Chart.yaml", "x")]);
        let _socket = std::os::unix::net::UnixListener::bind(chart.path().join("a.sock")).unwrap();
        let error = read(chart.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot load irregular file "), "{error}");
    }
}
