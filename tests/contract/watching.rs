//! Watches: resume, selectors, bookmarks, initial events, positions that are too old.

use serde_json::{Value, json};

use crate::client::{Api, Watch, fresh_namespace, patiently};

fn config(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "v": value } },
        "data": { "v": value },
    })
}

fn configs(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

/// The next event that is about one of the test's own objects, as type, name and value.
async fn next(watch: &mut Watch) -> (String, String, String) {
    loop {
        let event = patiently("an event", watch.next()).await.unwrap_or_else(|| panic!("the watch ended"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&event["object"]["metadata"]["name"]);
        if name != "kube-root-ca.crt" {
            return (text(&event["type"]), name, text(&event["object"]["data"]["v"]));
        }
    }
}

fn event(kind: &str, name: &str, value: &str) -> (String, String, String) {
    (kind.to_owned(), name.to_owned(), value.to_owned())
}

pub(crate) async fn events_from_a_version_on(api: &Api) {
    let namespace = fresh_namespace(api, "watch").await;
    let all = configs(&namespace);
    let at = format!("{all}/a");
    api.apply(&at, "m", false, &config("a", "1")).await.expect(201);
    let list = api.get(&all).await.expect(200);
    let from = list["metadata"]["resourceVersion"].as_str().unwrap();
    api.apply(&at, "m", false, &config("a", "2")).await.expect(200);
    api.apply(&at, "m", false, &config("a", "2")).await.expect(200);
    let mut watch = api.watch(&format!("{all}?watch=true&resourceVersion={from}")).await;
    assert_eq!(next(&mut watch).await, event("MODIFIED", "a", "2"));
    api.apply(&format!("{all}/b"), "m", false, &config("b", "1")).await.expect(201);
    assert_eq!(next(&mut watch).await, event("ADDED", "b", "1"), "the apply without a change was no event");
    api.delete(&at, &json!({})).await.expect(200);
    assert_eq!(next(&mut watch).await, event("DELETED", "a", "2"));

    // Without a version the watch begins with what is there.
    let mut watch = api.watch(&format!("{all}?watch=true&timeoutSeconds=1")).await;
    assert_eq!(next(&mut watch).await, event("ADDED", "b", "1"));
    let ended = async { while watch.next().await.is_some() {} };
    patiently("the watch to end by its timeout", ended).await;
}

pub(crate) async fn selectors_turn_changes_into_comings_and_goings(api: &Api) {
    let namespace = fresh_namespace(api, "watch").await;
    let all = configs(&namespace);
    let at = format!("{all}/a");
    let from = api.get(&all).await.expect(200)["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut watch = api.watch(&format!("{all}?watch=true&resourceVersion={from}&labelSelector=v%3D2")).await;
    api.apply(&at, "m", false, &config("a", "1")).await.expect(201);
    api.apply(&at, "m", false, &config("a", "2")).await.expect(200);
    assert_eq!(next(&mut watch).await, event("ADDED", "a", "2"));
    api.apply(&at, "m", false, &config("a", "3")).await.expect(200);
    assert_eq!(next(&mut watch).await, event("DELETED", "a", "2"), "as it was when it still fitted");
}

pub(crate) async fn bookmarks_and_initial_events(api: &Api) {
    let namespace = fresh_namespace(api, "watch").await;
    let all = configs(&namespace);
    api.apply(&format!("{all}/a"), "m", false, &config("a", "1")).await.expect(201);
    let query =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = api.watch(&format!("{all}?{query}&timeoutSeconds=30")).await;
    let mut added = Vec::new();
    let mark = loop {
        let event = patiently("the end of the initial events", watch.next()).await.unwrap();
        match event["type"].as_str() {
            Some("ADDED") => added.push(event["object"]["metadata"]["name"].clone()),
            _ => break event,
        }
    };
    assert!(added.contains(&json!("a")), "{added:?}");
    assert_eq!((&mark["type"], &mark["object"]["kind"]), (&json!("BOOKMARK"), &json!("ConfigMap")));
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let position = mark["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    api.apply(&format!("{all}/a"), "m", false, &config("a", "2")).await.expect(200);
    assert_eq!(next(&mut watch).await, event("MODIFIED", "a", "2"));
    drop(watch);

    // A watch that ends says shortly before how far it is, if that is further than it began; another goes on from
    // there. A real server that is busy in those two seconds leaves it out, so it is asked again.
    let elsewhere = configs(&fresh_namespace(api, "elsewhere").await);
    let path =
        format!("{all}?watch=true&allowWatchBookmarks=true&resourceVersion={position}&timeoutSeconds=4");
    let mut mark = None;
    for n in 0..5 {
        let mut watch = api.watch(&path).await;
        assert_eq!(next(&mut watch).await, event("MODIFIED", "a", "2"));
        api.apply(&format!("{elsewhere}/{n}"), "m", false, &config(&n.to_string(), "1")).await.expect(201);
        mark = patiently("a bookmark", watch.next()).await;
        if mark.is_some() {
            break;
        }
    }
    let mark = mark.expect("no bookmark before the end of any of five watches");
    assert_eq!(mark["type"], "BOOKMARK", "{mark}");
    let position = mark["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.watch(&format!("{all}?watch=true&resourceVersion={position}")).await;
    api.delete(&format!("{all}/a"), &json!({})).await.expect(200);
    assert_eq!(next(&mut watch).await, event("DELETED", "a", "2"));
}

/// A real server keeps old events for minutes, so there it may still know them; if it does not, this is how it says so.
pub(crate) async fn a_version_that_is_too_old(api: &Api) {
    let namespace = fresh_namespace(api, "watch").await;
    let all = configs(&namespace);
    make_one(api, &all).await;
    let mut watch = api.watch(&format!("{all}?watch=true&resourceVersion=1")).await;
    let event = patiently("an answer", watch.next()).await.unwrap();
    if event["type"] == "ERROR" {
        assert_is_gone(&event["object"], 1);
        assert!(patiently("the end", watch.next()).await.is_none());
    }
}

async fn make_one(api: &Api, all: &str) {
    api.apply(&format!("{all}/a"), "m", false, &config("a", "1")).await.expect(201);
}

fn assert_is_gone(status: &Value, version: u64) {
    assert_eq!((&status["code"], &status["reason"]), (&json!(410), &json!("Expired")));
    let text = status["message"].as_str().unwrap();
    assert!(text.starts_with(&format!("too old resource version: {version} (")), "{status}");
}

/// The same where the server can be told to forget.
pub(crate) async fn a_compacted_version_is_gone(api: &Api, compact: impl Fn()) {
    let namespace = fresh_namespace(api, "watch").await;
    let all = configs(&namespace);
    let list = api.get(&all).await.expect(200);
    let from: u64 = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    make_one(api, &all).await;
    let mut watch = api.watch(&format!("{all}?watch=true&resourceVersion={from}")).await;
    assert_eq!(next(&mut watch).await, event("ADDED", "a", "1"));
    compact();
    // In the stream, not as the answer's own code.
    let mut watch = api.watch(&format!("{all}?watch=true&resourceVersion={from}")).await;
    let event = patiently("an answer", watch.next()).await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_is_gone(&event["object"], from);
    assert!(patiently("the end", watch.next()).await.is_none());
}
