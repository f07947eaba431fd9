//! What forges and registries send, replayed: our own recordings in `webhooks/`, and the shared corpus where it is at
//! hand. Adding an event is adding a file.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sluice::model::{Clock, DeliveryId, Timestamp};
use sluice::objects::Objects;
use sluice::queue::{DeliveryFilter, JobOutcome, JobResult, LeasedJob, Queue, QueueSettings};
use sluice::receiver::{Provider, ReceiverSettings, ReceiverState, hook_path, router, sign};
use tower::ServiceExt;

/// The sources that the recordings push to.
const SOURCES: &str = r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: hello-kubernetes, namespace: flux-system}
spec: {interval: 1m, url: "https://github.com/example/hello-kubernetes"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: hello-gitlab, namespace: flux-system}
spec: {interval: 1m, url: "ssh://git@gitlab.example.com/platform/hello-kubernetes", ref: {branch: master}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: hello-bitbucket, namespace: flux-system}
spec: {interval: 1m, url: "ssh://git@bitbucket.org/example/hello-kubernetes.git", ref: {branch: master}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: hello-bitbucket-dc, namespace: flux-system}
spec: {interval: 1m, url: "ssh://git@bitbucket.example.com:7999/plat/hello-kubernetes.git", ref: {branch: master}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-kubernetes, namespace: flux-system}
spec: {interval: 1m, image: ghcr.io/example/hello-kubernetes}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-harbor, namespace: flux-system}
spec: {interval: 1m, image: harbor.example.com/platform/hello-kubernetes}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-dockerhub, namespace: flux-system}
spec: {interval: 1m, image: example/hello-kubernetes}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-quay, namespace: flux-system}
spec: {interval: 1m, image: quay.io/example/hello-kubernetes}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-acr, namespace: flux-system}
spec: {interval: 1m, image: example.azurecr.io/hello-kubernetes}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-nexus, namespace: flux-system}
spec: {interval: 1m, image: "nexus.example.com:8083/platform/hello-kubernetes"}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-cdevents, namespace: flux-system}
spec: {interval: 1m, image: registry.example.com/platform/hello-kubernetes}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-distribution, namespace: flux-system}
spec: {interval: 1m, image: "registry.example.com:5000/platform/hello-kubernetes"}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-ecr, namespace: flux-system}
spec: {interval: 1m, image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/hello-kubernetes}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-jfrog, namespace: flux-system}
spec: {interval: 1m, image: example.jfrog.io/docker-local/hello-kubernetes}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: hello-gcr, namespace: flux-system}
spec: {interval: 1m, image: europe-docker.pkg.dev/example/apps/hello-kubernetes}
"#;

/// The private half of `webhooks/gcr/deliveries/keys.json`, which stands in for Google's.
const ISSUER_KEY: &str = include_str!("support/issuer.pem");

/// Shows the public half on loopback, as Google does.
async fn google() -> String {
    rustls::crypto::ring::default_provider().install_default().ok();
    let keys = include_str!("../webhooks/gcr/deliveries/keys.json");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/certs", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/certs", axum::routing::get(move || async move { keys }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A token as Pub/Sub adds it.
fn identity_token(claims: &Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let pem: String = ISSUER_KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = ring::signature::RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "test-1"})), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &ring::signature::RSA_PKCS1_SHA256,
        &ring::rand::SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

struct World {
    router: axum::Router,
    queue: Queue,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(manifests: &[&str], now: Timestamp) -> Self {
        Self::with(ReceiverSettings::default(), manifests, now).await
    }

    async fn with(settings: ReceiverSettings, manifests: &[&str], now: Timestamp) -> Self {
        let clock = Clock::manual(now);
        let dir = tempfile::tempdir().unwrap();
        let (queue, writer) =
            Queue::open(dir.path(), QueueSettings::following(&clock), clock.clone()).await.unwrap();
        tokio::spawn(writer.run());
        let objects = Objects::memory(clock.clone());
        for (n, text) in manifests.iter().enumerate() {
            let problems = objects.put_manifests(&format!("{n}.yaml"), text).await;
            assert!(problems.is_empty(), "{problems:?}");
        }
        let state = ReceiverState::new(objects, queue.clone(), clock, settings);
        Self { router: router(state), queue, _dir: dir }
    }

