//! Statuses that are shown already and not kept yet: a job's last transaction writes them together with what follows from
//! them, the jobs of dependents and the messages, so that none of these is ever there without the others.
//!
//! Nothing is written here. A process that dies before that transaction runs the job again, and works out the same.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::MutexGuard;

use super::change::ChangeKind;
use super::state::change;
use super::{ChangeError, Objects, StatusRecord};
use crate::model::ObjectKey;

/// Which statuses are ahead of the store, and how often each was changed since the process began.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<HashMap<ObjectKey, u64>>);

impl Ahead {
    fn changed(&self, key: &ObjectKey) {
        *self.lock().entry(key.clone()).or_insert(0) += 1;
    }

    fn count(&self, key: &ObjectKey) -> Option<u64> {
        self.lock().get(key).copied()
    }

    /// Forgets a change that is kept now, unless another came after it.
    fn kept(&self, key: &ObjectKey, count: u64) {
        let mut all = self.lock();
        if all.get(key) == Some(&count) {
            all.remove(key);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectKey, u64>> {
        self.0.lock().expect("held for one map operation")
    }
}

/// Records to be written in one transaction. While this is held, nobody else writes a status of these objects, so that
/// an older one cannot come after a newer one.
#[must_use = "call `kept` once the records are on disk"]
pub struct Unsaved<'a> {
    objects: &'a Objects,
    counts: Vec<(ObjectKey, u64)>,
    records: Vec<StatusRecord>,
    _in_order: Vec<MutexGuard<'a, ()>>,
}

impl Unsaved<'_> {
    /// What is to be written.
    pub fn take_records(&mut self) -> Vec<StatusRecord> {
        std::mem::take(&mut self.records)
    }

    /// It is written.
    pub fn kept(self) {
        for (key, count) in &self.counts {
            self.objects.0.ahead.kept(key, *count);
        }
    }
}

impl Objects {
    /// Replaces an object's status, if it still is the object of that uid. It is shown at once, and kept with the next
    /// [`Objects::unsaved`] of the object.
    ///
    /// # Errors
    /// When there is no such object, or the status is none of its kind.
    pub fn stage_status(&self, key: &ObjectKey, uid: &str, status: &Value) -> Result<(), ChangeError> {
        {
            let mut state = self.write();
            if state.status_to_be(key, uid, status)?.is_none() {
                return Ok(());
            }
            state.put_status(key, status);
        }
        self.0.ahead.changed(key);
        self.tell(vec![change(key, ChangeKind::StatusChanged)]);
        Ok(())
    }

    /// Those statuses of these objects that are not kept yet.
    pub async fn unsaved(&self, keys: &[ObjectKey]) -> Unsaved<'_> {
        let mut counts: Vec<(ObjectKey, u64)> =
            keys.iter().filter_map(|key| Some((key.clone(), self.0.ahead.count(key)?))).collect();
        counts.sort();
        counts.dedup();
        // Always in the same order, so that two who want the same locks do not wait for each other.
        let mut places: Vec<usize> = counts.iter().map(|(key, _)| Self::lock_of(key)).collect();
        places.sort_unstable();
        places.dedup();
        let mut in_order = Vec::with_capacity(places.len());
        for place in places {
            in_order.push(self.0.locks[place].lock().await);
        }
        // What has gone meanwhile has no record: there is nothing to keep of it.
        let records = counts.iter().filter_map(|(key, _)| self.read().record(key)).collect();
        Unsaved { objects: self, counts, records, _in_order: in_order }
    }
}
