//! Which kinds a cluster has, in which versions, and whether they live in namespaces.
//!
//! Two requests (aggregated discovery), remembered per cluster and revalidated by ETag. Nothing here is written to
//! disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use http::StatusCode;
use http::header::{ETAG, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::time::Instant;

use super::answer::Answer;
use super::error::{ApiError, Reason};
use super::kinds::{Capabilities, GroupVersion, KubeVersion, Listed, SharedKinds, build, join, kinds_of_crd};
use super::member::{Call, Member};

/// Aggregated discovery as kubectl asks for it, oldest form last.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
/// Somebody else may install CRDs or upgrade the cluster: what templates are told is at most this old.
const FRESH: Duration = Duration::from_secs(60);
/// Group versions asked for at once from servers without aggregated discovery.
const OLD_SERVER_CALLS: usize = 8;

/// What is known about one cluster's kinds.
pub(super) struct KindCache {
    shared: Arc<SharedKinds>,
    known: Mutex<Option<Known>>,
    /// Kinds of CRDs we applied, by the CRD's name, until the server lists them: it takes its time.
    defined: Mutex<HashMap<String, Vec<GroupVersion>>>,
    /// Held while asking, so that many callers ask once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Known {
    capabilities: Capabilities,
    etags: [Option<Box<str>>; 2],
    asked: Instant,
    stale: bool,
}

impl KindCache {
    pub(super) fn new(shared: Arc<SharedKinds>) -> Self {
        Self {
            shared,
            known: Mutex::new(None),
            defined: Mutex::new(HashMap::new()),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// A CRD was applied: its kinds are there once it is established.
    pub(super) fn define(&self, crd: &serde_json::Value) {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.lock_defined().insert(name, kinds_of_crd(crd));
        self.invalidate();
    }

    /// A CRD was deleted.
    pub(super) fn undefine(&self, name: &str) {
        self.lock_defined().remove(name);
        self.invalidate();
    }

    fn invalidate(&self) {
        if let Some(known) = &mut *self.lock() {
            known.stale = true;
        }
    }

    fn lock_defined(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<GroupVersion>>> {
        self.defined.lock().expect("the lock is held for a look-up or an insert")
    }

    /// Adds the kinds the server does not list yet, and forgets those that it does.
    fn complete(&self, mut listed: Vec<GroupVersion>) -> Vec<GroupVersion> {
        let mut defined = self.lock_defined();
        defined.retain(|_, versions| {
            let mut all_listed = true;
            for version in versions {
                let known = listed.iter_mut().find(|l| l.api_version == version.api_version);
                let missing = |resources: &[Listed], kind: &str| !resources.iter().any(|r| r.kind == kind);
                match known {
                    None => {
                        all_listed = false;
                        listed.push(version.clone());
                    }
                    Some(known) => {
                        for resource in &version.resources {
                            if missing(&known.resources, &resource.kind) {
                                all_listed = false;
                                known.resources.push(resource.clone());
                            }
                        }
                    }
                }
            }
            !all_listed
        });
        listed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.known.lock().expect("the lock is held for a clone or an assignment")
    }

    /// What is known, asking only if nothing is or a CRD came or went.
    pub(super) async fn get(&self, member: &Member, headers: &Headers) -> Result<Capabilities, ApiError> {
        let usable = |known: &Known| !known.stale;
        self.get_if(member, headers, usable).await
    }

    /// What is known, at most a minute old.
    pub(super) async fn fresh(&self, member: &Member, headers: &Headers) -> Result<Capabilities, ApiError> {
        let usable = |known: &Known| !known.stale && known.asked.elapsed() < FRESH;
        self.get_if(member, headers, usable).await
    }

    /// Asks again unless somebody did since `than` was handed out.
    pub(super) async fn newer(
        &self,
        than: &Capabilities,
        member: &Member,
        headers: &Headers,
    ) -> Result<Capabilities, ApiError> {
        let began = Instant::now();
        let usable = |known: &Known| {
            !known.stale && (known.asked >= began || !Arc::ptr_eq(&known.capabilities.kinds, &than.kinds))
        };
        self.get_if(member, headers, usable).await
    }

    async fn get_if(
        &self,
        member: &Member,
        headers: &Headers,
        usable: impl Fn(&Known) -> bool,
    ) -> Result<Capabilities, ApiError> {
        let hit =
            |known: &Option<Known>| known.as_ref().filter(|k| usable(k)).map(|k| k.capabilities.clone());
        if let Some(hit) = hit(&self.lock()) {
            return Ok(hit);
        }
        let _asking = self.asking.lock().await;
        if let Some(hit) = hit(&self.lock()) {
            return Ok(hit);
        }
        let before = self.lock().clone();
        // Cleared before asking: a CRD that comes while we ask makes it stale again.
        if let Some(known) = &mut *self.lock() {
            known.stale = false;
        }
        let asked = Instant::now();
        match Box::pin(self.ask(before, asked, member, headers)).await {
            Ok(known) => {
                let capabilities = known.capabilities.clone();
                let mut slot = self.lock();
                let stale = slot.as_ref().is_some_and(|k| k.stale);
                *slot = Some(Known { stale, ..known });
                Ok(capabilities)
            }
            Err(error) => {
                self.invalidate();
                Err(error)
            }
        }
    }

    async fn ask(
        &self,
        before: Option<Known>,
        asked: Instant,
        member: &Member,
        headers: &Headers,
    ) -> Result<Known, ApiError> {
        let attempt = "discover the kinds";
        let tags = match &before {
            Some(known) if self.lock_defined().is_empty() => known.etags.clone(),
            _ => [None, None],
        };
        let get = |path: &str, tag: Option<Box<str>>| {
            let path = path.to_owned();
            async move {
                let call = Call {
                    accept: ACCEPT,
                    headers,
                    if_none_match: tag.as_deref(),
                    ..Call::get(path, attempt)
                };
                member.call(&call).await
            }
        };
        let [core_tag, groups_tag] = tags.clone();
        let version = async {
            let call = Call { headers, ..Call::get("/version".to_owned(), "read the version") };
            let answer = member.call(&call).await?;
            answer.json::<KubeVersion>().map_err(|reason| member.error("read the version", reason))
        };
        // One after another over one connection: three at once would be three TLS handshakes per member.
        let (version, core, groups) =
            (version.await?, get("/api", core_tag).await?, get("/apis", groups_tag).await?);
        let kube_version = match &before {
            Some(known) if *known.capabilities.kube_version == version => {
                known.capabilities.kube_version.clone()
            }
            _ => Arc::new(version),
        };
        if let Some(before) = &before
            && core.status == StatusCode::NOT_MODIFIED
            && groups.status == StatusCode::NOT_MODIFIED
        {
            let kinds = before.capabilities.kinds.clone();
            let capabilities = Capabilities { kube_version, kinds };
            return Ok(Known { capabilities, etags: tags, asked, stale: false });
        }
        // One of the two is new: the other is asked for again in full.
        let core = if core.status == StatusCode::NOT_MODIFIED { get("/api", None).await? } else { core };
        let groups =
            if groups.status == StatusCode::NOT_MODIFIED { get("/apis", None).await? } else { groups };
        let tag =
            |answer: &Answer| answer.headers.get(ETAG).and_then(|t| t.to_str().ok()).map(Box::<str>::from);
        let etags = [tag(&core), tag(&groups)];
        let kinds = match (read_aggregated(&core), read_aggregated(&groups)) {
            (Some(core), Some(groups)) => core.into_iter().chain(groups).collect(),
            _ => old_server(&core, &groups, member, headers).await?,
        };
        let kinds = build(self.complete(kinds));
        let capabilities = Capabilities { kube_version, kinds: self.shared.share(kinds) };
        Ok(Known { capabilities, etags, asked, stale: false })
    }
}

type Headers = [(HeaderName, HeaderValue)];

#[derive(Deserialize)]
struct GroupList {
    kind: String,
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize, Default)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<ListedResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedResource {
    resource: String,
    response_kind: Option<KindName>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    subresources: Vec<Subresource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subresource {
    response_kind: Option<KindName>,
}

#[derive(Deserialize)]
struct KindName {
    #[serde(default)]
    kind: String,
}

fn read_aggregated(answer: &Answer) -> Option<Vec<GroupVersion>> {
    let list: GroupList = answer.json().ok().filter(|l: &GroupList| l.kind == "APIGroupDiscoveryList")?;
    let mut all = Vec::new();
    for Group { metadata: GroupName { name: group }, versions } in list.items {
        for version in versions {
            let api_version = join(&group, &version.version);
            let resources = version.resources.into_iter().filter_map(|resource| {
                let kind = resource.response_kind.map(|k| k.kind).filter(|k| !k.is_empty())?;
                let subresources = resource.subresources.into_iter().filter_map(|s| s.response_kind);
                Some(Listed {
                    subresource_kinds: subresources
                        .map(|k| k.kind)
                        .filter(|k| !k.is_empty() && *k != kind)
                        .collect(),
                    kind,
                    plural: resource.resource,
                    namespaced: resource.scope == "Namespaced",
                })
            });
            all.push(GroupVersion { api_version, resources: resources.collect() });
        }
    }
    Some(all)
}

#[derive(Deserialize)]
struct OldVersions {
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct OldGroups {
    #[serde(default)]
    groups: Vec<OldGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldGroup {
    #[serde(default)]
    versions: Vec<OldVersion>,
    preferred_version: Option<OldVersion>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct OldVersion {
    group_version: String,
}

#[derive(Deserialize)]
struct OldResources {
    #[serde(default)]
    resources: Vec<OldResource>,
}

#[derive(Deserialize)]
struct OldResource {
    name: String,
    #[serde(default)]
    namespaced: bool,
    kind: String,
}

/// Servers before 1.26: one request per group version. A group whose server is down is left out, as kubectl does.
async fn old_server(
    core: &Answer,
    groups: &Answer,
    member: &Member,
    headers: &Headers,
) -> Result<Vec<GroupVersion>, ApiError> {
    let attempt = "discover the kinds";
    let malformed = |reason: Reason| member.error(attempt, reason);
    let core: OldVersions = core.json().map_err(malformed)?;
    let groups: OldGroups = groups.json().map_err(malformed)?;
    let mut paths: Vec<(String, String)> =
        core.versions.into_iter().map(|v| (format!("/api/{v}"), v)).collect();
    for mut group in groups.groups {
        let preferred = group.preferred_version.take();
        group.versions.sort_by_key(|v| Some(v) != preferred.as_ref());
        paths.extend(
            group.versions.into_iter().map(|v| (format!("/apis/{}", v.group_version), v.group_version)),
        );
    }
    let asked = stream::iter(paths).map(|(path, api_version)| async move {
        let call = Call { headers, ..Call::get(path, attempt) };
        let answer = match member.call(&call).await {
            Ok(answer) => answer,
            Err(error) if error.is_about_the_cluster() => return Err(error),
            Err(_) => return Ok(None),
        };
        let list: OldResources = answer.json().map_err(|reason| member.error(attempt, reason))?;
        let (subresources, own): (Vec<_>, Vec<_>) =
            list.resources.into_iter().partition(|r| r.name.contains('/'));
        let of = |plural: &str, kind: &str| {
            let prefix = format!("{plural}/");
            subresources
                .iter()
                .filter(|s| s.name.starts_with(&prefix) && s.kind != kind)
                .map(|s| s.kind.clone())
                .collect()
        };
        let resources = own.into_iter().map(|r| Listed {
            subresource_kinds: of(&r.name, &r.kind),
            kind: r.kind,
            plural: r.name,
            namespaced: r.namespaced,
        });
        Ok(Some(GroupVersion { api_version, resources: resources.collect() }))
    });
    let all: Vec<_> = asked.buffered(OLD_SERVER_CALLS).collect().await;
    all.into_iter().filter_map(Result::transpose).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kinds::Kinds;
    use super::*;

    fn answer(body: serde_json::Value) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: Default::default(),
            body: body.to_string().into(),
            took: Duration::ZERO,
        }
    }

    fn kinds() -> Kinds {
        let core = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {}, "versions": [
            {"version": "v1", "resources": [
                {"resource": "pods", "responseKind": {"kind": "Pod"}, "scope": "Namespaced",
                 "subresources": [{"subresource": "eviction", "responseKind": {"kind": "Eviction"}}]},
                {"resource": "namespaces", "responseKind": {"kind": "Namespace"}, "scope": "Cluster"},
            ]},
        ]}]});
        let groups = json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "autoscaling"}, "versions": [
                {"version": "v2", "resources": [
                    {"resource": "horizontalpodautoscalers", "responseKind": {"kind": "HorizontalPodAutoscaler"}, "scope": "Namespaced"}]},
                {"version": "v1", "resources": [
                    {"resource": "horizontalpodautoscalers", "responseKind": {"kind": "HorizontalPodAutoscaler"}, "scope": "Namespaced"}]},
            ]},
            {"metadata": {"name": "stale.example"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
        ]});
        let read = |body| read_aggregated(&answer(body)).unwrap();
        build(read(core).into_iter().chain(read(groups)))
    }

    #[test]
    fn aggregated_discovery_is_read() {
        let kinds = kinds();
        let pod = kinds.find("v1", "Pod").unwrap();
        assert_eq!((&*pod.plural, pod.namespaced), ("pods", true));
        assert!(!kinds.find("v1", "Namespace").unwrap().namespaced);
        assert!(kinds.find("v2", "Pod").is_none());
        let autoscaler = kinds.preferred("autoscaling", "HorizontalPodAutoscaler").unwrap();
        assert_eq!(kinds.api_version(autoscaler), "autoscaling/v2");
        assert_eq!(
            kinds.api_versions(),
            [
                "v1",
                "autoscaling/v2",
                "autoscaling/v1",
                "stale.example/v1",
                "v1/Pod",
                "v1/Namespace",
                "autoscaling/v2/HorizontalPodAutoscaler",
                "autoscaling/v1/HorizontalPodAutoscaler",
                "v1/Eviction",
            ]
        );
    }

    #[test]
    fn equal_kinds_of_two_clusters_are_one_copy() {
        let shared = SharedKinds::default();
        let (one, two) = (shared.share(kinds()), shared.share(kinds()));
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two));
        shared.share(build([]));
        assert_eq!(shared.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn an_old_list_is_no_aggregated_one() {
        assert!(read_aggregated(&answer(json!({"kind": "APIGroupList", "groups": []}))).is_none());
    }
}
