//! Credentials for a registry, picked from Docker's configuration as kubelet and go-containerregistry pick them.
//!
//! Values come in, values go out: where a Secret lies is not known here, and no value is in any error.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;

use super::reference::{DOCKER_HUB, ImageName, host_of};

/// How to prove who we are.
#[derive(Clone, Debug, Default)]
pub enum RegistryCredentials {
    /// Not at all.
    #[default]
    Anonymous,
    /// Name and password, or name and token.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A refresh token, exchanged for access tokens (Azure).
    Identity(SecretString),
    /// An access token, sent as it is.
    Bearer(SecretString),
}

/// Docker's `config.json`: registries, or repositories in them, and who we are there.
#[derive(Default)]
pub struct DockerConfig {
    /// Host and path, the most specific first.
    entries: Vec<(String, Entry)>,
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries } = self;
        f.debug_list().entries(entries.iter().map(|(place, _)| place)).finish()
    }
}

/// One entry. No `Debug`: it holds secrets.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    auths: BTreeMap<String, Entry>,
}

impl DockerConfig {
    /// Reads `.dockerconfigjson`.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(json).map_err(|error| malformed(&error))?;
        Ok(Self::of(file.auths))
    }

    /// Reads `.dockercfg`, the form without `auths`.
    pub fn parse_legacy(json: &[u8]) -> Result<Self, String> {
        let auths: BTreeMap<String, Entry> =
            serde_json::from_slice(json).map_err(|error| malformed(&error))?;
        Ok(Self::of(auths))
    }

    fn of(auths: BTreeMap<String, Entry>) -> Self {
        let mut entries: Vec<_> = auths.into_iter().map(|(key, entry)| (place(&key), entry)).collect();
        // A path sorts behind its host, so the longest that matches is met first.
        entries.sort_by(|(a, _), (b, _)| b.cmp(a));
        Self { entries }
    }

    /// Who we are for an image; anonymous when no entry is for it.
    pub fn for_image(&self, image: &ImageName) -> Result<RegistryCredentials, String> {
        let Some((place, entry)) = self.entries.iter().find(|(place, _)| matches(place, image)) else {
            return Ok(RegistryCredentials::Anonymous);
        };
        let Entry { username, password, auth, identitytoken, registrytoken } = entry;
        let secret = |text: &str| SecretString::from(text.to_owned());
        if !registrytoken.is_empty() {
            return Ok(RegistryCredentials::Bearer(secret(registrytoken)));
        }
        if !identitytoken.is_empty() {
            return Ok(RegistryCredentials::Identity(secret(identitytoken)));
        }
        if auth.is_empty() {
            return Ok(match (username.is_empty(), password.is_empty()) {
                (true, true) => RegistryCredentials::Anonymous,
                _ => RegistryCredentials::Basic { username: username.clone(), password: secret(password) },
            });
        }
        let unreadable = || format!("`auth` of `{place}` is not base64 of `username:password`");
        let decoded = STANDARD.decode(auth.trim()).map_err(|_| unreadable())?;
        let decoded = String::from_utf8(decoded).map_err(|_| unreadable())?;
        let (username, password) = decoded.split_once(':').ok_or_else(unreadable)?;
        Ok(RegistryCredentials::Basic {
            username: username.to_owned(),
            // The docker client pads with zeros and cuts them off again.
            password: secret(password.trim_end_matches('\0')),
        })
    }
}

/// serde's text may quote a value; place and kind are enough.
fn malformed(error: &serde_json::Error) -> String {
    format!("it is not Docker's configuration in JSON (line {}, column {})", error.line(), error.column())
}

/// The key of an entry without scheme and API version: `https://index.docker.io/v1/` is `index.docker.io`.
fn place(key: &str) -> String {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.strip_prefix("v1/").or_else(|| path.strip_prefix("v2/")).unwrap_or(path);
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    let host = match host {
        "docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => DOCKER_HUB,
        other => other,
    };
    match path {
        "" => host.to_owned(),
        path => format!("{host}/{path}"),
    }
}

/// Whether an entry is for an image: the host part by part, where `*` stands for any of one part, the same port, and
/// the path as a beginning.
fn matches(place: &str, image: &ImageName) -> bool {
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let port = |authority: &str| {
        // Colons in brackets are the address's own.
        let behind = authority.rsplit(']').next().unwrap_or_default();
        behind.split_once(':').map(|(_, port)| port.to_owned())
    };
    let registry = image.registry();
    let (wanted, host) = (host_of(authority), host_of(registry));
    let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let same_host = wanted == host || {
        let (wanted, host) = (parts(wanted), parts(host));
        wanted.len() == host.len() && wanted.iter().zip(&host).all(|(wanted, part)| glob(wanted, part))
    };
    let same_port = port(authority) == port(registry);
    same_host && same_port && image.repository().starts_with(path)
}

