//! Durations as values: what Helm 4.3 added to sprig's date functions. Numbers are seconds.

use super::args::{Answer, Args};
use super::cast::parse_float;
use super::text::trim_space;
use super::time::{DURATION, Duration};
use crate::gofmt::{format_float, quote};
use crate::types::{ANY, FLOAT64, INT64};
use crate::{Error, Func, GoType, Value};

const D: GoType = GoType(&DURATION);

/// `mustToDuration` and the `duration…` functions; not part of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("mustToDuration", &[ANY], D, |_, args| {
        Ok(Value::host(to_duration(args.any(0)).map_err(Error::msg)?))
    }),
    Func::new("durationSeconds", &[ANY], FLOAT64, |_, args| float(args, Duration::seconds)),
    Func::new("durationMinutes", &[ANY], FLOAT64, |_, args| float(args, Duration::minutes)),
    Func::new("durationHours", &[ANY], FLOAT64, |_, args| float(args, Duration::hours)),
    Func::new("durationDays", &[ANY], FLOAT64, |_, args| float(args, |d| d.hours() / 24.0)),
    Func::new("durationWeeks", &[ANY], FLOAT64, |_, args| float(args, |d| d.hours() / 24.0 / 7.0)),
    Func::new("durationMilliseconds", &[ANY], INT64, |_, args| int(args, Duration::milliseconds)),
    Func::new("durationMicroseconds", &[ANY], INT64, |_, args| int(args, Duration::microseconds)),
    Func::new("durationNanoseconds", &[ANY], INT64, |_, args| int(args, |d| d.0)),
    Func::new("durationRoundTo", &[ANY, ANY], D, |_, args| to_multiple(args, Duration::round)),
    Func::new("durationTruncateTo", &[ANY, ANY], D, |_, args| to_multiple(args, Duration::truncate)),
];

/// What is no duration counts as none.
fn float(args: &[Value], unit: fn(Duration) -> f64) -> Answer {
    Ok(Value::Float(to_duration(args.any(0)).map_or(0.0, unit)))
}

fn int(args: &[Value], unit: fn(Duration) -> i64) -> Answer {
    Ok(Value::int64(to_duration(args.any(0)).map_or(0, unit)))
}

fn to_multiple(args: &[Value], adjust: fn(Duration, Duration) -> Duration) -> Answer {
    let duration = to_duration(args.any(0)).unwrap_or_default();
    Ok(Value::host(match to_duration(args.any(1)) {
        Ok(unit) => adjust(duration, unit),
        Err(_) => duration,
    }))
}

fn to_duration(value: &Value) -> Result<Duration, String> {
    if let Some(duration) = value.as_host::<Duration>() {
        return Ok(*duration);
    }
    match value.plain() {
        Value::Nil => Err("invalid duration".to_owned()),
        Value::Str(text) => {
            let trimmed = trim_space(&text);
            if trimmed.is_empty() {
                return Err("empty duration".to_owned());
            }
            if let Ok(duration) = Duration::parse(trimmed) {
                return Ok(duration);
            }
            match parse_float(trimmed) {
                Some(seconds) => from_float(seconds),
                None => Err(format!("could not parse duration {}", quote(&text))),
            }
        }
        Value::Int(seconds, _) => {
            let nanos = seconds.checked_mul(Duration::SECOND.0);
            nanos.map(Duration).ok_or_else(|| format!("duration seconds overflow: {seconds}"))
        }
        Value::Uint(seconds, _) => {
            let nanos = i64::try_from(seconds).ok().and_then(|s| s.checked_mul(Duration::SECOND.0));
            nanos.map(Duration).ok_or_else(|| format!("duration seconds overflow: {seconds}"))
        }
        Value::Float(seconds) => from_float(seconds),
        _ => Err(format!("unsupported duration type {}", value.type_name())),
    }
}

fn from_float(seconds: f64) -> Result<Duration, String> {
    /// `math.MaxInt64` as a float, which is one more.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let shown = |number| format_float(number, b'g', -1, 64);
    if !seconds.is_finite() {
        return Err(format!("invalid duration seconds: {}", shown(seconds)));
    }
    if seconds.abs() > LIMIT / 1e9 {
        return Err(format!("duration seconds overflow: {}", shown(seconds)));
    }
    let nanos = seconds * 1e9;
    if nanos.abs() > LIMIT {
        return Err(format!("duration nanoseconds overflow: {}", shown(nanos)));
    }
    Ok(Duration(super::cast::truncate_float(nanos)))
}
