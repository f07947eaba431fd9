//! Steps, and the stories put together from deliveries, jobs, steps and messages.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::super::{DeliverySummary, Step, StepOutcome, Story};
use super::deliveries::{By, find};
use super::{commit_of, micros, object, span, time, undecodable};
use crate::model::{DeliveryId, JobId, ObjectKey, Revision};

/// More deliveries than this are not told in one story.
const STORY_DELIVERIES: u32 = 50;

/// Writes steps; a job's last step is also where it stands, should it vanish.
pub(in super::super) async fn record_steps(conn: &mut SqliteConnection, steps: &[Step]) -> sqlx::Result<()> {
    for step in steps {
        sqlx::query(
            "INSERT INTO steps (job_id, delivery_id, object, step, cluster, revision, commit_id, started_at,
                                duration, outcome, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )
        .bind(step.job.as_ref().map(|id| id.as_str()))
        .bind(step.delivery.as_ref().map(|id| id.as_str()))
        .bind(step.object.to_string())
        .bind(&step.step)
        .bind(&step.cluster)
        .bind(step.revision.as_ref().map(|revision| revision.as_str()))
        .bind(step.revision.as_ref().and_then(|revision| commit_of(revision.as_str())))
        .bind(micros(step.started_at))
        .bind(span(step.duration))
        .bind(step.outcome.as_str())
        .bind(&step.detail)
        .execute(&mut *conn)
        .await?;
    }
    if let Some(last) = steps.last()
        && let Some(job) = &last.job
    {
        sqlx::query("UPDATE jobs SET step = ?2 WHERE id = ?1")
            .bind(job.as_str())
            .bind(&last.step)
            .execute(conn)
            .await?;
    }
    Ok(())
}

fn read(row: &SqliteRow) -> sqlx::Result<Step> {
    let outcome: &str = row.try_get("outcome")?;
    Ok(Step {
        job: row.try_get::<Option<String>, _>("job_id")?.map(JobId::new),
        delivery: row.try_get::<Option<String>, _>("delivery_id")?.map(DeliveryId::new),
        object: object(row, "object")?,
        step: row.try_get("step")?,
        cluster: row.try_get("cluster")?,
        revision: row.try_get::<Option<String>, _>("revision")?.map(Revision::new),
        started_at: time(row, "started_at")?,
        duration: Duration::from_micros(row.try_get::<i64, _>("duration")?.unsigned_abs()),
        outcome: StepOutcome::parse(outcome).ok_or_else(|| undecodable("outcome", &outcome))?,
        detail: row.try_get("detail")?,
    })
}

/// What came of these deliveries.
pub(super) async fn tell(
    conn: &mut SqliteConnection,
    deliveries: Vec<DeliverySummary>,
) -> sqlx::Result<Story> {
    let ids = super::text(&deliveries.iter().map(|delivery| delivery.id.as_str()).collect::<Vec<_>>())?;
    let rows = sqlx::query(
        "SELECT * FROM jobs WHERE id IN (
             SELECT job_id FROM job_causes
             WHERE delivery_id <> '' AND delivery_id IN (SELECT value FROM json_each(?1)))
         ORDER BY seq",
    )
    .bind(&ids)
    .fetch_all(&mut *conn)
    .await?;
    let jobs = super::jobs::stored(conn, &rows).await?;
    let job_ids = super::text(&jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>())?;
    let steps = sqlx::query(
        "SELECT * FROM steps WHERE seq IN (
             SELECT seq FROM steps WHERE job_id IN (SELECT value FROM json_each(?1))
             UNION SELECT seq FROM steps WHERE delivery_id IN (SELECT value FROM json_each(?2)))
         ORDER BY started_at, seq",
    )
    .bind(job_ids)
    .bind(&ids)
    .fetch_all(&mut *conn)
    .await?
    .iter()
    .map(read)
    .collect::<sqlx::Result<_>>()?;
    let messages = super::outbox::of_deliveries(conn, &ids).await?;
    Ok(Story { deliveries, jobs, steps, messages })
}

/// The story of the deliveries whose id, or whose sender's id, begins with `prefix`, and how many these are. What
/// became of commits that one of them made us make belongs to it, also where the forge's hook for such a commit was
/// faster than we were.
pub(in super::super) async fn story_of_delivery(
    conn: &mut SqliteConnection,
    prefix: &str,
) -> sqlx::Result<(usize, Story)> {
    let mut deliveries = find(conn, By::Id, prefix, STORY_DELIVERIES).await?;
    if deliveries.is_empty() {
        deliveries = find(conn, By::Sender, prefix, STORY_DELIVERIES).await?;
    }
    let count = deliveries.len();
    if let [only] = deliveries.as_slice() {
        let made: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT commit_id FROM steps WHERE delivery_id = ?1 AND step = 'commit' AND commit_id IS NOT NULL
             LIMIT ?2",
        )
        .bind(only.id.as_str())
        .bind(STORY_DELIVERIES)
        .fetch_all(&mut *conn)
        .await?;
        for commit in made {
            deliveries.extend(find(conn, By::Commit, &commit, STORY_DELIVERIES).await?);
        }
        by_arrival(&mut deliveries);
    }
    Ok((count, tell(conn, deliveries).await?))
}

