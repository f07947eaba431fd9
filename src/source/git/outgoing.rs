//! Which objects a server lacks of a commit, and the pack that carries them.
//!
//! Makes no deltas: a commit of ours is a few small files and the directories above them.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::Write as _;

use git2::{ObjectType, Odb, Oid, Repository};
use sha1::{Digest as _, Sha1};

use super::commit::Entry;
use super::error::GitErrorKind;
use super::kept::{self, damaged};
use super::tree::deep;

/// Commits of one push. Ours has one; more are those of a branch that the server dropped meanwhile.
const COMMITS: usize = 1000;

/// A pack of what leads to `commit` from what the server has; `None` if it cannot be told, because the history we hold
/// does not reach back to anything the server shows.
pub(crate) fn pack(
    repository: &Repository,
    commit: Oid,
    tips: &[Oid],
    pack_bytes: u64,
) -> Result<Option<Vec<u8>>, GitErrorKind> {
    let odb = repository.odb().map_err(damaged)?;
    let Some(commits) = unknown_commits(repository, &odb, commit, tips)? else { return Ok(None) };
    let mut objects = Objects::new(&odb);
    for &id in &commits {
        objects.commit(repository, id)?;
    }
    write_pack(&odb, &objects.found, pack_bytes).map(Some)
}

/// The commits from `commit` back to what the server has, its own included.
fn unknown_commits(
    repository: &Repository,
    odb: &Odb<'_>,
    commit: Oid,
    tips: &[Oid],
) -> Result<Option<Vec<Oid>>, GitErrorKind> {
    // what was fetched came from this server, so it is there unless it was thrown away since
    let mut known: HashSet<Oid> = tips.iter().copied().filter(|&tip| odb.exists(tip)).collect();
    known.extend(kept::heads(repository));
    let mut unknown = Vec::new();
    let mut seen = HashSet::from([commit]);
    let mut next = VecDeque::from([commit]);
    let mut ancestors: Option<HashSet<Oid>> = None;
    while let Some(at) = next.pop_front() {
        if known.contains(&at) {
            continue;
        }
        let Some(parents) = kept::parents(odb, at) else { return Ok(None) };
        let onto_known = !parents.is_empty() && parents.iter().all(|parent| known.contains(parent));
        if !onto_known
            && ancestors.get_or_insert_with(|| kept::ancestors(odb, known.iter().copied())).contains(&at)
        {
            continue;
        }
        unknown.push(at);
        if unknown.len() > COMMITS {
            return Err(GitErrorKind::TooLarge {
                what: "the number of commits to push".into(),
                limit: COMMITS as u64,
            });
        }
        for parent in parents {
            if seen.insert(parent) {
                next.push_back(parent);
            }
        }
    }
    Ok(Some(unknown))
}

/// Objects on their way, each once.
pub(crate) struct Objects<'r> {
    odb: &'r Odb<'r>,
    seen: HashSet<Oid>,
    pub(crate) found: Vec<Oid>,
}

impl<'r> Objects<'r> {
    pub(crate) fn new(odb: &'r Odb<'r>) -> Self {
        Self { odb, seen: HashSet::new(), found: Vec::new() }
    }

    /// Adds a commit and what it changed.
    pub(crate) fn commit(&mut self, repository: &Repository, id: Oid) -> Result<(), GitErrorKind> {
        let commit = repository.find_commit(id).map_err(damaged)?;
        let parents = commit.parent_ids().filter(|&parent| self.odb.exists(parent));
        let mut before = Vec::new();
        for parent in parents {
            before.push(repository.find_commit(parent).map_err(damaged)?.tree_id());
        }
        if self.seen.insert(id) {
            self.found.push(id);
        }
        self.tree(commit.tree_id(), &before, 0)
    }

    /// Adds what is in `tree` and, at the same place, in none of `before`.
    pub(crate) fn tree(&mut self, tree: Oid, before: &[Oid], depth: usize) -> Result<(), GitErrorKind> {
        deep(depth)?;
        if before.contains(&tree) || !self.seen.insert(tree) {
            return Ok(());
        }
        self.found.push(tree);
        let mut there: BTreeMap<Vec<u8>, Vec<Oid>> = BTreeMap::new();
        for &tree in before {
            for (name, id, _) in self.entries(tree)? {
                there.entry(name).or_default().push(id);
            }
        }
        for (name, id, kind) in self.entries(tree)? {
            let before = there.get(&name).map(Vec::as_slice).unwrap_or_default();
            match kind {
                _ if before.contains(&id) => {}
                EntryKind::Submodule => {}
                EntryKind::Directory => {
                    let is_tree = |id: &&Oid| {
                        self.odb.read_header(**id).is_ok_and(|(_, kind)| kind == ObjectType::Tree)
                    };
                    let before: Vec<Oid> = before.iter().filter(is_tree).copied().collect();
                    self.tree(id, &before, depth + 1)?;
                }
                EntryKind::Blob => {
                    if self.seen.insert(id) {
                        self.found.push(id);
                    }
                }
            }
        }
        Ok(())
    }

    fn entries(&self, tree: Oid) -> Result<Vec<(Vec<u8>, Oid, EntryKind)>, GitErrorKind> {
        let object = self.odb.read(tree).map_err(damaged)?;
        let (bytes, mut at, mut found) = (object.data(), 0, Vec::new());
        while at < bytes.len() {
            let entry = Entry::parse(bytes, at)?;
            let kind = match (entry.is_directory(), entry.is_submodule()) {
                (true, _) => EntryKind::Directory,
                (_, true) => EntryKind::Submodule,
                _ => EntryKind::Blob,
            };
            let id = Oid::from_bytes(&bytes[entry.id.clone()]).map_err(damaged)?;
            found.push((bytes[entry.name.clone()].to_vec(), id, kind));
            at = entry.id.end;
        }
        Ok(found)
    }
}

#[derive(Clone, Copy)]
enum EntryKind {
    Directory,
    Submodule,
    Blob,
}

fn write_pack(odb: &Odb<'_>, objects: &[Oid], pack_bytes: u64) -> Result<Vec<u8>, GitErrorKind> {
    let broken = |error: std::io::Error| GitErrorKind::Storage(error.to_string());
    let count = u32::try_from(objects.len()).map_err(|_| GitErrorKind::TooLarge {
        what: "the number of objects".into(),
        limit: u32::MAX.into(),
    })?;
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend_from_slice(&count.to_be_bytes());
    for &id in objects {
        let object = odb.read(id).map_err(damaged)?;
        let kind = match object.kind() {
            ObjectType::Commit => 1,
            ObjectType::Tree => 2,
            ObjectType::Blob => 3,
            ObjectType::Tag => 4,
            ObjectType::Any => return Err(GitErrorKind::Corrupt("an object of no type".into())),
        };
        put_header(&mut pack, kind, object.data().len() as u64);
        let mut encoder = flate2::write::ZlibEncoder::new(pack, flate2::Compression::default());
        encoder.write_all(object.data()).map_err(broken)?;
        pack = encoder.finish().map_err(broken)?;
        if pack.len() as u64 > pack_bytes {
            return Err(GitErrorKind::TooLarge { what: "the pack".into(), limit: pack_bytes });
        }
    }
    let sum = Sha1::digest(&pack);
    pack.extend_from_slice(&sum);
    Ok(pack)
}

/// Type and size, seven bits a byte after the first.
fn put_header(pack: &mut Vec<u8>, kind: u8, mut size: u64) {
    let mut byte = (kind << 4) | (size & 15) as u8;
    size >>= 4;
    while size > 0 {
        pack.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    pack.push(byte);
}
