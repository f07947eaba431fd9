//! What the writer and the handles know in common.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use super::StoreError;
use super::leases::Leases;

/// Signals and health. All truth is in the store; nothing here survives or needs to.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Something may be claimable.
    pub(super) jobs: Notify,
    /// Something may be sendable.
    pub(super) messages: Notify,
    pub(super) leases: Leases,
    /// Why the last write failed.
    sick: Mutex<Option<String>>,
    /// Something was written since the last checkpoint.
    dirty: AtomicBool,
    /// Transactions committed by this process.
    commits: AtomicU64,
}

impl Shared {
    pub(super) fn healthy(&self) {
        self.dirty.store(true, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        if self.lock().take().is_some() {
            tracing::info!("the store can be written again");
        }
    }

    pub(super) fn sick(&self, error: &StoreError) {
        let mut sick = self.lock();
        if sick.is_none() {
            tracing::error!(%error, "the store cannot be written");
        }
        *sick = Some(error.to_string());
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.lock().is_none()
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.lock().clone()
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.sick.lock().expect("the lock is held for one assignment, which cannot panic")
    }
}
