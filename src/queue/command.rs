//! What the writer can be asked, and what each command does inside the transaction.

use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::sqlite::{self, Finished};
use super::tags::TagChange;
use super::{
    Applied, Generated, JobResult, Lease, LeasedJob, LeasedMessage, MessageLease, MessageOutcome,
    NewDelivery, NewJob, NewMessage, NewStatus, Overlay, QueueSettings, Recorded, Step, StoreError,
};
use crate::model::{CauseKind, JobId, ObjectKey, Timestamp};

/// A command and the place its answer goes to once it is on disk.
pub(super) struct Ask<Q, A> {
    pub(super) question: Q,
    answer: Option<Result<A, StoreError>>,
    reply: oneshot::Sender<Result<A, StoreError>>,
}

impl<Q, A> Ask<Q, A> {
    pub(super) fn new(question: Q) -> (Self, oneshot::Receiver<Result<A, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { question, answer: None, reply }, answer)
    }

    fn settle(self, outcome: Result<(), StoreError>) {
        let answer = match (outcome, self.answer) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => Err(StoreError::Closed),
            (Err(error), _) => Err(error),
        };
        // Whoever asked may have gone (a client that hung up); what is written stays written.
        drop(self.reply.send(answer));
    }
}

/// One change of what is kept per object.
pub(super) enum Keep {
    Status(NewStatus),
    NoStatus(ObjectKey),
    Generated(Generated),
    NoGenerated(ObjectKey),
    Overlay(Overlay),
    NoOverlay(ObjectKey),
    Applied(Applied),
    Tags(TagChange),
    NoTags(ObjectKey),
    Forget(ObjectKey),
}

/// What is called once a transaction is on disk, before anybody hears of it.
pub(super) type Committed = Box<dyn FnOnce() + Send>;

/// The end of a job.
pub(super) struct Ending {
    pub(super) lease: Lease,
    pub(super) result: JobResult,
    pub(super) then: Option<Committed>,
}

/// What the writer can be asked.
pub(super) enum Write {
    Record(Ask<Box<(NewDelivery, Vec<NewJob>)>, Recorded>),
    Enqueue(Ask<Vec<NewJob>, Vec<JobId>>),
    Claim(Ask<(u32, String, Duration), Vec<LeasedJob>>),
    Renew(Ask<(Lease, Duration), ()>),
    Reached(Ask<(Lease, String), ()>),
    Release(Ask<Lease, ()>),
    Finish(Ask<Box<Ending>, ()>),
    Steps(Ask<Vec<Step>, ()>),
    Messages(Ask<Vec<NewMessage>, ()>),
    ClaimMessages(Ask<(u32, Duration), Vec<LeasedMessage>>),
    FinishMessage(Ask<(MessageLease, MessageOutcome), ()>),
    Keep(Ask<Vec<Keep>, ()>),
    Tidy(Ask<(), bool>),
    Probe(Ask<(), ()>),
    /// Not inside a transaction: copies the WAL into the database.
    Checkpoint(Ask<(), ()>),
    Close(Ask<(), ()>),
}

/// What the rest of the process is told after a commit, in the order of the commands.
pub(super) enum Effect {
    Started(LeasedJob),
    Ended(Lease),
    PutIn(ObjectKey, CauseKind),
    Vanished(Vec<JobId>),
    Messages,
}

