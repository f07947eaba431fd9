//! Quoting as `strconv` does it.

use regex::Regex;
use std::sync::OnceLock;

/// Go's replacement for what is not a rune.
const RUNE_ERROR: char = '\u{FFFD}';

/// The first rune of the bytes and its length; U+FFFD of length 1 if they are not UTF-8, 0 if empty.
pub fn decode_rune(bytes: &[u8]) -> (char, usize) {
    let Some(&first) = bytes.first() else { return (RUNE_ERROR, 0) };
    if first < 0x80 {
        return (first as char, 1);
    }
    let len = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return (RUNE_ERROR, 1),
    };
    bytes
        .get(..len)
        .and_then(|head| std::str::from_utf8(head).ok())
        .and_then(|head| head.chars().next())
        .map_or((RUNE_ERROR, 1), |rune| (rune, len))
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub fn is_print(rune: char) -> bool {
    if rune.is_ascii() {
        return (' '..='~').contains(&rune);
    }
    static PRINTABLE: OnceLock<Option<Regex>> = OnceLock::new();
    let printable = PRINTABLE.get_or_init(|| Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}]$").ok());
    let mut buffer = [0; 4];
    printable.as_ref().is_some_and(|class| class.is_match(rune.encode_utf8(&mut buffer)))
}

/// `strconv.Quote`.
pub fn quote(bytes: &[u8]) -> String {
    quote_with(bytes, '"', false)
}

/// `strconv.QuoteToASCII`.
pub fn quote_ascii(bytes: &[u8]) -> String {
    quote_with(bytes, '"', true)
}

/// `strconv.QuoteRune`; what is no code point becomes U+FFFD.
pub fn quote_rune(rune: u64) -> String {
    quote_with(rune_text(rune).as_bytes(), '\'', false)
}

/// `strconv.QuoteRuneToASCII`.
pub fn quote_rune_ascii(rune: u64) -> String {
    quote_with(rune_text(rune).as_bytes(), '\'', true)
}

fn rune_text(rune: u64) -> String {
    u32::try_from(rune).ok().and_then(char::from_u32).unwrap_or(RUNE_ERROR).to_string()
}

/// `strconv.CanBackquote`: whether the text can stand unchanged between backquotes.
pub fn can_backquote(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        text.chars().all(|c| match c {
            '\u{FEFF}' | '`' | '\u{7F}' => false,
            '\t' => true,
            c => c >= ' ',
        })
    })
}

fn quote_with(bytes: &[u8], mark: char, ascii_only: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push(mark);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (rune, width) = decode_rune(rest);
        if width == 1 && rune == RUNE_ERROR {
            out.push_str(&format!("\\x{:02x}", rest[0]));
        } else {
            push_escaped(&mut out, rune, mark, ascii_only);
        }
        rest = &rest[width..];
    }
    out.push(mark);
    out
}

fn push_escaped(out: &mut String, rune: char, mark: char, ascii_only: bool) {
    if rune == mark || rune == '\\' {
        out.push('\\');
        out.push(rune);
        return;
    }
    if rune.is_ascii() && is_print(rune) || !ascii_only && !rune.is_ascii() && is_print(rune) {
        out.push(rune);
        return;
    }
    match rune {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if c < ' ' || c == '\x7f' => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
        c => out.push_str(&format!("\\U{:08x}", c as u32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(quote("a\"b\\\n\u{7f}é\u{a0}🎉\u{200b}".as_bytes()), r#""a\"b\\\n\x7fé\u00a0🎉\u200b""#);
        assert_eq!(quote(b"\xffa\xc3"), r#""\xffa\xc3""#);
        assert_eq!(quote_ascii("é🎉".as_bytes()), r#""\u00e9\U0001f389""#);
        assert_eq!(quote_rune('\'' as u64), r"'\''");
        assert_eq!(quote_rune(0x110000), "'\u{FFFD}'");
        assert!(can_backquote(b"a\tb") && !can_backquote(b"a`"));
    }
}
