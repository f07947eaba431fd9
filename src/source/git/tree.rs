//! Reading a commit's files from the object database: no work tree, so nothing of it ever reaches the disk.
//!
//! Links are followed inside the tree only. Calls block; the checkout runs them where that is allowed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use git2::{ObjectType, Oid};
use sha2::{Digest as _, Sha256};

use super::error::GitErrorKind;
use super::kept::{Kept, damaged};
use super::names;
use super::survey::Surveys;
use crate::source::ignore::IgnoreRules;

/// Links followed on the way to one file, as Linux does.
const LINKS: usize = 40;
/// A link's target is a path.
const LINK_BYTES: usize = 4096;
/// Directories within directories.
const DEPTH: usize = 128;

/// A tree with whatever is mounted in it: submodules, included artifacts.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) kept: Arc<Kept>,
    pub(crate) root: Oid,
    /// Prefixes of the files kept; empty keeps all.
    pub(crate) sparse: Vec<String>,
    /// By path, without slashes at the ends.
    pub(crate) mounts: BTreeMap<String, Mount>,
    pub(crate) surveys: Arc<Surveys>,
}

/// Something standing at a path instead of what the tree has there.
#[derive(Clone, Debug)]
pub(crate) enum Mount {
    /// A submodule's tree.
    Tree { kept: Arc<Kept>, root: Oid },
    /// Files of another artifact.
    Files(Arc<Included>),
}

/// The files of an included artifact.
#[derive(Debug)]
pub(crate) struct Included {
    pub(crate) digest: String,
    pub(crate) files: BTreeMap<String, (Arc<[u8]>, bool)>,
}

/// One thing in a tree.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Directory(Directory),
    File { content: Content, executable: bool },
    Link { kept: Arc<Kept>, id: Oid },
}

#[derive(Clone, Debug)]
pub(crate) enum Directory {
    Tree {
        kept: Arc<Kept>,
        id: Oid,
    },
    Included {
        files: Arc<Included>,
        prefix: String,
    },
    /// Only there because something is mounted below, or an unfetched submodule.
    Empty,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Blob { kept: Arc<Kept>, id: Oid },
    Bytes(Arc<[u8]>),
}

impl Mount {
    fn root(&self) -> Directory {
        match self {
            Mount::Tree { kept, root } => Directory::Tree { kept: Arc::clone(kept), id: *root },
            Mount::Files(files) => Directory::Included { files: Arc::clone(files), prefix: String::new() },
        }
    }

    fn identity(&self) -> String {
        match self {
            Mount::Tree { root, .. } => root.to_string(),
            Mount::Files(files) => files.digest.clone(),
        }
    }
}

impl View {
    pub(crate) fn root(&self) -> Node {
        Node::Directory(Directory::Tree { kept: Arc::clone(&self.kept), id: self.root })
    }

