//! What the decoder makes: any tree that can be built from its parts.

use std::borrow::Cow;

use crate::value::{Map, Number, Value};

/// Builds a tree from decoded YAML, so that no caller needs an intermediate one.
pub trait Build {
    /// A node of the tree.
    type Node;

    /// `null`.
    fn null(&mut self) -> Self::Node;
    /// `true` or `false`.
    fn bool(&mut self, value: bool) -> Self::Node;
    /// A number; a float is finite.
    fn number(&mut self, value: Number) -> Self::Node;
    /// A string.
    fn string(&mut self, value: Cow<'_, str>) -> Self::Node;
    /// A list.
    fn array(&mut self, items: Vec<Self::Node>) -> Self::Node;
    /// The value of this key of a map is built next. A builder that needs a part of a document only can tell by it
    /// what to leave out.
    fn enter(&mut self, _key: &str) {}
    /// The value of the key that was entered last is built.
    fn leave(&mut self) {}
    /// A map; the keys differ from each other and come in the order of the text.
    fn object(&mut self, entries: Vec<(Cow<'_, str>, Self::Node)>) -> Self::Node;
}

/// Builds [`Value`]s; integers stay integers unless `floats` is set.
#[derive(Debug, Clone, Copy, Default)]
pub struct ValueBuilder {
    /// Make every number a float, as Go's `encoding/json` does when it decodes into `interface{}`.
    pub floats: bool,
}

impl Build for ValueBuilder {
    type Node = Value;

    fn null(&mut self) -> Value {
        Value::Null
    }

    fn bool(&mut self, value: bool) -> Value {
        Value::Bool(value)
    }

    fn number(&mut self, value: Number) -> Value {
        Value::Number(if self.floats { Number::Float(value.as_f64()) } else { value })
    }

    fn string(&mut self, value: Cow<'_, str>) -> Value {
        Value::String(value.into_owned())
    }

    fn array(&mut self, items: Vec<Value>) -> Value {
        Value::Array(items)
    }

    fn object(&mut self, entries: Vec<(Cow<'_, str>, Value)>) -> Value {
        let mut map = Map::with_capacity(entries.len());
        map.extend(entries.into_iter().map(|(key, value)| (key.into_owned(), value)));
        Value::Object(map)
    }
}

/// Builds `serde_json` values, integers exact.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonBuilder;

impl Build for JsonBuilder {
    type Node = serde_json::Value;

    fn null(&mut self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn bool(&mut self, value: bool) -> serde_json::Value {
        serde_json::Value::Bool(value)
    }

    fn number(&mut self, value: Number) -> serde_json::Value {
        value.into()
    }

    fn string(&mut self, value: Cow<'_, str>) -> serde_json::Value {
        serde_json::Value::String(value.into_owned())
    }

    fn array(&mut self, items: Vec<serde_json::Value>) -> serde_json::Value {
        serde_json::Value::Array(items)
    }

    fn object(&mut self, entries: Vec<(Cow<'_, str>, serde_json::Value)>) -> serde_json::Value {
        serde_json::Value::Object(entries.into_iter().map(|(key, value)| (key.into_owned(), value)).collect())
    }
}
