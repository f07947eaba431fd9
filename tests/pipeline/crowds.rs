//! Objects that get in the way of each other: a thousand that fail, and two that wait for each other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sluice::model::{Kind, ObjectKey};

use crate::support::Pipeline;
use crate::{name, ready_status, release};

const BROKEN: usize = 1000;

/// What every object of these has in common.
fn manifest(name: &str, kubeconfig: &str, more: &str) -> String {
    format!(
        "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: {name}, namespace: gitops-project}}\nspec:\n  interval: 10m\n  releaseName: {name}\n  kubeConfig:\n    secretRef: {{name: {kubeconfig}}}\n  chart:\n    spec:\n      chart: ./helm-chart\n      sourceRef: {{kind: GitRepository, name: git-repo}}\n{more}"
    )
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::HelmRelease, "gitops-project", name)
}

/// How often an object may have failed after this time: at once, then after pauses that double from 750 ms.
fn budget(elapsed: Duration) -> u32 {
    let pauses = elapsed.as_secs_f64() / 0.75 + 1.0;
    // One more for the change of the source, which is new work.
    2 * (pauses.log2().ceil() as u32 + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_a_thousand_broken_objects_keep_to_their_retries_and_hold_up_nobody() {
    let pipeline = Pipeline::start().await;
    for member in [1, 2] {
        pipeline.ready(&release(member)).await;
    }
    let clock = Instant::now();
    pipeline.push("type: ClusterIP", "type: NodePort", "helm-chart/values.yaml").await;
    pipeline.version(&release(1), 2).await;
    let usual = clock.elapsed();

    // A member where nobody listens, and a thousand releases for it.
    let began = Instant::now();
    let kubeconfig = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: nowhere-kubeconfig, namespace: gitops-project}\nstringData:\n  value: |\n    apiVersion: v1\n    kind: Config\n    current-context: c\n    contexts: [{name: c, context: {cluster: k, user: u}}]\n    clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\n    users: [{name: u, user: {token: t}}]\n";
    let all: String =
        (0..BROKEN).map(|number| manifest(&format!("broken-{number}"), "nowhere-kubeconfig", "")).collect();
    std::fs::write(pipeline.manifest("broken.yaml"), kubeconfig.to_owned() + &all).unwrap();
    pipeline.until(&key("broken-999"), |status| ready_status(status) == Some("False")).await;
    let clock = Instant::now();
    pipeline.push("type: NodePort", "type: ClusterIP", "helm-chart/values.yaml").await;
    pipeline.version(&release(1), 3).await;
    eprintln!("a push takes {usual:?} alone and {:?} among {BROKEN} broken releases", clock.elapsed());
    let service = pipeline.member(1).get("v1", "services", Some("app"), &name(1)).unwrap();
    assert_eq!(service["spec"]["type"], "ClusterIP");
    let mut reasons = BTreeSet::new();
    for number in 0..BROKEN {
        let key = key(&format!("broken-{number}"));
        pipeline.until(&key, |status| ready_status(status) == Some("False")).await;
        let conditions = pipeline.status(&key)["conditions"].clone();
        let ready = conditions.as_array().unwrap().iter().find(|found| found["type"] == "Ready").unwrap();
        reasons.insert(ready["reason"].as_str().unwrap().to_owned());
        let story = pipeline.queue.story_of_object(&key, 100).await.unwrap();
        let attempts: u32 = story.jobs.iter().map(|job| job.attempts).sum();
        let allowed = budget(began.elapsed());
        assert!(attempts <= allowed, "`{key}` failed {attempts} times, its pauses allow {allowed}");
    }
    assert_eq!(reasons, BTreeSet::from(["StateError".to_owned()]));
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f37_a_circle_of_dependencies_is_named_and_does_not_spin() {
    let pipeline = Pipeline::start().await;
    let on = |other: &str| format!("  dependsOn: [{{name: {other}}}]\n");
    let text = manifest("a", "member1-kubeconfig", &on("b"))
        + &manifest("b", "member1-kubeconfig", &on("a"))
        + &manifest("c", "member1-kubeconfig", &on("member1-app"));
    std::fs::write(pipeline.manifest("circle.yaml"), text).unwrap();
    for (name, other) in [("a", "b"), ("b", "a")] {
        let circle = format!(
            "dependency cycle: `HelmRelease/gitops-project/{name}` -> `HelmRelease/gitops-project/{other}` -> `HelmRelease/gitops-project/{name}`"
        );
        pipeline
            .until(&key(name), |status| {
                let all = status["conditions"].as_array().cloned().unwrap_or_default();
                let has = |kind: &str, wanted: &str| {
                    all.iter().any(|found| {
                        found["type"] == kind
                            && found["status"] == wanted
                            && found["message"] == circle.as_str()
                    })
                };
                has("Ready", "False") && has("Stalled", "True")
            })
            .await;
    }
    // The neighbour outside the circle gets its turn, and a push of the source all three share goes through.
    pipeline.ready(&key("c")).await;
    pipeline.push("type: ClusterIP", "type: NodePort", "helm-chart/values.yaml").await;
    pipeline.version(&release(1), 2).await;
    for name in ["a", "b"] {
        let story = pipeline.queue.story_of_object(&key(name), 100).await.unwrap();
        // When it came, when its source was first there, and at the push.
        assert!(story.jobs.len() <= 6, "{:#?}", story.jobs);
        let next = story.jobs.iter().map(|job| job.due_at).max().unwrap();
        let first = story.jobs.iter().map(|job| job.created_at).min().unwrap();
        let pause = Duration::try_from(next.duration_since(first)).unwrap();
        assert!(pause > Duration::from_secs(540), "it is looked at again after {pause:?}");
    }
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_waits_for_another_says_so_in_its_story() {
    let pipeline = Pipeline::start().await;
    let text = manifest("waits", "member1-kubeconfig", "  dependsOn: [{name: nobody}]\n");
    std::fs::write(pipeline.manifest("waits.yaml"), text).unwrap();
    let waits = key("waits");
    pipeline.until(&waits, |status| ready_status(status) == Some("False")).await;
    // The status is on disk together with the job's end.
    let story = pipeline.queue.story_of_object(&waits, 10).await.unwrap();
    let step =
        story.steps.iter().find(|step| step.step == "postpone").expect("the run is no gap in the story");
    assert_eq!(step.outcome.as_str(), "skipped");
    assert!(step.detail.contains("nobody") && step.detail.contains("again in 30s"), "{}", step.detail);
    pipeline.stop().await;
}
