//! Why a text is no IP address, in the words of Go's `net/netip`.

use crate::gofmt::quote;

/// Why `text` is no IPv4 address. Texts with a dot before any colon come here.
pub(super) fn ipv4_error(text: &[u8]) -> String {
    ipv4_fields(text).err().unwrap_or_default()
}

fn ipv4_fields(text: &[u8]) -> Result<(), String> {
    let at = |message: &str, rest: &[u8]| Err(format!("{message} (at {})", quote(rest)));
    let mut value = 0;
    let mut fields = 0;
    let mut digits = 0;
    for (index, &byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err("IPv4 field has octet with leading zero".to_owned());
                }
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return Err("IPv4 field has value >255".to_owned());
                }
            }
            b'.' => {
                if index == 0 || index == text.len() - 1 || text[index - 1] == b'.' {
                    return at("IPv4 field must have at least one digit", &text[index..]);
                }
                if fields == 3 {
                    return Err("IPv4 address too long".to_owned());
                }
                fields += 1;
                value = 0;
                digits = 0;
            }
            _ => return at("unexpected character", &text[index..]),
        }
    }
    if fields < 3 { Err("IPv4 address too short".to_owned()) } else { Ok(()) }
}

/// Why `text`, which holds a colon, is no IPv6 address; `None` when it is one. A zone behind `%` is
/// not looked at.
pub(super) fn ipv6_error(text: &[u8]) -> Option<String> {
    ipv6(text).err()
}

fn ipv6(text: &[u8]) -> Result<(), String> {
    let address = memchr::memchr(b'%', text).map_or(text, |zone| &text[..zone]);
    let at = |message: &str, rest: &[u8]| Err(format!("{message} (at {})", quote(rest)));
    let mut rest = address;
    let mut ellipsis = None;
    if let Some(after) = rest.strip_prefix(b"::") {
        ellipsis = Some(0);
        rest = after;
        if rest.is_empty() {
            return Ok(());
        }
    }
    let mut bytes = 0;
    while bytes < 16 {
        let mut digits = 0;
        while rest.get(digits).is_some_and(u8::is_ascii_hexdigit) {
            if digits > 3 {
                return at("each group must have 4 or less digits", rest);
            }
            digits += 1;
        }
        if digits == 0 {
            return at("each colon-separated field must have at least one digit", rest);
        }
        if rest.get(digits) == Some(&b'.') {
            if ellipsis.is_none() && bytes != 12 {
                return at("embedded IPv4 address must replace the final 2 fields of the address", rest);
            }
            if bytes + 4 > 16 {
                return at("too many hex fields to fit an embedded IPv4 at the end of the address", rest);
            }
            ipv4_fields(rest)?;
            rest = b"";
            bytes += 4;
            break;
        }
        bytes += 2;
        rest = &rest[digits..];
        match rest {
            [] => break,
            [b':'] => return at("colon must be followed by more characters", rest),
            [b':', after @ ..] => rest = after,
            _ => return at("unexpected character, want colon", rest),
        }
        if let Some(after) = rest.strip_prefix(b":") {
            if ellipsis.is_some() {
                return at("multiple :: in address", rest);
            }
            ellipsis = Some(bytes);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return at("trailing garbage after address", rest);
    }
    match ellipsis {
        None if bytes < 16 => Err("address string too short".to_owned()),
        Some(_) if bytes == 16 => Err("the :: must expand to at least one field of zeros".to_owned()),
        _ => Ok(()),
    }
}