    async fn post(&self, path: &str, headers: &[(String, String)], body: &[u8]) -> (StatusCode, Value) {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body.to_vec())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn facts(&self, answer: &Value) -> Value {
        let id = DeliveryId::new(answer["delivery"].as_str().expect("a delivery was recorded"));
        self.queue.delivery(&id).await.unwrap().unwrap().summary.facts
    }

    /// What was woken; it counts as done at once.
    async fn woken(&self) -> Vec<LeasedJob> {
        let mut jobs = self.queue.claim(100, "test", Duration::from_secs(60)).await.unwrap();
        jobs.sort_by(|a, b| a.object.cmp(&b.object));
        for job in &jobs {
            self.queue.finish(&job.lease, JobResult::of(JobOutcome::Done)).await.unwrap();
        }
        jobs
    }
}

fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(suffix)))
        .collect();
    files.sort();
    files
}

/// A raw request: request line, headers, empty line, body.
fn raw(bytes: &[u8]) -> (String, Vec<(String, String)>, Vec<u8>) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an empty line after the headers");
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (path, headers, bytes[end + 2..].to_vec())
}

#[tokio::test]
async fn recorded_deliveries_do_what_stands_beside_them() {
    let webhooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("webhooks");
    let mut replayed = BTreeMap::new();
    let google_keys = google().await;
    let mut senders: Vec<String> = std::fs::read_dir(&webhooks)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    senders.sort();
    for provider in senders {
        let dir = webhooks.join(&provider);
        replayed.insert(provider.clone(), 0);
        let readme = std::fs::read_to_string(dir.join("README.md")).unwrap();
        assert!(readme.contains("receiver.yaml"), "{provider}/README.md leads to the manifest");
        let receiver = std::fs::read_to_string(dir.join("receiver.yaml")).unwrap();
        for file in files(&dir.join("deliveries"), ".http") {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let expect = std::fs::read_to_string(file.with_file_name(format!("{name}.expect.yaml"))).unwrap();
            let expect = goyaml::yaml_to_json_strict(&expect).unwrap();
            let now = expect["now"].as_str().unwrap_or("2026-03-01T12:00:00Z").parse().unwrap();
            let settings =
                ReceiverSettings { google_keys: google_keys.clone(), ..ReceiverSettings::default() };
            let world = World::with(settings, &[SOURCES, &receiver], now).await;
            let (path, headers, body) = raw(&std::fs::read(&file).unwrap());
            let (status, answer) = world.post(&path, &headers, &body).await;
            let at = format!("{provider}/{name}");
            assert_eq!(i64::from(status.as_u16()), expect["status"], "{at}");
            *replayed.entry(provider.clone()).or_insert(0) += 1;
            if expect["facts"].is_null() {
                let stored = world.queue.list_deliveries(&DeliveryFilter::default(), 1).await.unwrap();
                assert!(stored.is_empty(), "{at}: nothing is stored");
                continue;
            }
            let facts = world.facts(&answer).await;
            for (key, value) in expect["facts"].as_object().unwrap() {
                assert_eq!(&facts[key], value, "{at}: {key}");
            }
            assert_eq!(answer["note"], expect["note"], "{at}");
            let woken = world.woken().await;
            let names: Vec<String> = woken.iter().map(|job| job.object.to_string()).collect();
            assert_eq!(json!(names), expect["wakes"], "{at}");
            for (n, job) in woken.iter().enumerate() {
                let hint = expect["hints"].get(n).unwrap_or(&expect["hint"]);
                assert_eq!(&job.payload, hint, "{at}: hint of {}", job.object);
            }
        }
    }
    assert!(replayed.len() >= 15 && replayed.values().all(|count| *count >= 3), "{replayed:?}");
}

fn corpus() -> Option<PathBuf> {
    let dir = std::env::var_os("SLUICE_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let dir = dir.join("deliveries");
    if !dir.is_dir() {
        eprintln!("no corpus at {}: set SLUICE_CORPUS to replay it", dir.display());
        return None;
    }
    Some(dir)
}

const TOKEN: &str = "corpus-token";

/// A Receiver of one type that lists one source.
fn receiver(kind: &str, token: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: token, namespace: flux-system}}
stringData: {{token: {token:?}, email: "pubsub@example.iam.gserviceaccount.com", audience: "https://hooks.example.com"}}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {{name: receiver, namespace: flux-system}}
spec: {{type: {kind}, secretRef: {{name: token}}, resources: [{{kind: GitRepository, name: hello-kubernetes}}]}}
"#
    )
}

