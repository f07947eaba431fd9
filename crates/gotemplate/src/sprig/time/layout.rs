//! Go's layouts: a date written as the reference time would be, `Mon Jan 2 15:04:05 MST 2006`.

use super::{MONTHS, Time, WEEKDAYS};

/// How an offset from UTC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetStyle {
    /// `Z` stands for no offset.
    pub(super) z_for_utc: bool,
    pub(super) colons: bool,
    pub(super) parts: OffsetParts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OffsetParts {
    Hours,
    Minutes,
    Seconds,
}

/// One element of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    Offset(OffsetStyle),
    /// `.000` or `,000`: that many digits.
    Fraction {
        separator: u8,
        digits: usize,
    },
    /// `.999`: up to that many digits, without trailing zeros.
    TrimmedFraction {
        separator: u8,
        digits: usize,
    },
}

/// The longest spellings first, as Go tries them.
const OFFSETS: &[(&[u8], bool, OffsetParts)] = &[
    (b"070000", false, OffsetParts::Seconds),
    (b"07:00:00", true, OffsetParts::Seconds),
    (b"0700", false, OffsetParts::Minutes),
    (b"07:00", true, OffsetParts::Minutes),
    (b"07", false, OffsetParts::Hours),
];

/// A layout split at its first element: the text before, the element and its spelling's length,
/// the text after.
pub(super) struct Chunk<'l> {
    pub(super) prefix: &'l [u8],
    pub(super) element: Option<(Element, &'l [u8])>,
    pub(super) suffix: &'l [u8],
}

pub(super) fn next_chunk(layout: &[u8]) -> Chunk<'_> {
    for start in 0..layout.len() {
        if let Some((element, skip, length)) = element_at(&layout[start..]) {
            let begin = start + skip;
            let end = start + length;
            return Chunk {
                prefix: &layout[..begin],
                element: Some((element, &layout[begin..end])),
                suffix: &layout[end..],
            };
        }
    }
    Chunk { prefix: layout, element: None, suffix: &[] }
}

/// The element at the start of `text`: what it is, how many bytes before it are literal, and where
/// it ends.
fn element_at(text: &[u8]) -> Option<(Element, usize, usize)> {
    use Element as E;
    let found = |element, length| Some((element, 0, length));
    let followed_by_lower = |length: usize| text.get(length).is_some_and(|byte| byte.is_ascii_lowercase());
    match text[0] {
        b'J' if text.starts_with(b"January") => found(E::LongMonth, 7),
        b'J' if text.starts_with(b"Jan") && !followed_by_lower(3) => found(E::Month, 3),
        b'M' if text.starts_with(b"Monday") => found(E::LongWeekDay, 6),
        b'M' if text.starts_with(b"Mon") && !followed_by_lower(3) => found(E::WeekDay, 3),
        b'M' if text.starts_with(b"MST") => found(E::ZoneName, 3),
        b'0' => match text.get(1..) {
            Some([b'1', ..]) => found(E::ZeroMonth, 2),
            Some([b'2', ..]) => found(E::ZeroDay, 2),
            Some([b'3', ..]) => found(E::ZeroHour12, 2),
            Some([b'4', ..]) => found(E::ZeroMinute, 2),
            Some([b'5', ..]) => found(E::ZeroSecond, 2),
            Some([b'6', ..]) => found(E::Year, 2),
            Some([b'0', b'2', ..]) => found(E::ZeroYearDay, 3),
            _ => None,
        },
        b'1' if text.starts_with(b"15") => found(E::Hour, 2),
        b'1' => found(E::NumMonth, 1),
        b'2' if text.starts_with(b"2006") => found(E::LongYear, 4),
        b'2' => found(E::Day, 1),
        // `_2006` is a literal `_` and a year.
        b'_' if text.starts_with(b"_2006") => Some((E::LongYear, 1, 5)),
        b'_' if text.starts_with(b"_2") => found(E::UnderDay, 2),
        b'_' if text.starts_with(b"__2") => found(E::UnderYearDay, 3),
        b'3' => found(E::Hour12, 1),
        b'4' => found(E::Minute, 1),
        b'5' => found(E::Second, 1),
        b'P' if text.starts_with(b"PM") => found(E::UpperPm, 2),
        b'p' if text.starts_with(b"pm") => found(E::LowerPm, 2),
        sign @ (b'-' | b'Z') => OFFSETS
            .iter()
            .find(|(spelling, ..)| text[1..].starts_with(spelling))
            .and_then(|&(spelling, colons, parts)| {
                let style = OffsetStyle { z_for_utc: sign == b'Z', colons, parts };
                found(E::Offset(style), spelling.len() + 1)
            }),
        separator @ (b'.' | b',') => {
            let digit = *text.get(1).filter(|byte| matches!(byte, b'0' | b'9'))?;
            let digits = text[1..].iter().take_while(|byte| **byte == digit).count();
            if text.get(digits + 1).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            let element = if digit == b'0' {
                E::Fraction { separator, digits }
            } else {
                E::TrimmedFraction { separator, digits }
            };
            found(element, digits + 1)
        }
        _ => None,
    }
}

