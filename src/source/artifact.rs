//! Artifacts: what a source holds, as one normalised `tar.gz` that anybody who reads Flux's status can fetch.
//!
//! Content-addressed: `artifacts/sha256/<hex>` is the archive, `artifacts/<kind>/<namespace>/<name>/<file>` a hard
//! link to it under Flux's path. An archive is written whole or not at all, and only what a digest vouches for is
//! handed out again. Rendering does not wait for it: it reads the checkout.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::git::{Content, GitCheckout, GitError, GitErrorKind, Included, elements, read};
use super::limits::SourceLimits;
use super::{private_directory, write_private};
use crate::model::{Clock, Digest, ObjectKey, Revision, Timestamp};

/// One stored artifact: the fields of Flux's `status.artifact` that do not depend on who serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// `gitrepository/<namespace>/<name>/<commit>.tar.gz`, relative to the artifact directory.
    pub path: String,
    /// What it was made of.
    pub revision: Revision,
    /// `sha256:` of the archive.
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
    /// When it was stored.
    pub last_update_time: Timestamp,
    /// Upstream facts, where the kind has any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What to archive.
#[derive(Clone, Copy, Debug)]
pub struct ArtifactRequest<'a> {
    /// The object it belongs to.
    pub key: &'a ObjectKey,
    /// The files.
    pub checkout: &'a GitCheckout,
    /// `spec.ignore`.
    pub ignore: Option<&'a str>,
    /// `spec.include`, in its order.
    pub includes: &'a [Include],
}

/// One element of `spec.include`.
#[derive(Clone, Debug)]
pub struct Include {
    /// The other repository's artifact.
    pub artifact: Artifact,
    /// The directory to take from it; empty takes all.
    pub from_path: String,
    /// Where to put it; Flux's default is the other repository's name.
    pub to_path: String,
}

/// Why an artifact could not be stored or read. Names Flux's reason for `StorageOperationFailed`.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The files could not be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The archive could not be made.
    #[error("failed to archive `{path}`: {why}")]
    Archive {
        /// The artifact's path.
        path: String,
        /// Why.
        why: String,
    },
    /// A directory or file of the store is not usable.
    #[error("failed to use the artifact store: {0}")]
    Store(#[from] std::io::Error),
    /// An included artifact is not in the store.
    #[error("failed to include `{artifact}` from `{from}` to `{to}`: {why}")]
    Include {
        /// The artifact's path.
        artifact: String,
        /// `fromPath`.
        from: String,
        /// `toPath`.
        to: String,
        /// Why.
        why: String,
    },
    /// A name or path that leads out of the store.
    #[error("path `{0}` is not allowed")]
    IllegalPath(String),
}

impl ArtifactError {
    /// Flux's reason word for the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            ArtifactError::Git(error) => error.reason(),
            ArtifactError::Archive { .. } => "ArchiveOperationFailed",
            ArtifactError::Store(_) => "DirectoryCreationFailed",
            ArtifactError::Include { .. } => "CopyFailure",
            ArtifactError::IllegalPath(_) => "IllegalPath",
        }
    }
}

/// The store.
pub(crate) struct Artifacts {
    root: PathBuf,
    limits: Arc<SourceLimits>,
    permits: Arc<Semaphore>,
    clock: Clock,
    /// Held while links are made and swept, so that no archive vanishes between its check and its link.
    links: Arc<Mutex<()>>,
}

impl Artifacts {
    pub(crate) fn new(
        root: &Path,
        limits: Arc<SourceLimits>,
        permits: Arc<Semaphore>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        private_directory(&root.join("sha256"))?;
        // archives that a kill interrupted
        for entry in std::fs::read_dir(root)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("partial-") {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { root: root.to_owned(), limits, permits, clock, links: Arc::new(Mutex::new(())) })
    }

