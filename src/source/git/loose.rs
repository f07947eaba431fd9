//! Loose objects: what our own commits are made of. Those that were pushed are packed, those that never were go.
//!
//! Fetched objects come in packs and are not looked at.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use git2::{ObjectType, Oid, Repository};

use super::error::GitErrorKind;
use super::kept::{self, damaged};
use super::outgoing::Objects;

/// A commit younger than this may be on its way to the server: no push takes longer.
const YOUNG: Duration = Duration::from_secs(60 * 60);
/// So many pushed objects are worth a pack.
const MANY: usize = 200;

/// The files that are not needed any more; packs what they held where it is.
pub(crate) fn surplus(repository: &Repository, now: SystemTime) -> Result<Vec<PathBuf>, GitErrorKind> {
    let files = files(repository)?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let needed = needed(repository, &files)?;
    let mut gone = Vec::new();
    for (id, file) in &files {
        let age = now.duration_since(file.modified).unwrap_or_default();
        if !needed.contains(id) && age > YOUNG {
            gone.push(file.path.clone());
        }
    }
    if needed.len() > MANY {
        let mut builder = repository.packbuilder().map_err(damaged)?;
        for &id in &needed {
            builder.insert_object(id, None).map_err(damaged)?;
        }
        let directory = repository.path().join("objects/pack");
        std::fs::create_dir_all(&directory)?;
        builder
            .write(&directory, 0o444)
            .map_err(|error| GitErrorKind::Storage(error.message().to_owned()))?;
        gone.extend(files.iter().filter(|(id, _)| needed.contains(*id)).map(|(_, file)| file.path.clone()));
    }
    Ok(gone)
}

struct Loose {
    path: PathBuf,
    modified: SystemTime,
}

fn files(repository: &Repository) -> Result<BTreeMap<Oid, Loose>, GitErrorKind> {
    let mut found = BTreeMap::new();
    for directory in std::fs::read_dir(repository.path().join("objects"))? {
        let directory = directory?;
        let prefix = directory.file_name().to_string_lossy().into_owned();
        if prefix.len() != 2 || !directory.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(directory.path())? {
            let file = file?;
            let name = format!("{prefix}{}", file.file_name().to_string_lossy());
            if let Some(id) = super::reference::parse_commit(&name) {
                found.insert(id, Loose { path: file.path(), modified: file.metadata()?.modified()? });
            }
        }
    }
    Ok(found)
}

/// Which of them something that was fetched or pushed leads to.
fn needed(repository: &Repository, files: &BTreeMap<Oid, Loose>) -> Result<HashSet<Oid>, GitErrorKind> {
    let odb = repository.odb().map_err(damaged)?;
    let heads = kept::heads(repository);
    let history = kept::ancestors(&odb, heads.iter().copied());
    let mut objects = Objects::new(&odb);
    // a server that was told of a commit leaves out what is in it, also where another commit has it again: so the heads
    // come first, with all that is in them, and a commit after them adds only what it changed
    for head in heads {
        if let Ok(commit) = repository.find_commit(head) {
            objects.tree(commit.tree_id(), &[], 0)?;
        }
    }
    for &id in files.keys().filter(|id| history.contains(*id)) {
        if odb.read_header(id).map_err(damaged)?.1 == ObjectType::Commit {
            objects.commit(repository, id)?;
        }
    }
    Ok(objects.found.into_iter().filter(|id| files.contains_key(id)).collect())
}
