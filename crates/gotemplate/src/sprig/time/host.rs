//! Times and durations as templates meet them: objects with Go's methods.

use super::{Duration, MONTHS, Time, WEEKDAYS, Zone};
use crate::sprig::args::{Answer, Args, string};
use crate::types::{BOOL, BYTES, FLOAT64, INT, INT64, MethodFn, STRING};
use crate::{Error, GoType, Host, IntKind, Kind, Method, Str, TypeDesc, Value};

/// `time.Time`.
pub static TIME: TypeDesc = TypeDesc::host("time.Time", Kind::Struct, TIME_METHODS);

/// `time.Duration`.
pub static DURATION: TypeDesc = TypeDesc::host("time.Duration", Kind::Int64, DURATION_METHODS);

static MONTH: TypeDesc = TypeDesc::host("time.Month", Kind::Int, NAMED_METHODS);

static WEEKDAY: TypeDesc = TypeDesc::host("time.Weekday", Kind::Int, NAMED_METHODS);

static LOCATION: TypeDesc = TypeDesc::host("*time.Location", Kind::Pointer, NAMED_METHODS);

// Go methods that no template can call, because they give back more than a value and an error.
static INT_AND_INT: TypeDesc = TypeDesc::unusable("second return value should be error; is int");
static TWO_TIMES: TypeDesc = TypeDesc::unusable("second return value should be error; is time.Time");
static THREE_NUMBERS: TypeDesc = TypeDesc::unusable("has 3 return values; should be 1 or 2");

impl Host for Time {
    fn go_type(&self) -> GoType {
        GoType(&TIME)
    }

    fn string(&self) -> Option<Str> {
        Some(self.to_string().into())
    }

    fn go_string(&self) -> Option<Str> {
        Some(Time::go_string(self).into())
    }

    fn json(&self) -> Option<Value> {
        // Years beyond four digits are an error in Go; their text is the closest there is.
        Some(Value::str(self.rfc3339().unwrap_or_else(|_| self.to_string())))
    }

    fn has_unexported(&self, name: &[u8]) -> bool {
        [&b"wall"[..], b"ext", b"loc"].contains(&name)
    }

    /// Go's `==` compares the location too.
    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        other.downcast_ref::<Self>().map(|other| self == other && self.zone().name() == other.zone().name())
    }
}

impl Host for Duration {
    fn go_type(&self) -> GoType {
        GoType(&DURATION)
    }

    fn underlying(&self) -> Option<Value> {
        Some(Value::int64(self.0))
    }

    fn string(&self) -> Option<Str> {
        Some(self.to_string().into())
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        other.downcast_ref::<Self>().map(|other| self == other)
    }
}

/// `time.Month` or `time.Weekday`: a number with a name.
struct Named {
    ty: &'static TypeDesc,
    number: i64,
    name: &'static str,
}

impl Host for Named {
    fn go_type(&self) -> GoType {
        GoType(self.ty)
    }

    fn underlying(&self) -> Option<Value> {
        Some(Value::Int(self.number, IntKind::Int))
    }

    fn string(&self) -> Option<Str> {
        Some(self.name.into())
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        other
            .downcast_ref::<Self>()
            .map(|other| self.go_type() == other.go_type() && self.number == other.number)
    }
}

/// `*time.Location`.
struct Location(Zone);

impl Host for Location {
    fn go_type(&self) -> GoType {
        GoType(&LOCATION)
    }

    fn string(&self) -> Option<Str> {
        Some(self.0.name().into())
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        other.downcast_ref::<Self>().map(|other| self.0.name() == other.0.name())
    }
}

fn receiver<T: Host>(value: &Value) -> Result<&T, Error> {
    value.as_host().ok_or_else(|| Error::msg(format!("{} is not what its method expects", value.type_name())))
}

fn time(value: &Value) -> Result<&Time, Error> {
    receiver(value)
}

fn duration(value: &Value) -> Result<Duration, Error> {
    receiver(value).copied()
}

fn int(number: i64) -> Answer {
    Ok(Value::int(number))
}

fn bool(truth: bool) -> Answer {
    Ok(Value::Bool(truth))
}

const fn method(name: &'static str, params: &'static [GoType], result: GoType, call: MethodFn) -> Method {
    Method { name, params, variadic: false, result, call }
}

const fn uncallable(name: &'static str, reason: GoType) -> Method {
    method(name, &[], reason, |_, _, _| Ok(Value::Nil))
}

static NAMED_METHODS: &[Method] = &[method("String", &[], STRING, |_, this, _| match this {
    Value::Host(host) => string(host.string().unwrap_or_default()),
    _ => string(""),
})];

