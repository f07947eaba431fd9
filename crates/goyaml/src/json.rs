//! JSON as Go's `encoding/json` writes it.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Result};
use crate::number;
use crate::tree::{Sink, Tree};
use crate::value::Number;

/// `json.Marshal`: one line, keys sorted, `<`, `>` and `&` escaped.
pub fn to_json<T: Tree + ?Sized>(value: &T) -> Result<String> {
    write(value, JsonWriter::new(true, false))
}

/// `json.Encoder` with `SetEscapeHTML(false)`, without the line break at the end: sprig's `toRawJson`.
pub fn to_json_raw<T: Tree + ?Sized>(value: &T) -> Result<String> {
    write(value, JsonWriter::new(false, false))
}

/// `json.MarshalIndent(value, "", "  ")`: sprig's `toPrettyJson`.
pub fn to_json_pretty<T: Tree + ?Sized>(value: &T) -> Result<String> {
    write(value, JsonWriter::new(true, true))
}

fn write<T: Tree + ?Sized>(value: &T, mut writer: JsonWriter) -> Result<String> {
    value.walk(&mut writer);
    writer.finish()
}

/// Writes JSON as it is handed a tree.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: String,
    escape_html: bool,
    pretty: bool,
    depth: usize,
    /// Whether the next item or key of the collection is its first.
    first: bool,
    /// Whether a key was just written.
    after_key: bool,
    error: Option<Error>,
}

impl JsonWriter {
    /// A writer; `escape_html` is Go's default, `pretty` indents by two spaces.
    pub fn new(escape_html: bool, pretty: bool) -> Self {
        Self { escape_html, pretty, first: true, ..Self::default() }
    }

    /// The text, or Go's error for a number that JSON does not have.
    pub fn finish(self) -> Result<String> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.out),
        }
    }

    /// Writes what stands before an item or a key.
    fn separate(&mut self) {
        if self.after_key {
            self.after_key = false;
            return;
        }
        if self.depth == 0 {
            return;
        }
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.break_line();
    }

    fn break_line(&mut self) {
        if self.pretty {
            self.out.push('\n');
            for _ in 0..self.depth {
                self.out.push_str("  ");
            }
        }
    }

    fn begin(&mut self, bracket: char) {
        self.separate();
        self.out.push(bracket);
        self.depth += 1;
        self.first = true;
    }

    fn end(&mut self, bracket: char) {
        self.depth -= 1;
        if !self.first {
            self.break_line();
        }
        self.out.push(bracket);
        self.first = false;
    }
}

impl Sink for JsonWriter {
    fn null(&mut self) {
        self.separate();
        self.out.push_str("null");
    }

    fn bool(&mut self, value: bool) {
        self.separate();
        self.out.push_str(if value { "true" } else { "false" });
    }

    fn number(&mut self, value: Number) {
        self.separate();
        match value {
            Number::Int(value) => push_int(&mut self.out, value),
            Number::Uint(value) => self.out.push_str(&value.to_string()),
            Number::Float(value) => match number::format_json(value) {
                Some(text) => self.out.push_str(&text),
                None if self.error.is_none() => {
                    let text = format!("json: unsupported value: {}", number::format_g(value));
                    self.error = Some(Error::new(ErrorKind::Json, text));
                }
                None => {}
            },
        }
    }

    fn string(&mut self, value: &str) {
        self.separate();
        push_string(&mut self.out, value, self.escape_html);
    }

    fn begin_array(&mut self, _len: usize) {
        self.begin('[');
    }

    fn end_array(&mut self) {
        self.end(']');
    }

    fn begin_object(&mut self, _len: usize) {
        self.begin('{');
    }

    fn key(&mut self, key: &str) {
        self.separate();
        push_string(&mut self.out, key, self.escape_html);
        self.out.push_str(if self.pretty { ": " } else { ":" });
        self.after_key = true;
    }

    fn end_object(&mut self) {
        self.end('}');
    }

    fn sort_keys(&self, keys: &mut [&str]) {
        keys.sort_unstable();
    }
}

