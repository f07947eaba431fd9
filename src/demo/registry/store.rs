//! What the registry holds: blobs, manifests and tags, with a bound on each and on all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::model::is_tag;

/// One blob.
pub(super) const BLOB_BYTES: usize = 64 << 20;
/// One manifest.
pub(super) const MANIFEST_BYTES: usize = 4 << 20;
/// Everything.
const ALL_BYTES: usize = 512 << 20;
/// Uploads that were begun.
const UPLOADS: usize = 64;
/// References in one manifest.
const REFERENCES: usize = 1024;

/// Why something is refused: the API's code, its words, and the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str, pub(super) &'static str);

pub(super) const NAME_UNKNOWN: Refusal =
    Refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
pub(super) const NAME_INVALID: Refusal = Refusal(400, "NAME_INVALID", "invalid repository name");
pub(super) const TAG_INVALID: Refusal = Refusal(400, "TAG_INVALID", "manifest tag is not valid");
pub(super) const BLOB_UNKNOWN: Refusal = Refusal(404, "BLOB_UNKNOWN", "blob unknown to registry");
pub(super) const UPLOAD_UNKNOWN: Refusal =
    Refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
pub(super) const RANGE_INVALID: Refusal =
    Refusal(416, "BLOB_UPLOAD_INVALID", "the chunk does not begin where the upload stands");
pub(super) const DIGEST_INVALID: Refusal =
    Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
pub(super) const MANIFEST_UNKNOWN: Refusal = Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown");
pub(super) const MANIFEST_INVALID: Refusal = Refusal(400, "MANIFEST_INVALID", "manifest invalid");
pub(super) const MANIFEST_BLOB_UNKNOWN: Refusal =
    Refusal(400, "MANIFEST_BLOB_UNKNOWN", "manifest references a blob unknown to registry");
pub(super) const TOO_LARGE: Refusal = Refusal(413, "SIZE_INVALID", "this registry is too small for it");
pub(super) const UNSUPPORTED: Refusal = Refusal(405, "UNSUPPORTED", "the operation is unsupported");

/// A manifest as it was pushed.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) digest: String,
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Default)]
struct Repository {
    manifests: HashMap<String, Manifest>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    blobs: HashMap<String, Bytes>,
    repositories: BTreeMap<String, Repository>,
    uploads: HashMap<String, (String, Vec<u8>)>,
    bytes: usize,
}

/// The registry's memory.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<State>);

/// `sha256:<hex>`.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A reference with a colon is a digest, any other a tag.
fn is_digest(reference: &str) -> bool {
    reference.contains(':')
}

