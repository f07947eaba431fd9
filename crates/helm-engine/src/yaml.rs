//! The one door to YAML: documents as Helm's YAML library reads them.

use std::collections::BTreeMap;

/// A document as the YAML library decodes it, before it becomes JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    List(Vec<Yaml>),
    Map(BTreeMap<String, Yaml>),
}

/// Text that is no YAML, or YAML that is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error converting YAML to JSON: {0}")]
pub struct YamlError(pub String);

fn from_json(json: serde_json::Value) -> Yaml {
    match json {
        serde_json::Value::Null => Yaml::Null,
        serde_json::Value::Bool(b) => Yaml::Bool(b),
        serde_json::Value::Number(n) => {
            n.as_i64().map_or_else(|| Yaml::Float(n.as_f64().unwrap_or(f64::MAX)), Yaml::Int)
        }
        serde_json::Value::String(s) => Yaml::String(s),
        serde_json::Value::Array(items) => Yaml::List(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(map) => {
            Yaml::Map(map.into_iter().map(|(k, v)| (k, from_json(v))).collect())
        }
    }
}

/// Reads the first document of a text.
pub(crate) fn parse(text: &str) -> Result<Yaml, YamlError> {
    serde_json::from_str(text).map(from_json).map_err(|error| YamlError(format!("yaml: {error}")))
}

/// A scalar where a text is wanted: numbers and booleans are written out, 32-bit precision and all.
pub(crate) fn scalar_text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(s) => Some(s.clone()),
        Yaml::Bool(b) => Some(b.to_string()),
        Yaml::Int(i) => Some(i.to_string()),
        Yaml::Float(f) => Some(f.to_string()),
        Yaml::Null | Yaml::List(_) | Yaml::Map(_) => None,
    }
}

/// What `encoding/json` calls a value in its errors.
pub(crate) fn json_kind(value: &Yaml) -> &'static str {
    match value {
        Yaml::Null => "null",
        Yaml::Bool(_) => "bool",
        Yaml::Int(_) | Yaml::Float(_) => "number",
        Yaml::String(_) => "string",
        Yaml::List(_) => "array",
        Yaml::Map(_) => "object",
    }
}
