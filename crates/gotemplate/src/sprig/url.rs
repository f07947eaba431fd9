//! Go's `net/url`: parsing, escaping and putting together, error for error.

use crate::gofmt::quote;

/// A part of a URL, which decides what is escaped in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    Zone,
    UserPassword,
    Fragment,
}

/// User name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserInfo {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

impl UserInfo {
    /// `name` or `name:password`, escaped.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = escape(&self.name, Part::UserPassword);
        if let Some(password) = &self.password {
            out.push(b':');
            out.append(&mut escape(password, Part::UserPassword));
        }
        out
    }
}

/// Go's `url.URL`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: Vec<u8>,
    pub(super) opaque: Vec<u8>,
    pub(super) user: Option<UserInfo>,
    pub(super) host: Vec<u8>,
    pub(super) path: Vec<u8>,
    pub(super) query: Vec<u8>,
    pub(super) fragment: Vec<u8>,
}

impl Url {
    /// Go's `url.Parse`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let (before, fragment) = cut(text, b'#');
        let mut url = Self::parse_without_fragment(before)
            .map_err(|error| format!("parse {}: {error}", quote(before)))?;
        if let Some(fragment) = fragment {
            url.fragment = unescape(fragment, Part::Fragment)
                .map_err(|error| format!("parse {}: {error}", quote(text)))?;
        }
        Ok(url)
    }

    fn parse_without_fragment(text: &[u8]) -> Result<Self, String> {
        if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Self::default();
        if text == b"*" {
            url.path = text.to_vec();
            return Ok(url);
        }
        let (scheme, rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (rest, query) = cut(rest, b'?');
        url.query = query.unwrap_or_default().to_vec();
        if !rest.starts_with(b"/") {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        let mut path = rest;
        if (!url.scheme.is_empty() || !rest.starts_with(b"///")) && rest.starts_with(b"//") {
            let authority = &rest[2..];
            let end = memchr::memchr(b'/', authority).unwrap_or(authority.len());
            path = &authority[end..];
            (url.user, url.host) = parse_authority(&url.scheme, &authority[..end])?;
        }
        url.path = unescape(path, Part::Path)?;
        Ok(url)
    }

    /// The host without its port and without brackets.
    pub(super) fn host_name(&self) -> &[u8] {
        let mut host = self.host.as_slice();
        if let Some(colon) = memchr::memrchr(b':', host)
            && is_optional_port(&host[colon..])
        {
            host = &host[..colon];
        }
        host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(host)
    }

    /// Go's `URL.String` of a URL put together from its fields.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if !self.opaque.is_empty() {
            out.extend_from_slice(&self.opaque);
        } else {
            let has_authority = !self.host.is_empty() || self.user.is_some();
            if has_authority || !self.scheme.is_empty() && !self.path.is_empty() {
                out.extend_from_slice(b"//");
            }
            if let Some(user) = &self.user {
                out.append(&mut user.encode());
                out.push(b'@');
            }
            out.append(&mut escape(&self.host, Part::Host));
            let path = match self.path.as_slice() {
                b"*" => b"*".to_vec(),
                path => escape(path, Part::Path),
            };
            if !path.is_empty() && path[0] != b'/' && !self.host.is_empty() {
                out.push(b'/');
            }
            if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
                // Else its first segment would be taken for a scheme.
                out.extend_from_slice(b"./");
            }
            out.extend_from_slice(&path);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.append(&mut escape(&self.fragment, Part::Fragment));
        }
        out
    }
}

/// What stands before and, if it is there, after the first `separator`.
fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(separator, text) {
        Some(index) => (&text[..index], Some(&text[index + 1..])),
        None => (text, None),
    }
}

fn split_scheme(text: &[u8]) -> Result<(&[u8], &[u8]), String> {
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Ok((b"", text))
}

