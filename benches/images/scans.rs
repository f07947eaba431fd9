//! What a scan costs beside the registry's own list, and how fast a hook becomes a choice.
//!
//! The agent and a registry on loopback in one process. A scan runs from the request by annotation to the status on
//! disk; beside it stands a bare client that reads the same pages and throws them away. A hook runs from its job in the
//! queue to the policy's status on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::Figures;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use sluice::app::{Agent, AgentOptions};
use sluice::model::{Cause, Clock, DeliveryId, Kind, ObjectKey};
use sluice::objects::Objects;
use sluice::queue::{NewJob, Priority, Queue};
use tokio_util::sync::CancellationToken;

/// Tags in one page, as the client asks for.
const PAGE: usize = 1000;

type Tags = Arc<Mutex<BTreeSet<String>>>;

/// A registry with one repository, `bench/app`.
async fn registry(tags: Tags) -> String {
    async fn answer(State(tags): State<Tags>, request: Request) -> Response {
        let uri = request.uri();
        if let Some(tag) = uri.path().strip_prefix("/v2/bench/app/manifests/") {
            let known = tags.lock().unwrap().contains(tag);
            let digest = format!("sha256:{}", "ab".repeat(32));
            return match known && request.method() == Method::HEAD {
                true => {
                    let media = (header::CONTENT_TYPE, "application/vnd.oci.image.index.v1+json".to_owned());
                    ([media, (header::HeaderName::from_static("docker-content-digest"), digest)], "")
                        .into_response()
                }
                false => StatusCode::NOT_FOUND.into_response(),
            };
        }
        if uri.path() != "/v2/bench/app/tags/list" {
            return StatusCode::OK.into_response();
        }
        let query = uri.query().unwrap_or_default();
        let last = query.split('&').find_map(|pair| pair.strip_prefix("last=")).unwrap_or_default();
        let tags = tags.lock().unwrap();
        let mut rest = tags.iter().filter(|tag| tag.as_str() > last);
        let page: Vec<&String> = rest.by_ref().take(PAGE).collect();
        let next = page.last().filter(|_| rest.next().is_some());
        let mut response = axum::Json(json!({ "name": "bench/app", "tags": page })).into_response();
        if let Some(next) = next {
            let link = format!("</v2/bench/app/tags/list?n={PAGE}&last={next}>; rel=\"next\"");
            response.headers_mut().insert(header::LINK, link.parse().unwrap());
        }
        response
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let router = axum::Router::new().fallback(answer).with_state(tags);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    host
}

/// Reads all pages and keeps nothing: the registry's own time.
async fn bare_list(client: &reqwest::Client, host: &str) -> Duration {
    let started = Instant::now();
    let mut url = format!("http://{host}/v2/bench/app/tags/list?n={PAGE}");
    loop {
        let response = client.get(&url).send().await.unwrap();
        let link = response.headers().get(header::LINK).map(|link| link.to_str().unwrap().to_owned());
        response.bytes().await.unwrap();
        let Some(link) = link else { return started.elapsed() };
        url = format!("http://{host}{}", link[1..].split('>').next().unwrap());
    }
}

/// The agent over one ImageRepository and one ImagePolicy.
struct Bench {
    host: String,
    tags: Tags,
    objects: Objects,
    queue: Queue,
    clock: Clock,
    stop: CancellationToken,
    agent: tokio::task::JoinHandle<anyhow::Result<()>>,
}

fn repository() -> ObjectKey {
    ObjectKey::new(Kind::ImageRepository, "bench", "app")
}

fn policy() -> ObjectKey {
    ObjectKey::new(Kind::ImagePolicy, "bench", "app")
}

impl Bench {
    async fn start(dir: &Path, count: usize) -> Self {
        let tags: Tags = Arc::default();
        tags.lock().unwrap().extend((0..count).map(|n| format!("1.{}.{}", n / 1000, n % 1000)));
        let host = registry(Arc::clone(&tags)).await;
        let manifests = dir.join("manifests");
        std::fs::create_dir(&manifests).unwrap();
        let metadata = json!({ "name": "app", "namespace": "bench" });
        for (file, kind, spec) in [
            ("r.json", "ImageRepository", json!({ "image": format!("{host}/bench/app"), "interval": "1h" })),
            (
                "p.json",
                "ImagePolicy",
                json!({ "imageRepositoryRef": { "name": "app" }, "policy": { "semver": { "range": ">=1" } } }),
            ),
        ] {
            let api_version = "image.toolkit.fluxcd.io/v1";
            let object =
                json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec });
            std::fs::write(manifests.join(file).with_extension("yaml"), object.to_string()).unwrap();
        }
        let options = AgentOptions::new(manifests, dir.join("state"));
        let clock = options.clock.clone();
        let agent = Agent::start(options).await.unwrap();
        let (objects, queue) = (agent.objects.clone(), agent.queue.clone());
        let stop = CancellationToken::new();
        let agent = tokio::spawn(agent.run(stop.clone().cancelled_owned()));
        Self { host, tags, objects, queue, clock, stop, agent }
    }

    async fn until(&self, key: &ObjectKey, fits: impl Fn(&Value) -> bool) {
        let mut changes = self.objects.subscribe();
        while !self.objects.get(key).is_some_and(|object| fits(&object.status_json())) {
            changes.recv().await.ok();
        }
    }

    /// From the request to the status.
    async fn scan(&self) -> Duration {
        let asked = uuid::Uuid::new_v4().to_string();
        let started = Instant::now();
        let annotation = BTreeMap::from([("reconcile.fluxcd.io/requestedAt".to_owned(), asked.clone())]);
        self.objects.annotate(&repository(), annotation).await.unwrap();
        self.until(&repository(), |status| status["lastHandledReconcileAt"] == asked.as_str()).await;
        started.elapsed()
    }

    /// From the hook's job to the policy's choice.
    async fn hook(&self, tag: String) -> Duration {
        self.tags.lock().unwrap().insert(tag.clone());
        let started = Instant::now();
        let job = NewJob {
            object: repository(),
            cause: Cause::delivery(DeliveryId::generate()),
            due_at: self.clock.now(),
            payload: json!({ "images": [{ "repository": "bench/app", "tag": tag }] }),
            priority: Priority::Push,
        };
        self.queue.enqueue(vec![job]).await.unwrap();
        self.until(&policy(), |status| status["latestRef"]["tag"] == tag.as_str()).await;
        started.elapsed()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.agent.await.unwrap().unwrap();
    }
}

/// A scan beside the registry's own list, then hooks for tags that are new.
pub(crate) async fn scans_and_hooks(count: usize, runs: usize) {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path(), count).await;
    bench.until(&policy(), |status| !status["latestRef"].is_null()).await;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let (mut bare, mut scans, mut hooks) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs {
        bare.push(bare_list(&client, &bench.host).await);
        scans.push(bench.scan().await);
        hooks.push(bench.hook(format!("2.0.{run}")).await);
    }
    println!("{count} tags in pages of {PAGE}");
    println!("  the registry's own list: {}", Figures::of(bare));
    println!("  a scan, to its status:   {}", Figures::of(scans));
    println!("  a hook, to the choice:   {}", Figures::of(hooks));
    bench.stop().await;
}
