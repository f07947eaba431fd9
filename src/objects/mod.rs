//! Where Flux objects, Secrets and ConfigMaps live, and where statuses go.
//!
//! Today there are two homes: a directory of manifests, watched, with statuses in the store ([`Objects::directory`]),
//! and memory ([`Objects::memory`]). Everybody else asks [`Objects`] and cannot tell which it is. The user's files are
//! never written: what is changed at run time (suspend, annotations) is kept beside them and laid over.
//!
//! An object whose manifest is not valid is reported and stalled, its neighbours run, and what was valid before stays in
//! force. This room decides nothing about what the objects mean, and decrypts nothing.

mod batch;
mod change;
mod config;
mod directory;
mod gather;
mod graph;
mod overlay;
mod problem;
mod read;
mod state;
mod store;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use flux_api::{FluxObject, HelmChart, Resource};
use serde_json::Value;
use tokio::sync::broadcast;
use tracing::{debug, warn};

use self::state::{Merged, Origin, Persist, Reading, State, change};
use crate::model::{Clock, Kind, ObjectKey};

pub use self::batch::{StatusBatch, StatusChange};
pub use self::change::{Change, ChangeKind, ChangeTarget};
pub use self::config::{ConfigMap, Secret};
pub use self::directory::{DirectorySettings, DirectoryWatcher};
pub use self::graph::{DependencyProblem, dependencies};
pub use self::problem::{ChangeError, ConfigError, InvalidObject, ManifestProblem, OpenError};
pub use self::store::{
    GeneratedRecord, MemoryStore, OverlayRecord, StatusRecord, StatusStore, StoredObjects,
};

/// Changes kept for a slow subscriber: a reload of some thousand objects. Who falls behind further relists.
const CHANGES: usize = 2_048;
/// Writers of different objects meet in the same lock rarely enough with this many.
const LOCKS: usize = 64;

/// The objects, wherever they live. Cheap to clone.
#[derive(Clone)]
pub struct Objects(Arc<Shared>);

struct Shared {
    state: RwLock<State>,
    store: Arc<dyn StatusStore>,
    changes: broadcast::Sender<Change>,
    clock: Clock,
    /// Holds one object's changes in order from the store to memory, across the store's await.
    locks: Vec<tokio::sync::Mutex<()>>,
    home: Home,
}

/// Where manifests come from.
enum Home {
    Directory(directory::Directory),
    Memory(directory::Memory),
}

impl Objects {
    fn new(stored: StoredObjects, store: Arc<dyn StatusStore>, clock: Clock, home: Home) -> Self {
        Self(Arc::new(Shared {
            state: RwLock::new(State::restore(stored)),
            store,
            changes: broadcast::channel(CHANGES).0,
            clock,
            locks: (0..LOCKS).map(|_| tokio::sync::Mutex::new(())).collect(),
            home,
        }))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().expect("no code panics while it holds the lock")
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().expect("no code panics while it holds the lock")
    }