    pub(crate) async fn store(&self, request: ArtifactRequest<'_>) -> Result<Artifact, ArtifactError> {
        let checkout = self.with_includes(request.checkout, request.includes).await?;
        let directory = self.directory(request.key)?;
        let file = format!("{}.tar.gz", checkout.commit);
        let path = format!("{}/{file}", relative(request.key));
        let rules = checkout.repository.ignore_rules(request.ignore).await?;
        let (root, limits) = (self.root.clone(), Arc::clone(&self.limits));
        let (links, now) = (Arc::clone(&self.links), self.clock.now());
        let (view, target) = (Arc::clone(&checkout.repository.view), path.clone());
        let (digest, size) = self
            .blocking(move || {
                let partial = Partial(root.join(format!("partial-{}", uuid::Uuid::new_v4())));
                let (digest, size) = archive(&view, &rules, &partial.0, &limits)
                    .map_err(|kind| ArtifactError::Archive { path: target, why: kind.to_string() })?;
                let _alone = links.lock().map_err(|_| std::io::Error::other("a store died"))?;
                private_directory(&directory)?;
                let blob = root.join("sha256").join(&digest);
                std::fs::rename(&partial.0, &blob)?;
                std::fs::File::open(&blob)?.set_modified(now.into())?;
                link(&blob, &directory.join(file))?;
                sweep(&root, &directory, limits.artifact_records)?;
                Ok((digest, size))
            })
            .await?;
        Ok(Artifact {
            path,
            revision: checkout.revision,
            digest: Digest::new(format!("sha256:{digest}")),
            size,
            last_update_time: now,
            metadata: BTreeMap::new(),
        })
    }

    pub(crate) async fn with_includes(
        &self,
        checkout: &GitCheckout,
        includes: &[Include],
    ) -> Result<GitCheckout, ArtifactError> {
        let mut checkout = checkout.clone();
        for include in includes {
            let fail = |why: String| ArtifactError::Include {
                artifact: include.artifact.path.clone(),
                from: include.from_path.clone(),
                to: include.to_path.clone(),
                why,
            };
            let path = self
                .verify(&include.artifact)
                .await?
                .ok_or_else(|| fail("the artifact is not in the store".into()))?;
            let from = elements(&include.from_path).map_err(|kind| fail(kind.to_string()))?.join("/");
            let (digest, limit) = (include.artifact.digest.to_string(), self.limits.tree_bytes);
            let included = self
                .blocking(move || Ok(unpack(&path, &from, digest, limit)))
                .await?
                .map_err(|why| fail(why.to_string()))?;
            checkout.repository = checkout
                .repository
                .with_included(&include.to_path, included)
                .map_err(|_| ArtifactError::IllegalPath(include.to_path.clone()))?;
        }
        Ok(checkout)
    }

    pub(crate) async fn verify(&self, artifact: &Artifact) -> Result<Option<PathBuf>, ArtifactError> {
        let illegal = || ArtifactError::IllegalPath(artifact.path.clone());
        let path = self.root.join(elements(&artifact.path).map_err(|_| illegal())?.join("/"));
        let expected = artifact.digest.to_string();
        self.blocking(move || {
            let mut file = match std::fs::File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let mut hash = Sha256::new();
            let mut piece = vec![0; 64 << 10];
            loop {
                let count = file.read(&mut piece)?;
                if count == 0 {
                    break;
                }
                hash.update(&piece[..count]);
            }
            let found = format!("sha256:{}", hex::encode(hash.finalize()));
            Ok(Some(path).filter(|_| found == expected))
        })
        .await
    }

    pub(crate) async fn remove(&self, key: &ObjectKey) -> Result<(), ArtifactError> {
        let (root, directory) = (self.root.clone(), self.directory(key)?);
        let links = Arc::clone(&self.links);
        self.blocking(move || {
            let _alone = links.lock().map_err(|_| std::io::Error::other("a store died"))?;
            sweep(&root, &directory, 0)?;
            match std::fs::remove_dir(&directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            }
        })
        .await
    }

    fn directory(&self, key: &ObjectKey) -> Result<PathBuf, ArtifactError> {
        for name in [&key.namespace, &key.name] {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
                return Err(ArtifactError::IllegalPath(name.clone()));
            }
        }
        Ok(self.root.join(relative(key)))
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T, ArtifactError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, ArtifactError> + Send + 'static,
    {
        let closed = |_| std::io::Error::other("the room is closed");
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .map_err(std::io::Error::other)?
    }
}

