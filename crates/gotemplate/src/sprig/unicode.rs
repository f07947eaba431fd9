//! Go's view of text: bytes decoded rune by rune, and its simple case mappings.
//!
//! Rust's `char` methods differ in three ways that templates can see: invalid bytes, the general
//! categories (`is_uppercase` is wider than Go's `IsUpper`) and full case mappings (`ß` to `SS`).

use std::sync::LazyLock;

use regex::Regex;

pub(crate) use crate::gofmt::decode_rune;

/// The runes of `text` with the byte offset of each.
pub(crate) fn rune_indices(text: &[u8]) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = text.get(offset..).filter(|rest| !rest.is_empty())?;
        let (rune, width) = decode_rune(rest);
        let index = offset;
        offset += width;
        Some((index, rune))
    })
}

/// The runes of `text`; each invalid byte is one U+FFFD.
pub(crate) fn runes(text: &[u8]) -> impl Iterator<Item = char> + '_ {
    rune_indices(text).map(|(_, rune)| rune)
}

/// Appends `rune` as UTF-8.
pub(crate) fn push_rune(out: &mut Vec<u8>, rune: char) {
    out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Applies `map` to every rune; invalid bytes come out as U+FFFD, as from Go's `strings.Map`.
pub(crate) fn map_runes(text: &[u8], mut map: impl FnMut(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for rune in runes(text) {
        push_rune(&mut out, map(rune));
    }
    out
}

/// Go's `strings.ToUpper`.
pub(crate) fn upper(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() { text.to_ascii_uppercase() } else { map_runes(text, to_upper) }
}

/// Go's `strings.ToLower`.
pub(crate) fn lower(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() { text.to_ascii_lowercase() } else { map_runes(text, to_lower) }
}

/// Go's `unicode.IsSpace`: the White_Space property.
pub(crate) fn is_space(rune: char) -> bool {
    rune.is_whitespace()
}

/// Go's `unicode.IsUpper`: category Lu.
pub(crate) fn is_upper(rune: char) -> bool {
    static CATEGORY: LazyLock<Regex> = LazyLock::new(|| category(r"^\p{Lu}$"));
    in_category(rune, rune.is_ascii_uppercase(), &CATEGORY)
}

/// Go's `unicode.IsLower`: category Ll.
pub(crate) fn is_lower(rune: char) -> bool {
    static CATEGORY: LazyLock<Regex> = LazyLock::new(|| category(r"^\p{Ll}$"));
    in_category(rune, rune.is_ascii_lowercase(), &CATEGORY)
}

/// Go's `unicode.IsTitle`: category Lt.
pub(crate) fn is_title(rune: char) -> bool {
    static CATEGORY: LazyLock<Regex> = LazyLock::new(|| category(r"^\p{Lt}$"));
    in_category(rune, false, &CATEGORY)
}

/// Go's `unicode.IsLetter`: category L.
pub(crate) fn is_letter(rune: char) -> bool {
    static CATEGORY: LazyLock<Regex> = LazyLock::new(|| category(r"^\p{L}$"));
    in_category(rune, rune.is_ascii_alphabetic(), &CATEGORY)
}

/// Go's `unicode.IsDigit`: category Nd.
pub(crate) fn is_digit(rune: char) -> bool {
    static CATEGORY: LazyLock<Regex> = LazyLock::new(|| category(r"^\p{Nd}$"));
    in_category(rune, rune.is_ascii_digit(), &CATEGORY)
}

/// Go's `unicode.IsNumber`: category N.
pub(crate) fn is_number(rune: char) -> bool {
    static CATEGORY: LazyLock<Regex> = LazyLock::new(|| category(r"^\p{N}$"));
    in_category(rune, rune.is_ascii_digit(), &CATEGORY)
}

/// Go's `unicode.IsPunct`: category P.
pub(crate) fn is_punct(rune: char) -> bool {
    static CATEGORY: LazyLock<Regex> = LazyLock::new(|| category(r"^\p{P}$"));
    let ascii =
        rune.is_ascii_punctuation() && !matches!(rune, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
    in_category(rune, ascii, &CATEGORY)
}

fn category(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

fn in_category(rune: char, ascii: bool, category: &Regex) -> bool {
    if rune.is_ascii() { ascii } else { category.is_match(rune.encode_utf8(&mut [0; 4])) }
}

/// Go's `unicode.ToUpper`: the simple mapping.
pub(crate) fn to_upper(rune: char) -> char {
    match u32::from(rune) {
        // The iota-subscript letters have two-letter full mappings; their simple partner is near.
        code @ (0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7) => char_at(code + 8),
        code @ (0x1fb3 | 0x1fc3 | 0x1ff3) => char_at(code + 9),
        _ => only(rune.to_uppercase()).unwrap_or(rune),
    }
}

/// Go's `unicode.ToLower`: the simple mapping.
pub(crate) fn to_lower(rune: char) -> char {
    match rune {
        '\u{130}' => 'i',
        _ => only(rune.to_lowercase()).unwrap_or(rune),
    }
}

/// Go's `unicode.ToTitle`: upper case, except for digraphs and Georgian letters.
pub(crate) fn to_title(rune: char) -> char {
    match u32::from(rune) {
        0x1c4..=0x1c6 => '\u{1c5}',
        0x1c7..=0x1c9 => '\u{1c8}',
        0x1ca..=0x1cc => '\u{1cb}',
        0x1f1..=0x1f3 => '\u{1f2}',
        0x10d0..=0x10fa | 0x10fd..=0x10ff => rune,
        _ => to_upper(rune),
    }
}

fn char_at(code: u32) -> char {
    char::from_u32(code).expect("the ranges lie outside the surrogates")
}

fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_bytes_decode_one_by_one() {
        let decoded: Vec<_> = rune_indices(b"a\xe2\x82z\xc3\xa9\xff").collect();
        let bad = char::REPLACEMENT_CHARACTER;
        assert_eq!(decoded, [(0, 'a'), (1, bad), (2, bad), (3, 'z'), (4, 'é'), (6, bad)]);
    }

    #[test]
    fn case_mappings_are_simple() {
        assert_eq!(upper("straße ŉ ᾳ ⅷ".as_bytes()), "STRAßE ŉ ᾼ Ⅷ".as_bytes());
        assert_eq!(lower("İSTANBUL Σ".as_bytes()), "istanbul σ".as_bytes());
        assert_eq!((to_title('ǆ'), to_upper('ǆ')), ('ǅ', 'Ǆ'));
        assert!(is_upper('É') && !is_upper('Ⅷ') && !is_lower('ª') && is_letter('ª'));
        assert!(is_punct('_') && !is_punct('$') && is_punct('¿'));
    }
}
