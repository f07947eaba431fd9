//! The outbox: what is to be told to whom, until it is told or given up.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::super::{LeasedMessage, MessageLease, MessageOutcome, MessageState, NewMessage, StoredMessage};
use super::{json, later, object, optional_time, span, text, time, undecodable};
use crate::model::{Kind, ObjectKey};

/// First pause after a failed attempt; doubled each time up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_secs(2);
const BACKOFF_MAX: Duration = Duration::from_secs(900);

/// Puts messages in.
pub(in super::super) async fn enqueue_messages(
    conn: &mut SqliteConnection,
    messages: &[NewMessage],
    now: i64,
) -> sqlx::Result<()> {
    for message in messages {
        sqlx::query(
            "INSERT INTO messages (alert, provider, object, event, cause, delivery_id, state, due_at, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?7)",
        )
        .bind(message.alert.to_string())
        .bind(message.provider.to_string())
        .bind(message.event.object.to_string())
        .bind(text(&message.event)?)
        .bind(text(&message.cause)?)
        .bind(message.cause.delivery.as_ref().map(|id| id.as_str()))
        .bind(now)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Messages whose sender is known to be gone with its process wait again, and are sent at once.
pub(in super::super) async fn take_back_messages(conn: &mut SqliteConnection, now: i64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE messages SET state = 'pending', due_at = ?1, lease_until = NULL WHERE state = 'sending'",
    )
    .bind(now)
    .execute(conn)
    .await
    .map(drop)
}

/// Hands out due messages, and those whose sender is gone.
pub(in super::super) async fn claim_messages(
    conn: &mut SqliteConnection,
    limit: u32,
    lease: Duration,
    now: i64,
) -> sqlx::Result<Vec<LeasedMessage>> {
    sqlx::query(
        "UPDATE messages SET state = 'pending', due_at = ?1, lease_until = NULL
         WHERE state = 'sending' AND lease_until <= ?1",
    )
    .bind(now)
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query(
        "UPDATE messages SET state = 'sending', claims = claims + 1, lease_until = ?2
         WHERE seq IN (SELECT seq FROM messages WHERE state = 'pending' AND due_at <= ?1 ORDER BY due_at, seq LIMIT ?3 + 0)
         RETURNING *",
    )
    .bind(now)
    .bind(later(now, lease))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let mut claimed = rows
        .iter()
        .map(|row| {
            Ok(LeasedMessage {
                message: read_new(row)?,
                attempts: row.try_get("attempts")?,
                created_at: time(row, "created_at")?,
                lease: MessageLease { id: row.try_get("seq")?, claim: row.try_get("claims")? },
            })
        })
        .collect::<sqlx::Result<Vec<_>>>()?;
    claimed.sort_by_key(|message| message.lease.id);
    Ok(claimed)
}

/// Writes how an attempt ended; false if somebody else has the message by now.
pub(in super::super) async fn finish_message(
    conn: &mut SqliteConnection,
    lease: &MessageLease,
    outcome: &MessageOutcome,
    deadline: Duration,
    now: i64,
) -> sqlx::Result<bool> {
    let Some(row) = sqlx::query(
        "SELECT attempts, created_at FROM messages WHERE seq = ?1 AND claims = ?2 AND state = 'sending'",
    )
    .bind(lease.id)
    .bind(lease.claim)
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(false);
    };
    let (attempts, created_at): (u32, i64) = (row.try_get("attempts")?, row.try_get("created_at")?);
    let (state, due_at, error) = match outcome {
        MessageOutcome::Sent => (MessageState::Sent, now, None),
        MessageOutcome::Refused { error } => (MessageState::Dead, now, Some(error.clone())),
        MessageOutcome::Retry { after, error } => {
            let due_at = later(now, after.unwrap_or_else(|| backoff(attempts, lease.id)));
            let last = created_at.saturating_add(span(deadline));
            if due_at > last {
                (MessageState::Dead, now, Some(format!("given up after {} attempts: {error}", attempts + 1)))
            } else {
                (MessageState::Pending, due_at, Some(error.clone()))
            }
        }
    };
    let ended = matches!(state, MessageState::Sent | MessageState::Dead);
    sqlx::query(
        "UPDATE messages SET state = ?2, due_at = ?3, lease_until = NULL, last_error = ?4,
                             attempts = attempts + (?4 IS NOT NULL), finished_at = ?5
         WHERE seq = ?1",
    )
    .bind(lease.id)
    .bind(state.as_str())
    .bind(due_at)
    .bind(error)
    .bind(ended.then_some(now))
    .execute(conn)
    .await?;
    Ok(true)
}

