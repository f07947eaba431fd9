//! Removing what is old, a little at a time, so that no webhook waits behind it.

use std::time::Duration;

use sqlx::{Row, SqliteConnection};

use super::super::QueueSettings;
use super::span;

/// Rows removed per statement and transaction.
const BATCH: i64 = 500;
/// Nothing younger goes for its age: senders redeliver for up to three days.
const LEAST: Duration = Duration::from_secs(72 * 60 * 60);

/// Removes up to a batch of every kind of old row; true if there may be more.
pub(in super::super) async fn tidy(
    conn: &mut SqliteConnection,
    settings: &QueueSettings,
    now: i64,
) -> sqlx::Result<bool> {
    let before = |keep: Duration| now.saturating_sub(span(keep.max(LEAST)));
    let rows = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
    let mut more = tidy_dedup(conn, now).await?;

    // Bodies first: they are most of the file. The newest `max_bodies` stay.
    more |= remove(
        conn,
        "DELETE FROM bodies WHERE seq IN (
             SELECT seq FROM bodies WHERE seq <= (SELECT max(seq) FROM deliveries) - ?1 ORDER BY seq LIMIT ?2)",
        rows(settings.max_bodies),
    )
    .await?;
    // A delivery stays as long as a job of its is to run.
    let old: Vec<i64> = sqlx::query(
        "SELECT seq FROM deliveries
         WHERE seq IN (SELECT seq FROM deliveries ORDER BY seq LIMIT ?3)
           AND (stored_at < ?1 OR seq <= (SELECT max(seq) FROM deliveries) - ?2)
           AND NOT EXISTS (SELECT 1 FROM job_causes c JOIN jobs j ON j.id = c.job_id
                           WHERE c.delivery_id = deliveries.id AND c.delivery_id <> ''
                             AND j.state IN ('pending', 'running'))",
    )
    .bind(before(settings.keep_deliveries))
    .bind(rows(settings.max_deliveries))
    .bind(BATCH)
    .fetch_all(&mut *conn)
    .await?
    .iter()
    .map(|row| row.try_get(0))
    .collect::<sqlx::Result<_>>()?;
    if !old.is_empty() {
        let list = super::text(&old)?;
        for sql in [
            "DELETE FROM bodies WHERE seq IN (SELECT value FROM json_each(?1))",
            "DELETE FROM steps WHERE job_id IS NULL AND delivery_id IN (
                 SELECT id FROM deliveries WHERE seq IN (SELECT value FROM json_each(?1)))",
            "DELETE FROM deliveries WHERE seq IN (SELECT value FROM json_each(?1))",
        ] {
            sqlx::query(sql).bind(&list).execute(&mut *conn).await?;
        }
        more |= old.len() as i64 == BATCH;
    }

    // Two walks, each along an index: by age, and by number.
    let ended: Vec<String> = sqlx::query(
        "SELECT id FROM (SELECT id FROM jobs WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?3)
         UNION
         SELECT id FROM (SELECT id FROM jobs
                         WHERE seq <= (SELECT max(seq) FROM jobs) - ?2 AND finished_at IS NOT NULL
                         ORDER BY seq LIMIT ?3)",
    )
    .bind(before(settings.keep_jobs))
    .bind(rows(settings.max_jobs))
    .bind(BATCH)
    .fetch_all(&mut *conn)
    .await?
    .iter()
    .map(|row| row.try_get(0))
    .collect::<sqlx::Result<_>>()?;
    if !ended.is_empty() {
        let list = super::text(&ended)?;
        for sql in [
            "DELETE FROM steps WHERE job_id IN (SELECT value FROM json_each(?1))",
            "DELETE FROM job_causes WHERE job_id IN (SELECT value FROM json_each(?1))",
            "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?1))",
        ] {
            sqlx::query(sql).bind(&list).execute(&mut *conn).await?;
        }
        more |= ended.len() as i64 >= BATCH;
    }
    // Steps outside jobs and deliveries.
    more |= remove(
        conn,
        "DELETE FROM steps WHERE seq IN (
             SELECT seq FROM steps WHERE started_at < ?1 AND job_id IS NULL ORDER BY started_at LIMIT ?2)",
        before(settings.keep_jobs),
    )
    .await?;
    more |= remove(
        conn,
        "DELETE FROM messages WHERE seq IN (
             SELECT seq FROM messages WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2)",
        now.saturating_sub(span(settings.keep_messages)),
    )
    .await?;
    Ok(more)
}

/// Removes expired dedup keys; true if there may be more.
async fn tidy_dedup(conn: &mut SqliteConnection, now: i64) -> sqlx::Result<bool> {
    remove(
        conn,
        "DELETE FROM dedup WHERE (receiver, key) IN (
             SELECT receiver, key FROM dedup WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        now,
    )
    .await
}

async fn remove(conn: &mut SqliteConnection, sql: &'static str, bound: i64) -> sqlx::Result<bool> {
    let removed = sqlx::query(sql).bind(bound).bind(BATCH).execute(conn).await?.rows_affected();
    Ok(removed >= BATCH.unsigned_abs())
}
