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
        assert_eq!(
            records(&pipeline.records(member)),
            [(1, "superseded"), (2, "failed"), (3, "deployed")]
        );
        let status = pipeline.status(&release(member));
        assert_eq!(condition(&status, "Remediated"), None, "{status}");
        assert!(status["upgradeFailures"].as_i64().unwrap_or(0) == 0, "{status}");
    }
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_record_that_fails_stays_pending_and_the_next_run_unlocks_it() {
    let pipeline = both_ready().await;
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
async fn a_manifest_that_is_put_back_while_its_release_is_removed_brings_the_release_back() {
    let pipeline = both_ready().await;
    let manifest = std::fs::read_to_string(pipeline.manifest("member1-app.yaml")).unwrap();
    pipeline.member(1).on_request(Some(cuts("DELETE", "deployments")));
    std::fs::remove_file(pipeline.manifest("member1-app.yaml")).unwrap();
    let removed = pipeline
        .member(1)
        .until(|cluster| cluster.get("v1", "services", Some("app"), &name(1)).is_none());
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
            &[Change::Link(FILE, "one"), Change::Link("helm-chart/one", "two"), Change::Link("helm-chart/two", "/etc/passwd")],
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
        pipeline.edit(
            &format!("port: {}\n", 80 + number),
            &format!("port: {}\n", 81 + number),
            VALUES,
        );
        pipeline.look().await;
        let follows = pipeline.member(2).until(|cluster| {
            let service = cluster.get("v1", "services", Some("app"), &name(2)).unwrap();
            service["spec"]["ports"][0]["port"] == 81 + number
        });
        patiently("member2 to follow", follows).await;
        assert_eq!(ready_status(&pipeline.status(&release(1))), Some("False"), "{what}");
        if what == "a directory" {
            pipeline.commit(&[Change::Remove("helm-chart/member1-values.yaml/inside")]);
        }
        pipeline.commit(&[Change::Remove(FILE)]);
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
