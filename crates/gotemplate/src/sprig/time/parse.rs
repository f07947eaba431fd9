//! Reading times by a layout, with the errors of Go's `time.Parse`.

use super::calendar::{days_before, days_in, is_leap};
use super::duration::{leading_int, quote};
use super::layout::{Element, OffsetParts, next_chunk};
use super::{MONTHS, Time, WEEKDAYS, Zone};

/// Why a text is not a time of the layout, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parsing time {}{message}", quote(value))]
pub struct ParseError {
    value: Vec<u8>,
    message: String,
}

/// The bare fact that an element did not match.
struct Mismatch;

/// What the elements read so far say.
#[derive(Debug, Default)]
struct Reading {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    half: Option<Half>,
    utc: bool,
    offset: Option<i64>,
    zone_name: Vec<u8>,
    /// What lies outside its range, if anything.
    out_of_range: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Am,
    Pm,
}

pub(super) fn parse(layout: &[u8], value: &[u8], zone: &Zone) -> Result<Time, ParseError> {
    let fail = |message: String| ParseError { value: value.to_vec(), message };
    let mismatch = |element: &[u8], rest: &[u8]| {
        fail(format!(" as {}: cannot parse {} as {}", quote(layout), quote(rest), quote(element)))
    };
    let mut reading = Reading::default();
    let mut layout_rest = layout;
    let mut rest = value;
    loop {
        let chunk = next_chunk(layout_rest);
        rest = skip(rest, chunk.prefix).map_err(|stuck| mismatch(chunk.prefix, stuck))?;
        let Some((element, spelling)) = chunk.element else {
            if !rest.is_empty() {
                return Err(fail(format!(": extra text: {}", quote(rest))));
            }
            break;
        };
        layout_rest = chunk.suffix;
        let held = rest;
        let outcome = reading.read(element, &mut rest, layout_rest);
        if let Some(what) = reading.out_of_range {
            return Err(fail(format!(": {what} out of range")));
        }
        outcome.map_err(|Mismatch| mismatch(spelling, held))?;
    }
    reading.into_time(zone).map_err(|message| fail(format!(": {message}")))
}

/// Cuts `prefix` off; runs of spaces match each other. On failure gives what is left.
fn skip<'v>(mut value: &'v [u8], mut prefix: &[u8]) -> Result<&'v [u8], &'v [u8]> {
    while let Some(&first) = prefix.first() {
        if first == b' ' {
            if value.first().is_some_and(|byte| *byte != b' ') {
                return Err(value);
            }
            prefix = trim_spaces(prefix);
            value = trim_spaces(value);
            continue;
        }
        if value.first() != Some(&first) {
            return Err(value);
        }
        prefix = &prefix[1..];
        value = &value[1..];
    }
    Ok(value)
}

fn trim_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

fn take<'v>(rest: &mut &'v [u8], count: usize) -> Result<&'v [u8], Mismatch> {
    if rest.len() < count {
        return Err(Mismatch);
    }
    let (taken, after) = rest.split_at(count);
    *rest = after;
    Ok(taken)
}

/// One or two digits; exactly two when `fixed`.
fn number(rest: &mut &[u8], fixed: bool) -> Result<i64, Mismatch> {
    digits(rest, 2, if fixed { 2 } else { 1 })
}

