//! Maps with one shared identity, and slices.
//!
//! A map handle is a type and a reference: `set .Values …` changes the map every alias sees but gives
//! back a plain `map[string]interface {}`, as Go's conversion does. A map that comes from a frozen tree
//! stays there until something is written to it; only the child maps that were looked at are thawed.

use crate::frozen::FrozenMap;
use crate::text::prefix;
use crate::watch::Watched;
use crate::{GoType, Str, Value};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Above this many entries an owned map is a tree instead of a sorted vector.
const SMALL: usize = 128;

enum Entries {
    Small(Vec<(Str, Value)>),
    Large(BTreeMap<Str, Value>),
}

enum State {
    Frozen { base: Arc<FrozenMap>, thawed: Vec<(usize, Value)> },
    Owned(Entries),
}

struct MapCell {
    state: RefCell<State>,
    registered: Cell<bool>,
    watched: OnceCell<Rc<Watched>>,
}

/// A Go map with string keys. Clones share the map; `None` inside is Go's nil map.
#[derive(Clone)]
pub struct Map {
    ty: GoType,
    cell: Option<Rc<MapCell>>,
}

impl Map {
    /// An empty `map[string]interface {}`.
    pub fn new() -> Map {
        Map::with_type(crate::types::MAP)
    }

    /// An empty map of that type.
    pub fn with_type(ty: GoType) -> Map {
        Map::from_entries(ty, Vec::new())
    }

    /// The nil map of that type: reads as empty, cannot be written.
    pub fn nil(ty: GoType) -> Map {
        Map { ty, cell: None }
    }

    /// A map of these entries in any order; the last of equal keys wins.
    pub fn from_entries(ty: GoType, mut entries: Vec<(Str, Value)>) -> Map {
        let entries = if entries.len() > SMALL {
            Entries::Large(entries.into_iter().collect())
        } else {
            if !entries.windows(2).all(|pair| pair[0].0 < pair[1].0) {
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                entries.reverse();
                entries.dedup_by(|a, b| a.0 == b.0);
                entries.reverse();
            }
            Entries::Small(entries)
        };
        Map::of(ty, State::Owned(entries))
    }

    /// A view of a frozen map that is thawed where it is touched.
    pub fn from_frozen(ty: GoType, base: Arc<FrozenMap>) -> Map {
        Map::of(ty, State::Frozen { base, thawed: Vec::new() })
    }

    fn of(ty: GoType, state: State) -> Map {
        let (state, registered, watched) = (RefCell::new(state), Cell::new(false), OnceCell::new());
        Map { ty, cell: Some(Rc::new(MapCell { state, registered, watched })) }
    }

    /// The type.
    pub fn go_type(&self) -> GoType {
        self.ty
    }

    /// The same map seen as another type.
    pub fn as_type(&self, ty: GoType) -> Map {
        Map { ty, cell: self.cell.clone() }
    }

    /// Whether this is the nil map.
    pub fn is_nil(&self) -> bool {
        self.cell.is_none()
    }

