use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::api::wire::ObjectNow;
use crate::model::{Cause, CauseKind, DeliveryId};

const TERMINAL: Terminal = Terminal { unicode: true, color: false };

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_514_400_000 + millis).unwrap()
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::new(kind, "gitops-project", name)
}

fn delivery(note: Option<&str>) -> DeliveryLine {
    DeliveryLine {
        id: "0192f0c1-1111-7000-8000-000000000001".to_owned(),
        receiver: key(Kind::Receiver, "push"),
        provider: "github".to_owned(),
        event: "push".to_owned(),
        sender_id: None,
        received_at: at(0),
        stored_at: at(3),
        facts: json!({"ref": "refs/heads/master", "commit": "8b1a9953c4611296a827abf8c47804d7e6a5b2f0"}),
        note: note.map(str::to_owned),
        jobs: BTreeMap::new(),
    }
}

fn job(id: &str, object: ObjectKey, kind: CauseKind, from: i64, to: Option<i64>, state: &str) -> JobLine {
    JobLine {
        id: id.to_owned(),
        object,
        state: state.to_owned(),
        causes: vec![Cause { kind, delivery: Some(DeliveryId::new("0192f0c1")) }],
        attempts: 0,
        created_at: at(from),
        due_at: at(from),
        started_at: Some(at(from)),
        finished_at: to.map(at),
        last_error: None,
        superseded_by: None,
    }
}

fn step(job: &str, object: ObjectKey, name: &str, cluster: Option<&str>, from: i64, millis: u64) -> StepLine {
    StepLine {
        job: Some(job.to_owned()),
        object,
        step: name.to_owned(),
        cluster: cluster.map(str::to_owned),
        revision: None,
        started_at: at(from),
        duration_us: millis * 1000,
        outcome: "done".to_owned(),
        detail: String::new(),
    }
}

#[test]
fn the_chain_of_a_push() {
    let git = || key(Kind::GitRepository, "git-repo");
    let release = |n: u32| key(Kind::HelmRelease, &format!("member{n}-app"));
    let mut fetched = step("1", git(), "fetch", None, 10, 380);
    fetched.detail = "fetched master@sha1:8b1a9953c4611296a827abf8c47804d7e6a5b2f0".to_owned();
    let mut failed = step("3", release(2), "apply", Some("member2"), 460, 30_000);
    failed.outcome = "failed".to_owned();
    failed.detail = "connection refused".to_owned();
    let mut second = job("3", release(2), CauseKind::Dependency, 450, Some(30_500), "pending");
    second.finished_at = None;
    second.attempts = 1;
    second.last_error = Some("failed to upgrade: connection refused".to_owned());
    let story = StoryView {
        deliveries: vec![delivery(None)],
        jobs: vec![
            job("1", git(), CauseKind::Delivery, 8, Some(420), "done"),
            job("2", release(1), CauseKind::Dependency, 430, Some(1_630), "done"),
            second,
        ],
        steps: vec![
            fetched,
            step("2", release(1), "render", Some("member1"), 440, 35),
            step("2", release(1), "apply", Some("member1"), 480, 640),
            failed,
        ],
        messages: vec![MessageLine {
            id: 1,
            alert: key(Kind::Alert, "all"),
            provider: key(Kind::Provider, "slack"),
            object: release(1),
            severity: "info".to_owned(),
            reason: "UpgradeSucceeded".to_owned(),
            message: "Helm upgrade succeeded".to_owned(),
            state: "sent".to_owned(),
            attempts: 0,
            created_at: at(1_630),
            finished_at: Some(at(1_730)),
            last_error: None,
        }],
        objects: vec![ObjectNow {
            object: release(2),
            ready: "False".to_owned(),
            message: "connection refused".to_owned(),
            revision: Some("1.0.0+000000000000".to_owned()),
            suspended: false,
        }],
    };
    insta::assert_snapshot!(render(&story, TERMINAL), @r"
    delivery 0192f0c1-1111-7000-8000-000000000001: push from github to Receiver/gitops-project/push
      received 2026-11-24T10:00:00.000Z, on disk 3ms later
      ref refs/heads/master, commit 8b1a9953

    ✔ +8ms      GitRepository/gitops-project/git-repo  (delivery)  took 412ms
        ✔ fetch   380ms  fetched master@sha1:8b1a9953

    ✔ +430ms    HelmRelease/gitops-project/member1-app  (dependency)  took 1.2s
        ✔ render  member1    35ms
        ✔ apply   member1   640ms

    ◎ +450ms    HelmRelease/gitops-project/member2-app  (dependency)  pending  failed once
        ✗ apply  member2   30.0s  connection refused

    messages
      ✔ Provider/gitops-project/slack  sent after 100ms  UpgradeSucceeded: Helm upgrade succeeded

    now
      ✗ HelmRelease/gitops-project/member2-app  1.0.0+000000000000  connection refused

    ✔ from push to applied: 1.1s (member1 1.1s)
    ");
}

#[test]
fn why_nothing_happened() {
    let story = StoryView {
        deliveries: vec![delivery(Some("branch `feature` is watched by no source\nforged"))],
        objects: vec![ObjectNow {
            object: key(Kind::GitRepository, "git-repo"),
            ready: "True".to_owned(),
            message: "m".to_owned(),
            revision: None,
            suspended: true,
        }],
        ..StoryView::default()
    };
    insta::assert_snapshot!(render(&story, Terminal { unicode: false, color: false }), @r"
    delivery 0192f0c1-1111-7000-8000-000000000001: push from github to Receiver/gitops-project/push
      received 2026-11-24T10:00:00.000Z, on disk 3ms later
      ref refs/heads/master, commit 8b1a9953
      - branch `feature` is watched by no source
        forged

    no job came of it

    now
      - GitRepository/gitops-project/git-repo  suspended: nothing is done for it  m
    ");
}
