//! String and character literals as `strconv.Unquote` reads them.

use std::borrow::Cow;

use crate::gofmt::decode_rune;

/// `strconv.UnquoteChar`: the character, whether it is a whole rune rather than a byte, and the rest.
pub(crate) fn unquote_char(text: &[u8], mark: u8) -> Option<(u32, bool, &[u8])> {
    let first = *text.first()?;
    if first == mark && matches!(mark, b'\'' | b'"') {
        return None;
    }
    if first >= 0x80 {
        let (rune, width) = decode_rune(text);
        return Some((rune as u32, true, &text[width..]));
    }
    if first != b'\\' {
        return Some((u32::from(first), false, &text[1..]));
    }
    let escape = *text.get(1)?;
    let rest = &text[2..];
    let simple = |code: u8| Some((u32::from(code), false, rest));
    match escape {
        b'a' => simple(7),
        b'b' => simple(8),
        b'f' => simple(12),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'v' => simple(11),
        b'\\' => simple(b'\\'),
        b'\'' | b'"' if escape == mark => simple(escape),
        b'x' | b'u' | b'U' => {
            let count = match escape {
                b'x' => 2,
                b'u' => 4,
                _ => 8,
            };
            let digits = rest.get(..count)?;
            let mut code: u32 = 0;
            for digit in digits {
                code = code.checked_mul(16)? + (*digit as char).to_digit(16)?;
            }
            if escape == b'x' {
                return Some((code, false, &rest[count..]));
            }
            char::from_u32(code)?;
            Some((code, true, &rest[count..]))
        }
        b'0'..=b'7' => {
            let mut code = u32::from(escape - b'0');
            for digit in rest.get(..2)? {
                code = code << 3 | (*digit as char).to_digit(8)?;
            }
            (code <= 255).then_some((code, false, &rest[2..]))
        }
        _ => None,
    }
}

/// `strconv.Unquote` of a double- or back-quoted literal; `None` is Go's `invalid syntax`.
pub(crate) fn unquote(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let [mark, body @ ..] = text else { return None };
    let body = body.strip_suffix(std::slice::from_ref(mark))?;
    match mark {
        b'`' => {
            if body.contains(&b'`') {
                return None;
            }
            if !body.contains(&b'\r') {
                return Some(Cow::Borrowed(body));
            }
            Some(Cow::Owned(body.iter().copied().filter(|c| *c != b'\r').collect()))
        }
        b'"' if body.iter().all(|c| c.is_ascii() && !matches!(c, b'\\' | b'"' | b'\n')) => {
            Some(Cow::Borrowed(body))
        }
        b'"' => {
            let mut out = Vec::with_capacity(body.len());
            let mut rest = body;
            while !rest.is_empty() {
                if rest[0] == b'\n' {
                    return None;
                }
                let (code, is_rune, next) = unquote_char(rest, b'"')?;
                if code < 0x80 || !is_rune {
                    out.push(code as u8);
                } else {
                    let rune = char::from_u32(code)?;
                    out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
                }
                rest = next;
            }
            Some(Cow::Owned(out))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquotes_as_strconv_does() {
        assert_eq!(
            unquote(br#""\u00e9\U0001F389\101\xff\\""#).unwrap().as_ref(),
            b"\xc3\xa9\xf0\x9f\x8e\x89A\xff\\"
        );
        assert_eq!(unquote(b"`a\r\\n`").unwrap().as_ref(), b"a\\n");
        assert_eq!(unquote(b"`a\\n`").unwrap().as_ref(), b"a\\n");
        assert_eq!(unquote(b"\"a b\"").unwrap().as_ref(), b"a b");
        assert!(unquote(b"\"a\"b\"").is_none());
        assert!(unquote(b"\"a\nb\"").is_none());
        assert!(unquote(br#""\ud800""#).is_none());
        assert!(unquote(br#""\q""#).is_none());
        assert!(unquote(br#""\400""#).is_none());
    }
}