    /// What is at `path` and where it really lies; `None` if nothing is. Links are followed.
    pub(crate) fn resolve(&self, path: &str) -> Result<Option<(String, Node)>, GitErrorKind> {
        let refuse = || GitErrorKind::ForbiddenPath(super::error::shown(path, 200));
        let mut pending: VecDeque<String> = names::elements(path)?.into();
        let mut at: Vec<String> = Vec::new();
        let mut nodes = vec![self.root()];
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                at.pop().ok_or_else(refuse)?;
                nodes.pop();
                continue;
            }
            let Some(Node::Directory(directory)) = nodes.last() else {
                return Ok(None);
            };
            at.push(name);
            let Some(child) = self.child(directory, &at)? else {
                return Ok(None);
            };
            let Node::Link { kept, id } = &child else {
                nodes.push(child);
                continue;
            };
            at.pop();
            links += 1;
            if links > LINKS {
                return Err(refuse());
            }
            let target = read_blob(kept, *id, LINK_BYTES as u64)?;
            let target = String::from_utf8(target).map_err(|_| refuse())?;
            if target.starts_with('/') {
                return Err(refuse());
            }
            for step in target.split('/').rev().filter(|step| !matches!(*step, "" | ".")) {
                if step != ".." {
                    names::check(step)?;
                }
                pending.push_front(step.to_owned());
            }
        }
        Ok(nodes.pop().map(|node| (at.join("/"), node)))
    }

    fn child(&self, directory: &Directory, path: &[String]) -> Result<Option<Node>, GitErrorKind> {
        let full = path.join("/");
        if let Some(mount) = self.mounts.get(&full) {
            return Ok(Some(Node::Directory(mount.root())));
        }
        let Some(name) = path.last() else { return Ok(None) };
        let found = match directory {
            Directory::Tree { kept, id } => kept.with(|repository| {
                let tree = repository.find_tree(*id).map_err(damaged)?;
                Ok(tree.get_name(name).map(|entry| node(kept, entry.filemode(), entry.id())))
            })?,
            Directory::Included { files, prefix } => included_children(files, prefix).remove(name),
            Directory::Empty => None,
        };
        let below = format!("{full}/");
        Ok(match found {
            None if self.mounts.keys().any(|mount| mount.starts_with(&below)) => {
                Some(Node::Directory(Directory::Empty))
            }
            found => found,
        })
    }

    /// What lies in the directory at `path`, sorted by name as Go reads directories.
    pub(crate) fn children(
        &self,
        directory: &Directory,
        path: &str,
    ) -> Result<BTreeMap<String, Node>, GitErrorKind> {
        let mut children = match directory {
            Directory::Tree { kept, id } => kept.with(|repository| {
                let tree = repository.find_tree(*id).map_err(damaged)?;
                let mut children = BTreeMap::new();
                for entry in &tree {
                    let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
                    names::check(&name)?;
                    children.insert(name, node(kept, entry.filemode(), entry.id()));
                }
                Ok(children)
            })?,
            Directory::Included { files, prefix } => included_children(files, prefix),
            Directory::Empty => BTreeMap::new(),
        };
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        for (mounted, mount) in &self.mounts {
            let Some(rest) = mounted.strip_prefix(&below) else { continue };
            match rest.split_once('/') {
                None => {
                    children.insert(rest.to_owned(), Node::Directory(mount.root()));
                }
                Some((first, _)) => {
                    children.entry(first.to_owned()).or_insert(Node::Directory(Directory::Empty));
                }
            }
        }
        Ok(children)
    }

    pub(crate) fn keeps(&self, path: &str) -> bool {
        self.sparse.is_empty() || self.sparse.iter().any(|prefix| path.starts_with(prefix.as_str()))
    }

    /// The bytes of the file at `path`; `None` if there is none.
    pub(crate) fn read_file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, GitErrorKind> {
        match self.resolve(path)? {
            Some((real, Node::File { content, .. })) if self.keeps(&real) => {
                let bytes = read(&content, limit)?;
                if bytes.starts_with(b"version https://git-lfs.github.com/spec/") && bytes.len() < 1024 {
                    return Err(GitErrorKind::LfsPointer(path.to_owned()));
                }
                Ok(Some(bytes))
            }
            _ => Ok(None),
        }
    }

    /// A name for the content at `path`: as long as it stays the same, so does every file read through it.
    /// Git's own object id, extended where links, mounts or a sparse checkout let in what the id does not cover.
    pub(crate) fn tree_id(&self, path: &str) -> Result<Option<String>, GitErrorKind> {
        let Some((real, node)) = self.resolve(path)? else {
            return Ok(None);
        };
        let directory = match node {
            Node::File { content: Content::Blob { id, .. }, .. } => return Ok(Some(id.to_string())),
            Node::File { content: Content::Bytes(bytes), .. } => {
                return Ok(Some(hex::encode(Sha256::digest(&bytes))));
            }
            Node::Link { .. } => return Ok(None),
            Node::Directory(directory) => directory,
        };
        let mut extra = BTreeSet::new();
        let below = if real.is_empty() { String::new() } else { format!("{real}/") };
        for (mounted, mount) in &self.mounts {
            if mounted.starts_with(&below) {
                extra.insert(format!("mount {mounted} {}", mount.identity()));
            }
        }
        if !self.sparse.is_empty() {
            extra.insert(format!("sparse {}", self.sparse.join("\n")));
        }
        let base = match &directory {
            Directory::Tree { kept, id } => {
                let survey = self.surveys.of(kept, *id, 0)?;
                for link in &survey.links {
                    let target = match self.resolve(&format!("{below}{link}")) {
                        // what lies inside is covered by the directory's own id
                        Ok(Some((target, _))) if target.starts_with(&below) => target,
                        Ok(Some((target, node))) => format!("{target} {}", self.identity(&node)),
                        Ok(None) | Err(GitErrorKind::ForbiddenPath(_)) => "nothing".to_owned(),
                        Err(error) => return Err(error),
                    };
                    extra.insert(format!("link {link} {target}"));
                }
                id.to_string()
            }
            Directory::Included { files, prefix } => {
                hex::encode(Sha256::digest(format!("{} {prefix}", files.digest)))
            }
            Directory::Empty => "empty".to_owned(),
        };
        if extra.is_empty() {
            return Ok(Some(base));
        }
        let extra: Vec<String> = extra.into_iter().collect();
        Ok(Some(format!("{base}+{}", &hex::encode(Sha256::digest(extra.join("\n")))[..16])))
    }

    fn identity(&self, node: &Node) -> String {
        match node {
            Node::Directory(Directory::Tree { id, .. })
            | Node::File { content: Content::Blob { id, .. }, .. }
            | Node::Link { id, .. } => match node {
                // a directory may hold links of its own: then only the whole tree vouches for it
                Node::Directory(_) => format!("{id} {}", self.root),
                _ => id.to_string(),
            },
            Node::Directory(Directory::Included { files, prefix }) => format!("{} {prefix}", files.digest),
            Node::Directory(Directory::Empty) => "empty".to_owned(),
            Node::File { content: Content::Bytes(bytes), .. } => hex::encode(Sha256::digest(bytes)),
        }
    }

    /// Flux's ignore rules for this tree: every `.sourceignore` in it, then `spec`.
    pub(crate) fn ignore_rules(&self, spec: Option<&str>, limit: u64) -> Result<IgnoreRules, GitErrorKind> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let mut add = |path: &str, bytes: Vec<u8>| {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            files.insert(directory.to_owned(), String::from_utf8_lossy(&bytes).into_owned());
        };
        let shadowed = |path: &str| {
            self.mounts
                .keys()
                .any(|mount| path.strip_prefix(mount.as_str()).is_some_and(|rest| rest.starts_with('/')))
        };
        for (path, id) in &self.surveys.of(&self.kept, self.root, 0)?.ignore_files {
            if self.keeps(path) && !shadowed(path) {
                add(path, read_blob(&self.kept, *id, limit)?);
            }
        }
        for (mounted, mount) in &self.mounts {
            match mount {
                Mount::Tree { kept, root } => {
                    for (path, id) in &self.surveys.of(kept, *root, 0)?.ignore_files {
                        let path = format!("{mounted}/{path}");
                        if self.keeps(&path) {
                            add(&path, read_blob(kept, *id, limit)?);
                        }
                    }
                }
                Mount::Files(included) => {
                    for (path, (bytes, _)) in &included.files {
                        if path == ".sourceignore" || path.ends_with("/.sourceignore") {
                            add(&format!("{mounted}/{path}"), bytes.to_vec());
                        }
                    }
                }
            }
        }
        // by directory name, parents first: the order in which Flux walks
        let mut files: Vec<(String, String)> = files.into_iter().collect();
        files.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
        Ok(IgnoreRules::new(files.iter().map(|(path, text)| (path.as_str(), text.as_str())), spec))
    }
}