fn path_of(token: &str) -> String {
    hook_path(token.as_bytes(), "receiver", "flux-system")
}

fn owned(headers: Vec<(&'static str, String)>) -> Vec<(String, String)> {
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The recorded headers with the proof that a sender of this kind would add.
fn proven(provider: Provider, recorded: &Value, body: &[u8]) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = recorded
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let mut proof = owned(sign(provider, TOKEN.as_bytes(), body, "made-up", now));
    if provider == Provider::Gcr {
        let claims = json!({
            "iss": "https://accounts.google.com", "aud": "https://hooks.example.com",
            "email": "pubsub@example.iam.gserviceaccount.com", "email_verified": true,
            "iat": 1_772_366_400, "exp": 1_772_370_000,
        });
        proof.push(("authorization".to_owned(), format!("Bearer {}", identity_token(&claims))));
    }
    for (name, value) in proof {
        if !headers.iter().any(|(there, _)| there.eq_ignore_ascii_case(&name)) {
            headers.push((name, value));
        }
    }
    headers
}

/// Without nulls, which stand for "nothing" as well as absence does.
fn bare(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), bare(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(bare).collect(),
        other => other.clone(),
    }
}

/// What the corpus leaves unsaid, and what it says of digests that its sources masked or cut short: those are none.
fn expected(meta: &Value, key: &str) -> Value {
    let whole = |digest: &Value| {
        let hex = digest.as_str().and_then(|text| text.strip_prefix("sha256:"));
        hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let masked = |digest: &Value| if whole(digest) { digest.clone() } else { Value::Null };
    match key {
        "digest" => masked(&meta[key]),
        "changes" => {
            let mut changes = meta[key].clone();
            for change in changes.as_array_mut().into_iter().flatten() {
                if change.get("ref").is_none() {
                    change["digest"] = masked(&change["digest"]);
                }
                if change.get("kind").is_none() {
                    change["kind"] = meta["kind"].clone();
                }
            }
            changes
        }
        _ => meta[key].clone(),
    }
}

#[tokio::test]
async fn the_corpus_is_read_to_the_letter() {
    let Some(corpus) = corpus() else { return };
    let google_keys = google().await;
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let mut read = 0;
    for (dir, kind, provider) in [
        ("github", "github", Provider::GitHub),
        ("gitlab", "gitlab", Provider::GitLab),
        ("harbor", "harbor", Provider::Harbor),
        ("bitbucket", "bitbucket", Provider::Bitbucket),
        ("bitbucket-server", "bitbucket", Provider::Bitbucket),
        ("generic", "generic", Provider::Generic),
        ("generic", "generic-hmac", Provider::GenericHmac),
        // They send GitHub's headers too, and Flux users receive them as such.
        ("gitea", "github", Provider::GitHub),
        ("forgejo", "github", Provider::GitHub),
        ("dockerhub", "dockerhub", Provider::DockerHub),
        ("dockerhub", "generic", Provider::Generic),
        // The same form with a digest and another host.
        ("aliyun-acr", "dockerhub", Provider::DockerHub),
        ("aliyun-acr", "generic-hmac", Provider::GenericHmac),
        ("quay", "quay", Provider::Quay),
        ("quay", "generic", Provider::Generic),
        ("acr", "acr", Provider::Acr),
        ("acr", "harbor", Provider::Harbor),
        ("gcr", "gcr", Provider::Gcr),
        ("nexus", "nexus", Provider::Nexus),
        ("cdevents", "cdevents", Provider::CdEvents),
        ("distribution", "generic", Provider::Generic),
        ("distribution", "generic-hmac", Provider::GenericHmac),
        ("distribution", "harbor", Provider::Harbor),
        ("cloudevents", "generic", Provider::Generic),
        ("ecr", "generic", Provider::Generic),
        ("jfrog", "generic", Provider::Generic),
    ] {
        let settings =
            || ReceiverSettings { google_keys: google_keys.clone(), ..ReceiverSettings::default() };
        for file in files(&corpus.join(dir), ".meta.json") {
            let at = file.display().to_string();
            let meta: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            let body = std::fs::read(at.replace(".meta.json", ".json")).unwrap();
            let world = World::with(settings(), &[SOURCES, &receiver(kind, TOKEN)], now).await;
            let headers = proven(provider, &meta["headers"], &body);
            let (status, answer) = world.post(&path_of(TOKEN), &headers, &body).await;
            assert_eq!(status, 200, "{at}: {answer}");
            let facts = world.facts(&answer).await;
            let mut keys = vec!["kind", "ref", "tag", "digest", "repository"];
            keys.extend(
                ["before", "commit", "repository_urls", "changes", "forced", "release", "git_repository"]
                    .into_iter()
                    .filter(|key| meta.get(*key).is_some()),
            );
            for key in keys {
                assert_eq!(bare(&facts[key]), bare(&expected(&meta, key)), "{at} as {kind}: {key}");
            }
            read += 1;

            // The same with one byte changed, where a signature covers the body.
            let signs = matches!(
                provider,
                Provider::GitHub | Provider::Bitbucket | Provider::GenericHmac | Provider::Nexus
            );
            if signs {
                let mut changed = body.clone();
                changed[body.len() / 2] ^= 1;
                let (status, _) = world.post(&path_of(TOKEN), &headers, &changed).await;
                assert_eq!(status, 401, "{at}");
            }
            // And as a form, as GitHub and Gitea send it when told to.
            if provider == Provider::GitHub {
                let encoded: String = url::form_urlencoded::byte_serialize(&body).collect();
                let form = format!("payload={encoded}").into_bytes();
                let mut recorded = meta["headers"].clone();
                recorded["Content-Type"] = json!("application/x-www-form-urlencoded");
                let other = World::new(&[SOURCES, &receiver(kind, TOKEN)], now).await;
                let headers = proven(provider, &recorded, &form);
                let (status, answer) = other.post(&path_of(TOKEN), &headers, &form).await;
                assert_eq!(status, 200, "{at} as a form: {answer}");
                assert_eq!(other.facts(&answer).await, facts, "{at} as a form");
            }
        }
    }
    assert!(read >= 160, "{read} deliveries read");
}

#[tokio::test]
async fn published_signatures_are_accepted_and_refused_as_published() {
    let Some(corpus) = corpus() else { return };
    let vectors: Value =
        serde_json::from_slice(&std::fs::read(corpus.join("vectors.json")).unwrap()).unwrap();
    let mut tried = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let text = |key: &str| vector[key].as_str().map(str::to_owned);
        let body = match text("body_file") {
            Some(file) => std::fs::read(corpus.join(file)).unwrap(),
            None => text("body").unwrap().into_bytes(),
        };
        let valid = vector["valid"].as_bool().unwrap();
        let (key, signature) = (text("key").unwrap(), text("signature").unwrap());
        let scheme = text("scheme").unwrap();
        // What a Receiver of each fitting type says: without a good proof 401, whatever the body.
        let mut check = async |kind: &str, token: &str, headers: &[(&str, String)], now: Timestamp| {
            let world = World::new(&[SOURCES, &receiver(kind, token)], now).await;
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let (status, _) = world.post(&path_of(token), &headers, &body).await;
            assert_eq!(status != 401, valid, "{name} as {kind}: {status}");
            tried += 1;
            status
        };
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        if scheme == "standard-webhooks-v1" {
            let at: i64 = text("timestamp").unwrap().parse().unwrap();
            let now = Timestamp::from_second(at).unwrap();
            let token = if key.starts_with("whsec_") { key } else { format!("whsec_{key}") };
            let headers = [
                ("webhook-id", text("id").unwrap()),
                ("webhook-timestamp", at.to_string()),
                ("webhook-signature", signature),
            ];
            check("gitlab", &token, &headers, now).await;
        } else if scheme.ends_with("-hex") {
            let status = check("generic-hmac", &key, &[("x-signature", signature.clone())], now).await;
            assert_eq!(status == 200, valid, "{name}");
            check("github", &key, &[(text("header").unwrap().as_str(), signature.clone())], now).await;
            if text("header").unwrap() == "X-Hub-Signature" {
                check("bitbucket", &key, &[("x-hub-signature", signature)], now).await;
            }
        }
    }
    assert!(tried >= 30, "{tried} checks");
}
