//! Walking a tree: all files of a directory for the renderer, or everything in Flux's order for an archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::GitErrorKind;
use super::tree::{Content, Directory, Node, View, deep, read};
use crate::source::ignore::IgnoreRules;

/// Bounds for one walk.
#[derive(Clone, Copy, Debug)]
pub struct FileLimits {
    /// Files.
    pub files: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
}

/// Told of each directory (`None`) and file (content, whether it may be run) by its path.
pub(crate) type Visit<'v> = dyn FnMut(&str, Option<(&Content, bool)>) -> Result<(), GitErrorKind> + 'v;
/// Files by path.
pub(crate) type Files = BTreeMap<String, Arc<[u8]>>;

impl View {
    /// Every file below `path` that the rules leave in, by its path relative to `path`; `None` without a directory.
    /// A link to a file is that file, one to a directory is walked into; links that leave the tree, dangle or
    /// lead back to where they stand are left out.
    pub(crate) fn files(
        &self,
        path: &str,
        rules: &IgnoreRules,
        limits: FileLimits,
    ) -> Result<Option<Files>, GitErrorKind> {
        let Some((real, Node::Directory(directory))) = self.resolve(path)? else {
            return Ok(None);
        };
        let mut walk = Walk {
            view: self,
            rules,
            limits,
            found: BTreeMap::new(),
            bytes: 0,
            steps: limits.files.saturating_mul(4),
        };
        walk.directory(&directory, &real, &real, "", 0)?;
        Ok(Some(walk.found))
    }

    /// Calls `visit` with everything that Flux archives: files and directories that the rules leave in, by name,
    /// parents first; links are dropped.
    pub(crate) fn archive(&self, rules: &IgnoreRules, visit: &mut Visit<'_>) -> Result<(), GitErrorKind> {
        let Node::Directory(root) = self.root() else { return Ok(()) };
        self.archive_below(&root, "", 0, rules, visit)
    }

    fn archive_below(
        &self,
        directory: &Directory,
        path: &str,
        depth: usize,
        rules: &IgnoreRules,
        visit: &mut Visit<'_>,
    ) -> Result<(), GitErrorKind> {
        deep(depth)?;
        for (name, child) in self.children(directory, path)? {
            let full = if path.is_empty() { name } else { format!("{path}/{name}") };
            match child {
                Node::Link { .. } => {}
                Node::File { content, executable } => {
                    if self.keeps(&full) && !rules.excludes(&full, false) {
                        visit(&full, Some((&content, executable)))?;
                    }
                }
                Node::Directory(child) => {
                    if self.may_hold(&full) && !rules.excludes(&full, true) {
                        visit(&full, None)?;
                    }
                    // files below an excluded directory can be taken back in, so it is walked all the same
                    self.archive_below(&child, &full, depth + 1, rules, visit)?;
                }
            }
        }
        Ok(())
    }

    fn may_hold(&self, directory: &str) -> bool {
        let below = format!("{directory}/");
        self.sparse.is_empty()
            || self
                .sparse
                .iter()
                .any(|prefix| below.starts_with(prefix.as_str()) || prefix.starts_with(&below))
    }
}

struct Walk<'v> {
    view: &'v View,
    rules: &'v IgnoreRules,
    limits: FileLimits,
    found: BTreeMap<String, Arc<[u8]>>,
    bytes: u64,
    steps: usize,
}

impl Walk<'_> {
    /// `shown` is the path as walked, `real` where the directory lies, `relative` the key's beginning.
    fn directory(
        &mut self,
        directory: &Directory,
        shown: &str,
        real: &str,
        relative: &str,
        depth: usize,
    ) -> Result<(), GitErrorKind> {
        deep(depth)?;
        let join = |before: &str, name: &str| match before {
            "" => name.to_owned(),
            before => format!("{before}/{name}"),
        };
        for (name, child) in self.view.children(directory, real)? {
            self.steps = self.steps.checked_sub(1).ok_or_else(|| self.too_many())?;
            let (shown, key) = (join(shown, &name), join(relative, &name));
            let (real, child) = match child {
                Node::Link { .. } => match self.view.resolve(&join(real, &name)) {
                    Ok(Some((target, node))) => {
                        let leads_back =
                            real == target || real.starts_with(&format!("{target}/")) || target.is_empty();
                        if matches!(node, Node::Directory(_)) && leads_back {
                            continue;
                        }
                        (target, node)
                    }
                    Ok(None) | Err(GitErrorKind::ForbiddenPath(_)) => continue,
                    Err(error) => return Err(error),
                },
                node => (join(real, &name), node),
            };
            match child {
                Node::Directory(child) => self.directory(&child, &shown, &real, &key, depth + 1)?,
                Node::File { content, .. } => {
                    if self.view.keeps(&real) && !self.rules.excludes(&shown, false) {
                        self.file(key, &content)?;
                    }
                }
                Node::Link { .. } => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, key: String, content: &Content) -> Result<(), GitErrorKind> {
        let bytes = read(content, self.limits.file_bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limits.total_bytes {
            return Err(GitErrorKind::TooLarge {
                what: "the files together".into(),
                limit: self.limits.total_bytes,
            });
        }
        self.found.insert(key, bytes.into());
        if self.found.len() > self.limits.files { Err(self.too_many()) } else { Ok(()) }
    }

    fn too_many(&self) -> GitErrorKind {
        GitErrorKind::TooLarge { what: "the number of files".into(), limit: self.limits.files as u64 }
    }
}