impl Write {
    /// Runs the command inside the transaction. May be called again on a fresh one if the group had to be undone.
    pub(super) async fn apply(
        &mut self,
        conn: &mut SqliteConnection,
        settings: &QueueSettings,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> sqlx::Result<()> {
        let at = sqlite::micros(now);
        match self {
            Write::Record(ask) => {
                let (delivery, jobs) = &*ask.question;
                let recorded = sqlite::record(conn, delivery, at).await?;
                if matches!(recorded, Recorded::Stored(_)) {
                    put_in(conn, jobs, at, effects).await?;
                }
                ask.answer = Some(Ok(recorded));
            }
            Write::Enqueue(ask) => {
                let ids = put_in(conn, &ask.question, at, effects).await?;
                ask.answer = Some(Ok(ids));
            }
            Write::Claim(ask) => {
                let (limit, worker, lease) = &ask.question;
                let gone = sqlite::expire(conn, false, at).await?;
                if !gone.is_empty() {
                    effects.push(Effect::Vanished(gone));
                }
                let jobs = sqlite::claim(conn, *limit, worker, *lease, at).await?;
                effects.extend(jobs.iter().cloned().map(Effect::Started));
                ask.answer = Some(Ok(jobs));
            }
            Write::Renew(ask) => {
                let (lease, more) = &ask.question;
                let held = sqlite::renew(conn, lease, sqlite::later(at, *more)).await?;
                ask.answer = Some(held_or_lost(held, lease));
            }
            Write::Reached(ask) => {
                let (lease, step) = &ask.question;
                let held = sqlite::reached(conn, lease, step).await?;
                ask.answer = Some(held_or_lost(held, lease));
            }
            Write::Release(ask) => {
                let held = sqlite::release(conn, &ask.question, at).await?;
                effects.push(Effect::Ended(ask.question.clone()));
                ask.answer = Some(held_or_lost(held, &ask.question));
            }
            Write::Finish(ask) => {
                let Ending { lease, result, then: _ } = &*ask.question;
                effects.push(Effect::Ended(lease.clone()));
                let finished = sqlite::finish(conn, lease, &result.outcome, at).await?;
                if finished == Finished::Recorded {
                    leave_behind(conn, result, at, effects).await?;
                }
                ask.answer = Some(held_or_lost(finished == Finished::Recorded, lease));
            }
            Write::Steps(ask) => {
                sqlite::record_steps(conn, &ask.question).await?;
                ask.answer = Some(Ok(()));
            }
            Write::Messages(ask) => {
                sqlite::enqueue_messages(conn, &ask.question, at).await?;
                effects.push(Effect::Messages);
                ask.answer = Some(Ok(()));
            }
            Write::ClaimMessages(ask) => {
                let (limit, lease) = ask.question;
                ask.answer = Some(Ok(sqlite::claim_messages(conn, limit, lease, at).await?));
            }
            Write::FinishMessage(ask) => {
                let (lease, outcome) = &ask.question;
                let held =
                    sqlite::finish_message(conn, lease, outcome, settings.message_deadline, at).await?;
                effects.push(Effect::Messages);
                let lost = || StoreError::LeaseLost { job: format!("message {}", lease.id) };
                ask.answer = Some(held.then_some(()).ok_or_else(lost));
            }
            Write::Keep(ask) => {
                for change in &ask.question {
                    keep(conn, change, at).await?;
                }
                ask.answer = Some(Ok(()));
            }
            Write::Tidy(ask) => ask.answer = Some(Ok(sqlite::tidy(conn, settings, at).await?)),
            Write::Probe(ask) => {
                sqlx::query("INSERT INTO probe (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at")
                    .bind(at)
                    .execute(conn)
                    .await?;
                ask.answer = Some(Ok(()));
            }
            Write::Checkpoint(ask) | Write::Close(ask) => ask.answer = Some(Ok(())),
        }
        Ok(())
    }

    /// The transaction is on disk: what was to follow at once follows.
    pub(super) fn committed(&mut self) {
        if let Write::Finish(ask) = self
            && matches!(ask.answer, Some(Ok(())))
            && let Some(then) = ask.question.then.take()
        {
            then();
        }
    }

    /// Answers, once the transaction's fate is known.
    pub(super) fn settle(self, outcome: Result<(), StoreError>) {
        match self {
            Write::Record(ask) => ask.settle(outcome),
            Write::Enqueue(ask) => ask.settle(outcome),
            Write::Claim(ask) => ask.settle(outcome),
            Write::Renew(ask) => ask.settle(outcome),
            Write::Reached(ask) => ask.settle(outcome),
            Write::Release(ask) => ask.settle(outcome),
            Write::Finish(ask) => ask.settle(outcome),
            Write::Steps(ask) => ask.settle(outcome),
            Write::Messages(ask) => ask.settle(outcome),
            Write::ClaimMessages(ask) => ask.settle(outcome),
            Write::FinishMessage(ask) => ask.settle(outcome),
            Write::Keep(ask) => ask.settle(outcome),
            Write::Tidy(ask) => ask.settle(outcome),
            Write::Probe(ask) => ask.settle(outcome),
            Write::Checkpoint(ask) => ask.settle(outcome),
            Write::Close(ask) => ask.settle(outcome),
        }
    }

    /// What the command attempts, for the error text.
    pub(super) fn attempt(&self) -> &'static str {
        match self {
            Write::Record(_) => "store the delivery",
            Write::Enqueue(_) => "store the jobs",
            Write::Claim(_) => "claim jobs",
            Write::Renew(_) | Write::Reached(_) => "renew the lease",
            Write::Release(_) => "give the job back",
            Write::Finish(_) => "record the result",
            Write::Steps(_) => "record steps",
            Write::Messages(_) => "store the messages",
            Write::ClaimMessages(_) => "claim messages",
            Write::FinishMessage(_) => "record the message's fate",
            Write::Keep(_) => "store statuses",
            Write::Tidy(_) => "remove old rows",
            Write::Probe(_) => "write to the store",
            Write::Checkpoint(_) => "checkpoint the store",
            Write::Close(_) => "close the store",
        }
    }
}

