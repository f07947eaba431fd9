//! Values as templates hold them, and the way there and back.
//!
//! Helm coalesces values in place and hands nested tables on without copying, so that a subchart's
//! default can show up in its parent's `global`. The template engine's maps share in the same way,
//! and defaults that no user touches stay frozen until a template looks at them.

use std::sync::Arc;

use gotemplate::{Frozen, FrozenMap, Map as Table, Value as Node};

use super::{Map, Value};

/// Values that several renders share.
pub(crate) fn freeze(map: &Map) -> Arc<FrozenMap> {
    Arc::new(map.iter().map(|(key, value)| (key.as_str().into(), freeze_value(value))).collect())
}

fn freeze_value(value: &Value) -> Frozen {
    match value {
        Value::Null => Frozen::Nil,
        Value::Bool(b) => Frozen::Bool(*b),
        Value::Int(i) => Frozen::Int64(*i),
        Value::Float(f) => Frozen::Float(*f),
        Value::String(s) => Frozen::from(s.as_str()),
        Value::List(items) => Frozen::list(items.iter().map(freeze_value)),
        Value::Map(map) => Frozen::Map(freeze(map)),
    }
}

/// The same without null entries of tables, at every depth but not inside lists.
pub(crate) fn without_nulls(map: &FrozenMap) -> Arc<FrozenMap> {
    let kept = map.iter().filter(|(_, value)| !matches!(value, Frozen::Nil)).map(|(key, value)| {
        let value = match value {
            Frozen::Map(map) => Frozen::Map(without_nulls(map)),
            other => other.clone(),
        };
        (key.clone(), value)
    });
    Arc::new(kept.collect())
}

/// A table of its own with the contents of `map`.
pub(crate) fn table(map: &Map) -> Table {
    thaw(&freeze(map))
}

/// A render's own view of frozen values.
pub(crate) fn thaw(map: &Arc<FrozenMap>) -> Table {
    Table::from_frozen(gotemplate::types::MAP, map.clone())
}

/// A template's value as a plain one; what is no plain value becomes null.
pub(crate) fn to_value(node: &Node) -> Value {
    match node {
        Node::Bool(b) => Value::Bool(*b),
        Node::Int(i, _) => Value::Int(*i),
        Node::Uint(u, _) => i64::try_from(*u).map_or(Value::Null, Value::Int),
        Node::Float(f) => Value::Float(*f),
        Node::Str(s) => Value::String(s.to_string_lossy().into_owned()),
        Node::List(items) => Value::List(items.iter().map(to_value).collect()),
        Node::Map(table) => Value::Map(to_map(table)),
        Node::Nil | Node::Complex(..) | Node::Bytes(_) | Node::Host(_) | Node::Func(_) => Value::Null,
    }
}

/// The contents of a table, sharing forgotten.
pub(crate) fn to_map(table: &Table) -> Map {
    let entries = table.entries();
    entries.iter().map(|(key, node)| (key.to_string_lossy().into_owned(), to_value(node))).collect()
}

/// The table at a dotted path, as Go's `Values.Table`.
pub(crate) fn table_at(root: &Table, path: &str) -> Option<Table> {
    let mut current = root.clone();
    for name in path.split('.') {
        current = current.get(name)?.as_map()?.clone();
    }
    Some(current)
}

/// The value at a dotted path unless it is a table, as Go's `Values.PathValue`.
pub(crate) fn value_at(root: &Table, path: &str) -> Option<Node> {
    let (table, key) = match path.rsplit_once('.') {
        Some((tables, key)) => (table_at(root, tables)?, key),
        None => (root.clone(), path),
    };
    let found = table.get(key)?;
    found.as_map().is_none().then_some(found)
}
