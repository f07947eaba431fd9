//! Numbers, dates and times.

use gotemplate::sprig::time::{Time, Zone};
use gotemplate::{Value, gofmt};

use super::{Item, Parser, Result, quoted};

impl Parser<'_> {
    pub(super) fn signed(&mut self, start: usize) -> Result<Item> {
        let c = self.next()?;
        match c {
            Some('i' | 'n') => {
                let word = if c == Some('i') { "inf" } else { "nan" };
                for wanted in word.chars().skip(1) {
                    if !self.accept(wanted)? {
                        let shown = String::from_utf8_lossy(&self.input[start..self.at]).into_owned();
                        return Err(self.error(format!("invalid float: '{shown}'")));
                    }
                }
                let negative = self.input[start] == b'-';
                let value = if word == "inf" { f64::INFINITY } else { f64::NAN };
                Ok(Item::Value(Value::Float(if negative { -value } else { value })))
            }
            Some('0'..='9') => {
                if c == Some('0')
                    && let Some(base @ ('b' | 'o' | 'x')) = self.peek()?
                {
                    let shown = String::from_utf8_lossy(&self.input[start..self.at]).into_owned();
                    return Err(
                        self.error(format!("cannot use sign with non-decimal numbers: '{shown}{base}'"))
                    );
                }
                self.take_while(|c| c.is_ascii_digit() || matches!(c, '_'))?;
                self.finish_number(start)
            }
            Some('.') => Err(self.error("floats must start with a digit, not '.'")),
            c => Err(self.error(format!("expected a digit but got {}", quoted(c)))),
        }
    }

    pub(super) fn number_or_date(&mut self) -> Result<Item> {
        let start = self.at;
        let first = self.next()?;
        if first == Some('0') {
            let base = self.peek()?;
            let base = match base {
                Some('b') => Some((2, "a binary")),
                Some('o') => Some((8, "an octal")),
                Some('x') => Some((16, "a hexadecimal")),
                _ => None,
            };
            if let Some((radix, name)) = base {
                let digit = |c: char| c.is_digit(radix);
                self.next()?;
                let c = self.peek()?;
                if !c.is_some_and(digit) {
                    let shown = String::from_utf8_lossy(&self.input[start..self.at]).into_owned();
                    let c = c.unwrap_or('\0');
                    return Err(self.error(format!("not {name} number: '{shown}{c}'")));
                }
                self.take_while(|c| digit(c) || c == '_')?;
                let text = self.text_from(start);
                return self.integer(&text);
            }
        }
        self.take_while(|c| c.is_ascii_digit())?;
        if matches!(self.peek()?, Some('-' | ':')) {
            let date = |c: char| {
                c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | 't' | ' ' | '.' | 'Z' | 'z' | '+')
            };
            self.take_while(date)?;
            let text = self.text_from(start);
            return self.datetime(text.trim());
        }
        self.take_while(|c| c.is_ascii_digit() || c == '_')?;
        self.finish_number(start)
    }

    pub(super) fn text_from(&self, start: usize) -> String {
        String::from_utf8_lossy(&self.input[start..self.at]).into_owned()
    }

    /// The rest of a decimal number whose whole part has been read.
    pub(super) fn finish_number(&mut self, start: usize) -> Result<Item> {
        if matches!(self.peek()?, Some('.' | 'e' | 'E')) {
            self.take_while(|c| c.is_ascii_digit() || matches!(c, '_' | '.' | '-' | '+' | 'e' | 'E'))?;
            let text = self.text_from(start);
            return self.float(&text);
        }
        let text = self.text_from(start);
        self.integer(&text)
    }

    pub(super) fn check_digits(&self, kind: &str, text: &str, parts: &[&str]) -> Result<()> {
        let shown = gofmt::quote(text.as_bytes());
        for part in parts {
            let mut accept = false;
            let mut fine = true;
            for c in part.chars() {
                fine &= c != '_' || accept;
                accept = c.is_ascii_hexdigit();
            }
            if !fine || !accept {
                return Err(
                    self.error(format!("Invalid {kind} {shown}: underscores must be surrounded by digits"))
                );
            }
        }
        let first = parts.first().copied().unwrap_or_default();
        let digits = first.strip_prefix(['+', '-']).unwrap_or(first);
        if digits.len() > 1 && digits.starts_with('0') && !digits[1..].starts_with(['b', 'o', 'x']) {
            return Err(self.error(format!("Invalid {kind} {shown}: cannot have leading zeroes")));
        }
        Ok(())
    }

    pub(super) fn integer(&self, text: &str) -> Result<Item> {
        self.check_digits("integer", text, &[text])?;
        let plain = text.replace('_', "");
        let parsed = match plain.get(..2) {
            Some("0x") => i64::from_str_radix(&plain[2..], 16),
            Some("0o") => i64::from_str_radix(&plain[2..], 8),
            Some("0b") => i64::from_str_radix(&plain[2..], 2),
            _ => plain.parse(),
        };
        match parsed {
            Ok(number) => Ok(Item::Value(Value::int64(number))),
            Err(_) => Err(self.error(format!("{text} is out of range for int64"))),
        }
    }

    pub(super) fn float(&self, text: &str) -> Result<Item> {
        let parts: Vec<&str> = text.split(['.', 'e', 'E']).filter(|part| !part.is_empty()).collect();
        self.check_digits("float", text, &parts)?;
        let shown = gofmt::quote(text.as_bytes());
        let mut after_period = false;
        for c in text.chars().chain(['$']) {
            if after_period && !c.is_ascii_digit() {
                return Err(
                    self.error(format!("Invalid float {shown}: '.' must be followed by one or more digits"))
                );
            }
            after_period = c == '.';
        }
        match text.replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Item::Value(Value::Float(number))),
            Ok(_) => Err(self.error(format!("{text} is out of range for float64"))),
            Err(_) => Err(self.error(format!("Invalid float value: {shown}"))),
        }
    }

    pub(super) fn datetime(&self, text: &str) -> Result<Item> {
        let text = text.replace('z', "Z").replace(['t', ' '], "T");
        let local = |name: &str| Zone::Fixed { name: name.into(), offset: 0 };
        let layouts = [
            ("2006-01-02T15:04:05.999999999Z07:00", Zone::Utc),
            ("2006-01-02T15:04:05.999999999", local("datetime-local")),
            ("2006-01-02", local("date-local")),
            ("15:04:05.999999999", local("time-local")),
            ("2006-01-02T15:04Z07:00", Zone::Utc),
            ("2006-01-02T15:04", local("datetime-local")),
            ("15:04", local("time-local")),
        ];
        let invalid = || self.error(format!("invalid datetime: {}", gofmt::quote(text.as_bytes())));
        for (layout, zone) in layouts {
            if let Ok(time) = Time::parse(layout.as_bytes(), text.as_bytes(), &zone) {
                let separators =
                    layout.bytes().zip(text.bytes()).take_while(|(l, _)| !matches!(l, b'.' | b'Z'));
                if separators.into_iter().any(|(l, t)| !l.is_ascii_digit() && l != t) {
                    return Err(invalid());
                }
                return Ok(Item::Value(Value::host(time)));
            }
        }
        Err(invalid())
    }
}
