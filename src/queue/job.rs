//! Jobs: what is to be done to which object, why, and from when on.
//!
//! The queue does not know what a job means. It knows that an object has at most one pending and one running job.

use std::time::Duration;

use serde_json::Value;

use super::{Applied, NewMessage, NewStatus, Step};
use crate::model::{Cause, JobId, ObjectKey, Timestamp};

/// Which due job goes first. Within one priority the one due longest goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Intervals and the sweep at start: nobody waits for them.
    Timer,
    /// Changes and dependents of timers.
    #[default]
    Normal,
    /// Somebody pushed, or asked.
    Push,
}

/// A job to put into the queue, or to merge into the one already pending for its object.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// What to reconcile.
    pub object: ObjectKey,
    /// Why.
    pub cause: Cause,
    /// Not before this time. A merge keeps the earlier one.
    pub due_at: Timestamp,
    /// A hint for the worker (`{"push":{…}}`, `{"images":[…]}`), null for none. In a merge the newer one wins key by
    /// key, and lists are joined.
    pub payload: Value,
    /// Which due job goes first. A merge keeps the higher one.
    pub priority: Priority,
}

impl NewJob {
    /// A job that is due at once, without a hint.
    pub fn now(object: ObjectKey, cause: Cause, now: Timestamp) -> Self {
        Self { object, cause, due_at: now, payload: Value::Null, priority: Priority::Normal }
    }
}

/// The right to work on a job, until it expires or is given back. A claim that was lost is refused by its number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Who claimed it.
    pub worker: String,
    /// The how manieth claim of this job it is: the fencing token.
    pub claim: i64,
}

/// A job in the hands of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct LeasedJob {
    /// The job.
    pub id: JobId,
    /// What to reconcile.
    pub object: ObjectKey,
    /// Every reason that was merged into it, oldest first.
    pub causes: Vec<Cause>,
    /// The newest hint; null if nobody gave one.
    pub payload: Value,
    /// How many attempts have failed before this one.
    pub attempts: u32,
    /// When it became due.
    pub due_at: Timestamp,
    /// The priority it was claimed with.
    pub priority: Priority,
    /// The token for `renew` and `finish`.
    pub lease: Lease,
}

impl LeasedJob {
    /// The cause to hand on to dependents: the newest delivery if there is one, else the newest of all.
    pub fn cause(&self) -> Cause {
        self.causes
            .iter()
            .rev()
            .find(|cause| cause.delivery.is_some())
            .or(self.causes.last())
            .cloned()
            .unwrap_or(Cause::of(crate::model::CauseKind::Interval))
    }
}

/// How a run of a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Done, also when there was nothing to do.
    Done,
    /// It failed for good; only a new cause (or `next`) tries again.
    Failed {
        /// The text people read.
        error: String,
    },
    /// It failed and is to be tried again.
    Retry {
        /// After how long.
        after: Duration,
        /// The text people read.
        error: String,
    },
    /// It stopped because a newer job for the same object is pending.
    Superseded,
    /// The worker panicked. The third time in a row the object is set aside for a while.
    Panicked {
        /// The panic's text.
        error: String,
    },
}

/// Everything a finished run leaves behind; it is written in one transaction.
#[derive(Clone, Debug)]
pub struct JobResult {
    /// How it ended.
    pub outcome: JobOutcome,
    /// The object's next interval.
    pub next: Option<NewJob>,
    /// Jobs for dependents.
    pub spawn: Vec<NewJob>,
    /// Statuses to write.
    pub statuses: Vec<NewStatus>,
    /// What was done, for `sluice explain`.
    pub steps: Vec<Step>,
    /// Messages to send.
    pub messages: Vec<NewMessage>,
    /// What now stands on which member cluster.
    pub applied: Vec<Applied>,
}

impl JobResult {
    /// A result with nothing but an outcome.
    pub fn of(outcome: JobOutcome) -> Self {
        Self {
            outcome,
            next: None,
            spawn: Vec::new(),
            statuses: Vec::new(),
            steps: Vec::new(),
            messages: Vec::new(),
            applied: Vec::new(),
        }
    }

    /// The same with the object's next interval.
    pub fn next(mut self, job: NewJob) -> Self {
        self.next = Some(job);
        self
    }
}

/// Where a stored job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// Waits for its time or for a worker.
    Pending,
    /// A worker has it.
    Running,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed,
    /// A newer job took its place.
    Superseded,
    /// Set aside: it vanished or panicked too often.
    Dead,
}

impl JobState {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Pending => "pending",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Superseded => "superseded",
            JobState::Dead => "dead",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [
            JobState::Pending,
            JobState::Running,
            JobState::Done,
            JobState::Failed,
            JobState::Superseded,
            JobState::Dead,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

/// A job as it stands in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJob {
    /// The job.
    pub id: JobId,
    /// Its object.
    pub object: ObjectKey,
    /// Where it stands.
    pub state: JobState,
    /// Every reason that was merged into it, oldest first.
    pub causes: Vec<Cause>,
    /// The newest hint.
    pub payload: Value,
    /// Failed attempts so far.
    pub attempts: u32,
    /// The last step it is known to have reached.
    pub step: Option<String>,
    /// From when on it may run.
    pub due_at: Timestamp,
    /// When it was put in.
    pub created_at: Timestamp,
    /// When a worker took it last.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// The job that took its place.
    pub superseded_by: Option<JobId>,
}
