//! The one task that writes. Each transaction takes every command that waits, costs one fsync, and only then
//! answers all of them: ten webhooks at once are no dearer than one.
//!
//! It reads nothing for anybody and decides nothing; what a command means is in `command.rs` and `sqlite/`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc;

use super::command::{Effect, Write};
use super::housekeeper::Housekeeper;
use super::shared::Shared;
use super::{QueueSettings, Steady, StoreError, sqlite};
use crate::model::{Clock, Timestamp};

/// Commands that may wait for the writer: four full transactions; whoever comes then waits for a place.
pub(super) const WAITING: usize = 1024;
/// Commands in one transaction: beyond this a bigger group saves nothing and makes the first of it wait.
const GROUP: usize = 256;
/// A wall clock that moves so much against the steady one was set by somebody.
const JUMP: Duration = Duration::from_secs(10);

/// The writing side of the store. Whoever opened the store runs it, and stops the process when it fails.
#[must_use = "nothing is written until the writer runs"]
pub struct Writer {
    pub(super) commands: mpsc::Receiver<Write>,
    /// Does not keep the channel open: the writer ends when the last `Queue` is gone.
    pub(super) own: mpsc::WeakSender<Write>,
    pub(super) connection: Option<SqliteConnection>,
    pub(super) path: PathBuf,
    pub(super) settings: QueueSettings,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    pub(super) unchecked: bool,
    pub(super) lock: Arc<File>,
}

impl Writer {
    /// Writes until [`super::Queue::close`] is called or every `Queue` is gone. An error means that the store is
    /// broken and nothing more can be promised: the process must end.
    pub async fn run(self) -> Result<(), StoreError> {
        let housekeeper = Housekeeper {
            own: self.own.clone(),
            path: self.path.clone(),
            settings: self.settings.clone(),
            shared: self.shared.clone(),
            unchecked: self.unchecked,
        };
        let lock = self.lock.clone();
        let ended = tokio::select! {
            ended = Box::pin(self.serve()) => ended,
            Err(error) = Box::pin(housekeeper.run()) => Err(error),
        };
        drop(lock);
        ended
    }

    async fn serve(mut self) -> Result<(), StoreError> {
        let mut group = Vec::with_capacity(GROUP);
        let mut wall = WallClock::new(&self.clock, &self.settings);
        while self.commands.recv_many(&mut group, GROUP).await > 0 {
            let closing = group.iter().any(|write| matches!(write, Write::Close(_)));
            let checkpointing = group.iter().any(|write| matches!(write, Write::Checkpoint(_)));
            if checkpointing && let Some(conn) = &mut self.connection {
                let done = sqlite::checkpoint(conn).await;
                let failed = done.map_err(|error| sqlite::classify("checkpoint the store", &error)).err();
                if let Some(broken @ StoreError::Broken { .. }) = failed {
                    return Err(broken);
                }
            }
            let jump = wall.jump(&self.clock);
            let done = self.commit(std::mem::take(&mut group), jump).await;
            if done.is_err() || closing {
                self.commands.close();
                while let Ok(write) = self.commands.try_recv() {
                    write.settle(Err(StoreError::Closed));
                }
                if done.is_ok()
                    && let Some(conn) = self.connection.take()
                {
                    // The last connection to close checkpoints; a failure there loses nothing.
                    drop(conn.close().await);
                }
                return done;
            }
            group.reserve(GROUP);
        }
        Ok(())
    }

    /// Commits a group, or, if one command in it is refused by the database, each command by itself. An error is
    /// fatal.
    async fn commit(&mut self, mut group: Vec<Write>, jump: i64) -> Result<(), StoreError> {
        match self.attempt(&mut group, jump).await {
            Ok(effects) => {
                self.shared.healthy();
                // Before anybody can be told of the jobs that follow, and so before these can begin.
                group.iter_mut().for_each(Write::committed);
                self.announce(effects);
                group.into_iter().for_each(|write| write.settle(Ok(())));
                Ok(())
            }
            Err(error) => match sqlite::classify(group[0].attempt(), &error) {
                StoreError::Defect { .. } if group.len() > 1 => {
                    for write in group {
                        Box::pin(self.commit(vec![write], jump)).await?;
                    }
                    Ok(())
                }
                fatal @ StoreError::Broken { .. } => {
                    self.shared.sick(&fatal);
                    group.into_iter().for_each(|write| write.settle(Err(fatal.clone())));
                    Err(fatal)
                }
                refused => {
                    if refused.is_unavailable() {
                        self.shared.sick(&refused);
                        // A connection that met a full disk may hold a half-undone transaction.
                        self.connection = None;
                    } else {
                        tracing::error!(%error, attempt = group[0].attempt(), "the store refused a write");
                    }
                    for write in group {
                        let refused = sqlite::classify(write.attempt(), &error);
                        write.settle(Err(refused));
                    }
                    Ok(())
                }
            },
        }
    }

    async fn attempt(&mut self, group: &mut [Write], jump: i64) -> sqlx::Result<Vec<Effect>> {
        let conn = match &mut self.connection {
            Some(conn) => conn,
            none => none.insert(sqlite::connect_writer(&self.path, &self.settings).await?),
        };
        let now = self.clock.now();
        let mut effects = Vec::new();
        let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
        if jump != 0 {
            sqlite::shift(&mut transaction, jump).await?;
            sqlite::shift_messages(&mut transaction, jump).await?;
        }
        for write in group {
            Box::pin(write.apply(&mut transaction, &self.settings, now, &mut effects)).await?;
        }
        transaction.commit().await?;
        Ok(effects)
    }

    fn announce(&self, effects: Vec<Effect>) {
        let (mut jobs, mut messages) = (false, false);
        for effect in effects {
            match effect {
                Effect::Started(job) => self.shared.leases.started(&job),
                Effect::Ended(lease) => {
                    self.shared.leases.ended(&lease);
                    jobs = true;
                }
                // Behind a running job of its object it can be claimed only when that has ended.
                Effect::PutIn(object, cause) => jobs |= !self.shared.leases.put_in(&object, cause),
                Effect::Vanished(gone) => {
                    tracing::warn!(count = gone.len(), "leases ran out; their jobs wait again");
                    self.shared.leases.vanished(&gone);
                    jobs = true;
                }
                Effect::Messages => messages = true,
            }
        }
        if jobs {
            self.shared.jobs.notify_waiters();
        }
        if messages {
            self.shared.messages.notify_waiters();
        }
    }
}

/// Notices that the wall clock was set.
struct WallClock {
    steady: Steady,
    at: Timestamp,
    since: Duration,
}

impl WallClock {
    fn new(clock: &Clock, settings: &QueueSettings) -> Self {
        let steady = settings.steady.clone();
        let since = steady.elapsed();
        Self { steady, at: clock.now(), since }
    }

    /// By how many microseconds the wall clock was moved since the last call; 0 if it only ran.
    fn jump(&mut self, clock: &Clock) -> i64 {
        let (at, since) = (clock.now(), self.steady.elapsed());
        let ran = sqlite::span(since.saturating_sub(self.since));
        let moved = sqlite::micros(at).saturating_sub(sqlite::micros(self.at)).saturating_sub(ran);
        (self.at, self.since) = (at, since);
        if moved.unsigned_abs() < u64::try_from(sqlite::span(JUMP)).unwrap_or(u64::MAX) {
            return 0;
        }
        tracing::warn!(
            seconds = moved / 1_000_000,
            "the wall clock was set; leases and due times move along"
        );
        moved
    }
}
