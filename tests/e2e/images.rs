//! Steps 6 to 8: an image pushed to a real registry runs on both members, with the commit in git between them.

use serde_json::Value;
use sluice::demo::world::{Images, World};
use sluice::model::{Kind, ObjectKey};
use sluice::receiver::hook_path;

use crate::planes;
use crate::registry::DockerRegistry;
use crate::stage::{NAMESPACE, Setup, Stage, condition, source};

const PATH: &str = "nuclearwu/hello-kubernetes";
const VALUES: &str = "helm-chart/values.yaml";
const TOKEN: &str = "Bearer registry-token";

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::new(kind, NAMESPACE, name)
}

fn image(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]["image"]
}

fn message(status: &Value) -> String {
    condition(status, "Ready")["message"].as_str().unwrap_or_default().to_owned()
}

async fn pod_ids(stage: &Stage, member: usize) -> Vec<String> {
    let pods = stage.pods(member).await;
    let mut ids: Vec<String> = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_push_reaches_both_real_members_through_a_commit() {
    let Some(planes) = planes() else { return };
    let mut stage = Stage::start(planes, Setup::named("images", "images-releases")).await;
    for member in [1, 2] {
        stage.version(member, 1).await;
    }
    let hook = stage.hook_url.replace(
        &hook_path(stage.token.as_bytes(), "push", NAMESPACE),
        &hook_path(TOKEN.as_bytes(), "image-push", NAMESPACE),
    );
    let registry = DockerRegistry::start(&hook, Some(TOKEN)).await;
    registry.push(PATH, "1.0.0").await;
    let images = Images { image: format!("{}/{PATH}", registry.host), hook_token: TOKEN.into() };

    // The chart takes the image from this registry.
    let from = format!("repository: \"{PATH}\"");
    let to = format!("repository: \"{}\"", images.image);
    let head = stage.clone.change(VALUES, &from, &to).await;
    assert_eq!(stage.hook_answered().await.commit, head);
    for member in [1, 2] {
        stage.version(member, 2).await;
    }

    let automation = steps_6_and_7(&mut stage, &images, &head).await;
    step_8(&mut stage, &registry, &images, &automation).await;
    stage.stop().await;
}

/// The policy's choice goes into git; nothing is rolled out, for it is what runs.
async fn steps_6_and_7(stage: &mut Stage, images: &Images, head: &str) -> ObjectKey {
    let before = [pod_ids(stage, 1).await, pod_ids(stage, 2).await];
    let world = World {
        git_url: stage.git_url.clone(),
        kubeconfigs: [String::new(), String::new()],
        hook_token: stage.token.clone(),
        chat_url: None,
    };
    world.write_image_manifests(images, &stage.dir.path().join("manifests")).unwrap();

    let status = stage.ready(&key(Kind::ImageRepository, "image-repo")).await;
    assert!(message(&status).starts_with("successful scan: found 1 tags with checksum "), "{status}");
    assert_eq!(status["canonicalImageName"], images.image);
    assert_eq!(status["lastScanResult"]["latestTags"], serde_json::json!(["1.0.0"]));
    let status = stage.ready(&key(Kind::ImagePolicy, "image-policy")).await;
    assert_eq!(message(&status), format!("Latest image tag for {} resolved to 1.0.0", images.image));

    let automation = key(Kind::ImageUpdateAutomation, "image-update-automation");
    let status = stage.until(&automation, |status| status["lastPushCommit"].is_string()).await;
    let commit = status["lastPushCommit"].as_str().unwrap().to_owned();
    assert_eq!(message(&stage.ready(&automation).await), "repository up-to-date");
    stage.clone.pull().await;
    assert_eq!(stage.clone.head().await, commit);
    assert_eq!(stage.clone.show(&["--no-patch", "--format=%an <%ae>|%cn|%P"]).await, {
        format!("fluxbot <fluxbot@flux.com>|fluxbot|{head}")
    });
    assert_eq!(stage.clone.show(&["--no-patch", "--format=%B"]).await, format!("{}:1.0.0", images.image));
    let changed = stage.clone.show(&["--format=", "--unified=0", "--no-prefix"]).await;
    let lines: Vec<&str> =
        changed.lines().filter(|line| line.starts_with(['+', '-'])).map(str::trim_end).collect();
    let marker = r#"# {"$imagepolicy": "gitops-project:image-policy:tag"}"#;
    assert_eq!(
        lines,
        [
            format!("--- {VALUES}"),
            format!("+++ {VALUES}"),
            format!(r#"-      tag: "" {marker}"#),
            format!(r#"+      tag: "1.0.0" {marker}"#),
        ]
    );
    for member in [1, 2] {
        let status = stage.version(member, 3).await;
        assert_eq!(status["history"][0]["chartVersion"], format!("1.0.0+{}.1", &commit[..12]));
        assert_eq!(pod_ids(stage, member).await, before[member - 1], "pods were touched");
    }
    automation
}

/// A new tag: one chain from the registry's hook to both clusters, and no list of tags.
async fn step_8(stage: &mut Stage, registry: &DockerRegistry, images: &Images, automation: &ObjectKey) {
    let digest = registry.push(PATH, "1.0.1").await;
    let wanted = format!("{}:1.0.1", images.image);
    for member in [1, 2] {
        stage.object_until(member, "deployments", "it runs 1.0.1", |it| *image(it) == wanted).await;
    }
    let status = stage
        .until(automation, |status| {
            status["observedPolicies"]["image-policy"]["tag"] == "1.0.1"
                && condition(status, "Ready")["status"] == "True"
        })
        .await;
    let commit = status["lastPushCommit"].as_str().unwrap().to_owned();
    for member in [1, 2] {
        let status = stage.version(member, 4).await;
        assert_eq!(status["history"][0]["chartVersion"], format!("1.0.0+{}.1", &commit[..12]));
    }
    assert_eq!(stage.status(&source())["artifact"]["revision"], format!("master@sha1:{commit}"));
    let status = stage.status(&key(Kind::ImagePolicy, "image-policy"));
    assert_eq!(
        message(&status),
        format!(
            "Latest image tag for {} resolved to 1.0.1 (previously {}:1.0.0)",
            images.image, images.image
        )
    );

    let applied = |story: &sluice::queue::Story| {
        let recorded = story.steps.iter().filter(|step| step.step == "record");
        recorded.filter_map(|step| step.cluster.clone()).collect::<std::collections::BTreeSet<_>>().len()
    };
    let story = stage.story(&commit, "both members in the story", |story| applied(story) == 2).await;
    let receiver = key(Kind::Receiver, "image-push");
    let delivery = story.deliveries.iter().find(|one| one.receiver == receiver).expect("the registry's hook");
    let chain = stage.queue.story_of_delivery(&delivery.id.to_string()).await.unwrap();
    for step in ["head", "policy", "commit", "push", "fetch", "chart", "render", "apply", "record"] {
        assert!(chain.steps.iter().any(|done| done.step == step), "no {step}: {:?}", chain.steps);
    }
    assert!(chain.steps.iter().all(|step| step.step != "scan"), "tags were listed: {:?}", chain.steps);
    let head = chain.steps.iter().find(|step| step.step == "head").unwrap();
    assert!(head.revision.as_ref().is_some_and(|it| it.as_str() == format!("1.0.1@{digest}")), "{head:?}");
    let ends = |name: &str| {
        let steps = chain.steps.iter().filter(|step| step.step == name);
        let end = steps.map(|step| step.started_at.saturating_add(step.duration).unwrap()).max().unwrap();
        end.duration_since(delivery.received_at).as_millis()
    };
    eprintln!(
        "accepted image hook to commit pushed: {} ms, to both members applied: {} ms",
        ends("push"),
        ends("apply")
    );
    // The forge's own hook for the automation's commit starts nothing over.
    stage.clone.pull().await;
    assert_eq!(stage.clone.head().await, commit);
}
