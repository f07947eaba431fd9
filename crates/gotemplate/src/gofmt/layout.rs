//! Flags, width and precision: the lower half of Go's `fmt` (`format.go`).

use super::float::format_float;
use super::quote::{can_backquote, decode_rune, is_print, quote, quote_ascii, quote_rune, quote_rune_ascii};

/// The flags of one verb, with its width and precision.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) plus_v: bool,
    pub(super) sharp_v: bool,
}

pub(super) fn rune_count(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    while !rest.is_empty() {
        rest = &rest[decode_rune(rest).1..];
        count += 1;
    }
    count
}

impl Flags {
    pub(super) fn padding(&self, buf: &mut Vec<u8>, count: usize) {
        let fill = if self.zero && !self.minus { b'0' } else { b' ' };
        buf.resize(buf.len() + count, fill);
    }

    pub(super) fn pad(&self, buf: &mut Vec<u8>, text: &[u8]) {
        let Some(width) = self.width.filter(|w| *w > 0) else {
            buf.extend_from_slice(text);
            return;
        };
        let missing = width.saturating_sub(rune_count(text));
        if self.minus {
            buf.extend_from_slice(text);
            self.padding(buf, missing);
        } else {
            self.padding(buf, missing);
            buf.extend_from_slice(text);
        }
    }

    fn pad_spaces(&self, buf: &mut Vec<u8>, text: &[u8]) {
        Flags { zero: false, ..*self }.pad(buf, text);
    }

    pub(super) fn unicode(&self, buf: &mut Vec<u8>, code: u64) {
        let digits = self.precision.filter(|p| *p > 4).unwrap_or(4);
        let mut text = format!("U+{code:0digits$X}");
        if self.sharp
            && let Some(rune) = u32::try_from(code).ok().and_then(char::from_u32)
            && is_print(rune)
        {
            text.push_str(&format!(" '{rune}'"));
        }
        self.pad_spaces(buf, text.as_bytes());
    }

    pub(super) fn integer(&self, buf: &mut Vec<u8>, value: u64, base: u32, signed: bool, verb: char) {
        let negative = signed && (value as i64) < 0;
        let magnitude = if negative { value.wrapping_neg() } else { value };
        let mut least_digits = 0;
        if let Some(precision) = self.precision {
            least_digits = precision;
            if precision == 0 && magnitude == 0 {
                let spaces = Flags { zero: false, ..*self };
                spaces.padding(buf, self.width.unwrap_or(0));
                return;
            }
        } else if let Some(width) = self.width
            && self.zero
            && !self.minus
        {
            least_digits = width;
            if negative || self.plus || self.space {
                least_digits = least_digits.saturating_sub(1);
            }
        }
        let upper = verb == 'X';
        let digits = match base {
            2 => format!("{magnitude:b}"),
            8 => format!("{magnitude:o}"),
            16 if upper => format!("{magnitude:X}"),
            16 => format!("{magnitude:x}"),
            _ => magnitude.to_string(),
        };
        let mut text = Vec::with_capacity(digits.len().max(least_digits) + 4);
        if negative {
            text.push(b'-');
        } else if self.plus {
            text.push(b'+');
        } else if self.space {
            text.push(b' ');
        }
        if verb == 'O' {
            text.extend_from_slice(b"0o");
        }
        let zeros = least_digits.saturating_sub(digits.len());
        if self.sharp {
            match base {
                2 => text.extend_from_slice(b"0b"),
                8 if zeros == 0 && !digits.starts_with('0') => text.push(b'0'),
                16 => text.extend_from_slice(if upper { b"0X" } else { b"0x" }),
                _ => {}
            }
        }
        text.resize(text.len() + zeros, b'0');
        text.extend_from_slice(digits.as_bytes());
        self.pad_spaces(buf, &text);
    }

