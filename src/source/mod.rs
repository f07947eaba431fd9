//! Sources: URL, reference and credentials in, revision and artifact out.
//!
//! Credentials come in as values; this room never talks to a cluster and never writes a status. Whatever the
//! other end sends is bounded ([`SourceLimits`]) and every operation has a deadline.

mod artifact;
mod git;
mod ignore;
mod limits;
mod registry;
mod transport;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use artifact::{Artifact, ArtifactError, ArtifactRequest, Include};
pub use git::{
    ClientCertificate, CommitSigner, Expected, FileLimits, GitCheckout, GitCredentials, GitError,
    GitErrorKind, GitIdentity, GitPush, GitReference, GitRequest, NewCommit, PrefixMatch, Proxy, PushError,
    PushHint, RefUpdate, RegularFile, RepositoryHandle, SigningKeyError, SshCredentials, TlsMaterial,
    TrustedKeys, VerifyError, VerifyMode,
};
pub use ignore::IgnoreRules;
pub use limits::{AddressPolicy, SourceLimits};
pub use registry::{
    DockerConfig, ImageName, RegistryCredentials, RegistryError, RegistryErrorKind, RegistryRequest,
};

pub(crate) use git::elements;
pub(crate) use transport::{AGENT, NoClient, causes, client, literal};

use crate::model::{Clock, Digest};

/// The room: clients, kept repositories and stored artifacts. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    inner: Arc<Inner>,
}

struct Inner {
    addresses: AddressPolicy,
    git: git::Git,
    artifacts: artifact::Artifacts,
    registries: registry::Registries,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Sources {
    /// Opens the room below `state` (`git/` and `artifacts/` are its own).
    pub fn new(state: &Path, limits: SourceLimits, clock: Clock) -> std::io::Result<Self> {
        let permits = Arc::new(tokio::sync::Semaphore::new(limits.blocking.max(1)));
        let addresses = limits.addresses;
        let limits = Arc::new(limits);
        let git = git::Git::new(state, Arc::clone(&limits), Arc::clone(&permits))?;
        let registries = registry::Registries::new(limits.addresses, clock.clone());
        let artifacts = artifact::Artifacts::new(&state.join("artifacts"), limits, permits, clock)?;
        Ok(Self { inner: Arc::new(Inner { addresses, git, artifacts, registries }) })
    }

    /// Which addresses a source may be at.
    pub fn addresses(&self) -> AddressPolicy {
        self.inner.addresses
    }

    /// Brings a commit here, with as little network as possible, and opens it for reading.
    pub async fn fetch(&self, request: &GitRequest) -> Result<GitCheckout, GitError> {
        self.inner.git.fetch(request).await
    }

    /// Makes a commit on top of a checkout, in the kept repository and nowhere else, and opens it for reading.
    pub async fn commit(&self, checkout: &GitCheckout, commit: NewCommit) -> Result<GitCheckout, GitError> {
        self.inner.git.commit(checkout, commit).await
    }

    /// Whether a commit of these changes on top of a checkout would hold the same files as `other` does. Makes none.
    pub async fn would_equal(
        &self,
        checkout: &GitCheckout,
        changes: BTreeMap<String, Vec<u8>>,
        other: &GitCheckout,
    ) -> Result<bool, GitError> {
        self.inner.git.would_equal(checkout, changes, other).await
    }

    /// Pushes a commit: every reference moves from where it was expected to stand, or the push fails. Once it is
    /// through, a fetch of the branch with the commit as its hint asks nobody.
    pub async fn push(&self, request: &GitRequest, push: &GitPush) -> Result<(), PushError> {
        self.inner.git.push(request, push).await
    }

    /// Housekeeping for a slow timer (once a day or so): merges small packs, and removes kept repositories that no
    /// fetch used since the last call.
    pub async fn tidy(&self) -> Result<(), GitError> {
        self.inner.git.tidy().await.map_err(|kind| GitError {
            attempted: "tidy".into(),
            url: "the kept repositories".into(),
            kind,
        })
    }

    /// All tags of an image, in no order; what is no tag is left out.
    pub async fn image_tags(&self, request: &RegistryRequest) -> Result<Vec<String>, RegistryError> {
        self.inner.registries.tags(request).await
    }

    /// The digest of the manifest that a tag or digest of an image points to; `None` if there is none.
    pub async fn image_digest(
        &self,
        request: &RegistryRequest,
        reference: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        self.inner.registries.digest(request, reference).await
    }

    /// Archives a checkout as Flux does and stores it; an archive of the same content is stored once.
    pub async fn artifact(&self, request: ArtifactRequest<'_>) -> Result<Artifact, ArtifactError> {
        self.inner.artifacts.store(request).await
    }

    /// A checkout with the files of other artifacts (`spec.include`) in it, to read it as the artifact will be.
    pub async fn with_includes(
        &self,
        checkout: &GitCheckout,
        includes: &[Include],
    ) -> Result<GitCheckout, ArtifactError> {
        self.inner.artifacts.with_includes(checkout, includes).await
    }

    /// Where an artifact's archive lies, if it is there and still what its digest says.
    pub async fn verify_artifact(&self, artifact: &Artifact) -> Result<Option<PathBuf>, ArtifactError> {
        self.inner.artifacts.verify(artifact).await
    }

    /// Forgets the artifacts of an object that is gone.
    pub async fn remove_artifacts(&self, key: &crate::model::ObjectKey) -> Result<(), ArtifactError> {
        self.inner.artifacts.remove(key).await
    }
}

/// Creates a directory that nobody else may look into.
fn private_directory(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that nobody else may read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let partial = path.with_extension(format!("{}.partial", uuid::Uuid::new_v4()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}
