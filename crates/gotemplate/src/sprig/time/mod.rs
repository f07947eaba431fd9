//! Go's `time` package: instants with a location, layouts, durations.
//!
//! Years are not bounded (Go's are not, for practical purposes), so the calendar is our own; only
//! time zone data comes from `jiff`, from the copy built into the program.

mod calendar;
mod duration;
mod host;
mod layout;
mod parse;
mod zone;

pub use duration::Duration;
pub use host::{DURATION, TIME};
pub use parse::ParseError;
pub use zone::{LocalZone, NamedZone, Zone};

use calendar::Civil;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Seconds from year 1, where Go's zero time is, to 1970.
const ZERO_TIME_UNIX: i64 = -62_135_596_800;

/// Go's `time.Time`: an instant and the location it is shown in.
#[derive(Debug, Clone)]
pub struct Time {
    seconds: i64,
    nanos: u32,
    zone: Zone,
}

impl Time {
    /// The instant `seconds` and `nanos` after 1970 in UTC, shown in `zone`; Go's `time.Unix`.
    pub fn from_unix(seconds: i64, nanos: u32, zone: Zone) -> Self {
        Self { seconds, nanos, zone }
    }

    /// Go's zero time, the first second of year 1 in UTC.
    pub fn zero() -> Self {
        Self::from_unix(ZERO_TIME_UNIX, 0, Zone::Utc)
    }

