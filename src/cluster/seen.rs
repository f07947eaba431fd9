//! Remembers at which resource version an object was last seen by us, to tell "unchanged" from "configured" exactly.
//!
//! Sixteen bytes an object and bounded: it is a help, not a cache of objects, and may forget at any time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use super::object::ObjectId;

/// A member with more objects than this loses exactness within the second of a change, nothing else.
const MOST: usize = 4096;

#[derive(Default)]
pub(super) struct Seen {
    hasher: RandomState,
    versions: Mutex<HashMap<u64, u64>>,
}

impl Seen {
    /// Notes the version and tells whether it is the one noted before.
    pub(super) fn note(&self, id: &ObjectId, resource_version: &str) -> bool {
        let key = self.hasher.hash_one((&id.group, &id.kind, &id.namespace, &id.name));
        let version = self.hasher.hash_one(resource_version);
        let mut versions = self.versions.lock().expect("a map's insert does not panic");
        if versions.len() >= MOST && !versions.contains_key(&key) {
            versions.clear();
        }
        versions.insert(key, version) == Some(version)
    }
}
