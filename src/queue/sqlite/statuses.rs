//! What is kept per object: statuses, generated objects, overlays, what was applied where.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::super::{Applied, Generated, NewStatus, Overlay, StoredStatus};
use super::{json, micros, object, text, time};
use crate::model::{Digest, Kind, ObjectKey, Revision};

/// Writes a status, over whatever was there.
pub(in super::super) async fn put_status(
    conn: &mut SqliteConnection,
    status: &NewStatus,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO statuses (object, status, generation, spec_hash, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (object) DO UPDATE SET status = excluded.status, generation = excluded.generation,
             spec_hash = excluded.spec_hash, updated_at = excluded.updated_at",
    )
    .bind(status.object.to_string())
    .bind(text(&status.status)?)
    .bind(status.generation)
    .bind(&status.spec_hash)
    .bind(now)
    .execute(conn)
    .await
    .map(drop)
}

fn read_status(row: &SqliteRow) -> sqlx::Result<StoredStatus> {
    Ok(StoredStatus {
        status: NewStatus {
            object: object(row, "object")?,
            status: json(row, "status")?,
            generation: row.try_get("generation")?,
            spec_hash: row.try_get("spec_hash")?,
        },
        updated_at: time(row, "updated_at")?,
    })
}

/// One status.
pub(in super::super) async fn status(
    conn: &mut SqliteConnection,
    key: &ObjectKey,
) -> sqlx::Result<Option<StoredStatus>> {
    sqlx::query("SELECT * FROM statuses WHERE object = ?1")
        .bind(key.to_string())
        .fetch_optional(conn)
        .await?
        .as_ref()
        .map(read_status)
        .transpose()
}

/// All statuses, or those of one kind, by object.
pub(in super::super) async fn statuses(
    conn: &mut SqliteConnection,
    kind: Option<Kind>,
) -> sqlx::Result<Vec<StoredStatus>> {
    // `0` is the character behind `/`: all keys that begin with `Kind/`.
    let (from, to) = match kind {
        Some(kind) => (format!("{kind}/"), format!("{kind}0")),
        None => (String::new(), "\u{10ffff}".to_owned()),
    };
    sqlx::query("SELECT * FROM statuses WHERE object >= ?1 AND object < ?2 ORDER BY object")
        .bind(from)
        .bind(to)
        .fetch_all(conn)
        .await?
        .iter()
        .map(read_status)
        .collect()
}

/// Removes a status.
pub(in super::super) async fn delete_status(
    conn: &mut SqliteConnection,
    key: &ObjectKey,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM statuses WHERE object = ?1").bind(key.to_string()).execute(conn).await.map(drop)
}

/// Keeps a generated object.
pub(in super::super) async fn put_generated(
    conn: &mut SqliteConnection,
    generated: &Generated,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO generated (object, owner, manifest) VALUES (?1, ?2, ?3)
         ON CONFLICT (object) DO UPDATE SET owner = excluded.owner, manifest = excluded.manifest",
    )
    .bind(generated.object.to_string())
    .bind(generated.owner.to_string())
    .bind(text(&generated.manifest)?)
    .execute(conn)
    .await
    .map(drop)
}

/// All generated objects.
pub(in super::super) async fn generated(conn: &mut SqliteConnection) -> sqlx::Result<Vec<Generated>> {
    sqlx::query("SELECT * FROM generated ORDER BY object")
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            Ok(Generated {
                object: object(row, "object")?,
                owner: object(row, "owner")?,
                manifest: json(row, "manifest")?,
            })
        })
        .collect()
}

/// Removes a generated object.
pub(in super::super) async fn delete_generated(
    conn: &mut SqliteConnection,
    key: &ObjectKey,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM generated WHERE object = ?1").bind(key.to_string()).execute(conn).await.map(drop)
}

/// Keeps an overlay.
pub(in super::super) async fn put_overlay(
    conn: &mut SqliteConnection,
    overlay: &Overlay,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO overlays (object, patch) VALUES (?1, ?2)
         ON CONFLICT (object) DO UPDATE SET patch = excluded.patch",
    )
    .bind(overlay.object.to_string())
    .bind(text(&overlay.patch)?)
    .execute(conn)
    .await
    .map(drop)
}

/// All overlays.
pub(in super::super) async fn overlays(conn: &mut SqliteConnection) -> sqlx::Result<Vec<Overlay>> {
    sqlx::query("SELECT * FROM overlays ORDER BY object")
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| Ok(Overlay { object: object(row, "object")?, patch: json(row, "patch")? }))
        .collect()
}

/// Removes an overlay.
pub(in super::super) async fn delete_overlay(
    conn: &mut SqliteConnection,
    key: &ObjectKey,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM overlays WHERE object = ?1").bind(key.to_string()).execute(conn).await.map(drop)
}

/// Notes what stands on a member cluster.
pub(in super::super) async fn put_applied(
    conn: &mut SqliteConnection,
    applied: &Applied,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO applied (object, cluster, digest, revision, release_version, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (object, cluster) DO UPDATE SET digest = excluded.digest, revision = excluded.revision,
             release_version = excluded.release_version, at = excluded.at",
    )
    .bind(applied.object.to_string())
    .bind(&applied.cluster)
    .bind(applied.digest.as_str())
    .bind(applied.revision.as_str())
    .bind(applied.release_version)
    .bind(micros(applied.at))
    .execute(conn)
    .await
    .map(drop)
}

/// What stands on each member cluster because of an object.
pub(in super::super) async fn applied(
    conn: &mut SqliteConnection,
    key: &ObjectKey,
) -> sqlx::Result<Vec<Applied>> {
    sqlx::query("SELECT * FROM applied WHERE object = ?1 ORDER BY cluster")
        .bind(key.to_string())
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            Ok(Applied {
                object: object(row, "object")?,
                cluster: row.try_get("cluster")?,
                digest: Digest::new(row.try_get::<String, _>("digest")?),
                revision: Revision::new(row.try_get::<String, _>("revision")?),
                release_version: row.try_get("release_version")?,
                at: time(row, "at")?,
            })
        })
        .collect()
}
