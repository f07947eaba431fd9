//! Commits made in the object database of a kept repository: no work tree, no index, no reference.
//!
//! Does not push: until the server has it (`push.rs`), a new commit is an object that nothing leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use git2::{ObjectType, Oid, Repository};

use super::checkout::{GitCheckout, RepositoryHandle, facts};
use super::error::{GitError, GitErrorKind, shown};
use super::fetch::Git;
use super::kept::damaged;
use super::names;
use super::reference::parse_commit;
use super::signer::CommitSigner;
use super::tree::{View, deep};
use crate::model::{Revision, Timestamp};

/// A commit's message is a text, not a file.
const MESSAGE_BYTES: usize = 1 << 20;
/// A name or a mail address; longer ones are cut.
const IDENTITY_CHARS: usize = 1000;

/// Who makes a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitIdentity {
    /// The name; may be empty.
    pub name: String,
    /// The mail address.
    pub email: String,
}

/// A commit to make on top of a checkout's commit, in the object database: no work tree.
#[derive(Clone, Debug)]
pub struct NewCommit {
    /// Path in the repository → new content. The file must exist in the parent; its mode is kept.
    pub changes: BTreeMap<String, Vec<u8>>,
    /// The author, and the committer too.
    pub author: GitIdentity,
    /// When; written in UTC.
    pub time: Timestamp,
    /// The message, written as it stands.
    pub message: String,
    /// The key to sign with, if it is to be signed.
    pub signing: Option<CommitSigner>,
}

impl Git {
    /// Makes the commit on top of `checkout` and opens it for reading.
    pub(crate) async fn commit(
        &self,
        checkout: &GitCheckout,
        commit: NewCommit,
    ) -> Result<GitCheckout, GitError> {
        let handle = &checkout.repository;
        let fail = |kind| GitError {
            attempted: format!("commit onto `{}` of", checkout.revision),
            url: handle.url.clone(),
            kind,
        };
        let parent = parse_commit(&checkout.commit)
            .ok_or_else(|| fail(GitErrorKind::CommitNotFound(shown(&checkout.commit, 60))))?;
        let limit = self.limits.object_bytes;
        let kept = Arc::clone(&handle.view.kept);
        let (id, facts) = kept
            .run(move |repository| {
                let id = write(repository, parent, &commit, limit)?;
                Ok((id, facts(repository, id)?))
            })
            .await
            .map_err(fail)?;
        let before = checkout.revision.as_str();
        let revision = match before.rsplit_once("sha1:") {
            Some((name, _)) => format!("{name}sha1:{id}"),
            None => format!("sha1:{id}"),
        };
        Ok(GitCheckout {
            revision: Revision::new(revision),
            commit: id.to_string(),
            subject: facts.subject,
            author: facts.author,
            committed: facts.committed,
            changed: true,
            tag: None,
            repository: RepositoryHandle {
                view: Arc::new(View { root: facts.tree, ..View::clone(&handle.view) }),
                ..handle.clone()
            },
        })
    }
}

impl Git {
    /// Whether a commit of these changes on top of `checkout` would have the tree of `other`.
    pub(crate) async fn would_equal(
        &self,
        checkout: &GitCheckout,
        changes: BTreeMap<String, Vec<u8>>,
        other: &GitCheckout,
    ) -> Result<bool, GitError> {
        let view = &checkout.repository.view;
        let (before, there, limit) = (view.root, other.repository.view.root, self.limits.object_bytes);
        let tree = view.kept.run(move |repository| tree_with(repository, before, &changes, limit)).await;
        tree.map(|tree| tree == there).map_err(|kind| GitError {
            attempted: format!("compare a commit onto `{}` of", checkout.revision),
            url: checkout.repository.url.clone(),
            kind,
        })
    }
}

