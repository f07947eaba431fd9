//! What a plain scalar means: go-yaml's resolver.

use crate::error::{Error, ErrorKind, Result};
use crate::timestamp::is_timestamp;

/// Which go-yaml's rules apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Schema {
    /// go-yaml v2, as `sigs.k8s.io/yaml` uses it (Helm values, Flux, kubectl): `yes`, `on`, `y` and their like are booleans.
    #[default]
    V2,
    /// go-yaml v3 as kyaml (kustomize) uses it: only `true` and `false` are booleans, a key that occurs twice is an
    /// error, merge keys do not replace what the map has. Keys stay their text, and so do timestamps.
    V3,
}

pub(crate) const STR_TAG: &str = "tag:yaml.org,2002:str";
pub(crate) const BINARY_TAG: &str = "tag:yaml.org,2002:binary";
pub(crate) const MERGE_TAG: &str = "tag:yaml.org,2002:merge";
const BOOL_TAG: &str = "tag:yaml.org,2002:bool";
const INT_TAG: &str = "tag:yaml.org,2002:int";
const FLOAT_TAG: &str = "tag:yaml.org,2002:float";
const NULL_TAG: &str = "tag:yaml.org,2002:null";
const TIMESTAMP_TAG: &str = "tag:yaml.org,2002:timestamp";
const LONG_PREFIX: &str = "tag:yaml.org,2002:";

/// A scalar's meaning; where it is a string, the string is the scalar's text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// Above the range of `i64`.
    Uint(u64),
    Float(f64),
    Str,
    Timestamp,
    /// A string in base64.
    Binary,
    /// A string under a tag go-yaml does not know.
    Tagged,
}

impl Resolved {
    fn short_tag(self) -> &'static str {
        match self {
            Resolved::Null => "!!null",
            Resolved::Bool(_) => "!!bool",
            Resolved::Int(_) | Resolved::Uint(_) => "!!int",
            Resolved::Float(_) => "!!float",
            Resolved::Timestamp => "!!timestamp",
            Resolved::Binary => "!!binary",
            Resolved::Str | Resolved::Tagged => "!!str",
        }
    }
}

pub(crate) fn short_tag(tag: &str) -> String {
    match tag.strip_prefix(LONG_PREFIX) {
        Some(rest) => format!("!!{rest}"),
        None => tag.to_owned(),
    }
}

/// Resolves a scalar with a tag, or without one (`""`).
pub(crate) fn resolve(schema: Schema, tag: &str, text: &str) -> Result<Resolved> {
    match tag {
        "" => return Ok(resolve_plain(schema, text, true)),
        STR_TAG => return Ok(Resolved::Str),
        BINARY_TAG => return Ok(Resolved::Binary),
        BOOL_TAG | INT_TAG | FLOAT_TAG | NULL_TAG | TIMESTAMP_TAG => {}
        _ => return Ok(Resolved::Tagged),
    }
    let found = resolve_plain(schema, text, tag == TIMESTAMP_TAG);
    let fits = match found {
        Resolved::Null => tag == NULL_TAG,
        Resolved::Bool(_) => tag == BOOL_TAG,
        Resolved::Int(value) if tag == FLOAT_TAG => return Ok(Resolved::Float(value as f64)),
        Resolved::Int(_) | Resolved::Uint(_) => tag == INT_TAG,
        Resolved::Float(_) => tag == FLOAT_TAG,
        Resolved::Timestamp => tag == TIMESTAMP_TAG,
        _ => false,
    };
    if fits {
        return Ok(found);
    }
    let text = format!("cannot decode {} `{text}` as a {}", found.short_tag(), short_tag(tag));
    Err(Error::yaml(ErrorKind::Decode, text))
}

/// Whether a string written plain would be read as a string again.
pub(crate) fn is_plain_string(schema: Schema, text: &str) -> bool {
    matches!(resolve_plain(schema, text, true), Resolved::Str)
}

fn resolve_plain(schema: Schema, text: &str, timestamps: bool) -> Resolved {
    let Some(&first) = text.as_bytes().first() else { return Resolved::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(schema, text),
        b'.' => match text {
            ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" => Resolved::Float(f64::INFINITY),
            _ => parse_float(text, true).map_or(Resolved::Str, Resolved::Float),
        },
        b'+' | b'-' | b'0'..=b'9' => number(schema, text, timestamps),
        _ => Resolved::Str,
    }
}

