//! Writing values as JSON, and handing them to goyaml's writers.

use goyaml::json::{JsonWriter, go_utf8};
use goyaml::{Number, Sink, Tree};

use crate::types::BYTES;
use crate::{Ctx, Error, Value};

/// How JSON is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `json.Marshal`: one line; `<`, `>` and `&` are escaped.
    Compact,
    /// One line, nothing escaped for HTML.
    Raw,
    /// Indented by two spaces; escaped for HTML.
    Pretty,
}

/// Writes a value as JSON, or gives Go's error for what JSON cannot hold.
pub fn encode(ctx: &mut Ctx, value: &Value, style: Style) -> Result<String, Error> {
    check(ctx, value, 0)?;
    let mut writer = JsonWriter::new(style != Style::Raw, style == Style::Pretty);
    walk(value, &mut writer, FieldOrder::Declared);
    let text = writer.finish().map_err(|error| Error::msg(error.to_string()))?;
    ctx.charge(text.len())?;
    Ok(text)
}

/// Refuses values that are nested too deeply or of a kind that JSON does not have.
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
        Value::Func(_) | Value::Complex(..) => {
            Err(Error::msg(format!("json: unsupported type: {}", value.type_name())))
        }
        _ => Ok(()),
    }
}

/// In which order the fields of a struct come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldOrder {
    /// As declared, which is how JSON is written.
    Declared,
    /// As the writer wants keys: YAML is made of maps.
    OfTheWriter,
}

/// Values as trees for YAML. What JSON does not have comes out as `null`; [`encode`] tells it apart.
/// The caller bounds the nesting, as with [`Ctx::check_nesting`].
impl Tree for Value {
    fn walk<S: Sink>(&self, sink: &mut S) {
        walk(self, sink, FieldOrder::OfTheWriter);
    }
}

fn walk<S: Sink>(value: &Value, sink: &mut S, order: FieldOrder) {
    match value {
        Value::Nil | Value::Func(_) | Value::Complex(..) | Value::Bytes(None) => sink.null(),
        Value::Bool(truth) => sink.bool(*truth),
        Value::Int(number, _) => sink.number(Number::Int(*number)),
        Value::Uint(number, _) => sink.number(Number::Uint(*number)),
        Value::Float(number) => sink.number(Number::Float(*number)),
        Value::Str(text) => sink.string(&go_utf8(text)),
        Value::Bytes(Some(bytes)) => {
            sink.string(&String::from_utf8_lossy(&crate::sprig::base64_encode(bytes)));
        }
        Value::List(list) if list.is_nil() => sink.null(),
        Value::List(list) => {
            // A slice of bytes under another name would be base64; no function makes one.
            debug_assert!(list.go_type() != BYTES, "byte slices are `Value::Bytes`");
            sink.begin_array(list.len());
            for item in list.iter() {
                walk(item, sink, order);
            }
            sink.end_array();
        }
        Value::Map(map) if map.is_nil() => sink.null(),
        Value::Map(map) => {
            let entries = map.entries();
            walk_entries(entries.iter().map(|(key, value)| (go_utf8(key), value)), sink, order, true);
        }
        Value::Host(host) => match host.json().or_else(|| host.underlying()) {
            Some(shown) => walk(&shown, sink, order),
            None => {
                let fields = host.fields();
                let sort = order == FieldOrder::OfTheWriter;
                walk_entries(fields.iter().map(|(name, value)| ((*name).into(), value)), sink, order, sort);
            }
        },
    }
}

fn walk_entries<'v, S: Sink>(
    entries: impl Iterator<Item = (std::borrow::Cow<'v, str>, &'v Value)>,
    sink: &mut S,
    order: FieldOrder,
    sort: bool,
) {
    let entries: Vec<_> = entries.collect();
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| &**key).collect();
    sink.begin_object(keys.len());
    if sort {
        sink.sort_keys(&mut keys);
        let unchanged = keys.iter().zip(&entries).all(|(key, (name, _))| *key == name);
        if !unchanged {
            // Keys are distinct but for texts that became equal by replacing invalid bytes.
            for key in keys {
                let found = entries.iter().find(|(name, _)| name == key);
                sink.key(key);
                walk(found.map_or(&Value::Nil, |(_, value)| value), sink, order);
            }
            sink.end_object();
            return;
        }
    }
    for (key, value) in &entries {
        sink.key(key);
        walk(value, sink, order);
    }
    sink.end_object();
}
