//! Template values as YAML and JSON, and documents as template values, the way Helm's functions do it.

use std::borrow::Cow;
use std::cell::RefCell;

use gotemplate::types::MAP;
use gotemplate::{List, Map, Str, Value};
use goyaml::{Build, Number, Sink, Tree, YamlWriter};

/// How deep `encoding/json` follows values before it looks for cycles.
const MAX_DEPTH: usize = 1000;

/// A value on its way to JSON or, through JSON, to YAML.
struct Encoded<'a> {
    value: &'a Value,
    /// Struct fields keep their order in JSON; YAML sorts them.
    sorted: bool,
    depth: usize,
    problem: &'a RefCell<Option<String>>,
}

impl Encoded<'_> {
    fn child<S: Sink>(&self, value: &Value, sink: &mut S) {
        let child = Encoded { value, sorted: self.sorted, depth: self.depth + 1, problem: self.problem };
        child.walk(sink);
    }

    fn fail(&self, text: String) {
        self.problem.borrow_mut().get_or_insert(text);
    }

    fn entries<S: Sink, K: AsRef<str>>(&self, entries: &[(K, Value)], sort: bool, sink: &mut S) {
        let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_ref()).collect();
        if sort {
            sink.sort_keys(&mut keys);
        }
        sink.begin_object(keys.len());
        for key in keys {
            sink.key(key);
            if let Some((_, value)) = entries.iter().find(|(name, _)| name.as_ref() == key) {
                self.child(value, sink);
            }
        }
        sink.end_object();
    }
}

impl Tree for Encoded<'_> {
    fn walk<S: Sink>(&self, sink: &mut S) {
        if self.depth > MAX_DEPTH {
            self.fail(format!("json: unsupported value: encountered a cycle via {}", self.value.type_name()));
            sink.null();
            return;
        }
        match self.value {
            Value::Nil | Value::Bytes(None) => sink.null(),
            Value::Bool(b) => sink.bool(*b),
            Value::Int(i, _) => sink.number(Number::Int(*i)),
            Value::Uint(u, _) => sink.number(Number::Uint(*u)),
            Value::Float(f) => sink.number(Number::Float(*f)),
            Value::Str(s) => sink.string(&goyaml::json::go_utf8(s.as_bytes())),
            Value::Bytes(Some(bytes)) => {
                use base64::Engine as _;
                sink.string(&base64::engine::general_purpose::STANDARD.encode(bytes));
            }
            Value::List(list) if list.is_nil() => sink.null(),
            Value::List(list) => {
                sink.begin_array(list.len());
                for item in list.iter() {
                    self.child(item, sink);
                }
                sink.end_array();
            }
            Value::Map(map) if map.is_nil() => sink.null(),
            Value::Map(map) => {
                let entries = map.entries();
                let mut keys: Vec<Cow<'_, str>> =
                    entries.iter().map(|(key, _)| goyaml::json::go_utf8(key.as_bytes())).collect();
                let mut order: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
                sink.sort_keys(&mut order);
                sink.begin_object(order.len());
                if order.iter().zip(&keys).all(|(a, b)| *a == b.as_ref()) {
                    for (key, (_, value)) in keys.drain(..).zip(&entries) {
                        sink.key(&key);
                        self.child(value, sink);
                    }
                } else {
                    let mut by_key: Vec<(&str, &Value)> =
                        keys.iter().map(AsRef::as_ref).zip(entries.iter().map(|(_, value)| value)).collect();
                    by_key.sort_by_key(|(key, _)| *key);
                    for key in order {
                        sink.key(key);
                        if let Ok(at) = by_key.binary_search_by_key(&key, |(key, _)| *key) {
                            self.child(by_key[at].1, sink);
                        }
                    }
                }
                sink.end_object();
            }
            Value::Host(host) => {
                if let Some(json) = host.json() {
                    self.child(&json, sink);
                } else if let Some(plain) = host.underlying() {
                    self.child(&plain, sink);
                } else {
                    self.entries(&host.fields(), self.sorted, sink);
                }
            }
            Value::Complex(..) | Value::Func(_) => {
                self.fail(format!("json: unsupported type: {}", self.value.type_name()));
                sink.null();
            }
        }
    }
}

