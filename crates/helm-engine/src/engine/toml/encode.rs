//! TOML as `BurntSushi/toml` writes it: plain keys first, then tables, two blanks per level.

use gotemplate::{Host, Value};

/// Helm's `toToml`.
///
/// # Errors
/// With the encoder's text, for values TOML has no form for.
pub(in crate::engine) fn encode(value: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder { out: Vec::new() };
    if value.is_nil() {
        return Err(EncodeError {
            text: "reflect: call of reflect.Value.Type on zero Value".to_owned(),
            is_panic: true,
        });
    }
    encoder
        .encode(&[], value, 0)
        .map_err(|text| EncodeError { is_panic: text.starts_with("reflect: "), text })?;
    Ok(encoder.out)
}

/// Why a value cannot be written.
pub(in crate::engine) struct EncodeError {
    pub(in crate::engine) text: String,
    /// Go's encoder panics instead of returning it, so that even `toToml` fails.
    pub(in crate::engine) is_panic: bool,
}

/// How deep values may nest; deeper ones hold themselves.
const MAX_DEPTH: usize = 1000;

type Key = [Vec<u8>];

struct Encoder {
    out: Vec<u8>,
}

/// What the format makes of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar,
    Array,
    ArrayOfTables,
    Table,
}

/// Entries of a table in the order they are declared or sorted.
fn entries(value: &Value) -> Vec<(Vec<u8>, Value)> {
    match value {
        Value::Map(map) => {
            map.entries().into_iter().map(|(key, value)| (key.as_bytes().to_vec(), value)).collect()
        }
        Value::Host(host) => {
            host.fields().into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect()
        }
        _ => Vec::new(),
    }
}

/// The text or plain value a host object is written as, if it is no struct.
fn scalar_host(host: &dyn Host) -> Option<Value> {
    if let Some(plain) = host.underlying() {
        return Some(host.string().map_or(plain, Value::Str));
    }
    match host.json() {
        Some(text @ Value::Str(_)) => Some(text),
        _ => None,
    }
}

fn is_nil(value: &Value) -> bool {
    match value {
        Value::Nil | Value::Bytes(None) => true,
        Value::List(list) => list.is_nil(),
        Value::Map(map) => map.is_nil(),
        _ => false,
    }
}

/// The TOML type; none for nil.
fn kind(value: &Value) -> Result<Option<Kind>, String> {
    if is_nil(value) {
        return Ok(None);
    }
    Ok(Some(match value {
        Value::Map(_) => Kind::Table,
        Value::Host(host) if scalar_host(&**host).is_none() => Kind::Table,
        Value::List(list) => {
            let mut tables = !list.is_empty();
            for item in list.iter() {
                let item = kind(item)?.ok_or("toml: cannot encode array with nil element")?;
                tables &= item == Kind::Table;
            }
            if tables { Kind::ArrayOfTables } else { Kind::Array }
        }
        Value::Bytes(_) => Kind::Array,
        Value::Complex(..) => return Err("unsupported type: complex128".to_owned()),
        Value::Func(_) => return Err("unsupported type: func".to_owned()),
        _ => Kind::Scalar,
    }))
}

