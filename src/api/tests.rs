//! The API over a real socket: objects in memory, a store in a directory that goes with the test.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::model::{Cause, CauseKind, Kind, Revision};
use crate::queue::{NewDelivery, NewJob, QueueSettings, Step, StepOutcome};

const MANIFESTS: &str = r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: app, namespace: apps}
spec: {interval: 1m, url: "http://git.example/app"}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: apps}
spec:
  interval: 1m
  chart: {spec: {chart: ./chart, sourceRef: {kind: GitRepository, name: app}}}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: push, namespace: apps}
spec: {type: github, secretRef: {name: token}, resources: [{kind: GitRepository, name: app}]}
"#;

struct World {
    state: ApiState,
    _dir: tempfile::TempDir,
    _writer: tokio::task::JoinHandle<()>,
}

async fn world(token: Option<&str>) -> World {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual("2026-11-24T10:00:00Z".parse().unwrap());
    let (queue, writer) =
        Queue::open(dir.path(), QueueSettings::following(&clock), clock.clone()).await.unwrap();
    let writer = tokio::spawn(async move { drop(writer.run().await) });
    let objects = Objects::memory(clock.clone());
    assert_eq!(objects.put_manifests("all.yaml", MANIFESTS).await, []);
    let state = ApiState::new(ApiParts {
        queue,
        objects,
        clock,
        token: token.map(|token| SecretString::from(token.to_owned())),
        public_url: Some("https://hooks.example/".parse().unwrap()),
        callbacks: Callbacks {
            diff: Some(Arc::new(|request: DiffRequest| {
                Box::pin(async move {
                    assert_eq!(request.revision.as_deref(), Some("8b1a995"));
                    Ok(DiffReport::default())
                })
            })),
            replay: Arc::new(|_| Box::pin(async { Ok(Replayed { objects: Vec::new(), note: None }) })),
            reach: Arc::new(|()| Box::pin(async { Ok(Vec::new()) })),
            rejected: Arc::new(Vec::new),
            hook_path: Arc::new(|key| Some(format!("/hook/{}", key.name))),
            static_problem: Arc::new(|object| {
                (object.kind() == Kind::Provider).then(|| "there is no sender for it".to_owned())
            }),
        },
    });
    World { state, _dir: dir, _writer: writer }
}

impl World {
    async fn send(&self, door: Door, request: Request<Body>) -> (StatusCode, Value) {
        let response = routes(self.state.clone(), door).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(format!("/api/v1{path}")).body(Body::empty()).unwrap();
        self.send(Door::Socket, request).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/v1{path}")).body(Body::from(body.to_string())).unwrap();
        self.send(Door::Socket, request).await
    }

    async fn set_status(&self, kind: Kind, name: &str, status: Value) {
        let key = ObjectKey::new(kind, "apps", name);
        let uid = self.state.objects.get(&key).unwrap().metadata().uid.clone();
        self.state.objects.patch_status(&key, &uid, status).await.unwrap();
    }
}

fn ready(status: &str, extra: Value) -> Value {
    let mut all = json!({"observedGeneration": 1, "conditions": [{
        "type": "Ready", "status": status, "reason": "R", "message": "m",
        "lastTransitionTime": "2026-11-24T10:00:00Z", "observedGeneration": 1}]});
    all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    all
}

