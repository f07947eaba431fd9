//! Which image repositories a registry's report concerns, and the hint they get. Plain data in, plain data out.
//!
//! Names are compared, never used: what is asked for tags and digests is what the object names.

use flux_api::FluxObject;
use serde_json::{Value, json};

use super::facts::{Change, FactKind, Facts, image};

/// Docker Hub's names for itself.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_TOO: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// An image repository: a registry and a path in it. A report may leave the registry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageName {
    host: Option<String>,
    path: String,
}

impl ImageName {
    /// As objects and `docker pull` write it: without a host it is Docker Hub's, by go-containerregistry's rules.
    pub(super) fn configured(text: &str) -> Option<Self> {
        let name = Self::cut(text, |first| first.contains(['.', ':']))?;
        let host = name.host.unwrap_or_else(|| DOCKER_HUB.to_owned());
        let path = if host == DOCKER_HUB && !name.path.contains('/') {
            format!("library/{}", name.path)
        } else {
            name.path
        };
        Some(Self { host: Some(host), path })
    }

    /// As registries report it: without a host it is a path of whoever reports.
    pub(super) fn reported(text: &str) -> Option<Self> {
        let name = Self::cut(text, |first| first.contains(['.', ':']) || first == "localhost")?;
        if name.host.as_deref() == Some(DOCKER_HUB) { Self::configured(text) } else { Some(name) }
    }

    fn cut(text: &str, is_host: impl Fn(&str) -> bool) -> Option<Self> {
        // Longer than any registry allows.
        if text.len() > 4096 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let text = text.strip_prefix("oci://").unwrap_or(text).trim_end_matches('/');
        let name = image(text).0.to_lowercase();
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (Some(plain_host(first)), rest),
            _ => (None, name.as_str()),
        };
        let sound = path.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        sound.then(|| Self { host, path: path.to_owned() })
    }

    /// Whether both are the same repository of the same registry.
    fn is(&self, reported: &Self) -> bool {
        reported.host.is_some() && self == reported
    }

    /// Whether both have the same path, wherever they are.
    fn is_called(&self, reported: &Self) -> bool {
        let official = || {
            let is_hub = self.host.as_deref() == Some(DOCKER_HUB);
            is_hub && self.path.strip_prefix("library/") == Some(reported.path.as_str())
        };
        self.path == reported.path || reported.host.is_none() && official()
    }
}

fn plain_host(host: &str) -> String {
    let host = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(host);
    if DOCKER_HUB_TOO.contains(&host) { DOCKER_HUB.to_owned() } else { host.to_owned() }
}

/// The image repository an object watches, if it is of a kind that watches one.
pub(super) fn watched(object: &FluxObject) -> Option<&str> {
    match object {
        FluxObject::ImageRepository(one) => Some(&one.spec.image),
        FluxObject::OCIRepository(one) => Some(&one.spec.url),
        _ => None,
    }
}

/// The hint for what watches an image of which nothing is known. An entry without a tag says that only a list of all
/// tags tells what there is now; it stays beside whatever other webhooks name.
pub(super) fn only_a_list_tells() -> Value {
    json!({ "images": [{}] })
}

/// The pushes and deletions of a report.
pub(super) struct Report<'a> {
    changes: Vec<Reported<'a>>,
    /// At least one change does not say where it happened.
    unnamed: bool,
}

struct Reported<'a> {
    text: &'a str,
    change: &'a Change,
    name: Option<ImageName>,
    /// Somebody watches it under its full name, so that a namesake elsewhere is not meant.
    by_full_name: bool,
}

