//! Opening the store: lock file, backup before a migration, checks that refuse instead of guessing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Row, SqlSafeStr, SqliteConnection, SqlitePool};

use super::super::{OpenError, QueueSettings};

/// The database's file name in the state directory.
pub(super) const STORE: &str = "store.db";
/// The file whose lock says that a process owns the store; it holds that process's id.
const LOCK: &str = "store.lock";
/// A page of the database, and a frame of the WAL but for its head; SQLite's default.
const PAGE: u64 = 4096;
/// Pages a reader keeps, as SQLite counts: KiB, negative. What it has not kept the system still has.
const READER_CACHE: &str = "-512";
/// Above this size the integrity check runs beside the agent, so that a large store does not delay the start.
const CHECK_AT_START: u64 = 64 << 20;

/// An open store.
pub(in super::super) struct Opened {
    /// The database file.
    pub(in super::super) path: PathBuf,
    /// The write connection; the only one there is.
    pub(in super::super) writer: SqliteConnection,
    /// Read-only connections.
    pub(in super::super) readers: SqlitePool,
    /// Keeps other processes out while anybody holds it.
    pub(in super::super) lock: Arc<File>,
    /// Whether the integrity check is still to be done.
    pub(in super::super) unchecked: bool,
}

fn migrations() -> Migrator {
    let step = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        step(1, "start", include_str!("schema/0001_start.sql")),
        step(2, "image tags", include_str!("schema/0002_image_tags.sql")),
    ])
}

/// Opens, checks and migrates the store in `state_dir`.
pub(in super::super) async fn open(state_dir: &Path, settings: &QueueSettings) -> Result<Opened, OpenError> {
    open_with(state_dir, settings, &migrations()).await
}

async fn open_with(
    state_dir: &Path,
    settings: &QueueSettings,
    migrations: &Migrator,
) -> Result<Opened, OpenError> {
    let path = state_dir.join(STORE);
    make_private(state_dir, &path)?;
    let lock = take_lock(state_dir, &path)?;
    let size = std::fs::metadata(&path).map(|meta| meta.len()).unwrap_or(0);
    let unchecked = size > CHECK_AT_START;

    let mut writer = connect_writer(&path, settings).await.map_err(|error| refuse(&path, &error))?;
    if size > 0 && !unchecked {
        quick_check(&mut writer)
            .await
            .map_err(|error| refuse(&path, &error))?
            .map_err(|reason| OpenError::Corrupt { path: path.clone(), reason })?;
    }
    migrate(&path, &mut writer, migrations).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(settings.readers.max(1))
        .min_connections(0)
        .acquire_timeout(settings.record_timeout)
        .connect_lazy_with(base_options(&path, settings).read_only(true).pragma("cache_size", READER_CACHE));
    Ok(Opened { path, writer, readers, lock, unchecked })
}

/// The directory for its owner alone, and the database too (the WAL inherits the file's mode).
fn make_private(state_dir: &Path, path: &Path) -> Result<(), OpenError> {
    let failed = |attempt, path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| OpenError::File { attempt, path, reason: error.to_string() }
    };
    if !state_dir.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(failed("make the state directory", state_dir))?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(failed("open the store", path))
}

