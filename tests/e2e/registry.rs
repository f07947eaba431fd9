//! A real registry as the sender: Debian's `docker-registry` with its notifications pointed at a hook, and images pushed
//! by a real client.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sluice::demo::registry::Registry;
use sluice::model::{Clock, Kind, ObjectKey};
use sluice::objects::Objects;
use sluice::queue::{DeliveryFilter, JobOutcome, JobResult, LeasedJob, Queue, QueueSettings};
use sluice::receiver::{ReceiverSettings, ReceiverState, ServeLimits, router, serve};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::patiently;
use crate::tools::output;

/// A running `docker-registry`; it ends with this value.
pub(crate) struct DockerRegistry {
    /// `127.0.0.1:<port>`.
    pub(crate) host: String,
    _process: Child,
    _log: JoinSet<()>,
    _dir: TempDir,
}

impl DockerRegistry {
    /// Starts one on a free port that reports everything to `hook_url`, with this `Authorization` header if there is one.
    pub(crate) async fn start(hook_url: &str, authorization: Option<&str>) -> Self {
        let dir = TempDir::new().unwrap();
        let headers = authorization.map_or_else(|| json!({}), |value| json!({ "Authorization": [value] }));
        let config = json!({
            "version": 0.1,
            "log": { "level": "info" },
            "storage": { "filesystem": { "rootdirectory": dir.path().join("data") }, "delete": { "enabled": true } },
            "http": { "addr": "127.0.0.1:0" },
            "notifications": { "endpoints": [{
                "name": "sluice", "url": hook_url, "headers": headers,
                "timeout": "5s", "threshold": 1, "backoff": "100ms",
            }] },
        });
        // YAML is a superset of JSON.
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let binary =
            std::env::var_os("DOCKER_REGISTRY").expect("DOCKER_REGISTRY names the registry's binary");
        let mut process = Command::new(binary)
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        let host = patiently("docker-registry to listen", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let address = rest.chars().take_while(|c| !matches!(c, '"' | ',' | ' '));
                    return address.collect::<String>();
                }
                log.push(line);
            }
            panic!("docker-registry ended:\n{}", log.join("\n"))
        })
        .await;
        // The pipe is read to its end, so that the registry never waits for us.
        let mut reading = JoinSet::new();
        reading.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { host, _process: process, _log: reading, _dir: dir }
    }

    /// Pushes an image of one small file with a real client and returns its digest.
    pub(crate) async fn push(&self, repository: &str, tag: &str) -> String {
        crane_push(&self.host, repository, tag).await
    }
}

fn crane() -> Command {
    let mut command = Command::new(std::env::var_os("CRANE").expect("CRANE names the crane binary"));
    command.env("DOCKER_CONFIG", "/nonexistent").kill_on_drop(true);
    command
}

/// Pushes an image of one small file to the registry at `host` and returns its digest.
async fn crane_push(host: &str, repository: &str, tag: &str) -> String {
    let dir = TempDir::new().unwrap();
    let layer = dir.path().join("layer.tar");
    let mut archive = tar::Builder::new(std::fs::File::create(&layer).unwrap());
    let content = format!("{repository}:{tag}\n");
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, Path::new("version"), content.as_bytes()).unwrap();
    archive.finish().unwrap();
    let image = format!("{host}/{repository}:{tag}");
    output(crane().args(["append", "--new_tag", &image, "--new_layer"]).arg(&layer)).await;
    output(crane().args(["digest", &image])).await.trim().to_owned()
}

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: apps}
stringData: {token: "Bearer s3cret"}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: by-path, namespace: apps}
spec: {type: generic, secretRef: {name: token}, resources: [{kind: ImageRepository, name: web}, {kind: ImageRepository, name: other}]}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: by-header, namespace: apps}
spec: {type: harbor, secretRef: {name: token}, resources: [{kind: ImageRepository, name: web}, {kind: ImageRepository, name: other}]}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web, namespace: apps}
spec: {interval: 1m, image: registry.inner.svc/org/web}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: other, namespace: apps}
spec: {interval: 1m, image: registry.inner.svc/org/other}
"#;

/// A receiver over a store, and nobody who works on its jobs.
struct Inbox {
    queue: Queue,
    state: ReceiverState,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _dir: TempDir,
}

impl Inbox {
    async fn start() -> Self {
        let (dir, stop, mut tasks) = (TempDir::new().unwrap(), CancellationToken::new(), JoinSet::new());
        let (queue, writer) =
            Queue::open(dir.path(), QueueSettings::default(), Clock::system()).await.unwrap();
        tasks.spawn(async move { writer.run().await.unwrap() });
        let objects = Objects::memory(Clock::system());
        assert!(objects.put_manifests("world.yaml", MANIFESTS).await.is_empty());
        let state = ReceiverState::new(objects, queue.clone(), Clock::system(), ReceiverSettings::default());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve(listener, router(state.clone()), ServeLimits::default(), stop.clone());
        tasks.spawn(async move { serving.await.unwrap() });
        Self { queue, state, address, stop, tasks, _dir: dir }
    }

    fn hook(&self, receiver: &str) -> String {
        let key = ObjectKey::new(Kind::Receiver, "apps", receiver);
        let path = self.state.readiness()[&key].clone().unwrap().remove(0);
        format!("http://{}{path}", self.address)
    }