impl Store {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("held for one look or one change, which cannot panic")
    }

    /// A blob, wherever it was pushed to.
    pub(super) fn blob(&self, digest: &str) -> Result<Bytes, Refusal> {
        self.state().blobs.get(digest).cloned().ok_or(BLOB_UNKNOWN)
    }

    /// Begins an upload and names it.
    pub(super) fn begin(&self, repository: &str) -> Result<String, Refusal> {
        let mut state = self.state();
        if state.uploads.len() >= UPLOADS {
            return Err(TOO_LARGE);
        }
        let id = uuid::Uuid::new_v4().to_string();
        state.uploads.insert(id.clone(), (repository.to_owned(), Vec::new()));
        Ok(id)
    }

    /// How far an upload is.
    pub(super) fn uploaded(&self, repository: &str, id: &str) -> Result<usize, Refusal> {
        let state = self.state();
        let (_, bytes) =
            state.uploads.get(id).filter(|(owner, _)| owner == repository).ok_or(UPLOAD_UNKNOWN)?;
        Ok(bytes.len())
    }

    /// Adds a chunk, which begins at `start` if it says so; returns how far the upload is then.
    pub(super) fn append(
        &self,
        repository: &str,
        id: &str,
        start: Option<usize>,
        chunk: &[u8],
    ) -> Result<usize, Refusal> {
        let mut state = self.state();
        let held = state.bytes;
        let (_, bytes) =
            state.uploads.get_mut(id).filter(|(owner, _)| owner == repository).ok_or(UPLOAD_UNKNOWN)?;
        if start.is_some_and(|start| start != bytes.len()) {
            return Err(RANGE_INVALID);
        }
        if bytes.len() + chunk.len() > BLOB_BYTES || held + chunk.len() > ALL_BYTES {
            return Err(TOO_LARGE);
        }
        bytes.extend_from_slice(chunk);
        let length = bytes.len();
        state.bytes += chunk.len();
        Ok(length)
    }

    /// Ends an upload as the blob it is said to be.
    pub(super) fn finish(&self, repository: &str, id: &str, digest: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        let (_, bytes) =
            state.uploads.get(id).filter(|(owner, _)| owner == repository).ok_or(UPLOAD_UNKNOWN)?;
        if digest_of(bytes) != digest {
            return Err(DIGEST_INVALID);
        }
        let (_, bytes) = state.uploads.remove(id).ok_or(UPLOAD_UNKNOWN)?;
        state.repositories.entry(repository.to_owned()).or_default();
        let length = bytes.len();
        if state.blobs.insert(digest.to_owned(), Bytes::from(bytes)).is_some() {
            state.bytes -= length;
        }
        Ok(())
    }

    /// Gives an upload up.
    pub(super) fn cancel(&self, repository: &str, id: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        state.uploads.get(id).filter(|(owner, _)| owner == repository).ok_or(UPLOAD_UNKNOWN)?;
        if let Some((_, bytes)) = state.uploads.remove(id) {
            state.bytes -= bytes.len();
        }
        Ok(())
    }

    /// A manifest by tag or digest.
    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Result<Manifest, Refusal> {
        let state = self.state();
        let found = state.repositories.get(repository).ok_or(NAME_UNKNOWN)?;
        let digest =
            if is_digest(reference) { Some(reference) } else { found.tags.get(reference).map(|d| &**d) };
        digest.and_then(|digest| found.manifests.get(digest)).cloned().ok_or(MANIFEST_UNKNOWN)
    }

    /// Takes a manifest under a tag or its digest, if everything it refers to is there; returns its digest.
    pub(super) fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<String, Refusal> {
        let digest = digest_of(&bytes);
        if is_digest(reference) && reference != digest {
            return Err(DIGEST_INVALID);
        }
        if !is_digest(reference) && !is_tag(reference) {
            return Err(TAG_INVALID);
        }
        let parsed: Wire = serde_json::from_slice(&bytes).map_err(|_| MANIFEST_INVALID)?;
        let blobs: Vec<String> = parsed
            .config
            .into_iter()
            .chain(parsed.layers.into_iter().flatten())
            .map(|one| one.digest)
            .collect();
        let children: Vec<String> = parsed.manifests.into_iter().flatten().map(|one| one.digest).collect();
        if blobs.len() + children.len() > REFERENCES || blobs.is_empty() && children.is_empty() {
            return Err(MANIFEST_INVALID);
        }
        let mut state = self.state();
        if blobs.iter().any(|blob| !state.blobs.contains_key(blob)) {
            return Err(MANIFEST_BLOB_UNKNOWN);
        }
        if state.bytes + bytes.len() > ALL_BYTES {
            return Err(TOO_LARGE);
        }
        let length = bytes.len();
        let found = state.repositories.entry(repository.to_owned()).or_default();
        if children.iter().any(|child| !found.manifests.contains_key(child)) {
            return Err(MANIFEST_BLOB_UNKNOWN);
        }
        let manifest = Manifest { digest: digest.clone(), media_type: media_type.to_owned(), bytes };
        let is_new = found.manifests.insert(digest.clone(), manifest).is_none();
        if !is_digest(reference) {
            found.tags.insert(reference.to_owned(), digest.clone());
        }
        state.bytes += if is_new { length } else { 0 };
        Ok(digest)
    }

    /// Removes a tag, or a manifest with all its tags.
    pub(super) fn delete_manifest(&self, repository: &str, reference: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        let found = state.repositories.get_mut(repository).ok_or(NAME_UNKNOWN)?;
        if !is_digest(reference) {
            return found.tags.remove(reference).map(drop).ok_or(MANIFEST_UNKNOWN);
        }
        let manifest = found.manifests.remove(reference).ok_or(MANIFEST_UNKNOWN)?;
        found.tags.retain(|_, digest| digest != reference);
        state.bytes -= manifest.bytes.len();
        Ok(())
    }

    /// The tags after `last`, at most `count` of them, and whether there are more.
    pub(super) fn tags(
        &self,
        repository: &str,
        last: Option<&str>,
        count: usize,
    ) -> Result<(Vec<String>, bool), Refusal> {
        let state = self.state();
        let found = state.repositories.get(repository).ok_or(NAME_UNKNOWN)?;
        Ok(page(found.tags.keys(), last, count))
    }

    /// The same for repositories.
    pub(super) fn catalog(&self, last: Option<&str>, count: usize) -> (Vec<String>, bool) {
        page(self.state().repositories.keys(), last, count)
    }
}

fn page<'a>(all: impl Iterator<Item = &'a String>, last: Option<&str>, count: usize) -> (Vec<String>, bool) {
    let mut rest = all.filter(|one| last.is_none_or(|last| one.as_str() > last));
    let page = rest.by_ref().take(count).cloned().collect();
    (page, rest.next().is_some())
}

/// What is read of a manifest or an index.
#[derive(Deserialize)]
struct Wire {
    config: Option<Reference>,
    layers: Option<Vec<Reference>>,
    manifests: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    digest: String,
}

/// A repository as the API allows it: lower case, digits and separators, in segments.
pub(super) fn is_repository(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 255
        && text.split('/').all(|segment| {
            let bytes = segment.as_bytes();
            bytes.first().copied().is_some_and(is_word)
                && bytes.last().copied().is_some_and(is_word)
                && bytes.iter().all(|byte| is_word(*byte) || matches!(byte, b'.' | b'_' | b'-'))
        })
}