pub(crate) fn deep(depth: usize) -> Result<(), GitErrorKind> {
    match depth > DEPTH {
        true => Err(GitErrorKind::TooLarge { what: "the depth of directories".into(), limit: DEPTH as u64 }),
        false => Ok(()),
    }
}

fn node(kept: &Arc<Kept>, mode: i32, id: Oid) -> Node {
    match mode {
        0o040000 => Node::Directory(Directory::Tree { kept: Arc::clone(kept), id }),
        0o120000 => Node::Link { kept: Arc::clone(kept), id },
        0o160000 => Node::Directory(Directory::Empty),
        mode => Node::File {
            content: Content::Blob { kept: Arc::clone(kept), id },
            executable: mode & 0o111 != 0,
        },
    }
}

fn included_children(files: &Arc<Included>, prefix: &str) -> BTreeMap<String, Node> {
    let mut children = BTreeMap::new();
    for (path, (bytes, executable)) in files.files.range(prefix.to_owned()..) {
        let Some(rest) = path.strip_prefix(prefix) else { break };
        match rest.split_once('/') {
            None => {
                let content = Content::Bytes(Arc::clone(bytes));
                children.insert(rest.to_owned(), Node::File { content, executable: *executable });
            }
            Some((first, _)) => {
                children.entry(first.to_owned()).or_insert_with(|| {
                    Node::Directory(Directory::Included {
                        files: Arc::clone(files),
                        prefix: format!("{prefix}{first}/"),
                    })
                });
            }
        }
    }
    children
}

pub(crate) fn read(content: &Content, limit: u64) -> Result<Vec<u8>, GitErrorKind> {
    match content {
        Content::Blob { kept, id } => read_blob(kept, *id, limit),
        Content::Bytes(bytes) => Ok(bytes.to_vec()),
    }
}

/// How many bytes there are, without reading them.
pub(crate) fn size_of(content: &Content) -> Result<u64, GitErrorKind> {
    match content {
        Content::Blob { kept, id } => kept.with(|repository| {
            let odb = repository.odb().map_err(damaged)?;
            Ok(odb.read_header(*id).map_err(damaged)?.0 as u64)
        }),
        Content::Bytes(bytes) => Ok(bytes.len() as u64),
    }
}

fn read_blob(kept: &Kept, id: Oid, limit: u64) -> Result<Vec<u8>, GitErrorKind> {
    kept.with(|repository| {
        let odb = repository.odb().map_err(damaged)?;
        let (size, kind) = odb.read_header(id).map_err(damaged)?;
        if kind != ObjectType::Blob {
            return Err(GitErrorKind::Corrupt("a file that is no blob".into()));
        }
        if size as u64 > limit {
            return Err(GitErrorKind::TooLarge { what: format!("a file of {size} bytes"), limit });
        }
        Ok(odb.read(id).map_err(damaged)?.data().to_vec())
    })
}
