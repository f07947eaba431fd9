//! One commit, ready to be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use git2::Oid;

use super::error::{GitError, GitErrorKind, shown};
use super::kept::{Kept, blocking, damaged};
use super::survey::Surveys;
use super::tree::{Included, Mount, View};
use super::walk::FileLimits;
use crate::model::{Revision, Timestamp};
use crate::source::ignore::IgnoreRules;
use crate::source::limits::SourceLimits;

/// Characters of a commit's subject or author that are kept.
const TEXT: usize = 500;

/// A commit of a repository.
#[derive(Clone, Debug)]
pub struct GitCheckout {
    /// Flux's revision: `main@sha1:<40 hex>`.
    pub revision: Revision,
    /// The commit, 40 hex digits.
    pub commit: String,
    /// The first line of its message, control characters escaped.
    pub subject: String,
    /// `Name <mail>`, control characters escaped.
    pub author: String,
    /// When it was committed.
    pub committed: Timestamp,
    /// Whether the revision differs from the one last observed.
    pub changed: bool,
    /// The tag it was checked out by.
    pub(crate) tag: Option<ReferencingTag>,
    /// Its files.
    pub repository: RepositoryHandle,
}

/// A tag that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReferencingTag {
    /// Its name without `refs/tags/`.
    pub(crate) name: String,
    /// The tag's own object; a lightweight tag has none.
    pub(crate) object: Option<Oid>,
}

/// The files of one commit. Cheap to clone; reads run on threads that may block.
#[derive(Clone)]
pub struct RepositoryHandle {
    pub(crate) view: Arc<View>,
    pub(crate) permits: Arc<tokio::sync::Semaphore>,
    pub(crate) url: String,
    pub(crate) limits: Arc<SourceLimits>,
}

impl std::fmt::Debug for RepositoryHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RepositoryHandle").field("url", &self.url).finish_non_exhaustive()
    }
}

impl RepositoryHandle {
    /// The file at `path`, links followed inside the repository; `None` if there is none.
    pub async fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        let (wanted, limit) = (path.to_owned(), self.limits.file_bytes);
        self.read(path, move |view| view.read_file(&wanted, limit)).await
    }

    /// A name for everything read through `path` (a directory or a file): while it stays the same, so do they.
    /// `None` if nothing is there.
    pub async fn tree_id(&self, path: &str) -> Result<Option<String>, GitError> {
        let wanted = path.to_owned();
        self.read(path, move |view| view.tree_id(&wanted)).await
    }

    /// The rules of every `.sourceignore` in the commit and `spec.ignore`.
    pub async fn ignore_rules(&self, spec: Option<&str>) -> Result<IgnoreRules, GitError> {
        let (spec, limit) = (spec.map(str::to_owned), self.limits.file_bytes);
        self.read(".sourceignore", move |view| view.ignore_rules(spec.as_deref(), limit)).await
    }

    /// All files below the directory `path` that `rules` leave in, by their path relative to it; `None` if it is
    /// no directory. Links are resolved inside the repository; those that leave it are left out.
    pub async fn files(
        &self,
        path: &str,
        rules: &IgnoreRules,
        limits: FileLimits,
    ) -> Result<Option<BTreeMap<String, Arc<[u8]>>>, GitError> {
        let (wanted, rules) = (path.to_owned(), rules.clone());
        self.read(path, move |view| view.files(&wanted, &rules, limits)).await
    }

    /// The bounds that apply unless a caller has narrower ones.
    pub fn file_limits(&self) -> FileLimits {
        FileLimits {
            files: self.limits.files,
            file_bytes: self.limits.file_bytes,
            total_bytes: self.limits.tree_bytes,
        }
    }

    pub(crate) async fn read<T, F>(&self, path: &str, work: F) -> Result<T, GitError>
    where
        T: Send + 'static,
        F: FnOnce(&View) -> Result<T, GitErrorKind> + Send + 'static,
    {
        let view = Arc::clone(&self.view);
        blocking(&self.permits, move || work(&view)).await.map_err(|kind| GitError {
            attempted: format!("read `{}` from", shown(path, 200)),
            url: self.url.clone(),
            kind,
        })
    }

    /// The same files with an artifact's below `path`, in place of whatever was there.
    pub(crate) fn with_included(&self, path: &str, included: Included) -> Result<Self, GitErrorKind> {
        let path = super::names::elements(path)?.join("/");
        if path.is_empty() {
            return Err(GitErrorKind::ForbiddenPath("/".into()));
        }
        let mut view = View::clone(&self.view);
        view.mounts.retain(|mounted, _| mounted != &path && !mounted.starts_with(&format!("{path}/")));
        view.mounts.insert(path, Mount::Files(Arc::new(included)));
        Ok(Self { view: Arc::new(view), ..self.clone() })
    }
}

/// What a commit says about itself.
pub(crate) struct CommitFacts {
    pub(crate) tree: Oid,
    pub(crate) subject: String,
    pub(crate) author: String,
    pub(crate) committed: Timestamp,
}

/// Reads the commit; blocks.
pub(crate) fn facts(repository: &git2::Repository, commit: Oid) -> Result<CommitFacts, GitErrorKind> {
    let object = repository.find_object(commit, None).map_err(damaged)?;
    let commit = object
        .into_commit()
        .map_err(|_| GitErrorKind::Corrupt("the reference does not lead to a commit".into()))?;
    repository.find_tree(commit.tree_id()).map_err(damaged)?;
    let text = |bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(TEXT * 4)];
        shown(&String::from_utf8_lossy(bytes), TEXT)
    };
    let subject = commit.message_bytes().split(|&byte| byte == b'\n').next().unwrap_or_default();
    let author = commit.author();
    Ok(CommitFacts {
        tree: commit.tree_id(),
        subject: text(subject),
        author: format!("{} <{}>", text(author.name_bytes()), text(author.email_bytes())),
        committed: Timestamp::from_second(commit.time().seconds()).unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

impl View {
    pub(crate) fn new(kept: Arc<Kept>, root: Oid, surveys: Arc<Surveys>) -> Self {
        Self { kept, root, sparse: Vec::new(), mounts: BTreeMap::new(), surveys }
    }
}