impl<'a> Report<'a> {
    /// Reads the facts beside the objects that are listed.
    pub(super) fn read<'b>(facts: &'a Facts, listed: impl Iterator<Item = &'b FluxObject> + Clone) -> Self {
        let counts = |change: &Change| matches!(change.kind, FactKind::Push | FactKind::Delete);
        let watched = listed.filter_map(|object| ImageName::configured(watched(object)?));
        let watched: Vec<ImageName> = watched.collect();
        let changes: Vec<Reported<'a>> = facts
            .image_changes()
            .filter(|(_, change)| counts(change))
            .map(|(text, change)| {
                let name = ImageName::reported(text);
                // A registry is often reached by an inner name that its reports do not know. If nobody watches the
                // repository by the name it has there, its path decides.
                let by_full_name = name.as_ref().is_some_and(|name| watched.iter().any(|one| one.is(name)));
                Reported { text, change, name, by_full_name }
            })
            .collect();
        let all = facts.all_changes().iter().filter(|change| counts(change)).count();
        Self { unnamed: changes.len() < all, changes }
    }

    /// Nothing in it was pushed or deleted.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.unnamed
    }

    /// Whether it can have touched what an object watches.
    pub(super) fn concerns(&self, image: &str) -> bool {
        // Without a name on either side nothing can be ruled out.
        let Some(name) = ImageName::configured(image) else { return true };
        self.unnamed || self.changes.iter().any(|reported| reported.meets(&name))
    }

    /// The tags and digests that were pushed to what an object watches.
    pub(super) fn hint(&self, image: &str) -> Value {
        /// More pushes than this are found sooner by a list.
        const MOST: usize = 100;
        let mut pushed: Vec<Value> = Vec::new();
        let reported = ImageName::configured(image)
            .map_or_else(Vec::new, |name| self.changes.iter().filter(|one| one.meets(&name)).collect());
        for Reported { text, change, .. } in reported {
            // A deletion beside it may have taken what was pushed.
            let unnamed = change.tag.is_none() && change.digest.is_none();
            if change.kind == FactKind::Delete || unnamed || pushed.len() == MOST {
                pushed.clear();
                break;
            }
            let one = json!({ "repository": text, "tag": change.tag, "digest": change.digest });
            if !pushed.contains(&one) {
                pushed.push(one);
            }
        }
        if pushed.is_empty() { only_a_list_tells() } else { json!({ "images": pushed }) }
    }

    /// The repositories, for a note.
    pub(super) fn shown(&self) -> String {
        let mut names: Vec<String> = Vec::new();
        for reported in &self.changes {
            let name = format!("`{}`", super::log::clean(reported.text));
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() > 3 {
            let more = names.len() - 3;
            names.truncate(3);
            names.push(format!("{more} more"));
        }
        names.join(", ")
    }
}

impl Reported<'_> {
    fn meets(&self, watched: &ImageName) -> bool {
        self.name
            .as_ref()
            .is_some_and(|name| if self.by_full_name { watched.is(name) } else { watched.is_called(name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(text: &str) -> String {
        let name = ImageName::configured(text).unwrap();
        format!("{}/{}", name.host.unwrap(), name.path)
    }

    #[test]
    fn names_without_a_registry_are_docker_hubs() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx"),
            ("nuclearwu/hello-kubernetes", "docker.io/nuclearwu/hello-kubernetes"),
            ("index.docker.io/nuclearwu/hello-kubernetes:1.0", "docker.io/nuclearwu/hello-kubernetes"),
            ("docker.io/nginx", "docker.io/library/nginx"),
            ("registry-1.docker.io/library/nginx", "docker.io/library/nginx"),
            ("GHCR.io/Org/App@sha256:ab", "ghcr.io/org/app"),
            ("ghcr.io:443/org/app", "ghcr.io/org/app"),
            ("oci://localhost:5000/charts/app", "localhost:5000/charts/app"),
            // As go-containerregistry takes it, whatever docker does.
            ("localhost/app", "docker.io/localhost/app"),
        ] {
            assert_eq!(configured(text), full, "{text}");
        }
        for none in ["", "a//b", "ghcr.io/../x", "a b", "ghcr.io/a\n", &"a/".repeat(3000)] {
            assert_eq!(ImageName::configured(none), None, "{none}");
        }
    }

    fn meets(watched: &str, reported: &str) -> bool {
        let (watched, reported) =
            (ImageName::configured(watched).unwrap(), ImageName::reported(reported).unwrap());
        watched.is(&reported)
    }

    #[test]
    fn a_look_alike_is_another_repository() {
        assert!(meets("registry.example.com/org/app", "registry.example.com/org/app"));
        assert!(meets("nginx", "docker.io/nginx"));
        for other in [
            "registry.example.com/org/app2",
            "registry.example.com/evil/org/app",
            "registry.example.com.evil.example/org/app",
            "registry.example.com:5000/org/app",
            "registry.ex\u{430}mple.com/org/app",
            "org/app",
        ] {
            assert!(!meets("registry.example.com/org/app", other), "{other}");
        }
    }

    #[test]
    fn without_a_host_the_path_decides() {
        let called = |watched: &str, reported: &str| {
            ImageName::configured(watched).unwrap().is_called(&ImageName::reported(reported).unwrap())
        };
        assert!(called("nexus.example.com:8083/app1/alpine", "app1/alpine"));
        assert!(called("nginx", "nginx"));
        assert!(called("registry.local:5000/nginx", "nginx"));
        assert!(!called("registry.local:5000/library/nginx", "nginx"));
        assert!(!called("nexus.example.com/other/app1/alpine", "app1/alpine"));
    }
}
