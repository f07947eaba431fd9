//! The small pieces of a pattern: runes, escapes, counts.

use super::error::{INVALID_ESCAPE, INVALID_UTF8, MISSING_BRACKET, SyntaxError, TRAILING_BACKSLASH, error};
use crate::sprig::unicode::decode_rune;

/// The first rune of `text` and what follows it; invalid UTF-8 is an error. At the end, as in Go,
/// there is U+FFFD, which no caller takes for anything.
pub(super) fn next_rune(text: &[u8]) -> Result<(char, &[u8]), SyntaxError> {
    if text.is_empty() {
        return Ok((char::REPLACEMENT_CHARACTER, text));
    }
    let (rune, width) = decode_rune(text);
    if rune == char::REPLACEMENT_CHARACTER && width == 1 {
        return Err(error(INVALID_UTF8, text));
    }
    Ok((rune, &text[width..]))
}

pub(super) fn check_utf8(text: &[u8]) -> Result<&str, SyntaxError> {
    std::str::from_utf8(text).map_err(|invalid| error(INVALID_UTF8, &text[invalid.valid_up_to()..]))
}

/// What `text` holds before `rest`, its own tail.
pub(super) fn before<'p>(text: &'p [u8], rest: &[u8]) -> &'p [u8] {
    &text[..text.len() - rest.len()]
}

/// `{min}`, `{min,}` or `{min,max}`; `None` when it is no repetition, no bounds when they are too
/// large to read.
#[expect(clippy::type_complexity, reason = "one use, named by its only caller")]
pub(super) fn parse_repeat(text: &[u8]) -> Option<(Option<(u32, Option<u32>)>, &[u8])> {
    let (min, mut rest) = parse_int(text.strip_prefix(b"{")?)?;
    let bounds = if let Some(after) = rest.strip_prefix(b",") {
        if after.first() == Some(&b'}') {
            rest = after;
            min.map(|min| (min, None))
        } else {
            let (max, after) = parse_int(after)?;
            rest = after;
            min.zip(max).map(|(min, max)| (min, Some(max)))
        }
    } else {
        min.map(|min| (min, Some(min)))
    };
    Some((bounds, rest.strip_prefix(b"}")?))
}

/// A decimal number without leading zeros; no value when it is beyond every limit.
fn parse_int(text: &[u8]) -> Option<(Option<u32>, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 1 && text[0] == b'0' {
        return None;
    }
    let digits = std::str::from_utf8(&text[..length]).ok()?;
    let value = digits.parse().ok().filter(|_| length <= 9);
    Some((value, &text[length..]))
}

pub(super) fn parse_class_char<'p>(
    text: &'p [u8],
    whole_class: &[u8],
) -> Result<(u32, &'p [u8]), SyntaxError> {
    match text.first() {
        None => Err(error(MISSING_BRACKET, whole_class)),
        Some(b'\\') => parse_escape(text),
        Some(_) => next_rune(text).map(|(rune, rest)| (u32::from(rune), rest)),
    }
}

/// A backslash escape that stands for one code point.
pub(super) fn parse_escape(text: &[u8]) -> Result<(u32, &[u8]), SyntaxError> {
    if text.len() == 1 {
        return Err(error(TRAILING_BACKSLASH, b""));
    }
    let (rune, mut rest) = next_rune(&text[1..])?;
    let code = match rune {
        '1'..='7' if !rest.first().is_some_and(|digit| (b'0'..=b'7').contains(digit)) => None,
        '0'..='7' => {
            let mut code = u32::from(rune) - u32::from('0');
            for _ in 1..3 {
                match rest.first() {
                    Some(digit @ b'0'..=b'7') => code = code * 8 + u32::from(digit - b'0'),
                    _ => break,
                }
                rest = &rest[1..];
            }
            Some(code)
        }
        'x' if !rest.is_empty() => {
            let (code, after) = parse_hex(rest)?;
            rest = after;
            code
        }
        'a' => Some(0x07),
        'f' => Some(0x0c),
        'n' => Some(0x0a),
        'r' => Some(0x0d),
        't' => Some(0x09),
        'v' => Some(0x0b),
        _ if rune.is_ascii() && !rune.is_ascii_alphanumeric() => Some(u32::from(rune)),
        _ => None,
    };
    code.map(|code| (code, rest)).ok_or_else(|| error(INVALID_ESCAPE, before(text, rest)))
}

/// The digits behind `\x`: two, or any number in braces. Without a value the escape is invalid up
/// to the returned rest.
fn parse_hex(text: &[u8]) -> Result<(Option<u32>, &[u8]), SyntaxError> {
    let (first, mut rest) = next_rune(text)?;
    if first != '{' {
        let (second, rest) = next_rune(rest)?;
        let code = first.to_digit(16).zip(second.to_digit(16));
        return Ok((code.map(|(high, low)| high * 16 + low), rest));
    }
    let mut code = None;
    while !rest.is_empty() {
        let (rune, after) = next_rune(rest)?;
        rest = after;
        if rune == '}' {
            return Ok((code, rest));
        }
        let Some(digit) = rune.to_digit(16) else {
            break;
        };
        let value = code.unwrap_or(0) * 16 + digit;
        if value > u32::from(char::MAX) {
            break;
        }
        code = Some(value);
    }
    Ok((None, rest))
}