fn encoded<T>(
    value: &Value,
    sorted: bool,
    write: impl FnOnce(&Encoded<'_>) -> goyaml::Result<T>,
) -> Result<T, String> {
    let problem = RefCell::new(None);
    let written = write(&Encoded { value, sorted, depth: 0, problem: &problem });
    match problem.into_inner() {
        Some(problem) => Err(problem),
        None => written.map_err(|error| error.to_string()),
    }
}

/// `yaml.Marshal`, newline and all.
pub(super) fn to_yaml(value: &Value) -> Result<String, String> {
    encoded(value, true, |tree| goyaml::to_yaml(tree))
}

/// Helm's `toYaml`: without the newline at the end, empty if it cannot be done.
pub(super) fn to_yaml_trimmed(value: &Value) -> String {
    let mut text = to_yaml(value).unwrap_or_default();
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

/// `json.Marshal`
pub(super) fn to_json(value: &Value) -> Result<String, String> {
    encoded(value, false, |tree| goyaml::to_json(tree))
}

/// Helm's `toYamlPretty`: go-yaml v3 itself, not by way of JSON.
pub(super) fn to_yaml_pretty(value: &Value) -> Option<String> {
    let mut writer = YamlWriter::pretty(2);
    pretty(value, 0, &mut writer)?;
    let mut text = writer.finish().ok()?;
    if text.ends_with('\n') {
        text.pop();
    }
    Some(text)
}

fn pretty(value: &Value, depth: usize, writer: &mut YamlWriter) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match value {
        Value::Nil => writer.null(),
        Value::Bool(b) => writer.bool(*b),
        Value::Int(i, _) => writer.number(Number::Int(*i)),
        Value::Uint(u, _) => writer.number(Number::Uint(*u)),
        Value::Float(f) => writer.number(Number::Float(*f)),
        Value::Str(s) => writer.bytes(s.as_bytes()),
        Value::Bytes(bytes) => {
            let bytes = bytes.as_deref().unwrap_or_default();
            writer.begin_array(bytes.len());
            for byte in bytes {
                writer.number(Number::Int(i64::from(*byte)));
            }
            writer.end_array();
        }
        Value::List(list) => {
            writer.begin_array(list.len());
            for item in list.iter() {
                pretty(item, depth + 1, writer)?;
            }
            writer.end_array();
        }
        Value::Map(map) => {
            let entries = map.entries();
            let keys: Vec<Cow<'_, str>> = entries.iter().map(|(key, _)| key.to_string_lossy()).collect();
            let mut order: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
            writer.sort_keys(&mut order);
            writer.begin_object(order.len());
            for key in order {
                writer.key(key);
                if let Some(at) = keys.iter().position(|name| name == key) {
                    pretty(&entries[at].1, depth + 1, writer)?;
                }
            }
            writer.end_object();
        }
        Value::Host(host) => {
            if let Some(text) = host.underlying().and(host.string()) {
                writer.bytes(text.as_bytes());
            } else if let Some(json @ Value::Str(_)) = host.json() {
                pretty(&json, depth + 1, writer)?;
            } else {
                let fields = host.fields();
                writer.begin_object(fields.len());
                for (name, value) in fields {
                    writer.key(&name.to_lowercase());
                    pretty(&value, depth + 1, writer)?;
                }
                writer.end_object();
            }
        }
        Value::Complex(..) | Value::Func(_) => return None,
    }
    Some(())
}

/// Builds template values from documents; every number is a float, as JSON's are.
pub(super) struct ValueBuilder;

impl Build for ValueBuilder {
    type Node = Value;

    fn null(&mut self) -> Value {
        Value::Nil
    }

    fn bool(&mut self, value: bool) -> Value {
        Value::Bool(value)
    }

    fn number(&mut self, value: Number) -> Value {
        Value::Float(value.as_f64())
    }

    fn string(&mut self, value: Cow<'_, str>) -> Value {
        Value::Str(Str::from(value))
    }

    fn array(&mut self, items: Vec<Value>) -> Value {
        Value::list(items)
    }

    fn object(&mut self, entries: Vec<(Cow<'_, str>, Value)>) -> Value {
        let entries = entries.into_iter().map(|(key, value)| (Str::from(key), value)).collect();
        Value::Map(Map::from_entries(MAP, entries))
    }
}

/// A document as `sigs.k8s.io/yaml` reads it into `interface{}`.
fn from_yaml_any(text: &[u8]) -> Result<Value, String> {
    goyaml::decode_bytes(text, goyaml::Options::default(), &mut ValueBuilder)
        .map_err(|error| format!("error converting YAML to JSON: {error}"))
}

fn wrong_shape(found: &Value, wanted: &str) -> String {
    let found = match found {
        Value::Bool(_) => "bool",
        Value::Float(_) => "number",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        _ => "string",
    };
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type {wanted}"
    )
}

/// Helm's `fromYaml`: a map, with the key `Error` if the text is none.
pub(super) fn from_yaml(text: &[u8]) -> Value {
    let error = match from_yaml_any(text) {
        Ok(map @ Value::Map(_)) => return map,
        Ok(Value::Nil) => return Value::Map(Map::nil(MAP)),
        Ok(other) => wrong_shape(&other, MAP.name()),
        Err(error) => error,
    };
    Value::map([("Error", Value::from(error))])
}

/// Helm's `fromYamlArray`: a list, with the error as its only item if the text is none.
pub(super) fn from_yaml_array(text: &[u8]) -> Value {
    let error = match from_yaml_any(text) {
        Ok(list @ Value::List(_)) => return list,
        Ok(Value::Nil) => return Value::List(List::nil(gotemplate::types::LIST)),
        Ok(other) => wrong_shape(&other, gotemplate::types::LIST.name()),
        Err(error) => error,
    };
    Value::list(vec![Value::from(error)])
}

/// An object of the cluster: whole numbers are `int64`, as the Kubernetes client decodes them.
pub(super) fn from_cluster(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => match n.as_i64() {
            Some(i) => Value::int64(i),
            None => Value::Float(n.as_f64().unwrap_or(f64::MAX)),
        },
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_cluster).collect()),
        serde_json::Value::Object(map) => {
            Value::map(map.iter().map(|(key, value)| (key.as_str(), from_cluster(value))))
        }
    }
}

