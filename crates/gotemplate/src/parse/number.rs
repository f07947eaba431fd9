//! Number literals: kept in every type that can represent them, like Go's ideal constants.

use super::literal::unquote_char;
use crate::gofmt::quote;

/// A number literal.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
    pub(crate) text: String,
}

impl Number {
    /// A character constant, quotes included.
    pub(super) fn character(text: &[u8]) -> Result<Number, String> {
        let shown = String::from_utf8_lossy(text).into_owned();
        let (code, _, rest) = unquote_char(&text[1..], text[0]).ok_or("invalid syntax")?;
        if rest != b"'" {
            return Err(format!("malformed character constant: {shown}"));
        }
        Ok(Number {
            int: Some(i64::from(code)),
            uint: Some(u64::from(code)),
            float: Some(f64::from(code)),
            complex: None,
            text: shown,
        })
    }

    /// A complex constant such as `1+2i`.
    pub(super) fn complex(text: &[u8]) -> Result<Number, String> {
        let shown = String::from_utf8_lossy(text).into_owned();
        let body = &shown[..shown.len().saturating_sub(1)];
        let split = body
            .char_indices()
            .skip(1)
            .filter(|(i, c)| matches!(c, '+' | '-') && !body[..*i].ends_with(['e', 'E', 'p', 'P']))
            .map(|(i, _)| i)
            .last();
        let parts = split.and_then(|at| Some((parse_float(&body[..at])?, parse_float(&body[at..])?)));
        let Some((re, im)) = parts else { return Err("syntax error scanning complex number".into()) };
        Ok(Number { complex: Some((re, im)), text: shown, ..Number::default() }.simplified())
    }

    /// A number of any other form.
    pub(super) fn parse(text: &[u8]) -> Result<Number, String> {
        let shown = String::from_utf8_lossy(text).into_owned();
        if let Some(body) = shown.strip_suffix('i')
            && let Some(im) = parse_float(body)
        {
            return Ok(Number { complex: Some((0.0, im)), text: shown, ..Number::default() }.simplified());
        }
        let mut number = Number { uint: parse_uint(&shown), int: parse_int(&shown), ..Number::default() };
        if number.int == Some(0) {
            number.uint = Some(0);
        }
        if let Some(int) = number.int {
            number.float = Some(int as f64);
        } else if let Some(uint) = number.uint {
            number.float = Some(uint as f64);
        } else if let Some(float) = parse_float(&shown) {
            if !shown.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err(format!("integer overflow: {}", quote(text)));
            }
            number.float = Some(float);
            number.int = as_int(float);
            number.uint = as_uint(float);
        }
        if number.float.is_none() {
            return Err(format!("illegal number syntax: {}", quote(text)));
        }
        number.text = shown;
        Ok(number)
    }

    fn simplified(mut self) -> Number {
        if let Some((re, im)) = self.complex
            && im == 0.0
        {
            self.float = Some(re);
            self.int = as_int(re);
            self.uint = as_uint(re);
        }
        self
    }
}

/// The integer a float is, as `float64(int64(f)) == f` decides on amd64.
fn as_int(f: f64) -> Option<i64> {
    (f == f.trunc() && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&f))
        .then_some(f as i64)
}

fn as_uint(f: f64) -> Option<u64> {
    (f == f.trunc() && (0.0..18_446_744_073_709_551_616.0).contains(&f)).then_some(f as u64)
}

fn underscores_ok(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text).as_bytes();
    let mut saw = b'^';
    let mut at = 0;
    let mut hex = false;
    if let [b'0', base, ..] = text
        && matches!(base.to_ascii_lowercase(), b'b' | b'o' | b'x')
    {
        at = 2;
        saw = b'0';
        hex = base.eq_ignore_ascii_case(&b'x');
    }
    for c in &text[at..] {
        if c.is_ascii_digit() || hex && c.is_ascii_hexdigit() {
            saw = b'0';
        } else if *c == b'_' {
            if saw != b'0' {
                return false;
            }
            saw = b'_';
        } else {
            if saw == b'_' {
                return false;
            }
            saw = b'!';
        }
    }
    saw != b'_'
}

