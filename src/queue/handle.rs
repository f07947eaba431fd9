//! The handle through which the other rooms use the store.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::pool::PoolConnection;
use tokio::sync::{mpsc, watch};

use super::command::{Ask, Keep, Write};
use super::shared::Shared;
use super::sqlite;
use super::writer::{WAITING, Writer};
use super::{
    Applied, Delivery, DeliveryFilter, DeliverySummary, Generated, JobResult, Lease, LeasedJob,
    LeasedMessage, MessageLease, MessageOutcome, NewDelivery, NewJob, NewMessage, NewStatus, OpenError,
    Overlay, QueueSettings, Recorded, Step, StoreError, StoreReport, StoredMessage, StoredStatus, Story,
};
use crate::model::{Clock, DeliveryId, JobId, Kind, ObjectKey, Timestamp};

/// The longest [`Queue::wait`] sleeps without looking: the net beneath the signals, and beneath a wall clock that
/// was set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A handle on the store. Cheap to clone; all clones share one writer.
#[derive(Clone, Debug)]
pub struct Queue {
    commands: mpsc::Sender<Write>,
    readers: SqlitePool,
    shared: Arc<Shared>,
    clock: Clock,
    record_timeout: Duration,
    /// Held as long as anybody may read or write.
    _lock: Arc<File>,
}

/// Whether the store can be written, for `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The last write succeeded.
    pub writable: bool,
    /// Why it did not.
    pub complaint: Option<String>,
}

/// Counts for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// Jobs that wait, timers included.
    pub pending: u64,
    /// Jobs that could run now.
    pub due: u64,
    /// Jobs that run.
    pub running: u64,
    /// Since when the oldest due job is due.
    pub oldest_due: Option<Timestamp>,
    /// Objects set aside because their jobs took the worker down.
    pub set_aside: u64,
    /// Messages that wait.
    pub outbox_pending: u64,
    /// Since when the oldest waits.
    pub outbox_oldest: Option<Timestamp>,
    /// Messages given up and still kept.
    pub outbox_dead: u64,
    /// Deliveries kept.
    pub deliveries: u64,
    /// Transactions committed by this process; beside the deliveries stored it shows how well commits are grouped.
    pub commits: u64,
}

/// Looks at the store in `state_dir` without changing it; an agent may be running.
///
/// # Errors
/// When there is no store, or it cannot be opened at all.
pub async fn check_store(state_dir: &Path, clock: &Clock) -> Result<StoreReport, OpenError> {
    sqlite::check(state_dir, sqlite::micros(clock.now())).await
}

