//! The queue itself. Two partial unique indexes hold its rules (one pending, one running job per object); the
//! statements here only decide what becomes of the second one.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::super::{JobOutcome, JobState, Lease, LeasedJob, NewJob, Priority, StoredJob};
use super::{json, later, micros, object, optional_time, time, undecodable};
use crate::model::{Cause, CauseKind, DeliveryId, JobId, ObjectKey};

/// So often a job may take its worker down at the same step before its object is set aside.
const VANISHINGS: i64 = 5;
/// So often in a row a job may panic before its object is set aside.
const PANICS: i64 = 3;
/// How long an object is set aside at first; doubled each time it strikes again, up to [`SET_ASIDE_MAX`].
const SET_ASIDE: Duration = Duration::from_secs(60);
const SET_ASIDE_MAX: Duration = Duration::from_secs(3600);
/// First pause after a panic.
const PANIC_BACKOFF: Duration = Duration::from_secs(2);

/// Both statements in one go, for the same reason as in `deliveries.rs`.
const ENQUEUE: &str = "
INSERT INTO jobs (id, object, state, payload, priority, due_at, created_at)
    VALUES ($1, $2, 'pending', $3, $4,
            max($5, CASE WHEN $6 THEN coalesce((SELECT until FROM troubles WHERE object = $2), 0) ELSE $5 END), $7)
    ON CONFLICT (object) WHERE state = 'pending' DO UPDATE SET
        due_at = min(jobs.due_at, excluded.due_at),
        priority = max(jobs.priority, excluded.priority),
        attempts = CASE WHEN $10 THEN 0 ELSE jobs.attempts END
    RETURNING id, payload;
INSERT OR IGNORE INTO job_causes (job_id, kind, delivery_id, at)
    SELECT id, $8, $9, $7 FROM jobs WHERE object = $2 AND state = 'pending';
";

/// Puts a job in, or merges it into the pending one of its object: the earlier time, the hints of both, the higher
/// priority, and one more cause.
pub(in super::super) async fn enqueue(
    conn: &mut SqliteConnection,
    job: &NewJob,
    now: i64,
) -> sqlx::Result<JobId> {
    // An object that was set aside waits, unless somebody did something about it.
    let waits = matches!(job.cause.kind, CauseKind::Interval | CauseKind::Start | CauseKind::Dependency);
    // How often the old work failed says nothing about new work: its backoff begins anew.
    let is_new = !matches!(job.cause.kind, CauseKind::Interval | CauseKind::Start);
    let hint = super::text(&job.payload)?;
    let rows = sqlx::query(ENQUEUE)
        .bind(JobId::generate().as_str().to_owned())
        .bind(job.object.to_string())
        .bind(&hint)
        .bind(rank(job.priority))
        .bind(micros(job.due_at))
        .bind(waits)
        .bind(now)
        .bind(job.cause.kind.as_str())
        .bind(job.cause.delivery.as_ref().map_or("", |id| id.as_str()))
        .bind(is_new)
        .fetch_all(&mut *conn)
        .await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let (id, standing): (String, String) = (row.try_get("id")?, row.try_get("payload")?);
    if standing != hint && !job.payload.is_null() {
        let merged = merge_hints(json(row, "payload")?, job.payload.clone());
        set_payload(conn, &id, &merged).await?;
    }
    Ok(JobId::new(id))
}

/// Entries of a list in a hint; beyond it the oldest are dropped, and the worker has to look for itself anyway.
const HINT_LIST: usize = 100;

/// The newer hint wins, key by key; lists (the tags pushed to one image repository) are joined.
fn merge_hints(older: Value, newer: Value) -> Value {
    match (older, newer) {
        (older, Value::Null) => older,
        (Value::Object(mut merged), Value::Object(newer)) => {
            for (key, value) in newer {
                match (merged.get_mut(&key), value) {
                    (Some(Value::Array(list)), Value::Array(more)) => {
                        list.retain(|entry| !more.contains(entry));
                        list.extend(more);
                        list.drain(..list.len().saturating_sub(HINT_LIST));
                    }
                    (_, value) => drop(merged.insert(key, value)),
                }
            }
            Value::Object(merged)
        }
        (_, newer) => newer,
    }
}

async fn set_payload(conn: &mut SqliteConnection, job: &str, payload: &Value) -> sqlx::Result<()> {
    sqlx::query("UPDATE jobs SET payload = ?2 WHERE id = ?1")
        .bind(job)
        .bind(super::text(payload)?)
        .execute(conn)
        .await
        .map(drop)
}

