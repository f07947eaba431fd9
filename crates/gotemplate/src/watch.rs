//! What a render looks at: a watched map notes which of its keys were asked for.
//!
//! It hands its watch on to the maps that are found in it, with the way that led there, so that the
//! notes read like the paths a person writes. Nothing here changes what a template sees.

use crate::text::prefix;
use crate::{FrozenMap, Map, Str};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// The notes of all maps that are watched together. Clones share them.
#[derive(Clone, Default)]
pub struct Watch(Rc<RefCell<Vec<Rc<Watched>>>>);

impl Watch {
    /// Watches a map that is found at this path, and all that is found in it. A map has one watch, the
    /// first.
    pub fn over(&self, map: &Map, path: Vec<Str>) {
        map.watch(|base| {
            let watched = Rc::new(Watched {
                watch: Rc::downgrade(&self.0),
                path,
                base,
                places: RefCell::default(),
                keys: RefCell::default(),
                whole: Cell::new(false),
            });
            self.0.borrow_mut().push(watched.clone());
            watched
        });
    }

    /// What was looked at: `a.b` for a key that was asked for, there or not, `a.*` for a map that was
    /// gone through. Dots within a key are escaped, as `--set` wants them.
    pub fn paths(&self) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        for watched in self.0.borrow().iter() {
            watched.note_into(&mut paths);
        }
        paths
    }
}

/// The notes of one map.
pub(crate) struct Watched {
    watch: Weak<RefCell<Vec<Rc<Watched>>>>,
    path: Vec<Str>,
    /// The map as it was at first; those keys are noted by their places.
    base: Option<Arc<FrozenMap>>,
    places: RefCell<Vec<u64>>,
    /// Other keys, sorted.
    keys: RefCell<Vec<Str>>,
    whole: Cell<bool>,
}

impl Watched {
    /// A key of the frozen map was asked for.
    pub(crate) fn place(&self, index: usize) {
        let (word, bit) = (index / 64, 1 << (index % 64));
        let mut places = self.places.borrow_mut();
        if places.len() <= word {
            places.resize(word + 1, 0);
        }
        places[word] |= bit;
    }

    /// Any other key was asked for.
    pub(crate) fn key(&self, key: &[u8]) {
        let (first, mut keys) = (prefix(key), self.keys.borrow_mut());
        if let Err(at) = keys.binary_search_by(|known| known.compare(key, first)) {
            keys.insert(at, Str::new(key));
        }
    }

    /// All keys were gone through.
    pub(crate) fn whole(&self) {
        self.whole.set(true);
    }

    /// A map was found under a key.
    pub(crate) fn found(&self, key: &[u8], map: &Map) {
        if !map.is_watched()
            && let Some(watch) = self.watch.upgrade()
        {
            let path = self.path.iter().cloned().chain([Str::new(key)]).collect();
            Watch(watch).over(map, path);
        }
    }

    fn note_into(&self, paths: &mut BTreeSet<String>) {
        let mut prefix = String::new();
        for key in &self.path {
            push(&mut prefix, key);
            prefix.push('.');
        }
        let mut note = |key: &Str| {
            let mut path = prefix.clone();
            push(&mut path, key);
            paths.insert(path);
        };
        if let Some(base) = &self.base {
            for (word, bits) in self.places.borrow().iter().enumerate() {
                (0..64).filter(|bit| bits >> bit & 1 == 1).for_each(|bit| note(base.key(word * 64 + bit)));
            }
        }
        self.keys.borrow().iter().for_each(&mut note);
        if self.whole.get() {
            paths.insert(format!("{prefix}*"));
        }
    }
}

fn push(path: &mut String, key: &Str) {
    if let Some(plain) = key.to_str()
        && !key.iter().any(|c| matches!(c, b'.' | b'\\' | b'*'))
    {
        path.push_str(plain);
        return;
    }
    for c in key.to_string_lossy().chars() {
        if matches!(c, '.' | '\\' | '*') {
            path.push('\\');
        }
        path.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frozen, Value};

    #[test]
    fn keys_are_noted_with_the_way_to_them() {
        let values = Frozen::map([
            ("a", Frozen::map([("b.c", Frozen::from(1.0)), ("d", Frozen::from("x"))])),
            ("e", Frozen::map([("f", Frozen::from(true))])),
            ("g", Frozen::from("unseen")),
        ]);
        let Value::Map(root) = values.thaw() else { panic!("not a map") };
        let watch = Watch::default();
        watch.over(&root, Vec::new());
        let Some(Value::Map(a)) = root.get("a") else { panic!("not a map") };
        assert!(a.get("b.c").is_some() && a.get("missing").is_none());
        let Some(Value::Map(e)) = root.get("e") else { panic!("not a map") };
        assert_eq!(e.entries().len(), 1);
        assert!(!root.is_empty() && !root.contains("h"));
        assert_eq!(
            watch.paths().into_iter().collect::<Vec<_>>(),
            ["a", "a.b\\.c", "a.missing", "e", "e.*", "h"]
        );
    }

    #[test]
    fn a_map_that_was_written_to_is_still_watched() {
        let Value::Map(root) = Frozen::map([("a", Frozen::from(1.0))]).thaw() else { panic!("not a map") };
        let watch = Watch::default();
        watch.over(&root, vec!["sub".into()]);
        root.insert("b", Value::Map(Map::new()));
        let Some(Value::Map(b)) = root.get("b") else { panic!("not a map") };
        assert!(b.get("c").is_none() && root.get("a").is_some());
        assert_eq!(watch.paths().into_iter().collect::<Vec<_>>(), ["sub.a", "sub.b", "sub.b.c"]);
    }
}
