//! What is remarkable below a tree: links and `.sourceignore` files, found without looking twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use git2::Oid;

use super::error::GitErrorKind;
use super::kept::{Kept, damaged};
use super::tree::deep;

/// Directories whose survey is remembered.
const SURVEYS: usize = 100_000;

/// What is remarkable below a tree, remembered by its id: unchanged directories are not looked at again.
#[derive(Debug, Default)]
pub(crate) struct Surveys(Mutex<HashMap<Oid, Arc<Survey>>>);

#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) links: Vec<String>,
    pub(crate) ignore_files: Vec<(String, Oid)>,
}

impl Surveys {
    pub(crate) fn of(&self, kept: &Arc<Kept>, tree: Oid, depth: usize) -> Result<Arc<Survey>, GitErrorKind> {
        deep(depth)?;
        if let Some(known) = self.0.lock().expect("held for one lookup").get(&tree) {
            return Ok(Arc::clone(known));
        }
        let mut survey = Survey::default();
        let entries: Vec<(String, i32, Oid)> = kept.with(|repository| {
            let tree = repository.find_tree(tree).map_err(damaged)?;
            Ok(tree
                .iter()
                .map(|entry| {
                    (String::from_utf8_lossy(entry.name_bytes()).into_owned(), entry.filemode(), entry.id())
                })
                .collect())
        })?;
        for (name, mode, id) in entries {
            match mode {
                0o040000 => {
                    let below = self.of(kept, id, depth + 1)?;
                    survey.links.extend(below.links.iter().map(|link| format!("{name}/{link}")));
                    survey
                        .ignore_files
                        .extend(below.ignore_files.iter().map(|(path, id)| (format!("{name}/{path}"), *id)));
                }
                0o120000 => survey.links.push(name),
                0o160000 => {}
                _ if name == ".sourceignore" => survey.ignore_files.push((name, id)),
                _ => {}
            }
        }
        let survey = Arc::new(survey);
        let mut known = self.0.lock().expect("held for one insert");
        if known.len() >= SURVEYS {
            known.clear();
        }
        known.insert(tree, Arc::clone(&survey));
        Ok(survey)
    }
}
