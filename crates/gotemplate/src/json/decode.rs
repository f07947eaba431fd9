//! Reading JSON as `json.Unmarshal` reads it into an interface, with its error texts.

use crate::gofmt::{can_backquote, decode_rune, is_print, quote, quote_rune};
use crate::types::{LIST, MAP};
use crate::{GoType, Str, Value};

/// Deepest nesting Go reads.
const MAX_DEPTH: usize = 10_000;

/// Go's text for a document that ends too early.
const UNEXPECTED_END: &str = "unexpected end of JSON input";

/// A document that was read, in whole or up to a value that does not fit.
#[derive(Debug)]
pub struct Decoded {
    /// What was read; nil when the text is no JSON.
    pub value: Value,
    /// Go's error, if there was one.
    pub error: Option<String>,
}

/// Reads a document into `interface {}`.
pub fn decode(text: &[u8]) -> Decoded {
    let mut reader = Reader { text, position: 0, range_error: None, path: Vec::new() };
    match reader.document() {
        Ok(value) => Decoded { value, error: reader.range_error },
        Err(error) => Decoded { value: Value::Nil, error: Some(error) },
    }
}

/// Reads a document into a map (`map[string]interface {}`) or a list (`[]interface {}`). A document of
/// another kind is Go's error; `null` leaves nil.
pub fn decode_into(text: &[u8], target: GoType) -> Decoded {
    let decoded = decode(text);
    let found = match decoded.value {
        _ if decoded.error.is_some() && decoded.value.is_nil() => return decoded,
        Value::Nil => return decoded,
        Value::Map(_) if target == MAP => return decoded,
        Value::List(_) if target == LIST => return decoded,
        Value::Map(_) => "object",
        Value::List(_) => "array",
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    Decoded {
        value: Value::Nil,
        error: Some(format!("json: cannot unmarshal {found} into Go value of type {target}")),
    }
}

struct Reader<'t> {
    text: &'t [u8],
    position: usize,
    /// The first number too large for a float; reading goes on behind it.
    range_error: Option<String>,
    /// Keys and indices of the collections being read.
    path: Vec<String>,
}

/// A collection that is being read.
enum Open {
    List(Vec<Value>),
    Map(Vec<(Str, Value)>, Str),
}

