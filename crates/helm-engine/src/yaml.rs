//! The one door to YAML: documents as Helm's YAML library reads them, numbers still what they were.

use std::borrow::Cow;
use std::collections::BTreeMap;

use goyaml::{Build, Number};

/// A document as the YAML library decodes it, before its numbers become floats or texts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Yaml>),
    Map(BTreeMap<String, Yaml>),
}

/// Text that is no YAML, or YAML that is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error converting YAML to JSON: {0}")]
pub struct YamlError(#[from] goyaml::Error);

struct Builder;

impl Build for Builder {
    type Node = Yaml;

    fn null(&mut self) -> Yaml {
        Yaml::Null
    }

    fn bool(&mut self, value: bool) -> Yaml {
        Yaml::Bool(value)
    }

    fn number(&mut self, value: Number) -> Yaml {
        Yaml::Number(value)
    }

    fn string(&mut self, value: Cow<'_, str>) -> Yaml {
        Yaml::String(value.into_owned())
    }

    fn array(&mut self, items: Vec<Yaml>) -> Yaml {
        Yaml::List(items)
    }

    fn object(&mut self, entries: Vec<(Cow<'_, str>, Yaml)>) -> Yaml {
        Yaml::Map(entries.into_iter().map(|(key, value)| (key.into_owned(), value)).collect())
    }
}

/// Reads the first document of a text.
pub(crate) fn parse(text: &str) -> Result<Yaml, YamlError> {
    Ok(goyaml::decode(text, goyaml::Options::default(), &mut Builder)?)
}

/// [`parse`] for bytes.
pub(crate) fn parse_bytes(bytes: &[u8]) -> Result<Yaml, YamlError> {
    Ok(goyaml::decode_bytes(bytes, goyaml::Options::default(), &mut Builder)?)
}

/// A scalar where a text is wanted: numbers and booleans are written out, floats with the digits
/// of 32 bits.
pub(crate) fn scalar_text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(s) => Some(s.clone()),
        Yaml::Bool(b) => Some(b.to_string()),
        Yaml::Number(Number::Int(i)) => Some(i.to_string()),
        Yaml::Number(Number::Uint(u)) => Some(u.to_string()),
        #[expect(clippy::cast_possible_truncation, reason = "the YAML library formats with 32 bits")]
        Yaml::Number(Number::Float(f)) => Some(goyaml::number::format_g32(*f as f32)),
        Yaml::Null | Yaml::List(_) | Yaml::Map(_) => None,
    }
}

/// What `encoding/json` calls a value in its errors.
pub(crate) fn json_kind(value: &Yaml) -> &'static str {
    match value {
        Yaml::Null => "null",
        Yaml::Bool(_) => "bool",
        Yaml::Number(_) => "number",
        Yaml::String(_) => "string",
        Yaml::List(_) => "array",
        Yaml::Map(_) => "object",
    }
}