    /// One object, with its status and what people changed at run time.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<FluxObject>> {
        self.read().entries.get(key).map(|entry| Arc::clone(&entry.object))
    }

    /// One object of a known kind.
    pub fn get_as<T: Resource + Clone>(&self, namespace: &str, name: &str) -> Option<T> {
        let object = self.get(&ObjectKey::new(T::KIND, namespace, name))?;
        object.get::<T>().cloned()
    }

    /// All objects of a kind, by namespace and name.
    pub fn list(&self, kind: Kind) -> Vec<Arc<FluxObject>> {
        let first = ObjectKey::new(kind, "", "");
        self.read()
            .entries
            .range(first..)
            .take_while(|(key, _)| key.kind == kind)
            .map(|(_, entry)| Arc::clone(&entry.object))
            .collect()
    }

    /// All objects, by kind, namespace and name.
    pub fn all(&self) -> Vec<Arc<FluxObject>> {
        self.read().entries.values().map(|entry| Arc::clone(&entry.object)).collect()
    }

    /// A Secret; `Ok(None)` when there is none of that name.
    pub fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, ConfigError> {
        let name = (namespace.to_owned(), name.to_owned());
        self.read().secrets.get(&name).map(|(_, secret)| secret.clone()).transpose()
    }

    /// A ConfigMap; `Ok(None)` when there is none of that name.
    pub fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMap>>, ConfigError> {
        let name = (namespace.to_owned(), name.to_owned());
        self.read().config_maps.get(&name).map(|(_, map)| map.clone()).transpose()
    }

    /// The labels of a Namespace: those of its manifest, if it has one, and the one that every cluster gives.
    pub fn namespace_labels(&self, name: &str) -> BTreeMap<String, String> {
        let state = self.read();
        let mut labels = state.namespaces.get(name).map(|(_, labels)| labels.clone()).unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
        labels
    }

    /// Everything that is wrong with the manifests, by file and line.
    pub fn problems(&self) -> Vec<ManifestProblem> {
        let mut problems = self.read().problems.clone();
        problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        problems.dedup();
        problems
    }

    /// The objects whose manifest is not valid.
    pub fn invalid(&self) -> Vec<InvalidObject> {
        self.read().invalid.values().cloned().collect()
    }

    /// Every change from now on. A subscriber that falls far behind is told that it lagged and lists again.
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    /// Replaces an object's status, if it still is the object of that uid. Returns when it is durable.
    pub async fn patch_status(&self, key: &ObjectKey, uid: &str, status: Value) -> Result<(), ChangeError> {
        let _in_order = self.lock(key).await;
        let Some(record) = self.read().status_to_be(key, uid, &status)? else { return Ok(()) };
        let status = record.status.clone();
        self.0
            .store
            .put_status(record)
            .await
            .map_err(|source| ChangeError::Store { key: key.clone(), source })?;
        self.write().put_status(key, &status);
        self.tell(vec![change(key, ChangeKind::StatusChanged)]);
        Ok(())
    }

    /// Suspends or resumes an object, whatever its manifest says.
    pub async fn set_suspend(&self, key: &ObjectKey, suspend: bool) -> Result<(), ChangeError> {
        if key.kind == Kind::ExternalArtifact {
            return Err(ChangeError::NotSuspendable(key.clone()));
        }
        self.overlay(key, |base, overlay| {
            // Back to what the manifest says: nothing to lay over it.
            overlay.suspend = (base.suspended() != suspend).then_some(suspend);
        })
        .await
    }

    /// Sets annotations, over those of the manifest.
    pub async fn annotate(
        &self,
        key: &ObjectKey,
        annotations: BTreeMap<String, String>,
    ) -> Result<(), ChangeError> {
        self.overlay(key, |_, overlay| overlay.annotations.extend(annotations)).await
    }

    async fn overlay(
        &self,
        key: &ObjectKey,
        edit: impl FnOnce(&FluxObject, &mut overlay::Overlay),
    ) -> Result<(), ChangeError> {
        let _in_order = self.lock(key).await;
        let (was, overlay) = {
            let state = self.read();
            let entry = state.entries.get(key).ok_or_else(|| ChangeError::NotFound(key.clone()))?;
            let was = state.overlays.get(key).cloned().unwrap_or_default();
            let mut overlay = was.clone();
            edit(&entry.base, &mut overlay);
            (was, overlay)
        };
        if was == overlay {
            return Ok(());
        }
        let failed = |source| ChangeError::Store { key: key.clone(), source };
        let record = OverlayRecord { object: key.clone(), patch: overlay.to_patch() };
        self.0.store.put_overlay(record).await.map_err(failed)?;
        let risen = {
            let mut state = self.write();
            state.overlays.insert(key.clone(), overlay);
            // Gone in the meantime: the next object of that name starts without overlay.
            let Some(entry) = state.entries.get(key).cloned() else {
                state.overlays.remove(key);
                return Err(ChangeError::NotFound(key.clone()));
            };
            state.put(key, entry.base, entry.origin)
        };
        let what = if risen.is_some() { ChangeKind::SpecChanged } else { ChangeKind::MetadataChanged };
        if let Some(record) = risen {
            self.0.store.put_status(record).await.map_err(failed)?;
        }
        self.tell(vec![change(key, what)]);
        Ok(())
    }

    /// Puts in, or changes, an object that sluice makes itself for `owner`: the HelmChart of a HelmRelease.
    pub async fn apply_generated(&self, owner: &ObjectKey, chart: HelmChart) -> Result<(), ChangeError> {
        let key = ObjectKey::new(Kind::HelmChart, &chart.metadata.namespace, &chart.metadata.name);
        let object = Arc::new(chart.into_flux());
        let _in_order = self.lock(&key).await;
        let was = self.read().entries.get(&key).cloned();
        if let Some(entry) = &was {
            if entry.origin != Origin::Generated(owner.clone()) {
                return Err(ChangeError::NotOwned { key, owner: owner.to_string() });
            }
            let same_labels = entry.base.metadata().labels == object.metadata().labels
                && entry.base.metadata().annotations == object.metadata().annotations;
            if same_labels && entry.base.spec_json() == object.spec_json() {
                return Ok(());
            }
        }
        let failed = |source| ChangeError::Store { key: key.clone(), source };
        let manifest = object.to_json();
        let record = GeneratedRecord { object: key.clone(), owner: owner.clone(), manifest };
        self.0.store.put_generated(record).await.map_err(failed)?;
        let risen = self.write().put(&key, object, Origin::Generated(owner.clone()));
        let what = match (&was, &risen) {
            (None, _) => ChangeKind::Added,
            (Some(_), Some(_)) => ChangeKind::SpecChanged,
            (Some(_), None) => ChangeKind::MetadataChanged,
        };
        if let Some(record) = risen {
            self.0.store.put_status(record).await.map_err(failed)?;
        }
        self.tell(vec![change(&key, what)]);
        Ok(())
    }

    /// Takes a generated object out again. One that is not there is no error.
    pub async fn remove_generated(&self, key: &ObjectKey) -> Result<(), ChangeError> {
        let _in_order = self.lock(key).await;
        match self.read().entries.get(key).map(|entry| &entry.origin) {
            None => return Ok(()),
            Some(Origin::Generated(_)) => {}
            Some(_) => return Err(ChangeError::NotOwned { key: key.clone(), owner: "sluice".to_owned() }),
        }
        self.forget(key).await
    }

    /// Whether the object was made by sluice, and for whom.
    pub fn owner(&self, key: &ObjectKey) -> Option<ObjectKey> {
        match &self.read().entries.get(key)?.origin {
            Origin::Generated(owner) => Some(owner.clone()),
            Origin::File(_) | Origin::Deleting => None,
        }
    }

    /// The manifest's file, relative to the directory; `None` for what has none.
    pub fn file(&self, key: &ObjectKey) -> Option<String> {
        match &self.read().entries.get(key)?.origin {
            Origin::File(file) => Some(file.clone()),
            Origin::Generated(_) | Origin::Deleting => None,
        }
    }

    /// The line at which the manifest begins in its file; 0 where it is not known.
    pub fn line(&self, key: &ObjectKey) -> u32 {
        self.read().lines.get(key).copied().unwrap_or(0)
    }

    /// Lets go of an object whose manifest is gone, once its reconciler has cleaned up. Until then it stays, with
    /// `metadata.deletionTimestamp` set. One that is not being deleted (any more) stays too: the answer says which.
    pub async fn finalize(&self, key: &ObjectKey) -> Result<bool, ChangeError> {
        let _in_order = self.lock(key).await;
        if self.read().entries.get(key).is_none_or(|entry| entry.origin != Origin::Deleting) {
            return Ok(false);
        }
        self.forget(key).await.map(|()| true)
    }

    async fn forget(&self, key: &ObjectKey) -> Result<(), ChangeError> {
        self.0.store.delete(key).await.map_err(|source| ChangeError::Store { key: key.clone(), source })?;
        let mut merged = Merged::default();
        self.write().forget(key, &mut merged);
        self.keep(merged.persist).await;
        self.tell(merged.changes);
        Ok(())
    }

    /// Takes in a reading, keeps what must be kept, tells subscribers. Returns whether to look again soon.
    async fn take(&self, reading: Reading, grace: Duration) -> bool {
        let merged = self.write().merge(reading, self.0.clock.now(), Instant::now(), grace);
        for one in merged.persist {
            let _in_order = self.lock(one.key()).await;
            // What was written since the merge is newer than what the merge saw; what has gone since stays gone.
            let one = match one {
                Persist::Status(record) => self.read().record(&record.object).map(Persist::Status),
                other => Some(other),
            };
            self.keep(one.into_iter().collect()).await;
        }
        self.tell(merged.changes);
        merged.look_again
    }

    /// Writes what a merge changed. A failure is no reason to ignore manifests: the same is worked out at the next start.
    async fn keep(&self, persist: Vec<Persist>) {
        for one in persist {
            let store = &self.0.store;
            let (key, result) = match one {
                Persist::Status(record) => (record.object.clone(), store.put_status(record).await),
                Persist::Generated(record) => (record.object.clone(), store.put_generated(record).await),
                Persist::RemoveGenerated(key) => {
                    let result = store.remove_generated(&key).await;
                    (key, result)
                }
                Persist::Delete(key) => {
                    let result = store.delete(&key).await;
                    (key, result)
                }
            };
            if let Err(error) = result {
                warn!(object = %key, "failed to store what changed about `{key}`: {error:#}");
            }
        }
    }

    fn tell(&self, changes: Vec<Change>) {
        for change in changes {
            debug!(target = %change.target, what = ?change.what, "`{}`: {:?}", change.target, change.what);
            // Without subscribers there is nobody to tell, which is fine.
            drop(self.0.changes.send(change));
        }
    }

    async fn lock(&self, key: &ObjectKey) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.locks[Self::lock_of(key)].lock().await
    }

    fn lock_of(key: &ObjectKey) -> usize {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        usize::try_from(hasher.finish() % LOCKS as u64).expect("less than the number of locks")
    }
}