    /// Whether both handles are the same map.
    pub fn same(&self, other: &Map) -> bool {
        match (&self.cell, &other.cell) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    /// Notes from now on what is asked of the map, unless that is done already; `start` is given the
    /// frozen map that this one still is.
    pub(crate) fn watch(&self, start: impl FnOnce(Option<Arc<FrozenMap>>) -> Rc<Watched>) {
        if let Some(cell) = &self.cell {
            cell.watched.get_or_init(|| {
                start(match &*cell.state.borrow() {
                    State::Frozen { base, .. } => Some(base.clone()),
                    State::Owned(_) => None,
                })
            });
        }
    }

    /// Whether somebody watches; nobody can watch the nil map.
    pub(crate) fn is_watched(&self) -> bool {
        self.cell.as_ref().is_none_or(|cell| cell.watched.get().is_some())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        if let Some(cell) = &self.cell {
            cell.gone_through();
        }
        self.count()
    }

    fn count(&self) -> usize {
        let Some(cell) = &self.cell else { return 0 };
        match &*cell.state.borrow() {
            State::Frozen { base, .. } => base.len(),
            State::Owned(Entries::Small(entries)) => entries.len(),
            State::Owned(Entries::Large(entries)) => entries.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The value of a key. A map or list found there is the shared one.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        let key = key.as_ref();
        let cell = self.cell.as_ref()?;
        let watched = cell.watched.get();
        let value = cell.get(key, watched);
        if let (Some(watched), Some(Value::Map(map))) = (watched, &value) {
            watched.found(key, map);
        }
        value
    }

    /// Whether the key is present, whatever its value.
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        let Some(cell) = &self.cell else { return false };
        let key = key.as_ref();
        if let Some(watched) = cell.watched.get() {
            watched.key(key);
        }
        match &*cell.state.borrow() {
            State::Frozen { base, .. } => base.find(key).is_some(),
            State::Owned(Entries::Small(entries)) => find(entries, key).is_ok(),
            State::Owned(Entries::Large(entries)) => entries.contains_key(key),
        }
    }

    /// Puts a value, in place, for every alias. Gives back `false` on the nil map, where Go panics with
    /// `assignment to entry in nil map`.
    pub fn insert(&self, key: impl Into<Str>, value: Value) -> bool {
        let Some(cell) = &self.cell else { return false };
        if matches!(value, Value::Map(_) | Value::List(_) | Value::Host(_)) && !cell.registered.replace(true)
        {
            register(cell);
        }
        let key = key.into();
        let mut state = cell.state.borrow_mut();
        match own(&mut state) {
            Entries::Small(entries) => match find(entries, &key) {
                Ok(i) => {
                    let old = std::mem::replace(&mut entries[i].1, value);
                    drop(state);
                    drop(old);
                }
                Err(_) if entries.len() >= SMALL => {
                    let mut tree: BTreeMap<Str, Value> = std::mem::take(entries).into_iter().collect();
                    tree.insert(key, value);
                    *state = State::Owned(Entries::Large(tree));
                }
                Err(i) => entries.insert(i, (key, value)),
            },
            Entries::Large(entries) => {
                let old = entries.insert(key, value);
                drop(state);
                drop(old);
            }
        }
        true
    }

    /// Takes a key out, in place, for every alias.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        let cell = self.cell.as_ref()?;
        let key = key.as_ref();
        if !self.contains(key) {
            return None;
        }
        match own(&mut cell.state.borrow_mut()) {
            Entries::Small(entries) => find(entries, key).ok().map(|i| entries.remove(i).1),
            Entries::Large(entries) => entries.remove(key),
        }
    }

    /// The keys, sorted as Go sorts strings.
    pub fn keys(&self) -> Vec<Str> {
        let Some(cell) = &self.cell else { return Vec::new() };
        cell.gone_through();
        match &*cell.state.borrow() {
            State::Frozen { base, .. } => base.keys().cloned().collect(),
            State::Owned(Entries::Small(entries)) => entries.iter().map(|(k, _)| k.clone()).collect(),
            State::Owned(Entries::Large(entries)) => entries.keys().cloned().collect(),
        }
    }

    /// The entries, sorted by key; a snapshot, so the map may change while it is walked.
    pub fn entries(&self) -> Vec<(Str, Value)> {
        let Some(cell) = &self.cell else { return Vec::new() };
        cell.gone_through();
        let mut state = cell.state.borrow_mut();
        match &mut *state {
            State::Frozen { base, thawed } => (0..base.len())
                .map(|i| {
                    let value = match base.scalar(i) {
                        Some(scalar) => scalar,
                        None => thaw(base, thawed, i),
                    };
                    (base.key(i).clone(), value)
                })
                .collect(),
            State::Owned(Entries::Small(entries)) => entries.clone(),
            State::Owned(Entries::Large(entries)) => {
                entries.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
            }
        }
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> Vec<Value> {
        self.entries().into_iter().map(|(_, v)| v).collect()
    }

    /// A new map with the same entries; nested maps stay shared.
    pub fn shallow_clone(&self) -> Map {
        Map::from_entries(self.ty, self.entries())
    }
}

impl MapCell {
    fn gone_through(&self) {
        if let Some(watched) = self.watched.get() {
            watched.whole();
        }
    }