/// `strconv.ParseUint(text, 0, 64)`.
pub(crate) fn parse_uint(text: &str) -> Option<u64> {
    let (base, digits) = match text.as_bytes() {
        [] => return None,
        [b'0', b'b' | b'B', _, ..] => (2, &text[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &text[2..]),
        [b'0', b'x' | b'X', _, ..] => (16, &text[2..]),
        [b'0', ..] => (8, &text[1..]),
        _ => (10, text),
    };
    let mut value: u64 = 0;
    let mut underscores = false;
    for c in digits.chars() {
        if c == '_' {
            underscores = true;
            continue;
        }
        let digit = c.to_digit(base)?;
        value = value.checked_mul(u64::from(base))?.checked_add(u64::from(digit))?;
    }
    (!underscores || underscores_ok(text)).then_some(value)
}

/// `strconv.ParseInt(text, 0, 64)`.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'+' => (false, &text[1..]),
        b'-' => (true, &text[1..]),
        _ => (false, text),
    };
    let magnitude = parse_uint(digits)?;
    if negative {
        (magnitude <= 1 << 63).then(|| (magnitude as i64).wrapping_neg())
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// `strconv.ParseFloat(text, 64)` for what the lexer lets through; out of range is no number.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    if text.contains('_') && !underscores_ok(text) {
        return None;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let value = if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        hex_float(&unsigned[2..])?
    } else {
        if !unsigned.bytes().all(|c| matches!(c, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
            return None;
        }
        unsigned.parse::<f64>().ok().filter(|f| f.is_finite())?
    };
    Some(if plain.starts_with('-') { -value } else { value })
}

/// A hexadecimal mantissa and its binary exponent, rounded to nearest even.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let mut exponent: i64 = exponent.parse::<i64>().ok()?.clamp(-100_000, 100_000);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: u128 = 0;
    let mut sticky = false;
    for (i, c) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = c.to_digit(16)?;
        let in_fraction = i >= whole.len();
        if value >> 100 == 0 {
            value = value << 4 | u128::from(digit);
            exponent -= if in_fraction { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if in_fraction { 0 } else { 4 };
        }
    }
    if value == 0 {
        return Some(0.0);
    }
    // Round to the 53 bits of a float, fewer for a denormal, then scale exactly.
    let bits = i64::from(128 - value.leading_zeros());
    let top = bits + exponent;
    let keep = if top - 1 < -1022 { 53 - (-1022 - (top - 1)) } else { 53 };
    let drop = bits - keep;
    if drop > 0 {
        if drop > 127 {
            return Some(0.0);
        }
        let half = 1u128 << (drop - 1);
        let rest = value & ((1 << drop) - 1);
        value >>= drop;
        if rest > half || rest == half && (sticky || value & 1 == 1) {
            value += 1;
        }
        exponent += drop;
    }
    let scaled = scale(value as f64, exponent);
    scaled.is_finite().then_some(scaled)
}

fn scale(mut value: f64, mut exponent: i64) -> f64 {
    while exponent > 0 && value.is_finite() {
        let step = exponent.min(1000);
        value *= 2f64.powi(step as i32);
        exponent -= step;
    }
    while exponent < 0 && value != 0.0 {
        let step = (-exponent).min(1000);
        value /= 2f64.powi(step as i32);
        exponent += step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        assert_eq!(Number::parse(b"0x_1F").unwrap().int, Some(31));
        assert_eq!(Number::parse(b"017").unwrap().int, Some(15));
        assert_eq!(Number::parse(b"1e3").unwrap().int, Some(1000));
        assert_eq!(Number::parse(b"-0").unwrap().uint, Some(0));
        assert_eq!(Number::parse(b"0x1.8p1").unwrap().float, Some(3.0));
        assert_eq!(Number::parse(b"18446744073709551615").unwrap().int, None);
        assert_eq!(Number::parse(b"1i").unwrap().complex, Some((0.0, 1.0)));
        assert_eq!(Number::complex(b"1e+2-2i").unwrap().complex, Some((100.0, -2.0)));
        assert_eq!(Number::parse(b"08").unwrap_err(), "integer overflow: \"08\"");
        assert_eq!(Number::parse(b"1_").unwrap_err(), "illegal number syntax: \"1_\"");
        assert_eq!(Number::character(b"'\\n'").unwrap().int, Some(10));
        assert_eq!(Number::character(b"'ab'").unwrap_err(), "malformed character constant: 'ab'");
        assert_eq!(parse_int("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_float("0x1p-1074"), Some(5e-324));
    }
}
