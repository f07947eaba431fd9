//! Base64 and base32. Malformed input decodes to the error's text, as sprig has it.

use super::args::{Answer, Args, string};
use crate::types::STRING;
use crate::{Ctx, Func, Value};

/// The encoding functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("b64enc", &[STRING], STRING, |ctx, args| encode(ctx, args, BASE64)),
    Func::new("b64dec", &[STRING], STRING, |_, args| match base64_decode(args.text(0)?) {
        Ok(bytes) => string(bytes),
        Err(offset) => string(base64_error(offset)),
    }),
    Func::new("b32enc", &[STRING], STRING, |ctx, args| encode(ctx, args, BASE32)),
    Func::new("b32dec", &[STRING], STRING, |_, args| match base32_decode(args.text(0)?) {
        Ok(bytes) => string(bytes),
        Err(offset) => string(format!("illegal base32 data at input byte {offset}")),
    }),
];

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn encode(ctx: &mut Ctx, args: &[Value], alphabet: &[u8]) -> Answer {
    let bytes = args.text(0)?;
    ctx.charge(bytes.len().saturating_mul(2))?;
    string(encode_with(bytes, alphabet))
}

/// Standard base64 with padding.
pub(crate) fn base64_encode(bytes: &[u8]) -> Vec<u8> {
    encode_with(bytes, BASE64)
}

/// Groups of 3 bytes as 4 characters, or of 5 as 8.
fn encode_with(bytes: &[u8], alphabet: &[u8]) -> Vec<u8> {
    let bits = alphabet.len().trailing_zeros();
    let (group, width) = if bits == 6 { (3, 4) } else { (5, 8) };
    let mut out = Vec::with_capacity(bytes.len().div_ceil(group) * width);
    for chunk in bytes.chunks(group) {
        let mut value: u64 = 0;
        for index in 0..group {
            value = value << 8 | u64::from(chunk.get(index).copied().unwrap_or(0));
        }
        let used = (chunk.len() * 8).div_ceil(bits as usize);
        for index in 0..width {
            let shift = (width - 1 - index) as u32 * bits;
            out.push(if index < used {
                alphabet[(value >> shift) as usize & (alphabet.len() - 1)]
            } else {
                b'='
            });
        }
    }
    out
}

/// Go's text for input that stops being base64 at that byte.
pub(super) fn base64_error(offset: usize) -> String {
    format!("illegal base64 data at input byte {offset}")
}

/// Go's `base64.StdEncoding`: line breaks are skipped, spare bits ignored. Otherwise gives the offset
/// of the byte that Go complains about.
pub(super) fn base64_decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let mut position = 0;
    loop {
        let mut value: u32 = 0;
        let mut count = 0;
        while count < 4 {
            let Some(&byte) = text.get(position) else {
                return if count == 0 { Ok(out) } else { Err(position - count) };
            };
            position += 1;
            if let Some(digit) = base64_digit(byte) {
                value = value << 6 | digit;
                count += 1;
            } else if byte == b'=' {
                let rest = base64_padding(text, position, count)?;
                value <<= 6 * (4 - count);
                out.extend_from_slice(&value.to_be_bytes()[1..count]);
                return if rest < text.len() { Err(rest) } else { Ok(out) };
            } else if !is_line_break(byte) {
                return Err(position - 1);
            }
        }
        out.extend_from_slice(&value.to_be_bytes()[1..]);
    }
}

/// Checks the padding after its first `=`, which came as digit number `count`; gives what follows.
fn base64_padding(text: &[u8], mut position: usize, count: usize) -> Result<usize, usize> {
    let skip = |mut position: usize| {
        while text.get(position).is_some_and(|byte| is_line_break(*byte)) {
            position += 1;
        }
        position
    };
    if count < 2 {
        return Err(position - 1);
    }
    if count == 2 {
        position = skip(position);
        match text.get(position) {
            None => return Err(text.len()),
            Some(b'=') => position += 1,
            Some(_) => return Err(position - 1),
        }
    }
    Ok(skip(position))
}

fn base64_digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Go's `base32.StdEncoding`; offsets do not count line breaks.
fn base32_decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !is_line_break(*byte)).collect();
    let mut out = Vec::with_capacity(text.len() / 8 * 5 + 5);
    for (group, chunk) in text.chunks(8).enumerate() {
        let start = group * 8;
        let mut value: u64 = 0;
        let mut count = 0;
        for (index, &byte) in chunk.iter().enumerate() {
            // Padding counts only near the end; what follows a padded group is ignored.
            let rest = text.len() - start - index - 1;
            if byte == b'=' && index >= 2 && rest < 8 {
                if chunk.len() < 8 {
                    return Err(text.len());
                }
                if let Some(wrong) = chunk[index + 1..].iter().position(|byte| *byte != b'=') {
                    return Err(start + index + wrong);
                }
                if matches!(count, 3 | 6) {
                    return Err(start + index);
                }
                value <<= 5 * (8 - count);
                out.extend_from_slice(&value.to_be_bytes()[3..3 + count * 5 / 8]);
                return Ok(out);
            }
            let digit = BASE32.iter().position(|digit| *digit == byte).ok_or(start + index)?;
            value = value << 5 | digit as u64;
            count += 1;
        }
        if count < 8 {
            return Err(text.len() - count);
        }
        out.extend_from_slice(&value.to_be_bytes()[3..]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_offsets_are_gos() {
        for (text, expected) in [
            ("aGVsbG8=", Ok("hello")),
            ("aGVs\r\nbG8=\n", Ok("hello")),
            ("aGVsbG8", Err(4)),
            ("a", Err(0)),
            ("aGVsbA==", Ok("hell")),
            ("aGVsbA=", Err(7)),
            ("aGVsbA=x", Err(6)),
            ("aGVsbG8=x", Err(8)),
            ("a=", Err(1)),
            ("a b=", Err(1)),
            ("====", Err(0)),
            ("", Ok("")),
        ] {
            let expected = expected.map(|text: &str| text.as_bytes().to_vec());
            assert_eq!(base64_decode(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn base32_round_trip_and_offsets() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar"] {
            let encoded = encode_with(text.as_bytes(), BASE32);
            assert_eq!(base32_decode(&encoded).unwrap(), text.as_bytes());
            let encoded = encode_with(text.as_bytes(), BASE64);
            assert_eq!(base64_decode(&encoded).unwrap(), text.as_bytes());
        }
        for (text, offset) in
            [("MZXW6", 0), ("MZXW6==", 7), ("MZXW6=x=", 5), ("MZX=====", 3), ("mz", 0), ("M=======", 1)]
        {
            assert_eq!(base32_decode(text.as_bytes()), Err(offset), "{text}");
        }
    }
}