impl Reader<'_> {
    /// Reads a value and makes sure that nothing follows. Nesting is on the heap.
    fn document(&mut self) -> Result<Value, String> {
        let mut open: Vec<Open> = Vec::new();
        'value: loop {
            let mut value = match self.peek()? {
                b'[' => {
                    self.enter(&mut open, Open::List(Vec::new()))?;
                    if self.peek()? != b']' {
                        self.path.push("0".to_owned());
                        continue 'value;
                    }
                    self.position += 1;
                    open.pop();
                    Value::list(Vec::new())
                }
                b'{' => {
                    self.enter(&mut open, Open::Map(Vec::new(), Str::EMPTY))?;
                    if self.peek()? != b'}' {
                        self.key(&mut open)?;
                        continue 'value;
                    }
                    self.position += 1;
                    open.pop();
                    Value::Map(crate::Map::new())
                }
                b'"' => Value::Str(self.string()?),
                b't' => self.literal("true", Value::Bool(true))?,
                b'f' => self.literal("false", Value::Bool(false))?,
                b'n' => self.literal("null", Value::Nil)?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => return Err(self.unexpected("looking for beginning of value")),
            };
            // The value ends its collection, or another one follows.
            loop {
                match open.last_mut() {
                    None => {
                        return match self.peek() {
                            Ok(_) => Err(self.unexpected("after top-level value")),
                            Err(_) => Ok(value),
                        };
                    }
                    Some(Open::List(items)) => {
                        items.push(value);
                        let next = items.len().to_string();
                        self.path.pop();
                        match self.peek()? {
                            b',' => {
                                self.position += 1;
                                self.path.push(next);
                                continue 'value;
                            }
                            b']' => value = self.close(&mut open),
                            _ => return Err(self.unexpected("after array element")),
                        }
                    }
                    Some(Open::Map(entries, key)) => {
                        entries.push((std::mem::take(key), value));
                        self.path.pop();
                        match self.peek()? {
                            b',' => {
                                self.position += 1;
                                self.peek()?;
                                self.key(&mut open)?;
                                continue 'value;
                            }
                            b'}' => value = self.close(&mut open),
                            _ => return Err(self.unexpected("after object key:value pair")),
                        }
                    }
                }
            }
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Result<u8, String> {
        while let Some(&byte) = self.text.get(self.position) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Ok(byte);
            }
            self.position += 1;
        }
        Err(UNEXPECTED_END.to_owned())
    }

    fn unexpected(&self, place: &str) -> String {
        let rest = &self.text[self.position..];
        let (rune, width) = decode_rune(rest);
        let shown = if rune == char::REPLACEMENT_CHARACTER && width == 1 {
            format!("'\\x{:x}'", rest[0])
        } else {
            quote_rune(u64::from(u32::from(rune)))
        };
        format!("invalid character {shown} {place}")
    }

    fn enter(&mut self, open: &mut Vec<Open>, collection: Open) -> Result<(), String> {
        self.position += 1;
        open.push(collection);
        if open.len() > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        Ok(())
    }

    fn close(&mut self, open: &mut Vec<Open>) -> Value {
        self.position += 1;
        match open.pop() {
            Some(Open::List(items)) => Value::list(items),
            Some(Open::Map(entries, _)) => Value::map(entries),
            None => Value::Nil,
        }
    }

    /// Reads a key and its colon.
    fn key(&mut self, open: &mut [Open]) -> Result<(), String> {
        if self.peek()? != b'"' {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let name = self.string()?;
        if self.peek()? != b':' {
            return Err(self.unexpected("after object key"));
        }
        self.position += 1;
        self.path.push(name.to_string_lossy().replace('~', "~0").replace('/', "~1"));
        if let Some(Open::Map(_, key)) = open.last_mut() {
            *key = name;
        }
        Ok(())
    }

    fn literal(&mut self, literal: &str, value: Value) -> Result<Value, String> {
        for expected in literal.bytes() {
            match self.text.get(self.position) {
                Some(byte) if *byte == expected => self.position += 1,
                Some(_) => {
                    let expected = char::from(expected);
                    return Err(self.unexpected(&format!("in literal {literal} (expecting '{expected}')")));
                }
                None => return Err(UNEXPECTED_END.to_owned()),
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.position;
        if self.text[start] == b'-' {
            self.position += 1;
        }
        match self.text.get(self.position) {
            Some(b'0') => self.position += 1,
            _ => self.digits()?,
        }
        if self.text.get(self.position) == Some(&b'.') {
            self.position += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.position), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.text.get(self.position), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        let digits = String::from_utf8_lossy(&self.text[start..self.position]);
        let number: f64 = digits.parse().unwrap_or(f64::INFINITY);
        if number.is_finite() {
            return Ok(Value::Float(number));
        }
        let place = match self.path.as_slice() {
            [] => "Go value".to_owned(),
            path => format!("Go struct field .{}", path.join(".")),
        };
        self.range_error.get_or_insert_with(|| {
            format!("json: cannot unmarshal number {digits} into {place} of type float64")
        });
        Ok(Value::Float(0.0))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), String> {
        match self.text.get(self.position) {
            None => return Err(UNEXPECTED_END.to_owned()),
            Some(byte) if !byte.is_ascii_digit() => return Err(self.unexpected("in numeric literal")),
            Some(_) => {}
        }
        while self.text.get(self.position).is_some_and(u8::is_ascii_digit) {
            self.position += 1;
        }
        Ok(())
    }

    /// Reads a string; bytes that are not UTF-8, and halves of surrogate pairs, become U+FFFD.
    fn string(&mut self) -> Result<Str, String> {
        self.position += 1;
        let mut out = Vec::new();
        loop {
            let rest = &self.text[self.position..];
            match rest {
                [] => return Err(UNEXPECTED_END.to_owned()),
                [b'"', ..] => {
                    self.position += 1;
                    return Ok(Str::from(out));
                }
                [b'\\', ..] => self.escape(&mut out)?,
                [byte, ..] if *byte < b' ' => return Err(self.unexpected("in string")),
                [byte, ..] if byte.is_ascii() => {
                    out.push(*byte);
                    self.position += 1;
                }
                _ => {
                    let (rune, width) = decode_rune(rest);
                    out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
                    self.position += width;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let rest = &self.text[self.position..];
        let simple = match rest.get(1) {
            None => return Err(UNEXPECTED_END.to_owned()),
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode_escape(out),
            Some(_) => return Err(invalid_escape(&rest[..2])),
        };
        out.push(simple);
        self.position += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let rest = &self.text[self.position..];
        let Some(unit) = hex_unit(rest) else {
            let is_prefix = rest.len() < 6 && rest[2..].iter().all(u8::is_ascii_hexdigit);
            return Err(if is_prefix {
                UNEXPECTED_END.to_owned()
            } else {
                invalid_escape(&rest[..rest.len().min(6)])
            });
        };
        self.position += 6;
        let rune = match unit {
            0xd800..=0xdbff => match hex_unit(&rest[6..]) {
                Some(low @ 0xdc00..=0xdfff) => {
                    self.position += 6;
                    char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
                }
                _ => None,
            },
            unit => char::from_u32(unit),
        };
        let rune = rune.unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}

/// The number behind `\u` and four digits.
fn hex_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

fn invalid_escape(sequence: &[u8]) -> String {
    let text = String::from_utf8_lossy(sequence);
    let plain = can_backquote(sequence) && text.chars().all(|c| !c.is_whitespace() && is_print(c));
    if plain {
        format!("invalid escape sequence `{text}` in string")
    } else {
        format!("invalid escape sequence {} in string", quote(sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        decode(text.as_bytes()).error.unwrap()
    }

    #[test]
    fn errors_read_as_in_go() {
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("  ", "unexpected end of JSON input"),
            ("tr", "unexpected end of JSON input"),
            ("{\"a\":1}x", "invalid character 'x' after top-level value"),
            ("- a", "invalid character ' ' in numeric literal"),
            ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
            ("[[t]]", "invalid character ']' in literal true (expecting 'r')"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("[1}", "invalid character '}' after array element"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":01}", "invalid character '1' after object key:value pair"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("\"x\ny\"", "invalid character '\\n' in string"),
            ("\"\\x\"", "invalid escape sequence `\\x` in string"),
            ("1e400", "json: cannot unmarshal number 1e400 into Go value of type float64"),
            (
                "{\"f\":[1,1e400]}",
                "json: cannot unmarshal number 1e400 into Go struct field .f.1 of type float64",
            ),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        assert_eq!(error(&"[".repeat(10_001)), "exceeded max depth");
        assert_eq!(
            decode_into(b"[]", MAP).error.unwrap(),
            "json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
    }

    #[test]
    fn values_are_read() {
        let decoded = decode(br#" {"a":[1,"\u00e9\ud83c\udf89\ud800",null,true],"a":{"b":{}}} "#);
        assert!(decoded.error.is_none());
        let map = decoded.value;
        let inner = map.as_map().unwrap().get("a").unwrap();
        assert_eq!(inner.as_map().unwrap().keys(), [Str::from("b")]);
        let Value::Str(text) = decode(br#""\u00e9\ud83c\udf89\ud800""#).value else { panic!("no string") };
        assert_eq!(text, "\u{e9}\u{1f389}\u{fffd}");
    }
}
