//! Step 11: hooks that are forged, unknown, for something else, sent twice, or too large.

use serde_json::Value;
use sluice::demo::forge::{push_body, signature};
use sluice::model::{Kind, ObjectKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::patiently;
use crate::planes;
use crate::stage::{NAMESPACE, Setup, Stage, source};

struct Sent {
    code: u16,
    body: Value,
}

async fn send(stage: &Stage, event: &str, id: &str, signed: &str, body: &[u8]) -> Sent {
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(&stage.hook_url)
        .header("Content-Type", "application/json")
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", id)
        .header("X-Hub-Signature-256", signed)
        .body(body.to_vec());
    let answer = patiently("an answer to a hook", request.send()).await.unwrap();
    let code = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    Sent { code, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

/// The status line for a request whose body is announced and never sent.
async fn announce(stage: &Stage, length: u64) -> String {
    let url = reqwest::Url::parse(&stage.hook_url).unwrap();
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: sluice\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: big\r\nX-Hub-Signature-256: sha256=00\r\nContent-Length: {length}\r\n\r\n",
        url.path()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    patiently("an answer to a large hook", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_that_should_do_nothing_do_nothing_and_are_seen() {
    let Some(planes) = planes() else { return };
    let mut stage = Stage::start(planes, Setup::named("hooked", "hooked-releases")).await;
    for member in [1, 2] {
        stage.version(member, 1).await;
    }
    let head = stage.clone.head().await;
    let push = push_body(&stage.git_url, "refs/heads/master", &head, &head);
    let sign = |body: &[u8]| signature(&stage.token, body);
    let receiver = ObjectKey::new(Kind::Receiver, NAMESPACE, "push");

    // Forged: refused, remembered, not stored.
    let forged = send(&stage, "push", "forged", &signature("guess", &push), &push).await;
    assert_eq!((forged.code, forged.body), (401, Value::Null));
    let rejections = stage.receiver.rejections(&receiver);
    assert_eq!(rejections.len(), 1);
    assert_eq!(rejections[0].sender_id, "forged");

    // 26 MB: refused before it is read.
    assert_eq!(announce(&stage, 26 << 20).await, "HTTP/1.1 413 Payload Too Large");
    assert_eq!(stage.queue.list_deliveries(&Default::default(), 10).await.unwrap().len(), 0);

    // An event nobody asked for, and a branch nobody follows: stored, nothing done, and why.
    let unknown = send(&stage, "star", "unknown", &sign(&push), &push).await;
    assert_eq!((unknown.code, &unknown.body["jobs"]), (200, &Value::from(0)));
    let other = push_body(&stage.git_url, "refs/heads/feature", &head, &head);
    let branch = send(&stage, "push", "branch", &sign(&other), &other).await;
    assert_eq!((branch.code, &branch.body["jobs"]), (200, &Value::from(0)));
    for answer in [&unknown, &branch] {
        assert!(answer.body["note"].is_string(), "{}", answer.body);
    }

    // Sent twice: one run.
    let once = send(&stage, "push", "twice", &sign(&push), &push).await;
    assert_eq!((once.code, &once.body["jobs"]), (200, &Value::from(1)));
    let twice = send(&stage, "push", "twice", &sign(&push), &push).await;
    assert_eq!((twice.code, &twice.body["duplicate"]), (200, &Value::from(true)));
    assert_eq!(twice.body["delivery"], once.body["delivery"]);

    // A push to another branch by the real git, announced by the forge.
    stage.clone.edit("helm-chart/values.yaml", "type: ClusterIP", "type: NodePort");
    stage.clone.push_to("feature", "For later").await;
    assert_eq!(stage.hook_answered().await.status, 200);

    // What was authentic is in the list, newest first.
    let deliveries = stage.queue.list_deliveries(&Default::default(), 10).await.unwrap();
    let listed: Vec<(&str, bool, u64)> = deliveries
        .iter()
        .map(|delivery| {
            let jobs = delivery.jobs.iter().map(|(_, count)| count).sum();
            (delivery.sender_id.as_deref().unwrap(), delivery.note.is_some(), jobs)
        })
        .collect();
    assert_eq!(listed[1..], [("twice", false, 1), ("branch", true, 0), ("unknown", true, 0)], "{listed:?}");
    assert_eq!((listed[0].1, listed[0].2), (true, 0), "{listed:?}");

    // None of it changed anything.
    assert_eq!(stage.status(&source())["artifact"]["revision"], format!("master@sha1:{head}"));
    for member in [1, 2] {
        assert_eq!(stage.object(member, "services").await["spec"]["type"], "ClusterIP");
        stage.version(member, 1).await;
    }
    stage.stop().await;
}
