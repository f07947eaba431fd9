//! A bare repository that commits can be made in without a work tree.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use git2::{Oid, Repository, Signature};

/// One change of a commit.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Writes a file.
    Write(&'a str, &'a [u8]),
    /// Writes a file that may be run.
    Executable(&'a str, &'a [u8]),
    /// Makes a symbolic link.
    Link(&'a str, &'a str),
    /// Puts another repository's commit there.
    Submodule(&'a str, &'a str),
    /// Removes a file.
    Remove(&'a str),
}

/// A bare repository on disk.
#[derive(Clone, Debug)]
pub struct DemoRepository {
    path: PathBuf,
}

impl DemoRepository {
    /// Makes an empty bare repository whose first branch will be `branch`.
    pub fn create(path: impl Into<PathBuf>, branch: &str) -> anyhow::Result<Self> {
        let path = path.into();
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).mkpath(true).external_template(false).initial_head(branch);
        Repository::init_opts(&path, &options)
            .with_context(|| format!("failed to create the repository `{}`", path.display()))?;
        Ok(Self { path })
    }

    /// Opens one that is there.
    pub fn open(path: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let path = path.into();
        Repository::open_bare(&path)
            .with_context(|| format!("failed to open the repository `{}`", path.display()))?;
        Ok(Self { path })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of a file on a branch, if it is there.
    pub fn read(&self, branch: &str, path: &str) -> anyhow::Result<Option<String>> {
        let Some(head) = self.head(branch)? else { return Ok(None) };
        let repository = Repository::open_bare(&self.path)?;
        let tree = repository.find_commit(Oid::from_str(&head)?)?.tree()?;
        let Ok(entry) = tree.get_path(Path::new(path)) else { return Ok(None) };
        let blob = repository.find_blob(entry.id())?;
        Ok(Some(String::from_utf8_lossy(blob.content()).into_owned()))
    }

    /// Commits `changes` onto `branch` (making it if need be) and returns the commit's id.
    pub fn commit(&self, branch: &str, changes: &[Change<'_>], message: &str) -> anyhow::Result<String> {
        let parent = self.head(branch)?;
        self.commit_onto(branch, parent.as_deref(), changes, message)
    }

    /// The same on top of any commit, or of none: the branch is moved there whatever it held.
    pub fn commit_onto(
        &self,
        branch: &str,
        parent: Option<&str>,
        changes: &[Change<'_>],
        message: &str,
    ) -> anyhow::Result<String> {
        let repository = Repository::open_bare(&self.path)?;
        let parent = parent.map(|id| repository.find_commit(Oid::from_str(id)?)).transpose()?;
        let base = parent.as_ref().map(git2::Commit::tree).transpose()?;
        let mut update = git2::build::TreeUpdateBuilder::new();
        let mut base = match base {
            Some(tree) => tree,
            None => repository.find_tree(repository.treebuilder(None)?.write()?)?,
        };
        for change in changes {
            match *change {
                Change::Write(path, bytes) => {
                    update.upsert(path, repository.blob(bytes)?, git2::FileMode::Blob);
                }
                Change::Executable(path, bytes) => {
                    update.upsert(path, repository.blob(bytes)?, git2::FileMode::BlobExecutable);
                }
                Change::Link(path, target) => {
                    update.upsert(path, repository.blob(target.as_bytes())?, git2::FileMode::Link);
                }
                Change::Submodule(path, commit) => {
                    update.upsert(path, Oid::from_str(commit)?, git2::FileMode::Commit);
                }
                Change::Remove(path) => {
                    update.remove(path);
                }
            }
        }
        base = repository.find_tree(update.create_updated(&repository, &base)?)?;
        let author = Signature::now("Demo", "demo@sluice.example")?;
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let commit = repository.commit(None, &author, &author, message, &base, &parents)?;
        repository.reference(&format!("refs/heads/{branch}"), commit, true, message)?;
        Ok(commit.to_string())
    }

    /// Where a branch stands.
    pub fn head(&self, branch: &str) -> anyhow::Result<Option<String>> {
        let repository = Repository::open_bare(&self.path)?;
        let head = repository.refname_to_id(&format!("refs/heads/{branch}")).ok();
        Ok(head.map(|id| id.to_string()))
    }

    /// Points any reference to a commit.
    pub fn set_reference(&self, name: &str, commit: &str) -> anyhow::Result<()> {
        Repository::open_bare(&self.path)?.reference(name, Oid::from_str(commit)?, true, "set")?;
        Ok(())
    }

    /// Makes an annotated tag.
    pub fn tag(&self, name: &str, commit: &str, message: &str) -> anyhow::Result<()> {
        let repository = Repository::open_bare(&self.path)?;
        let target = repository.find_object(Oid::from_str(commit)?, None)?;
        let tagger = Signature::now("Demo", "demo@sluice.example")?;
        repository.tag(name, &target, &tagger, message, true)?;
        Ok(())
    }

    /// Removes a reference.
    pub fn delete_reference(&self, name: &str) -> anyhow::Result<()> {
        Repository::open_bare(&self.path)?.find_reference(name)?.delete()?;
        Ok(())
    }
}