/// Writes `time` as `layout` says.
pub(super) fn format(time: &Time, layout: &[u8]) -> Vec<u8> {
    let (zone_name, offset) = time.zone.lookup(time.seconds);
    let civil = time.civil();
    let mut out = Vec::with_capacity(layout.len() + 10);
    let mut rest = layout;
    while !rest.is_empty() {
        let chunk = next_chunk(rest);
        out.extend_from_slice(chunk.prefix);
        let Some((element, _)) = chunk.element else {
            break;
        };
        rest = chunk.suffix;
        let hour12 = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
        match element {
            Element::Year => push_int(&mut out, civil.year.abs() % 100, 2),
            Element::LongYear => push_int(&mut out, civil.year, 4),
            Element::Month => out.extend_from_slice(&month_name(civil.month)[..3]),
            Element::LongMonth => out.extend_from_slice(month_name(civil.month)),
            Element::NumMonth => push_int(&mut out, civil.month, 0),
            Element::ZeroMonth => push_int(&mut out, civil.month, 2),
            Element::WeekDay => out.extend_from_slice(&WEEKDAYS[civil.weekday].as_bytes()[..3]),
            Element::LongWeekDay => out.extend_from_slice(WEEKDAYS[civil.weekday].as_bytes()),
            Element::Day => push_int(&mut out, civil.day, 0),
            Element::UnderDay => {
                if civil.day < 10 {
                    out.push(b' ');
                }
                push_int(&mut out, civil.day, 0);
            }
            Element::ZeroDay => push_int(&mut out, civil.day, 2),
            Element::UnderYearDay => {
                let day = civil.year_day();
                if day < 100 {
                    out.push(b' ');
                }
                if day < 10 {
                    out.push(b' ');
                }
                push_int(&mut out, day, 0);
            }
            Element::ZeroYearDay => push_int(&mut out, civil.year_day(), 3),
            Element::Hour => push_int(&mut out, civil.hour, 2),
            Element::Hour12 => push_int(&mut out, hour12, 0),
            Element::ZeroHour12 => push_int(&mut out, hour12, 2),
            Element::Minute => push_int(&mut out, civil.minute, 0),
            Element::ZeroMinute => push_int(&mut out, civil.minute, 2),
            Element::Second => push_int(&mut out, civil.second, 0),
            Element::ZeroSecond => push_int(&mut out, civil.second, 2),
            Element::UpperPm => out.extend_from_slice(if civil.hour >= 12 { b"PM" } else { b"AM" }),
            Element::LowerPm => out.extend_from_slice(if civil.hour >= 12 { b"pm" } else { b"am" }),
            Element::Offset(style) => push_offset(&mut out, offset, style),
            Element::ZoneName if zone_name.is_empty() => {
                let style = OffsetStyle { z_for_utc: false, colons: false, parts: OffsetParts::Minutes };
                push_offset(&mut out, offset, style);
            }
            Element::ZoneName => out.extend_from_slice(zone_name.as_bytes()),
            Element::Fraction { separator, digits } => {
                out.push(separator);
                push_fraction(&mut out, time.nanos, digits);
            }
            Element::TrimmedFraction { separator, digits } => {
                let mut fraction = Vec::new();
                push_fraction(&mut fraction, time.nanos, digits);
                while fraction.last() == Some(&b'0') {
                    fraction.pop();
                }
                if !fraction.is_empty() {
                    out.push(separator);
                    out.extend_from_slice(&fraction);
                }
            }
        }
    }
    out
}

fn month_name(month: i64) -> &'static [u8] {
    MONTHS[(month - 1) as usize].as_bytes()
}

/// The first `digits` of nine; more than nine are not written.
fn push_fraction(out: &mut Vec<u8>, nanos: u32, digits: usize) {
    let all = format!("{nanos:09}");
    out.extend_from_slice(&all.as_bytes()[..digits.min(9)]);
}

/// Zero-padded to `width` digits; a sign comes on top.
fn push_int(out: &mut Vec<u8>, value: i64, width: usize) {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs();
    out.extend_from_slice(format!("{sign}{digits:0width$}").as_bytes());
}

fn push_offset(out: &mut Vec<u8>, offset: i64, style: OffsetStyle) {
    if style.z_for_utc && offset == 0 {
        out.push(b'Z');
        return;
    }
    let minutes = offset / 60;
    out.push(if minutes < 0 { b'-' } else { b'+' });
    // Below a minute west of UTC Go prints a plus and a negative number of seconds.
    let seconds = if minutes < 0 { -offset } else { offset } % 60;
    let minutes = minutes.abs();
    push_int(out, minutes / 60, 2);
    if style.parts == OffsetParts::Hours {
        return;
    }
    if style.colons {
        out.push(b':');
    }
    push_int(out, minutes % 60, 2);
    if style.parts == OffsetParts::Seconds {
        if style.colons {
            out.push(b':');
        }
        push_int(out, seconds, 2);
    }
}
