//! What is kept per object when no host cluster keeps it: statuses, generated objects, overlays, what was applied.

use serde_json::Value;

use crate::model::{Digest, ObjectKey, Revision, Timestamp};

/// An object's `.status` and what it was computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct NewStatus {
    /// The object.
    pub object: ObjectKey,
    /// The whole `.status`.
    pub status: Value,
    /// `.metadata.generation`: rises by one whenever the spec changes.
    pub generation: i64,
    /// A digest of the spec that generation stands for.
    pub spec_hash: String,
}

/// A status as it stands in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredStatus {
    /// The status.
    pub status: NewStatus,
    /// When it was written.
    pub updated_at: Timestamp,
}

/// An object that a reconciler made (the HelmChart of a HelmRelease), kept where no host cluster keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The object.
    pub object: ObjectKey,
    /// Who made it; it goes when the owner goes.
    pub owner: ObjectKey,
    /// Its manifest.
    pub manifest: Value,
}

/// What people changed at run time on top of a manifest they keep in git: suspend, `requestedAt`.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    /// The object.
    pub object: ObjectKey,
    /// A merge patch; an empty one removes the overlay.
    pub patch: Value,
}

/// What stands on one member cluster because of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The HelmRelease or Kustomization.
    pub object: ObjectKey,
    /// The member cluster; empty for the only one.
    pub cluster: String,
    /// Digest of the rendered manifests.
    pub digest: Digest,
    /// The source revision they came from.
    pub revision: Revision,
    /// Helm's release number, where there is one.
    pub release_version: Option<i64>,
    /// When the apply ended.
    pub at: Timestamp,
}
