//! Durations as Go reads and prints them: `1m`, `1h30m`, `500ms`, printed `1m0s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Go keeps durations as nanoseconds in an `int64`; what does not fit is no duration there, and so not here.
const MAX_NANOS: u128 = i64::MAX as u128;

/// A duration in Go's notation, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(Duration);

/// The text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time: {reason} {text:?}")]
pub struct DurationError {
    reason: &'static str,
    text: String,
}

impl GoDuration {
    /// A whole number of seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The same span as std's type.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for GoDuration {
    /// Spans longer than Go's 292 years become Go's longest.
    fn from(span: Duration) -> Self {
        Self(span.min(Duration::from_nanos(i64::MAX as u64)))
    }
}

impl From<GoDuration> for Duration {
    fn from(span: GoDuration) -> Self {
        span.0
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    /// Reads Go's syntax (`time.ParseDuration`); a negative span is refused, because nothing in Flux may have one.
    fn from_str(text: &str) -> Result<Self, DurationError> {
        let fail = |reason| DurationError { reason, text: text.to_owned() };
        let invalid = || fail("invalid duration");
        let mut rest = match text.strip_prefix('-') {
            Some(_) => return Err(fail("negative duration")),
            None => text.strip_prefix('+').unwrap_or(text),
        };
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u128 = 0;
        while !rest.is_empty() {
            let whole_len = rest.bytes().take_while(u8::is_ascii_digit).count();
            let whole = &rest[..whole_len];
            rest = &rest[whole_len..];
            let mut fraction = "";
            if let Some(after) = rest.strip_prefix('.') {
                let len = after.bytes().take_while(u8::is_ascii_digit).count();
                fraction = &after[..len];
                rest = &after[len..];
            }
            if whole.is_empty() && fraction.is_empty() {
                return Err(invalid());
            }
            let unit_len = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
            let unit: u128 = match &rest[..unit_len] {
                "" => return Err(fail("missing unit in duration")),
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                _ => return Err(fail("unknown unit in duration")),
            };
            rest = &rest[unit_len..];
            // Twenty digits are past Go's range already; more would only overflow our arithmetic.
            if whole.trim_start_matches('0').len() > 20 {
                return Err(invalid());
            }
            let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
            let digits = &fraction[..fraction.len().min(18)];
            let part: u128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| invalid())? };
            let part = part * unit / 10u128.pow(u32::try_from(digits.len()).expect("at most 18 digits"));
            total = total.saturating_add(whole.saturating_mul(unit)).saturating_add(part);
            if total > MAX_NANOS {
                return Err(invalid());
            }
        }
        let nanos = u64::try_from(total).expect("bounded by an int64 above");
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            0 => return f.write_str("0s"),
            1..1_000 => return write!(f, "{nanos}ns"),
            1_000..1_000_000 => return write!(f, "{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => return write!(f, "{}ms", decimal(nanos, 1_000_000)),
            _ => {}
        }
        let seconds = self.0.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", decimal(nanos % 60_000_000_000, 1_000_000_000))
    }
}

/// `nanos / unit` with as many decimals as it takes and no more.
fn decimal(nanos: u128, unit: u128) -> String {
    let rest = nanos % unit;
    if rest == 0 {
        return (nanos / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    let text = format!("{}.{rest:0width$}", nanos / unit);
    text.trim_end_matches('0').to_owned()
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        for (text, printed) in [
            ("1m", "1m0s"),
            ("60s", "1m0s"),
            ("1h", "1h0m0s"),
            ("1h30m", "1h30m0s"),
            ("90m", "1h30m0s"),
            ("1.5h", "1h30m0s"),
            ("500ms", "500ms"),
            ("1500ms", "1.5s"),
            ("2m0.25s", "2m0.25s"),
            ("0s", "0s"),
            ("0", "0s"),
            (".5s", "500ms"),
            ("1us", "1µs"),
            ("1.5µs", "1.5µs"),
            ("7ns", "7ns"),
            ("2562047h47m16.854775807s", "2562047h47m16.854775807s"),
        ] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn s4_what_is_no_duration_is_refused() {
        let long = "9".repeat(4000) + "h";
        for text in [
            "", "5", "-1s", "-5s", "1y", "9999999h", "1e9h", "s", ".s", "1", "1m ", " 1m", "1mm", "1h-1s",
            "3d", &long,
        ] {
            assert!(text.parse::<GoDuration>().is_err(), "{text}");
        }
        assert_eq!(
            "9999999h".parse::<GoDuration>().unwrap_err().to_string(),
            r#"time: invalid duration "9999999h""#
        );
        assert_eq!(
            "5".parse::<GoDuration>().unwrap_err().to_string(),
            r#"time: missing unit in duration "5""#
        );
    }
}
