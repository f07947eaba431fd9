//! What has to be done now and then beside the writing: old rows, the WAL, a sick store, the check of a large one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::sync::mpsc;

use super::command::{Ask, Write};
use super::shared::Shared;
use super::{QueueSettings, StoreError, sqlite};

/// A WAL of this size is worth a checkpoint when nothing else is to do …
const WAL_WORTH: u64 = 4 << 20;
/// … and one of this size is checkpointed even if there is.
const WAL_MUST: u64 = 64 << 20;
/// How often the housekeeper looks around.
const TICK: Duration = Duration::from_secs(1);
/// How often under a flood: what a checkpoint brings to the disk at once, every transaction waits for.
const FLOOD_TICK: Duration = Duration::from_millis(100);
/// Transactions between two looks that make a flood.
const FLOOD: u64 = 16;

/// Runs beside the writer and asks it like everybody else.
pub(super) struct Housekeeper {
    pub(super) own: mpsc::WeakSender<Write>,
    pub(super) path: PathBuf,
    pub(super) settings: QueueSettings,
    pub(super) shared: Arc<Shared>,
    pub(super) unchecked: bool,
}

impl Housekeeper {
    /// Runs for ever; ends only with an error that is fatal.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let mut conn: Option<SqliteConnection> = None;
        let mut tidied: Option<tokio::time::Instant> = None;
        let mut commits_before = 0;
        let mut pause = Duration::ZERO;
        loop {
            tokio::time::sleep(pause).await;
            pause = TICK;
            if !self.shared.is_healthy() {
                // Any answer will do: the writer notes by itself whether it can write again.
                drop(self.ask(Write::Probe, ()).await);
                continue;
            }
            if self.unchecked {
                self.check().await?;
                self.unchecked = false;
            }
            if tidied.is_none_or(|at| at.elapsed() >= self.settings.tidy_every) {
                // One batch a tick, so that nothing waits long behind it.
                if matches!(self.ask(Write::Tidy, ()).await, Ok(false)) {
                    tidied = Some(tokio::time::Instant::now());
                }
            }
            let commits = self.shared.commits();
            let new = commits - commits_before;
            commits_before = commits;
            if new >= FLOOD {
                pause = FLOOD_TICK;
            }
            // The file keeps its length when the WAL begins anew, so a long one says little.
            let wal = wal_size(&self.path).await;
            let worth = new >= FLOOD || wal >= WAL_MUST || (wal >= WAL_WORTH && new == 0);
            if worth && self.shared.take_dirty() {
                let asked = self.checkpoint(&mut conn, new > 0).await?;
                // What the writer does for us is no work of anybody's.
                commits_before += u64::from(asked);
            }
        }
    }

    async fn ask<Q, A>(
        &self,
        command: impl FnOnce(Ask<Q, A>) -> Write,
        question: Q,
    ) -> Result<A, StoreError> {
        let (ask, answer) = Ask::new(question);
        let own = self.own.upgrade().ok_or(StoreError::Closed)?;
        own.send(command(ask)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Copies most of the WAL beside the writer, then, when it is too long, has a `busy` writer copy the rest so that
    /// it can begin anew. True if the writer was asked.
    async fn checkpoint(&self, conn: &mut Option<SqliteConnection>, busy: bool) -> Result<bool, StoreError> {
        let mut own = conn.take();
        let done = async {
            let conn = match &mut own {
                Some(conn) => conn,
                none => none.insert(sqlite::connect_writer(&self.path, &self.settings).await?),
            };
            sqlite::checkpoint(conn).await
        };
        let done = done.await;
        if done.is_ok() {
            *conn = own;
        }
        match done {
            Ok(bytes) if bytes >= WAL_MUST && busy => {
                drop(self.ask(Write::Checkpoint, ()).await);
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) => {
                let error = sqlite::classify("checkpoint the store", &error);
                tracing::warn!(%error, "a checkpoint failed");
                if matches!(error, StoreError::Broken { .. }) { Err(error) } else { Ok(false) }
            }
        }
    }

    async fn check(&self) -> Result<(), StoreError> {
        let attempt = "check the store";
        let verdict = async {
            let mut conn = sqlite::connect_writer(&self.path, &self.settings).await?;
            sqlite::quick_check(&mut conn).await
        };
        match verdict.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(StoreError::Broken { attempt, reason }),
            Err(error) => match sqlite::classify(attempt, &error) {
                broken @ StoreError::Broken { .. } => Err(broken),
                _ => Ok(()),
            },
        }
    }
}

async fn wal_size(path: &Path) -> u64 {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    tokio::fs::metadata(wal).await.map(|meta| meta.len()).unwrap_or(0)
}
