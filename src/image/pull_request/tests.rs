//! Small forges with state: they keep pull requests as the real ones do, and refuse what the real ones refuse.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::*;

const TOKEN: &str = "canary-token";

/// What a forge knows, and how it behaves.
#[derive(Default)]
struct World {
    pulls: Vec<Value>,
    requests: Vec<String>,
    /// Answered instead, once each.
    faults: Vec<Fault>,
    /// Another automation opens the same pull request right before ours.
    race: bool,
}

/// A status, headers, a body.
type Fault = (u16, Vec<(&'static str, &'static str)>, Value);

struct FakeForge {
    world: Arc<Mutex<World>>,
    project: Project,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for FakeForge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Shared = (Forge, Arc<Mutex<World>>);

async fn forge(kind: Forge) -> FakeForge {
    rustls::crypto::ring::default_provider().install_default().ok();
    let world = Arc::new(Mutex::new(World::default()));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(serve).with_state((kind, Arc::clone(&world)));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let path = if kind == Forge::GitLab { "group/sub/app" } else { "team/app" };
    let project = Project::of(&format!("http://{address}/{path}.git"), Some(kind), None).unwrap();
    FakeForge { world, project, server }
}

async fn serve(
    State((kind, world)): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, axum::Json<Value>) {
    let mut world = world.lock().unwrap();
    world.requests.push(format!("{method} {}", uri.path()));
    let (status, extra, answer) = match world.faults.pop() {
        Some(fault) => fault,
        None => {
            let (status, answer) = answer(kind, &mut world, &method, &uri, &headers, &body);
            (status, Vec::new(), answer)
        }
    };
    let mut sent = HeaderMap::new();
    for (name, value) in extra {
        sent.insert(name, value.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), sent, axum::Json(answer))
}

fn answer(
    kind: Forge,
    world: &mut World,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> (u16, Value) {
    let scheme = if kind == Forge::Gitea { "token" } else { "Bearer" };
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if given != Some(&format!("{scheme} {TOKEN}")) {
        return (401, json!({"message": "Bad credentials"}));
    }
    let list = match kind {
        Forge::GitHub => "/api/v3/repos/team/app/pulls",
        Forge::GitLab => "/api/v4/projects/group%2Fsub%2Fapp/merge_requests",
        Forge::Gitea => "/api/v1/repos/team/app/pulls",
    };
    let Some(rest) = uri.path().strip_prefix(list) else { return (404, json!({"message": "Not Found"})) };
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let asked = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let sent: Value = serde_json::from_slice(body).unwrap_or_default();
    match (method.as_str(), rest) {
        ("GET", "") => {
            let fits = |pull: &&Value| match kind {
                Forge::GitHub => {
                    asked("head")
                        .is_none_or(|head| head == format!("team:{}", pull["head"]["ref"].as_str().unwrap()))
                        && asked("base").is_none_or(|base| pull["base"]["ref"] == base)
                        && asked("state") == Some("all")
                }
                Forge::GitLab => {
                    asked("source_branch").is_none_or(|branch| pull["source_branch"] == branch)
                        && asked("target_branch").is_none_or(|branch| pull["target_branch"] == branch)
                }
                Forge::Gitea => true,
            };
            let mut found: Vec<Value> = world.pulls.iter().filter(fits).cloned().collect();
            found.reverse();
            if kind == Forge::Gitea {
                let page: usize = asked("page").unwrap().parse().unwrap();
                let limit: usize = asked("limit").unwrap().parse().unwrap();
                found = found.into_iter().skip((page - 1) * limit).take(limit).collect();
            }
            (200, Value::Array(found))
        }
        ("POST", "") => {
            let (head, base) = match kind {
                Forge::GitLab => ("source_branch", "target_branch"),
                Forge::GitHub | Forge::Gitea => ("head", "base"),
            };
            let head = sent[head].as_str().unwrap().to_owned();
            let base = sent[base].as_str().unwrap().to_owned();
            let text = if kind == Forge::GitLab { "description" } else { "body" };
            let (title, text) = (sent["title"].as_str().unwrap(), sent[text].as_str().unwrap());
            if world.race {
                world.race = false;
                let theirs =
                    pull(kind, world.pulls.len() as u64 + 1, &head, &base, "Theirs", "", "commit-1", true);
                world.pulls.push(theirs);
            }
            let open = |pull: &&Value| match kind {
                Forge::GitLab => pull["state"] == "opened" && pull["source_branch"] == head.as_str(),
                Forge::GitHub | Forge::Gitea => {
                    pull["state"] == "open" && pull["head"]["ref"] == head.as_str()
                }
            };
            if world.pulls.iter().any(|pull| open(&pull)) {
                return match kind {
                    Forge::GitHub => (
                        422,
                        json!({"message": "Validation Failed", "errors": [{"message": format!("A pull request already exists for team:{head}.")}]}),
                    ),
                    Forge::GitLab => (
                        409,
                        json!({"message": ["Another open merge request already exists for this source branch: !1"]}),
                    ),
                    Forge::Gitea => {
                        (409, json!({"message": "pull request already exists for these targets"}))
                    }
                };
            }
            let number = world.pulls.len() as u64 + 1;
            let made = pull(kind, number, &head, &base, title, text, "commit-1", true);
            world.pulls.push(made.clone());
            (201, made)
        }
        ("PATCH" | "PUT", number) => {
            assert_eq!(method.as_str() == "PUT", kind == Forge::GitLab);
            let number: usize = number.trim_start_matches('/').parse().unwrap();
            let pull = &mut world.pulls[number - 1];
            for (key, value) in sent.as_object().unwrap() {
                pull[key.as_str()] = value.clone();
            }
            (200, pull.clone())
        }
        _ => (405, json!({})),
    }
}

#[allow(clippy::too_many_arguments)]
fn pull(
    kind: Forge,
    number: u64,
    head: &str,
    base: &str,
    title: &str,
    text: &str,
    commit: &str,
    open: bool,
) -> Value {
    match kind {
        Forge::GitLab => json!({
            "id": 1000 + number, "iid": number, "state": if open { "opened" } else { "closed" },
            "title": title, "description": text, "web_url": format!("http://forge/mr/{number}"),
            "source_branch": head, "target_branch": base, "sha": commit,
            "source_project_id": 7, "target_project_id": 7,
        }),
        Forge::GitHub | Forge::Gitea => json!({
            "id": 1000 + number, "number": number, "state": if open { "open" } else { "closed" },
            "title": title, "body": text, "html_url": format!("http://forge/pull/{number}"),
            "head": {"ref": head, "sha": commit, "repo": {"full_name": "team/app"}},
            "base": {"ref": base},
        }),
    }
}

fn access() -> Access {
    Access {
        token: TOKEN.into(),
        tls: TlsMaterial::default(),
        proxy: None,
        timeout: Duration::from_secs(20),
        addresses: AddressPolicy::Any,
    }
}

fn wanted() -> Wanted {
    Wanted {
        head: "auto".into(),
        commit: "commit-1".into(),
        base: "main".into(),
        title: "Update images".into(),
        body: "* `1.0.0` → `1.0.1`".into(),
    }
}

const FORGES: [Forge; 3] = [Forge::GitHub, Forge::GitLab, Forge::Gitea];

#[tokio::test]
async fn a_pull_request_is_opened_once_and_then_kept_up_to_date() {
    for kind in FORGES {
        let forge = forge(kind).await;
        let first = settle(&forge.project, &access(), &wanted()).await.unwrap();
        assert_eq!((first.done, first.number), (Done::Opened, 1), "{kind:?}");
        assert!(first.url.starts_with("http://forge/"));
        let second = settle(&forge.project, &access(), &wanted()).await.unwrap();
        assert_eq!(second.done, Done::Unchanged, "{kind:?}");
        let other = Wanted { title: "Update to 1.0.2".into(), commit: "commit-2".into(), ..wanted() };
        let third = settle(&forge.project, &access(), &other).await.unwrap();
        assert_eq!((third.done, third.number), (Done::Updated, 1), "{kind:?}");
        let world = forge.world.lock().unwrap();
        assert_eq!(world.pulls.len(), 1);
        assert_eq!(world.pulls[0]["title"], "Update to 1.0.2");
    }
}

#[tokio::test]
async fn one_that_somebody_else_opens_meanwhile_is_taken_over() {
    for kind in FORGES {
        let forge = forge(kind).await;
        forge.world.lock().unwrap().race = true;
        let settled = settle(&forge.project, &access(), &wanted()).await.unwrap();
        assert_eq!(settled.done, Done::Updated, "{kind:?}");
        let world = forge.world.lock().unwrap();
        assert_eq!((world.pulls.len(), &world.pulls[0]["title"]), (1, &json!("Update images")), "{kind:?}");
    }
}

#[tokio::test]
async fn one_that_was_closed_stays_closed_until_the_branch_changes() {
    for kind in FORGES {
        let forge = forge(kind).await;
        let closed = pull(kind, 1, "auto", "main", "Update images", "", "commit-1", false);
        forge.world.lock().unwrap().pulls.push(closed);
        let settled = settle(&forge.project, &access(), &wanted()).await.unwrap();
        assert_eq!((settled.done, settled.number), (Done::LeftClosed, 1), "{kind:?}");
        let changed = Wanted { commit: "commit-2".into(), ..wanted() };
        let settled = settle(&forge.project, &access(), &changed).await.unwrap();
        assert_eq!((settled.done, settled.number), (Done::Opened, 2), "{kind:?}");
    }
}

#[tokio::test]
async fn pull_requests_of_forks_and_of_other_branches_are_not_touched() {
    for kind in FORGES {
        let forge = forge(kind).await;
        {
            let mut world = forge.world.lock().unwrap();
            let mut fork = pull(kind, 1, "auto", "main", "From a fork", "", "commit-9", true);
            match kind {
                Forge::GitLab => fork["source_project_id"] = json!(8),
                Forge::GitHub | Forge::Gitea => fork["head"]["repo"]["full_name"] = json!("evil/app"),
            }
            // Closed, so that the fake does not mistake it for ours when it looks for duplicates.
            fork["state"] = json!("closed");
            world.pulls.push(fork);
            world.pulls.push(pull(kind, 2, "feature", "main", "A feature", "", "commit-8", true));
        }
        let settled = settle(&forge.project, &access(), &wanted()).await.unwrap();
        assert_eq!((settled.done, settled.number), (Done::Opened, 3), "{kind:?}");
        let world = forge.world.lock().unwrap();
        assert_eq!(
            (&world.pulls[0]["title"], &world.pulls[1]["title"]),
            (&json!("From a fork"), &json!("A feature"))
        );
    }
}

#[tokio::test]
async fn gitea_is_searched_page_by_page() {
    let forge = forge(Forge::Gitea).await;
    {
        let mut world = forge.world.lock().unwrap();
        world.pulls.push(pull(Forge::Gitea, 1, "auto", "main", "Old", "", "commit-0", true));
        for number in 2..=120 {
            world.pulls.push(pull(Forge::Gitea, number, "feature", "main", "Other", "", "x", true));
        }
    }
    let settled = settle(&forge.project, &access(), &wanted()).await.unwrap();
    assert_eq!((settled.done, settled.number), (Done::Updated, 1));
    let lists = forge.world.lock().unwrap().requests.iter().filter(|line| line.starts_with("GET")).count();
    assert_eq!(lists, 3);
}

#[tokio::test]
async fn refusals_are_told_in_the_forges_words_and_without_the_token() {
    let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
    for (fault, expected, after) in [
        (
            (401, vec![], json!({"message": "Bad credentials"})),
            "refused the token (HTTP 401): Bad credentials",
            None,
        ),
        (
            (403, vec![], json!({"message": "no\u{1b}[31m access"})),
            "refused the token (HTTP 403): no [31m access",
            None,
        ),
        ((404, vec![], json!({"message": "Not Found"})), "project `team/app` not found", None),
        ((429, vec![], json!({})), "limits requests (HTTP 429)", None),
        ((429, vec![("retry-after", "7")], json!({})), "limits requests (HTTP 429)", seconds(7)),
        ((403, vec![("retry-after", "60")], json!({})), "limits requests (HTTP 403)", seconds(60)),
        ((403, vec![("x-ratelimit-remaining", "0")], json!({})), "limits requests (HTTP 403)", None),
        (
            (403, vec![("x-ratelimit-remaining", "59")], json!({"message": "no"})),
            "refused the token (HTTP 403): no",
            None,
        ),
        ((502, vec![], json!({"message": "Bad gateway"})), "answered HTTP 502: Bad gateway", None),
        ((302, vec![("location", "http://evil.example/")], json!({})), "a redirect (HTTP 302)", None),
        ((200, vec![], json!({"not": "a list"})), "unexpected answer: no list", None),
    ] {
        let forge = forge(Forge::GitHub).await;
        forge.world.lock().unwrap().faults.push(fault);
        let error = settle(&forge.project, &access(), &wanted()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert_eq!(error.retry_after(), after);
    }
    assert!(!format!("{:?}", access()).contains("canary"));
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_given_up_at_the_deadline() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/team/app", listener.local_addr().unwrap());
    let project = Project::of(&url, Some(Forge::Gitea), None).unwrap();
    let access = Access { timeout: Duration::from_millis(200), ..access() };
    let error = settle(&project, &access, &wanted()).await.unwrap_err();
    assert!(matches!(error, PullRequestError::Unavailable(_)), "{error:?}");
    drop(listener);
}

#[tokio::test]
async fn s14_an_api_at_a_forbidden_address_is_not_asked() {
    let forge = forge(Forge::Gitea).await;
    let access = Access { addresses: AddressPolicy::NoLocal, ..access() };
    let error = settle(&forge.project, &access, &wanted()).await.unwrap_err();
    assert_eq!(error.to_string(), "address 127.0.0.1 is not allowed");
    assert!(forge.world.lock().unwrap().requests.is_empty());
}

#[tokio::test]
async fn behind_a_proxy_it_is_the_proxy_that_connects() {
    let forge = forge(Forge::Gitea).await;
    let address = forge.project.api.strip_suffix("/api/v1").unwrap().to_owned();
    let proxy = Proxy { address, username: None, password: None };
    let access = Access { addresses: AddressPolicy::NoLocal, proxy: Some(proxy), ..access() };
    let project = Project { api: "http://127.9.9.9/api/v1".into(), ..forge.project.clone() };
    let settled = settle(&project, &access, &wanted()).await.unwrap();
    assert_eq!(settled.done, Done::Opened);
}

#[tokio::test]
async fn settings_that_make_no_client_are_said_before_anything_is_asked() {
    let forge = forge(Forge::Gitea).await;
    let project = Project { api: forge.project.api.replace("http:", "https:"), ..forge.project.clone() };
    let tls = TlsMaterial { ca: Some(Vec::new()), client: None };
    let error = settle(&project, &Access { tls, ..access() }, &wanted()).await.unwrap_err();
    assert_eq!(error.to_string(), "`ca.crt` holds no certificate");
    assert!(!error.is_retryable());
}

#[test]
fn the_forge_and_its_api_are_known_by_the_repositorys_url() {
    for (url, forge, api, expected) in [
        ("https://github.com/o/r.git", None, None, Ok((Forge::GitHub, "https://api.github.com", "o/r"))),
        ("ssh://git@github.com/o/r", None, None, Ok((Forge::GitHub, "https://api.github.com", "o/r"))),
        ("https://acme.ghe.com/o/r", None, None, Ok((Forge::GitHub, "https://api.acme.ghe.com", "o/r"))),
        (
            "https://github.acme.io/o/r",
            None,
            None,
            Ok((Forge::GitHub, "https://github.acme.io/api/v3", "o/r")),
        ),
        (
            "https://gitlab.com/g/s/r.git",
            None,
            None,
            Ok((Forge::GitLab, "https://gitlab.com/api/v4", "g/s/r")),
        ),
        (
            "ssh://git@gitlab.acme.io:2222/g/r",
            None,
            None,
            Ok((Forge::GitLab, "https://gitlab.acme.io/api/v4", "g/r")),
        ),
        ("https://codeberg.org/o/r", None, None, Ok((Forge::Gitea, "https://codeberg.org/api/v1", "o/r"))),
        (
            "http://git.lan:3000/o/r",
            Some(Forge::Gitea),
            None,
            Ok((Forge::Gitea, "http://git.lan:3000/api/v1", "o/r")),
        ),
        (
            "https://lan/git/o/r",
            Some(Forge::Gitea),
            Some("https://lan/git/api/v1/"),
            Ok((Forge::Gitea, "https://lan/git/api/v1", "o/r")),
        ),
        ("https://git.lan/o/r", None, None, Err("cannot tell which forge `git.lan` is")),
        ("https://github.com/r", None, None, Err("`owner/name` is expected")),
        ("https://github.com/a/b/c", None, None, Err("`owner/name` is expected")),
        ("https://github.com/o/r", None, Some("file:///etc"), Err("no address of an API")),
        ("https://github.com/o/r", None, Some("https://user@host/"), Err("no address of an API")),
    ] {
        match (Project::of(url, forge, api), expected) {
            (Ok(project), Ok((forge, api, path))) => {
                assert_eq!((project.forge, &*project.api, &*project.path), (forge, api, path), "{url}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{url}: {error}"),
            (found, expected) => panic!("{url}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn a_repositorys_token_goes_to_its_own_host_only_and_not_in_clear() {
    for (url, api, home) in [
        ("https://github.com/o/r", None, true),
        ("https://git.lan/o/r", Some("https://git.lan/api/v1"), true),
        ("https://git.lan/o/r", Some("https://evil.example/api/v1"), false),
        ("https://git.lan/o/r", Some("https://git.lan.evil.example/api/v1"), false),
        ("https://git.lan/o/r", Some("http://git.lan/api/v1"), false),
        ("ssh://git@git.lan/o/r", Some("http://git.lan/api/v1"), false),
        ("ssh://git@git.lan/o/r", Some("https://git.lan/api/v1"), true),
        ("http://git.lan/o/r", Some("http://git.lan/api/v1"), true),
        ("http://git.lan/o/r", Some("https://git.lan/api/v1"), true),
    ] {
        let project = Project::of(url, Some(Forge::GitHub), api).unwrap();
        assert_eq!(project.is_at_home(url), home, "{url} {api:?}");
    }
}

#[test]
fn the_text_says_what_changed_and_nothing_that_differs_from_run_to_run() {
    let pinned = crate::image::Pinned {
        namespace: "apps".into(),
        policy: "app".into(),
        image: "reg.io/app".into(),
        tag: "1.0.1".into(),
        digest: String::new(),
    };
    let content =
        b"tag: \"\" # {\"$imagepolicy\": \"apps:app:tag\"}\nimage: a`b # {\"$imagepolicy\": \"apps:app\"}\n";
    let updated =
        crate::image::update([crate::image::File { path: "values.yaml", content }], &[pinned]).unwrap();
    let (title, body) = describe("apps/auto", "Update images\n\nMore of it\n", &updated.changes);
    assert_eq!(title, "Update images");
    insta::assert_snapshot!(body, @r"
    More of it

    `values.yaml`
    * (nothing) → `1.0.1`
    * `` a`b `` → `reg.io/app:1.0.1`

    Made by the ImageUpdateAutomation `apps/auto`; what is pushed to this branch by hand is overwritten.
    ");
    assert!(text::same(&body, &body.replace('\n', "\r\n")));
    let (title, _) = describe("apps/auto", &"x".repeat(1000), &updated.changes);
    assert_eq!(title.len(), 250);
    let (title, _) = describe("apps/auto", "\n \n", &updated.changes);
    assert_eq!(title, "Update images");
}
