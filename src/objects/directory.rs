//! The homes that read manifests themselves: a directory, watched, and memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::gather::gather;
use super::problem::{ManifestProblem, OpenError};
use super::read::{ParsedFile, parse};
use super::state::Reading;
use super::store::{MemoryStore, StatusStore, StoredObjects};
use super::walk::walk;
use super::{Home, Objects};
use crate::model::Clock;

/// How a directory is watched.
#[derive(Clone, Copy, Debug)]
pub struct DirectorySettings {
    /// A change is read when the directory has been quiet for so long: editors and `git checkout` write in bursts.
    pub quiet: Duration,
    /// The longest a steady stream of changes may put that off.
    pub patience: Duration,
    /// How often everything is read without any change being noticed.
    pub rescan: Duration,
    /// How long a manifest must be gone before its object goes: a file being replaced is not a file removed.
    pub removal_grace: Duration,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(100),
            patience: Duration::from_secs(2),
            rescan: Duration::from_secs(60),
            removal_grace: Duration::from_secs(3),
        }
    }
}

/// A directory of manifests.
pub(super) struct Directory {
    root: PathBuf,
    settings: DirectorySettings,
    /// The files as last read, and the one reader at a time.
    cache: tokio::sync::Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    files: Files,
}

/// Files by path relative to the root, each with the digest of its content.
type Files = BTreeMap<String, (FileHash, Arc<ParsedFile>)>;

type FileHash = [u8; 32];

/// Manifests in memory.
#[derive(Default)]
pub(super) struct Memory {
    files: Mutex<BTreeMap<String, Arc<ParsedFile>>>,
}

impl Memory {
    fn put(&self, name: &str, file: Option<Arc<ParsedFile>>) {
        let mut files = self.files.lock().expect("held for one change");
        match file {
            Some(file) => files.insert(name.to_owned(), file),
            None => files.remove(name),
        };
    }
}

/// Watches the directory; the application owns and runs it.
pub struct DirectoryWatcher {
    objects: Objects,
    settings: DirectorySettings,
    nudges: mpsc::Receiver<()>,
    look_again: bool,
    /// Dropping it ends the notifications. None where the system gives none: then only the rescan is left.
    watcher: Option<notify::RecommendedWatcher>,
}

impl Objects {
    /// Reads the manifests below `dir` and what `store` has kept of earlier runs. The watcher is for the caller to run.
    pub async fn directory(
        dir: PathBuf,
        store: Arc<dyn StatusStore>,
        clock: Clock,
    ) -> Result<(Self, DirectoryWatcher), OpenError> {
        Self::directory_with(dir, store, clock, DirectorySettings::default()).await
    }