impl Queue {
    /// Opens the store in `state_dir`, making it if there is none. Jobs that a process before us left running wait
    /// again, and so do messages it was sending. Nothing is written until the [`Writer`] runs.
    pub async fn open(
        state_dir: &Path,
        settings: QueueSettings,
        clock: Clock,
    ) -> Result<(Queue, Writer), OpenError> {
        let mut opened = sqlite::open(state_dir, &settings).await?;
        let now = sqlite::micros(clock.now());
        // The lock says that whoever ran them is gone.
        let left = async {
            use sqlx::Connection;
            let mut transaction = opened.writer.begin_with("BEGIN IMMEDIATE").await?;
            let left = sqlite::expire(&mut transaction, true, now).await?;
            sqlite::take_back_messages(&mut transaction, now).await?;
            transaction.commit().await.map(|()| left.len())
        };
        let left = left.await.map_err(|error: sqlx::Error| OpenError::File {
            attempt: "take over the jobs in",
            path: opened.path.clone(),
            reason: error.to_string(),
        })?;
        if left > 0 {
            tracing::info!(jobs = left, "jobs that were running when the agent stopped wait again");
        }
        let (commands, waiting) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared::default());
        let queue = Queue {
            commands: commands.clone(),
            readers: opened.readers,
            shared: shared.clone(),
            clock: clock.clone(),
            record_timeout: settings.record_timeout,
            _lock: opened.lock.clone(),
        };
        let writer = Writer {
            commands: waiting,
            own: commands.downgrade(),
            connection: Some(opened.writer),
            path: opened.path,
            settings,
            clock,
            shared,
            unchecked: opened.unchecked,
            lock: opened.lock,
        };
        Ok((queue, writer))
    }

    /// Stops the writer after everything handed in so far is on disk.
    pub async fn close(&self) -> Result<(), StoreError> {
        let closed = self.ask(Write::Close, ()).await;
        self.readers.close().await;
        closed
    }

    async fn ask<Q, A>(
        &self,
        command: impl FnOnce(Ask<Q, A>) -> Write,
        question: Q,
    ) -> Result<A, StoreError> {
        let (ask, answer) = Ask::new(question);
        self.commands.send(command(ask)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn reader(
        &self,
        attempt: &'static str,
    ) -> Result<PoolConnection<sqlx::Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(|error| sqlite::classify(attempt, &error))
    }

    // --- deliveries ---

    /// Stores a delivery and its jobs. When this returns `Stored`, both are on disk. A store that is busy for longer
    /// than [`QueueSettings::record_timeout`] is [`StoreError::Unavailable`]; the row may still be written then, and
    /// the sender's next try is a duplicate.
    pub async fn record_delivery(
        &self,
        delivery: NewDelivery,
        jobs: Vec<NewJob>,
    ) -> Result<Recorded, StoreError> {
        let asked = self.ask(Write::Record, Box::new((delivery, jobs)));
        tokio::time::timeout(self.record_timeout, asked).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable {
                attempt: "store the delivery",
                reason: format!("it did not answer within {:?}", self.record_timeout),
            })
        })
    }

    /// The newest deliveries first.
    pub async fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
        limit: u32,
    ) -> Result<Vec<DeliverySummary>, StoreError> {
        let attempt = "list deliveries";
        let mut conn = self.reader(attempt).await?;
        sqlite::list_deliveries(&mut conn, filter, limit).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    /// One delivery with its jobs, steps and messages.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let attempt = "read the delivery";
        let mut conn = self.reader(attempt).await?;
        sqlite::delivery(&mut conn, id).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    // --- jobs ---

    /// Puts jobs in; each is merged into the one already pending for its object, whose id is returned then.
    pub async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>, StoreError> {
        self.ask(Write::Enqueue, jobs).await
    }

    /// Takes up to `limit` due jobs, none of an object that has a running one. They are the worker's for `lease`.
    pub async fn claim(
        &self,
        limit: u32,
        worker: &str,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, StoreError> {
        self.ask(Write::Claim, (limit, worker.to_owned(), lease)).await
    }

    /// When the next job can be claimed; `None` when nothing waits for its time.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let attempt = "look for due jobs";
        let mut conn = self.reader(attempt).await?;
        let at = sqlite::next_due(&mut conn).await.map_err(|e| sqlite::classify(attempt, &e))?;
        Ok(at.map(|at| Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX)))
    }

    /// Returns when something may be claimable: a job came in or ended, or one comes due.
    pub async fn wait(&self) {
        let mut signal = std::pin::pin!(self.shared.jobs.notified());
        // From here on a signal is not missed.
        signal.as_mut().enable();
        let pause = self.pause(self.next_due().await);
        tokio::select! {
            () = signal => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn pause(&self, next: Result<Option<Timestamp>, StoreError>) -> Duration {
        match next {
            Ok(Some(at)) => Duration::try_from(at.duration_since(self.clock.now()))
                .unwrap_or(Duration::ZERO)
                .min(LOOK_AGAIN),
            Ok(None) => LOOK_AGAIN,
            // A store that cannot be read for the moment is not to be asked in a tight loop.
            Err(_) => Duration::from_secs(1),
        }
    }

    /// Wakes whoever waits, as after a manual clock was moved.
    pub fn nudge(&self) {
        self.shared.jobs.notify_waiters();
        self.shared.messages.notify_waiters();
    }

    /// Keeps a job for `lease` longer, from now on.
    pub async fn renew(&self, lease: &Lease, more: Duration) -> Result<(), StoreError> {
        self.ask(Write::Renew, (lease.clone(), more)).await
    }

    /// Notes how far a running job is. Should its worker vanish five times at the same step, its object is set aside.
    pub async fn reached(&self, lease: &Lease, step: &str) -> Result<(), StoreError> {
        self.ask(Write::Reached, (lease.clone(), step.to_owned())).await
    }

    /// Gives a job back unfinished, as at a shutdown; nothing is counted.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.ask(Write::Release, lease.clone()).await
    }

    /// Ends a run and writes all that it leaves behind, in one transaction. With a lost lease nothing is written.
    pub async fn finish(&self, lease: &Lease, result: JobResult) -> Result<(), StoreError> {
        self.ask(Write::Finish, Box::new((lease.clone(), result))).await
    }

    /// Turns true when a newer job waits for the same object, so that the work at hand may stop at its next safe
    /// point. Timers do not count. True at once if the lease is not held.
    pub fn superseded(&self, lease: &Lease) -> watch::Receiver<bool> {
        self.shared.leases.superseded(lease)
    }

    // --- steps and stories ---

    /// Writes steps while a job still runs; most go with its result.
    pub async fn record_steps(&self, steps: Vec<Step>) -> Result<(), StoreError> {
        self.ask(Write::Steps, steps).await
    }

    /// The story of the delivery whose id, or whose sender's id, begins with `id`. More than one is an error. Deliveries
    /// that named a commit which this one made us make are in it, too.
    pub async fn story_of_delivery(&self, id: &str) -> Result<Story, StoreError> {
        let attempt = "read the story";
        let mut conn = self.reader(attempt).await?;
        let (count, story) =
            sqlite::story_of_delivery(&mut conn, id).await.map_err(|e| sqlite::classify(attempt, &e))?;
        match count {
            0 | 1 => Ok(story),
            count => Err(StoreError::Ambiguous { id: id.to_owned(), count }),
        }
    }

    /// The story of the commit that begins with `prefix`, pushed or polled.
    pub async fn story_of_commit(&self, prefix: &str) -> Result<Story, StoreError> {
        let attempt = "read the story";
        let mut conn = self.reader(attempt).await?;
        sqlite::story_of_commit(&mut conn, prefix).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    /// The last `limit` jobs of an object and what belongs to them.
    pub async fn story_of_object(&self, object: &ObjectKey, limit: u32) -> Result<Story, StoreError> {
        let attempt = "read the story";
        let mut conn = self.reader(attempt).await?;
        sqlite::story_of_object(&mut conn, object, limit).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    // --- outbox ---

    /// Puts messages in; most go with a job's result.
    pub async fn enqueue_messages(&self, messages: Vec<NewMessage>) -> Result<(), StoreError> {
        self.ask(Write::Messages, messages).await
    }

    /// Takes up to `limit` due messages. They are the sender's for `lease`.
    pub async fn claim_messages(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<LeasedMessage>, StoreError> {
        self.ask(Write::ClaimMessages, (limit, lease)).await
    }

    /// Ends an attempt to send.
    pub async fn finish_message(
        &self,
        lease: &MessageLease,
        outcome: MessageOutcome,
    ) -> Result<(), StoreError> {
        self.ask(Write::FinishMessage, (lease.clone(), outcome)).await
    }

    /// Returns when a message may be sendable.
    pub async fn wait_for_messages(&self) {
        let mut signal = std::pin::pin!(self.shared.messages.notified());
        signal.as_mut().enable();
        let attempt = "look for due messages";
        let next = async {
            let mut conn = self.reader(attempt).await?;
            let at = sqlite::next_message_due(&mut conn).await.map_err(|e| sqlite::classify(attempt, &e))?;
            Ok(at.map(|at| Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX)))
        };
        let pause = self.pause(next.await);
        tokio::select! {
            () = signal => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// The last messages, newest first.
    pub async fn list_messages(&self, limit: u32) -> Result<Vec<StoredMessage>, StoreError> {
        let attempt = "list messages";
        let mut conn = self.reader(attempt).await?;
        sqlite::list_messages(&mut conn, limit).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    // --- what is kept per object ---

    pub(super) async fn keep(&self, change: Keep) -> Result<(), StoreError> {
        self.ask(Write::Keep, vec![change]).await
    }

    /// Writes a status.
    pub async fn put_status(&self, status: NewStatus) -> Result<(), StoreError> {
        self.keep(Keep::Status(status)).await
    }

    /// Writes several statuses in one transaction.
    pub async fn put_statuses(&self, statuses: Vec<NewStatus>) -> Result<(), StoreError> {
        self.ask(Write::Keep, statuses.into_iter().map(Keep::Status).collect()).await
    }

    /// Removes a status.
    pub async fn delete_status(&self, object: &ObjectKey) -> Result<(), StoreError> {
        self.keep(Keep::NoStatus(object.clone())).await
    }

    /// One status.
    pub async fn status(&self, object: &ObjectKey) -> Result<Option<StoredStatus>, StoreError> {
        let attempt = "read the status";
        let mut conn = self.reader(attempt).await?;
        sqlite::status(&mut conn, object).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    /// All statuses, or those of one kind.
    pub async fn statuses(&self, kind: Option<Kind>) -> Result<Vec<StoredStatus>, StoreError> {
        let attempt = "read the statuses";
        let mut conn = self.reader(attempt).await?;
        sqlite::statuses(&mut conn, kind).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    /// Keeps a generated object.
    pub async fn put_generated(&self, generated: Generated) -> Result<(), StoreError> {
        self.keep(Keep::Generated(generated)).await
    }

    /// Removes a generated object.
    pub async fn delete_generated(&self, object: &ObjectKey) -> Result<(), StoreError> {
        self.keep(Keep::NoGenerated(object.clone())).await
    }

    /// All generated objects.
    pub async fn generated(&self) -> Result<Vec<Generated>, StoreError> {
        let attempt = "read generated objects";
        let mut conn = self.reader(attempt).await?;
        sqlite::generated(&mut conn).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    /// Keeps an overlay.
    pub async fn put_overlay(&self, overlay: Overlay) -> Result<(), StoreError> {
        self.keep(Keep::Overlay(overlay)).await
    }

    /// Removes an overlay.
    pub async fn delete_overlay(&self, object: &ObjectKey) -> Result<(), StoreError> {
        self.keep(Keep::NoOverlay(object.clone())).await
    }

    /// All overlays.
    pub async fn overlays(&self) -> Result<Vec<Overlay>, StoreError> {
        let attempt = "read overlays";
        let mut conn = self.reader(attempt).await?;
        sqlite::overlays(&mut conn).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    /// Notes what stands on a member cluster; most goes with a job's result.
    pub async fn put_applied(&self, applied: Applied) -> Result<(), StoreError> {
        self.keep(Keep::Applied(applied)).await
    }

    /// What stands on each member cluster because of an object.
    pub async fn applied(&self, object: &ObjectKey) -> Result<Vec<Applied>, StoreError> {
        let attempt = "read what was applied";
        let mut conn = self.reader(attempt).await?;
        sqlite::applied(&mut conn, object).await.map_err(|e| sqlite::classify(attempt, &e))
    }

    /// Forgets an object that is gone: its waiting job, status, overlay and what was applied. Its history stays.
    pub async fn forget(&self, object: &ObjectKey) -> Result<(), StoreError> {
        self.keep(Keep::Forget(object.clone())).await
    }

    // --- upkeep ---

    /// Removes a batch of old rows; true if there may be more. The writer does this by itself now and then.
    pub async fn tidy(&self) -> Result<bool, StoreError> {
        self.ask(Write::Tidy, ()).await
    }

    /// Counts for metrics.
    pub async fn facts(&self) -> Result<QueueFacts, StoreError> {
        let attempt = "count jobs";
        let mut conn = self.reader(attempt).await?;
        let now = sqlite::micros(self.clock.now());
        let facts = sqlite::facts(&mut conn, now).await.map_err(|e| sqlite::classify(attempt, &e))?;
        Ok(QueueFacts { commits: self.shared.commits(), ..facts })
    }

    /// Whether the last write succeeded. A store that is sick is tried again every second.
    pub fn health(&self) -> Health {
        let complaint = match self.commands.is_closed() {
            true => Some(StoreError::Closed.to_string()),
            false => self.shared.complaint(),
        };
        Health { writable: complaint.is_none(), complaint }
    }
}
