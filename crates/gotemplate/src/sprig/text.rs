//! Cutting, padding, splitting and wrapping of strings. Everything counts bytes, as Go does.

use super::unicode::{is_space, push_rune};

/// A slice expression outside the string: Go's panic text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OutOfRange(String);

/// `text[start:end]` with Go's bounds errors.
pub(crate) fn slice(text: &[u8], start: i64, end: i64) -> Result<&[u8], OutOfRange> {
    let length = text.len() as i64;
    if end < 0 || end > length {
        return Err(out_of_range(format!(":{end}] with length {length}"), end < 0, &format!(":{end}]")));
    }
    if start < 0 || start > end {
        return Err(out_of_range(format!("{start}:{end}]"), start < 0, &format!("{start}:]")));
    }
    Ok(&text[start as usize..end as usize])
}

/// `text[start:]` with Go's bounds errors.
pub(crate) fn slice_from(text: &[u8], start: i64) -> Result<&[u8], OutOfRange> {
    slice(text, start, text.len() as i64)
}

/// Go leaves the second bound out of the text when an index is negative.
fn out_of_range(indices: String, negative: bool, short: &str) -> OutOfRange {
    let indices = if negative { short } else { &indices };
    OutOfRange(format!("runtime error: slice bounds out of range [{indices}"))
}

/// sprig's `substr`.
pub(crate) fn substring(start: i64, end: i64, text: &[u8]) -> Result<&[u8], OutOfRange> {
    if start < 0 {
        slice(text, 0, end)
    } else if end < 0 || end > text.len() as i64 {
        slice_from(text, start)
    } else {
        slice(text, start, end)
    }
}

/// sprig's `trunc`: the first `count` bytes, or the last ones when negative.
pub(crate) fn truncate(count: i64, text: &[u8]) -> &[u8] {
    let length = text.len() as i64;
    match count {
        ..0 if length.saturating_add(count) > 0 => &text[(length + count) as usize..],
        0.. if length > count => &text[..count as usize],
        _ => text,
    }
}

/// Go's `strings.Repeat` as its panics tell it.
pub(crate) fn repeat(count: i64, text: &[u8]) -> Result<Vec<u8>, String> {
    let count = usize::try_from(count).map_err(|_| "strings: negative Repeat count".to_owned())?;
    match text.len().checked_mul(count) {
        Some(length) if length <= isize::MAX as usize => Ok(text.repeat(count)),
        _ => Err("strings: Repeat output length overflow".to_owned()),
    }
}

/// sprig's `indent`: every line, empty ones too, gets `spaces` spaces.
pub(crate) fn indent(spaces: i64, text: &[u8]) -> Result<Vec<u8>, String> {
    let pad = repeat(spaces, b" ")?;
    let lines = text.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let mut out = Vec::with_capacity(text.len().saturating_add(lines.saturating_mul(pad.len())));
    out.extend_from_slice(&pad);
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if index > 0 {
            out.push(b'\n');
            out.extend_from_slice(&pad);
        }
        out.extend_from_slice(line);
    }
    Ok(out)
}