    /// The next job, which counts as done.
    async fn woken(&self) -> LeasedJob {
        let next = async {
            loop {
                if let Some(job) = self.queue.claim(1, "test", Duration::from_secs(60)).await.unwrap().pop() {
                    self.queue.finish(&job.lease, JobResult::of(JobOutcome::Done)).await.unwrap();
                    return job;
                }
                self.queue.wait().await;
            }
        };
        patiently("a job", next).await
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.queue.close().await.unwrap();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_debians_registry_wakes_the_image_with_its_tag_and_digest() {
    if std::env::var_os("SLUICE_E2E").is_none() {
        eprintln!("SKIPPED: SLUICE_E2E is not set\nhint: scripts/test builds what is needed and runs this");
        return;
    }
    let inbox = Inbox::start().await;
    for (receiver, authorization) in [("by-path", None), ("by-header", Some("Bearer s3cret"))] {
        let registry = DockerRegistry::start(&inbox.hook(receiver), authorization).await;
        for tag in ["1.0.0", "1.0.1"] {
            let digest = registry.push("org/web", tag).await;
            // The registry has no other name than its address; the path decides, and `other` sleeps on.
            let job = inbox.woken().await;
            assert_eq!(job.object, ObjectKey::new(Kind::ImageRepository, "apps", "web"), "{receiver}");
            let repository = format!("{}/org/web", registry.host);
            let pushed = json!({ "repository": repository, "tag": tag, "digest": digest });
            assert_eq!(job.payload, json!({ "images": [pushed] }), "{receiver}");
        }
        registry.push("org/unwatched", "1.0.0").await;
        registry.push("org/other", "1.0.0").await;
        assert_eq!(inbox.woken().await.object.name, "other", "{receiver}");
    }
    let kept = inbox.queue.list_deliveries(&DeliveryFilter::default(), 1000).await.unwrap();
    let noted =
        |text: &str| kept.iter().any(|one| one.note.as_deref().is_some_and(|note| note.contains(text)));
    assert!(noted("nothing was pushed or deleted"), "layers and pulls are reported, too");
    assert!(noted("no source watches image repository"), "{kept:?}");
    assert!(kept.iter().all(|one| one.sender_id.is_some()), "every envelope has one event with an id");
    let rejected = ObjectKey::new(Kind::Receiver, "apps", "by-header");
    assert!(inbox.state.rejections(&rejected).is_empty());
    inbox.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_a_wrong_header_is_refused_each_time_it_tries() {
    if std::env::var_os("SLUICE_E2E").is_none() {
        eprintln!("SKIPPED: SLUICE_E2E is not set\nhint: scripts/test builds what is needed and runs this");
        return;
    }
    let inbox = Inbox::start().await;
    let registry = DockerRegistry::start(&inbox.hook("by-header"), Some("Bearer wrong")).await;
    registry.push("org/web", "1.0.0").await;
    let key = ObjectKey::new(Kind::Receiver, "apps", "by-header");
    let refused = async {
        while inbox.state.rejections(&key).len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    patiently("the registry to try twice", refused).await;
    let reasons: Vec<String> = inbox.state.rejections(&key).into_iter().map(|one| one.reason).collect();
    assert!(reasons.iter().all(|reason| reason == "the token is wrong"), "{reasons:?}");
    let kept: Vec<Value> = inbox
        .queue
        .list_deliveries(&DeliveryFilter::default(), 10)
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.facts)
        .collect();
    assert!(kept.is_empty(), "{kept:?}");
    inbox.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_client_pushes_to_the_demos_registry_and_finds_its_image_there() {
    if std::env::var_os("SLUICE_E2E").is_none() {
        eprintln!("SKIPPED: SLUICE_E2E is not set\nhint: scripts/test builds what is needed and runs this");
        return;
    }
    rustls::crypto::ring::default_provider().install_default().ok();
    let inbox = Inbox::start().await;
    let (sender, mut answered) = tokio::sync::mpsc::channel(16);
    let (registry, tasks) = Registry::create(0, sender).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(tasks.run(stop.clone()));
    registry.hook.set(inbox.hook("by-header"), "Bearer s3cret");
    let digest = crane_push(&registry.host, "org/web", "1.0.1").await;
    assert_eq!(patiently("the hook to be answered", answered.recv()).await.unwrap().status, 200);
    let pushed =
        json!({ "repository": format!("{}/org/web", registry.host), "tag": "1.0.1", "digest": digest });
    assert_eq!(inbox.woken().await.payload, json!({ "images": [pushed] }));
    let repository = format!("{}/org/web", registry.host);
    assert_eq!(output(crane().args(["ls", &repository])).await.trim(), "1.0.1");
    output(crane().args(["validate", "--remote", &format!("{repository}:1.0.1")])).await;
    output(crane().args(["tag", &format!("{repository}:1.0.1"), "latest"])).await;
    assert_eq!(output(crane().args(["ls", &repository])).await.trim(), "1.0.1\nlatest");
    output(crane().args(["delete", &format!("{repository}@{digest}")])).await;
    assert_eq!(output(crane().args(["ls", &repository])).await.trim(), "");
    stop.cancel();
    running.await.unwrap().unwrap();
    inbox.end().await;
}