fn take_lock(state_dir: &Path, path: &Path) -> Result<Arc<File>, OpenError> {
    let lock_path = state_dir.join(LOCK);
    let failed = |attempt| {
        let path = lock_path.clone();
        move |error: std::io::Error| OpenError::File { attempt, path, reason: error.to_string() }
    };
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(failed("open the lock file"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // A process id has at most ten digits; whatever else stands there is not worth reading.
            let read = (&mut lock).take(32).read_to_string(&mut holder);
            let holder = match (read, holder.trim().parse::<u32>()) {
                (Ok(_), Ok(id)) => format!("process {id}"),
                _ => "another process".to_owned(),
            };
            return Err(OpenError::InUse { path: path.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
    }
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(failed("write our process id into"))?;
    Ok(Arc::new(lock))
}

pub(super) fn base_options(path: &Path, settings: &QueueSettings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(settings.busy_timeout)
        .foreign_keys(false)
        .disable_statement_logging()
}

/// The write connection: every commit is on the disk before it is answered, and checkpoints are the housekeeper's.
pub(in super::super) async fn connect_writer(
    path: &Path,
    settings: &QueueSettings,
) -> sqlx::Result<SqliteConnection> {
    base_options(path, settings)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", "67108864")
        .statement_cache_capacity(200)
        .connect()
        .await
}

/// `PRAGMA quick_check`: pages, records and indexes hang together. The inner error is the damage.
pub(in super::super) async fn quick_check(conn: &mut SqliteConnection) -> sqlx::Result<Result<(), String>> {
    let verdict: String = sqlx::query("PRAGMA quick_check(1)").fetch_one(conn).await?.try_get(0)?;
    Ok(if verdict == "ok" { Ok(()) } else { Err(verdict) })
}

/// Copies what is in the WAL into the database without waiting for readers. Bytes that stand in the WAL, copied or not;
/// it begins anew with the first write that finds all of it copied.
pub(in super::super) async fn checkpoint(conn: &mut SqliteConnection) -> sqlx::Result<u64> {
    // Whether somebody was in the way, frames, frames copied (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
    let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(conn).await?;
    let frames: i64 = row.try_get(1)?;
    Ok(u64::try_from(frames).unwrap_or(0) * PAGE)
}

async fn migrate(path: &Path, conn: &mut SqliteConnection, migrations: &Migrator) -> Result<(), OpenError> {
    let failed = |error: &dyn std::fmt::Display| OpenError::Migrate {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    let found = schema_version(conn).await.map_err(|error| refuse(path, &error))?;
    if found > known {
        return Err(OpenError::NewerSchema { path: path.to_owned(), found, known });
    }
    if found > 0 && found < known {
        let backup = format!("{}.v{found}.backup", path.display());
        // A backup of an earlier, interrupted migration is of the same version, hence as good; make it anew.
        if let Err(error) = std::fs::remove_file(&backup)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(failed(&error));
        }
        sqlx::query("VACUUM INTO ?1")
            .bind(&backup)
            .execute(&mut *conn)
            .await
            .map_err(|error| failed(&error))?;
        tracing::info!(
            from = found,
            to = known,
            backup,
            "migrating the store from schema {found} to {known}"
        );
    }
    match migrations.run(&mut *conn).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) => {
            Err(OpenError::NewerSchema { path: path.to_owned(), found, known })
        }
        Err(error) => Err(failed(&error)),
    }
}

/// The newest migration applied; 0 for an empty file.
pub(super) async fn schema_version(conn: &mut SqliteConnection) -> sqlx::Result<i64> {
    let tables: i64 =
        sqlx::query("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_one(&mut *conn)
            .await?
            .try_get(0)?;
    if tables == 0 {
        return Ok(0);
    }
    sqlx::query("SELECT coalesce(max(version), 0) FROM _sqlx_migrations").fetch_one(conn).await?.try_get(0)
}

pub(super) fn refuse(path: &Path, error: &sqlx::Error) -> OpenError {
    let path = path.to_owned();
    match super::code_of(error).map(|code| code & 0xff) {
        Some(11 | 26) => OpenError::Corrupt { path, reason: error.to_string() },
        _ => OpenError::File { attempt: "open the store", path, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    /// The newest schema there is.
    fn newest() -> i64 {
        migrations().iter().map(|migration| migration.version).max().unwrap()
    }

    fn with_next(sql: &'static str) -> Migrator {
        let mut all: Vec<_> = migrations().iter().cloned().collect();
        all.push(Migration::new(
            newest() + 1,
            "next".into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        ));
        Migrator::with_migrations(all)
    }

    async fn opened(dir: &Path, migrations: &Migrator) -> Result<Opened, OpenError> {
        open_with(dir, &QueueSettings::default(), migrations).await
    }

    #[tokio::test]
    async fn f25_a_newer_schema_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let newer = opened(dir.path(), &with_next("CREATE TABLE extra (a INTEGER)")).await.unwrap();
        newer.writer.close().await.unwrap();
        drop((newer.readers, newer.lock));

        let error = opened(dir.path(), &migrations()).await.err().expect("refused");
        let OpenError::NewerSchema { found, known, .. } = &error else { panic!("{error}") };
        assert_eq!((*found, *known), (newest() + 1, newest()));
        assert!(error.to_string().contains("hint: "), "{error}");
    }

    #[tokio::test]
    async fn f25_an_older_schema_is_migrated_after_a_backup() {
        let dir = tempfile::tempdir().unwrap();
        let mut old = opened(dir.path(), &migrations()).await.unwrap();
        sqlx::query("INSERT INTO probe (id, at) VALUES (1, 42)").execute(&mut old.writer).await.unwrap();
        old.writer.close().await.unwrap();
        drop((old.readers, old.lock));

        let mut new = opened(dir.path(), &with_next("CREATE TABLE extra (a INTEGER)")).await.unwrap();
        assert_eq!(schema_version(&mut new.writer).await.unwrap(), newest() + 1);
        let backup = dir.path().join(format!("store.db.v{}.backup", newest()));
        let backup = SqliteConnectOptions::new().filename(backup);
        let mut backup = backup.connect().await.unwrap();
        assert_eq!(schema_version(&mut backup).await.unwrap(), newest());
        let at: i64 =
            sqlx::query("SELECT at FROM probe").fetch_one(&mut backup).await.unwrap().try_get(0).unwrap();
        assert_eq!(at, 42);
    }

    #[tokio::test]
    async fn f25_a_failed_migration_leaves_the_old_schema() {
        let dir = tempfile::tempdir().unwrap();
        let old = opened(dir.path(), &migrations()).await.unwrap();
        old.writer.close().await.unwrap();
        drop((old.readers, old.lock));

        let broken = with_next("CREATE TABLE extra (a INTEGER); SELECT nonsense FROM nowhere;");
        let error = opened(dir.path(), &broken).await.err().expect("refused");
        assert!(matches!(error, OpenError::Migrate { .. }), "{error}");
        let mut again = opened(dir.path(), &migrations()).await.expect("the old program still runs");
        let extra: i64 = sqlx::query("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'")
            .fetch_one(&mut again.writer)
            .await
            .unwrap()
            .try_get(0)
            .unwrap();
        assert_eq!(extra, 0);
    }

    #[tokio::test]
    async fn f30_a_second_process_is_told_who_has_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let _first = opened(dir.path(), &migrations()).await.unwrap();
        let error = opened(dir.path(), &migrations()).await.err().expect("refused").to_string();
        assert!(error.contains(&format!("is in use by process {}", std::process::id())), "{error}");
        assert!(error.contains("hint: "), "{error}");
    }

    #[tokio::test]
    async fn f23_a_damaged_store_is_refused_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = opened(dir.path(), &migrations()).await.unwrap();
        for n in 0..400 {
            sqlx::query("INSERT INTO overlays (object, patch) VALUES (?1, ?2)")
                .bind(format!("Bucket/a/{n}"))
                .bind("x".repeat(500))
                .execute(&mut store.writer)
                .await
                .unwrap();
        }
        store.writer.close().await.unwrap();
        drop((store.readers, store.lock));
        let path = dir.path().join(STORE);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();

        let error = opened(dir.path(), &migrations()).await.err().expect("refused");
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("aside"), "{error}");
    }

    #[tokio::test]
    async fn a_text_file_in_its_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join(STORE),
            "this is no database, it only stands where one should be".repeat(9),
        )
        .unwrap();
        let error = opened(dir.path(), &migrations()).await.err().expect("refused");
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    }

    #[tokio::test]
    async fn the_state_directory_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("state");
        let _store = opened(&dir, &migrations()).await.unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        for file in [STORE, "store.db-wal", LOCK] {
            assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
        }
    }
}
