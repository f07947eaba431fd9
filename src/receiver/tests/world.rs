//! A receiver on a real socket over a real store, and a forge's end of the wire.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::objects::Objects;
use crate::queue::{JobOutcome, JobResult, LeasedJob, Queue, QueueSettings};

/// A Receiver of each kind, its Secret, and sources that follow something.
pub(super) const MANIFESTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: flux-system}
stringData: {token: "s3cret"}
---
apiVersion: v1
kind: Secret
metadata: {name: rotating, namespace: flux-system}
stringData: {token: "current", token.next: "coming", token.previous: "going"}
---
apiVersion: v1
kind: Secret
metadata: {name: signing, namespace: flux-system}
stringData: {token: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: github, namespace: flux-system}
spec:
  type: github
  events: [ping, push]
  secretRef: {name: token}
  resources:
    - {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: app}
    - {kind: GitRepository, name: docs}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: rotating, namespace: flux-system}
spec:
  type: github
  secretRef: {name: rotating}
  resources: [{kind: GitRepository, name: app}]
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: gitlab, namespace: flux-system}
spec:
  type: gitlab
  events: [Push Hook, Tag Push Hook]
  secretRef: {name: token}
  resources: [{kind: GitRepository, name: "*", matchLabels: {team: a}}]
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: signing, namespace: flux-system}
spec:
  type: gitlab
  secretRef: {name: signing}
  resources: [{kind: GitRepository, name: app}]
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: harbor, namespace: flux-system}
spec:
  type: harbor
  secretRef: {name: token}
  resources:
    - {kind: ImageRepository, name: app}
    - {kind: HelmRepository, name: charts, apiVersion: source.toolkit.fluxcd.io/v1}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: bitbucket, namespace: flux-system}
spec:
  type: bitbucket
  secretRef: {name: token}
  resources: [{kind: GitRepository, name: app}]
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: hmac, namespace: flux-system}
spec:
  type: generic-hmac
  secretRef: {name: token}
  resources: [{kind: GitRepository, name: app}, {kind: ImageRepository, name: app}]
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: generic, namespace: flux-system}
spec:
  type: generic
  secretRef: {name: token}
  resources: [{kind: GitRepository, name: app}]
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: app, namespace: flux-system, labels: {team: a}}
spec: {interval: 1m, url: "https://github.com/org/app", ref: {branch: main}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: docs, namespace: flux-system, labels: {team: a}}
spec: {interval: 1m, url: "ssh://git@github.com/org/docs", ref: {semver: ">=1.0"}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: app, namespace: flux-system}
spec: {interval: 1m, image: registry.example.com/org/app}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: charts, namespace: flux-system}
spec: {interval: 1m, url: "https://registry.example.com/charts"}
"#;

