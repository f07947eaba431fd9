//! An image as a policy resolved it, and the parts of its reference as go-containerregistry tells them.
//!
//! Does not ask a registry anything.

use crate::model::{is_digest, is_tag};
use crate::source::ImageName;

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
        let original = self.reference();
        let no_reference =
            || format!("encountered invalid image ref {original:?}: could not parse reference: {original}");
        let name = ImageName::parse(&self.image).map_err(|_| no_reference())?;
        if !is_tag(&self.tag) || !(self.digest.is_empty() || is_sha256(&self.digest)) {
            return Err(no_reference());
        }
        let (separator, identifier) = match self.digest.as_str() {
            "" => (':', &self.tag),
            _ => ('@', &self.digest),
        };
        Ok(Reference {
            name: format!("{name}{separator}{identifier}"),
            registry: name.registry().to_owned(),
            repository: name.repository().to_owned(),
            identifier: identifier.clone(),
            original,
        })
    }
}

/// The only algorithm go-containerregistry takes in a reference.
fn is_sha256(text: &str) -> bool {
    text.starts_with("sha256:") && is_digest(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(image: &str, tag: &str, digest: &str) -> Pinned {
        Pinned {
            namespace: "ns".into(),
            policy: "p".into(),
            image: image.into(),
            tag: tag.into(),
            digest: digest.into(),
        }
    }

    #[test]
    fn references_are_taken_apart_as_go_containerregistry_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, tag, digest, name, registry, repository) in [
            (
                "nuclearwu/hello",
                "1.0.0",
                "",
                "index.docker.io/nuclearwu/hello:1.0.0",
                "index.docker.io",
                "nuclearwu/hello",
            ),
            ("alpine", "3", "", "index.docker.io/library/alpine:3", "index.docker.io", "library/alpine"),
            (
                "docker.io/alpine",
                "3",
                "",
                "index.docker.io/library/alpine:3",
                "index.docker.io",
                "library/alpine",
            ),
            ("localhost:5000/app", "1", "", "localhost:5000/app:1", "localhost:5000", "app"),
            ("localhost/app", "1", "", "index.docker.io/localhost/app:1", "index.docker.io", "localhost/app"),
            (
                "alpine",
                "3",
                &*digest,
                &*format!("index.docker.io/library/alpine@{digest}"),
                "index.docker.io",
                "library/alpine",
            ),
        ] {
            let pinned = pinned(image, tag, digest);
            let parts = pinned.parts().unwrap();
            assert_eq!((&*parts.name, &*parts.registry, &*parts.repository), (name, registry, repository));
            assert_eq!(parts.identifier, if digest.is_empty() { tag } else { digest });
            assert_eq!(parts.original, pinned.reference());
        }
    }

    #[test]
    fn h87_what_is_no_reference_is_none() {
        let long = "a".repeat(129);
        for (image, tag, digest) in [
            ("reg.io/a", "1", ""),
            ("ghcr.io/Foo/bar", "1", ""),
            ("reg.io/app", "bad tag", ""),
            ("reg.io/app", "1.0.0\nevil: true", ""),
            ("reg.io/app", "1.0.0+b", ""),
            ("reg.io/app", "", ""),
            ("reg.io/app", "1", "sha256:abc"),
            ("re g.io/app", "1", ""),
            ("reg.io/app", &long, ""),
        ] {
            assert!(pinned(image, tag, digest).parts().is_err(), "{image} {tag}");
        }
    }
}