/// Between `min` and `max` digits.
fn digits(rest: &mut &[u8], max: usize, min: usize) -> Result<i64, Mismatch> {
    let count = rest.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
    if count < min {
        return Err(Mismatch);
    }
    let text = take(rest, count)?;
    Ok(text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// The index of the first name, cut to `length` bytes where given, that the text starts with.
fn name(rest: &mut &[u8], names: &[&str], length: Option<usize>) -> Result<i64, Mismatch> {
    for (index, name) in names.iter().enumerate() {
        let name = &name.as_bytes()[..length.unwrap_or(name.len())];
        if rest.len() >= name.len() && rest[..name.len()].eq_ignore_ascii_case(name) {
            *rest = &rest[name.len()..];
            return Ok(index as i64);
        }
    }
    Err(Mismatch)
}

/// Go's `atoi`: an optional sign, then digits only.
fn signed(text: &[u8]) -> Result<i64, Mismatch> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    match leading_int(digits) {
        Some((value, [])) => {
            let value = i64::try_from(value).map_err(|_| Mismatch)?;
            Ok(if negative { -value } else { value })
        }
        _ => Err(Mismatch),
    }
}

impl Reading {
    fn read(&mut self, element: Element, rest: &mut &[u8], layout_rest: &[u8]) -> Result<(), Mismatch> {
        match element {
            Element::Year => {
                let year = signed(take(rest, 2)?)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
            }
            Element::LongYear => {
                if !rest.first().is_some_and(u8::is_ascii_digit) {
                    return Err(Mismatch);
                }
                self.year = signed(take(rest, 4)?)?;
            }
            Element::Month => self.month = Some(name(rest, &MONTHS, Some(3))? + 1),
            Element::LongMonth => self.month = Some(name(rest, &MONTHS, None)? + 1),
            Element::NumMonth | Element::ZeroMonth => {
                let month = number(rest, element == Element::ZeroMonth)?;
                self.require((1..=12).contains(&month), "month");
                self.month = Some(month);
            }
            Element::WeekDay => {
                name(rest, &WEEKDAYS, Some(3))?;
            }
            Element::LongWeekDay => {
                name(rest, &WEEKDAYS, None)?;
            }
            Element::Day | Element::UnderDay | Element::ZeroDay => {
                if element == Element::UnderDay && rest.first() == Some(&b' ') {
                    *rest = &rest[1..];
                }
                self.day = Some(number(rest, element == Element::ZeroDay)?);
            }
            Element::UnderYearDay | Element::ZeroYearDay => {
                let fixed = element == Element::ZeroYearDay;
                for _ in 0..2 {
                    if !fixed && rest.first() == Some(&b' ') {
                        *rest = &rest[1..];
                    }
                }
                self.year_day = Some(digits(rest, 3, if fixed { 3 } else { 1 })?);
            }
            Element::Hour => {
                self.hour = number(rest, false)?;
                self.require(self.hour < 24, "hour");
            }
            Element::Hour12 | Element::ZeroHour12 => {
                self.hour = number(rest, element == Element::ZeroHour12)?;
                self.require(self.hour <= 12, "hour");
            }
            Element::Minute | Element::ZeroMinute => {
                self.minute = number(rest, element == Element::ZeroMinute)?;
                self.require(self.minute < 60, "minute");
            }
            Element::Second | Element::ZeroSecond => {
                self.second = number(rest, element == Element::ZeroSecond)?;
                self.require(self.second < 60, "second");
                self.read_unasked_fraction(rest, layout_rest)?;
            }
            Element::UpperPm => self.half = Some(half(take(rest, 2)?, b"AM", b"PM", self.half)?),
            Element::LowerPm => self.half = Some(half(take(rest, 2)?, b"am", b"pm", self.half)?),
            Element::Offset(style) => {
                if style.z_for_utc && rest.first() == Some(&b'Z') {
                    *rest = &rest[1..];
                    self.utc = true;
                } else {
                    self.read_offset(rest, style.colons, style.parts)?;
                }
            }
            Element::ZoneName => {
                if rest.starts_with(b"UTC") {
                    *rest = &rest[3..];
                    self.utc = true;
                } else {
                    let length = zone_name_length(rest).ok_or(Mismatch)?;
                    self.zone_name = take(rest, length)?.to_vec();
                }
            }
            Element::Fraction { digits, .. } => {
                let fraction = take(rest, digits + 1)?;
                self.read_fraction(fraction)?;
            }
            Element::TrimmedFraction { .. } => {
                if let Some(length) = fraction_length(rest) {
                    let fraction = take(rest, length)?;
                    self.read_fraction(fraction)?;
                }
            }
        }
        Ok(())
    }

    fn require(&mut self, holds: bool, what: &'static str) {
        if !holds {
            self.out_of_range = Some(what);
        }
    }

    /// A fraction may follow the seconds although the layout has none.
    fn read_unasked_fraction(&mut self, rest: &mut &[u8], layout_rest: &[u8]) -> Result<(), Mismatch> {
        let Some(length) = fraction_length(rest) else {
            return Ok(());
        };
        // Any later fraction of the layout counts, not only one that follows at once.
        if let Some((Element::Fraction { .. } | Element::TrimmedFraction { .. }, _)) =
            next_chunk(layout_rest).element
        {
            return Ok(());
        }
        if self.out_of_range.is_some() {
            return Ok(());
        }
        let fraction = take(rest, length)?;
        self.read_fraction(fraction)
    }

    /// Separator and digits; digits beyond nanoseconds are cut.
    fn read_fraction(&mut self, fraction: &[u8]) -> Result<(), Mismatch> {
        if !matches!(fraction.first(), Some(b'.' | b',')) {
            return Err(Mismatch);
        }
        let fraction = &fraction[..fraction.len().min(10)];
        let value = signed(&fraction[1..])?;
        if value < 0 {
            self.out_of_range = Some("fractional second");
            return Ok(());
        }
        self.nanos = value * 10_i64.pow(10 - fraction.len() as u32);
        Ok(())
    }

    fn read_offset(&mut self, rest: &mut &[u8], colons: bool, parts: OffsetParts) -> Result<(), Mismatch> {
        let colon = usize::from(colons);
        let (minutes_at, seconds_at) = (3 + colon, 5 + 2 * colon);
        let length = match parts {
            OffsetParts::Hours => 3,
            OffsetParts::Minutes => minutes_at + 2,
            OffsetParts::Seconds => seconds_at + 2,
        };
        if rest.len() < length {
            return Err(Mismatch);
        }
        if colons && (rest[3] != b':' || parts == OffsetParts::Seconds && rest[6] != b':') {
            return Err(Mismatch);
        }
        let text = take(rest, length)?;
        let part = |start: usize| number(&mut &text[start..start + 2], true);
        // As in Go, ranges are complained about before digits that are none.
        let mut values = [0, 0, 0];
        let mut outcome = Ok(());
        let starts = match parts {
            OffsetParts::Hours => vec![1],
            OffsetParts::Minutes => vec![1, minutes_at],
            OffsetParts::Seconds => vec![1, minutes_at, seconds_at],
        };
        for (value, start) in values.iter_mut().zip(starts) {
            match part(start) {
                Ok(number) => *value = number,
                Err(mismatch) => {
                    outcome = Err(mismatch);
                    break;
                }
            }
        }
        let [hours, minutes, seconds] = values;
        self.require(hours <= 24, "time zone offset hour");
        self.require(minutes <= 60, "time zone offset minute");
        self.require(seconds <= 60, "time zone offset second");
        let offset = (hours * 60 + minutes) * 60 + seconds;
        self.offset = Some(match text[0] {
            b'+' => offset,
            b'-' => -offset,
            _ => return Err(Mismatch),
        });
        outcome
    }

    fn into_time(self, zone: &Zone) -> Result<Time, String> {
        let hour = match self.half {
            Some(Half::Pm) if self.hour < 12 => self.hour + 12,
            Some(Half::Am) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let (month, day) = self.month_and_day()?;
        if day < 1 || day > days_in(month, self.year) {
            return Err("day out of range".to_owned());
        }
        let in_zone = |zone| {
            Time::from_civil((self.year, month, day), (hour, self.minute, self.second), self.nanos, zone)
        };
        if self.utc {
            return Ok(in_zone(Zone::Utc));
        }
        let zone_name = String::from_utf8_lossy(&self.zone_name);
        // An offset of one second west is Go's mark for "none read".
        if let Some(offset) = self.offset.filter(|offset| *offset != -1) {
            let time = in_zone(Zone::Utc).add(super::Duration(-offset * super::NANOS_PER_SECOND));
            let (name, actual) = zone.lookup(time.seconds);
            let same = actual == offset && (zone_name.is_empty() || name == zone_name);
            return Ok(time.in_zone(if same {
                zone.clone()
            } else {
                Zone::Fixed { name: zone_name.as_ref().into(), offset }
            }));
        }
        if zone_name.is_empty() {
            return Ok(in_zone(zone.clone()));
        }
        let time = in_zone(Zone::Utc);
        if let Some(offset) = zone.lookup_name(&zone_name, time.seconds) {
            let shifted = time.add(super::Duration(-offset * super::NANOS_PER_SECOND));
            return Ok(shifted.in_zone(zone.clone()));
        }
        let offset =
            zone_name.strip_prefix("GMT").and_then(|hours| signed(hours.as_bytes()).ok()).unwrap_or(0) * 3600;
        // Without an offset known, the reading stays and the instant is a guess.
        Ok(time.in_zone(Zone::Fixed { name: zone_name.as_ref().into(), offset }))
    }

    fn month_and_day(&self) -> Result<(i64, i64), String> {
        let Some(mut year_day) = self.year_day else {
            return Ok((self.month.unwrap_or(1), self.day.unwrap_or(1)));
        };
        let mut leap_day = false;
        if is_leap(self.year) {
            if year_day == 31 + 29 {
                leap_day = true;
            } else if year_day > 31 + 29 {
                year_day -= 1;
            }
        }
        if !(1..=365).contains(&year_day) {
            return Err("day-of-year out of range".to_owned());
        }
        let (month, day) = if leap_day {
            (2, 29)
        } else {
            let mut month = (year_day - 1) / 31 + 1;
            if days_before(month + 1) < year_day {
                month += 1;
            }
            (month, year_day - days_before(month))
        };
        if self.month.is_some_and(|given| given != month) {
            return Err("day-of-year does not match month".to_owned());
        }
        if self.day.is_some_and(|given| given != day) {
            return Err("day-of-year does not match day".to_owned());
        }
        Ok((month, day))
    }
}

/// Afternoon wins when a layout names the half of the day twice.
fn half(text: &[u8], am: &[u8], pm: &[u8], before: Option<Half>) -> Result<Half, Mismatch> {
    if text == pm || text == am && before == Some(Half::Pm) {
        Ok(Half::Pm)
    } else if text == am {
        Ok(Half::Am)
    } else {
        Err(Mismatch)
    }
}

/// The length of a separator and at least one digit at the start.
fn fraction_length(text: &[u8]) -> Option<usize> {
    matches!(text.first(), Some(b'.' | b',')).then_some(())?;
    let digits = text[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then_some(digits + 1)
}

/// How long the time zone abbreviation at the start is.
fn zone_name_length(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if text.starts_with(b"GMT") {
        return Some(3 + signed_offset_length(&text[3..]));
    }
    if matches!(text[0], b'+' | b'-') {
        return Some(signed_offset_length(text)).filter(|length| *length > 0);
    }
    let upper = text.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count();
    match upper {
        5 if text[4] == b'T' => Some(5),
        4 if text[3] == b'T' || text.starts_with(b"WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// The length of `+3`, `-11` and the like: hours up to 23; 0 when it is none.
fn signed_offset_length(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'+' | b'-')) {
        return 0;
    }
    match leading_int(&text[1..]) {
        Some((hours, rest)) if rest.len() < text.len() - 1 && hours <= 23 => text.len() - rest.len(),
        _ => 0,
    }
}
