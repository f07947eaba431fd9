//! What go-yaml's reader checks: encodings and characters that YAML does not allow.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Result};

/// The size of the pieces go-yaml reads and checks at a time.
const CHUNK: usize = 512;

const CONTROL: &str = "control characters are not allowed";

/// Text ready to be scanned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    /// Where the text starts: after a byte order mark.
    pub(crate) start: usize,
    /// How far go-yaml's scanner gets before its reader meets a bad character.
    pub(crate) limit: Option<usize>,
    pub(crate) problem: &'static str,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Self> {
        Self::with_problem(text, None)
    }

    /// `problem` is the reader's problem right after the end of `text`.
    pub(crate) fn with_problem(text: &'a str, problem: Option<&'static str>) -> Result<Self> {
        if text.len() >= u32::MAX as usize {
            return Err(Error::yaml(ErrorKind::Limit, "input is larger than 4 GiB"));
        }
        let start = if text.starts_with('\u{FEFF}') { 3 } else { 0 };
        let bad = match first_bad(text.as_bytes()) {
            Some(at) => Some((at, CONTROL)),
            None => problem.map(|problem| (text.len(), problem)),
        };
        Ok(match bad {
            None => Self { text, start, limit: None, problem: "" },
            Some((at, problem)) => {
                Self { text, start, limit: Some(chunk_start(text, at).max(start)), problem }
            }
        })
    }
}

/// The first character that is not allowed, by its byte offset.
fn first_bad(bytes: &[u8]) -> Option<usize> {
    let mut offset = 0;
    for chunk in bytes.chunks(64) {
        // Branch-free over the chunk; a suspicious one is looked at again.
        let suspicious = chunk.iter().fold(false, |found, &c| {
            found | (c < 0x20 && c != b'\n' && c != b'\t') | (c == 0x7F) | (c == 0xC2) | (c == 0xEF)
        });
        if suspicious {
            for (i, &c) in chunk.iter().enumerate() {
                let at = offset + i;
                let bad = match c {
                    b'\t' | b'\n' | b'\r' => false,
                    0..=0x1F | 0x7F => true,
                    0xC2 => matches!(bytes.get(at + 1), Some(&next) if next < 0xA0 && next != 0x85),
                    0xEF => {
                        bytes.get(at + 1) == Some(&0xBF) && matches!(bytes.get(at + 2), Some(0xBE | 0xBF))
                    }
                    _ => false,
                };
                if bad {
                    return Some(at);
                }
            }
        }
        offset += chunk.len();
    }
    None
}

/// Where the piece that holds byte `bad` starts.
fn chunk_start(text: &str, bad: usize) -> usize {
    let mut start = 0;
    loop {
        let mut end = start + CHUNK;
        if end >= text.len() {
            return start;
        }
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if bad < end {
            return start;
        }
        start = end;
    }
}

/// Decodes bytes as go-yaml's reader does: UTF-8, or UTF-16 by its byte order mark.
///
/// Returns the text up to the first problem, and the problem.
pub(crate) fn decode_input(bytes: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => (Cow::Borrowed(text), None),
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                let text = std::str::from_utf8(valid).unwrap_or_default();
                (Cow::Borrowed(text), Some(utf8_problem(rest)))
            }
        },
    }
}

/// go-yaml's name for what is wrong with the UTF-8 sequence at the start of `bytes`.
fn utf8_problem(bytes: &[u8]) -> &'static str {
    let Some(&lead) = bytes.first() else { return "incomplete UTF-8 octet sequence" };
    let (width, mut value) = match lead {
        0xC0..=0xDF => (2, u32::from(lead & 0x1F)),
        0xE0..=0xEF => (3, u32::from(lead & 0x0F)),
        0xF0..=0xF7 => (4, u32::from(lead & 0x07)),
        _ => return "invalid leading UTF-8 octet",
    };
    if bytes.len() < width {
        return "incomplete UTF-8 octet sequence";
    }
    for &octet in &bytes[1..width] {
        if octet & 0xC0 != 0x80 {
            return "invalid trailing UTF-8 octet";
        }
        value = (value << 6) | u32::from(octet & 0x3F);
    }
    let fits = match width {
        2 => value >= 0x80,
        3 => value >= 0x800,
        _ => value >= 0x1_0000,
    };
    if fits { "invalid Unicode character" } else { "invalid length of a UTF-8 sequence" }
}

fn decode_utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> (Cow<'_, str>, Option<&'static str>) {
    let mut text = String::with_capacity(bytes.len());
    let mut units = bytes.chunks(2).map(|pair| match *pair {
        [a, b] => Some(u32::from(read([a, b]))),
        _ => None,
    });
    let problem = loop {
        let value = match units.next() {
            None => break None,
            Some(None) => break Some("incomplete UTF-16 character"),
            Some(Some(0xDC00..=0xDFFF)) => break Some("unexpected low surrogate area"),
            Some(Some(high @ 0xD800..=0xDBFF)) => match units.next() {
                Some(Some(low @ 0xDC00..=0xDFFF)) => 0x1_0000 + ((high & 0x3FF) << 10) + (low & 0x3FF),
                Some(Some(_)) => break Some("expected low surrogate area"),
                _ => break Some("incomplete UTF-16 surrogate pair"),
            },
            Some(Some(value)) => value,
        };
        text.extend(char::from_u32(value));
    };
    (Cow::Owned(text), problem)
}
