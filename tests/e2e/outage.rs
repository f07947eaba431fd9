//! Step 12: a member that is dead, or hangs, delays nobody, says so, and is caught up at the newest revision.

use std::time::{Duration, Instant};

use crate::planes;
use crate::planes::{Outage, Planes};
use crate::stage::{Setup, Stage, app, condition};
use crate::tools::helm_json;

#[tokio::test(flavor = "multi_thread")]
async fn f5_a_killed_member_delays_nobody_and_is_caught_up() {
    let Some(planes) = planes() else { return };
    missed(planes, Setup::named("killed", "killed-releases"), |planes| planes.kill(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_a_member_that_hangs_delays_nobody_and_is_caught_up() {
    let Some(planes) = planes() else { return };
    let setup = Setup { call_deadline: Duration::from_secs(3), ..Setup::named("hung", "hung-releases") };
    missed(planes, setup, |planes| planes.hang(2)).await;
}

async fn missed(planes: &'static Planes, setup: Setup, down: fn(&'static Planes) -> Outage<'static>) {
    let storage = setup.storage;
    let stage = Stage::start(planes, setup).await;
    for member in [1, 2] {
        stage.version(member, 1).await;
    }
    // How long the same takes while all is well.
    let clock = Instant::now();
    stage.clone.change("helm-chart/values.yaml", "port: 80\n", "port: 81\n").await;
    stage.version(1, 2).await;
    let usual = clock.elapsed();
    stage.version(2, 2).await;

    let outage = down(planes);
    let clock = Instant::now();
    stage.clone.change("helm-chart/values.yaml", "type: ClusterIP", "type: NodePort").await;
    stage.version(1, 3).await;
    let alone = clock.elapsed();
    eprintln!("push to member1 ready: {usual:?} with both members up, {alone:?} with member2 down");
    assert!(alone < usual + Duration::from_secs(2), "{usual:?}, then {alone:?}");
    let status = stage
        .until(&app(2), |status| {
            condition(status, "Ready")["status"] == "False"
                || condition(status, "Reconciling")["reason"] == "ProgressingWithRetry"
        })
        .await;
    assert_ne!(status["history"][0]["version"], 3);
    // What is pushed meanwhile is not lost, and what it replaces is not applied.
    let newest =
        stage.clone.change("helm-chart/member2-values.yaml", "replicaCount: 1", "replicaCount: 2").await;
    stage.version(1, 4).await;
    outage.end();
    let back = Instant::now();
    stage
        .object_until(2, "deployments", "the newest revision is there", |deployment| {
            deployment["spec"]["replicas"] == 2
        })
        .await;
    let chart = format!("1.0.0+{}.1", &newest[..12]);
    let status = stage
        .until(&app(2), |status| {
            status["history"][0]["chartVersion"] == *chart && condition(status, "Ready")["status"] == "True"
        })
        .await;
    eprintln!("member2 is caught up {:?} after its return", back.elapsed());
    assert_eq!(stage.object(2, "services").await["spec"]["type"], "NodePort");
    let history = helm_json(stage.member(2), storage, &["history", &stage.release(2)]).await;
    let last = history.as_array().unwrap().last().unwrap();
    assert_eq!(last["status"], "deployed", "{history}");
    assert_eq!(last["revision"], status["history"][0]["version"]);
    assert!(
        history
            .as_array()
            .unwrap()
            .iter()
            .all(|line| !line["status"].as_str().unwrap().starts_with("pending")),
        "{history}"
    );
    stage.stop().await;
}