    pub(super) fn truncate<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let Some(precision) = self.precision else { return text };
        let mut end = 0;
        for _ in 0..precision {
            if end >= text.len() {
                break;
            }
            end += decode_rune(&text[end..]).1;
        }
        &text[..end]
    }

    pub(super) fn string(&self, buf: &mut Vec<u8>, text: &[u8]) {
        self.pad(buf, self.truncate(text));
    }

    pub(super) fn hex_string(&self, buf: &mut Vec<u8>, text: &[u8], upper: bool) {
        let text = &text[..self.precision.unwrap_or(text.len()).min(text.len())];
        if text.is_empty() {
            self.padding(buf, self.width.unwrap_or(0));
            return;
        }
        let mut width = 2 * text.len();
        if self.space {
            if self.sharp {
                width *= 2;
            }
            width += text.len() - 1;
        } else if self.sharp {
            width += 2;
        }
        let missing = self.width.unwrap_or(0).saturating_sub(width);
        if !self.minus {
            self.padding(buf, missing);
        }
        let prefix: &[u8] = if upper { b"0X" } else { b"0x" };
        let digits: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
        if self.sharp {
            buf.extend_from_slice(prefix);
        }
        for (i, byte) in text.iter().enumerate() {
            if self.space && i > 0 {
                buf.push(b' ');
                if self.sharp {
                    buf.extend_from_slice(prefix);
                }
            }
            buf.push(digits[usize::from(byte >> 4)]);
            buf.push(digits[usize::from(byte & 15)]);
        }
        if self.minus {
            self.padding(buf, missing);
        }
    }

    pub(super) fn quoted(&self, buf: &mut Vec<u8>, text: &[u8]) {
        let text = self.truncate(text);
        if self.sharp && can_backquote(text) {
            let mut quoted = vec![b'`'];
            quoted.extend_from_slice(text);
            quoted.push(b'`');
            self.pad(buf, &quoted);
        } else if self.plus {
            self.pad(buf, quote_ascii(text).as_bytes());
        } else {
            self.pad(buf, quote(text).as_bytes());
        }
    }

    pub(super) fn character(&self, buf: &mut Vec<u8>, code: u64) {
        let rune = u32::try_from(code).ok().and_then(char::from_u32).unwrap_or('\u{FFFD}');
        self.pad(buf, rune.to_string().as_bytes());
    }

    pub(super) fn quoted_character(&self, buf: &mut Vec<u8>, code: u64) {
        let text = if self.plus { quote_rune_ascii(code) } else { quote_rune(code) };
        self.pad(buf, text.as_bytes());
    }

    pub(super) fn float(&self, buf: &mut Vec<u8>, value: f64, verb: u8, default_precision: i32) {
        let precision = self.precision.map_or(default_precision, |p| p as i32);
        let text = format_float(value, verb, precision, 64);
        let (sign, digits) = match text.as_bytes() {
            [sign @ (b'+' | b'-'), rest @ ..] => (*sign, rest),
            rest => (b'+', rest),
        };
        let sign = if self.space && sign == b'+' && !self.plus { b' ' } else { sign };
        if digits.starts_with(b"Inf") || digits.starts_with(b"NaN") {
            let text = if digits[0] == b'N' && !self.space && !self.plus {
                digits.to_vec()
            } else {
                [&[sign], digits].concat()
            };
            self.pad_spaces(buf, &text);
            return;
        }
        let digits =
            if self.sharp && verb != b'b' { keep_point(digits, verb, precision) } else { digits.to_vec() };
        if self.plus || sign != b'+' {
            if let Some(width) = self.width
                && self.zero
                && !self.minus
                && width > digits.len() + 1
            {
                buf.push(sign);
                self.padding(buf, width - digits.len() - 1);
                buf.extend_from_slice(&digits);
                return;
            }
            self.pad(buf, &[&[sign], &digits[..]].concat());
            return;
        }
        self.pad(buf, &digits);
    }
}

/// The `#` flag of floats: always a decimal point, and trailing zeros stay.
fn keep_point(number: &[u8], verb: u8, precision: i32) -> Vec<u8> {
    let mut missing = match verb {
        b'v' | b'g' | b'G' | b'x' => {
            if precision == -1 {
                6
            } else {
                precision
            }
        }
        _ => 0,
    };
    let is_hex = matches!(verb, b'x' | b'X');
    let mut body = Vec::with_capacity(number.len() + 8);
    let mut tail: &[u8] = &[];
    let mut has_point = false;
    let mut saw_nonzero = false;
    for (i, &c) in number.iter().enumerate() {
        match c {
            b'.' => has_point = true,
            b'p' | b'P' => {
                tail = &number[i..];
                break;
            }
            b'e' | b'E' if !is_hex => {
                tail = &number[i..];
                break;
            }
            _ => {
                saw_nonzero |= c != b'0';
                if saw_nonzero {
                    missing -= 1;
                }
            }
        }
        body.push(c);
    }
    if !has_point {
        if body == b"0" {
            missing -= 1;
        }
        body.push(b'.');
    }
    body.resize(body.len() + missing.max(0) as usize, b'0');
    body.extend_from_slice(tail);
    body
}
