//! Immutable trees that many renders on many threads share: chart defaults, merged values.

use crate::text::prefix;
use crate::types;
use crate::{GoType, List, Map, Str, Value};
use std::sync::Arc;

/// An immutable value; cloning shares. [`Frozen::thaw`] makes a render's own view of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Frozen {
    /// nil.
    #[default]
    Nil,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `int64`.
    Int64(i64),
    /// `uint64`.
    Uint64(u64),
    /// `float64`.
    Float(f64),
    /// `string`.
    Str(Str),
    /// `[]uint8`.
    Bytes(Arc<[u8]>),
    /// `[]interface {}`.
    List(Arc<[Frozen]>),
    /// `map[string]interface {}`.
    Map(Arc<FrozenMap>),
}

impl Frozen {
    /// A frozen map of these entries; the last of equal keys wins.
    pub fn map<K: Into<Str>>(entries: impl IntoIterator<Item = (K, Frozen)>) -> Frozen {
        Frozen::Map(Arc::new(entries.into_iter().map(|(k, v)| (k.into(), v)).collect()))
    }

    /// A frozen list.
    pub fn list(items: impl IntoIterator<Item = Frozen>) -> Frozen {
        Frozen::List(items.into_iter().collect())
    }

    /// A value of this render alone. Maps are thawed lazily: nothing is copied until it is looked at.
    pub fn thaw(&self) -> Value {
        match self {
            Frozen::List(items) => {
                Value::List(List::new(types::LIST, items.iter().map(Frozen::thaw).collect()))
            }
            Frozen::Map(map) => Value::Map(Map::from_frozen(types::MAP, map.clone())),
            scalar => scalar.scalar().unwrap_or_default(),
        }
    }

    /// Thaws the top of a tree as another map type, such as `common.Values`.
    pub fn thaw_as(&self, ty: GoType) -> Value {
        match self {
            Frozen::Map(map) => Value::Map(Map::from_frozen(ty, map.clone())),
            other => other.thaw(),
        }
    }

    fn scalar(&self) -> Option<Value> {
        Some(match self {
            Frozen::Nil => Value::Nil,
            Frozen::Bool(b) => Value::Bool(*b),
            Frozen::Int(n) => Value::int(*n),
            Frozen::Int64(n) => Value::int64(*n),
            Frozen::Uint64(n) => Value::Uint(*n, crate::UintKind::Uint64),
            Frozen::Float(n) => Value::Float(*n),
            Frozen::Str(s) => Value::Str(s.clone()),
            Frozen::Bytes(b) => Value::Bytes(Some(b.clone())),
            Frozen::List(_) | Frozen::Map(_) => return None,
        })
    }
}

impl From<bool> for Frozen {
    fn from(b: bool) -> Frozen {
        Frozen::Bool(b)
    }
}

impl From<f64> for Frozen {
    fn from(n: f64) -> Frozen {
        Frozen::Float(n)
    }
}

impl From<&str> for Frozen {
    fn from(s: &str) -> Frozen {
        Frozen::Str(s.into())
    }
}

impl From<String> for Frozen {
    fn from(s: String) -> Frozen {
        Frozen::Str(s.into())
    }
}

/// The entries of a frozen map, sorted by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrozenMap {
    entries: Vec<(Str, Frozen)>,
}

impl FrozenMap {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&Frozen> {
        self.find(key.as_ref()).map(|i| &self.entries[i].1)
    }

    /// The entries in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Frozen)> {
        self.entries.iter().map(|(k, v)| (k, v))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &Str> {
        self.entries.iter().map(|(k, _)| k)
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        let first = prefix(key);
        self.entries.binary_search_by(|(k, _)| k.compare(key, first)).ok()
    }

    pub(crate) fn key(&self, index: usize) -> &Str {
        &self.entries[index].0
    }

    pub(crate) fn scalar(&self, index: usize) -> Option<Value> {
        self.entries[index].1.scalar()
    }

    pub(crate) fn thaw_at(&self, index: usize) -> Value {
        self.entries[index].1.thaw()
    }
}

impl FromIterator<(Str, Frozen)> for FrozenMap {
    fn from_iter<I: IntoIterator<Item = (Str, Frozen)>>(entries: I) -> FrozenMap {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.reverse();
        entries.dedup_by(|a, b| a.0 == b.0);
        entries.reverse();
        FrozenMap { entries }
    }
}
