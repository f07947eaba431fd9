//! Counts for metrics.

use sqlx::{Row, SqliteConnection};

use super::super::QueueFacts;
use super::optional_time;

/// How much waits, runs and was given up.
pub(in super::super) async fn facts(conn: &mut SqliteConnection, now: i64) -> sqlx::Result<QueueFacts> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM jobs WHERE state = 'pending') AS pending,
                (SELECT count(*) FROM jobs WHERE state = 'pending' AND due_at <= ?1) AS due,
                (SELECT count(*) FROM jobs INDEXED BY jobs_one_running WHERE state = 'running') AS running,
                (SELECT min(due_at) FROM jobs WHERE state = 'pending' AND due_at <= ?1) AS oldest_due,
                (SELECT count(*) FROM troubles WHERE until > ?1) AS set_aside,
                (SELECT count(*) FROM messages WHERE state = 'pending') AS outbox_pending,
                (SELECT min(created_at) FROM messages WHERE state = 'pending') AS outbox_oldest,
                (SELECT count(*) FROM messages WHERE state = 'dead' AND finished_at IS NOT NULL) AS outbox_dead,
                (SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM deliveries) AS deliveries",
    )
    .bind(now)
    .fetch_one(conn)
    .await?;
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    Ok(QueueFacts {
        pending: count("pending")?,
        due: count("due")?,
        running: count("running")?,
        oldest_due: optional_time(&row, "oldest_due")?,
        set_aside: count("set_aside")?,
        outbox_pending: count("outbox_pending")?,
        outbox_oldest: optional_time(&row, "outbox_oldest")?,
        outbox_dead: count("outbox_dead")?,
        deliveries: count("deliveries")?,
        commits: 0,
    })
}