/// `*` and `?`, as in a file name.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((back, from)) => {
                    star = Some((back, from + 1));
                    (at, seen) = (back + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn config(keys: &[&str]) -> DockerConfig {
        let auths: serde_json::Map<String, serde_json::Value> = keys
            .iter()
            .map(|key| {
                let auth = STANDARD.encode(format!("{key}:canary"));
                ((*key).to_owned(), serde_json::json!({ "auth": auth }))
            })
            .collect();
        DockerConfig::parse(serde_json::json!({ "auths": auths }).to_string().as_bytes()).unwrap()
    }

    fn picked(config: &DockerConfig, image: &str) -> Option<String> {
        match config.for_image(&ImageName::parse(image).unwrap()).unwrap() {
            RegistryCredentials::Basic { username, .. } => Some(username),
            _ => None,
        }
    }

    #[test]
    fn the_entry_of_the_registry_counts_whatever_the_form_of_its_key() {
        for (key, image, fits) in [
            ("https://index.docker.io/v1/", "alpine", true),
            ("index.docker.io", "alpine", true),
            ("docker.io", "docker.io/library/alpine", true),
            ("https://index.docker.io/v1/", "ghcr.io/a/b", false),
            ("ghcr.io", "ghcr.io/a/b", true),
            ("https://ghcr.io", "ghcr.io/a/b", true),
            ("https://ghcr.io/v2/", "ghcr.io/a/b", true),
            ("ghcr.io/a", "ghcr.io/a/b", true),
            ("ghcr.io/c", "ghcr.io/a/b", false),
            ("registry.example.com:5000", "registry.example.com:5000/ab", true),
            ("registry.example.com", "registry.example.com:5000/ab", false),
            ("registry.example.com:5000", "registry.example.com/ab", false),
            ("*.example.com", "registry.example.com/ab", true),
            ("*.example.com", "a.b.example.com/ab", false),
            ("*.dkr.ecr.*.amazonaws.com", "12.dkr.ecr.eu-west-1.amazonaws.com/ab", true),
            ("example.com", "evil-example.com/ab", false),
            ("example.com", "example.com.evil.org/ab", false),
            ("[::1]:5000", "[::1]:5000/ab", true),
            ("[::1]:5000", "[::1]:5001/ab", false),
            ("[::1]", "[::1]:5000/ab", false),
        ] {
            assert_eq!(picked(&config(&[key]), image).is_some(), fits, "{key} for {image}");
        }
    }

    #[test]
    fn the_most_specific_entry_counts() {
        let config = config(&["ghcr.io", "ghcr.io/team", "ghcr.io/team/app"]);
        assert_eq!(picked(&config, "ghcr.io/team/app").as_deref(), Some("ghcr.io/team/app"));
        assert_eq!(picked(&config, "ghcr.io/team/other").as_deref(), Some("ghcr.io/team"));
        assert_eq!(picked(&config, "ghcr.io/else").as_deref(), Some("ghcr.io"));
    }

    #[test]
    fn every_form_of_credentials_is_read_and_none_is_shown() {
        let json = r#"{"auths": {
            "a.io": {"username": "u", "password": "canary"},
            "b.io": {"identitytoken": "canary"},
            "c.io": {"registrytoken": "canary"},
            "d.io": {"auth": "bm90LWEtcGFpcg=="},
            "e.io": {}
        }, "credHelpers": {"f.io": "gcloud"}}"#;
        let config = DockerConfig::parse(json.as_bytes()).unwrap();
        let of = |image: &str| config.for_image(&ImageName::parse(image).unwrap());
        let basic = of("a.io/app").unwrap();
        assert!(
            matches!(&basic, RegistryCredentials::Basic { password, .. } if password.expose_secret() == "canary")
        );
        assert!(matches!(of("b.io/app").unwrap(), RegistryCredentials::Identity(_)));
        assert!(matches!(of("c.io/app").unwrap(), RegistryCredentials::Bearer(_)));
        assert!(matches!(of("e.io/app").unwrap(), RegistryCredentials::Anonymous));
        assert!(matches!(of("f.io/app").unwrap(), RegistryCredentials::Anonymous));
        let error = of("d.io/app").unwrap_err();
        assert_eq!(error, "`auth` of `d.io` is not base64 of `username:password`");
        assert!(!format!("{basic:?} {config:?}").contains("canary"));
    }

    #[test]
    fn the_form_without_auths_is_read_and_nonsense_is_named_without_its_text() {
        let legacy =
            DockerConfig::parse_legacy(br#"{"ghcr.io": {"username": "u", "password": "p"}}"#).unwrap();
        assert_eq!(picked(&legacy, "ghcr.io/app").as_deref(), Some("u"));
        let error = DockerConfig::parse(br#"{"auths": {"ghcr.io": {"auth": ["canary"]}}}"#).unwrap_err();
        assert!(
            error.starts_with("it is not Docker's configuration in JSON (line 1")
                && !error.contains("canary")
        );
    }
}