/// Go's `strings.ReplaceAll`; an empty `old` matches before every rune and at the end.
pub(crate) fn replace(old: &[u8], new: &[u8], text: &[u8]) -> Vec<u8> {
    if old == new {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    if old.is_empty() {
        let mut last = 0;
        for (index, _) in super::unicode::rune_indices(text) {
            out.extend_from_slice(&text[last..index]);
            out.extend_from_slice(new);
            last = index;
        }
        out.extend_from_slice(&text[last..]);
        out.extend_from_slice(new);
        return out;
    }
    let mut rest = text;
    while let Some(index) = find(rest, old) {
        out.extend_from_slice(&rest[..index]);
        out.extend_from_slice(new);
        rest = &rest[index + old.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The first position of `needle`.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    memchr::memmem::find(text, needle)
}

/// Go's `strings.SplitN`: at most `limit` parts, all when negative, none when zero. An empty
/// separator splits into runes.
pub(crate) fn split<'a>(separator: &[u8], text: &'a [u8], limit: i64) -> Vec<&'a [u8]> {
    let limit = match limit {
        0 => return Vec::new(),
        ..0 => usize::MAX,
        _ => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let mut parts = Vec::new();
    let mut rest = text;
    if separator.is_empty() {
        while !rest.is_empty() && parts.len() + 1 < limit {
            let (_, width) = super::unicode::decode_rune(rest);
            parts.push(&rest[..width]);
            rest = &rest[width..];
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
        return parts;
    }
    while parts.len() + 1 < limit {
        let Some(index) = find(rest, separator) else {
            break;
        };
        parts.push(&rest[..index]);
        rest = &rest[index + separator.len()..];
    }
    parts.push(rest);
    parts
}

/// Go's `strings.TrimSpace`.
pub(crate) fn trim_space(text: &[u8]) -> &[u8] {
    trim_matches(text, is_space)
}

/// Go's `strings.Trim`: cuts runes of `cutset` off both ends.
pub(crate) fn trim<'a>(cutset: &[u8], text: &'a [u8]) -> &'a [u8] {
    let cutset: Vec<char> = super::unicode::runes(cutset).collect();
    trim_matches(text, |rune| cutset.contains(&rune))
}

fn trim_matches(mut text: &[u8], cut: impl Fn(char) -> bool) -> &[u8] {
    while !text.is_empty() {
        let (rune, width) = super::unicode::decode_rune(text);
        if !cut(rune) {
            break;
        }
        text = &text[width..];
    }
    while !text.is_empty() {
        let (rune, width) = decode_last_rune(text);
        if !cut(rune) {
            break;
        }
        text = &text[..text.len() - width];
    }
    text
}

/// Go's `utf8.DecodeLastRune`.
fn decode_last_rune(text: &[u8]) -> (char, usize) {
    for width in 1..=text.len().min(4) {
        let (rune, decoded) = super::unicode::decode_rune(&text[text.len() - width..]);
        if decoded == width && (width > 1 || rune.is_ascii()) {
            return (rune, width);
        }
    }
    (char::REPLACEMENT_CHARACTER, 1)
}

/// sprig's `nospace`. The library goes byte by byte and writes each as a rune, which garbles
/// everything above ASCII once there is a space to delete.
pub(crate) fn delete_spaces(text: &[u8]) -> Vec<u8> {
    if !text.iter().any(|&byte| is_space(char::from(byte))) {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        let rune = char::from(byte);
        if !is_space(rune) {
            push_rune(&mut out, rune);
        }
    }
    out
}

/// sprig's `initials`, byte by byte as well.
pub(crate) fn initials(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut after_gap = true;
    for &byte in text {
        let rune = char::from(byte);
        if is_space(rune) {
            after_gap = true;
        } else if after_gap {
            push_rune(&mut out, rune);
            after_gap = false;
        }
    }
    out
}

/// sprig's `abbrevboth` (and `abbrev` with `offset` 0): cuts to `width` with `...`.
pub(crate) fn abbreviate(offset: i64, width: i64, text: &[u8]) -> Result<Vec<u8>, OutOfRange> {
    let length = text.len() as i64;
    if text.is_empty() || width < 4 {
        return Ok(Vec::new());
    }
    if length <= width {
        return Ok(text.to_vec());
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return Ok([&text[..(width - 3) as usize], b"..."].concat());
    }
    if width < 7 {
        return Ok(Vec::new());
    }
    if offset + width - 3 < length {
        let rest = abbreviate(0, width - 3, &text[offset as usize..])?;
        return Ok([b"...", rest.as_slice()].concat());
    }
    Ok([b"...", slice_from(text, length - (width - 3))?].concat())
}

/// sprig's `wrap` and `wrapWith`: breaks at spaces after at most `width` bytes; longer words are
/// cut only with `break_words`.
pub(crate) fn wrap(text: &[u8], width: i64, new_line: &[u8], break_words: bool) -> Vec<u8> {
    let new_line = if new_line.is_empty() { b"\n".as_slice() } else { new_line };
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while rest.len() > width {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let space = rest[..=width].iter().rposition(|&byte| byte == b' ');
        let (line, skipped) = match space {
            Some(space) => (space, 1),
            None if break_words => (width, 0),
            None => match rest[width..].iter().position(|&byte| byte == b' ') {
                Some(index) => (width + index, 1),
                None => break,
            },
        };
        out.extend_from_slice(&rest[..line]);
        out.extend_from_slice(new_line);
        rest = &rest[line + skipped..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_panic_in_go_words() {
        let error = |start, end| substring(start, end, b"hello").unwrap_err().to_string();
        assert_eq!(error(-1, 9), "runtime error: slice bounds out of range [:9] with length 5");
        assert_eq!(error(-1, -2), "runtime error: slice bounds out of range [:-2]");
        assert_eq!(error(4, 2), "runtime error: slice bounds out of range [4:2]");
        assert_eq!(error(9, 20), "runtime error: slice bounds out of range [9:5]");
        assert_eq!(substring(1, -1, b"hello").unwrap(), b"ello");
    }

    #[test]
    fn truncates_from_either_end() {
        assert_eq!(truncate(2, b"hello"), b"he");
        assert_eq!(truncate(-2, b"hello"), b"lo");
        assert_eq!(truncate(-5, b"hello"), b"hello");
        assert_eq!(truncate(i64::MIN, b"hello"), b"hello");
        assert_eq!(truncate(0, b"hello"), b"");
    }

    #[test]
    fn replaces_and_splits_like_go() {
        assert_eq!(replace(b"", b"-", "aé".as_bytes()), "-a-é-".as_bytes());
        assert_eq!(replace(b"aa", b"b", b"aaa"), b"ba");
        assert_eq!(split(b"", "aéb".as_bytes(), 2), [b"a".as_slice(), "éb".as_bytes()]);
        assert_eq!(split(b"", b"", -1), Vec::<&[u8]>::new());
        assert_eq!(split(b",", b"", -1), [b""]);
        assert_eq!(split(b",", b"a,b,c", 2), [b"a".as_slice(), b"b,c"]);
    }

    #[test]
    fn trims_runes() {
        assert_eq!(trim_space("\u{a0}\n x\u{2003}".as_bytes()), b"x");
        assert_eq!(trim("é-".as_bytes(), "-éaé-".as_bytes()), b"a");
    }

    #[test]
    fn wraps_and_abbreviates() {
        assert_eq!(wrap(b"Hello there my friend", 5, b"", false), b"Hello\nthere\nmy\nfriend");
        assert_eq!(wrap(b"Hellooooo x", 5, b"|", true), b"Hello|oooo|x");
        assert_eq!(abbreviate(0, 5, b"hello world").unwrap(), b"he...");
        assert_eq!(abbreviate(5, 10, b"1234 5678 9123").unwrap(), b"...5678...");
    }
}
