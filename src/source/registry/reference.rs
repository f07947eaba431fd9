//! Names of images, read as go-containerregistry reads them, with Flux's words for what `spec.image` may not hold.
//!
//! Pure: nothing is looked up, and whether the image exists is another question.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::model::{is_digest, is_tag};

/// What images without a registry are of; Docker Hub's name in canonical names.
pub(super) const DOCKER_HUB: &str = "index.docker.io";
/// Where Docker Hub answers.
const DOCKER_HUB_ENDPOINT: &str = "registry-1.docker.io";
/// Docker Hub's namespace of images without one.
const LIBRARY: &str = "library";
/// Longest repository of the grammar.
const LONGEST_REPOSITORY: usize = 255;

/// An image without tag and digest: a registry and a repository in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName {
    registry: String,
    repository: String,
}

impl ImageName {
    /// Reads `spec.image`. The error is the text Flux stalls with.
    pub fn parse(image: &str) -> Result<Self, String> {
        if let Some((scheme, _)) = image.split_once("://") {
            return Err(format!("image '{image}' should not include URL scheme; remove '{scheme}://'"));
        }
        let (name, has_digest) = match image.split_once('@') {
            Some((name, digest)) if is_digest(digest) => (name, true),
            Some(_) => return Err(unreadable(image)),
            None => (image, false),
        };
        let (name, tag) = cut_tag(name);
        // With a digest go-containerregistry takes the tag for a part of the name it then cannot read, unless it is one.
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(unreadable(image));
        }
        let parsed = Self::read(name).ok_or_else(|| unreadable(image))?;
        if tag.is_some() || has_digest {
            let rest = image.strip_prefix(parsed.registry.as_str()).unwrap_or(image);
            let extra = rest.split(':').nth(1).unwrap_or_default();
            return Err(format!("image '{image}' should not include a tag; remove ':{extra}'"));
        }
        Ok(parsed)
    }

    fn read(name: &str) -> Option<Self> {
        let (registry, repository) = match name.split_once('/') {
            // Only what has a dot or a port can be a host: `localhost/app` is Docker Hub's.
            Some((first, rest)) if first.contains(['.', ':']) => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        let registry = if registry == "docker.io" { DOCKER_HUB } else { registry };
        if !is_host(registry) || !is_repository(repository) {
            return None;
        }
        let repository = match registry == DOCKER_HUB && !repository.contains('/') {
            true => format!("{LIBRARY}/{repository}"),
            false => repository.to_owned(),
        };
        Some(Self { registry: registry.to_owned(), repository })
    }

    /// The registry, with its port: `index.docker.io`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The host and port that answer for the registry.
    pub(super) fn endpoint(&self) -> &str {
        if self.registry == DOCKER_HUB { DOCKER_HUB_ENDPOINT } else { &self.registry }
    }

    /// Whether plain http may be tried without being asked for: the registry is on this machine or in a private net,
    /// as go-containerregistry has it.
    pub(super) fn is_local(&self) -> bool {
        let registry = self.registry.as_str();
        let host = host_of(registry);
        if host == "localhost" && !registry.starts_with('[') || host.ends_with(".localhost") {
            return true;
        }
        match host.parse::<Ipv4Addr>() {
            Ok(address) => address.is_private() || address == Ipv4Addr::LOCALHOST,
            Err(_) => host.parse::<Ipv6Addr>().is_ok_and(|address| address == Ipv6Addr::LOCALHOST),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)
    }
}

/// The host of `host:port` or `[v6]:port`.
pub(super) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

fn unreadable(image: &str) -> String {
    format!("could not parse reference: {image}")
}