fn rank(priority: Priority) -> i64 {
    match priority {
        Priority::Timer => 0,
        Priority::Normal => 1,
        Priority::Push => 2,
    }
}

fn priority(row: &SqliteRow) -> sqlx::Result<Priority> {
    Ok(match row.try_get::<i64, _>("priority")? {
        0 => Priority::Timer,
        1 => Priority::Normal,
        _ => Priority::Push,
    })
}

/// Hands out due jobs whose object has no running job.
///
/// `LIMIT ?4` alone would be planned anew at each call: SQLite looks at what is bound there when it chooses an index.
pub(in super::super) async fn claim(
    conn: &mut SqliteConnection,
    limit: u32,
    worker: &str,
    lease: Duration,
    now: i64,
) -> sqlx::Result<Vec<LeasedJob>> {
    let rows = sqlx::query(
        "UPDATE jobs SET state = 'running', worker = ?1, claims = claims + 1, lease_until = ?2, started_at = ?3
         WHERE seq IN (
             SELECT seq FROM jobs AS due INDEXED BY jobs_claim
             WHERE state = 'pending' AND due_at <= ?3
               AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.object = due.object AND other.state = 'running')
             ORDER BY priority DESC, due_at, seq LIMIT ?4 + 0)
         RETURNING id, object, payload, attempts, claims, priority, due_at, seq",
    )
    .bind(worker)
    .bind(later(now, lease))
    .bind(now)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        let id = JobId::new(row.try_get::<String, _>("id")?);
        claimed.push((
            row.try_get::<i64, _>("seq")?,
            LeasedJob {
                lease: Lease { job: id.clone(), worker: worker.to_owned(), claim: row.try_get("claims")? },
                id,
                object: object(row, "object")?,
                causes: Vec::new(),
                payload: json(row, "payload")?,
                attempts: row.try_get("attempts")?,
                due_at: time(row, "due_at")?,
                priority: priority(row)?,
            },
        ));
    }
    // RETURNING promises no order.
    claimed.sort_by_key(|(seq, job)| (std::cmp::Reverse(job.priority), job.due_at, *seq));
    let mut jobs: Vec<LeasedJob> = claimed.into_iter().map(|(_, job)| job).collect();
    let mut causes = causes_of(conn, jobs.iter().map(|job| job.id.as_str())).await?;
    for job in &mut jobs {
        job.causes = causes.remove(job.id.as_str()).unwrap_or_default();
    }
    Ok(jobs)
}

/// The causes of several jobs, each oldest first.
async fn causes_of(
    conn: &mut SqliteConnection,
    ids: impl Iterator<Item = &str>,
) -> sqlx::Result<HashMap<String, Vec<Cause>>> {
    let ids: Vec<&str> = ids.collect();
    let mut causes: HashMap<String, Vec<Cause>> = HashMap::new();
    if ids.is_empty() {
        return Ok(causes);
    }
    let rows = sqlx::query(
        "SELECT job_id, kind, delivery_id FROM job_causes WHERE job_id IN (SELECT value FROM json_each(?1))
         ORDER BY at, delivery_id",
    )
    .bind(super::text(&ids)?)
    .fetch_all(conn)
    .await?;
    for row in rows {
        let kind: String = row.try_get("kind")?;
        let delivery: String = row.try_get("delivery_id")?;
        let kind =
            serde_json::from_value(Value::String(kind)).map_err(|error| undecodable("kind", &error))?;
        let delivery = (!delivery.is_empty()).then(|| DeliveryId::new(delivery));
        causes.entry(row.try_get("job_id")?).or_default().push(Cause { kind, delivery });
    }
    Ok(causes)
}

/// Prolongs a lease; false if it was lost.
pub(in super::super) async fn renew(
    conn: &mut SqliteConnection,
    lease: &Lease,
    until: i64,
) -> sqlx::Result<bool> {
    held(
        sqlx::query(
            "UPDATE jobs SET lease_until = ?4 WHERE id = ?1 AND worker = ?2 AND claims = ?3 AND state = 'running'",
        ),
        conn,
        lease,
        until,
    )
    .await
}

