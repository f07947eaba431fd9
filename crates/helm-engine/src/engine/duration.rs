//! Helm's duration functions: anything that can be read as a duration, in any unit.

use gotemplate::sprig::time::Duration;
use gotemplate::types::{ANY, FLOAT64, INT64};
use gotemplate::{Error, Func, GoType, Value};

/// Nanoseconds in a second.
const SECOND: i64 = Duration::SECOND.0;

/// The Go type of a duration.
const DURATION: GoType = GoType(&gotemplate::sprig::time::DURATION);

/// A value as a duration: durations, texts such as `1h30m` or `2.5`, and numbers of seconds.
fn read(value: &Value) -> Result<Duration, String> {
    if let Some(duration) = value.as_host::<Duration>() {
        return Ok(*duration);
    }
    match value.plain() {
        Value::Nil => Err("invalid duration".to_owned()),
        Value::Str(text) => {
            let text = text.to_string_lossy();
            let trimmed = crate::gostring::trim_space(&text);
            if trimmed.is_empty() {
                return Err("empty duration".to_owned());
            }
            if let Ok(duration) = Duration::parse(trimmed.as_bytes()) {
                return Ok(duration);
            }
            match parse_float(trimmed) {
                Some(seconds) => from_float(seconds),
                None => Err(format!("could not parse duration {}", crate::gostring::quote(&text))),
            }
        }
        Value::Int(seconds, _) => from_int(i128::from(seconds)),
        Value::Uint(seconds, _) => from_int(i128::from(seconds)),
        Value::Float(seconds) => from_float(seconds),
        _ => Err(format!("unsupported duration type {}", value.type_name())),
    }
}

/// Go's `ParseFloat`, without hexadecimal digits and underscores.
fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let word = unsigned.to_ascii_lowercase();
    if matches!(word.as_str(), "inf" | "infinity") {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if word == "nan" {
        return (unsigned.len() == text.len()).then_some(f64::NAN);
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(number)
}

fn from_int(seconds: i128) -> Result<Duration, String> {
    let limits = i128::from(i64::MIN / SECOND)..=i128::from(i64::MAX / SECOND);
    let overflow = || format!("duration seconds overflow: {seconds}");
    if !limits.contains(&seconds) {
        return Err(overflow());
    }
    i64::try_from(seconds * i128::from(SECOND)).map(Duration).map_err(|_| overflow())
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as Go converts")]
fn from_float(seconds: f64) -> Result<Duration, String> {
    let shown = || goyaml::number::format_g(seconds);
    if !seconds.is_finite() {
        return Err(format!("invalid duration seconds: {}", shown()));
    }
    let (max, min) = (i64::MAX as f64 / SECOND as f64, i64::MIN as f64 / SECOND as f64);
    if seconds > max || seconds < min {
        return Err(format!("duration seconds overflow: {}", shown()));
    }
    let nanoseconds = seconds * SECOND as f64;
    // Rust's cast stops at the largest integer where Go's wraps to the smallest.
    Ok(Duration(if nanoseconds >= i64::MAX as f64 { i64::MIN } else { nanoseconds as i64 }))
}

fn or_zero(args: &[Value]) -> Duration {
    read(&args[0]).unwrap_or_default()
}

fn to_multiple(args: &[Value], apply: impl Fn(Duration, Duration) -> Duration) -> Value {
    let result = match (read(&args[0]), read(&args[1])) {
        (Err(_), _) => Duration::default(),
        (Ok(value), Err(_)) => value,
        (Ok(value), Ok(multiple)) => apply(value, multiple),
    };
    Value::host(result)
}

/// The functions, for profiles that have them.
pub(super) fn functions() -> Vec<Func> {
    vec![
        Func::new("mustToDuration", &[ANY], DURATION, |_, args| {
            read(&args[0]).map(Value::host).map_err(Error::msg)
        }),
        Func::new("durationSeconds", &[ANY], FLOAT64, |_, args| Ok(or_zero(args).seconds().into())),
        Func::new("durationMilliseconds", &[ANY], INT64, |_, args| {
            Ok(Value::int64(or_zero(args).milliseconds()))
        }),
        Func::new("durationMicroseconds", &[ANY], INT64, |_, args| {
            Ok(Value::int64(or_zero(args).microseconds()))
        }),
        Func::new("durationNanoseconds", &[ANY], INT64, |_, args| Ok(Value::int64(or_zero(args).0))),
        Func::new("durationMinutes", &[ANY], FLOAT64, |_, args| Ok(or_zero(args).minutes().into())),
        Func::new("durationHours", &[ANY], FLOAT64, |_, args| Ok(or_zero(args).hours().into())),
        Func::new("durationDays", &[ANY], FLOAT64, |_, args| Ok((or_zero(args).hours() / 24.0).into())),
        Func::new(
            "durationWeeks",
            &[ANY],
            FLOAT64,
            |_, args| Ok((or_zero(args).hours() / 24.0 / 7.0).into()),
        ),
        Func::new("durationRoundTo", &[ANY, ANY], DURATION, |_, args| Ok(to_multiple(args, Duration::round))),
        Func::new("durationTruncateTo", &[ANY, ANY], DURATION, |_, args| {
            Ok(to_multiple(args, Duration::truncate))
        }),
    ]
}
