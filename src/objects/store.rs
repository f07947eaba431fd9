//! What must outlive the process when no host cluster keeps it: statuses, generated objects, overlays.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::model::ObjectKey;

/// An object's status and the spec it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusRecord {
    /// The object.
    pub object: ObjectKey,
    /// The whole `.status`.
    pub status: Value,
    /// `.metadata.generation`.
    pub generation: i64,
    /// Digest of the spec of that generation.
    pub spec_hash: String,
}

/// An object sluice made itself, or the last manifest of one that is being deleted (its own owner then).
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedRecord {
    /// The object.
    pub object: ObjectKey,
    /// Whose it is.
    pub owner: ObjectKey,
    /// The manifest.
    pub manifest: Value,
}

/// What people changed at run time: a merge patch over the manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayRecord {
    /// The object.
    pub object: ObjectKey,
    /// The merge patch; an empty object means there is none.
    pub patch: Value,
}

/// Everything kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredObjects {
    /// Statuses.
    pub statuses: Vec<StatusRecord>,
    /// Generated objects.
    pub generated: Vec<GeneratedRecord>,
    /// Overlays.
    pub overlays: Vec<OverlayRecord>,
}

/// Where it is kept. When a call returns, the change is durable.
pub trait StatusStore: Send + Sync {
    /// Everything kept.
    fn load_all(&self) -> BoxFuture<'_, anyhow::Result<StoredObjects>>;
    /// Keeps a status, over whatever was there.
    fn put_status(&self, record: StatusRecord) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Forgets an object: status, overlay and generated manifest.
    fn delete(&self, object: &ObjectKey) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Keeps a generated object.
    fn put_generated(&self, record: GeneratedRecord) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Forgets a generated object's manifest, not its status.
    fn remove_generated(&self, object: &ObjectKey) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Keeps an overlay.
    fn put_overlay(&self, record: OverlayRecord) -> BoxFuture<'_, anyhow::Result<()>>;
}

/// Keeps everything for as long as the process runs: the memory home's store, and `sluice check`'s.
#[derive(Debug, Default)]
pub struct MemoryStore {
    statuses: Mutex<BTreeMap<ObjectKey, StatusRecord>>,
    generated: Mutex<BTreeMap<ObjectKey, GeneratedRecord>>,
    overlays: Mutex<BTreeMap<ObjectKey, OverlayRecord>>,
}

const BRIEF: &str = "held for one map operation";

impl StatusStore for MemoryStore {
    fn load_all(&self) -> BoxFuture<'_, anyhow::Result<StoredObjects>> {
        let all = StoredObjects {
            statuses: self.statuses.lock().expect(BRIEF).values().cloned().collect(),
            generated: self.generated.lock().expect(BRIEF).values().cloned().collect(),
            overlays: self.overlays.lock().expect(BRIEF).values().cloned().collect(),
        };
        async move { Ok(all) }.boxed()
    }

    fn put_status(&self, record: StatusRecord) -> BoxFuture<'_, anyhow::Result<()>> {
        self.statuses.lock().expect(BRIEF).insert(record.object.clone(), record);
        async { Ok(()) }.boxed()
    }

    fn delete(&self, object: &ObjectKey) -> BoxFuture<'_, anyhow::Result<()>> {
        self.statuses.lock().expect(BRIEF).remove(object);
        self.generated.lock().expect(BRIEF).remove(object);
        self.overlays.lock().expect(BRIEF).remove(object);
        async { Ok(()) }.boxed()
    }

    fn put_generated(&self, record: GeneratedRecord) -> BoxFuture<'_, anyhow::Result<()>> {
        self.generated.lock().expect(BRIEF).insert(record.object.clone(), record);
        async { Ok(()) }.boxed()
    }

    fn remove_generated(&self, object: &ObjectKey) -> BoxFuture<'_, anyhow::Result<()>> {
        self.generated.lock().expect(BRIEF).remove(object);
        async { Ok(()) }.boxed()
    }

    fn put_overlay(&self, record: OverlayRecord) -> BoxFuture<'_, anyhow::Result<()>> {
        let mut overlays = self.overlays.lock().expect(BRIEF);
        if record.patch.as_object().is_none_or(|patch| patch.is_empty()) {
            overlays.remove(&record.object);
        } else {
            overlays.insert(record.object.clone(), record);
        }
        async { Ok(()) }.boxed()
    }
}