#[tokio::test]
async fn objects_are_listed_and_shown() {
    let world = world(None).await;
    let (status, list) = world.get("/objects?kind=hr").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&list["kind"], &list["items"][0]["metadata"]["name"]), (&json!("List"), &json!("web")));
    assert_eq!(world.get("/objects?namespace=other").await.1["items"], json!([]));
    assert_eq!(world.get("/objects/GitRepository/apps/app").await.1["spec"]["url"], "http://git.example/app");
    let (status, error) = world.get("/objects/HelmRelease/other/web").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        error,
        json!({"error": "`HelmRelease/other/web` does not exist", "hint": "there is one in namespace `apps`"})
    );
    assert_eq!(world.get("/objects?kind=pod").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.get("/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.post("/objects", json!({})).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn s04_an_invalid_manifest_is_shown_as_stalled() {
    let world = world(None).await;
    let bad = "\n---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: bad, namespace: apps}\nspec: {interval: 1m, instal: {}}\n";
    let edited = MANIFESTS.replace("spec: {interval: 1m, url", "spec: {interval: 5, url");
    world.set_status(Kind::GitRepository, "app", ready("True", json!({}))).await;
    world.state.objects.put_manifests("all.yaml", &format!("{edited}{bad}")).await;
    let condition = |item: &Value, kind: &str| -> Value {
        let list = item["status"]["conditions"].as_array().unwrap();
        list.iter().find(|condition| condition["type"] == kind).unwrap().clone()
    };
    // One that never was valid: only its name is known.
    let list = world.get("/objects?kind=hr&namespace=apps").await.1;
    let names: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|it| &it["metadata"]["name"]).collect();
    assert_eq!(names, ["bad", "web"]);
    let item = &list["items"][0];
    assert_eq!(item["apiVersion"], "helm.toolkit.fluxcd.io/v2");
    for (kind, status) in [("Ready", "False"), ("Stalled", "True")] {
        let condition = condition(item, kind);
        assert_eq!((&condition["status"], &condition["reason"]), (&json!(status), &json!("InvalidManifest")));
        let message = condition["message"].as_str().unwrap();
        assert!(message.starts_with("all.yaml:") && message.contains("spec.instal"), "{message}");
    }
    assert_eq!(world.get("/objects/hr/apps/bad").await.1, *item);
    let story = world.get("/explain/HelmRelease/apps/bad").await.1;
    assert_eq!(story["objects"][0]["ready"], "False", "{story}");
    // One that was valid before: that stays in force, and is shown with what is wrong now.
    let source = world.get("/objects/GitRepository/apps/app").await.1;
    assert_eq!(source["spec"]["interval"], "1m0s");
    assert_eq!(condition(&source, "Ready")["status"], "False");
    let message = condition(&source, "Stalled")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("spec.interval") && message.ends_with("stays in force"), "{message}");
    let stood = world.state.objects.get(&ObjectKey::new(Kind::GitRepository, "apps", "app")).unwrap();
    assert!(flux_api::conditions::is_ready(stood.conditions()), "what others go by is untouched");
    assert_eq!(
        world.get("/wait?kind=GitRepository&namespace=apps&name=app&timeout=0").await.1["failed"],
        true
    );
    assert_eq!(world.get("/explain/GitRepository/apps/app").await.1["objects"][0]["ready"], "False");
    // Put right again.
    assert_eq!(world.state.objects.put_manifests("all.yaml", MANIFESTS).await, []);
    assert_eq!(world.get("/objects/hr/apps/bad").await.0, StatusCode::NOT_FOUND);
    let source = world.get("/objects/GitRepository/apps/app").await.1;
    assert_eq!(condition(&source, "Ready")["status"], "True");
}

