//! The registry over HTTP, as clients use it, and the hooks it sends.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::store::digest_of;
use super::*;

struct World {
    registry: Registry,
    client: Client,
    answered: mpsc::Receiver<ImageAnswered>,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl World {
    async fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (sender, answered) = mpsc::channel(16);
        let (registry, tasks) = Registry::create(0, sender).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(tasks.run(stop.clone()));
        let client = Client::builder().no_proxy().build().unwrap();
        Self { registry, client, answered, stop, running }
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.registry.url()))
    }

    async fn status(&self, method: &str, path: &str) -> u16 {
        self.request(method, path).send().await.unwrap().status().as_u16()
    }

    async fn json(&self, path: &str) -> Value {
        self.request("GET", path).send().await.unwrap().json().await.unwrap()
    }

    /// Begins an upload and says where.
    async fn begin(&self, repository: &str) -> String {
        let answer = self.request("POST", &format!("/v2/{repository}/blobs/uploads/")).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_is_pushed_can_be_pulled_by_tag_and_by_digest() {
    let world = World::start().await;
    assert_eq!(world.status("GET", "/v2/").await, 200);
    let Pushed { digest } = world.registry.push("org/app", "1.0.0").await.unwrap();
    for reference in ["1.0.0", digest.as_str()] {
        let path = format!("/v2/org/app/manifests/{reference}");
        let head = world.request("HEAD", &path).send().await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(head.headers()["docker-content-digest"], digest);
        let manifest = world.request("GET", &path).send().await.unwrap();
        assert!(manifest.headers()["content-type"].to_str().unwrap().contains("manifest.v2+json"));
        let bytes = manifest.bytes().await.unwrap();
        assert_eq!(head.headers()["content-length"].to_str().unwrap(), bytes.len().to_string());
        assert_eq!(digest_of(&bytes), digest);
        let layer = serde_json::from_slice::<Value>(&bytes).unwrap()["layers"][0]["digest"].clone();
        let path = format!("/v2/org/app/blobs/{}", layer.as_str().unwrap());
        assert_eq!(world.status("HEAD", &path).await, 200);
        assert_eq!(
            world.request("GET", &path).send().await.unwrap().text().await.unwrap(),
            "org/app:1.0.0\n"
        );
    }
    let other = world.registry.push("org/app", "1.0.1").await.unwrap();
    assert_ne!(other.digest, digest, "two tags are two images");
    world.end().await;
}

#[tokio::test]
async fn tags_are_listed_in_pages() {
    let world = World::start().await;
    for tag in ["1.0.0", "1.0.1", "1.0.2", "latest", "edge"] {
        world.registry.push("org/app", tag).await.unwrap();
    }
    assert_eq!(
        world.json("/v2/org/app/tags/list").await["tags"],
        serde_json::json!(["1.0.0", "1.0.1", "1.0.2", "edge", "latest"])
    );
    let (mut path, mut seen) = ("/v2/org/app/tags/list?n=2".to_owned(), Vec::new());
    loop {
        let answer = world.request("GET", &path).send().await.unwrap();
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page: Value = answer.json().await.unwrap();
        seen.push(page["tags"].as_array().unwrap().len());
        let Some(link) = link else { break };
        path = link.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned();
    }
    assert_eq!(seen, [2, 2, 1]);
    assert_eq!(world.json("/v2/_catalog").await["repositories"], serde_json::json!(["org/app"]));
    assert_eq!(world.status("GET", "/v2/org/none/tags/list").await, 404);
    assert_eq!(world.status("DELETE", "/v2/org/app/manifests/edge").await, 202);
    assert_eq!(world.status("HEAD", "/v2/org/app/manifests/edge").await, 404);
    world.end().await;
}

#[tokio::test]
async fn blobs_come_in_one_piece_or_in_chunks_and_must_be_what_they_are_said_to_be() {
    let world = World::start().await;
    let digest = digest_of(b"hello world");
    // Chunks, the second of which must begin where the first ended.
    let place = world.begin("a").await;
    let patch = |range: &'static str, body: &'static str| {
        world.request("PATCH", &place).header("content-range", range).body(body).send()
    };
    let first = patch("0-5", "hello ").await.unwrap();
    assert_eq!(first.status(), 202);
    assert_eq!(first.headers()["range"], "0-5");
    assert_eq!(patch("0-5", "hello ").await.unwrap().status(), 416);
    assert_eq!(patch("6-10", "world").await.unwrap().status(), 202);
    assert_eq!(world.request("GET", &place).send().await.unwrap().headers()["range"], "0-10");
    let wrong = format!("{place}?digest={}", digest_of(b"other"));
    assert_eq!(world.status("PUT", &wrong).await, 400);
    assert_eq!(world.status("PUT", &format!("{place}?digest={digest}")).await, 201);
    assert_eq!(world.status("PUT", &format!("{place}?digest={digest}")).await, 404, "it is over");
    // In one piece, and from another repository.
    let path = format!("/v2/b/blobs/uploads/?digest={}", digest_of(b"x"));
    assert_eq!(world.request("POST", &path).body("x").send().await.unwrap().status(), 201);
    assert_eq!(world.request("POST", &path).body("y").send().await.unwrap().status(), 400);
    assert_eq!(world.status("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).await, 201);
    // Given up.
    let place = world.begin("a").await;
    assert_eq!(world.status("DELETE", &place).await, 204);
    assert_eq!(world.status("GET", &place).await, 404);
    world.end().await;
}

#[tokio::test]
async fn manifests_must_be_whole_and_names_sound() {
    let world = World::start().await;
    let put = |path: &'static str, body: String| {
        world.request("PUT", path).header("content-type", "application/json").body(body).send()
    };
    for (path, body, code) in [
        ("/v2/a/manifests/1", "{", "MANIFEST_INVALID"),
        ("/v2/a/manifests/1", "{}", "MANIFEST_INVALID"),
        ("/v2/a/manifests/1", r#"{"config":{"digest":"sha256:00"}}"#, "MANIFEST_BLOB_UNKNOWN"),
        ("/v2/a/manifests/1", r#"{"manifests":[{"digest":"sha256:00"}]}"#, "MANIFEST_BLOB_UNKNOWN"),
        ("/v2/a/manifests/-x", "{}", "TAG_INVALID"),
        ("/v2/a/manifests/sha256:00", "{}", "DIGEST_INVALID"),
        ("/v2/A/manifests/1", "{}", "NAME_INVALID"),
        ("/v2/a//b/manifests/1", "{}", "NAME_INVALID"),
    ] {
        let answer = put(path, body.to_owned()).await.unwrap();
        assert_eq!(answer.status(), 400, "{path} {body}");
        let errors: Value = answer.json().await.unwrap();
        assert_eq!(errors["errors"][0]["code"], code, "{path} {body}");
    }
    let large = "x".repeat(store::MANIFEST_BYTES + 1);
    assert_eq!(put("/v2/a/manifests/1", large).await.unwrap().status(), 413);
    for _ in 0..64 {
        world.begin("a").await;
    }
    assert_eq!(world.status("POST", "/v2/a/blobs/uploads/").await, 413, "uploads have a bound");
    assert_eq!(world.status("POST", "/v2/").await, 405);
    assert_eq!(world.status("GET", "/other").await, 405);
    world.end().await;
}

#[tokio::test]
async fn a_tag_sends_the_hook_of_harbor_and_a_digest_sends_none() {
    use crate::demo::sink::Sink;
    let mut world = World::start().await;
    let (sink, url, mut messages) = Sink::open().await.unwrap();
    let taking = tokio::spawn(sink.run(world.stop.clone()));
    world.registry.hook.set(format!("{url}/hook/x"), "t0ken");
    let pushed = world.registry.push("org/app", "1.0.0").await.unwrap();
    let answered = world.answered.recv().await.unwrap();
    assert_eq!((answered.status, answered.image), (200, format!("{}/org/app:1.0.0", world.registry.host)));
    let message = messages.recv().await.unwrap();
    assert_eq!(message.path, "/hook/x");
    assert_eq!(message.headers["authorization"], "t0ken");
    let resource = &message.body["event_data"]["resources"][0];
    assert_eq!(resource["digest"], pushed.digest);
    assert_eq!(resource["resource_url"], format!("{}/org/app:1.0.0", world.registry.host));
    // By its digest alone the same manifest is nothing new.
    let path = format!("/v2/org/app/manifests/{}", pushed.digest);
    let manifest = world.request("GET", &path).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(world.request("PUT", &path).body(manifest).send().await.unwrap().status(), 201);
    world.registry.push("org/app", "1.0.1").await.unwrap();
    assert!(world.answered.recv().await.unwrap().image.ends_with(":1.0.1"), "no hook in between");
    world.end().await;
    taking.await.unwrap().unwrap();
}
