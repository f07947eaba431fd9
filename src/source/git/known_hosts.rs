//! `known_hosts`: which keys an ssh server may prove itself with. Strict: who is not listed is refused.

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;

/// What the file says about one server.
#[derive(Debug, Default)]
pub(crate) struct KnownHost {
    keys: Vec<PublicKey>,
    revoked: Vec<PublicKey>,
    listed: bool,
}

/// The verdict on a key that a server showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Listed for this server.
    Trusted,
    /// The server is listed with other keys: somebody is in between, or the server was rebuilt.
    Changed,
    /// The server is not listed.
    Unknown,
    /// Listed as revoked.
    Revoked,
}

impl KnownHost {
    /// Reads the lines that concern `host:port`.
    pub(crate) fn read(file: &str, host: &str, port: u16) -> Self {
        let mut known = Self::default();
        let names = match port {
            22 => vec![host.to_ascii_lowercase(), format!("[{}]:22", host.to_ascii_lowercase())],
            other => vec![format!("[{}]:{other}", host.to_ascii_lowercase())],
        };
        for line in file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut fields = line.split_ascii_whitespace();
            let Some(mut patterns) = fields.next() else { continue };
            let mut marker = None;
            if patterns.starts_with('@') {
                marker = Some(patterns);
                let Some(next) = fields.next() else { continue };
                patterns = next;
            }
            let (Some(_kind), Some(key)) = (fields.next(), fields.next()) else { continue };
            if !names.iter().any(|name| matches(patterns, name)) {
                continue;
            }
            let Ok(key) = russh::keys::parse_public_key_base64(key) else { continue };
            match marker {
                None => {
                    known.listed = true;
                    known.keys.push(key);
                }
                Some("@revoked") => known.revoked.push(key),
                // certificate authorities are not supported: such a line trusts nobody
                Some(_) => {}
            }
        }
        known
    }

    /// Whether any key is listed.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    /// The kinds of key to ask the server for, so that it does not show one that is not listed.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let mut found = Vec::new();
        for key in &self.keys {
            let kinds = match key.algorithm() {
                Algorithm::Rsa { .. } => vec![
                    Algorithm::Rsa { hash: Some(russh::keys::HashAlg::Sha512) },
                    Algorithm::Rsa { hash: Some(russh::keys::HashAlg::Sha256) },
                ],
                other => vec![other],
            };
            for kind in kinds {
                if !found.contains(&kind) {
                    found.push(kind);
                }
            }
        }
        found
    }

    /// Judges the key that the server showed.
    pub(crate) fn judge(&self, shown: &PublicKey) -> Verdict {
        let is = |key: &PublicKey| key.key_data() == shown.key_data();
        if self.revoked.iter().any(is) {
            return Verdict::Revoked;
        }
        if self.keys.iter().any(is) {
            return Verdict::Trusted;
        }
        if self.listed { Verdict::Changed } else { Verdict::Unknown }
    }
}

fn matches(patterns: &str, name: &str) -> bool {
    if let Some(hashed) = patterns.strip_prefix("|1|") {
        return matches_hash(hashed, name).unwrap_or(false);
    }
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if wildcard(negated.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= wildcard(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

fn matches_hash(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    let mac = Hmac::<Sha1>::new_from_slice(&decode(salt)?).ok()?;
    Some(mac.chain_update(name.as_bytes()).verify_slice(&decode(hash)?).is_ok())
}

/// `*` and `?`, case-insensitive, in linear space and without recursion.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted.eq_ignore_ascii_case(&name[position]) => {
                at += 1;
                position += 1;
            }
            _ => match star {
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    position = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&rest| rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G2sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn judge(file: &str, host: &str, port: u16) -> Verdict {
        KnownHost::read(file, host, port).judge(&russh::keys::parse_public_key_base64(KEY).unwrap())
    }

    #[test]
    fn s17_only_a_listed_key_is_trusted() {
        let hashed = "|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= ssh-ed25519";
        for (file, host, port, expected) in [
            (format!("git.example.com ssh-ed25519 {KEY}"), "git.example.com", 22, Verdict::Trusted),
            (format!("git.example.com ssh-ed25519 {KEY}"), "GIT.example.com", 22, Verdict::Trusted),
            (format!("git.example.com ssh-ed25519 {OTHER}"), "git.example.com", 22, Verdict::Changed),
            (format!("git.example.com ssh-ed25519 {KEY}"), "git.example.com", 2222, Verdict::Unknown),
            (format!("[git.example.com]:2222 ssh-ed25519 {KEY}"), "git.example.com", 2222, Verdict::Trusted),
            (format!("*.example.com,10.0.0.? ssh-ed25519 {KEY} c"), "10.0.0.7", 22, Verdict::Trusted),
            (
                format!("*.example.com,!b.example.com ssh-ed25519 {KEY}"),
                "b.example.com",
                22,
                Verdict::Unknown,
            ),
            (format!("@revoked * ssh-ed25519 {KEY}\n* ssh-ed25519 {KEY}"), "a", 22, Verdict::Revoked),
            (format!("@cert-authority * ssh-ed25519 {KEY}"), "a", 22, Verdict::Unknown),
            (format!("# git.example.com ssh-ed25519 {KEY}"), "git.example.com", 22, Verdict::Unknown),
            (String::new(), "git.example.com", 22, Verdict::Unknown),
            (format!("{hashed} {KEY}"), "example.com", 22, Verdict::Trusted),
            (format!("{hashed} {KEY}"), "example.org", 22, Verdict::Unknown),
        ] {
            assert_eq!(judge(&file, host, port), expected, "{file} for {host}:{port}");
        }
    }
}