#[tokio::test]
async fn a_provider_that_cannot_send_is_shown_as_not_ready() {
    let world = world(None).await;
    let provider = "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Provider\nmetadata: {name: ci, namespace: apps}\nspec: {type: github, address: https://github.com/a/b}\n";
    assert_eq!(world.state.objects.put_manifests("ci.yaml", provider).await, []);
    let shown = world.get("/objects/Provider/apps/ci").await.1;
    let conditions = shown["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["message"]), (&json!("False"), &json!("there is no sender for it")));
    assert_eq!(world.get("/wait?kind=Provider&namespace=apps&name=ci").await.1["failed"], true);
}

#[tokio::test]
async fn a_request_is_annotated_and_its_sources_first() {
    let world = world(None).await;
    assert_eq!(
        world.get("/objects/hr/apps/web/sources").await.1,
        json!([{"kind": "GitRepository", "namespace": "apps", "name": "app"}])
    );
    let (status, requested) =
        world.post("/objects/hr/apps/web/reconcile", json!({"with_source": true, "force": true})).await;
    assert_eq!(status, StatusCode::OK, "{requested}");
    assert_eq!(requested["objects"][0]["kind"], "GitRepository");
    assert_eq!(requested["objects"][1]["kind"], "HelmRelease");
    let release = world.get("/objects/hr/apps/web").await.1;
    let at = requested["requested_at"].as_str().unwrap();
    assert_eq!(release["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"], at);
    assert_eq!(release["metadata"]["annotations"]["reconcile.fluxcd.io/forceAt"], at);
    let source = world.get("/objects/GitRepository/apps/app").await.1;
    assert_eq!(source["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"], at);
    assert_eq!(source["metadata"]["annotations"]["reconcile.fluxcd.io/forceAt"], Value::Null);
    let bad = world.post("/objects/GitRepository/apps/app/reconcile", json!({"force": true})).await;
    assert_eq!(bad.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        world.post("/objects/hr/apps/web/reconcile", json!({"fast": 1})).await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_suspended_object_is_left_alone_until_resumed() {
    let world = world(None).await;
    assert_eq!(world.post("/objects/hr/apps/web/suspend", json!(null)).await.1["suspended"], true);
    assert_eq!(world.get("/objects/hr/apps/web").await.1["spec"]["suspend"], true);
    let (status, error) = world.post("/objects/hr/apps/web/reconcile", json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(error["hint"], "`sluice resume hr web -n apps` first");
    assert_eq!(world.post("/objects/hr/apps/web/resume", json!(null)).await.1["suspended"], false);
    assert_eq!(world.post("/objects/hr/apps/web/reconcile", json!({})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_suspended_source_is_not_passed_over() {
    let world = world(None).await;
    world.post("/objects/GitRepository/apps/app/suspend", json!(null)).await;
    let sources = world.get("/objects/hr/apps/web/sources").await.1;
    assert_eq!(sources[0]["name"], "app", "the command asks for it by itself, and is refused");
    let (status, error) = world.post("/objects/hr/apps/web/reconcile", json!({"with_source": true})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(error["error"], "`GitRepository/apps/app` is suspended");
    assert_eq!(error["hint"], "`sluice resume gitrepo app -n apps` first");
    let release = world.get("/objects/hr/apps/web").await.1;
    assert_eq!(release["metadata"]["annotations"], Value::Null, "nothing was asked for by halves");
    assert_eq!(world.post("/objects/hr/apps/web/reconcile", json!({})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_wait_ends_when_the_last_cluster_has_the_commit() {
    let world = world(None).await;
    let commit = "8b1a9953c4611296a827abf8c47804d7e6a5b2f0";
    let path = format!("/wait?kind=GitRepository&namespace=apps&name=app&revision={commit}&timeout=20");
    let artifact = |commit: &str| json!({"artifact": {"path": "p", "url": "u", "revision": format!("master@sha1:{commit}"), "digest": "sha256:0"}});
    let now = format!("{path}&timeout=0").replace("&timeout=20", "");
    assert_eq!(world.get(&now).await.1["done"], false);
    let waiting = world.get(&path);
    let working = async {
        world.set_status(Kind::GitRepository, "app", ready("True", artifact(commit))).await;
        let old = json!({"history": [{"digest": "d", "name": "web", "namespace": "apps", "version": 1, "status": "deployed",
            "chartName": "c", "chartVersion": "1.0.0+000000000000", "configDigest": "c"}]});
        world.set_status(Kind::HelmRelease, "web", ready("True", old.clone())).await;
        tokio::task::yield_now().await;
        let mut new = old;
        new["history"][0]["chartVersion"] = json!("1.0.0+8b1a9953c461");
        world.set_status(Kind::HelmRelease, "web", ready("True", new)).await;
    };
    let ((status, report), ()) = tokio::join!(waiting, working);
    assert_eq!(status, StatusCode::OK, "{report}");
    assert_eq!(report["done"], true, "{report}");
    assert_eq!(report["members"][1]["object"]["name"], "web");
    assert_eq!(report["members"][1]["state"], "ready");
}

#[tokio::test]
async fn a_wait_ends_at_once_when_a_suspended_release_does_not_have_the_commit() {
    let world = world(None).await;
    let commit = "8b1a9953c4611296a827abf8c47804d7e6a5b2f0";
    let artifact = json!({"artifact": {"path": "p", "url": "u", "revision": format!("master@sha1:{commit}"), "digest": "sha256:0"}});
    world.set_status(Kind::GitRepository, "app", ready("True", artifact)).await;
    let at = |version: &str| {
        ready(
            "True",
            json!({"history": [{"digest": "d", "name": "web", "namespace": "apps", "version": 1,
            "status": "deployed", "chartName": "c", "chartVersion": version, "configDigest": "c"}]}),
        )
    };
    world.set_status(Kind::HelmRelease, "web", at("1.0.0+000000000000")).await;
    world.post("/objects/hr/apps/web/suspend", json!(null)).await;
    let path = format!("/wait?kind=GitRepository&namespace=apps&name=app&revision={commit}");
    let report = world.get(&path).await.1;
    assert_eq!((&report["done"], &report["failed"]), (&json!(false), &json!(true)), "{report}");
    assert_eq!(report["members"][0]["state"], "ready");
    assert_eq!(report["members"][1]["cluster"], "in-cluster");
    assert_eq!(report["members"][1]["message"], "`HelmRelease/apps/web` is suspended and does not have it");
    let elsewhere = world.get("/wait?kind=hr&namespace=apps&name=web&revision=deadbeefdeadbeef").await.1;
    assert_eq!(elsewhere["failed"], true, "{elsewhere}");
    // One that has it is in nobody's way.
    world.set_status(Kind::HelmRelease, "web", at("1.0.0+8b1a9953c461")).await;
    let report = world.get(&path).await.1;
    assert_eq!((&report["done"], &report["failed"]), (&json!(true), &json!(false)), "{report}");
    assert_eq!(report["members"][1]["state"], "ready");
}

#[tokio::test]
async fn a_story_is_found_by_delivery_commit_and_object() {
    let world = world(None).await;
    let queue = &world.state.queue;
    let object = ObjectKey::new(Kind::GitRepository, "apps", "app");
    let commit = "8b1a9953c4611296a827abf8c47804d7e6a5b2f0";
    let id = DeliveryId::new("0192f0c1-1111-7000-8000-000000000001");
    let now = world.state.clock.now();
    let delivery = NewDelivery {
        id: id.clone(),
        receiver: ObjectKey::new(Kind::Receiver, "apps", "push"),
        provider: "github".to_owned(),
        event: "push".to_owned(),
        sender_id: Some("72d3162e".to_owned()),
        dedup_key: "72d3162e".to_owned(),
        dedup_until: now,
        received_at: now,
        headers: vec![("user-agent".to_owned(), "GitHub-Hookshot".to_owned())],
        body: Bytes::from_static(b"{}"),
        body_size: 2,
        facts: json!({"commit": commit, "ref": "refs/heads/master"}),
        note: None,
    };
    let job = NewJob::now(object.clone(), Cause::delivery(id.clone()), now);
    queue.record_delivery(delivery, vec![job]).await.unwrap();
    let claimed = queue.claim(1, "w", Duration::from_secs(30)).await.unwrap().remove(0);
    queue
        .record_steps(vec![Step {
            job: Some(claimed.id.clone()),
            delivery: None,
            object: object.clone(),
            step: "fetch".to_owned(),
            cluster: None,
            revision: Some(Revision::new(format!("master@sha1:{commit}"))),
            started_at: now,
            duration: Duration::from_millis(380),
            outcome: StepOutcome::Done,
            detail: "fetched".to_owned(),
        }])
        .await
        .unwrap();
    for what in ["0192f0c1", "72d3162e", &commit[..8], "GitRepository/apps/app"] {
        let (status, story) = world.get(&format!("/explain/{what}")).await;
        assert_eq!(status, StatusCode::OK, "{what}: {story}");
        assert_eq!(story["deliveries"][0]["id"], id.as_str(), "{what}");
        assert_eq!(story["jobs"][0]["state"], "running", "{what}");
        assert_eq!(story["jobs"][0]["causes"][0]["kind"], CauseKind::Delivery.as_str(), "{what}");
        assert_eq!(story["steps"][0]["duration_us"], 380_000, "{what}");
        assert_eq!(story["objects"][0]["object"]["name"], "app", "{what}");
    }
    assert_eq!(world.get("/explain/ffffffff").await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/explain/f").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.get("/deliveries").await.1[0]["jobs"], json!({"running": 1}));
    let shown = world.get("/deliveries/0192").await.1;
    assert_eq!((&shown["body"], &shown["story"]["steps"][0]["step"]), (&json!("{}"), &json!("fetch")));
}

#[tokio::test]
async fn hooks_have_their_whole_address() {
    let world = world(None).await;
    let hooks = world.get("/hooks").await.1;
    assert_eq!(hooks[0]["url"], "https://hooks.example/hook/push");
    assert_eq!(hooks[0]["provider"], "github");
    assert_eq!(world.post("/diff", json!({"revision": "8b1a995"})).await.0, StatusCode::OK);
    let source = json!({"objects": [{"kind": "GitRepository", "namespace": "apps", "name": "app"}]});
    assert_eq!(world.post("/diff", source).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_token_is_asked_for_over_tcp_only() {
    let world = world(Some("0123456789abcdef")).await;
    let ask = |door: Door, authorization: &'static str| {
        let request = Request::get("/api/v1/objects").header(header::HOST, "sluice.example");
        let request = if authorization.is_empty() {
            request
        } else {
            request.header(header::AUTHORIZATION, authorization)
        };
        world.send(door, request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask(Door::Network, "").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(Door::Network, "Bearer 0123456789abcdeF").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(Door::Network, "Bearer 0123456789abcdef").await.0, StatusCode::OK);
    assert_eq!(ask(Door::Socket, "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_web_pages_are_turned_away() {
    let world = world(None).await;
    let ask = |host: &'static str, origin: Option<&'static str>| {
        let mut request = Request::post("/api/v1/objects/hr/apps/web/suspend").header(header::HOST, host);
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        world.send(Door::Network, request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("evil.example:9280", None).await.0, StatusCode::FORBIDDEN);
    assert_eq!(ask("127.0.0.1:9280", Some("http://evil.example")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(ask("127.0.0.1:9280", Some("http://127.0.0.1:9280")).await.0, StatusCode::OK);
    assert_eq!(ask("localhost:9280", None).await.0, StatusCode::OK);
    assert_eq!(ask("[::1]:9280", None).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_socket_is_its_owners_and_a_stale_one_is_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world(None).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = bind_socket(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(bind_socket(&path).await, Err(ListenError::InUse { .. })));
    let shutdown = CancellationToken::new();
    let serving = serve_socket(listener, routes(world.state.clone(), Door::Socket), shutdown.clone());
    let asking = async {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().unix_socket(path.clone()).build().unwrap();
        let answer = client.get("http://localhost/api/v1/version").send().await.unwrap();
        let answer: BTreeMap<String, String> = answer.json().await.unwrap();
        // A stream under way does not hold up the end.
        let stream = client.get("http://localhost/api/v1/stream").send().await.unwrap();
        shutdown.cancel();
        (answer, stream)
    };
    let (served, (answer, _stream)) = tokio::join!(serving, asking);
    served.unwrap();
    assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
    assert!(!path.exists());
}