/// Notes the step a running job has reached; false if the lease was lost.
pub(in super::super) async fn reached(
    conn: &mut SqliteConnection,
    lease: &Lease,
    step: &str,
) -> sqlx::Result<bool> {
    held(
        sqlx::query(
            "UPDATE jobs SET step = ?4 WHERE id = ?1 AND worker = ?2 AND claims = ?3 AND state = 'running'",
        ),
        conn,
        lease,
        step,
    )
    .await
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Runs an update that only counts for whoever holds the lease: job, worker, claim and value are ?1 to ?4.
async fn held<'q, T>(
    query: Query<'q>,
    conn: &mut SqliteConnection,
    lease: &'q Lease,
    value: T,
) -> sqlx::Result<bool>
where
    T: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + 'q,
{
    let done = query
        .bind(lease.job.as_str())
        .bind(lease.worker.as_str())
        .bind(lease.claim)
        .bind(value)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a job back untouched, as at a shutdown: no attempt is counted.
pub(in super::super) async fn release(
    conn: &mut SqliteConnection,
    lease: &Lease,
    now: i64,
) -> sqlx::Result<bool> {
    let Some(object) = holder_of(conn, lease).await? else { return Ok(false) };
    back_to_pending(conn, lease.job.as_str(), &object, now, None, now).await?;
    Ok(true)
}

/// The object of a job, if the lease still stands.
async fn holder_of(conn: &mut SqliteConnection, lease: &Lease) -> sqlx::Result<Option<String>> {
    sqlx::query("SELECT object FROM jobs WHERE id = ?1 AND worker = ?2 AND claims = ?3 AND state = 'running'")
        .bind(lease.job.as_str())
        .bind(lease.worker.as_str())
        .bind(lease.claim)
        .fetch_optional(conn)
        .await?
        .map(|row| row.try_get(0))
        .transpose()
}

/// Ends a run that did not finish its work: the job waits again, or hands its causes to the successor that
/// already waits. `error` counts a failed attempt.
async fn back_to_pending(
    conn: &mut SqliteConnection,
    job: &str,
    object: &str,
    due_at: i64,
    error: Option<&str>,
    now: i64,
) -> sqlx::Result<()> {
    let successor: Option<String> =
        sqlx::query("SELECT id FROM jobs WHERE object = ?1 AND state = 'pending'")
            .bind(object)
            .fetch_optional(&mut *conn)
            .await?
            .map(|row| row.try_get(0))
            .transpose()?;
    let Some(successor) = successor else {
        sqlx::query(
            "UPDATE jobs SET state = 'pending', due_at = ?2, worker = NULL, lease_until = NULL,
                             attempts = attempts + (?3 IS NOT NULL), last_error = coalesce(?3, last_error)
             WHERE id = ?1",
        )
        .bind(job)
        .bind(due_at)
        .bind(error)
        .execute(conn)
        .await?;
        return Ok(());
    };
    // The successor does the work of both: it inherits causes and hints, and runs no later than this one would have.
    sqlx::query(
        "INSERT OR IGNORE INTO job_causes (job_id, kind, delivery_id, at)
         SELECT ?2, kind, delivery_id, at FROM job_causes WHERE job_id = ?1",
    )
    .bind(job)
    .bind(&successor)
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query(
        "UPDATE jobs SET due_at = min(due_at, ?3), priority = max(priority, (SELECT priority FROM jobs WHERE id = ?1))
         WHERE id = ?2 RETURNING payload AS newer, (SELECT payload FROM jobs WHERE id = ?1) AS older",
    )
    .bind(job)
    .bind(&successor)
    .bind(due_at)
    .fetch_one(&mut *conn)
    .await?;
    let (older, newer): (Value, Value) = (json(&row, "older")?, json(&row, "newer")?);
    if !older.is_null() {
        set_payload(conn, &successor, &merge_hints(older, newer)).await?;
    }
    end(conn, job, JobState::Superseded, error, Some(&successor), now).await
}

async fn end(
    conn: &mut SqliteConnection,
    job: &str,
    state: JobState,
    error: Option<&str>,
    superseded_by: Option<&str>,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE jobs SET state = ?2, finished_at = ?3, last_error = coalesce(?4, last_error), superseded_by = ?5,
                         attempts = attempts + (?4 IS NOT NULL), lease_until = NULL
         WHERE id = ?1",
    )
    .bind(job)
    .bind(state.as_str())
    .bind(now)
    .bind(error)
    .bind(superseded_by)
    .execute(conn)
    .await?;
    Ok(())
}