    fn get(&self, key: &[u8], watched: Option<&Rc<Watched>>) -> Option<Value> {
        let index = match &*self.state.borrow() {
            State::Owned(entries) => {
                if let Some(watched) = watched {
                    watched.key(key);
                }
                return match entries {
                    Entries::Small(entries) => find(entries, key).ok().map(|i| entries[i].1.clone()),
                    Entries::Large(entries) => entries.get(key).cloned(),
                };
            }
            State::Frozen { base, thawed } => {
                let index = base.find(key);
                if let Some(watched) = watched {
                    match index {
                        Some(index) => watched.place(index),
                        None => watched.key(key),
                    }
                }
                let index = index?;
                if let Some(scalar) = base.scalar(index) {
                    return Some(scalar);
                }
                if let Some((_, value)) = thawed.iter().find(|(i, _)| *i == index) {
                    return Some(value.clone());
                }
                index
            }
        };
        match &mut *self.state.borrow_mut() {
            State::Frozen { base, thawed } => {
                let value = base.thaw_at(index);
                thawed.push((index, value.clone()));
                Some(value)
            }
            State::Owned(_) => None,
        }
    }
}

impl Default for Map {
    fn default() -> Map {
        Map::new()
    }
}

fn find(entries: &[(Str, Value)], key: &[u8]) -> Result<usize, usize> {
    let first = prefix(key);
    entries.binary_search_by(|(k, _)| k.compare(key, first))
}

fn thaw(base: &FrozenMap, thawed: &mut Vec<(usize, Value)>, index: usize) -> Value {
    if let Some((_, value)) = thawed.iter().find(|(i, _)| *i == index) {
        return value.clone();
    }
    let value = base.thaw_at(index);
    thawed.push((index, value.clone()));
    value
}

/// Makes the map its own: copies the keys of a frozen one, keeping the children already handed out.
fn own(state: &mut State) -> &mut Entries {
    if let State::Frozen { base, thawed } = state {
        let entries: Vec<(Str, Value)> = (0..base.len())
            .map(|i| {
                let value = base.scalar(i).unwrap_or_else(|| thaw(base, thawed, i));
                (base.key(i).clone(), value)
            })
            .collect();
        let entries = if entries.len() > SMALL {
            Entries::Large(entries.into_iter().collect())
        } else {
            Entries::Small(entries)
        };
        *state = State::Owned(entries);
    }
    match state {
        State::Owned(entries) => entries,
        State::Frozen { .. } => unreachable!("a frozen map was owned just above"),
    }
}

/// A Go slice other than `[]uint8`. Clones share the elements; `None` inside is Go's nil slice.
#[derive(Clone)]
pub struct List {
    ty: GoType,
    items: Option<Rc<ListCell>>,
}

struct ListCell {
    items: Vec<Value>,
    /// The same strings in order, once somebody sorted the slice where it is.
    sorted: OnceCell<Vec<Value>>,
}

impl List {
    /// A slice of that type with these elements.
    pub fn new(ty: GoType, items: Vec<Value>) -> List {
        List { ty, items: Some(Rc::new(ListCell { items, sorted: OnceCell::new() })) }
    }

    /// The nil slice of that type: empty, but `null` in JSON.
    pub fn nil(ty: GoType) -> List {
        List { ty, items: None }
    }

    /// The type.
    pub fn go_type(&self) -> GoType {
        self.ty
    }

    /// The same slice seen as another type.
    pub fn as_type(&self, ty: GoType) -> List {
        List { ty, items: self.items.clone() }
    }

    /// Whether this is the nil slice.
    pub fn is_nil(&self) -> bool {
        self.items.is_none()
    }

    /// The elements.
    pub fn as_slice(&self) -> &[Value] {
        self.items.as_ref().map_or(&[], |cell| cell.sorted.get().unwrap_or(&cell.items))
    }

    /// Sorts a slice of strings where it is: whoever holds it sees the new order. The only change a
    /// slice can undergo.
    pub fn sort_strings(&self) {
        if let Some(cell) = &self.items {
            cell.sorted.get_or_init(|| {
                let mut sorted = cell.items.clone();
                sorted.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                sorted
            });
        }
    }

    /// Whether both are the same slice in memory.
    pub fn same(&self, other: &List) -> bool {
        match (&self.items, &other.items) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl std::ops::Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        self.as_slice()
    }
}

// Values nest as deeply as a template cares to build them, so dropping must not recurse natively.

impl Drop for MapCell {
    fn drop(&mut self) {
        let mut pending = Vec::new();
        take_map(self.state.get_mut(), &mut pending);
        drain(pending);
    }
}

impl Drop for ListCell {
    fn drop(&mut self) {
        let mut pending = Vec::new();
        take_list(self, &mut pending);
        drain(pending);
    }
}

fn take_map(state: &mut State, pending: &mut Vec<Value>) {
    match state {
        State::Frozen { thawed, .. } => {
            pending.extend(thawed.drain(..).map(|(_, v)| v).filter(is_container));
        }
        State::Owned(Entries::Small(entries)) => {
            pending.extend(entries.drain(..).map(|(_, v)| v).filter(is_container));
        }
        State::Owned(Entries::Large(entries)) => {
            pending.extend(std::mem::take(entries).into_values().filter(is_container));
        }
    }
}

fn take_list(cell: &mut ListCell, pending: &mut Vec<Value>) {
    pending.extend(cell.items.drain(..).filter(is_container));
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::List(_))
}