pub(super) struct World {
    pub(super) objects: Objects,
    pub(super) queue: Queue,
    pub(super) clock: Clock,
    pub(super) state: ReceiverState,
    pub(super) address: std::net::SocketAddr,
    pub(super) dir: tempfile::TempDir,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    writer: JoinHandle<Result<(), crate::queue::StoreError>>,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::with(ReceiverSettings::default(), ServeLimits::default()).await
    }

    pub(super) async fn with(settings: ReceiverSettings, limits: ServeLimits) -> Self {
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let store =
            QueueSettings { busy_timeout: Duration::from_millis(50), ..QueueSettings::following(&clock) };
        let (queue, writer) = Queue::open(dir.path(), store, clock.clone()).await.unwrap();
        let objects = Objects::memory(clock.clone());
        let problems = objects.put_manifests("world.yaml", MANIFESTS).await;
        assert!(problems.is_empty(), "{problems:?}");
        let state = ReceiverState::new(objects.clone(), queue.clone(), clock.clone(), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router(state.clone()), limits, stop.clone()));
        Self { objects, queue, clock, state, address, dir, stop, server, writer: tokio::spawn(writer.run()) }
    }

    /// The path of a Receiver of the manifests.
    pub(super) fn path(&self, receiver: &str) -> String {
        self.state.readiness()[&key(receiver)].as_ref().expect("ready")[0].clone()
    }

    /// Writes raw bytes and reads one answer.
    pub(super) async fn send(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has heard enough closes while we still write.
        drop(stream.write_all(request.as_ref()).await);
        Reply::read(&mut stream).await
    }

    pub(super) async fn claim(&self) -> Vec<LeasedJob> {
        let mut jobs = self.queue.claim(100, "test", Duration::from_secs(60)).await.unwrap();
        jobs.sort_by(|a, b| a.object.cmp(&b.object));
        jobs
    }

    /// Takes every job and does it at once, so that the next delivery finds nothing pending.
    pub(super) async fn work(&self) -> Vec<LeasedJob> {
        let jobs = self.claim().await;
        for job in &jobs {
            self.queue.finish(&job.lease, JobResult::of(JobOutcome::Done)).await.unwrap();
        }
        jobs
    }

    /// What was woken, by name, and the note of the newest delivery.
    pub(super) async fn woken(&self) -> (String, String) {
        let names: Vec<String> =
            self.claim().await.iter().map(|job| format!("{}/{}", job.object.kind, job.object.name)).collect();
        let listed = self.queue.list_deliveries(&DeliveryFilter::default(), 1).await.unwrap();
        (names.join(" "), listed.first().and_then(|one| one.note.clone()).unwrap_or_default())
    }

    pub(super) async fn stored(&self) -> usize {
        self.queue.list_deliveries(&DeliveryFilter::default(), 100_000).await.unwrap().len()
    }

    /// Stops everything; a panic or an error of a task of ours is the test's.
    pub(super) async fn end(self) {
        self.stop.cancel();
        self.server.await.unwrap().unwrap();
        self.queue.close().await.unwrap();
        self.writer.await.unwrap().unwrap();
    }
}

pub(super) fn key(receiver: &str) -> ObjectKey {
    ObjectKey::new(Kind::Receiver, "flux-system", receiver)
}

#[derive(Debug)]
pub(super) struct Reply {
    /// 0 when the connection was closed without an answer.
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let mut buffer = [0_u8; 4096];
        loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                if head.starts_with("http/1.1 100") {
                    bytes.drain(..end + 4);
                    continue;
                }
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                    .unwrap_or(0_usize);
                if bytes.len() >= end + 4 + length {
                    let status = head[9..12].parse().unwrap();
                    return Self { status, head, body: bytes[end + 4..end + 4 + length].to_vec() };
                }
            }
            match stream.read(&mut buffer).await {
                Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
                _ => return Self { status: 0, head: String::new(), body: Vec::new() },
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// A POST with these headers.
pub(super) fn post(path: &str, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nhost: hooks.example.com\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request
}

/// The head of a chunked POST.
pub(super) fn chunked(path: &str, headers: &[(&str, String)]) -> Vec<u8> {
    let request = String::from_utf8(post(path, headers, b"")).unwrap();
    request.replace("content-length: 0\r\n", "transfer-encoding: chunked\r\n").into_bytes()
}

/// A push of `commit` to `git_ref` of `repository`, as GitHub writes it.
pub(super) fn github_push(repository: &str, git_ref: &str, commit: &str) -> Vec<u8> {
    json!({
        "ref": git_ref,
        "before": "1111111111111111111111111111111111111111",
        "after": commit,
        "forced": false,
        "repository": {
            "full_name": repository,
            "clone_url": format!("https://github.com/{repository}.git"),
            "ssh_url": format!("git@github.com:{repository}.git"),
            "html_url": format!("https://github.com/{repository}"),
        },
        "commits": [{"id": commit, "message": "change"}],
    })
    .to_string()
    .into_bytes()
}

/// GitHub's headers for a body, signed.
pub(super) fn github(token: &str, id: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    let mut headers =
        sign(Provider::GitHub, token.as_bytes(), body, id, "2026-03-01T12:00:00Z".parse().unwrap());
    headers.push(("content-type", "application/json".to_owned()));
    headers
}
