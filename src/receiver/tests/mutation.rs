//! H18, S10: every body with a piece missing or of the wrong type is read or refused, and nothing else.

use http::HeaderMap;

use super::super::plan;
use super::*;

/// Samples of every provider: our own recordings, and the corpus where it is at hand.
fn samples() -> Vec<(Provider, HeaderMap, Value)> {
    let mut samples = Vec::new();
    let mut take = |provider: Provider, headers: &[(String, String)], body: &[u8]| {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
                map.insert(name, value);
            }
        }
        samples.push((provider, map, body));
    };
    let providers = [
        ("github", Provider::GitHub),
        ("gitlab", Provider::GitLab),
        ("harbor", Provider::Harbor),
        ("bitbucket", Provider::Bitbucket),
        ("bitbucket-server", Provider::Bitbucket),
        ("generic", Provider::Generic),
        ("generic-hmac", Provider::GenericHmac),
        ("dockerhub", Provider::DockerHub),
        ("quay", Provider::Quay),
        ("acr", Provider::Acr),
        ("gcr", Provider::Gcr),
        ("nexus", Provider::Nexus),
        ("cdevents", Provider::CdEvents),
        ("distribution", Provider::Harbor),
        ("distribution", Provider::Generic),
        ("cloudevents", Provider::GenericHmac),
        ("ecr", Provider::Generic),
        ("jfrog", Provider::Generic),
        ("aliyun-acr", Provider::DockerHub),
    ];
    let corpus = std::env::var("SLUICE_CORPUS").unwrap_or_else(|_| "../shared/corpus".to_owned());
    let webhooks = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("webhooks");
    for (name, provider) in providers {
        for entry in std::fs::read_dir(webhooks.join(name).join("deliveries")).into_iter().flatten().flatten()
        {
            if entry.path().extension().is_some_and(|ext| ext == "http") {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                let (head, body) = text.split_once("\n\n").unwrap();
                let headers: Vec<_> = head
                    .lines()
                    .filter_map(|line| line.split_once(": "))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                take(provider, &headers, body.as_bytes());
            }
        }
        let dir = std::path::Path::new(&corpus).join("deliveries").join(name);
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Some(stem) = path.to_str().and_then(|path| path.strip_suffix(".meta.json")) else { continue };
            let meta: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let headers: Vec<_> = meta["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            take(provider, &headers, &std::fs::read(format!("{stem}.json")).unwrap());
        }
    }
    samples
}

/// What is read of any body. Everything else is mutated at the top only: it is skipped whatever it holds.
const READ: &[&str] = &[
    "ref",
    "before",
    "after",
    "deleted",
    "forced",
    "sha",
    "ref_type",
    "action",
    "repository",
    "project",
    "clone_url",
    "ssh_url",
    "git_url",
    "html_url",
    "git_http_url",
    "git_ssh_url",
    "web_url",
    "homepage",
    "release",
    "tag_name",
    "package",
    "registry_package",
    "package_version",
    "container_metadata",
    "tag",
    "name",
    "digest",
    "namespace",
    "package_type",
    "ecosystem",
    "owner",
    "login",
    "version",
    "package_url",
    "object_kind",
    "event_name",
    "push",
    "changes",
    "old",
    "new",
    "target",
    "hash",
    "type",
    "links",
    "html",
    "href",
    "clone",
    "self",
    "refId",
    "fromHash",
    "toHash",
    "slug",
    "key",
    "data",
    "event_data",
    "resources",
    "resource_url",
    "repo_full_name",
    "id",
    "commit",
    "events",
    "request",
    "host",
    "url",
    "mediaType",
    "push_data",
    "repo_name",
    "region",
    "docker_url",
    "updated_tags",
    "message",
    "messageId",
    "component",
    "asset",
    "format",
    "context",
    "subject",
    "source",
    "timestamp",
    "detail",
    "repository-name",
    "image-digest",
    "image-tag",
    "image-tags",
    "account",
    "repositoryName",
    "imageTag",
    "registryUrl",
    "jpd_origin",
    "repo_key",
    "image_name",
    "sha256",
];

/// Paths to every value that is read, and to every one at the top; the first entry of a list stands for all.
fn paths(value: &Value, prefix: String, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| prefix.is_empty() || READ.contains(&key.as_str()))
            .map(|(key, child)| (format!("{prefix}/{}", key.replace('~', "~0").replace('/', "~1")), child))
            .collect(),
        Value::Array(list) => list.first().map(|child| (format!("{prefix}/0"), child)).into_iter().collect(),
        _ => Vec::new(),
    };
    for (path, child) in children {
        paths(child, path.clone(), found);
        found.push(path);
    }
}

#[tokio::test]
async fn h18_s10_every_key_removed_nulled_or_of_another_type_is_read_or_refused() {
    let world = World::start().await;
    let receiver = world.objects.list(Kind::Receiver);
    let receiver =
        receiver.iter().find(|one| one.name() == "hmac").unwrap().get::<flux_api::Receiver>().unwrap();
    let (listed, _) = plan::listed(&world.objects, receiver, false);
    let listed = plan::objects_of(listed);
    let samples = samples();
    let recorded = samples.len();
    assert!(recorded > 0);
    let (mut taken, mut read, mut refused) = (0, 0, 0);
    for (provider, headers, body) in samples {
        // What is recorded of a refusal is refused here, too, or would be by its proof.
        if provider.parse(&headers, body.to_string().as_bytes()).is_err() {
            continue;
        }
        taken += 1;
        let mut all = Vec::new();
        paths(&body, String::new(), &mut all);
        for path in all {
            let (parent, key) = path.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/").replace("~0", "~");
            let wrong =
                [Value::Null, json!(7), json!("x"), json!([]), json!({}), json!([[null]]), json!(true)];
            for n in 0..=wrong.len() {
                let mut mutant = body.clone();
                match (mutant.pointer_mut(parent).unwrap(), wrong.get(n)) {
                    (Value::Object(map), None) => drop(map.remove(&key)),
                    (Value::Array(list), None) => list.clear(),
                    (parent, Some(wrong)) => {
                        *parent.pointer_mut(&path[path.rfind('/').unwrap()..]).unwrap() = wrong.clone()
                    }
                    (_, None) => unreachable!("only containers have children"),
                }
                match provider.parse(&headers, mutant.to_string().as_bytes()) {
                    Ok(parsed) => {
                        read += 1;
                        plan::plan(receiver, provider, None, &parsed.facts, &listed, Vec::new());
                    }
                    Err(malformed) => {
                        refused += 1;
                        assert!(!malformed.to_string().is_empty());
                    }
                }
            }
        }
    }
    assert!(taken * 20 > recorded * 19, "only {taken} of {recorded} samples can be read as they are");
    assert!(read > 1000 && refused > 100, "{read} read, {refused} refused");
    world.end().await;
}
