//! A bare repository kept on disk: what was fetched before is never fetched again.
//!
//! No work tree, no `git` program. Objects come in as packs that libgit2 indexes and checks, and are read from
//! the object database. A copy that turns out damaged is thrown away and fetched afresh.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use git2::{ObjectType, Oid, Repository};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use super::error::{GitErrorKind, shown};
use super::greeting::Greeting;
use super::pack::PackScanner;
use super::protocol::{Boundary, FetchPlan, PackStream, RemoteRef};

/// Generations of a first fetch, and the window within which a pushed commit is told to lie on its branch.
/// Enough for an amended or rebased branch to share history with what we hold.
pub(crate) const DEPTH: u32 = 20;
/// git's own word for "all of it".
pub(crate) const FULL_DEPTH: u32 = i32::MAX as u32;
/// Commits we tell the server we have.
const HAVES: usize = 64;
/// Commits looked at to find out whether one lies on a branch.
const ANCESTRY: usize = 20_000;
/// A pack up to this size waits in memory until it is indexed, a larger one on disk.
const SPOOL_BYTES: usize = 1 << 20;
/// Open handles kept for the next reader.
const HANDLES: usize = 4;

/// One kept repository.
pub(crate) struct Kept {
    path: PathBuf,
    handles: Mutex<Vec<Repository>>,
    /// Readers share it; who throws the repository away holds it alone.
    removal: RwLock<()>,
    /// Opening makes the repository if it is not there: two at once would remove what the other is making.
    opening: Mutex<()>,
    blocking: Arc<Semaphore>,
    damaged: AtomicBool,
    used: AtomicBool,
    arrivals: AtomicU64,
    /// One fetch at a time; who waits takes what the one before brought.
    pub(crate) gate: tokio::sync::Mutex<Gate>,
}

/// What the last conversation taught us.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) greeting: Option<Greeting>,
    pub(crate) listing: Option<Listing>,
}

/// The server's references as they stood when asked.
pub(crate) struct Listing {
    pub(crate) started: u64,
    pub(crate) prefixes: Vec<String>,
    pub(crate) references: Vec<RemoteRef>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Kept {
    pub(crate) fn new(path: PathBuf, blocking: Arc<Semaphore>) -> Self {
        Self {
            path,
            handles: Mutex::new(Vec::new()),
            removal: RwLock::new(()),
            opening: Mutex::new(()),
            blocking,
            damaged: AtomicBool::new(false),
            used: AtomicBool::new(true),
            arrivals: AtomicU64::new(0),
            gate: tokio::sync::Mutex::new(Gate::default()),
        }
    }

    /// A number for an event: requests and listings are ordered by it.
    pub(crate) fn tick(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::SeqCst)
    }

