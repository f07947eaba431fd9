//! A graph of values with Go's sharing: two tables may hold the very same table.
//!
//! Helm coalesces values in place and hands nested tables on without copying, so that a subchart's
//! default can show up in its parent's `global`. Doing the same on shared nodes gives the same
//! result without listing the cases.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Map, Value};

/// A table that several places may share.
pub(crate) type Table = Rc<RefCell<BTreeMap<String, Node>>>;

/// One value of the graph.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Rc<str>),
    List(Rc<Vec<Node>>),
    Table(Table),
}

impl Node {
    /// A deep copy that shares nothing.
    pub(crate) fn from_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Int(i) => Self::Int(*i),
            Value::Float(f) => Self::Float(*f),
            Value::String(s) => Self::String(s.as_str().into()),
            Value::List(items) => Self::List(Rc::new(items.iter().map(Self::from_value).collect())),
            Value::Map(map) => Self::Table(table(map)),
        }
    }

    /// The value, sharing forgotten.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(i) => Value::Int(*i),
            Self::Float(f) => Value::Float(*f),
            Self::String(s) => Value::String(s.as_ref().to_owned()),
            Self::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Self::Table(table) => Value::Map(to_map(table)),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// A table of its own with the contents of `map`.
pub(crate) fn table(map: &Map) -> Table {
    Rc::new(RefCell::new(map.iter().map(|(key, value)| (key.clone(), Node::from_value(value))).collect()))
}

/// An empty table.
pub(crate) fn empty() -> Table {
    Table::default()
}

/// The contents of a table, sharing forgotten.
pub(crate) fn to_map(table: &Table) -> Map {
    table.borrow().iter().map(|(key, node)| (key.clone(), node.to_value())).collect()
}

/// A table with the same entries; nested tables stay shared.
pub(crate) fn shallow_copy(table: &Table) -> Table {
    Rc::new(RefCell::new(table.borrow().clone()))
}

/// The table at a dotted path, as Go's `Values.Table`.
pub(crate) fn table_at(root: &Table, path: &str) -> Option<Table> {
    let mut current = root.clone();
    for name in path.split('.') {
        let next = current.borrow().get(name)?.as_table()?.clone();
        current = next;
    }
    Some(current)
}

/// The value at a dotted path unless it is a table, as Go's `Values.PathValue`.
pub(crate) fn value_at(root: &Table, path: &str) -> Option<Node> {
    let (table, key) = match path.rsplit_once('.') {
        Some((tables, key)) => (table_at(root, tables)?, key),
        None => (root.clone(), path),
    };
    let found = table.borrow().get(key)?.clone();
    found.as_table().is_none().then_some(found)
}