    /// The instant with the given date and clock reading in `zone`. Values may lie outside their
    /// usual ranges; they carry over, as in Go's `time.Date`.
    pub fn from_civil(
        (year, month, day): (i64, i64, i64),
        (hour, minute, second): (i64, i64, i64),
        nanos: i64,
        zone: Zone,
    ) -> Self {
        let carried = second.saturating_add(nanos.div_euclid(NANOS_PER_SECOND));
        let local = calendar::days_from_civil(year, month, day)
            .saturating_mul(86_400)
            .saturating_add(hour.saturating_mul(3600))
            .saturating_add(minute.saturating_mul(60))
            .saturating_add(carried);
        let mut seconds = local;
        // The offset is looked up where the local reading would be in UTC, then once more nearer.
        let (_, offset) = zone.lookup(seconds);
        if offset != 0 {
            let guess = local.saturating_sub(offset);
            let (_, actual) = zone.lookup(guess);
            seconds = if actual == offset { guess } else { local.saturating_sub(actual) };
        }
        let nanos = u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).unwrap_or(0);
        Self::from_unix(seconds, nanos, zone)
    }

    /// Seconds since 1970 in UTC.
    pub fn unix(&self) -> i64 {
        self.seconds
    }

    /// The nanoseconds within the second.
    pub fn nanosecond(&self) -> u32 {
        self.nanos
    }

    /// Nanoseconds since 1970, wrapping as Go's do.
    pub fn unix_nanos(&self) -> i64 {
        self.seconds.wrapping_mul(NANOS_PER_SECOND).wrapping_add(self.nanos.into())
    }

    /// The location this time is shown in.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The same instant shown in another location.
    pub fn in_zone(&self, zone: Zone) -> Self {
        Self { zone, ..self.clone() }
    }

    /// Whether this is Go's zero time.
    pub fn is_zero(&self) -> bool {
        self.seconds == ZERO_TIME_UNIX && self.nanos == 0
    }

    /// This time plus a duration.
    pub fn add(&self, duration: Duration) -> Self {
        let nanos = i64::from(self.nanos) + duration.0 % NANOS_PER_SECOND;
        let seconds = self
            .seconds
            .wrapping_add(duration.0 / NANOS_PER_SECOND)
            .wrapping_add(nanos.div_euclid(NANOS_PER_SECOND));
        let nanos = u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).unwrap_or(0);
        Self::from_unix(seconds, nanos, self.zone.clone())
    }

    /// The time from `earlier` to this one, cut to what a duration can hold.
    pub fn since(&self, earlier: &Self) -> Duration {
        let nanos = (i128::from(self.seconds) - i128::from(earlier.seconds)) * i128::from(NANOS_PER_SECOND)
            + i128::from(self.nanos)
            - i128::from(earlier.nanos);
        let limit = |nanos: i128| i64::try_from(nanos).ok();
        Duration(limit(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Go's `AddDate`.
    pub fn add_date(&self, years: i64, months: i64, days: i64) -> Self {
        let civil = self.civil();
        Self::from_civil(
            (
                civil.year.saturating_add(years),
                civil.month.saturating_add(months),
                civil.day.saturating_add(days),
            ),
            (civil.hour, civil.minute, civil.second),
            self.nanos.into(),
            self.zone.clone(),
        )
    }

    /// Rounds down to a multiple of `unit` since the zero time; Go's `Truncate`.
    pub fn truncate(&self, unit: Duration) -> Self {
        if unit.0 <= 0 {
            return self.clone();
        }
        self.add(Duration(-self.remainder(unit.0)))
    }

    /// Rounds to the nearest multiple of `unit` since the zero time; Go's `Round`.
    pub fn round(&self, unit: Duration) -> Self {
        if unit.0 <= 0 {
            return self.clone();
        }
        let remainder = self.remainder(unit.0);
        if remainder.checked_mul(2).is_some_and(|twice| twice < unit.0) {
            self.add(Duration(-remainder))
        } else {
            self.add(Duration(unit.0 - remainder))
        }
    }

    fn remainder(&self, unit: i64) -> i64 {
        let since_zero = (i128::from(self.seconds) - i128::from(ZERO_TIME_UNIX))
            * i128::from(NANOS_PER_SECOND)
            + i128::from(self.nanos);
        i64::try_from(since_zero.rem_euclid(unit.into())).unwrap_or(0)
    }

    /// Date and clock reading in the time's own location.
    fn civil(&self) -> Civil {
        let (_, offset) = self.zone.lookup(self.seconds);
        Civil::from_local_seconds(self.seconds.saturating_add(offset))
    }

    /// Year, month (1 to 12) and day.
    pub fn date(&self) -> (i64, i64, i64) {
        let civil = self.civil();
        (civil.year, civil.month, civil.day)
    }

    /// Hour, minute and second.
    pub fn clock(&self) -> (i64, i64, i64) {
        let civil = self.civil();
        (civil.hour, civil.minute, civil.second)
    }

    /// Day of the week, Sunday is 0.
    pub fn weekday(&self) -> usize {
        self.civil().weekday
    }

    /// Day of the year, from 1.
    pub fn year_day(&self) -> i64 {
        self.civil().year_day()
    }

    /// Go's `Format`.
    pub fn format(&self, layout: &[u8]) -> Vec<u8> {
        layout::format(self, layout)
    }

    /// Go's `ParseInLocation`.
    pub fn parse(layout: &[u8], value: &[u8], zone: &Zone) -> Result<Self, ParseError> {
        parse::parse(layout, value, zone)
    }

    /// Go's `GoString`.
    pub fn go_string(&self) -> String {
        let civil = self.civil();
        let location = match &self.zone {
            Zone::Utc => "time.UTC".to_owned(),
            Zone::Local(_) => "time.Local".to_owned(),
            zone => format!("time.Location({})", duration::quote(zone.name().as_bytes())),
        };
        let month = MONTHS[(civil.month - 1) as usize];
        format!(
            "time.Date({}, time.{month}, {}, {}, {}, {}, {}, {location})",
            civil.year, civil.day, civil.hour, civil.minute, civil.second, self.nanos
        )
    }

    /// Go's `MarshalJSON` and `MarshalText` without quotes: RFC 3339, years 0 to 9999 only.
    pub fn rfc3339(&self) -> Result<String, &'static str> {
        let text = self.format(b"2006-01-02T15:04:05.999999999Z07:00");
        let (_, offset) = self.zone.lookup(self.seconds);
        if !(0..=9999).contains(&self.date().0) {
            return Err("year outside of range [0,9999]");
        }
        if (offset / 3600).abs() >= 24 {
            return Err("timezone hour outside of range [0,23]");
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Go's `String`: the default format. Only times read off a clock carry a monotonic reading in Go;
/// its `m=+0.1` is left out.
impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.format(b"2006-01-02 15:04:05.999999999 -0700 MST");
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Same instant, whatever the location.
impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        (self.seconds, self.nanos) == (other.seconds, other.nanos)
    }
}

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }
}

/// English month names, January first.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// English day names, Sunday first.
pub const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

#[cfg(test)]
mod tests;
