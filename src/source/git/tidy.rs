//! Keeping the kept: many small packs become one, what nobody fetches any more is removed, and so are commits of ours
//! that never reached a server (`loose.rs`).
//!
//! Runs from time to time, never on the way of a push.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use git2::{Oid, Repository};

use super::error::GitErrorKind;
use super::fetch::Git;
use super::kept::{Gate, Kept, blocking, damaged};

/// Small packs that are worth a merge: each costs every lookup a little.
const PACKS: usize = 40;
/// A larger pack is left as it is.
const SMALL_BYTES: u64 = 8 << 20;

impl Git {
    /// Removes repositories that no fetch used since the last call, and merges the packs of the others. One that
    /// cannot be tidied is left for the next time.
    pub(crate) async fn tidy(&self) -> Result<(), GitErrorKind> {
        let known = self.known();
        for (name, kept) in &known {
            // whoever holds a checkout still reads from it
            if kept.take_used() || Arc::strong_count(kept) > 2 {
                if let Err(error) = kept.tidy().await {
                    tracing::warn!(%error, "failed to tidy a kept repository");
                }
                continue;
            }
            let mut gate = kept.gate.lock().await;
            self.forget(name);
            kept.reset().await?;
            *gate = Gate::default();
        }
        let directory = self.directory().to_owned();
        let here = blocking(self.permits(), move || {
            let mut found = Vec::new();
            for entry in std::fs::read_dir(&directory)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "git") {
                    found.push(path);
                }
            }
            Ok(found)
        })
        .await?;
        // asked after the directory was read: what a fetch makes meanwhile is not in the list
        let known: Vec<String> = self.known().into_iter().map(|(name, _)| name).collect();
        let is_known = |path: &PathBuf| {
            path.file_stem().is_some_and(|stem| known.iter().any(|name| stem == name.as_str()))
        };
        let strangers: Vec<PathBuf> = here.into_iter().filter(|path| !is_known(path)).collect();
        blocking(self.permits(), move || Ok(strangers.iter().try_for_each(std::fs::remove_dir_all)?)).await
    }
}

impl Kept {
    async fn tidy(self: &Arc<Self>) -> Result<(), GitErrorKind> {
        let _gate = self.gate.lock().await;
        let merged = self.run(merge).await?;
        self.remove_files(merged).await
    }
}

/// Writes the small packs' objects into one new pack and says which files it replaces.
fn merge(repository: &Repository) -> Result<Vec<PathBuf>, GitErrorKind> {
    let mut surplus = super::loose::surplus(repository, SystemTime::now())?;
    for entry in std::fs::read_dir(repository.path())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("incoming-") {
            surplus.push(entry.path());
        }
    }
    let directory = repository.path().join("objects/pack");
    let mut small = Vec::new();
    for entry in std::fs::read_dir(&directory)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "pack")
            && entry.metadata()?.len() < SMALL_BYTES
        {
            small.push(path);
        }
    }
    if small.len() < PACKS {
        return Ok(surplus);
    }
    let mut builder = repository.packbuilder().map_err(damaged)?;
    for pack in &small {
        for id in ids(&pack.with_extension("idx"))? {
            builder.insert_object(id, None).map_err(damaged)?;
        }
    }
    builder.write(&directory, 0o444).map_err(|error| GitErrorKind::Storage(error.message().to_owned()))?;
    let name = builder.name().map_err(damaged)?.unwrap_or_default().to_owned();
    let fresh = directory.join(format!("pack-{name}.pack"));
    if !fresh.exists() {
        return Err(GitErrorKind::Storage("the merged pack is not there".into()));
    }
    for pack in small.into_iter().filter(|pack| *pack != fresh) {
        // the index first: a pack without one is no pack
        surplus.push(pack.with_extension("idx"));
        surplus.push(pack);
    }
    Ok(surplus)
}

/// The object ids of a pack's index (version 2: a table of 256 counts, then the sorted ids).
fn ids(index: &Path) -> Result<Vec<Oid>, GitErrorKind> {
    let bytes = std::fs::read(index)?;
    let broken = || GitErrorKind::Damaged("an index of an unknown form".into());
    let table = bytes.strip_prefix(b"\xfftOc\0\0\0\x02").ok_or_else(broken)?;
    let count = table.get(1020..1024).and_then(|count| <[u8; 4]>::try_from(count).ok()).ok_or_else(broken)?;
    let count = u32::from_be_bytes(count) as usize;
    let ids = table.get(1024..1024 + count * 20).ok_or_else(broken)?;
    ids.chunks_exact(20).map(|id| Oid::from_bytes(id).map_err(damaged)).collect()
}