    /// Whether a reader found something missing or broken.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::SeqCst)
    }

    /// Says that a fetch came by.
    pub(crate) fn touch(&self) {
        self.used.store(true, Ordering::SeqCst);
    }

    /// Whether a fetch came by since this was last asked.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::SeqCst)
    }

    /// Removes files while nobody reads.
    pub(crate) async fn remove_files(self: &Arc<Self>, files: Vec<PathBuf>) -> Result<(), GitErrorKind> {
        if files.is_empty() {
            return Ok(());
        }
        let kept = Arc::clone(self);
        blocking(&self.blocking, move || {
            let _alone = kept.removal.write().map_err(|_| storage("a reader died"))?;
            kept.handles.lock().expect("held for one clear").clear();
            for file in files {
                std::fs::remove_file(file)?;
            }
            Ok(())
        })
        .await
    }

    /// Runs `work` on a thread that may block, with an open handle.
    pub(crate) async fn run<T, F>(self: &Arc<Self>, work: F) -> Result<T, GitErrorKind>
    where
        T: Send + 'static,
        F: FnOnce(&Repository) -> Result<T, GitErrorKind> + Send + 'static,
    {
        let kept = Arc::clone(self);
        blocking(&self.blocking, move || kept.with(work)).await
    }

    /// Runs `work` here: only for threads that may block.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, GitErrorKind>,
    ) -> Result<T, GitErrorKind> {
        let _reading = self.removal.read().map_err(|_| storage("a reader died"))?;
        let known = self.handles.lock().expect("held for one pop").pop();
        let repository = match known {
            Some(repository) => repository,
            None => self.open()?,
        };
        let done = work(&repository);
        if let Err(GitErrorKind::Damaged(_)) = done {
            self.damaged.store(true, Ordering::SeqCst);
        }
        let mut handles = self.handles.lock().expect("held for one push");
        if handles.len() < HANDLES {
            handles.push(repository);
        }
        done
    }

    fn open(&self) -> Result<Repository, GitErrorKind> {
        let _alone = self.opening.lock().map_err(|_| storage("somebody died opening it"))?;
        // made in this order; a process may have ended in between
        let whole = self.path.join("HEAD").exists() && self.path.join("objects/pack").is_dir();
        if whole && let Ok(repository) = Repository::open_bare(&self.path) {
            return Ok(repository);
        }
        if self.path.exists() {
            std::fs::remove_dir_all(&self.path)?;
        }
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).mkpath(true).external_template(false).initial_head("sluice");
        Repository::init_opts(&self.path, &options).map_err(|error| storage(error.message()))
    }

    /// Throws everything away. The caller holds the gate.
    pub(crate) async fn reset(self: &Arc<Self>) -> Result<(), GitErrorKind> {
        let kept = Arc::clone(self);
        blocking(&self.blocking, move || {
            let _alone = kept.removal.write().map_err(|_| storage("a reader died"))?;
            kept.handles.lock().expect("held for one clear").clear();
            if kept.path.exists() {
                std::fs::remove_dir_all(&kept.path)?;
            }
            kept.damaged.store(false, Ordering::SeqCst);
            Ok(())
        })
        .await
    }

    /// Takes the whole pack off the network. Holds no thread meanwhile, however slow the server is.
    pub(crate) async fn receive(&self, mut pack: PackStream) -> Result<Received, GitErrorKind> {
        let mut spool = Spool::new(&self.path);
        while let Some(piece) = pack.next().await? {
            spool.put(&piece).await?;
        }
        Ok(Received { pack: spool.close().await?, boundary: pack.shallow })
    }

    /// Lets libgit2 index a pack and moves our references: together, or not at all.
    pub(crate) async fn store(
        self: &Arc<Self>,
        received: Received,
        heads: Vec<(String, Oid)>,
        object_bytes: u64,
    ) -> Result<(), GitErrorKind> {
        self.run(move |repository| {
            index(repository, &received.pack, object_bytes)?;
            move_boundary(repository, &received.boundary)?;
            for (name, commit) in &heads {
                set_head(repository, name, *commit)?;
            }
            Ok(())
        })
        .await
    }
}

/// A pack that is here but not yet indexed.
pub(crate) struct Received {
    pack: Spooled,
    boundary: Boundary,
}

/// Runs `work` on tokio's blocking threads, no more of it at once than the semaphore allows.
pub(crate) async fn blocking<T, F>(permits: &Arc<Semaphore>, work: F) -> Result<T, GitErrorKind>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, GitErrorKind> + Send + 'static,
{
    let permit = Arc::clone(permits).acquire_owned().await.map_err(|_| storage("the room is closed"))?;
    tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    })
    .await
    .unwrap_or_else(|error| Err(storage(&error.to_string())))
}

fn storage(why: &str) -> GitErrorKind {
    GitErrorKind::Storage(why.to_owned())
}

/// An error while reading what we hold: the copy is not to be trusted.
pub(crate) fn damaged(error: git2::Error) -> GitErrorKind {
    GitErrorKind::Damaged(shown(error.message(), 200))
}

/// Our name for the server's reference: flat and hashed, so that no name of theirs is ever a path of ours.
fn kept_name(name: &str) -> String {
    format!("refs/sluice/{}", hex::encode(&Sha256::digest(name.as_bytes())[..16]))
}

/// Where the reference stood when it was last fetched.
pub(crate) fn head_of(repository: &Repository, name: &str) -> Option<Oid> {
    repository.refname_to_id(&kept_name(name)).ok()
}

/// Remembers where the reference stands.
pub(crate) fn set_head(repository: &Repository, name: &str, commit: Oid) -> Result<(), GitErrorKind> {
    if head_of(repository, name) == Some(commit) {
        return Ok(());
    }
    repository
        .reference(&kept_name(name), commit, true, "")
        .map(drop)
        .map_err(|error| storage(error.message()))
}

