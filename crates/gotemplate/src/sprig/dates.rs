//! Dates and sprig's own duration functions.

use super::args::{Answer, Args, string};
use super::cast::parse_int;
use super::surroundings::{local_zone, now};
use super::time::{Duration, TIME, Time, Zone};
use crate::types::{ANY, STRING};
use crate::{Ctx, Error, Func, GoType, IntKind, Value};

const T: GoType = GoType(&TIME);

/// The date functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("ago", &[ANY], STRING, ago),
    Func::new("date", &[STRING, ANY], STRING, |ctx, args| {
        format_in_zone(ctx, args.text(0)?, args.any(1), b"Local")
    }),
    Func::new("date_in_zone", &[STRING, ANY, STRING], STRING, date_in_zone),
    Func::new("dateInZone", &[STRING, ANY, STRING], STRING, date_in_zone),
    Func::new("htmlDate", &[ANY], STRING, |ctx, args| {
        format_in_zone(ctx, b"2006-01-02", args.any(0), b"Local")
    }),
    Func::new("htmlDateInZone", &[ANY, STRING], STRING, |ctx, args| {
        format_in_zone(ctx, b"2006-01-02", args.any(0), args.text(1)?)
    }),
    Func::new("date_modify", &[STRING, T], T, date_modify),
    Func::new("dateModify", &[STRING, T], T, date_modify),
    Func::new("must_date_modify", &[STRING, T], T, must_date_modify),
    Func::new("mustDateModify", &[STRING, T], T, must_date_modify),
    Func::new("duration", &[ANY], STRING, duration),
    Func::new("durationRound", &[ANY], STRING, duration_round),
    Func::new("now", &[], T, |ctx, _| Ok(Value::host(now(ctx)?))),
    Func::new("toDate", &[STRING, STRING], T, |ctx, args| {
        let zone = Zone::Local(local_zone(ctx));
        let time = Time::parse(args.text(0)?, args.text(1)?, &zone);
        Ok(Value::host(time.unwrap_or_else(|_| Time::zero())))
    }),
    Func::new("mustToDate", &[STRING, STRING], T, |ctx, args| {
        let zone = Zone::Local(local_zone(ctx));
        let time = Time::parse(args.text(0)?, args.text(1)?, &zone);
        Ok(Value::host(time.map_err(|error| Error::msg(error.to_string()))?))
    }),
    Func::new("unixEpoch", &[T], STRING, |_, args| string(time(args.any(0))?.unix().to_string())),
];

fn time(value: &Value) -> Result<&Time, Error> {
    value.as_host().ok_or_else(|| Error::msg("the argument is not a time"))
}

/// A time, or the Unix seconds of the integer types that sprig takes for times.
fn as_time(value: &Value, int32: bool) -> Option<Time> {
    match value {
        Value::Host(_) => value.as_host::<Time>().cloned(),
        Value::Int(seconds, IntKind::Int | IntKind::Int64) => Some(Time::from_unix(*seconds, 0, Zone::Utc)),
        Value::Int(seconds, IntKind::Int32) if int32 => Some(Time::from_unix(*seconds, 0, Zone::Utc)),
        _ => None,
    }
}

/// Formats a date in the zone of that name, or in UTC when there is none. What is no date is now.
fn format_in_zone(ctx: &mut Ctx, layout: &[u8], date: &Value, zone: &[u8]) -> Answer {
    let time = match as_time(date, true) {
        Some(time) => time,
        None => now(ctx)?,
    };
    let zone = Zone::load(zone, &local_zone(ctx)).unwrap_or(Zone::Utc);
    ctx.charge(layout.len())?;
    string(time.in_zone(zone).format(layout))
}

fn date_in_zone(ctx: &mut Ctx, args: &[Value]) -> Answer {
    format_in_zone(ctx, args.text(0)?, args.any(1), args.text(2)?)
}

fn date_modify(_: &mut Ctx, args: &[Value]) -> Answer {
    match Duration::parse(args.text(0)?) {
        Ok(duration) => Ok(Value::host(time(args.any(1))?.add(duration))),
        Err(_) => Ok(args.any(1).clone()),
    }
}

fn must_date_modify(_: &mut Ctx, args: &[Value]) -> Answer {
    let duration = Duration::parse(args.text(0)?).map_err(Error::msg)?;
    Ok(Value::host(time(args.any(1))?.add(duration)))
}

fn ago(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let now = now(ctx)?;
    let then = as_time(args.any(0), false).unwrap_or_else(|| now.clone());
    string(now.since(&then).round(Duration::SECOND).to_string())
}

fn duration(_: &mut Ctx, args: &[Value]) -> Answer {
    let seconds = match args.any(0) {
        Value::Str(text) => clamped_int(text),
        Value::Int(seconds, IntKind::Int64) => *seconds,
        _ => 0,
    };
    string(Duration(seconds.wrapping_mul(Duration::SECOND.0)).to_string())
}

/// `strconv.ParseInt` without its error: too large a number is the largest.
fn clamped_int(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    parse_int(text, 10).unwrap_or(match (is_number, negative) {
        (false, _) => 0,
        (true, true) => i64::MIN,
        (true, false) => i64::MAX,
    })
}

/// The largest unit of a duration: `2h10m` is `2h`. A unit must be exceeded, so `1h` is `60m`.
fn duration_round(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let duration = match args.any(0) {
        Value::Str(text) => Duration::parse(text).unwrap_or_default(),
        Value::Int(nanos, IntKind::Int64) => Duration(*nanos),
        value => match value.as_host::<Time>() {
            Some(time) => now(ctx)?.since(time),
            None => Duration(0),
        },
    };
    const HOUR: u64 = 3_600_000_000_000;
    const UNITS: [(u64, &str); 6] = [
        (365 * 24 * HOUR, "y"),
        (30 * 24 * HOUR, "mo"),
        (24 * HOUR, "d"),
        (HOUR, "h"),
        (HOUR / 60, "m"),
        (HOUR / 3600, "s"),
    ];
    let nanos = duration.0.unsigned_abs();
    match UNITS.iter().find(|(unit, _)| nanos > *unit) {
        Some((unit, suffix)) => string(format!("{}{suffix}", nanos / unit)),
        None => string("0s"),
    }
}
