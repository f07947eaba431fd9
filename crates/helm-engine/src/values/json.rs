//! JSON exactly as Go's `encoding/json` writes it: HTML escapes, its float format, sorted keys.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

/// The `serde_json` formatter that gives Go's text.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoJson;

impl Formatter for GoJson {
    fn write_f32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        writer.write_all(go_float(f64::from(value)).as_bytes())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(go_float(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut from = 0;
        for (at, c) in text.char_indices() {
            let escape = match c {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&text.as_bytes()[from..at])?;
            writer.write_all(escape.as_bytes())?;
            from = at + c.len_utf8();
        }
        writer.write_all(&text.as_bytes()[from..])
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let text = match escape {
            CharEscape::Quote => "\\\"",
            CharEscape::ReverseSolidus => "\\\\",
            CharEscape::Solidus => "/",
            CharEscape::Backspace => "\\b",
            CharEscape::FormFeed => "\\f",
            CharEscape::LineFeed => "\\n",
            CharEscape::CarriageReturn => "\\r",
            CharEscape::Tab => "\\t",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(text.as_bytes())
    }
}

/// Writes any serialisable value as Go would, without a trailing newline.
///
/// # Errors
/// When the value's own `Serialize` fails, as with a map whose keys are no text.
pub fn go_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, GoJson);
    value.serialize(&mut serializer)?;
    Ok(out)
}

/// [`go_json`] for a JSON value, as text.
#[must_use]
pub fn go_json_value(value: &serde_json::Value) -> String {
    let bytes = go_json(value).expect("a JSON value always serialises");
    String::from_utf8(bytes).expect("the serializer writes UTF-8")
}

/// A float as a JSON number; whole numbers that fit become integers.
pub(crate) fn number(value: f64) -> serde_json::Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return serde_json::Value::from(value as i64);
    }
    serde_json::Number::from_f64(value).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

/// `encoding/json`'s float: shortest digits, exponents only below 1e-6 and from 1e21 on.
pub(crate) fn go_float(value: f64) -> String {
    goyaml::number::format_json(value).unwrap_or_else(|| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_go_writes_them() {
        for (value, text) in [
            (1.0, "1"),
            (-0.5, "-0.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-6, "0.000001"),
            (89_844_095_334_105.13, "89844095334105.12"),
            (1e-7, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (1e300, "1e+300"),
            (0.0, "0"),
        ] {
            assert_eq!(go_float(value), text);
        }
    }

    #[test]
    fn text_is_escaped_for_html() {
        let value = serde_json::json!({"b": "<a>&\u{2028}", "a": "\u{8}\u{c}\u{1}\n\"\\/"});
        assert_eq!(go_json_value(&value), r#"{"a":"\b\f\u0001\n\"\\/","b":"\u003ca\u003e\u0026\u2028"}"#);
    }
}
