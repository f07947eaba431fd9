//! Template values as YAML and JSON, and documents as template values, the way Helm's functions do it.

use std::borrow::Cow;
use std::collections::HashMap;

use gotemplate::types::{LIST, MAP};
use gotemplate::{Ctx, Error, List, Map, Str, Value, json};
use goyaml::{Build, Number, Sink, YamlWriter};

/// Refuses what JSON has no form for, and values that nest too deeply or hold themselves.
fn check(ctx: &mut Ctx, value: &Value, depth: usize) -> Result<(), Error> {
    ctx.check_nesting(depth)?;
    ctx.work(1)?;
    match value {
        Value::List(list) => list.iter().try_for_each(|item| check(ctx, item, depth + 1)),
        Value::Map(map) => map.values().iter().try_for_each(|value| check(ctx, value, depth + 1)),
        Value::Host(host) => match host.json().or_else(|| host.underlying()) {
            Some(shown) => check(ctx, &shown, depth + 1),
            None => host.fields().iter().try_for_each(|(_, field)| check(ctx, field, depth + 1)),
        },
        Value::Func(_) | Value::Complex(..) => Err(Error::msg(format!(
            "error marshaling into JSON: json: unsupported type: {}",
            value.type_name()
        ))),
        _ => Ok(()),
    }
}

/// `yaml.Marshal`, newline and all.
pub(super) fn to_yaml(ctx: &mut Ctx, value: &Value) -> Result<String, Error> {
    check(ctx, value, 0)?;
    let text = goyaml::to_yaml(value).map_err(|error| {
        let json = if error.kind() == goyaml::ErrorKind::Json { "error marshaling into JSON: " } else { "" };
        Error::msg(format!("{json}{error}"))
    })?;
    ctx.charge(text.len())?;
    Ok(text)
}

