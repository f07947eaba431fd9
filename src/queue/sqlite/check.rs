//! Looks at a store without changing it, whether an agent runs on it or not: `sluice store check`.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::super::{OpenError, QueueFacts, QueueSettings};
use super::facts;
use super::open::{STORE, base_options, refuse, schema_version};

/// What a store looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreReport {
    /// The database file.
    pub path: PathBuf,
    /// Its size, the log of writes beside it included.
    pub bytes: u64,
    /// The version of its schema.
    pub schema: i64,
    /// What is damaged, in SQLite's words; empty when nothing is.
    pub damages: Vec<String>,
    /// What is in it; nothing when it is too damaged to tell.
    pub facts: Option<QueueFacts>,
}

/// Checks every page, record and index of the store in `state_dir`.
///
/// # Errors
/// When there is no store, or it cannot be opened at all.
pub(in super::super) async fn check(state_dir: &Path, now: i64) -> Result<StoreReport, OpenError> {
    let path = state_dir.join(STORE);
    let size = |suffix: &str| {
        let file = state_dir.join(format!("{STORE}{suffix}"));
        std::fs::metadata(file).map(|meta| meta.len())
    };
    let bytes = size("").map_err(|error| OpenError::File {
        attempt: "read the store",
        path: path.clone(),
        reason: error.to_string(),
    })?;
    let bytes = bytes + size("-wal").unwrap_or(0);
    let broken = |error: sqlx::Error| refuse(&path, &error);
    let options = base_options(&path, &QueueSettings::default()).read_only(true);
    let mut conn = options.connect().await.map_err(broken)?;
    let rows = sqlx::query("PRAGMA integrity_check(100)").fetch_all(&mut conn).await;
    let damages = match rows {
        Ok(rows) => rows
            .iter()
            .map(|row| row.try_get::<String, _>(0))
            .collect::<sqlx::Result<Vec<_>>>()
            .map_err(broken)?
            .into_iter()
            .filter(|verdict| verdict != "ok")
            .collect(),
        // Too damaged for the check itself.
        Err(error) => match refuse(&path, &error) {
            OpenError::Corrupt { reason, .. } => vec![reason],
            other => return Err(other),
        },
    };
    let intact = damages.is_empty();
    let schema =
        schema_version(&mut conn).await.or_else(|error| if intact { Err(broken(error)) } else { Ok(0) })?;
    let facts = match facts(&mut conn, now).await {
        Ok(facts) => Some(facts),
        Err(error) if intact => return Err(broken(error)),
        Err(_) => None,
    };
    // Closed here and now, so that the last one to close the store finds that it is the last.
    let closed = conn.close().await;
    if intact {
        closed.map_err(broken)?;
    }
    Ok(StoreReport { path, bytes, schema, damages, facts })
}
