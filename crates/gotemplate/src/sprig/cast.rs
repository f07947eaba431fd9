//! spf13/cast 1.7: any value as a number, zero when it is none.

use crate::Value;

/// `cast.ToInt64` and `cast.ToInt`.
pub(super) fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => *number as i64,
        Value::Float(number) => truncate_float(*number),
        Value::Bool(truth) => i64::from(*truth),
        Value::Str(text) => parse_int(trim_zero_decimal(text), 0).unwrap_or(0),
        Value::Host(_) => calendar_int(value).unwrap_or(0),
        _ => 0,
    }
}

/// `cast.ToFloat64`.
pub(super) fn to_float64(value: &Value) -> f64 {
    match value {
        Value::Int(number, _) => *number as f64,
        Value::Uint(number, _) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::Str(text) => parse_float(text).unwrap_or(0.0),
        Value::Host(_) => calendar_int(value).unwrap_or(0) as f64,
        _ => 0.0,
    }
}

/// Of all named integers the library knows only months and weekdays.
fn calendar_int(value: &Value) -> Option<i64> {
    match (value.type_name(), value.plain()) {
        ("time.Month" | "time.Weekday", Value::Int(number, _)) => Some(number),
        _ => None,
    }
}

/// Go's conversion on amd64: out of range, and NaN, give the smallest number.
pub(super) fn truncate_float(number: f64) -> i64 {
    // 2^63 is the first value that does not fit; the smallest number itself does.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// Cuts `.000` off the end.
fn trim_zero_decimal(text: &[u8]) -> &[u8] {
    let digits = text.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
    match text[..digits] {
        [.., b'.'] if digits < text.len() => &text[..digits - 1],
        _ => text,
    }
}

/// `strconv.ParseInt(text, base, 64)`; base 0 reads the prefix and allows underscores.
pub(super) fn parse_int(text: &[u8], base: u32) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let magnitude = parse_uint(digits, base)?;
    if negative {
        (magnitude <= 1 << 63).then(|| (magnitude as i64).wrapping_neg())
    } else {
        i64::try_from(magnitude).ok()
    }
}

fn parse_uint(text: &[u8], base: u32) -> Option<u64> {
    let literal = base == 0;
    let (base, digits) = match (base, text) {
        (0, [b'0', b'x' | b'X', rest @ ..]) => (16, rest),
        (0, [b'0', b'b' | b'B', rest @ ..]) => (2, rest),
        (0, [b'0', b'o' | b'O', rest @ ..]) => (8, rest),
        (0, [b'0', rest @ ..]) if !rest.is_empty() => (8, rest),
        (0, digits) => (10, digits),
        (base, digits) => (base, digits),
    };
    let with_prefix = digits.len() < text.len();
    if digits.is_empty() || literal && !underscores_are_right(digits, with_prefix) {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in digits {
        if literal && byte == b'_' {
            continue;
        }
        let digit = char::from(byte).to_digit(base)?;
        value = value.checked_mul(base.into())?.checked_add(digit.into())?;
    }
    Some(value)
}

/// Underscores stand between digits, or between the prefix and a digit.
fn underscores_are_right(digits: &[u8], with_prefix: bool) -> bool {
    let mut after_digit = with_prefix;
    for &byte in digits {
        if byte == b'_' && !after_digit {
            return false;
        }
        after_digit = byte != b'_';
    }
    after_digit
}

/// Underscores stand between two digits.
fn underscores_are_right_in_float(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(index, _)| index > 0 && is_digit(index - 1) && is_digit(index + 1))
}

/// `strconv.ParseFloat(text, 64)`; out of range is an error, as there.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) if text.starts_with('-') => (-1.0, rest),
        Some(rest) => (1.0, rest),
        None => (1.0, text),
    };
    if unsigned.starts_with(['+', '-']) {
        return None;
    }
    let lower = unsigned.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" if unsigned.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        return parse_hex_float(hex).map(|value| sign * value).filter(|value| value.is_finite());
    }
    if !lower.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'+' | b'-' | b'_')) {
        return None;
    }
    if !underscores_are_right_in_float(&lower) {
        return None;
    }
    lower.replace('_', "").parse().ok().map(|value: f64| sign * value).filter(|value| value.is_finite())
}