/// Writes blobs, trees and the commit; blocks.
fn write(
    repository: &Repository,
    parent: Oid,
    commit: &NewCommit,
    object_bytes: u64,
) -> Result<Oid, GitErrorKind> {
    let invalid = |why: &str| GitErrorKind::InvalidCommit(why.to_owned());
    if commit.message.len() > MESSAGE_BYTES {
        return Err(GitErrorKind::TooLarge {
            what: "the commit message".into(),
            limit: MESSAGE_BYTES as u64,
        });
    }
    if commit.message.contains('\0') {
        return Err(invalid("the message holds a NUL character"));
    }
    let before = repository.find_commit(parent).map_err(damaged)?.tree_id();
    let tree = tree_with(repository, before, &commit.changes, object_bytes)?;
    if tree == before {
        return Err(invalid("it would change nothing"));
    }
    let who = identity(&commit.author);
    let when = commit.time.as_second();
    let head =
        format!("tree {tree}\nparent {parent}\nauthor {who} {when} +0000\ncommitter {who} {when} +0000");
    let plain = format!("{head}\n\n{}", commit.message);
    let whole = match &commit.signing {
        None => plain,
        Some(signer) => {
            let signature = signer
                .sign(plain.as_bytes(), commit.time)
                .map_err(|error| GitErrorKind::InvalidCredentials(error.to_string()))?;
            let signature = signature.trim_end_matches('\n').replace('\n', "\n ");
            format!("{head}\ngpgsig {signature}\n\n{}", commit.message)
        }
    };
    put(repository, ObjectType::Commit, whole.as_bytes())
}

/// Writes the blobs, and the trees above them.
fn tree_with(
    repository: &Repository,
    before: Oid,
    files: &BTreeMap<String, Vec<u8>>,
    object_bytes: u64,
) -> Result<Oid, GitErrorKind> {
    let mut changes = Changes::default();
    for (path, content) in files {
        if content.len() as u64 > object_bytes {
            return Err(GitErrorKind::TooLarge {
                what: format!("`{}`", shown(path, 200)),
                limit: object_bytes,
            });
        }
        changes.insert(path, content)?;
    }
    rewrite(repository, before, &changes, "", 0)
}

/// Changes by path, as a tree of names.
#[derive(Default)]
struct Changes<'c> {
    files: BTreeMap<String, &'c [u8]>,
    directories: BTreeMap<String, Changes<'c>>,
}

impl<'c> Changes<'c> {
    fn insert(&mut self, path: &str, content: &'c [u8]) -> Result<(), GitErrorKind> {
        let refuse = || GitErrorKind::ForbiddenPath(shown(path, 200));
        let mut elements = names::elements(path)?;
        let file = elements.pop().ok_or_else(refuse)?;
        let mut at = self;
        for directory in elements {
            at = at.directories.entry(directory).or_default();
        }
        match at.files.insert(file, content) {
            None => Ok(()),
            // two spellings of one path
            Some(_) => Err(refuse()),
        }
    }
}

/// The tree with the changes in it. Only ids change: names, modes and the order of entries stay as they are, however
/// odd they may be.
fn rewrite(
    repository: &Repository,
    tree: Oid,
    changes: &Changes<'_>,
    path: &str,
    depth: usize,
) -> Result<Oid, GitErrorKind> {
    deep(depth)?;
    let odb = repository.odb().map_err(damaged)?;
    let object = odb.read(tree).map_err(damaged)?;
    if object.kind() != ObjectType::Tree {
        return Err(GitErrorKind::Corrupt("a directory that is no tree".into()));
    }
    let mut bytes = object.data().to_vec();
    drop(object);
    let mut done = BTreeSet::new();
    let mut at = 0;
    while at < bytes.len() {
        let entry = Entry::parse(&bytes, at)?;
        let name = String::from_utf8_lossy(&bytes[entry.name.clone()]).into_owned();
        let full = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let id = if let Some(content) = changes.files.get(&name) {
            if !entry.is_regular() {
                return Err(GitErrorKind::NotAFile(shown(&full, 200)));
            }
            Some(put(repository, ObjectType::Blob, content)?)
        } else if let Some(below) = changes.directories.get(&name) {
            if !entry.is_directory() {
                return Err(GitErrorKind::NotAFile(shown(&full, 200)));
            }
            let id = Oid::from_bytes(&bytes[entry.id.clone()]).map_err(damaged)?;
            Some(rewrite(repository, id, below, &full, depth + 1)?)
        } else {
            None
        };
        if let Some(id) = id {
            bytes[entry.id.clone()].copy_from_slice(id.as_bytes());
            if !done.insert(name) {
                return Err(GitErrorKind::Corrupt(format!("`{}` is there twice", shown(&full, 200))));
            }
        }
        at = entry.id.end;
    }
    let mut wanted = changes.files.keys().chain(changes.directories.keys());
    if let Some(missing) = wanted.find(|name| !done.contains(*name)) {
        let full = if path.is_empty() { missing.clone() } else { format!("{path}/{missing}") };
        return Err(GitErrorKind::NotAFile(shown(&full, 200)));
    }
    put(repository, ObjectType::Tree, &bytes)
}