fn held_or_lost(held: bool, lease: &Lease) -> Result<(), StoreError> {
    if held { Ok(()) } else { Err(StoreError::LeaseLost { job: lease.job.to_string() }) }
}

async fn put_in(
    conn: &mut SqliteConnection,
    jobs: &[NewJob],
    now: i64,
    effects: &mut Vec<Effect>,
) -> sqlx::Result<Vec<JobId>> {
    let mut ids = Vec::with_capacity(jobs.len());
    for job in jobs {
        ids.push(sqlite::enqueue(conn, job, now).await?);
        effects.push(Effect::PutIn(job.object.clone(), job.cause.kind));
    }
    Ok(ids)
}

async fn leave_behind(
    conn: &mut SqliteConnection,
    result: &JobResult,
    now: i64,
    effects: &mut Vec<Effect>,
) -> sqlx::Result<()> {
    put_in(conn, result.next.as_slice(), now, effects).await?;
    put_in(conn, &result.spawn, now, effects).await?;
    for status in &result.statuses {
        sqlite::put_status(conn, status, now).await?;
    }
    sqlite::record_steps(conn, &result.steps).await?;
    if !result.messages.is_empty() {
        sqlite::enqueue_messages(conn, &result.messages, now).await?;
        effects.push(Effect::Messages);
    }
    for applied in &result.applied {
        sqlite::put_applied(conn, applied).await?;
    }
    Ok(())
}

async fn keep(conn: &mut SqliteConnection, change: &Keep, now: i64) -> sqlx::Result<()> {
    match change {
        Keep::Status(status) => sqlite::put_status(conn, status, now).await,
        Keep::NoStatus(key) => sqlite::delete_status(conn, key).await,
        Keep::Generated(generated) => sqlite::put_generated(conn, generated).await,
        Keep::NoGenerated(key) => sqlite::delete_generated(conn, key).await,
        // An empty patch changes nothing: it is no overlay.
        Keep::Overlay(overlay) if overlay.patch.as_object().is_none_or(serde_json::Map::is_empty) => {
            sqlite::delete_overlay(conn, &overlay.object).await
        }
        Keep::Overlay(overlay) => sqlite::put_overlay(conn, overlay).await,
        Keep::NoOverlay(key) => sqlite::delete_overlay(conn, key).await,
        Keep::Applied(applied) => sqlite::put_applied(conn, applied).await,
        Keep::Tags(change) => sqlite::change_tags(conn, change).await,
        Keep::NoTags(key) => sqlite::forget_tags(conn, &key.to_string()).await,
        Keep::Forget(key) => sqlite::forget(conn, key, now).await,
    }
}
