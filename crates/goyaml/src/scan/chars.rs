//! Character classes of libyaml over bytes.

/// The byte at `i`, or NUL after the end.
#[inline(always)]
pub(crate) fn at(b: &[u8], i: usize) -> u8 {
    match b.get(i) {
        Some(&c) => c,
        None => 0,
    }
}

#[inline(always)]
pub(crate) fn is_alpha(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'-'
}

#[inline(always)]
pub(crate) fn is_blank(c: u8) -> bool {
    c == b' ' || c == b'\t'
}

/// A line break: CR, LF, NEL, LS or PS.
#[inline(always)]
pub(crate) fn is_break(b: &[u8], i: usize) -> bool {
    match at(b, i) {
        b'\r' | b'\n' => true,
        0xC2 => at(b, i + 1) == 0x85,
        0xE2 => at(b, i + 1) == 0x80 && matches!(at(b, i + 2), 0xA8 | 0xA9),
        _ => false,
    }
}

#[inline(always)]
pub(crate) fn is_breakz(b: &[u8], i: usize) -> bool {
    at(b, i) == 0 || is_break(b, i)
}

#[inline(always)]
pub(crate) fn is_blankz(b: &[u8], i: usize) -> bool {
    matches!(at(b, i), b' ' | b'\t' | 0) || is_break(b, i)
}

/// Length in bytes of the UTF-8 sequence that starts with `c`.
#[inline(always)]
pub(crate) fn width(c: u8) -> usize {
    match c {
        0..=0x7F => 1,
        0x80..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    }
}

/// Whether the character at `i` may be written without an escape.
#[inline(always)]
pub(crate) fn is_printable(b: &[u8], i: usize) -> bool {
    match b[i] {
        0x0A | 0x20..=0x7E => true,
        0xC2 => at(b, i + 1) >= 0xA0,
        0xC3..=0xEC | 0xEE => true,
        0xED => at(b, i + 1) < 0xA0,
        0xEF => {
            let (c, d) = (at(b, i + 1), at(b, i + 2));
            !(c == 0xBB && d == 0xBF) && !(c == 0xBF && (d == 0xBE || d == 0xBF))
        }
        _ => false,
    }
}
