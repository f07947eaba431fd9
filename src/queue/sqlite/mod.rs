//! The SQL of the SQLite backend, one file per noun. Nothing outside this folder knows which database it is.
//!
//! Functions that write take a connection inside the writer's transaction; functions that read take any.

mod check;
mod deliveries;
mod facts;
mod jobs;
mod open;
mod outbox;
mod retention;
mod statuses;
mod steps;
mod tags;

pub use check::StoreReport;
pub(super) use check::check;
pub(super) use deliveries::{delivery, list_deliveries, record};
pub(super) use facts::facts;
pub(super) use jobs::{
    Finished, claim, enqueue, expire, finish, forget, next_due, reached, release, renew, shift,
};
pub(super) use open::{checkpoint, connect_writer, open, quick_check};
pub(super) use outbox::{
    claim_messages, enqueue_messages, finish_message, list_messages, next_message_due, shift_messages,
    take_back_messages,
};
pub(super) use retention::tidy;
pub(super) use statuses::{
    applied, delete_generated, delete_overlay, delete_status, generated, overlays, put_applied,
    put_generated, put_overlay, put_status, status, statuses,
};
pub(super) use steps::{record_steps, story_of_commit, story_of_delivery, story_of_object};
pub(super) use tags::{change_tags, forget_tags, image_tags};

use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::model::{ObjectKey, Timestamp};

use super::StoreError;

/// Microseconds since 1970: what the tables hold.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A duration in microseconds, cut at what an integer column holds.
pub(super) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The time `after` a stored time, cut at the end of time.
pub(super) fn later(at: i64, after: Duration) -> i64 {
    at.saturating_add(span(after)).min(Timestamp::MAX.as_microsecond())
}

fn time(row: &SqliteRow, column: &str) -> sqlx::Result<Timestamp> {
    let at: i64 = row.try_get(column)?;
    Timestamp::from_microsecond(at).map_err(|error| undecodable(column, &error))
}

fn optional_time(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
    row.try_get::<Option<i64>, _>(column)?
        .map(|at| Timestamp::from_microsecond(at).map_err(|error| undecodable(column, &error)))
        .transpose()
}

fn json<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| undecodable(column, &error))
}

fn object(row: &SqliteRow, column: &str) -> sqlx::Result<ObjectKey> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error| undecodable(column, &error))
}

fn undecodable(column: &str, error: &dyn std::fmt::Display) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.to_string().into() }
}

/// Our own value as JSON text.
fn text<T: serde::Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.to_string().into()))
}

/// The commit a revision names: `main@sha1:<commit>`.
fn commit_of(revision: &str) -> Option<&str> {
    revision.rsplit_once("sha1:").map(|(_, commit)| commit).filter(|commit| !commit.is_empty())
}

/// What an error of the driver means for whoever waits for the answer.
pub(super) fn classify(attempt: &'static str, error: &sqlx::Error) -> StoreError {
    let reason = error.to_string();
    let Some(code) = code_of(error) else {
        return match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => {
                StoreError::Unavailable { attempt, reason }
            }
            sqlx::Error::PoolClosed => StoreError::Closed,
            _ => StoreError::Defect { attempt, reason },
        };
    };
    // Extended codes: the primary one is in the low byte (https://www.sqlite.org/rescode.html).
    const IOERR_FSYNC: i32 = 10 | (4 << 8);
    const IOERR_DIR_FSYNC: i32 = 10 | (5 << 8);
    match code {
        // After a failed fsync nobody knows what is on the disk; going on could break the promise of a 2xx.
        IOERR_FSYNC | IOERR_DIR_FSYNC => StoreError::Broken { attempt, reason },
        _ => match code & 0xff {
            // corrupt, not a database
            11 | 26 => StoreError::Broken { attempt, reason },
            // permission, busy, locked, out of memory, read-only, interrupted, I/O, full, cannot open
            3 | 5 | 6 | 7 | 8 | 9 | 10 | 13 | 14 => StoreError::Unavailable { attempt, reason },
            _ => StoreError::Defect { attempt, reason },
        },
    }
}

fn code_of(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// Whether the text can stand for the beginning of ids that are compared bytewise.
fn upper_bound(prefix: &str) -> String {
    // Ids are ASCII, so the largest char of all sorts behind every continuation.
    format!("{prefix}\u{10ffff}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_of_a_revision_is_what_stands_behind_sha1() {
        assert_eq!(commit_of("main@sha1:abc"), Some("abc"));
        assert_eq!(commit_of("1.2.3@sha256:abc"), None);
        assert_eq!(commit_of("main@sha1:"), None);
    }
}
