//! The kinds of a cluster as plain data: found by name, listed for templates, shared between equal clusters.
//!
//! Pure; `discovery` asks the cluster for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::object::split_api_version;

/// The kinds of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub struct Kinds {
    group_versions: Box<[Box<str>]>,
    /// In the server's order: groups by priority, versions of a group by preference.
    resources: Box<[Resource]>,
    /// Kinds that only subresources have (`Scale`): Helm lists them too.
    extra: Box<[(u16, Box<str>)]>,
}

/// One kind in one version.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    group_version: u16,
    /// The kind (`Deployment`).
    pub kind: Box<str>,
    /// Its name in paths (`deployments`).
    pub plural: Box<str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// `/version` of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KubeVersion {
    /// `v1.37.2`.
    #[serde(rename = "gitVersion")]
    pub git_version: String,
    /// `1`.
    pub major: String,
    /// `37`.
    pub minor: String,
}

/// What templates may ask about a cluster (`.Capabilities`).
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// The server's version.
    pub kube_version: Arc<KubeVersion>,
    /// The kinds it has.
    pub kinds: Arc<Kinds>,
}

impl Capabilities {
    /// `v1`, `apps/v1`, `apps/v1/Deployment` …: what Helm puts into `.Capabilities.APIVersions`.
    pub fn api_versions(&self) -> Vec<String> {
        self.kinds.api_versions()
    }
}

impl Kinds {
    /// Finds a kind in exactly this version.
    pub fn find(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| &*r.kind == kind && self.api_version(r) == api_version)
    }

    /// Finds a kind of a group in the version the server prefers.
    pub fn preferred(&self, group: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| &*r.kind == kind && split_api_version(self.api_version(r)).0 == group)
    }

    /// The `group/version` of a resource.
    pub fn api_version(&self, resource: &Resource) -> &str {
        &self.group_versions[usize::from(resource.group_version)]
    }

    /// Whether a group version is gone altogether, or there with its kinds: then a kind it lacks does not exist. One
    /// that is listed without kinds has a server that does not answer.
    pub(super) fn is_answering(&self, api_version: &str) -> bool {
        let listed = self.group_versions.iter().any(|v| **v == *api_version);
        !listed || self.resources.iter().any(|r| self.api_version(r) == api_version)
    }

    /// All resources, in the server's order.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter()
    }

    /// Group versions, then every kind with its group version, each once and in order of appearance.
    pub fn api_versions(&self) -> Vec<String> {
        let kinds = self.resources.iter().map(|r| (r.group_version, &r.kind));
        let extra = self.extra.iter().map(|(group_version, kind)| (*group_version, kind));
        let mut all: Vec<String> = self.group_versions.iter().map(|v| v.to_string()).collect();
        all.extend(
            kinds.chain(extra).map(|(v, kind)| format!("{}/{kind}", self.group_versions[usize::from(v)])),
        );
        let mut known = std::collections::HashSet::new();
        all.retain(|entry| known.insert(entry.clone()));
        all
    }

    fn digest(&self) -> [u8; 32] {
        let Self { group_versions, resources, extra } = self;
        let mut hash = Sha256::new();
        for version in group_versions {
            hash.update(version.as_bytes());
            hash.update([0]);
        }
        for Resource { group_version, kind, plural, namespaced } in resources {
            hash.update(group_version.to_le_bytes());
            hash.update(kind.as_bytes());
            hash.update([0]);
            hash.update(plural.as_bytes());
            hash.update([0, u8::from(*namespaced)]);
        }
        for (group_version, kind) in extra {
            hash.update(group_version.to_le_bytes());
            hash.update(kind.as_bytes());
            hash.update([1]);
        }
        hash.finalize().into()
    }
}

/// Kinds of all clusters, each set once.
#[derive(Default)]
pub(super) struct SharedKinds(pub(super) Mutex<HashMap<[u8; 32], Weak<Kinds>>>);

impl SharedKinds {
    pub(super) fn share(&self, kinds: Kinds) -> Arc<Kinds> {
        let key = kinds.digest();
        let mut all = self.0.lock().expect("a map's insert does not panic");
        if let Some(found) = all.get(&key).and_then(Weak::upgrade) {
            return found;
        }
        let kinds = Arc::new(kinds);
        all.retain(|_, kept| kept.strong_count() > 0);
        all.insert(key, Arc::downgrade(&kinds));
        kinds
    }
}

/// One group version as the server told it.
#[derive(Clone)]
pub(super) struct GroupVersion {
    pub(super) api_version: String,
    pub(super) resources: Vec<Listed>,
}

#[derive(Clone)]
pub(super) struct Listed {
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) namespaced: bool,
    pub(super) subresource_kinds: Vec<String>,
}

pub(super) fn build(group_versions: impl IntoIterator<Item = GroupVersion>) -> Kinds {
    let (mut versions, mut resources, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    for group_version in group_versions {
        let Ok(index) = u16::try_from(versions.len()) else { break };
        versions.push(group_version.api_version.into_boxed_str());
        for listed in group_version.resources {
            extra.extend(listed.subresource_kinds.into_iter().map(|kind| (index, kind.into_boxed_str())));
            resources.push(Resource {
                group_version: index,
                kind: listed.kind.into_boxed_str(),
                plural: listed.plural.into_boxed_str(),
                namespaced: listed.namespaced,
            });
        }
    }
    extra.dedup();
    Kinds {
        group_versions: versions.into_boxed_slice(),
        resources: resources.into_boxed_slice(),
        extra: extra.into_boxed_slice(),
    }
}

/// The kinds a CRD defines.
pub(super) fn kinds_of_crd(crd: &serde_json::Value) -> Vec<GroupVersion> {
    let spec = &crd["spec"];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (group, kind, plural) =
        (text(&spec["group"]), text(&spec["names"]["kind"]), text(&spec["names"]["plural"]));
    let served = spec["versions"].as_array().into_iter().flatten().filter(|v| v["served"] == true);
    served
        .map(|version| GroupVersion {
            api_version: join(&group, version["name"].as_str().unwrap_or_default()),
            resources: vec![Listed {
                kind: kind.clone(),
                plural: plural.clone(),
                namespaced: spec["scope"] == "Namespaced",
                subresource_kinds: Vec::new(),
            }],
        })
        .collect()
}

pub(super) fn join(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}
