//! The store as the other rooms see it.

mod inbox;
mod jobs;
mod model;
mod outbox;
mod tags;
mod upkeep;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::model::{Cause, CauseKind, Clock, DeliveryId, Kind, ObjectKey, Timestamp};

/// How long a lease lasts in these tests.
const LEASE: Duration = Duration::from_secs(60);

/// A store with its writer running, and a clock in the test's hand.
struct Store {
    queue: Queue,
    clock: Clock,
    writer: JoinHandle<Result<(), StoreError>>,
}

impl Store {
    async fn open(dir: &Path) -> Self {
        Self::open_at(dir, Clock::manual("2026-03-01T12:00:00Z".parse().unwrap())).await
    }

    async fn open_at(dir: &Path, clock: Clock) -> Self {
        Self::open_with(dir, QueueSettings::following(&clock), clock).await
    }

    async fn open_with(dir: &Path, settings: QueueSettings, clock: Clock) -> Self {
        let (queue, writer) = Queue::open(dir, settings, clock.clone()).await.expect("opens");
        Self { queue, clock, writer: tokio::spawn(writer.run()) }
    }

    /// As `kill -9` would: whatever is under way is gone, whatever was answered is not.
    async fn kill(self) -> Clock {
        self.writer.abort();
        drop(self.writer.await);
        self.clock
    }

    async fn claim_one(&self) -> LeasedJob {
        let mut jobs = self.queue.claim(1, "worker", LEASE).await.unwrap();
        assert_eq!(jobs.len(), 1, "one job to claim");
        jobs.remove(0)
    }

    async fn claim_all(&self) -> Vec<LeasedJob> {
        self.queue.claim(100, "worker", LEASE).await.unwrap()
    }

    async fn finish(&self, job: &LeasedJob, outcome: JobOutcome) {
        self.queue.finish(&job.lease, JobResult::of(outcome)).await.unwrap();
    }

    fn timer(&self, object: ObjectKey, after: Duration) -> NewJob {
        NewJob {
            object,
            cause: Cause::of(CauseKind::Interval),
            due_at: self.clock.now().saturating_add(after).unwrap(),
            payload: Value::Null,
            priority: Priority::Timer,
        }
    }

    fn push(&self, object: ObjectKey, delivery: &DeliveryId, commit: &str) -> NewJob {
        NewJob {
            object,
            cause: Cause::delivery(delivery.clone()),
            due_at: self.clock.now(),
            payload: json!({"push": {"commit": commit}}),
            priority: Priority::Push,
        }
    }

    fn delivery(&self, key: &str) -> NewDelivery {
        NewDelivery {
            id: DeliveryId::generate(),
            receiver: ObjectKey::new(Kind::Receiver, "flux-system", "github"),
            provider: "github".into(),
            event: "push".into(),
            sender_id: Some(key.into()),
            dedup_key: key.into(),
            dedup_until: self.clock.now().saturating_add(Duration::from_secs(72 * 3600)).unwrap(),
            received_at: self.clock.now(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: "{}".into(),
            body_size: 2,
            facts: json!({"kind": "push", "ref": "refs/heads/main", "commit": format!("{key}cafe")}),
            note: None,
        }
    }
}

fn app() -> ObjectKey {
    ObjectKey::new(Kind::GitRepository, "flux-system", "app")
}

fn release(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::HelmRelease, "apps", name)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