/// What became of a result.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Finished {
    /// It is written; the object may be claimed again.
    Recorded,
    /// Somebody else has the job; nothing was written.
    LeaseLost,
}

/// Writes how a run ended. What else the result holds is the caller's next statements.
pub(in super::super) async fn finish(
    conn: &mut SqliteConnection,
    lease: &Lease,
    outcome: &JobOutcome,
    now: i64,
) -> sqlx::Result<Finished> {
    let Some(object) = holder_of(conn, lease).await? else { return Ok(Finished::LeaseLost) };
    let job = lease.job.as_str();
    if let JobOutcome::Panicked { error } = outcome {
        panicked(conn, job, &object, error, now).await?;
        return Ok(Finished::Recorded);
    }
    // The worker lived to tell: whatever happened before is no pattern.
    sqlx::query("DELETE FROM troubles WHERE object = ?1").bind(&object).execute(&mut *conn).await?;
    match outcome {
        JobOutcome::Done => end(conn, job, JobState::Done, None, None, now).await?,
        JobOutcome::Failed { error } => end(conn, job, JobState::Failed, Some(error), None, now).await?,
        JobOutcome::Retry { after, error } => {
            back_to_pending(conn, job, &object, later(now, *after), Some(error), now).await?;
        }
        // With a successor that does the work of both; without one (the lease was in doubt, or the agent stops) this
        // job itself runs again.
        JobOutcome::Superseded => back_to_pending(conn, job, &object, now, None, now).await?,
        JobOutcome::Panicked { .. } => {}
    }
    Ok(Finished::Recorded)
}

async fn panicked(
    conn: &mut SqliteConnection,
    job: &str,
    object: &str,
    error: &str,
    now: i64,
) -> sqlx::Result<()> {
    let panics: i64 = sqlx::query(
        "INSERT INTO troubles (object, vanished, step, panics, until) VALUES (?1, 0, '', 1, 0)
         ON CONFLICT (object) DO UPDATE SET panics = panics + 1 RETURNING panics",
    )
    .bind(object)
    .fetch_one(&mut *conn)
    .await?
    .try_get(0)?;
    if panics < PANICS {
        let due_at = later(now, PANIC_BACKOFF * 2_u32.pow(u32::try_from(panics).unwrap_or(0)));
        return back_to_pending(conn, job, object, due_at, Some(error), now).await;
    }
    let reason = format!("set aside after {panics} panics in a row: {error}");
    set_aside(conn, job, object, &reason, panics - PANICS, now).await
}

/// Takes a job out of the queue for good and its object for a while: timers wait until then, a push or a request
/// tries at once.
async fn set_aside(
    conn: &mut SqliteConnection,
    job: &str,
    object: &str,
    reason: &str,
    strikes: i64,
    now: i64,
) -> sqlx::Result<()> {
    let factor = 2_u32.saturating_pow(u32::try_from(strikes).unwrap_or(u32::MAX).min(16));
    let until = later(now, (SET_ASIDE * factor).min(SET_ASIDE_MAX));
    end(conn, job, JobState::Dead, Some(reason), None, now).await?;
    sqlx::query("UPDATE troubles SET until = ?2 WHERE object = ?1")
        .bind(object)
        .bind(until)
        .execute(&mut *conn)
        .await?;
    // So that the object is not forgotten when nobody pushes.
    let Ok(object) = object.parse::<ObjectKey>() else { return Ok(()) };
    let again = NewJob {
        object,
        cause: Cause::of(CauseKind::Interval),
        due_at: crate::model::Timestamp::from_microsecond(until).unwrap_or(crate::model::Timestamp::MAX),
        payload: Value::Null,
        priority: Priority::Timer,
    };
    enqueue(conn, &again, now).await.map(drop)
}

