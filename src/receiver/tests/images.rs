//! Registries' reports: whom they wake, with which hint, and whom they leave alone.

use super::*;

const IMAGES: &str = r#"
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: registry, namespace: flux-system}
spec:
  type: generic
  secretRef: {name: token}
  resources:
    - {kind: ImageRepository, name: "*", matchLabels: {team: a}}
    - {kind: OCIRepository, name: chart}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: hub, namespace: flux-system}
spec:
  type: dockerhub
  secretRef: {name: token}
  resources: [{kind: ImageRepository, name: "*", matchLabels: {team: a}}]
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web, namespace: flux-system, labels: {team: a}}
spec: {interval: 1m, image: registry.example.com/org/web}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web-elsewhere, namespace: flux-system, labels: {team: a}}
spec: {interval: 1m, image: mirror.example.com/org/web}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: inner, namespace: flux-system, labels: {team: a}}
spec: {interval: 1m, image: "registry.registry.svc:5000/org/inner"}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: official, namespace: flux-system, labels: {team: a}}
spec: {interval: 1m, image: nginx}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: chart, namespace: flux-system}
spec: {interval: 1m, url: "oci://registry.example.com/charts/web", ref: {tag: 1.0.0}}
"#;

fn event(action: &str, repository: &str, tag: &str) -> Value {
    let digest = format!("sha256:{}", "ab".repeat(32));
    json!({"id": "1", "action": action, "request": {"host": "registry.example.com"}, "target": {
        "repository": repository, "tag": tag, "digest": digest,
        "url": format!("https://registry.example.com/v2/{repository}/manifests/{digest}")}})
}

async fn world() -> World {
    let world = World::start().await;
    assert!(world.objects.put_manifests("images.yaml", IMAGES).await.is_empty());
    world
}

/// Posts an envelope and says whom it woke, with the tags of their hints, and the note.
async fn report(world: &World, mut events: Vec<Value>) -> (Vec<String>, String) {
    // Each envelope is another one.
    let id = world.stored().await.to_string();
    events[0]["id"] = id.as_str().into();
    let body = json!({ "events": events }).to_string();
    let headers = [("content-type", "application/vnd.docker.distribution.events.v2+json".to_owned())];
    let reply = world.send(post(&world.path("registry"), &headers, body.as_bytes())).await;
    assert_eq!(reply.status, 200);
    (woken(world).await, reply.json()["note"].as_str().unwrap_or_default().to_owned())
}

async fn woken(world: &World) -> Vec<String> {
    let shown = |job: &crate::queue::LeasedJob| {
        let tags = job.payload["images"].as_array().into_iter().flatten();
        let tags: Vec<&str> = tags.map(|one| one["tag"].as_str().unwrap_or("?")).collect();
        format!("{}:{}", job.object.name, tags.join(","))
    };
    world.work().await.iter().map(shown).collect()
}

#[tokio::test]
async fn only_who_watches_the_image_is_woken_with_every_tag() {
    let world = world().await;
    let (woken, note) = report(&world, vec![event("push", "org/web", "1.0.1")]).await;
    assert_eq!((woken, note.as_str()), (vec!["web:1.0.1".to_owned()], ""));
    let several = vec![
        event("push", "org/web", "1.0.2"),
        event("push", "org/web", "latest"),
        event("push", "org/web", "latest"),
        event("push", "charts/web", "2.0.0"),
        event("pull", "org/inner", "1.0.0"),
    ];
    assert_eq!(report(&world, several).await.0, ["chart:2.0.0", "web:1.0.2,latest"]);
    world.end().await;
}

#[tokio::test]
async fn a_registry_reached_by_an_inner_name_is_met_by_its_path() {
    let world = world().await;
    assert_eq!(report(&world, vec![event("push", "org/inner", "7")]).await.0, ["inner:7"]);
    // Not where somebody watches the very name: the mirror has its own reports.
    assert_eq!(report(&world, vec![event("push", "org/web", "7")]).await.0, ["web:7"]);
    world.end().await;
}

#[tokio::test]
async fn what_nobody_watches_is_recorded_with_the_reason() {
    let world = world().await;
    for (repository, note) in [
        ("org/other", "no source watches image repository `registry.example.com/org/other`"),
        ("evil/org/web", "no source watches image repository `registry.example.com/evil/org/web`"),
        ("../org/web", "no source watches image repository `registry.example.com/../org/web`"),
    ] {
        let (woken, said) = report(&world, vec![event("push", repository, "1")]).await;
        assert_eq!((woken, said.as_str()), (Vec::new(), note));
    }
    assert_eq!(world.stored().await, 3);
    world.end().await;
}

#[tokio::test]
async fn pulls_wake_nothing_and_deletions_lead_to_a_listing() {
    let world = world().await;
    let (woken, note) =
        report(&world, vec![event("pull", "org/web", "1"), event("mount", "org/web", "1")]).await;
    assert_eq!((woken, note.as_str()), (Vec::new(), "nothing was pushed or deleted"));
    assert_eq!(report(&world, vec![event("delete", "org/web", "1")]).await.0, ["web:?"]);
    let both = vec![event("push", "org/web", "1"), event("delete", "org/web", "1")];
    assert_eq!(report(&world, both).await.0, ["web:?"], "what is left only a listing tells");
    world.end().await;
}

#[tokio::test]
async fn a_tag_no_registry_could_hold_is_no_hint() {
    let world = world().await;
    for tag in ["../../etc", "a b", "", &"x".repeat(200)] {
        let mut push = event("push", "org/web", tag);
        push["target"].as_object_mut().unwrap().remove("digest");
        assert_eq!(report(&world, vec![push]).await.0, ["web:?"], "{tag}");
    }
    world.end().await;
}

#[tokio::test]
async fn docker_hubs_short_names_are_its_full_names() {
    let world = world().await;
    let send = async |repository: &str, tag: &str| {
        let body = json!({"push_data": {"tag": tag}, "repository": {"repo_name": repository}}).to_string();
        let headers = [("content-type", "application/json".to_owned())];
        assert_eq!(world.send(post(&world.path("hub"), &headers, body.as_bytes())).await.status, 200);
        woken(&world).await
    };
    assert_eq!(send("library/nginx", "1.27").await, ["official:1.27"]);
    assert_eq!(send("nginx", "1.28").await, ["official:1.28"]);
    assert!(send("org/nginx", "1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn s13_a_hostile_repository_name_costs_no_time() {
    let world = world().await;
    let started = std::time::Instant::now();
    for name in ["(a+)+$".repeat(60_000), "a/".repeat(200_000), "%".repeat(400_000)] {
        assert!(report(&world, vec![event("push", &name, "1")]).await.0.is_empty());
    }
    assert!(started.elapsed().as_secs() < 5);
    world.end().await;
}
