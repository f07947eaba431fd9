//! Who works on what in this process, so that a running job can be told that a newer one waits.
//!
//! Only the signal lives here. Whether a lease stands is decided by the store alone.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::watch;

use super::{Lease, LeasedJob};
use crate::model::{CauseKind, JobId, ObjectKey};

/// The running jobs of this process, by object.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<ObjectKey, (Lease, watch::Sender<bool>)>>);

impl Leases {
    /// A job was claimed.
    pub(super) fn started(&self, job: &LeasedJob) {
        let entry = (job.lease.clone(), watch::Sender::new(false));
        // Whoever had it before has lost it, and should stop.
        if let Some((_, lost)) = self.lock().insert(job.object.clone(), entry) {
            lost.send_replace(true);
        }
    }

    /// A lease came to its end.
    pub(super) fn ended(&self, lease: &Lease) {
        self.lock().retain(|_, (held, _)| held != lease);
    }

    /// These leases ran out: whoever has them still should stop.
    pub(super) fn vanished(&self, gone: &[JobId]) {
        self.lock().retain(|_, (held, lost)| {
            let stays = !gone.contains(&held.job);
            if !stays {
                lost.send_replace(true);
            }
            stays
        });
    }

    /// A job for `object` was put in; true if another one of it runs here. An interval that comes due does not
    /// interrupt the work at hand.
    pub(super) fn put_in(&self, object: &ObjectKey, cause: CauseKind) -> bool {
        let interrupts = match cause {
            CauseKind::Delivery
            | CauseKind::Request
            | CauseKind::Change
            | CauseKind::Dependency
            | CauseKind::Replay => true,
            CauseKind::Interval | CauseKind::Start => false,
        };
        let leases = self.lock();
        let Some((_, signal)) = leases.get(object) else { return false };
        if interrupts {
            signal.send_replace(true);
        }
        true
    }

    /// Turns true when a newer job waits for the object of this lease.
    pub(super) fn superseded(&self, lease: &Lease) -> watch::Receiver<bool> {
        self.lock()
            .values()
            .find(|(held, _)| held == lease)
            .map(|(_, signal)| signal.subscribe())
            // The lease is gone: stopping is right.
            .unwrap_or_else(|| watch::Sender::new(true).subscribe())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectKey, (Lease, watch::Sender<bool>)>> {
        self.0.lock().expect("the lock is held for one look at the map, which cannot panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::queue::Priority;

    fn job(name: &str) -> LeasedJob {
        let id = JobId::generate();
        LeasedJob {
            lease: Lease { job: id.clone(), worker: "worker".into(), claim: 1 },
            id,
            object: ObjectKey::new(Kind::HelmRelease, "apps", name),
            causes: Vec::new(),
            payload: serde_json::Value::Null,
            attempts: 0,
            due_at: crate::model::Timestamp::UNIX_EPOCH,
            priority: Priority::Push,
        }
    }

    #[test]
    fn a_push_for_a_busy_object_reaches_who_works_on_it() {
        let leases = Leases::default();
        let (web, db) = (job("web"), job("db"));
        leases.started(&web);
        let told = leases.superseded(&web.lease);
        assert!(!leases.put_in(&db.object, CauseKind::Delivery));
        assert!(leases.put_in(&web.object, CauseKind::Interval));
        assert!(!*told.borrow());
        assert!(leases.put_in(&web.object, CauseKind::Delivery));
        assert!(*told.borrow());
        leases.ended(&web.lease);
        assert!(!leases.put_in(&web.object, CauseKind::Delivery));
    }

    #[test]
    fn whoever_lost_a_lease_is_told_and_keeps_nobody_waiting() {
        let leases = Leases::default();
        let web = job("web");
        leases.started(&web);
        let told = leases.superseded(&web.lease);
        leases.vanished(std::slice::from_ref(&web.id));
        assert!(*told.borrow());
        assert!(!leases.put_in(&web.object, CauseKind::Delivery));
    }
}