/// Cuts at the last colon, unless a port is behind it.
fn cut_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((base, tag)) if !tag.contains('/') => (base, Some(tag)),
        _ => (name, None),
    }
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let good_host = match text.starts_with('[') {
        true => host.parse::<Ipv6Addr>().is_ok(),
        false => {
            !host.is_empty()
                && !host.starts_with(['-', '.'])
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    };
    good_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_repository(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-./".contains(&byte);
    (2..=LONGEST_REPOSITORY).contains(&text.len())
        && text.bytes().all(known)
        // Such a path means another place than it says.
        && text.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_get_their_canonical_names() {
        for (image, canonical) in [
            ("alpine", "index.docker.io/library/alpine"),
            ("docker.io/alpine", "index.docker.io/library/alpine"),
            ("docker.io/library/alpine", "index.docker.io/library/alpine"),
            ("index.docker.io/alpine", "index.docker.io/library/alpine"),
            ("nuclearwu/hello-kubernetes", "index.docker.io/nuclearwu/hello-kubernetes"),
            ("ghcr.io/stefanprodan/podinfo", "ghcr.io/stefanprodan/podinfo"),
            ("ghcr.io/podinfo", "ghcr.io/podinfo"),
            ("localhost:5000/a/b/c", "localhost:5000/a/b/c"),
            ("localhost/app", "index.docker.io/localhost/app"),
            ("Registry.Example.com/app", "Registry.Example.com/app"),
            ("[::1]:5000/app", "[::1]:5000/app"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app"),
        ] {
            assert_eq!(ImageName::parse(image).unwrap().to_string(), canonical, "{image}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused_in_fluxs_words() {
        let long = "a".repeat(256);
        for (image, error) in [
            (
                "https://ghcr.io/a/b",
                "image 'https://ghcr.io/a/b' should not include URL scheme; remove 'https://'",
            ),
            ("oci://a", "image 'oci://a' should not include URL scheme; remove 'oci://'"),
            ("alpine:3", "image 'alpine:3' should not include a tag; remove ':3'"),
            ("ghcr.io:443/a/b:v1", "image 'ghcr.io:443/a/b:v1' should not include a tag; remove ':v1'"),
            ("a b", "could not parse reference: a b"),
            ("Alpine", "could not parse reference: Alpine"),
            ("", "could not parse reference: "),
            ("x", "could not parse reference: x"),
            ("alpine:", "could not parse reference: alpine:"),
            ("ghcr.io/a/../../token", "could not parse reference: ghcr.io/a/../../token"),
            ("ghcr.io//a", "could not parse reference: ghcr.io//a"),
            ("ghcr.io:99999/a/b", "could not parse reference: ghcr.io:99999/a/b"),
            ("ghcr.io/a?x=1", "could not parse reference: ghcr.io/a?x=1"),
            ("user@ghcr.io/a/b", "could not parse reference: user@ghcr.io/a/b"),
            ("gh\u{440}.io/a/b", "could not parse reference: gh\u{440}.io/a/b"),
        ] {
            assert_eq!(ImageName::parse(image).unwrap_err(), error, "{image}");
        }
        assert!(ImageName::parse(&long).is_err());
        let pinned = format!("alpine@sha256:{}", "ab".repeat(32));
        assert!(ImageName::parse(&pinned).unwrap_err().contains("should not include a tag; remove ':abab"));
    }

    #[test]
    fn plain_http_is_tried_only_nearby_or_when_asked_for() {
        for (image, local) in [
            ("localhost:5000/app", true),
            ("reg.localhost/app", true),
            ("127.0.0.1:5000/app", true),
            ("[::1]:5000/app", true),
            ("10.1.2.3/app", true),
            ("192.168.1.2:80/app", true),
            ("172.16.0.1/app", true),
            ("127.0.0.2:5000/app", false),
            ("8.8.8.8/app", false),
            ("ghcr.io/app", false),
            ("localhost.example.com/app", false),
            ("alpine", false),
        ] {
            assert_eq!(ImageName::parse(image).unwrap().is_local(), local, "{image}");
        }
    }

    #[test]
    fn docker_hub_is_asked_where_it_answers() {
        let name = ImageName::parse("alpine").unwrap();
        assert_eq!((name.registry(), name.endpoint()), ("index.docker.io", "registry-1.docker.io"));
        assert_eq!(name.repository(), "library/alpine");
    }
}