fn parse_authority(scheme: &[u8], authority: &[u8]) -> Result<(Option<UserInfo>, Vec<u8>), String> {
    let Some(at) = memchr::memrchr(b'@', authority) else {
        return Ok((None, parse_host(scheme, authority)?));
    };
    let host = parse_host(scheme, &authority[at + 1..])?;
    let user_info = &authority[..at];
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
    if !user_info.iter().all(is_valid) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let (name, password) = cut(user_info, b':');
    let user = UserInfo {
        name: unescape(name, Part::UserPassword)?,
        password: password.map(|password| unescape(password, Part::UserPassword)).transpose()?,
    };
    Ok((Some(user), host))
}

fn parse_host(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, String> {
    let invalid_port = |port: &[u8]| format!("invalid port {} after host", quote(port));
    match memchr::memrchr(b'[', host) {
        Some(0) => {
            let Some(close) = memchr::memrchr(b']', host) else {
                return Err("missing ']' in host".to_owned());
            };
            let port = &host[close + 1..];
            if !is_optional_port(port) {
                return Err(invalid_port(port));
            }
            let name = &host[1..close];
            // What follows `%25` is a zone, where more may be escaped.
            let mut literal = match memchr::memmem::find(name, b"%25") {
                Some(zone) => {
                    let mut literal = unescape(&name[..zone], Part::Host)?;
                    literal.append(&mut unescape(&name[zone..], Part::Zone)?);
                    literal
                }
                None => unescape(name, Part::Host)?,
            };
            check_ip_literal(&literal)?;
            literal.insert(0, b'[');
            literal.push(b']');
            literal.extend_from_slice(port);
            return Ok(literal);
        }
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    if let (Some(first), Some(last)) = (memchr::memchr(b':', host), memchr::memrchr(b':', host)) {
        // Lists of hosts with ports are let through, except where the web is meant.
        let strict = matches!(scheme, b"http" | b"https");
        let port = &host[if strict { first } else { last }..];
        if !is_optional_port(port) {
            return Err(invalid_port(port));
        }
    }
    unescape(host, Part::Host)
}

/// Only an IPv6 address may stand in brackets.
fn check_ip_literal(literal: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(literal);
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (&*text, None),
    };
    let failed = |reason: &str| Err(format!("invalid host: ParseAddr({}): {reason}", quote(literal)));
    match text.find(['.', ':', '%']).map(|index| literal[index]) {
        None => failed("unable to parse IP"),
        Some(b'%') => failed("missing IPv6 address"),
        Some(b'.') => match address.parse::<std::net::Ipv4Addr>() {
            Ok(_) if zone.is_none() => Err("invalid IP-literal".to_owned()),
            _ => failed(&super::ip::ipv4_error(literal)),
        },
        Some(_) if zone == Some("") => failed("zone must be a non-empty string"),
        Some(_) => match super::ip::ipv6_error(literal) {
            Some(reason) => failed(&reason),
            None => Ok(()),
        },
    }
}

fn is_optional_port(port: &[u8]) -> bool {
    match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn escape(text: &[u8], part: Part) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if must_escape(byte, part) {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            out.push(byte);
        }
    }
    out
}

fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        if byte == b'%' {
            let digits = rest.get(1..3).and_then(|digits| {
                let high = char::from(digits[0]).to_digit(16)?;
                let low = char::from(digits[1]).to_digit(16)?;
                Some((high << 4 | low) as u8)
            });
            let invalid = || format!("invalid URL escape {}", quote(&rest[..rest.len().min(3)]));
            let decoded = digits.ok_or_else(invalid)?;
            let allowed = decoded == b'%'
                || match part {
                    Part::Host => decoded >= 0x80,
                    Part::Zone => decoded == b' ' || !must_escape(decoded, Part::Host),
                    Part::Path | Part::UserPassword | Part::Fragment => true,
                };
            if !allowed {
                return Err(invalid());
            }
            out.push(decoded);
            rest = &rest[3..];
            continue;
        }
        if matches!(part, Part::Host | Part::Zone) && byte < 0x80 && must_escape(byte, part) {
            return Err(format!("invalid character {} in host name", quote(&rest[..1])));
        }
        out.push(byte);
        rest = &rest[1..];
    }
    Ok(out)
}

fn must_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    let allowed: &[u8] = match part {
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,/:;=@",
        Part::UserPassword => b"$&+,;=",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    !allowed.contains(&byte)
}