/// Doubles, and spreads by the message's number so that a provider that comes back is not met by all at once.
fn backoff(attempts: u32, id: i64) -> Duration {
    let full = BACKOFF.saturating_mul(2_u32.saturating_pow(attempts.min(16))).min(BACKOFF_MAX);
    // Between three quarters and the whole; 61 is coprime to the spread of consecutive numbers.
    full * 3 / 4 + full * u32::try_from(id.wrapping_mul(61).rem_euclid(64)).unwrap_or(0) / 256
}

/// When the next message can be claimed; `None` when nothing waits.
pub(in super::super) async fn next_message_due(conn: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query(
        "SELECT min(at) FROM (SELECT min(due_at) AS at FROM messages WHERE state = 'pending'
         UNION ALL SELECT min(lease_until) AS at FROM messages WHERE state = 'sending')",
    )
    .fetch_one(conn)
    .await?
    .try_get(0)
}

/// Moves leases and due times along with a wall clock that was set.
pub(in super::super) async fn shift_messages(conn: &mut SqliteConnection, by: i64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE messages SET lease_until = lease_until + ?1,
                             due_at = CASE WHEN ?1 < 0 THEN max(0, due_at + ?1) ELSE due_at END
         WHERE state IN ('pending', 'sending')",
    )
    .bind(by)
    .execute(conn)
    .await
    .map(drop)
}

fn read_new(row: &SqliteRow) -> sqlx::Result<NewMessage> {
    Ok(NewMessage {
        alert: object(row, "alert")?,
        provider: object(row, "provider")?,
        event: json(row, "event")?,
        cause: json(row, "cause")?,
    })
}

fn read(row: &SqliteRow) -> sqlx::Result<StoredMessage> {
    let state: &str = row.try_get("state")?;
    Ok(StoredMessage {
        id: row.try_get("seq")?,
        message: read_new(row)?,
        state: MessageState::parse(state).ok_or_else(|| undecodable("state", &state))?,
        attempts: row.try_get("attempts")?,
        created_at: time(row, "created_at")?,
        finished_at: optional_time(row, "finished_at")?,
        last_error: row.try_get("last_error")?,
    })
}

/// Messages because of deliveries whose ids stand in a JSON list.
pub(super) async fn of_deliveries(
    conn: &mut SqliteConnection,
    ids: &str,
) -> sqlx::Result<Vec<StoredMessage>> {
    sqlx::query("SELECT * FROM messages WHERE delivery_id IN (SELECT value FROM json_each(?1)) ORDER BY seq")
        .bind(ids)
        .fetch_all(conn)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// The last messages about an object, oldest first; of an Alert or Provider those that it sends.
pub(super) async fn of_object(
    conn: &mut SqliteConnection,
    object: &ObjectKey,
    limit: u32,
) -> sqlx::Result<Vec<StoredMessage>> {
    let sql = match object.kind {
        Kind::Alert => {
            "SELECT * FROM (SELECT * FROM messages WHERE alert = ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq"
        }
        Kind::Provider => {
            "SELECT * FROM (SELECT * FROM messages WHERE provider = ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq"
        }
        _ => {
            "SELECT * FROM (SELECT * FROM messages WHERE object = ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq"
        }
    };
    sqlx::query(sql).bind(object.to_string()).bind(limit).fetch_all(conn).await?.iter().map(read).collect()
}

/// The last messages of all, newest first.
pub(in super::super) async fn list_messages(
    conn: &mut SqliteConnection,
    limit: u32,
) -> sqlx::Result<Vec<StoredMessage>> {
    sqlx::query("SELECT * FROM messages ORDER BY seq DESC LIMIT ?1")
        .bind(limit)
        .fetch_all(conn)
        .await?
        .iter()
        .map(read)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_within_a_quarter_and_stops_at_fifteen_minutes() {
        for id in 0..200 {
            for attempts in 0..40 {
                let full = BACKOFF.saturating_mul(1 << attempts.min(16)).min(BACKOFF_MAX);
                let pause = backoff(attempts, id);
                assert!(pause >= full * 3 / 4 && pause <= full, "{attempts} {id} {pause:?}");
            }
        }
        assert_ne!(backoff(3, 1), backoff(3, 2), "neighbours are spread");
    }
}
