//! Locations: UTC, the render's local zone, fixed offsets and named zones.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The zone data built into the program; the host's own is never read.
static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Go's `time.Location`.
#[derive(Debug, Clone)]
pub enum Zone {
    /// `UTC`.
    Utc,
    /// `Local`: the zone of whoever renders.
    Local(LocalZone),
    /// A zone of the database.
    Named(NamedZone),
    /// An offset parsed from a time, with the abbreviation it was given.
    Fixed {
        /// The abbreviation, possibly empty.
        name: Arc<str>,
        /// Seconds east of UTC.
        offset: i64,
    },
}

/// The local zone; `None` inside is UTC.
#[derive(Debug, Clone, Default)]
pub struct LocalZone(Option<NamedZone>);

/// A zone of the database under its own name.
#[derive(Debug, Clone)]
pub struct NamedZone {
    name: Arc<str>,
    data: TimeZone,
}

impl LocalZone {
    /// The local zone of that name; `UTC` and unknown names give UTC.
    pub fn from_name(name: &str) -> Self {
        Self(find(name))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::Local(LocalZone::default())
    }
}

fn find(name: &str) -> Option<NamedZone> {
    let data = DATABASE.get(name).ok()?;
    // The database ignores case; Go reads files, whose names do not.
    (data.iana_name() == Some(name)).then(|| NamedZone { name: name.into(), data })
}

impl Zone {
    /// Go's `LoadLocation`: `""` and `UTC` are UTC, `Local` is `local`; `None` when unknown.
    pub fn load(name: &[u8], local: &LocalZone) -> Option<Self> {
        match name {
            b"" | b"UTC" => Some(Self::Utc),
            b"Local" => Some(Self::Local(local.clone())),
            _ => find(std::str::from_utf8(name).ok()?).map(Self::Named),
        }
    }

    /// Go's `Location.String`.
    pub fn name(&self) -> &str {
        match self {
            Self::Utc | Self::Local(LocalZone(None)) => "UTC",
            Self::Local(LocalZone(Some(_))) => "Local",
            Self::Named(zone) => &zone.name,
            Self::Fixed { name, .. } => name,
        }
    }

    /// The abbreviation and the offset in seconds east of UTC in force at a Unix time.
    pub(super) fn lookup(&self, unix: i64) -> (String, i64) {
        match self {
            Self::Utc | Self::Local(LocalZone(None)) => ("UTC".to_owned(), 0),
            Self::Fixed { name, offset } => (name.to_string(), *offset),
            Self::Local(LocalZone(Some(zone))) | Self::Named(zone) => zone.lookup(unix),
        }
    }

    /// The offset of an abbreviation, preferably the one in force at the local reading `unix`.
    pub(super) fn lookup_name(&self, name: &str, unix: i64) -> Option<i64> {
        // Around the reading, half a year back and forth, all abbreviations of a zone come up.
        let half_year = 182 * 86_400;
        [0, -half_year, half_year]
            .into_iter()
            .map(|shift| self.lookup(unix.saturating_add(shift)))
            .find(|(found, _)| found == name)
            .map(|(_, offset)| offset)
    }
}

impl NamedZone {
    fn lookup(&self, unix: i64) -> (String, i64) {
        let clamped = unix.clamp(Timestamp::MIN.as_second() + 1, Timestamp::MAX.as_second() - 1);
        let Ok(timestamp) = Timestamp::from_second(clamped) else {
            return ("UTC".to_owned(), 0);
        };
        let info = self.data.to_offset_info(timestamp);
        (info.abbreviation().to_owned(), i64::from(info.offset().seconds()))
    }
}