    /// As [`Objects::directory`], with other times.
    pub async fn directory_with(
        dir: PathBuf,
        store: Arc<dyn StatusStore>,
        clock: Clock,
        settings: DirectorySettings,
    ) -> Result<(Self, DirectoryWatcher), OpenError> {
        let stored = store.load_all().await.map_err(OpenError::Store)?;
        // One nudge is as good as many: the reader looks at everything.
        let (sender, nudges) = mpsc::channel(1);
        // Before the first reading, so that no change falls between the two.
        let watcher = match watch(&dir, sender) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!(
                    "`{}` cannot be watched, changes are found every {:?} only: {error}",
                    dir.display(),
                    settings.rescan
                );
                None
            }
        };
        let home = Home::Directory(Directory { root: dir, settings, cache: tokio::sync::Mutex::default() });
        let objects = Self::new(stored, store, clock, home);
        let look_again = objects.rescan().await?;
        Ok((objects.clone(), DirectoryWatcher { objects, settings, nudges, look_again, watcher }))
    }

    /// Objects that live in memory only; see [`Objects::put_manifests`].
    pub fn memory(clock: Clock) -> Self {
        let store = Arc::new(MemoryStore::default());
        Self::new(StoredObjects::default(), store, clock, Home::Memory(Memory::default()))
    }

    /// Reads all manifests again. Returns whether some seem to be gone and should be looked for once more.
    pub async fn rescan(&self) -> Result<bool, OpenError> {
        match &self.0.home {
            Home::Directory(directory) => {
                let mut cache = directory.cache.lock().await;
                let root = directory.root.clone();
                let old = std::mem::take(&mut cache.files);
                let kept: BTreeMap<_, _> = old
                    .iter()
                    .map(|(name, (hash, file))| (name.clone(), (*hash, Arc::clone(file))))
                    .collect();
                let started = std::time::Instant::now();
                let read = tokio::task::spawn_blocking(move || read_all(&root, &old)).await;
                let result = match read {
                    Ok(result) => result,
                    Err(error) => Err(OpenError::Unreadable {
                        path: directory.root.display().to_string(),
                        reason: error.to_string(),
                    }),
                };
                let (files, reading) = match result {
                    Ok(read) => read,
                    Err(error) => {
                        // All is as it was, and says why it may be out of date.
                        cache.files = kept;
                        self.write().problems.push(ManifestProblem {
                            file: ".".to_owned(),
                            line: 0,
                            key: None,
                            message: error.to_string(),
                        });
                        return Err(error);
                    }
                };
                let count = files.len();
                cache.files = files;
                debug!(files = count, elapsed = ?started.elapsed(), "read {count} manifest files");
                Ok(self.take(reading, directory.settings.removal_grace).await)
            }
            Home::Memory(memory) => {
                let files = memory.files.lock().expect("held for one copy").clone();
                Ok(self.take(gather(&files, Vec::new()), Duration::ZERO).await)
            }
        }
    }

    /// Puts a file of manifests into the memory home, over one of the same name, or takes it out with an empty text.
    /// In a directory home nothing happens: files there are the user's.
    pub async fn put_manifests(&self, name: &str, text: &str) -> Vec<ManifestProblem> {
        if let Home::Memory(memory) = &self.0.home {
            let file = Arc::new(parse(name, text.as_bytes()));
            memory.put(name, (!text.is_empty()).then_some(file));
            if let Err(error) = self.rescan().await {
                warn!("failed to read manifests in memory: {error}");
            }
        }
        self.problems()
    }
}

/// Reads the directory, taking over files that have not changed.
fn read_all(root: &std::path::Path, old: &Files) -> Result<(Files, Reading), OpenError> {
    let found = walk(root)?;
    let mut files = Files::new();
    for (name, content) in found.files {
        let hash: FileHash = Sha256::digest(&content).into();
        let file = match old.get(&name) {
            Some((was, file)) if *was == hash => Arc::clone(file),
            _ => Arc::new(parse(&name, &content)),
        };
        files.insert(name, (hash, file));
    }
    let parsed = files.iter().map(|(name, (_, file))| (name.clone(), Arc::clone(file))).collect();
    Ok((files, gather(&parsed, found.problems)))
}

fn watch(dir: &std::path::Path, nudge: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading files makes access events too; they must not make us read again.
        let matters = event.as_ref().map_or(true, |event| !event.kind.is_access());
        if matters {
            // Full means that a nudge is waiting already.
            nudge.try_send(()).ok();
        }
    })?;
    watcher.watch(dir, RecursiveMode::Recursive)?;
    Ok(watcher)
}

impl DirectoryWatcher {
    /// Leaves it to the rescans: for file systems whose notifications are worse than none.
    #[must_use]
    pub fn without_events(self) -> Self {
        Self { watcher: None, ..self }
    }

    /// Reads manifests again whenever something changes, and every now and then anyway, until cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut next = Instant::now() + self.settings.rescan;
        loop {
            let due =
                if self.look_again { next.min(Instant::now() + self.settings.removal_grace) } else { next };
            tokio::select! {
                () = cancel.cancelled() => break,
                nudge = self.nudges.recv(), if self.watcher.is_some() => match nudge {
                    Some(()) => self.settle(&cancel).await,
                    None => self.watcher = None,
                },
                () = sleep_until(due) => {}
            }
            if cancel.is_cancelled() {
                break;
            }
            match self.objects.rescan().await {
                Ok(look_again) => self.look_again = look_again,
                Err(error) => {
                    warn!("failed to read the manifests again, the last ones stay in force: {error}")
                }
            }
            next = Instant::now() + self.settings.rescan;
        }
        info!("stopped watching the manifests");
    }

    /// Waits until the burst is over.
    async fn settle(&mut self, cancel: &CancellationToken) {
        let deadline = Instant::now() + self.settings.patience;
        while Instant::now() < deadline {
            tokio::select! {
                () = cancel.cancelled() => return,
                more = timeout(self.settings.quiet, self.nudges.recv()) => match more {
                    Ok(Some(())) => {}
                    Ok(None) | Err(_) => return,
                },
            }
        }
    }
}
