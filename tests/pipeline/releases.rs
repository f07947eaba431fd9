//! Releases that are cut off, too large, put back while they are removed, or given values that are not theirs.

use std::sync::Arc;

use kube_sim::{Moment, Passing, Verdict};
use serde_json::Value;
use sluice::demo::repository::Change;

use crate::support::{Pipeline, patiently};
use crate::{name, ready_status, release};

const VALUES: &str = "helm-chart/values.yaml";

fn records(found: &[(u64, String)]) -> Vec<(u64, &str)> {
    found.iter().map(|(version, status)| (*version, status.as_str())).collect()
}

fn message(status: &Value) -> &str {
    let all = status["conditions"].as_array();
    let ready = all.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    ready.and_then(|ready| ready["message"].as_str()).unwrap_or_default()
}

fn condition<'s>(status: &'s Value, kind: &str) -> Option<&'s Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// A member that closes the connection when a request of this method to this resource arrives.
fn cuts(method: &'static str, resource: &'static str) -> kube_sim::Observer {
    Arc::new(move |passing: &Passing<'_>| {
        let hit = passing.moment == Moment::Arrived
            && passing.method == method
            && passing.path.split('/').any(|part| part == resource);
        if hit { Verdict::Cut } else { Verdict::Pass }
    })
}

async fn both_ready() -> Pipeline {
    let pipeline = Pipeline::start().await;
    for member in [1, 2] {
        pipeline.ready(&release(member)).await;
    }
    pipeline
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_release_too_large_for_a_secret_is_refused_before_anything_is_applied() {
    let pipeline = both_ready().await;
    // Bytes that no compression makes smaller.
    let mut seed = 1_u64;
    let big: Vec<u8> = (0..1_500_000)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        })
        .collect();
    let values = pipeline.repository.read("master", VALUES).unwrap().unwrap();
    let values = values.replace("type: ClusterIP", "type: NodePort");
    pipeline.commit(&[Change::Write("helm-chart/big.bin", &big), Change::Write(VALUES, values.as_bytes())]);
    let writes = pipeline.member(1).writes();
    pipeline.look().await;
    pipeline.until(&release(1), |status| message(status).contains("a Secret holds")).await;
    let status = pipeline.status(&release(1));
    assert_eq!(ready_status(&status), Some("False"));
    let text = message(&status);
    assert!(text.contains("failed to store release `app/app-member1-app.v2`"), "{text}");
    assert!(text.contains("\nhint: "), "{text}");
    assert_eq!(pipeline.member(1).writes(), writes, "nothing was written to the member");
    assert_eq!(records(&pipeline.records(1)), [(1, "deployed")]);

    pipeline.commit(&[Change::Remove("helm-chart/big.bin")]);
    pipeline.look().await;
    pipeline.version(&release(1), 2).await;
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_newer_push_ends_the_wait_for_the_older_one_and_nothing_is_rolled_back() {
    let pipeline = both_ready().await;
    pipeline.push("tag: \"\"", "tag: \"broken\"", VALUES).await;
    let image = |member: u8| {
        let deployment = pipeline.member(member).get("apps/v1", "deployments", Some("app"), &name(member));
        deployment.unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    for member in [1, 2] {
        let waits = pipeline.member(member).until(|_| {
            image(member) == "nuclearwu/hello-kubernetes:broken"
                && records(&pipeline.records(member)) == [(1, "deployed"), (2, "pending-upgrade")]
        });
        patiently("the broken image to be waited for", waits).await;
    }
    pipeline.push("tag: \"broken\"", "tag: \"1.0.1\"", VALUES).await;
    for member in [1, 2] {
        pipeline.version(&release(member), 3).await;
        pipeline.ready(&release(member)).await;
        assert_eq!(image(member), "nuclearwu/hello-kubernetes:1.0.1");
        assert_eq!(records(&pipeline.records(member)), [(1, "superseded"), (2, "failed"), (3, "deployed")]);
        let status = pipeline.status(&release(member));
        assert_eq!(condition(&status, "Remediated"), None, "{status}");
        assert!(status["upgradeFailures"].as_i64().unwrap_or(0) == 0, "{status}");
    }
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_record_that_fails_stays_pending_and_the_next_run_unlocks_it() {
    let pipeline = both_ready().await;
    // A failure that counts is remediated, and then the upgrade is tried again.
    let manifest = std::fs::read_to_string(pipeline.manifest("member1-app.yaml")).unwrap();
    let manifest = manifest.replace("remediateLastFailure: true", "retries: 3");
    std::fs::write(pipeline.manifest("member1-app.yaml"), manifest).unwrap();
    pipeline.until(&release(1), |status| status["observedGeneration"] == 2).await;
    pipeline.member(1).on_request(Some(cuts("PUT", "secrets")));
    pipeline.push("type: ClusterIP", "type: NodePort", VALUES).await;
    pipeline.until(&release(1), |status| ready_status(status) == Some("False")).await;
    // The objects are as wanted, but Helm's record does not say so, and neither does the status.
    let service = pipeline.member(1).get("v1", "services", Some("app"), &name(1)).unwrap();
    assert_eq!(service["spec"]["type"], "NodePort");
    assert_eq!(pipeline.records(1).last().unwrap().1, "pending-upgrade");
    let status = pipeline.status(&release(1));
    assert_eq!(status["history"][0]["status"], "pending-upgrade", "{status}");
    assert!(message(&status).starts_with("Helm upgrade failed for release app/app-member1-app"), "{status}");

    pipeline.member(1).on_request(None);
    pipeline.ready(&release(1)).await;
    let found = pipeline.records(1);
    let (last, others) = found.split_last().unwrap();
    assert_eq!(last.1, "deployed", "{found:?}");
    assert!(others.iter().all(|(_, status)| status == "superseded" || status == "failed"), "{found:?}");
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_revision_that_cannot_be_deleted_holds_up_no_upgrade_and_goes_with_the_next() {
    let pipeline = both_ready().await;
    let manifest = std::fs::read_to_string(pipeline.manifest("member1-app.yaml")).unwrap();
    std::fs::write(
        pipeline.manifest("member1-app.yaml"),
        manifest.replacen("spec:\n", "spec:\n  maxHistory: 1\n", 1),
    )
    .unwrap();
    pipeline.until(&release(1), |status| status["observedGeneration"] == 2).await;
    pipeline.member(1).on_request(Some(cuts("DELETE", "secrets")));
    for (push, from, to) in [(2, "ClusterIP", "NodePort"), (3, "NodePort", "ClusterIP")] {
        pipeline.push(&format!("type: {from}"), &format!("type: {to}"), VALUES).await;
        pipeline.version(&release(1), push).await;
    }
    let found = pipeline.records(1);
    assert_eq!(records(&found), [(1, "superseded"), (2, "superseded"), (3, "deployed")]);
    pipeline.member(1).on_request(None);
    pipeline.push("type: ClusterIP", "type: NodePort", VALUES).await;
    pipeline.version(&release(1), 4).await;
    // The one that was deployed until now is kept, so that there is something to go back to.
    assert_eq!(records(&pipeline.records(1)), [(3, "superseded"), (4, "deployed")]);
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_of_one_chart_that_begin_together_build_it_once() {
    let pipeline = both_ready().await;
    for member in [1, 2] {
        let path = pipeline.manifest(&format!("member{member}-app.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        let own = format!("./helm-chart/member{member}-values.yaml");
        assert!(text.contains(&own));
        std::fs::write(path, text.replace(&own, "./helm-chart/values.yaml")).unwrap();
        pipeline.until(&release(member), |status| status["observedGeneration"] == 2).await;
        pipeline.version(&release(member), 2).await;
    }
    pipeline.push("type: ClusterIP", "type: NodePort", VALUES).await;
    for member in [1, 2] {
        pipeline.version(&release(member), 3).await;
    }
    let commit = pipeline.repository.head("master").unwrap().unwrap();
    let story = pipeline.queue.story_of_commit(&commit).await.unwrap();
    let count = |step: &str| story.steps.iter().filter(|found| found.step == step).count();
    assert_eq!((count("chart"), count("render")), (1, 2), "{:?}", story.steps);
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_put_back_while_its_release_is_removed_brings_the_release_back() {
    let pipeline = both_ready().await;
    let manifest = std::fs::read_to_string(pipeline.manifest("member1-app.yaml")).unwrap();
    pipeline.member(1).on_request(Some(cuts("DELETE", "deployments")));
    std::fs::remove_file(pipeline.manifest("member1-app.yaml")).unwrap();
    let removed =
        pipeline.member(1).until(|cluster| cluster.get("v1", "services", Some("app"), &name(1)).is_none());
    patiently("the removal to begin", removed).await;
    // It cannot end, and says so.
    pipeline.until(&release(1), |status| message(status).contains("uninstall failed")).await;
    assert!(pipeline.member(1).get("apps/v1", "deployments", Some("app"), &name(1)).is_some());

    std::fs::write(pipeline.manifest("member1-app.yaml"), manifest).unwrap();
    let back =
        pipeline.member(1).until(|cluster| cluster.get("v1", "services", Some("app"), &name(1)).is_some());
    patiently("the service to be back", back).await;
    pipeline.ready(&release(1)).await;
    pipeline.member(1).on_request(None);
    assert_eq!(pipeline.records(1).last().unwrap().1, "deployed");
    assert!(pipeline.objects.get(&release(1)).unwrap().metadata().deletion_timestamp.is_none());
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_values_files_that_lead_out_of_the_repository_give_nothing_away() {
    let pipeline = both_ready().await;
    const FILE: &str = "helm-chart/member1-values.yaml";
    let own = pipeline.repository.read("master", FILE).unwrap().unwrap();
    let hostile: [(&str, &[Change<'_>]); 5] = [
        ("an absolute link", &[Change::Link(FILE, "/etc/passwd")]),
        ("a link out of the tree", &[Change::Link(FILE, "../../other-tenant/values.yaml")]),
        (
            "a chain",
            &[
                Change::Link(FILE, "one"),
                Change::Link("helm-chart/one", "two"),
                Change::Link("helm-chart/two", "/etc/passwd"),
            ],
        ),
        ("a loop", &[Change::Link(FILE, "one"), Change::Link("helm-chart/one", "member1-values.yaml")]),
        ("a directory", &[Change::Write("helm-chart/member1-values.yaml/inside", b"root:")]),
    ];
    for (number, (what, changes)) in (0_u32..).zip(hostile) {
        pipeline.commit(&[Change::Remove(FILE)]);
        pipeline.commit(changes);
        pipeline.look().await;
        pipeline.until(&release(1), |status| ready_status(status) == Some("False")).await;
        let status = pipeline.status(&release(1));
        assert!(message(&status).contains("member1-values.yaml"), "{what}: {status}");
        assert!(!status.to_string().contains("root:"), "{what}: {status}");
        // The neighbour follows the same repository on.
        pipeline.edit(&format!("port: {}\n", 80 + number), &format!("port: {}\n", 81 + number), VALUES);
        pipeline.look().await;
        let follows = pipeline.member(2).until(|cluster| {
            let service = cluster.get("v1", "services", Some("app"), &name(2)).unwrap();
            service["spec"]["ports"][0]["port"] == 81 + number
        });
        patiently("member2 to follow", follows).await;
        assert_eq!(ready_status(&pipeline.status(&release(1))), Some("False"), "{what}");
        let gone = if what == "a directory" { "helm-chart/member1-values.yaml/inside" } else { FILE };
        pipeline.commit(&[Change::Remove(gone)]);
        pipeline.commit(&[Change::Write(FILE, own.as_bytes())]);
        pipeline.look().await;
        pipeline.ready(&release(1)).await;
    }
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f40_a_push_that_missed_all_webhooks_is_applied_by_the_interval() {
    let pipeline = both_ready().await;
    let manifest = std::fs::read_to_string(pipeline.manifest("git-repo.yaml")).unwrap();
    let manifest = manifest.replace("interval: 1m0s", "interval: 1s");
    std::fs::write(pipeline.manifest("git-repo.yaml"), manifest).unwrap();
    pipeline.edit("type: ClusterIP", "type: NodePort", VALUES);
    for member in [1, 2] {
        pipeline.version(&release(member), 2).await;
    }
    pipeline.edit("type: NodePort", "type: ClusterIP", VALUES);
    for member in [1, 2] {
        pipeline.version(&release(member), 3).await;
    }
    let deliveries = pipeline.queue.list_deliveries(&Default::default(), 10).await.unwrap();
    assert!(deliveries.is_empty(), "{deliveries:?}");
    pipeline.stop().await;
}

/// Adds lines to a release's spec and waits until they have been seen.
async fn with_lines(pipeline: &Pipeline, lines: &str) {
    let manifest = std::fs::read_to_string(pipeline.manifest("member1-app.yaml")).unwrap();
    let before = pipeline.objects.get(&release(1)).unwrap().metadata().generation;
    let path = pipeline.manifest("member1-app.yaml");
    std::fs::write(path, manifest.replace("spec:\n  storage", &format!("spec:\n{lines}  storage"))).unwrap();
    pipeline.until(&release(1), |status| status["observedGeneration"] == before + 1).await;
}

async fn ask(pipeline: &Pipeline) {
    let asked = uuid::Uuid::new_v4().to_string();
    let annotation = [("reconcile.fluxcd.io/requestedAt".to_owned(), asked.clone())];
    pipeline.objects.annotate(&release(1), annotation.into()).await.unwrap();
    pipeline.until(&release(1), |status| status["lastHandledReconcileAt"] == *asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_on_a_member_is_told_and_put_right_where_that_is_asked_for() {
    let pipeline = both_ready().await;
    let member = pipeline.member(1).clone();
    let kubectl = |api: &str, kind: &str, patch: Value| {
        assert!(member.edit(api, kind, Some("app"), &name(1), "kubectl-edit", &patch));
    };
    let service = || member.get("v1", "services", Some("app"), &name(1));
    let drifted = |status: &Value| {
        let found = condition(status, "Drifted").cloned().unwrap_or_default();
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("message"))
    };
    // Not looked for unless asked.
    kubectl("v1", "services", serde_json::json!({"spec": {"type": "NodePort"}}));
    ask(&pipeline).await;
    assert_eq!(service().unwrap()["spec"]["type"], "NodePort");
    assert_eq!(condition(&pipeline.status(&release(1)), "Drifted"), None);

    with_lines(&pipeline, "  driftDetection:\n    mode: warn\n").await;
    ask(&pipeline).await;
    let status = pipeline.status(&release(1));
    let changed = format!("Service/app/{} changed (", name(1));
    assert_eq!(drifted(&status).0, "True", "{status}");
    let head = "Cluster state of release app/app-member1-app.v1 has drifted from the desired state:\n";
    assert!(drifted(&status).1.starts_with(&format!("{head}{changed}")), "{status}");
    assert_eq!(ready_status(&status), Some("True"));
    assert_eq!(service().unwrap()["spec"]["type"], "NodePort", "it is only told");

    let manifest = std::fs::read_to_string(pipeline.manifest("member1-app.yaml")).unwrap();
    let manifest = manifest.replace(
        "    mode: warn\n",
        "    mode: enabled\n    ignore:\n    - paths: [/spec/replicas]\n      target: {kind: Deploy.*}\n",
    );
    kubectl("apps/v1", "deployments", serde_json::json!({"spec": {"replicas": 4}}));
    std::fs::write(pipeline.manifest("member1-app.yaml"), manifest).unwrap();
    let right = member.until(|_| service().is_some_and(|service| service["spec"]["type"] == "ClusterIP"));
    patiently("the service to be as it was", right).await;
    pipeline.until(&release(1), |status| drifted(status).0 == "False").await;
    assert_eq!(drifted(&pipeline.status(&release(1))).1, "No drift detected against the cluster state");
    let deployment = member.get("apps/v1", "deployments", Some("app"), &name(1)).unwrap();
    assert_eq!(deployment["spec"]["replicas"], 4, "what may differ is left alone");
    assert_eq!(records(&pipeline.records(1)), [(1, "deployed")], "a correction is no upgrade");
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_upgrade_created_goes_again_with_cleanup_on_fail() {
    let pipeline = both_ready().await;
    // No remediation, so that nothing but the clean-up takes things away.
    let manifest = std::fs::read_to_string(pipeline.manifest("member1-app.yaml")).unwrap();
    let manifest = manifest.replace(
        "  upgrade:\n    remediation:\n      remediateLastFailure: true\n    force: true\n",
        "  timeout: 1s\n  upgrade:\n    cleanupOnFail: true\n",
    );
    assert!(manifest.contains("cleanupOnFail"));
    std::fs::write(pipeline.manifest("member1-app.yaml"), manifest).unwrap();
    pipeline.until(&release(1), |status| status["observedGeneration"] == 2).await;
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}-new\"}\n";
    let values = pipeline.repository.read("master", VALUES).unwrap().unwrap();
    let values = values.replace("tag: \"\"", "tag: \"broken\"");
    pipeline.commit(&[
        Change::Write("helm-chart/templates/new.yaml", map.as_bytes()),
        Change::Write(VALUES, values.as_bytes()),
    ]);
    pipeline.look().await;
    pipeline.until(&release(1), |status| status["history"][0]["status"] == "failed").await;
    let status = pipeline.status(&release(1));
    assert!(message(&status).starts_with("Helm upgrade failed for release app/app-member1-app"), "{status}");
    let new = |member: u8| {
        let name = format!("app-member{member}-app-new");
        pipeline.member(member).get("v1", "configmaps", Some("app"), &name)
    };
    assert_eq!(new(1), None, "what was new is gone");
    assert!(pipeline.member(1).get("v1", "services", Some("app"), &name(1)).is_some(), "the rest stays");
    // The other release does not ask for it.
    let there = pipeline.member(2).until(|_| new(2).is_some());
    patiently("member2 to have the new object", there).await;
    pipeline.stop().await;
}
