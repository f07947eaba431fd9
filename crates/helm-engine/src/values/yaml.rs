//! Values files: one or more YAML documents whose tables are merged.

use super::{Map, Value, merge_maps};
use crate::gostring;
use crate::yaml::{self, Yaml, YamlError};

/// A values file that cannot be read; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// A document is no YAML.
    #[error("cannot unmarshal yaml document: {0}")]
    Document(#[from] YamlError),
    /// Something other than a comment follows a `---`.
    #[error("error reading yaml document: invalid Yaml document separator: {0}")]
    Separator(String),
    /// A document is something else than a table.
    #[error(
        "cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {0} into Go value of type map[string]interface {{}}"
    )]
    NotATable(&'static str),
}

impl Value {
    /// A decoded document as values: every number is a `float64`.
    pub(crate) fn from_yaml(yaml: Yaml) -> Self {
        match yaml {
            Yaml::Null => Self::Null,
            Yaml::Bool(b) => Self::Bool(b),
            Yaml::Number(number) => Self::Float(number.as_f64()),
            Yaml::String(s) => Self::String(s),
            Yaml::List(items) => Self::List(items.into_iter().map(Self::from_yaml).collect()),
            Yaml::Map(map) => Self::Map(map.into_iter().map(|(k, v)| (k, Self::from_yaml(v))).collect()),
        }
    }
}

/// Reads one YAML document as values.
///
/// # Errors
/// When the text is no YAML or cannot be JSON.
pub fn parse_yaml(text: &str) -> Result<Value, YamlError> {
    yaml::parse(text).map(Value::from_yaml)
}

/// Reads one YAML document that is a table or nothing.
///
/// # Errors
/// When the text is no YAML or no table.
pub fn parse_yaml_map(text: &str) -> Result<Map, ValuesError> {
    match parse_yaml(text)? {
        Value::Map(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        Value::Bool(_) => Err(ValuesError::NotATable("bool")),
        Value::Int(_) | Value::Float(_) => Err(ValuesError::NotATable("number")),
        Value::String(_) => Err(ValuesError::NotATable("string")),
        Value::List(_) => Err(ValuesError::NotATable("array")),
    }
}

/// Reads a values file: all its documents, merged in their order.
///
/// # Errors
/// When a document is no YAML or no table.
pub fn load_values(data: &[u8]) -> Result<Map, ValuesError> {
    let text = gostring::text(data);
    let mut values = Map::new();
    for document in documents(&text)? {
        values = merge_maps(values, parse_yaml_map(&document)?);
    }
    Ok(values)
}

/// Cuts a stream as apimachinery's reader does: where a line starts with `---`, which may be
/// followed by a comment only; carriage returns at line ends are lost.
fn documents(text: &str) -> Result<Vec<String>, ValuesError> {
    let mut documents = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("---") {
            let rest = gostring::trim_space(rest);
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(ValuesError::Separator(rest.to_owned()));
            }
            if !current.is_empty() {
                documents.push(std::mem::take(&mut current));
                continue;
            }
        }
        current.push_str(line);
        current.push('\n');
    }
    if !current.is_empty() {
        documents.push(current);
    }
    Ok(documents)
}

/// Writes values as helm's `toYaml` does, with a newline at the end.
#[must_use]
pub fn to_yaml(values: &Map) -> String {
    super::go_json_value(&super::map_to_json(values)) + "\n"
}