fn from_json_any(text: &[u8]) -> Result<Value, String> {
    let json: serde_json::Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    Ok(plain(&json))
}

fn plain(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::MAX)),
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => Value::list(items.iter().map(plain).collect()),
        serde_json::Value::Object(map) => {
            Value::map(map.iter().map(|(key, value)| (key.as_str(), plain(value))))
        }
    }
}

/// Helm's `fromJson`: a map, with the key `Error` if the text is none.
pub(super) fn from_json(text: &[u8]) -> Value {
    match from_json_any(text) {
        Ok(map @ Value::Map(_)) => map,
        Ok(Value::Nil) => Value::Map(Map::nil(MAP)),
        Ok(_) => Value::map([("Error", Value::from("json: cannot unmarshal into Go value"))]),
        Err(error) => Value::map([("Error", Value::from(error))]),
    }
}

/// Helm's `fromJsonArray`: a list, with the error as its only item if the text is none.
pub(super) fn from_json_array(text: &[u8]) -> Value {
    match from_json_any(text) {
        Ok(list @ Value::List(_)) => list,
        Ok(Value::Nil) => Value::List(List::nil(gotemplate::types::LIST)),
        Ok(_) => Value::list(vec![Value::from("json: cannot unmarshal into Go value")]),
        Err(error) => Value::list(vec![Value::from(error)]),
    }
}
