//! What can go wrong with the store, in the words of whoever has to act on it.

use std::path::PathBuf;

/// A read or write of the store failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, the file locked, the file system read-only: nothing was written, try again.
    #[error(
        "failed to {attempt}: the store cannot be used right now: {reason}\nhint: check free space and permissions of the state directory; the agent recovers by itself"
    )]
    Unavailable {
        /// What was attempted.
        attempt: &'static str,
        /// What the database said.
        reason: String,
    },
    /// The store broke in a way that no retry heals; the process must end.
    #[error(
        "failed to {attempt}: the store is broken: {reason}\nhint: stop the agent, copy the state directory aside and start again: after a damage the next start says what to do"
    )]
    Broken {
        /// What was attempted.
        attempt: &'static str,
        /// What the database said.
        reason: String,
    },
    /// The writer has stopped.
    #[error("the store is closed")]
    Closed,
    /// The lease ran out and somebody else has, or had, the job. The result was not written.
    #[error("the lease on job `{job}` was lost; its result is not recorded")]
    LeaseLost {
        /// The job, or message.
        job: String,
    },
    /// More than one thing begins with the given id.
    #[error("`{id}` is ambiguous: {count} deliveries begin with it\nhint: give more characters of the id")]
    Ambiguous {
        /// The id as given.
        id: String,
        /// How many match.
        count: usize,
    },
    /// The database refused what we asked of it: a defect of ours.
    #[error("failed to {attempt}: {reason}")]
    Defect {
        /// What was attempted.
        attempt: &'static str,
        /// What the database said.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed a little later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. } | StoreError::Closed)
    }
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error(
        "the store `{}` is in use by {holder}\nhint: stop that process, or give this one a `--state` directory of its own",
        path.display()
    )]
    InUse {
        /// The database file.
        path: PathBuf,
        /// `process 4711`, or `another process`.
        holder: String,
    },
    /// The schema was written by a newer version.
    #[error(
        "the store `{}` has schema version {found}, this program knows versions up to {known}\nhint: run the newer sluice again, or restore the backup it made beside the store",
        path.display()
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file is damaged.
    #[error(
        "the store `{}` is damaged: {reason}\nhint: nothing was written to it; copy `{}*` aside, remove it, and start again: releases on the clusters are taken over, deliveries and history are lost",
        path.display(), path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What the check said.
        reason: String,
    },
    /// The schema could not be brought up to date; the backup stays.
    #[error("failed to migrate the store `{}`: {reason}", path.display())]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// The files could not be made or opened.
    #[error("failed to {attempt} `{}`: {reason}", path.display())]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}
