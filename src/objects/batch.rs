//! Statuses that a job leaves behind: kept in its last transaction, together with the jobs of dependents and the messages,
//! and shown the moment that is on disk. So none of these is ever there without the others.
//!
//! Nothing is written here. A process that dies before that transaction runs the job again, and works out the same.

use serde_json::Value;
use tokio::sync::MutexGuard;

use super::change::{Change, ChangeKind};
use super::state::change;
use super::{ChangeError, Objects, StatusRecord};
use crate::model::ObjectKey;

/// A status to be written, for the object of this uid.
#[derive(Clone, Debug)]
pub struct StatusChange {
    /// The object.
    pub object: ObjectKey,
    /// Its uid when the status was worked out.
    pub uid: String,
    /// The whole `.status`.
    pub status: Value,
}

/// What is to be kept. While this is held, nobody else writes a status of these objects, so that an older one cannot
/// come after a newer one.
#[must_use = "nothing is kept or shown by itself"]
pub struct StatusBatch<'a> {
    objects: &'a Objects,
    records: Vec<StatusRecord>,
    _in_order: Vec<MutexGuard<'a, ()>>,
}

impl StatusBatch<'_> {
    /// What is to be written.
    pub fn records(&self) -> &[StatusRecord] {
        &self.records
    }

    /// Shows the statuses; to be called once they are on disk.
    pub fn show(&self) -> impl FnOnce() + Send + use<> {
        let (objects, records) = (self.objects.clone(), self.records.clone());
        move || {
            let changes: Vec<Change> = {
                let mut state = objects.write();
                records.iter().for_each(|record| state.put_status(&record.object, &record.status));
                records.iter().map(|record| change(&record.object, ChangeKind::StatusChanged)).collect()
            };
            objects.tell(changes);
        }
    }
}

impl Objects {
    /// Prepares statuses to be kept and shown together; of several for one object the last counts. Those that cannot be
    /// written come back as errors, those that change nothing are left out.
    pub async fn batch(&self, changes: &[StatusChange]) -> (StatusBatch<'_>, Vec<ChangeError>) {
        // Always in the same order, so that two who want the same locks do not wait for each other.
        let mut places: Vec<usize> = changes.iter().map(|change| Self::lock_of(&change.object)).collect();
        places.sort_unstable();
        places.dedup();
        let mut in_order = Vec::with_capacity(places.len());
        for place in places {
            in_order.push(self.0.locks[place].lock().await);
        }
        let (mut records, mut errors): (Vec<StatusRecord>, Vec<ChangeError>) = (Vec::new(), Vec::new());
        for (index, StatusChange { object, uid, status }) in changes.iter().enumerate() {
            if changes[index + 1..].iter().any(|later| later.object == *object) {
                continue;
            }
            match self.read().status_to_be(object, uid, status) {
                Ok(record) => records.extend(record),
                Err(error) => errors.push(error),
            }
        }
        (StatusBatch { objects: self, records, _in_order: in_order }, errors)
    }
}