/// Where the parts of a tree's entry lie: `<mode> <name>\0<id>`.
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) name: std::ops::Range<usize>,
    pub(crate) id: std::ops::Range<usize>,
}

impl Entry {
    pub(crate) fn parse(tree: &[u8], at: usize) -> Result<Self, GitErrorKind> {
        let broken = || GitErrorKind::Corrupt("a tree that cannot be read".into());
        let rest = tree.get(at..).ok_or_else(broken)?;
        let space = rest.iter().take(8).position(|&byte| byte == b' ').ok_or_else(broken)?;
        let end = rest.iter().position(|&byte| byte == 0).filter(|&end| end > space).ok_or_else(broken)?;
        let mode = std::str::from_utf8(&rest[..space]).ok();
        let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()).ok_or_else(broken)?;
        if rest.len() < end + 21 {
            return Err(broken());
        }
        Ok(Self { mode, name: at + space + 1..at + end, id: at + end + 1..at + end + 21 })
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    pub(crate) fn is_submodule(&self) -> bool {
        self.mode & 0o170_000 == 0o160_000
    }

    fn is_regular(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

fn put(repository: &Repository, kind: ObjectType, bytes: &[u8]) -> Result<Oid, GitErrorKind> {
    let odb = repository.odb().map_err(damaged)?;
    odb.write(kind, bytes).map_err(|error| GitErrorKind::Storage(shown(error.message(), 200)))
}

/// `Name <mail>` without what would end either: line breaks and other control characters, angle brackets.
fn identity(who: &GitIdentity) -> String {
    let clean = |text: &str| {
        let kept =
            text.chars().filter(|character| !character.is_control() && !matches!(character, '<' | '>'));
        kept.take(IDENTITY_CHARS).collect::<String>().trim().to_owned()
    };
    format!("{} <{}>", clean(&who.name), clean(&who.email))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h79_names_cannot_forge_lines_of_a_commit() {
        let forged = GitIdentity {
            name: " Eve\nparent 0000\u{1b}[31m <root@x> ".into(),
            email: "eve@x> 0 +0000\ngpgsig x\0".into(),
        };
        assert_eq!(identity(&forged), "Eveparent 0000[31m root@x <eve@x 0 +0000gpgsig x>");
        let nobody = GitIdentity { name: String::new(), email: "flux@example.com".into() };
        assert_eq!(identity(&nobody), " <flux@example.com>");
    }

    #[test]
    fn entries_of_a_tree_are_found_and_broken_ones_refused() {
        let mut tree = b"100644 a b\0".to_vec();
        tree.extend_from_slice(&[7; 20]);
        let entry = Entry::parse(&tree, 0).unwrap();
        assert_eq!(
            (entry.mode, &tree[entry.name.clone()], entry.id.end),
            (0o100_644, b"a b".as_slice(), tree.len())
        );
        for broken in [&tree[..tree.len() - 1], b"100644", b"10x644 a\0", b"\0", b" \0"] {
            assert!(Entry::parse(broken, 0).is_err(), "{broken:?}");
        }
    }
}
