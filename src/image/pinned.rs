//! An image as a policy resolved it, and the parts of its reference as go-containerregistry tells them.
//!
//! Does not ask a registry anything.

/// Where an image is when its name does not say.
const DEFAULT_REGISTRY: &str = "index.docker.io";

/// A policy and the image it stands at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The policy's namespace.
    pub namespace: String,
    /// The policy's name.
    pub policy: String,
    /// The image without a tag, as its ImageRepository spells it.
    pub image: String,
    /// The tag.
    pub tag: String,
    /// The digest, when the policy reflects it; empty when not.
    pub digest: String,
}

/// A reference taken apart; what templates ask of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    /// As written.
    pub(super) original: String,
    /// With its registry and namespace spelt out.
    pub(super) name: String,
    pub(super) registry: String,
    pub(super) repository: String,
    /// The digest if there is one, else the tag.
    pub(super) identifier: String,
}

impl Pinned {
    /// What a setter of the policy is called in a marker.
    pub(super) fn setter(&self) -> String {
        format!("{}:{}", self.namespace, self.policy)
    }

    /// `name:tag`, with `@digest` when there is one: what a bare marker sets.
    pub fn reference(&self) -> String {
        match self.digest.as_str() {
            "" => format!("{}:{}", self.image, self.tag),
            digest => format!("{}:{}@{digest}", self.image, self.tag),
        }
    }

    /// The reference taken apart, or why it is none.
    pub(super) fn parts(&self) -> Result<Reference, String> {
        let text = self.reference();
        parse(&text).ok_or_else(|| {
            format!("encountered invalid image ref {text:?}: could not parse reference: {text}")
        })
    }
}

fn parse(text: &str) -> Option<Reference> {
    let (base, tag, digest) = match text.split_once('@') {
        None => {
            let (base, tag) = without_tag(text);
            (base, tag.unwrap_or("latest"), None)
        }
        Some((base, digest)) => {
            let hex = digest.strip_prefix("sha256:")?;
            if hex.len() != 64 || !hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
                return None;
            }
            let (base, tag) = without_tag(base);
            (base, tag.unwrap_or("latest"), Some(digest))
        }
    };
    let tag_ok = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    if tag.is_empty() || tag.len() > 128 || !tag.bytes().all(tag_ok) {
        return None;
    }
    let (registry, repository) = match base.split_once('/') {
        Some((registry, rest)) if registry.contains(['.', ':']) => (registry, rest),
        _ => (DEFAULT_REGISTRY, base),
    };
    let repository_ok = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'/');
    let authority_ok =
        |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b':' | b'-' | b'_' | b'[' | b']' | b'~');
    if !(2..=255).contains(&repository.len())
        || !repository.bytes().all(repository_ok)
        || !registry.bytes().all(authority_ok)
    {
        return None;
    }
    let registry = if registry == "docker.io" { DEFAULT_REGISTRY } else { registry };
    let repository = match registry == DEFAULT_REGISTRY && !repository.contains('/') {
        true => format!("library/{repository}"),
        false => repository.to_owned(),
    };
    let name = match digest {
        Some(digest) => format!("{registry}/{repository}@{digest}"),
        None => format!("{registry}/{repository}:{tag}"),
    };
    Some(Reference {
        original: text.to_owned(),
        name,
        registry: registry.to_owned(),
        repository,
        identifier: digest.unwrap_or(tag).to_owned(),
    })
}

/// A colon before a slash belongs to a port.
fn without_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((base, tag)) if !tag.contains('/') => (base, Some(tag)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart_as_go_containerregistry_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, name, registry, repository, identifier) in [
            (
                "nuclearwu/hello:1.0.0",
                "index.docker.io/nuclearwu/hello:1.0.0",
                "index.docker.io",
                "nuclearwu/hello",
                "1.0.0",
            ),
            ("alpine:3", "index.docker.io/library/alpine:3", "index.docker.io", "library/alpine", "3"),
            (
                "docker.io/alpine:3",
                "index.docker.io/library/alpine:3",
                "index.docker.io",
                "library/alpine",
                "3",
            ),
            ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000", "app", "1"),
            ("localhost/app:1", "index.docker.io/localhost/app:1", "index.docker.io", "localhost/app", "1"),
            ("reg.io/app", "reg.io/app:latest", "reg.io", "app", "latest"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1", "[::1]:5000", "app", "1"),
        ] {
            let parts = parse(text).unwrap();
            let found = (&*parts.name, &*parts.registry, &*parts.repository, &*parts.identifier);
            assert_eq!((&*parts.original, found), (text, (name, registry, repository, identifier)));
        }
        let parts = parse(&format!("alpine:3@{digest}")).unwrap();
        assert_eq!(
            (parts.name, parts.identifier),
            (format!("index.docker.io/library/alpine@{digest}"), digest)
        );
    }

    #[test]
    fn h87_what_is_no_reference_is_none() {
        let long = format!("reg.io/app:{}", "a".repeat(129));
        for text in [
            "reg.io/a:1",
            "ghcr.io/Foo/bar:1",
            "reg.io/app:bad tag",
            "reg.io/app:1.0.0\nevil: true",
            "reg.io/app:1.0.0+b",
            "reg.io/app:",
            "reg.io/app@sha256:abc",
            "re g.io/app:1",
            &long,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
