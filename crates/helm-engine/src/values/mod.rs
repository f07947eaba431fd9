//! Values as Helm sees them: Go's `map[string]any` with its number types.
//!
//! A values file's numbers are all `float64`; `--set` makes `int64`. Templates can tell the two
//! apart, so [`Value`] keeps them apart too; `serde_json::Value` cannot. This module merges values
//! that a user gives; how they meet a chart's defaults is `coalesce`.

pub(crate) mod coalesce;
mod json;
pub(crate) mod print;
pub mod strvals;
pub(crate) mod tree;
mod yaml;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use coalesce::CoalesceError;
pub use json::{GoJson, go_json, go_json_value};
pub use yaml::{ValuesError, load_values, parse_yaml, parse_yaml_map, to_yaml};

/// A table of values; keys are kept sorted.
pub type Map = BTreeMap<String, Value>;

/// One value, with the number types that templates can tell apart.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// YAML's null.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A Go `int64`, as `--set` and `targetPath` make it.
    Int(i64),
    /// A Go `float64`: every number of a YAML or JSON document.
    Float(f64),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Value>),
    /// A table.
    Map(Map),
}

impl Value {
    /// Reads a JSON value as Go's decoder does: every number is a `float64`.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(n) => Self::Float(n.as_f64().unwrap_or(f64::MAX)),
            serde_json::Value::String(s) => Self::String(s.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(map) => {
                Self::Map(map.iter().map(|(k, v)| (k.clone(), Self::from_json(v))).collect())
            }
        }
    }

    /// The same value as JSON; a whole float within 2^53 becomes an integer, as Go writes it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(i) => (*i).into(),
            Self::Float(f) => json::number(*f),
            Self::String(s) => s.as_str().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(map) => map_to_json(map),
        }
    }

    /// The table inside, if this is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The table inside, to change it, if this is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The text inside, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// Whether this is a table.
    #[must_use]
    pub fn is_map(&self) -> bool {
        matches!(self, Self::Map(_))
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Self::String(s.to_owned())
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        Self::from_json(&json)
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::Float(f) => serializer.serialize_f64(*f),
            Self::String(s) => serializer.serialize_str(s),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(map) => serializer.collect_map(map),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(|json| Self::from_json(&json))
    }
}

/// A table as a JSON object.
#[must_use]
pub fn map_to_json(map: &Map) -> serde_json::Value {
    serde_json::Value::Object(map.iter().map(|(k, v)| (k.clone(), v.to_json())).collect())
}

/// What a caller may give as a release's values: JSON, or a typed table.
pub trait UserValues {
    /// The values as a typed table; anything that is not a table counts as none.
    fn user_values(&self) -> Cow<'_, Map>;
}

impl UserValues for serde_json::Value {
    fn user_values(&self) -> Cow<'_, Map> {
        match Value::from_json(self) {
            Value::Map(map) => Cow::Owned(map),
            _ => Cow::Owned(Map::new()),
        }
    }
}

impl UserValues for Value {
    fn user_values(&self) -> Cow<'_, Map> {
        match self {
            Self::Map(map) => Cow::Borrowed(map),
            _ => Cow::Owned(Map::new()),
        }
    }
}

impl UserValues for Map {
    fn user_values(&self) -> Cow<'_, Map> {
        Cow::Borrowed(self)
    }
}

/// Merges `over` onto `base` as several `-f` files are merged: tables deep, all else replaced,
/// nulls included.
#[must_use]
pub fn merge_maps(mut base: Map, over: Map) -> Map {
    for (key, value) in over {
        match (value, base.get_mut(&key)) {
            (Value::Map(over), Some(Value::Map(under))) => {
                let merged = merge_maps(std::mem::take(under), over);
                *under = merged;
            }
            (value, _) => {
                base.insert(key, value);
            }
        }
    }
    base
}

/// Merges two JSON objects as [`merge_maps`] merges tables; a non-object `over` replaces `base`.
pub fn merge_json(base: &mut serde_json::Value, over: serde_json::Value) {
    match (base, over) {
        (serde_json::Value::Object(base), serde_json::Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(under) if under.is_object() && value.is_object() => merge_json(under, value),
                    _ => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}