fn word(schema: Schema, text: &str) -> Resolved {
    match text {
        "true" | "True" | "TRUE" => Resolved::Bool(true),
        "false" | "False" | "FALSE" => Resolved::Bool(false),
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if schema == Schema::V2 => {
            Resolved::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if schema == Schema::V2 => {
            Resolved::Bool(false)
        }
        _ => Resolved::Str,
    }
}

fn number(schema: Schema, text: &str, timestamps: bool) -> Resolved {
    let bytes = text.as_bytes();
    // The commonest case: a short decimal number.
    if bytes.len() <= 18 && bytes[0] != b'0' && bytes.iter().all(u8::is_ascii_digit) {
        return Resolved::Int(bytes.iter().fold(0, |value, c| value * 10 + i64::from(c - b'0')));
    }
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // What no number or timestamp contains settles most strings.
    if !bytes
        .iter()
        .all(|&c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.' | b'_' | b':' | b' ' | b','))
    {
        return Resolved::Str;
    }
    if timestamps && is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let without;
    let plain = if text.contains('_') {
        without = text.replace('_', "");
        &without
    } else {
        text
    };
    if let Some(found) = parse_int(plain) {
        return found;
    }
    if is_yaml_float(plain)
        && let Some(value) = parse_float(plain, false)
    {
        return Resolved::Float(value);
    }
    for (prefix, radix) in [("0b", 2), ("0o", 8)] {
        if radix == 8 && schema == Schema::V2 {
            continue;
        }
        if let Some(rest) = plain.strip_prefix(prefix) {
            if let Ok(value) = i64::from_str_radix(rest, radix) {
                return Resolved::Int(value);
            }
            if !rest.starts_with('+')
                && let Ok(value) = u64::from_str_radix(rest, radix)
            {
                return Resolved::Uint(value);
            }
        } else if let Some(rest) = plain.strip_prefix('-').and_then(|rest| rest.strip_prefix(prefix))
            && !rest.starts_with(['+', '-'])
            && let Ok(value) = i64::from_str_radix(&format!("-{rest}"), radix)
        {
            return Resolved::Int(value);
        }
    }
    Resolved::Str
}

/// `strconv.ParseInt(s, 0, 64)`, then `strconv.ParseUint(s, 0, 64)`; the underscores are gone already.
fn parse_int(text: &str) -> Option<Resolved> {
    let (negative, signed, digits) = match text.as_bytes()[..] {
        [b'-', ..] => (true, true, &text[1..]),
        [b'+', ..] => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match (negative, i64::try_from(value)) {
        (false, Ok(value)) => Some(Resolved::Int(value)),
        (true, Ok(value)) => Some(Resolved::Int(-value)),
        (true, Err(_)) if value == 1 << 63 => Some(Resolved::Int(i64::MIN)),
        // ParseUint takes no sign.
        (false, Err(_)) if !signed => Some(Resolved::Uint(value)),
        _ => None,
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_yaml_float(text: &str) -> bool {
    fn digits(bytes: &[u8]) -> (usize, &[u8]) {
        let count = bytes.iter().take_while(|c| c.is_ascii_digit()).count();
        (count, &bytes[count..])
    }
    let mut rest = text.as_bytes();
    if let [b'+' | b'-', tail @ ..] = rest {
        rest = tail;
    }
    let (whole, tail) = digits(rest);
    rest = tail;
    if let [b'.', tail @ ..] = rest {
        let (fraction, tail) = digits(tail);
        if whole == 0 && fraction == 0 {
            return false;
        }
        rest = tail;
    } else if whole == 0 {
        return false;
    }
    if let [b'e' | b'E', tail @ ..] = rest {
        rest = tail;
        if let [b'+' | b'-', tail @ ..] = rest {
            rest = tail;
        }
        let (exponent, tail) = digits(rest);
        return exponent > 0 && tail.is_empty();
    }
    rest.is_empty()
}

/// `strconv.ParseFloat(s, 64)` for a text that starts with a digit, a sign or a dot.
///
/// `underscores` says whether the text may still hold some, which ParseFloat refuses in decimal numbers.
fn parse_float(text: &str, underscores: bool) -> Option<f64> {
    if underscores && !is_yaml_float(text) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // A number out of range is an error in Go.
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(text: &str) -> Resolved {
        resolve(Schema::V2, "", text).unwrap()
    }

    #[test]
    fn resolves_integers_as_go_does() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("+1", 1),
            ("0777", 511),
            ("-010", -8),
            ("0o17", 15),
            ("0x1F", 31),
            ("0b101", 5),
            ("1_000", 1000),
            ("1__0", 10),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(v2(text), Resolved::Int(value), "{text}");
        }
        assert_eq!(v2("18446744073709551615"), Resolved::Uint(u64::MAX));
    }

    #[test]
    fn resolves_floats_as_go_does() {
        for (text, value) in
            [("08", 8.0), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("+1.5", 1.5), ("1_0.5", 10.5)]
        {
            assert_eq!(v2(text), Resolved::Float(value), "{text}");
        }
        assert_eq!(v2("123456789012345678901234567890"), Resolved::Float(123456789012345678901234567890.0));
        for text in ["1e500", ".", "1:30", "0x", "1e", "-", "+", "._5", "1.2.3", "0b2", "1e3x", "--1", "+-1"]
        {
            assert_eq!(v2(text), Resolved::Str, "{text}");
        }
    }

    #[test]
    fn words_depend_on_the_schema() {
        assert_eq!(v2("yes"), Resolved::Bool(true));
        assert_eq!(v2("n"), Resolved::Bool(false));
        assert_eq!(v2("yEs"), Resolved::Str);
        assert_eq!(resolve(Schema::V3, "", "yes").unwrap(), Resolved::Str);
        assert_eq!(resolve(Schema::V3, "", "True").unwrap(), Resolved::Bool(true));
    }

    #[test]
    fn tags_are_checked() {
        assert_eq!(resolve(Schema::V2, FLOAT_TAG, "1").unwrap(), Resolved::Float(1.0));
        let error = resolve(Schema::V2, INT_TAG, "x").unwrap_err();
        assert_eq!(error.to_string(), "yaml: cannot decode !!str `x` as a !!int");
    }
}
