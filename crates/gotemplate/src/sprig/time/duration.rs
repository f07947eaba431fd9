//! Go's `time.Duration`: nanoseconds, how they are written and how they are read.

use std::fmt;

/// Go's `time.Duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Duration(
    /// Nanoseconds.
    pub i64,
);

impl Duration {
    /// One second.
    pub const SECOND: Self = Self(1_000_000_000);
    /// One minute.
    pub const MINUTE: Self = Self(60_000_000_000);
    /// One hour.
    pub const HOUR: Self = Self(3_600_000_000_000);

    /// Go's `ParseDuration`, with its error text.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let invalid = || format!("time: invalid duration {}", quote(text));
        let (negative, mut rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if rest == b"0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (value, after) = leading_int(rest).ok_or_else(invalid)?;
            let has_digits = after.len() < rest.len();
            rest = after;
            let mut fraction = (0, 1.0);
            let mut has_fraction = false;
            if let Some(after_point) = rest.strip_prefix(b".") {
                let (digits, scale, after) = leading_fraction(after_point);
                has_fraction = after.len() < after_point.len();
                fraction = (digits, scale);
                rest = after;
            }
            if !has_digits && !has_fraction {
                return Err(invalid());
            }
            let unit_end =
                rest.iter().position(|byte| *byte == b'.' || byte.is_ascii_digit()).unwrap_or(rest.len());
            let (unit, after) = rest.split_at(unit_end);
            if unit.is_empty() {
                return Err(format!("time: missing unit in duration {}", quote(text)));
            }
            rest = after;
            let unit = unit_nanos(unit)
                .ok_or_else(|| format!("time: unknown unit {} in duration {}", quote(unit), quote(text)))?;
            let mut nanos = value.checked_mul(unit).filter(|nanos| *nanos <= 1 << 63).ok_or_else(invalid)?;
            if fraction.0 > 0 {
                nanos += (fraction.0 as f64 * (unit as f64 / fraction.1)) as u64;
            }
            total = total
                .checked_add(nanos)
                .filter(|total| nanos <= 1 << 63 && *total <= 1 << 63)
                .ok_or_else(invalid)?;
        }
        if negative {
            return Ok(Self((total as i64).wrapping_neg()));
        }
        i64::try_from(total).map(Self).map_err(|_| invalid())
    }

    /// Seconds as a floating point number.
    pub fn seconds(self) -> f64 {
        self.in_units(Self::SECOND.0)
    }

    /// Minutes as a floating point number.
    pub fn minutes(self) -> f64 {
        self.in_units(Self::MINUTE.0)
    }

    /// Hours as a floating point number.
    pub fn hours(self) -> f64 {
        self.in_units(Self::HOUR.0)
    }

    fn in_units(self, unit: i64) -> f64 {
        (self.0 / unit) as f64 + (self.0 % unit) as f64 / unit as f64
    }

    /// Whole milliseconds, cut towards zero.
    pub fn milliseconds(self) -> i64 {
        self.0 / 1_000_000
    }

    /// Whole microseconds, cut towards zero.
    pub fn microseconds(self) -> i64 {
        self.0 / 1000
    }

    /// The absolute value; the smallest duration becomes the largest.
    pub fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// Rounds towards zero to a multiple of `unit`.
    pub fn truncate(self, unit: Self) -> Self {
        if unit.0 <= 0 { self } else { Self(self.0 - self.0 % unit.0) }
    }

    /// Rounds to the nearest multiple of `unit`, halves away from zero.
    pub fn round(self, unit: Self) -> Self {
        if unit.0 <= 0 {
            return self;
        }
        let remainder = self.0 % unit.0;
        let down = self.0 - remainder;
        // Twice the remainder may not fit the signed type.
        if remainder.unsigned_abs() * 2 < unit.0.unsigned_abs() {
            return Self(down);
        }
        if self.0 < 0 {
            Self(down.checked_sub(unit.0).unwrap_or(i64::MIN))
        } else {
            Self(down.checked_add(unit.0).unwrap_or(i64::MAX))
        }
    }
}

fn unit_nanos(unit: &[u8]) -> Option<u64> {
    Some(match unit {
        b"ns" => 1,
        // Micro sign and Greek mu.
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The leading digits as a number of at most 2^63, and what follows them.
pub(super) fn leading_int(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value: u64 = 0;
    let mut rest = text;
    while let Some(digit) = rest.first().filter(|byte| byte.is_ascii_digit()) {
        value =
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0')).filter(|value| *value <= 1 << 63)?;
        rest = &rest[1..];
    }
    Some((value, rest))
}

/// The leading digits, the power of ten they are to be divided by, and what follows them; digits
/// that no longer fit are ignored.
fn leading_fraction(text: &[u8]) -> (u64, f64, &[u8]) {
    let mut value: u64 = 0;
    let mut scale = 1.0;
    let mut full = false;
    let mut rest = text;
    while let Some(digit) = rest.first().filter(|byte| byte.is_ascii_digit()) {
        rest = &rest[1..];
        if full {
            continue;
        }
        if value > (i64::MAX as u64) / 10 {
            full = true;
            continue;
        }
        let next = value * 10 + u64::from(digit - b'0');
        if next > 1 << 63 {
            full = true;
            continue;
        }
        value = next;
        scale *= 10.0;
    }
    (value, scale, rest)
}

/// Go's `String`: `1h2m3.5s`, `1.5ms`, `0s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let (unit, digits) = match nanos {
            ..1_000 => ("ns", 0),
            1_000..1_000_000 => ("µs", 3),
            1_000_000..1_000_000_000 => ("ms", 6),
            _ => {
                let seconds = nanos / 1_000_000_000;
                if seconds >= 3600 {
                    write!(f, "{}h", seconds / 3600)?;
                }
                if seconds >= 60 {
                    write!(f, "{}m", seconds / 60 % 60)?;
                }
                return write_decimal(f, nanos % 60_000_000_000, 9, "s");
            }
        };
        write_decimal(f, nanos, digits, unit)
    }
}

/// Writes `value` / 10^`digits` without trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, digits: u32, unit: &str) -> fmt::Result {
    let scale = 10_u64.pow(digits);
    write!(f, "{}", value / scale)?;
    let fraction = value % scale;
    if fraction != 0 {
        let width = digits as usize;
        let text = format!("{fraction:0width$}");
        write!(f, ".{}", text.trim_end_matches('0'))?;
    }
    f.write_str(unit)
}

/// The `time` package's own quoting: everything but printable ASCII is written as `\x` bytes.
pub(super) fn quote(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in text {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=0x7f => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}