/// Each once, oldest first: ids sort by arrival.
fn by_arrival(deliveries: &mut Vec<DeliverySummary>) {
    deliveries.sort_by(|a, b| a.id.cmp(&b.id));
    deliveries.dedup_by(|a, b| a.id == b.id);
}

/// The story of a commit: the deliveries that named it or made us make it, and whatever was done at it, pushed or
/// polled.
pub(in super::super) async fn story_of_commit(
    conn: &mut SqliteConnection,
    prefix: &str,
) -> sqlx::Result<Story> {
    let mut deliveries = find(conn, By::Commit, prefix, STORY_DELIVERIES).await?;
    // A commit of our own began with an image's hook, which knew nothing of it; the forge's hook for it came later.
    let makers: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT delivery_id FROM steps WHERE commit_id >= ?1 AND commit_id < ?2
           AND step = 'commit' AND delivery_id IS NOT NULL ORDER BY delivery_id LIMIT ?3",
    )
    .bind(prefix)
    .bind(super::upper_bound(prefix))
    .bind(STORY_DELIVERIES)
    .fetch_all(&mut *conn)
    .await?;
    for id in makers {
        deliveries.extend(find(conn, By::Id, &id, 1).await?);
    }
    by_arrival(&mut deliveries);
    let mut story = tell(conn, deliveries).await?;
    let known = super::text(&story.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>())?;
    let rows = sqlx::query(
        "SELECT * FROM jobs WHERE id IN (
             SELECT job_id FROM steps WHERE commit_id >= ?1 AND commit_id < ?2 AND job_id IS NOT NULL)
           AND id NOT IN (SELECT value FROM json_each(?3))
         ORDER BY seq LIMIT ?4",
    )
    .bind(prefix)
    .bind(super::upper_bound(prefix))
    .bind(&known)
    .bind(STORY_DELIVERIES)
    .fetch_all(&mut *conn)
    .await?;
    story.jobs.extend(super::jobs::stored(conn, &rows).await?);
    story.jobs.sort_by(|a, b| a.created_at.cmp(&b.created_at).then_with(|| a.id.cmp(&b.id)));
    let rows = sqlx::query(
        "SELECT * FROM steps WHERE commit_id >= ?1 AND commit_id < ?2
           AND (job_id IS NULL OR job_id NOT IN (SELECT value FROM json_each(?3)))
         ORDER BY started_at, seq LIMIT 1000",
    )
    .bind(prefix)
    .bind(super::upper_bound(prefix))
    .bind(&known)
    .fetch_all(conn)
    .await?;
    for row in &rows {
        let step = read(row)?;
        if !story.steps.contains(&step) {
            story.steps.push(step);
        }
    }
    story.steps.sort_by_key(|step| step.started_at);
    Ok(story)
}

/// The last `limit` jobs of an object with what they did and who was told, and the deliveries behind them.
pub(in super::super) async fn story_of_object(
    conn: &mut SqliteConnection,
    object: &ObjectKey,
    limit: u32,
) -> sqlx::Result<Story> {
    let key = object.to_string();
    let rows = sqlx::query(
        "SELECT * FROM (SELECT * FROM jobs WHERE object = ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq",
    )
    .bind(&key)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let jobs = super::jobs::stored(conn, &rows).await?;
    let mut deliveries: Vec<DeliverySummary> = Vec::new();
    let mut ids: Vec<&str> = jobs
        .iter()
        .flat_map(|job| &job.causes)
        .filter_map(|cause| cause.delivery.as_ref().map(|id| id.as_str()))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    // The newest are the ones asked for.
    let skip = ids.len().saturating_sub(STORY_DELIVERIES as usize);
    for id in &ids[skip..] {
        deliveries.extend(find(conn, By::Id, id, 1).await?);
    }
    let job_ids = super::text(&jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>())?;
    let steps = sqlx::query(
        "SELECT * FROM steps WHERE job_id IN (SELECT value FROM json_each(?1))
            OR (job_id IS NULL AND object = ?2) ORDER BY started_at, seq",
    )
    .bind(job_ids)
    .bind(&key)
    .fetch_all(&mut *conn)
    .await?
    .iter()
    .map(read)
    .collect::<sqlx::Result<_>>()?;
    let messages = super::outbox::of_object(conn, object, limit).await?;
    Ok(Story { deliveries, jobs, steps, messages })
}
