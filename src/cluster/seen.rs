//! Remembers at which resource version an object was last seen by us, to tell "unchanged" from "configured" exactly.
//!
//! Three numbers an object and bounded: it is a help, not a cache of objects, and may forget at any time.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Mutex;

use super::object::ObjectId;

/// A member with more objects than this loses exactness within the second of a change, nothing else.
const MOST: usize = 4096;

#[derive(Default)]
pub(super) struct Seen {
    hasher: RandomState,
    states: Mutex<HashMap<u64, (u64, u64)>>,
}

impl Seen {
    /// Notes how an object is and tells whether it was so when last noted: at the same version, or in the same state.
    /// The version moves with the status too; `state` does not.
    pub(super) fn note(&self, id: &ObjectId, resource_version: &str, state: &impl Hash) -> bool {
        let key = self.hasher.hash_one((&id.group, &id.kind, &id.namespace, &id.name));
        let now = (self.hasher.hash_one(resource_version), self.hasher.hash_one(state));
        let mut states = self.states.lock().expect("a map's insert does not panic");
        if states.len() >= MOST && !states.contains_key(&key) {
            states.clear();
        }
        states.insert(key, now).is_some_and(|before| before.0 == now.0 || before.1 == now.1)
    }
}