fn relative(key: &ObjectKey) -> String {
    format!("{}/{}/{}", key.kind.as_str().to_ascii_lowercase(), key.namespace, key.name)
}

/// Removed unless it was renamed meanwhile.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // usually gone already; else the next start sweeps it
        drop(std::fs::remove_file(&self.0));
    }
}

/// Writes the archive as Flux does: no owners, no times, 0600 or 0700, directories 0750, links dropped.
fn archive(
    view: &super::git::View,
    rules: &super::IgnoreRules,
    path: &Path,
    limits: &SourceLimits,
) -> Result<(String, u64), GitErrorKind> {
    write_private(path, b"")?;
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    let hashed = Hashed { file: std::io::BufWriter::new(file), hash: Sha256::new(), size: 0 };
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(hashed, flate2::Compression::fast()));
    let (mut files, mut total) = (0_usize, 0_u64);
    view.archive(rules, &mut |name: &str, file: Option<(&Content, bool)>| {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        files += 1;
        if files > limits.files {
            return Err(GitErrorKind::TooLarge {
                what: "the number of files".into(),
                limit: limits.files as u64,
            });
        }
        let bytes = match file {
            None => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o750);
                Vec::new()
            }
            Some((content, executable)) => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(if executable { 0o700 } else { 0o600 });
                read(content, limits.object_bytes)?
            }
        };
        total += bytes.len() as u64;
        if total > limits.artifact_bytes {
            return Err(GitErrorKind::TooLarge { what: "the artifact".into(), limit: limits.artifact_bytes });
        }
        header.set_size(bytes.len() as u64);
        Ok(tar.append_data(&mut header, name, bytes.as_slice())?)
    })?;
    let mut hashed = tar.into_inner()?.finish()?;
    hashed.file.flush()?;
    Ok((hex::encode(hashed.hash.finalize()), hashed.size))
}

/// Counts and hashes what it writes.
struct Hashed {
    file: std::io::BufWriter<std::fs::File>,
    hash: Sha256,
    size: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Puts the archive at `path`, replacing what was there in one step.
fn link(blob: &Path, path: &Path) -> std::io::Result<()> {
    let partial = path.with_file_name(format!(".{}", uuid::Uuid::new_v4()));
    std::fs::hard_link(blob, &partial)?;
    std::fs::rename(&partial, path)?;
    // renaming onto another link of the same file does nothing, and leaves both
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Keeps the newest archives of one object, and every archive that some object still links to.
fn sweep(root: &Path, directory: &Path, records: usize) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        found.push((entry.metadata()?.modified()?, entry.path()));
    }
    found.sort();
    let surplus = found.len().saturating_sub(records);
    for (_, path) in found.drain(..surplus) {
        std::fs::remove_file(path)?;
    }
    if surplus == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir(root.join("sha256"))? {
        let entry = entry?;
        if entry.metadata()?.nlink() == 1 {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The files of an archive of ours below `from`, by their path relative to it.
fn unpack(path: &Path, from: &str, digest: String, limit: u64) -> std::io::Result<Included> {
    let mut files = BTreeMap::new();
    let mut total = 0_u64;
    let mut found = from.is_empty();
    let below = if from.is_empty() { String::new() } else { format!("{from}/") };
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(path)?));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().trim_end_matches('/').to_owned();
        found |= name == from && entry.header().entry_type().is_dir();
        let Some(rest) = name.strip_prefix(&below).filter(|rest| !rest.is_empty()) else { continue };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        found = true;
        total += entry.size();
        if total > limit {
            return Err(std::io::Error::other(format!("more than {limit} bytes")));
        }
        let executable = entry.header().mode()? & 0o111 != 0;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(rest.to_owned(), (Arc::from(bytes), executable));
    }
    match found {
        true => Ok(Included { digest: format!("{digest} {from}"), files }),
        false => Err(std::io::Error::other(format!("`{from}` is no directory in it"))),
    }
}