/// Whether the object is here.
pub(crate) fn holds(repository: &Repository, id: Oid) -> bool {
    repository.odb().is_ok_and(|odb| odb.exists(id))
}

/// Everything that was fetched by a name.
pub(crate) fn heads(repository: &Repository) -> Vec<Oid> {
    let Ok(references) = repository.references_glob("refs/sluice/*") else { return Vec::new() };
    references.flatten().filter_map(|reference| reference.target()).collect()
}

/// The commits that lie behind `from`, as far as we hold and look at them.
pub(crate) fn ancestors(odb: &git2::Odb<'_>, from: impl Iterator<Item = Oid>) -> HashSet<Oid> {
    let mut seen: HashSet<Oid> = from.collect();
    let mut next: VecDeque<Oid> = seen.iter().copied().collect();
    while let Some(at) = next.pop_front() {
        if seen.len() > ANCESTRY {
            break;
        }
        for parent in parents(odb, at).unwrap_or_default() {
            if odb.exists(parent) && seen.insert(parent) {
                next.push_back(parent);
            }
        }
    }
    seen
}

/// The parents a commit names, whether or not they are here; `None` if it is no commit or not here.
pub(crate) fn parents(odb: &git2::Odb<'_>, commit: Oid) -> Option<Vec<Oid>> {
    let object = odb.read(commit).ok().filter(|object| object.kind() == ObjectType::Commit)?;
    let lines = object.data().split(|&byte| byte == b'\n').skip(1);
    Some(
        lines
            .map_while(|line| line.strip_prefix(b"parent "))
            .filter_map(|hex| Oid::from_str(std::str::from_utf8(hex).ok()?).ok())
            .collect(),
    )
}

/// Whether `commit` is `tip` or behind it, as far as our history reaches.
pub(crate) fn contains(repository: &Repository, tip: Oid, commit: Oid) -> bool {
    let Ok(odb) = repository.odb() else { return false };
    let mut seen = HashSet::from([tip]);
    let mut next = VecDeque::from([tip]);
    while let Some(at) = next.pop_front() {
        if at == commit {
            return true;
        }
        if seen.len() > ANCESTRY {
            return false;
        }
        for parent in parents(&odb, at).unwrap_or_default() {
            if odb.exists(parent) && seen.insert(parent) {
                next.push_back(parent);
            }
        }
    }
    false
}

/// What to tell the server we have when fetching `name`: its last head and sparse ancestors, then other heads.
pub(crate) fn plan(repository: &Repository, name: &str, wants: Vec<Oid>) -> FetchPlan {
    let mut haves = Vec::new();
    let mut known = HashSet::new();
    if let Ok(odb) = repository.odb() {
        let mut at = head_of(repository, name);
        let (mut distance, mut due) = (0_u32, 0_u32);
        while let Some(commit) = at {
            if haves.len() >= HAVES / 2 || distance > 4096 || !odb.exists(commit) {
                break;
            }
            if distance == due {
                if known.insert(commit) {
                    haves.push(commit);
                }
                due = if due < 4 { due + 1 } else { due * 2 };
            }
            distance += 1;
            at = parents(&odb, commit).and_then(|parents| parents.first().copied());
        }
        for target in heads(repository) {
            if haves.len() < HAVES && odb.exists(target) && known.insert(target) {
                haves.push(target);
            }
        }
    }
    FetchPlan { wants, haves, shallow: boundary(repository).into_iter().collect(), depth: Some(DEPTH) }
}

/// The commits we hold without all of their parents, in git's own file.
fn boundary(repository: &Repository) -> BTreeSet<Oid> {
    let text = std::fs::read_to_string(repository.path().join("shallow")).unwrap_or_default();
    text.lines().filter_map(|line| Oid::from_str(line.trim()).ok()).collect()
}

fn move_boundary(repository: &Repository, change: &Boundary) -> Result<(), GitErrorKind> {
    if change.shallow.is_empty() && change.unshallow.is_empty() {
        return Ok(());
    }
    let before = boundary(repository);
    let mut after = before.clone();
    after.extend(&change.shallow);
    for id in &change.unshallow {
        after.remove(id);
    }
    let odb = repository.odb().map_err(damaged)?;
    // the server draws its line by depth; where we hold what lies behind it, it is no boundary of ours
    after.retain(|&id| {
        parents(&odb, id).is_some_and(|parents| parents.iter().any(|&parent| !odb.exists(parent)))
    });
    if after == before {
        return Ok(());
    }
    let text: String = after.iter().map(|id| format!("{id}\n")).collect();
    let path = repository.path().join("shallow");
    let partial = repository.path().join(format!("shallow-{}", uuid::Uuid::new_v4()));
    std::fs::write(&partial, text)?;
    std::fs::rename(&partial, &path)?;
    Ok(())
}