/// `1.8p3`: hexadecimal digits and a binary exponent, which is required.
fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let is_signed_decimal =
        exponent.strip_prefix(['+', '-']).unwrap_or(exponent).bytes().all(|byte| byte.is_ascii_digit());
    if !is_signed_decimal || !underscores_are_right(mantissa.replace('.', "").as_bytes(), true) {
        return None;
    }
    let mut exponent: i64 = exponent.parse().ok()?;
    let mut value: u64 = 0;
    let mut sticky = false;
    let mut digits = 0;
    let mut after_point = false;
    for c in mantissa.chars() {
        if c == '.' {
            if after_point {
                return None;
            }
            after_point = true;
            continue;
        }
        if c == '_' {
            continue;
        }
        let digit = u64::from(c.to_digit(16)?);
        digits += 1;
        if value >> 59 == 0 {
            value = value << 4 | digit;
            exponent -= if after_point { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if after_point { 0 } else { 4 };
        }
    }
    if digits == 0 {
        return None;
    }
    value |= u64::from(sticky);
    Some(scale_by_power_of_two(value, exponent))
}

/// `value` times 2^`exponent`, rounded once, to even.
fn scale_by_power_of_two(value: u64, exponent: i64) -> f64 {
    if value == 0 {
        return 0.0;
    }
    let shift = value.leading_zeros();
    let value = value << shift;
    let exponent = exponent.saturating_sub(shift.into()).saturating_add(63);
    if exponent > 1023 {
        return f64::INFINITY;
    }
    // Bits that do not fit: eleven, more for numbers below the normal range.
    let drop = 11 + (-1022 - exponent).clamp(0, 64);
    let (kept, rest, half) = if drop >= 64 {
        (0, if drop == 64 { value } else { 1 }, 1 << 63)
    } else {
        (value >> drop, value & ((1 << drop) - 1), 1 << (drop - 1))
    };
    let rounded = kept + u64::from(rest > half || rest == half && kept & 1 == 1);
    if exponent < -1022 {
        return f64::from_bits(rounded);
    }
    // A carry out of the fraction moves on into the exponent by itself.
    let biased = (exponent + 1022) as u64;
    f64::from_bits((biased << 52) + rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_become_ints() {
        for (text, expected) in [
            ("0777", 511),
            ("08", 0),
            ("1.9", 0),
            ("12.00", 12),
            ("12.", 0),
            ("0", 0),
            ("100", 100),
            ("0x_1F", 31),
            ("1__0", 0),
            ("-0b11", -3),
            ("9223372036854775808", 0),
            ("-9223372036854775808", i64::MIN),
            (" 1", 0),
            ("+5", 5),
            (".0", 0),
        ] {
            assert_eq!(to_int64(&Value::str(text)), expected, "{text}");
        }
        assert_eq!(to_int64(&Value::Float(1.9e19)), i64::MIN);
        assert_eq!(to_int64(&Value::Float(-1.9)), -1);
    }

    #[test]
    fn strings_become_floats() {
        for (text, expected) in [
            ("1e3", Some(1000.0)),
            ("1_0", Some(10.0)),
            ("1_", None),
            ("1._0", None),
            ("0x1.8p1", Some(3.0)),
            ("0x1p-1074", Some(f64::from_bits(1))),
            ("0x1.fffffffffffffp1023", Some(f64::MAX)),
            ("0x1p1024", None),
            ("1e400", None),
            ("-Inf", Some(f64::NEG_INFINITY)),
            (".5", Some(0.5)),
            ("1.", Some(1.0)),
            ("", None),
            (".", None),
            ("1e", None),
            ("--1", None),
            ("0x1", None),
        ] {
            assert_eq!(parse_float(text.as_bytes()), expected, "{text}");
        }
    }
}