static TIME_METHODS: &[Method] = &[
    method("Add", &[GoType(&DURATION)], GoType(&TIME), |_, this, args| {
        Ok(Value::host(time(this)?.add(duration(args.any(0))?)))
    }),
    method("AddDate", &[INT, INT, INT], GoType(&TIME), |_, this, args| {
        Ok(Value::host(time(this)?.add_date(args.int(0)?, args.int(1)?, args.int(2)?)))
    }),
    method("After", &[GoType(&TIME)], BOOL, |_, this, args| bool(time(this)? > time(args.any(0))?)),
    method("Before", &[GoType(&TIME)], BOOL, |_, this, args| bool(time(this)? < time(args.any(0))?)),
    method("Compare", &[GoType(&TIME)], INT, |_, this, args| int(time(this)?.cmp(time(args.any(0))?) as i64)),
    method("Equal", &[GoType(&TIME)], BOOL, |_, this, args| bool(time(this)? == time(args.any(0))?)),
    method("Day", &[], INT, |_, this, _| int(time(this)?.date().2)),
    method("Format", &[STRING], STRING, |_, this, args| string(time(this)?.format(args.text(0)?))),
    method("GoString", &[], STRING, |_, this, _| string(Time::go_string(time(this)?))),
    method("Hour", &[], INT, |_, this, _| int(time(this)?.clock().0)),
    method("In", &[GoType(&LOCATION)], GoType(&TIME), |_, this, args| {
        let location: &Location = receiver(args.any(0))?;
        Ok(Value::host(time(this)?.in_zone(location.0.clone())))
    }),
    uncallable("Clock", GoType(&THREE_NUMBERS)),
    uncallable("Date", GoType(&THREE_NUMBERS)),
    uncallable("ISOWeek", GoType(&INT_AND_INT)),
    uncallable("Zone", GoType(&INT_AND_INT)),
    uncallable("ZoneBounds", GoType(&TWO_TIMES)),
    method("IsZero", &[], BOOL, |_, this, _| bool(time(this)?.is_zero())),
    method("Local", &[], GoType(&TIME), |ctx, this, _| {
        let local = crate::sprig::surroundings::local_zone(ctx);
        Ok(Value::host(time(this)?.in_zone(Zone::Local(local))))
    }),
    method("Location", &[], GoType(&LOCATION), |_, this, _| {
        Ok(Value::host(Location(time(this)?.zone().clone())))
    }),
    method("MarshalJSON", &[], BYTES, |_, this, _| {
        let text = time(this)?.rfc3339().map_err(|error| Error::msg(format!("Time.MarshalJSON: {error}")))?;
        Ok(Value::bytes(format!("\"{text}\"").into_bytes()))
    }),
    method("MarshalText", &[], BYTES, |_, this, _| {
        let text = time(this)?.rfc3339().map_err(|error| Error::msg(format!("Time.MarshalText: {error}")))?;
        Ok(Value::bytes(text.into_bytes()))
    }),
    method("Minute", &[], INT, |_, this, _| int(time(this)?.clock().1)),
    method("Month", &[], GoType(&MONTH), |_, this, _| {
        let number = time(this)?.date().1;
        Ok(Value::host(Named { ty: &MONTH, number, name: MONTHS[(number - 1) as usize] }))
    }),
    method("Nanosecond", &[], INT, |_, this, _| int(time(this)?.nanosecond().into())),
    method("Round", &[GoType(&DURATION)], GoType(&TIME), |_, this, args| {
        Ok(Value::host(time(this)?.round(duration(args.any(0))?)))
    }),
    method("Second", &[], INT, |_, this, _| int(time(this)?.clock().2)),
    method("String", &[], STRING, |_, this, _| string(time(this)?.to_string())),
    method("Sub", &[GoType(&TIME)], GoType(&DURATION), |_, this, args| {
        Ok(Value::host(time(this)?.since(time(args.any(0))?)))
    }),
    method("Truncate", &[GoType(&DURATION)], GoType(&TIME), |_, this, args| {
        Ok(Value::host(time(this)?.truncate(duration(args.any(0))?)))
    }),
    method("UTC", &[], GoType(&TIME), |_, this, _| Ok(Value::host(time(this)?.in_zone(Zone::Utc)))),
    method("Unix", &[], INT64, |_, this, _| Ok(Value::int64(time(this)?.unix()))),
    method("UnixMilli", &[], INT64, |_, this, _| {
        let time = time(this)?;
        Ok(Value::int64(
            time.unix().wrapping_mul(1000).wrapping_add(i64::from(time.nanosecond()) / 1_000_000),
        ))
    }),
    method("UnixMicro", &[], INT64, |_, this, _| {
        let time = time(this)?;
        Ok(Value::int64(
            time.unix().wrapping_mul(1_000_000).wrapping_add(i64::from(time.nanosecond()) / 1000),
        ))
    }),
    method("UnixNano", &[], INT64, |_, this, _| Ok(Value::int64(time(this)?.unix_nanos()))),
    method("Weekday", &[], GoType(&WEEKDAY), |_, this, _| {
        let number = time(this)?.weekday();
        Ok(Value::host(Named { ty: &WEEKDAY, number: number as i64, name: WEEKDAYS[number] }))
    }),
    method("Year", &[], INT, |_, this, _| int(time(this)?.date().0)),
    method("YearDay", &[], INT, |_, this, _| int(time(this)?.year_day())),
];

static DURATION_METHODS: &[Method] = &[
    method("Abs", &[], GoType(&DURATION), |_, this, _| Ok(Value::host(duration(this)?.abs()))),
    method("Hours", &[], FLOAT64, |_, this, _| Ok(Value::Float(duration(this)?.hours()))),
    method("Microseconds", &[], INT64, |_, this, _| Ok(Value::int64(duration(this)?.microseconds()))),
    method("Milliseconds", &[], INT64, |_, this, _| Ok(Value::int64(duration(this)?.milliseconds()))),
    method("Minutes", &[], FLOAT64, |_, this, _| Ok(Value::Float(duration(this)?.minutes()))),
    method("Nanoseconds", &[], INT64, |_, this, _| Ok(Value::int64(duration(this)?.0))),
    method("Round", &[GoType(&DURATION)], GoType(&DURATION), |_, this, args| {
        Ok(Value::host(duration(this)?.round(duration(args.any(0))?)))
    }),
    method("Seconds", &[], FLOAT64, |_, this, _| Ok(Value::Float(duration(this)?.seconds()))),
    method("String", &[], STRING, |_, this, _| string(duration(this)?.to_string())),
    method("Truncate", &[GoType(&DURATION)], GoType(&DURATION), |_, this, args| {
        Ok(Value::host(duration(this)?.truncate(duration(args.any(0))?)))
    }),
];
