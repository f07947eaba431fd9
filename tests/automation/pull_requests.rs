//! Pull-request mode: the branch is pushed, and a forge (Gitea's API) has exactly one pull request for it.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use sluice::model::{Kind, ObjectKey};

use super::world::{COMMIT, NS, World, automation, condition, manifest, revision, surroundings};
use super::{IMAGE, VALUES, pushed};

#[derive(Default)]
struct Gitea {
    pulls: Vec<Value>,
    tokens: Vec<String>,
    down: bool,
}

async fn gitea() -> (String, Arc<Mutex<Gitea>>, tokio::task::JoinHandle<()>) {
    let state = Arc::new(Mutex::new(Gitea::default()));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(serve).with_state(Arc::clone(&state));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, state, server)
}

async fn serve(
    State(state): State<Arc<Mutex<Gitea>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, axum::Json<Value>) {
    let mut state = state.lock().unwrap();
    state.tokens.push(headers["authorization"].to_str().unwrap().to_owned());
    if state.down {
        return (StatusCode::BAD_GATEWAY, axum::Json(json!({"message": "down"})));
    }
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = match (method.as_str(), uri.path().strip_prefix("/api/v1/repos/team/app/pulls")) {
        ("GET", Some("")) => match uri.query().is_some_and(|query| query.contains("page=1")) {
            true => Value::Array(state.pulls.clone()),
            false => json!([]),
        },
        ("POST", Some("")) => {
            let number = state.pulls.len() + 1;
            let made = json!({
                "number": number, "state": "open", "title": sent["title"], "body": sent["body"],
                "html_url": format!("http://forge/pulls/{number}"),
                "head": {"ref": sent["head"], "sha": "x", "repo": {"full_name": "team/app"}},
                "base": {"ref": sent["base"]},
            });
            state.pulls.push(made.clone());
            made
        }
        ("PATCH", Some("/1")) => {
            for (key, value) in sent.as_object().unwrap() {
                state.pulls[0][key.as_str()] = value.clone();
            }
            state.pulls[0].clone()
        }
        _ => return (StatusCode::NOT_FOUND, axum::Json(json!({}))),
    };
    (StatusCode::OK, axum::Json(answer))
}

async fn world(annotations: &str, push: &str) -> World {
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: forge-token, namespace: {NS}}}\nstringData: {{token: canary}}\n"
    );
    let text = manifest(annotations, &format!("  git:\n{COMMIT}{push}"));
    World::start(&[("values.yaml", VALUES)], |url| {
        format!("{}---\n{secret}---\n{text}", surroundings(url, &["image-policy"]))
    })
    .await
}

/// What asks for a pull request on this forge.
fn annotations(api: &str) -> String {
    format!(
        "image.sluice.dev/pull-request: gitea, image.sluice.dev/pull-request-api: \"{api}\", \
         image.sluice.dev/pull-request-secret: forge-token"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_becomes_one_pull_request_and_the_next_one_updates_it() {
    let (api, forge, server) = gitea().await;
    let annotations = annotations(&api);
    let world = world(&annotations, "    push: {branch: auto}\n").await;
    world.settled().await;
    assert!(forge.lock().unwrap().pulls.is_empty(), "nothing is proposed before anything changed");
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    {
        let forge = forge.lock().unwrap();
        assert_eq!(forge.pulls.len(), 1);
        assert_eq!(
            (&forge.pulls[0]["head"]["ref"], &forge.pulls[0]["base"]["ref"]),
            (&json!("auto"), &json!("master"))
        );
        assert_eq!(forge.pulls[0]["title"], "Update from image update automation");
        assert!(forge.pulls[0]["body"].as_str().unwrap().contains("(nothing) → `1.0.0`"));
        assert!(forge.tokens.iter().all(|token| token == "token canary"));
    }
    world.resolve("image-policy", IMAGE, "1.0.1").await;
    pushed(&world, "1.0.1").await;
    assert_eq!(forge.lock().unwrap().pulls.len(), 1);
    assert!(forge.lock().unwrap().pulls[0]["body"].as_str().unwrap().contains("`1.0.1`"));
    let story = world.story(&automation()).await;
    let step = story.steps.iter().rfind(|step| step.step == "pull-request").unwrap();
    assert_eq!(step.detail, "updated pull request 1: http://forge/pulls/1");
    assert_eq!(world.text("master", "values.yaml"), VALUES);
    world.stop().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_is_down_is_asked_again_and_nothing_is_pushed_twice() {
    let (api, forge, server) = gitea().await;
    forge.lock().unwrap().down = true;
    let annotations = annotations(&api);
    let world = world(&annotations, "    push: {branch: auto}\n").await;
    world.settled().await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    let status = world.ready("False").await;
    let message = condition(&status, "Ready")["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "failed to open a pull request for branch 'auto': the forge answered HTTP 502: down");
    let head = world.head("auto");
    assert_eq!(status["lastPushCommit"], head.as_str(), "the push is known all the same");
    forge.lock().unwrap().down = false;
    world.ready("True").await;
    assert_eq!((world.head("auto"), forge.lock().unwrap().pulls.len()), (head, 1));
    world.stop().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_push_branch_is_woken_by_the_run_after_one_that_failed_behind_the_push() {
    let (api, forge, server) = gitea().await;
    forge.lock().unwrap().down = true;
    let annotations = annotations(&api);
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: forge-token, namespace: {NS}}}\nstringData: {{token: canary}}\n"
    );
    let text = manifest(&annotations, &format!("  git:\n{COMMIT}    push: {{branch: auto}}\n"));
    let world = World::start(&[("values.yaml", VALUES)], |url| {
        let follower = format!(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: follower, namespace: {NS}}}\n\
             spec: {{interval: 1h, url: \"{url}\", ref: {{branch: auto}}}}\n"
        );
        format!("{}---\n{follower}---\n{secret}---\n{text}", surroundings(url, &["image-policy"]))
    })
    .await;
    let follower = ObjectKey::new(Kind::GitRepository, NS, "follower");
    world.repository.set_reference("refs/heads/auto", &world.head("master")).unwrap();
    world.until(&follower, |status| revision(status).starts_with("auto@")).await;
    world.settled().await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    world.ready("False").await;
    let head = world.head("auto");
    world.until(&follower, |status| revision(status).ends_with(&head)).await;
    let woken = async || {
        let story = world.queue.story_of_object(&follower, 20).await.unwrap();
        story.jobs.iter().filter(|job| job.payload["push"]["commit"] == head.as_str()).count()
    };
    assert_eq!(woken().await, 1);
    // For all this run knows, the one before ended before it could wake anybody.
    forge.lock().unwrap().down = false;
    world.ready("True").await;
    assert_eq!((woken().await, world.head("auto")), (2, head.clone()));
    world.stop().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_are_said() {
    for (annotations, push, expected) in [
        ("image.sluice.dev/pull-request: gitea", "", "a pull request needs a branch of its own"),
        (
            "image.sluice.dev/pull-request: bitbucket",
            "    push: {branch: auto}\n",
            "`true`, `github`, `gitlab` or `gitea` is expected",
        ),
    ] {
        let world = world(annotations, push).await;
        let status = world.ready("False").await;
        let ready = condition(&status, "Ready");
        assert!(ready["message"].as_str().unwrap().contains(expected), "{ready}");
        assert_eq!(condition(&status, "Stalled")["reason"], "InvalidSourceConfiguration");
        world.stop().await;
    }
}