/// Appends a whole number in decimal.
pub(crate) fn push_int(out: &mut String, value: i64) {
    // Small numbers are most numbers.
    match value {
        0..=9 => out.push(char::from(b'0' + value as u8)),
        _ => out.push_str(&value.to_string()),
    }
}

/// Appends a string as JSON with its quotes.
pub fn push_string(out: &mut String, text: &str, escape_html: bool) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, &c) in bytes.iter().enumerate() {
        let short = match c {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0C => "\\f",
            0..=0x1F => "",
            b'<' | b'>' | b'&' if escape_html => "",
            // U+2028 and U+2029.
            0xE2 if bytes[i + 1] == 0x80 && matches!(bytes[i + 2], 0xA8 | 0xA9) => {
                out.push_str(&text[start..i]);
                out.push_str(if bytes[i + 2] == 0xA8 { "\\u2028" } else { "\\u2029" });
                start = i + 3;
                continue;
            }
            _ => continue,
        };
        out.push_str(&text[start..i]);
        if short.is_empty() {
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(c >> 4)]));
            out.push(char::from(HEX[usize::from(c & 0xF)]));
        } else {
            out.push_str(short);
        }
        start = i + 1;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

/// Bytes as the text Go's JSON makes of them: each byte that is not UTF-8 becomes U+FFFD.
pub fn go_utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(std::iter::repeat_n('\u{FFFD}', chunk.invalid().len()));
    }
    Cow::Owned(out)
}

/// `strconv.Quote`.
pub(crate) fn quote_go(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\x07' => "\\a",
            '\x08' => "\\b",
            '\x0C' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\x0B' => "\\v",
            _ => "",
        };
        // Writing to a string cannot fail.
        let _written = match c {
            _ if !short.is_empty() => out.write_str(short),
            ' ' => out.write_char(' '),
            '\0'..='\x1F' | '\x7F' => write!(out, "\\x{:02x}", u32::from(c)),
            _ if is_go_print(c) => out.write_char(c),
            '\0'..='\u{FFFF}' => write!(out, "\\u{:04x}", u32::from(c)),
            _ => write!(out, "\\U{:08x}", u32::from(c)),
        };
    }
    out.push('"');
    out
}

/// `strconv.IsPrint`, by what Rust's `Debug` escapes; the two agree on all but a few unassigned characters.
fn is_go_print(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && c.escape_debug().len() == 1 || matches!(c, '\'' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn value() -> Value {
        let json = r#"{"b":[1,{"x":[]},{}],"a":{"<&>":"\u2028é\u0001"},"c":1e21}"#;
        Value::from(serde_json::from_str::<serde_json::Value>(json).unwrap())
    }

    #[test]
    fn writes_as_go_does() {
        assert_eq!(
            to_json(&value()).unwrap(),
            r#"{"a":{"\u003c\u0026\u003e":"\u2028é\u0001"},"b":[1,{"x":[]},{}],"c":1e+21}"#
        );
        assert_eq!(
            to_json_raw(&value()).unwrap(),
            r#"{"a":{"<&>":"\u2028é\u0001"},"b":[1,{"x":[]},{}],"c":1e+21}"#
        );
        assert_eq!(
            to_json_pretty(&value()).unwrap(),
            "{\n  \"a\": {\n    \"\\u003c\\u0026\\u003e\": \"\\u2028é\\u0001\"\n  },\n  \"b\": [\n    1,\n    \
             {\n      \"x\": []\n    },\n    {}\n  ],\n  \"c\": 1e+21\n}"
        );
    }

    #[test]
    fn refuses_what_json_does_not_have() {
        let error = to_json(&Value::from(f64::NEG_INFINITY)).unwrap_err();
        assert_eq!(error.to_string(), "json: unsupported value: -Inf");
    }

    #[test]
    fn every_bad_byte_is_replaced() {
        assert_eq!(go_utf8(b"a\xE2\x82z"), "a\u{FFFD}\u{FFFD}z");
    }
}
