//! The story of a push: what each job did, when, for how long and with what result.

use std::time::Duration;

use super::{DeliverySummary, StoredJob, StoredMessage};
use crate::model::{DeliveryId, JobId, ObjectKey, Revision, Timestamp};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepOutcome {
    /// It did what it should.
    Done,
    /// There was nothing to do.
    Unchanged,
    /// It did not run, on purpose.
    Skipped,
    /// It failed.
    Failed,
}

impl StepOutcome {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            StepOutcome::Done => "done",
            StepOutcome::Unchanged => "unchanged",
            StepOutcome::Skipped => "skipped",
            StepOutcome::Failed => "failed",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [StepOutcome::Done, StepOutcome::Unchanged, StepOutcome::Skipped, StepOutcome::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The job that did it; a job knows its deliveries.
    pub job: Option<JobId>,
    /// The delivery, for a step outside a job.
    pub delivery: Option<DeliveryId>,
    /// For which object.
    pub object: ObjectKey,
    /// `accept`, `fetch`, `render`, `apply`, `record`, `message` …
    pub step: String,
    /// For which member cluster.
    pub cluster: Option<String>,
    /// At which revision; `sluice explain <commit>` looks here.
    pub revision: Option<Revision>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub outcome: StepOutcome,
    /// A sentence for people.
    pub detail: String,
}

/// What `sluice explain` tells: the deliveries, the jobs they caused, what those did, and who was told.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Oldest first.
    pub deliveries: Vec<DeliverySummary>,
    /// Oldest first.
    pub jobs: Vec<StoredJob>,
    /// In order of time.
    pub steps: Vec<Step>,
    /// Oldest first.
    pub messages: Vec<StoredMessage>,
}

impl Story {
    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
            && self.jobs.is_empty()
            && self.steps.is_empty()
            && self.messages.is_empty()
    }
}