fn index(repository: &Repository, spool: &Spooled, object_bytes: u64) -> Result<(), GitErrorKind> {
    let corrupt = |error: git2::Error| GitErrorKind::Corrupt(shown(error.message(), 200));
    let odb = repository.odb().map_err(damaged)?;
    let mut writer = odb.packwriter().map_err(|error| storage(error.message()))?;
    let mut scanner = PackScanner::new(object_bytes);
    let mut source: Box<dyn std::io::Read> = match spool {
        Spooled::Memory(bytes) => Box::new(bytes.as_slice()),
        Spooled::File(file) => Box::new(std::fs::File::open(&file.0)?),
    };
    let mut piece = vec![0; 64 << 10];
    loop {
        let count = source.read(&mut piece)?;
        if count == 0 {
            break;
        }
        scanner.feed(&piece[..count])?;
        writer
            .write_all(&piece[..count])
            .map_err(|_| GitErrorKind::Corrupt("the pack cannot be indexed".into()))?;
    }
    scanner.finish()?;
    if scanner.objects() == 0 {
        return Ok(());
    }
    writer.commit().map_err(corrupt)?;
    Ok(())
}

/// A pack on its way in.
struct Spool {
    directory: PathBuf,
    memory: Vec<u8>,
    file: Option<(tokio::fs::File, SpoolFile)>,
}

/// A pack that is here.
enum Spooled {
    Memory(Vec<u8>),
    File(SpoolFile),
}

/// Removed with its owner.
struct SpoolFile(PathBuf);

impl Drop for SpoolFile {
    fn drop(&mut self) {
        // a file left behind is swept when the repository is next tidied
        drop(std::fs::remove_file(&self.0));
    }
}

impl Spool {
    fn new(repository: &Path) -> Self {
        Self { directory: repository.to_owned(), memory: Vec::new(), file: None }
    }

    async fn put(&mut self, piece: &[u8]) -> Result<(), GitErrorKind> {
        if let Some((file, _)) = &mut self.file {
            file.write_all(piece).await?;
            return Ok(());
        }
        self.memory.extend_from_slice(piece);
        if self.memory.len() > SPOOL_BYTES {
            tokio::fs::create_dir_all(&self.directory).await?;
            let path = self.directory.join(format!("incoming-{}", uuid::Uuid::new_v4()));
            let guard = SpoolFile(path.clone());
            let mut file = tokio::fs::File::create_new(&path).await?;
            file.write_all(&std::mem::take(&mut self.memory)).await?;
            self.file = Some((file, guard));
        }
        Ok(())
    }

    async fn close(self) -> Result<Spooled, GitErrorKind> {
        match self.file {
            None => Ok(Spooled::Memory(self.memory)),
            Some((mut file, guard)) => {
                file.flush().await?;
                Ok(Spooled::File(guard))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(directory: &std::path::Path) -> Kept {
        Kept::new(directory.join("some.git"), Arc::new(Semaphore::new(1)))
    }

    #[test]
    fn readers_who_come_at_once_make_one_whole_repository() {
        for _ in 0..30 {
            let directory = tempfile::tempdir().unwrap();
            let kept = kept(directory.path());
            let start = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        let written = kept.with(|repository| {
                            let odb = repository.odb().map_err(damaged)?;
                            odb.write(ObjectType::Blob, b"x").map_err(|error| storage(error.message()))
                        });
                        written.unwrap();
                    });
                }
            });
            assert!(directory.path().join("some.git/objects/pack").is_dir());
        }
    }

    #[test]
    fn one_that_was_half_made_when_the_process_ended_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let kept = kept(directory.path());
        kept.with(|_| Ok(())).unwrap();
        kept.handles.lock().unwrap().clear();
        std::fs::remove_dir_all(directory.path().join("some.git/objects/pack")).unwrap();
        kept.with(|_| Ok(())).unwrap();
        assert!(directory.path().join("some.git/objects/pack").is_dir());
    }
}
