//! The tags that ImageRepositories know. A change is written as a difference, in two statements whatever its size:
//! a hundred thousand trips to the driver's thread would hold up every webhook meanwhile.

use sqlx::{Row, SqliteConnection};

use super::super::tags::TagChange;
use super::text;
use crate::model::ObjectKey;

/// The tags an object knows of an image, highest first; none if it knows another image's.
pub(in super::super) async fn image_tags(
    conn: &mut SqliteConnection,
    object: &ObjectKey,
    repository: &str,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT tag FROM image_tags
         WHERE scan = (SELECT id FROM image_scans WHERE object = ?1 AND repository = ?2)
         ORDER BY tag DESC",
    )
    .bind(object.to_string())
    .bind(repository)
    .fetch_all(conn)
    .await
}

/// Writes a difference. What is known of another image goes first.
pub(in super::super) async fn change_tags(
    conn: &mut SqliteConnection,
    change: &TagChange,
) -> sqlx::Result<()> {
    let TagChange { object, repository, add, remove } = change;
    let object = object.to_string();
    sqlx::query(
        "DELETE FROM image_tags
         WHERE scan = (SELECT id FROM image_scans WHERE object = ?1 AND repository <> ?2)",
    )
    .bind(&object)
    .bind(repository)
    .execute(&mut *conn)
    .await?;
    let scan: i64 = sqlx::query(
        "INSERT INTO image_scans (object, repository) VALUES (?1, ?2)
         ON CONFLICT (object) DO UPDATE SET repository = excluded.repository RETURNING id",
    )
    .bind(&object)
    .bind(repository)
    .fetch_one(&mut *conn)
    .await?
    .try_get(0)?;
    if !remove.is_empty() {
        sqlx::query("DELETE FROM image_tags WHERE scan = ?1 AND tag IN (SELECT value FROM json_each(?2))")
            .bind(scan)
            .bind(text(remove)?)
            .execute(&mut *conn)
            .await?;
    }
    if !add.is_empty() {
        sqlx::query("INSERT OR IGNORE INTO image_tags (scan, tag) SELECT ?1, value FROM json_each(?2)")
            .bind(scan)
            .bind(text(add)?)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Removes what an object knows.
pub(in super::super) async fn forget_tags(conn: &mut SqliteConnection, object: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM image_tags WHERE scan = (SELECT id FROM image_scans WHERE object = ?1)")
        .bind(object)
        .execute(&mut *conn)
        .await?;
    sqlx::query("DELETE FROM image_scans WHERE object = ?1").bind(object).execute(conn).await.map(drop)
}
