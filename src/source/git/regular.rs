//! The plain files of a commit, for whoever wants to change some of them.
//!
//! Follows no link and looks into no submodule: what is found here can be written back at the same path.

use std::sync::Arc;

use super::checkout::RepositoryHandle;
use super::error::{GitError, GitErrorKind};
use super::names;
use super::tree::{Directory, Node, View, deep, size_of};
use super::walk::FileLimits;

/// A file that stands in the commit's own tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegularFile {
    /// Its path from the repository's root.
    pub path: String,
    /// Its bytes.
    pub content: Arc<[u8]>,
    /// Whether it may be run.
    pub executable: bool,
}

impl RepositoryHandle {
    /// The files below the directory `path` whose path (from the root) is `wanted`, by path. Left out: links and what
    /// lies behind them, submodules, included artifacts, and files over the limit of bytes for one file. None at all
    /// if there is no such directory.
    pub async fn regular_files(
        &self,
        path: &str,
        wanted: fn(&str) -> bool,
        limits: FileLimits,
    ) -> Result<Vec<RegularFile>, GitError> {
        let directory = path.to_owned();
        self.read(path, move |view| view.regular_files(&directory, wanted, limits)).await
    }
}

impl View {
    fn regular_files(
        &self,
        path: &str,
        wanted: fn(&str) -> bool,
        limits: FileLimits,
    ) -> Result<Vec<RegularFile>, GitErrorKind> {
        // down to the directory by its own name: a link on the way would lead to another place than it says
        let mut at = String::new();
        let Node::Directory(mut directory) = self.root() else { return Ok(Vec::new()) };
        for name in names::elements(path)? {
            let mut children = self.children(&directory, &at)?;
            at = joined(&at, &name);
            match children.remove(&name) {
                Some(Node::Directory(below)) if !self.mounts.contains_key(&at) => directory = below,
                _ => return Ok(Vec::new()),
            }
        }
        let mut search = Search { view: self, wanted, limits, found: Vec::new(), bytes: 0, steps: 0 };
        search.directory(&directory, &at, 0)?;
        Ok(search.found)
    }
}

struct Search<'v> {
    view: &'v View,
    wanted: fn(&str) -> bool,
    limits: FileLimits,
    found: Vec<RegularFile>,
    bytes: u64,
    steps: usize,
}

impl Search<'_> {
    fn directory(&mut self, directory: &Directory, path: &str, depth: usize) -> Result<(), GitErrorKind> {
        deep(depth)?;
        for (name, child) in self.view.children(directory, path)? {
            self.steps += 1;
            if self.steps > self.limits.files.saturating_mul(4) {
                return Err(self.too_many());
            }
            let path = joined(path, &name);
            if self.view.mounts.contains_key(&path) {
                continue;
            }
            match child {
                Node::Directory(below) => self.directory(&below, &path, depth + 1)?,
                Node::File { content, executable } => {
                    if !self.view.keeps(&path) || !(self.wanted)(&path) {
                        continue;
                    }
                    if size_of(&content)? > self.limits.file_bytes {
                        continue;
                    }
                    let content: Arc<[u8]> = super::tree::read(&content, self.limits.file_bytes)?.into();
                    self.bytes += content.len() as u64;
                    if self.bytes > self.limits.total_bytes {
                        return Err(GitErrorKind::TooLarge {
                            what: "the files together".into(),
                            limit: self.limits.total_bytes,
                        });
                    }
                    self.found.push(RegularFile { path, content, executable });
                    if self.found.len() > self.limits.files {
                        return Err(self.too_many());
                    }
                }
                Node::Link { .. } => {}
            }
        }
        Ok(())
    }

    fn too_many(&self) -> GitErrorKind {
        GitErrorKind::TooLarge { what: "the number of files".into(), limit: self.limits.files as u64 }
    }
}

fn joined(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