impl Encoder {
    fn write(&mut self, text: impl AsRef<[u8]>) {
        self.out.extend_from_slice(text.as_ref());
    }

    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, key: &Key) {
        for _ in 1..key.len() {
            self.write("  ");
        }
    }

    fn encode(&mut self, key: &Key, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("toml: values nest too deeply".to_owned());
        }
        match value {
            Value::Nil => Ok(()),
            Value::Map(map) if map.is_nil() => Ok(()),
            Value::Map(_) => self.table(key, value, depth),
            Value::Host(host) if scalar_host(&**host).is_none() => self.table(key, value, depth),
            Value::List(list) if kind(value)? == Some(Kind::ArrayOfTables) => {
                if key.is_empty() {
                    return Err("toml: top-level values must be Go maps or structs".to_owned());
                }
                for item in list.iter() {
                    self.newline();
                    self.indent(key);
                    self.write("[[");
                    self.path(key);
                    self.write("]]");
                    self.newline();
                    self.table_body(key, item, false, depth)?;
                }
                Ok(())
            }
            Value::Complex(..) => Err(unsupported(key, "complex128")),
            Value::Func(_) => Err(unsupported(key, "func")),
            _ => self.key_value(key, value, false, depth),
        }
    }

    fn table(&mut self, key: &Key, value: &Value, depth: usize) -> Result<(), String> {
        if key.len() == 1 {
            self.newline();
        }
        if !key.is_empty() {
            self.indent(key);
            self.write("[");
            self.path(key);
            self.write("]");
            self.newline();
        }
        self.table_body(key, value, false, depth)
    }

    fn table_body(&mut self, key: &Key, value: &Value, inline: bool, depth: usize) -> Result<(), String> {
        let (mut direct, mut sub) = (Vec::new(), Vec::new());
        for (name, value) in entries(value) {
            match kind(&value)? {
                Some(Kind::Table | Kind::ArrayOfTables) => sub.push((name, value)),
                _ => direct.push((name, value)),
            }
        }
        if inline {
            self.write("{");
        }
        let has_sub = !sub.is_empty();
        for (group, trailing) in [(direct, has_sub), (sub, false)] {
            let last = group.len().saturating_sub(1);
            for (at, (name, value)) in group.iter().enumerate() {
                if is_nil(value) {
                    continue;
                }
                if inline {
                    self.key_value(std::slice::from_ref(name), value, true, depth)?;
                    if trailing || at != last {
                        self.write(", ");
                    }
                } else {
                    let mut below = key.to_vec();
                    below.push(name.clone());
                    self.encode(&below, value, depth + 1)?;
                }
            }
        }
        if inline {
            self.write("}");
        }
        Ok(())
    }

    fn key_value(&mut self, key: &Key, value: &Value, inline: bool, depth: usize) -> Result<(), String> {
        let Some(last) = key.last() else { return self.element(value, depth) };
        self.indent(key);
        let name = maybe_quoted(last);
        self.write(name);
        self.write(" = ");
        self.element(value, depth)?;
        if !inline {
            self.newline();
        }
        Ok(())
    }

    fn element(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("toml: values nest too deeply".to_owned());
        }
        match value {
            Value::Bool(b) => self.write(b.to_string()),
            Value::Int(i, _) => self.write(i.to_string()),
            Value::Uint(u, _) => self.write(u.to_string()),
            Value::Float(f) => self.write(float(*f)),
            Value::Str(s) => {
                let quoted = quoted(s.as_bytes());
                self.write(quoted);
            }
            Value::Bytes(bytes) => {
                let bytes: Vec<String> =
                    bytes.as_deref().unwrap_or_default().iter().map(u8::to_string).collect();
                self.write(format!("[{}]", bytes.join(", ")));
            }
            Value::List(list) => {
                self.write("[");
                for (at, item) in list.iter().enumerate() {
                    self.element(item, depth + 1)?;
                    if at + 1 != list.len() {
                        self.write(", ");
                    }
                }
                self.write("]");
            }
            Value::Map(_) => self.table_body(&[], value, true, depth + 1)?,
            Value::Host(host) => match scalar_host(&**host) {
                Some(Value::Str(text)) if host.go_type().name() == "time.Time" => self.write(text.as_bytes()),
                Some(plain) => self.element(&plain, depth + 1)?,
                None => self.table_body(&[], value, true, depth + 1)?,
            },
            Value::Nil => return Err("reflect: call of reflect.Value.Interface on zero Value".to_owned()),
            Value::Complex(..) | Value::Func(_) => {
                return Err(format!("unexpected type: {}", value.type_name()));
            }
        }
        Ok(())
    }

    fn path(&mut self, key: &Key) {
        for (at, part) in key.iter().enumerate() {
            if at > 0 {
                self.write(".");
            }
            let part = maybe_quoted(part);
            self.write(part);
        }
    }
}

fn unsupported(key: &Key, kind: &str) -> String {
    let key: Vec<String> = key.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    format!("unsupported type for key '{}': {kind}", key.join("."))
}

fn float(value: f64) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let text = goyaml::number::format_g(value);
    if text.contains(['e', '.']) { text } else { text + ".0" }
}

fn maybe_quoted(key: &[u8]) -> Vec<u8> {
    let bare = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-';
    if !key.is_empty() && key.iter().all(bare) { key.to_vec() } else { quoted(key) }
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}