/// Helm's `mustToYaml`: without the newline at the end.
pub(super) fn to_yaml_trimmed(ctx: &mut Ctx, value: &Value) -> Result<String, Error> {
    let mut text = to_yaml(ctx, value)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Nothing where something cannot be written; limits stay errors.
pub(super) fn or_empty(written: Result<String, Error>) -> Result<String, Error> {
    match written {
        Err(error) if error.limit().is_none() => Ok(String::new()),
        written => written,
    }
}

/// Helm's `toYamlPretty`: go-yaml v3 itself, not by way of JSON.
pub(super) fn to_yaml_pretty(ctx: &mut Ctx, value: &Value) -> Result<String, Error> {
    let mut writer = Pretty { writer: YamlWriter::pretty(2), times: Vec::new() };
    writer.write(ctx, value, 0)?;
    let mut text = writer.finish();
    if text.ends_with('\n') {
        text.pop();
    }
    ctx.charge(text.len())?;
    Ok(text)
}

/// Writes values as go-yaml v3 does.
struct Pretty {
    writer: YamlWriter,
    /// Timestamps, which are plain scalars; the writer only knows texts, so each is written as a
    /// mark that is replaced at the end.
    times: Vec<String>,
}

/// A text that stands for a timestamp: plain, and made of characters that are nobody's.
fn time_mark(at: usize) -> String {
    format!("\u{f8ff}{at}\u{f8ff}")
}

impl Pretty {
    fn finish(self) -> String {
        let text = self.writer.finish().unwrap_or_default();
        self.times.iter().enumerate().fold(text, |text, (at, time)| text.replace(&time_mark(at), time))
    }

    fn write(&mut self, ctx: &mut Ctx, value: &Value, depth: usize) -> Result<(), Error> {
        ctx.check_nesting(depth)?;
        ctx.work(1)?;
        match value {
            Value::Nil => self.writer.null(),
            Value::Bool(b) => self.writer.bool(*b),
            Value::Int(i, _) => self.writer.number(Number::Int(*i)),
            Value::Uint(u, _) => self.writer.number(Number::Uint(*u)),
            Value::Float(f) => self.writer.number(Number::Float(*f)),
            Value::Str(s) => self.writer.bytes(s.as_bytes()),
            Value::Bytes(bytes) => {
                let bytes = bytes.as_deref().unwrap_or_default();
                self.writer.begin_array(bytes.len());
                for byte in bytes {
                    self.writer.number(Number::Int(i64::from(*byte)));
                }
                self.writer.end_array();
            }
            Value::List(list) => {
                self.writer.begin_array(list.len());
                for item in list.iter() {
                    self.write(ctx, item, depth + 1)?;
                }
                self.writer.end_array();
            }
            Value::Map(map) => self.map(ctx, map, depth)?,
            Value::Host(host) => {
                if let Some(text) = host.underlying().and(host.string()) {
                    self.writer.bytes(text.as_bytes());
                } else if let Some(Value::Str(text)) = host.json() {
                    if host.go_type().name() == "time.Time" {
                        self.writer.string(&time_mark(self.times.len()));
                        self.times.push(text.to_string_lossy().into_owned());
                    } else {
                        self.writer.bytes(text.as_bytes());
                    }
                } else {
                    let fields = host.fields();
                    self.writer.begin_object(fields.len());
                    for (name, value) in fields {
                        self.writer.key(&name.to_lowercase());
                        self.write(ctx, &value, depth + 1)?;
                    }
                    self.writer.end_object();
                }
            }
            Value::Complex(..) | Value::Func(_) => {
                return Err(Error::msg(format!("cannot marshal type: {}", value.type_name())));
            }
        }
        Ok(())
    }

    fn map(&mut self, ctx: &mut Ctx, map: &Map, depth: usize) -> Result<(), Error> {
        let entries = map.entries();
        let keys: Vec<Cow<'_, str>> = entries.iter().map(|(key, _)| key.to_string_lossy()).collect();
        let mut order: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        self.writer.sort_keys(&mut order);
        let by_key: HashMap<&str, &Value> =
            keys.iter().map(AsRef::as_ref).zip(entries.iter().map(|(_, value)| value)).collect();
        self.writer.begin_object(order.len());
        for key in order {
            self.writer.key(key);
            self.write(ctx, by_key[key], depth + 1)?;
        }
        self.writer.end_object();
        Ok(())
    }
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
        Ok(Value::Nil) => return Value::Map(Map::new()),
        Ok(other) => wrong_shape(&other, MAP.name()),
        Err(error) => error,
    };
    Value::map([("Error", Value::from(error))])
}

/// Helm's `fromYamlArray`: a list, with the error as its only item if the text is none.
pub(super) fn from_yaml_array(text: &[u8]) -> Value {
    let error = match from_yaml_any(text) {
        Ok(list @ Value::List(_)) => return list,
        Ok(Value::Nil) => return Value::list(Vec::new()),
        Ok(other) => wrong_shape(&other, LIST.name()),
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

/// Helm's `fromJson`: a map, with the key `Error` if the text is none.
pub(super) fn from_json(text: &[u8]) -> Value {
    let decoded = json::decode_into(text, MAP);
    match (decoded.value, decoded.error) {
        (Value::Map(map), Some(error)) => {
            map.insert("Error", Value::from(error));
            Value::Map(map)
        }
        (_, Some(error)) => Value::map([("Error", Value::from(error))]),
        (map @ Value::Map(_), None) => map,
        (_, None) => Value::Map(Map::nil(MAP)),
    }
}

/// Helm's `fromJsonArray`: a list, with the error as its only item if the text is none.
pub(super) fn from_json_array(text: &[u8]) -> Value {
    let decoded = json::decode_into(text, LIST);
    match (decoded.value, decoded.error) {
        (_, Some(error)) => Value::list(vec![Value::from(error)]),
        (list @ Value::List(_), None) => list,
        (_, None) => Value::List(List::nil(LIST)),
    }
}
