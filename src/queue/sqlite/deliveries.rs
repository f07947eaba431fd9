//! The inbox: deliveries, their bodies, and the keys that make a redelivery a duplicate.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::super::{Delivery, DeliveryFilter, DeliverySummary, JobState, NewDelivery, Recorded};
use super::{json, micros, object, time, undecodable};
use crate::model::{DeliveryId, Kind};

/// Several statements in one go: each trip to the driver's thread costs more than the statement. `$n` counts through
/// all of them.
///
/// An expired key is taken over by the new delivery: a re-push of the same body counts again. Only the delivery that
/// now owns its key is written.
const RECORD: &str = "
INSERT INTO dedup (receiver, key, delivery_id, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (receiver, key) DO UPDATE
    SET delivery_id = excluded.delivery_id, expires_at = excluded.expires_at
    WHERE dedup.expires_at <= $5;
INSERT INTO deliveries (id, receiver, provider, event, sender_id, received_at, stored_at, headers, body_size, facts,
                        commit_id, note)
    SELECT $3, $1, $6, $7, $8, $9, $5, $10, $11, $12, $13, $14
    WHERE (SELECT delivery_id FROM dedup WHERE receiver = $1 AND key = $2) = $3;
INSERT INTO bodies (seq, body) SELECT seq, $15 FROM deliveries WHERE id = $3;
SELECT delivery_id FROM dedup WHERE receiver = $1 AND key = $2;
";

/// Stores a delivery, unless the same one is already there. Its jobs are the caller's next statement.
pub(in super::super) async fn record(
    conn: &mut SqliteConnection,
    delivery: &NewDelivery,
    now: i64,
) -> sqlx::Result<Recorded> {
    let rows = sqlx::query(RECORD)
        .bind(delivery.receiver.to_string())
        .bind(&delivery.dedup_key)
        .bind(delivery.id.as_str())
        .bind(micros(delivery.dedup_until))
        .bind(now)
        .bind(&delivery.provider)
        .bind(&delivery.event)
        .bind(&delivery.sender_id)
        .bind(micros(delivery.received_at))
        .bind(super::text(&delivery.headers)?)
        .bind(i64::try_from(delivery.body_size).unwrap_or(i64::MAX))
        .bind(super::text(&delivery.facts)?)
        .bind(delivery.facts.get("commit").and_then(|commit| commit.as_str()))
        .bind(&delivery.note)
        .bind(delivery.body.as_ref())
        .fetch_all(conn)
        .await?;
    let owner: String = rows.last().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
    Ok(match owner == delivery.id.as_str() {
        true => Recorded::Stored(delivery.id.clone()),
        false => Recorded::Duplicate { of: DeliveryId::new(owner) },
    })
}

const SUMMARY: &str = "id, receiver, provider, event, sender_id, received_at, stored_at, facts, note,
    (SELECT group_concat(state || ' ' || n, ',') FROM (
        SELECT j.state AS state, count(DISTINCT j.id) AS n FROM job_causes c JOIN jobs j ON j.id = c.job_id
        WHERE c.delivery_id = deliveries.id AND c.delivery_id <> '' GROUP BY j.state ORDER BY j.state)) AS jobs";

fn summary(row: &SqliteRow) -> sqlx::Result<DeliverySummary> {
    let jobs: Option<&str> = row.try_get("jobs")?;
    let jobs = jobs
        .unwrap_or_default()
        .split(',')
        .filter_map(|entry| entry.split_once(' '))
        .map(|(state, count)| {
            Ok((
                JobState::parse(state).ok_or_else(|| undecodable("jobs", &state))?,
                count.parse().map_err(|error| undecodable("jobs", &error))?,
            ))
        })
        .collect::<sqlx::Result<_>>()?;
    Ok(DeliverySummary {
        id: DeliveryId::new(row.try_get::<String, _>("id")?),
        receiver: object(row, "receiver")?,
        provider: row.try_get("provider")?,
        event: row.try_get("event")?,
        sender_id: row.try_get("sender_id")?,
        received_at: time(row, "received_at")?,
        stored_at: time(row, "stored_at")?,
        facts: json(row, "facts")?,
        note: row.try_get("note")?,
        jobs,
    })
}

/// The newest deliveries first.
pub(in super::super) async fn list_deliveries(
    conn: &mut SqliteConnection,
    filter: &DeliveryFilter,
    limit: u32,
) -> sqlx::Result<Vec<DeliverySummary>> {
    let sql = format!(
        "SELECT {SUMMARY} FROM deliveries
         WHERE (?1 IS NULL OR receiver = ?1) AND (?2 IS NULL OR received_at >= ?2)
           AND (?3 IS NULL OR seq < (SELECT seq FROM deliveries WHERE id = ?3))
           AND (?5 IS NULL OR substr(receiver, 1, length(?5)) = ?5)
         ORDER BY seq DESC LIMIT ?4"
    );
    // Only our own constant is spliced in.
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(filter.receiver.as_ref().map(ToString::to_string))
        .bind(filter.since.map(micros))
        .bind(filter.before.as_ref().map(|id| id.as_str()))
        .bind(limit)
        .bind(filter.namespace.as_ref().map(|namespace| format!("{}/{namespace}/", Kind::Receiver)))
        .fetch_all(conn)
        .await?
        .iter()
        .map(summary)
        .collect()
}

/// Which column of the deliveries to look in.
#[derive(Clone, Copy)]
pub(super) enum By {
    Id,
    Sender,
    Commit,
}

/// Deliveries whose id, sender's id or commit begins with `prefix`, oldest first.
pub(super) async fn find(
    conn: &mut SqliteConnection,
    by: By,
    prefix: &str,
    limit: u32,
) -> sqlx::Result<Vec<DeliverySummary>> {
    let column = match by {
        By::Id => "id",
        By::Sender => "sender_id",
        By::Commit => "commit_id",
    };
    let sql = format!(
        "SELECT {SUMMARY} FROM deliveries WHERE {column} >= ?1 AND {column} < ?2 ORDER BY seq LIMIT ?3"
    );
    // Only our own constants are spliced in.
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(prefix)
        .bind(super::upper_bound(prefix))
        .bind(limit)
        .fetch_all(conn)
        .await?
        .iter()
        .map(summary)
        .collect()
}

/// One delivery with everything that came of it.
pub(in super::super) async fn delivery(
    conn: &mut SqliteConnection,
    id: &DeliveryId,
) -> sqlx::Result<Option<Delivery>> {
    let sql = format!(
        "SELECT {SUMMARY}, headers, body_size, (SELECT body FROM bodies WHERE bodies.seq = deliveries.seq) AS body
         FROM deliveries WHERE id = ?1"
    );
    // Only our own constant is spliced in.
    let Some(row) =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.as_str()).fetch_optional(&mut *conn).await?
    else {
        return Ok(None);
    };
    let body: Option<Vec<u8>> = row.try_get("body")?;
    let mut delivery = Delivery {
        summary: summary(&row)?,
        headers: json(&row, "headers")?,
        body: body.map(Into::into),
        body_size: row.try_get::<i64, _>("body_size")?.unsigned_abs(),
        jobs: Vec::new(),
        steps: Vec::new(),
        messages: Vec::new(),
    };
    drop(row);
    let story = super::steps::tell(conn, vec![delivery.summary.clone()]).await?;
    (delivery.jobs, delivery.steps, delivery.messages) = (story.jobs, story.steps, story.messages);
    Ok(Some(delivery))
}