fn drain(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::Map(Map { cell: Some(cell), .. }) => {
                if Rc::strong_count(&cell) == 1
                    && let Ok(mut state) = cell.state.try_borrow_mut()
                {
                    take_map(&mut state, &mut pending);
                }
            }
            Value::List(List { items: Some(mut items), .. }) => {
                if let Some(cell) = Rc::get_mut(&mut items) {
                    take_list(cell, &mut pending);
                }
            }
            _ => {}
        }
    }
}

// A map that was written to can hold itself (`set . "root" .`). Such cycles would never be freed, so
// written maps are remembered while a render is under way and emptied when it ends.

thread_local! {
    static RENDERS: Cell<usize> = const { Cell::new(0) };
    static WRITTEN: RefCell<Vec<Weak<MapCell>>> = const { RefCell::new(Vec::new()) };
}

fn register(cell: &Rc<MapCell>) {
    if RENDERS.get() > 0 {
        WRITTEN.with_borrow_mut(|written| written.push(Rc::downgrade(cell)));
    } else {
        cell.registered.set(false);
    }
}

/// While one is alive, maps that are written to are remembered; when the last is dropped they are
/// emptied, which frees reference cycles.
pub(crate) struct CycleGuard(());

impl CycleGuard {
    pub(crate) fn new() -> CycleGuard {
        RENDERS.set(RENDERS.get() + 1);
        CycleGuard(())
    }
}

impl Drop for CycleGuard {
    fn drop(&mut self) {
        RENDERS.set(RENDERS.get() - 1);
        if RENDERS.get() == 0 {
            let written = WRITTEN.take();
            for cell in written.iter().filter_map(Weak::upgrade) {
                let old = cell.state.replace(State::Owned(Entries::Small(Vec::new())));
                drop(old);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frozen;

    #[test]
    fn aliases_see_a_write_and_frozen_children_keep_their_identity() {
        let inner = Frozen::map([("x", Frozen::from(1.0))]);
        let frozen = Frozen::map([("a", inner), ("b", Frozen::from("text"))]);
        let Value::Map(map) = frozen.thaw() else { panic!("not a map") };
        let Some(Value::Map(a)) = map.get("a") else { panic!("not a map") };
        a.insert("y", Value::Bool(true));
        map.insert("c", Value::int(1));
        let Some(Value::Map(again)) = map.get("a") else { panic!("not a map") };
        assert!(again.same(&a) && again.contains("y"));
        assert_eq!(map.keys(), ["a", "b", "c"].map(Str::from));
        let Value::Map(fresh) = frozen.thaw() else { panic!("not a map") };
        assert_eq!(fresh.len(), 2);
    }

    #[test]
    fn last_of_equal_keys_wins() {
        let map = Map::from_entries(
            crate::types::MAP,
            vec![("b".into(), Value::int(1)), ("a".into(), Value::int(2)), ("b".into(), Value::int(3))],
        );
        assert!(matches!(map.get("b"), Some(Value::Int(3, _))));
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn deep_nesting_is_dropped_without_recursion() {
        let mut value = Value::Nil;
        for i in 0..300_000 {
            value = if i % 2 == 0 { Value::list(vec![value]) } else { Value::map([("a", value)]) };
        }
        drop(value);
    }

    #[test]
    fn a_map_that_holds_itself_is_freed_when_the_render_ends() {
        let guard = CycleGuard::new();
        let map = Map::new();
        map.insert("self", Value::Map(map.clone()));
        let weak = Rc::downgrade(map.cell.as_ref().unwrap());
        drop(map);
        assert!(weak.upgrade().is_some());
        drop(guard);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn many_keys() {
        let map = Map::new();
        for i in 0..1000 {
            map.insert(format!("k{i:04}"), Value::int(i));
        }
        assert_eq!(map.len(), 1000);
        assert_eq!(map.keys()[999], "k0999");
        assert!(map.remove("k0500").is_some() && !map.contains("k0500"));
    }
}