/// Running jobs whose lease has run out, or all of them when their process is known to be gone. Returns how many.
pub(in super::super) async fn expire(
    conn: &mut SqliteConnection,
    all: bool,
    now: i64,
) -> sqlx::Result<Vec<JobId>> {
    let rows = sqlx::query(
        "SELECT id, object, coalesce(step, '') AS step FROM jobs
         WHERE state = 'running' AND (?1 OR lease_until <= ?2) ORDER BY seq",
    )
    .bind(all)
    .bind(now)
    .fetch_all(&mut *conn)
    .await?;
    let mut gone = Vec::with_capacity(rows.len());
    for row in rows {
        let (job, object, step): (String, String, String) =
            (row.try_get("id")?, row.try_get("object")?, row.try_get("step")?);
        let vanished: i64 = sqlx::query(
            "INSERT INTO troubles (object, vanished, step, panics, until) VALUES (?1, 1, ?2, 0, 0)
             ON CONFLICT (object) DO UPDATE SET
                 vanished = CASE WHEN step = excluded.step THEN vanished + 1 ELSE 1 END, step = excluded.step
             RETURNING vanished",
        )
        .bind(&object)
        .bind(&step)
        .fetch_one(&mut *conn)
        .await?
        .try_get(0)?;
        if vanished < VANISHINGS {
            back_to_pending(conn, &job, &object, now, None, now).await?;
        } else {
            let place = if step.is_empty() {
                "before its first step".to_owned()
            } else {
                format!("after step `{step}`")
            };
            let reason = format!("set aside after its worker vanished {vanished} times {place}");
            set_aside(conn, &job, &object, &reason, vanished - VANISHINGS, now).await?;
        }
        gone.push(JobId::new(job));
    }
    Ok(gone)
}

/// When the next job can be claimed, or a lease runs out; `None` when nothing waits.
pub(in super::super) async fn next_due(conn: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query(
        "SELECT min(at) FROM (
             SELECT * FROM (
                 SELECT due_at AS at FROM jobs AS due INDEXED BY jobs_due WHERE state = 'pending'
                   AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.object = due.object AND other.state = 'running')
                 ORDER BY due_at LIMIT 1)
             UNION ALL
             SELECT min(lease_until) AS at FROM jobs INDEXED BY jobs_one_running WHERE state = 'running')",
    )
    .fetch_one(conn)
    .await?
    .try_get(0)
}

/// Moves leases, and due times when the wall clock was set back, along with the wall clock.
pub(in super::super) async fn shift(conn: &mut SqliteConnection, by: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE jobs SET lease_until = lease_until + ?1 WHERE state = 'running'")
        .bind(by)
        .execute(&mut *conn)
        .await?;
    if by < 0 {
        sqlx::query("UPDATE jobs SET due_at = max(0, due_at + ?1) WHERE state = 'pending'")
            .bind(by)
            .execute(&mut *conn)
            .await?;
        sqlx::query("UPDATE troubles SET until = max(0, until + ?1)").bind(by).execute(conn).await?;
    }
    Ok(())
}

/// Forgets an object that is gone: its waiting job and what is kept about it. History stays.
pub(in super::super) async fn forget(
    conn: &mut SqliteConnection,
    object: &ObjectKey,
    now: i64,
) -> sqlx::Result<()> {
    let object = object.to_string();
    sqlx::query(
        "UPDATE jobs SET state = 'superseded', finished_at = ?2, last_error = 'the object is gone'
         WHERE object = ?1 AND state = 'pending'",
    )
    .bind(&object)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    for table in ["troubles", "statuses", "generated", "overlays", "applied"] {
        let sql = format!("DELETE FROM {table} WHERE object = ?1");
        // Only our own constants are spliced in.
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&object).execute(&mut *conn).await?;
    }
    super::tags::forget_tags(conn, &object).await
}

/// Rows of `jobs` as people see them, with their causes.
pub(super) async fn stored(conn: &mut SqliteConnection, rows: &[SqliteRow]) -> sqlx::Result<Vec<StoredJob>> {
    let mut jobs = rows
        .iter()
        .map(|row| {
            let state: &str = row.try_get("state")?;
            Ok(StoredJob {
                id: JobId::new(row.try_get::<String, _>("id")?),
                object: object(row, "object")?,
                state: JobState::parse(state).ok_or_else(|| undecodable("state", &state))?,
                causes: Vec::new(),
                payload: json(row, "payload")?,
                attempts: row.try_get("attempts")?,
                step: row.try_get("step")?,
                due_at: time(row, "due_at")?,
                created_at: time(row, "created_at")?,
                started_at: optional_time(row, "started_at")?,
                finished_at: optional_time(row, "finished_at")?,
                last_error: row.try_get("last_error")?,
                superseded_by: row.try_get::<Option<String>, _>("superseded_by")?.map(JobId::new),
            })
        })
        .collect::<sqlx::Result<Vec<_>>>()?;
    let mut causes = causes_of(conn, jobs.iter().map(|job| job.id.as_str())).await?;
    for job in &mut jobs {
        job.causes = causes.remove(job.id.as_str()).unwrap_or_default();
    }
    Ok(jobs)
}
