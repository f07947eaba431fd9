//! Git sources against a real git server (`git http-backend` behind the demo's forge) and a real `git` client.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use sluice::demo::git_server::{GitServer, Pushed};
use sluice::demo::repository::Change::{Executable, Link, Remove, Submodule, Write};
use sluice::demo::repository::DemoRepository;
use sluice::model::{Clock, Kind, ObjectKey, Revision, Timestamp};
use sluice::source::{
    AddressPolicy, ArtifactRequest, ClientCertificate, FileLimits, GitCheckout, GitCredentials, GitErrorKind,
    GitReference, GitRequest, IgnoreRules, Include, Proxy, SourceLimits, Sources, SshCredentials,
    TlsMaterial,
};

/// A forge with one repository, and a room that fetches from it.
struct World {
    directory: tempfile::TempDir,
    repository: DemoRepository,
    forge: Forge,
    sources: Sources,
    clock: Clock,
}

/// A listening server and what was asked of it.
struct Forge {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forge {
    async fn start(router: axum::Router) -> Self {
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        let router = router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let log = Arc::clone(&log);
            async move {
                let authorized =
                    if request.headers().contains_key(header::AUTHORIZATION) { " auth" } else { "" };
                let line = format!("{} {}{authorized}", request.method(), request.uri().path());
                log.lock().unwrap().push(line);
                next.run(request).await
            }
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, requests, task }
    }

    /// What was asked since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

async fn world() -> World {
    world_with(|server| server, |router| router, SourceLimits::default()).await
}

async fn world_with(
    server: impl FnOnce(GitServer) -> GitServer,
    layers: impl FnOnce(axum::Router) -> axum::Router,
    limits: SourceLimits,
) -> World {
    // another test of this process may have installed it already
    drop(rustls::crypto::ring::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let repository = DemoRepository::create(directory.path().join("git/app.git"), "main").unwrap();
    let router = layers(server(GitServer::new(directory.path().join("git"))).router());
    let forge = Forge::start(router).await;
    let clock = Clock::manual(Timestamp::from_second(1_760_000_000).unwrap());
    let sources = Sources::new(&directory.path().join("state"), limits, clock.clone()).unwrap();
    World { directory, repository, forge, sources, clock }
}

/// Answers as a server that knows only protocol 0.
fn protocol_0(router: axum::Router) -> axum::Router {
    router.layer(axum::middleware::from_fn(|mut request: Request, next: Next| {
        request.headers_mut().remove("git-protocol");
        next.run(request)
    }))
}

impl World {
    fn request(&self) -> GitRequest {
        let mut request = GitRequest::new(format!("{}/app.git", self.forge.url)).branch("main");
        request.timeout = Duration::from_secs(30);
        request
    }

    fn with(&self, reference: GitReference) -> GitRequest {
        GitRequest { reference, ..self.request() }
    }

    async fn fetch(&self, request: &GitRequest) -> GitCheckout {
        self.sources.fetch(request).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn failure(&self, request: &GitRequest) -> sluice::source::GitError {
        self.sources.fetch(request).await.err().unwrap_or_else(|| panic!("the fetch succeeded"))
    }

    fn kept(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.directory.path().join("state/git"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect()
    }
}

async fn read(checkout: &GitCheckout, path: &str) -> Option<String> {
    checkout.repository.read_file(path).await.unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

async fn names(checkout: &GitCheckout, path: &str) -> Vec<String> {
    let limits = checkout.repository.file_limits();
    let files = checkout.repository.files(path, &IgnoreRules::none(), limits).await.unwrap();
    files.unwrap().into_keys().collect()
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Dev", "-c", "user.email=dev@example.com", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn observed(checkout: &GitCheckout) -> Option<Revision> {
    Some(checkout.revision.clone())
}

#[tokio::test]
async fn every_kind_of_reference_gives_fluxs_revision() {
    for layers in [(|router| router) as fn(axum::Router) -> axum::Router, protocol_0] {
        let world = world_with(|server| server, layers, SourceLimits::default()).await;
        let repository = &world.repository;
        let first = repository.commit("main", &[Write("a.txt", b"1")], "first").unwrap();
        let second = repository.commit("main", &[Write("a.txt", b"2")], "second").unwrap();
        let feature = repository.commit("feat/x", &[Write("a.txt", b"f")], "feature").unwrap();
        repository.tag("v1.2.0", &first, "annotated").unwrap();
        repository.set_reference("refs/tags/1.10.0", &second).unwrap();
        repository.set_reference("refs/pull/7/head", &feature).unwrap();
        let reference = GitReference::default;
        let set = |text: &str| Some(text.to_owned());
        for (reference, revision, content) in [
            (GitReference { branch: set("main"), ..reference() }, format!("main@sha1:{second}"), "2"),
            (GitReference { branch: set("feat/x"), ..reference() }, format!("feat/x@sha1:{feature}"), "f"),
            (GitReference { tag: set("v1.2.0"), ..reference() }, format!("v1.2.0@sha1:{first}"), "1"),
            (GitReference { tag: set("1.10.0"), ..reference() }, format!("1.10.0@sha1:{second}"), "2"),
            (GitReference { semver: set("1.x"), ..reference() }, format!("1.10.0@sha1:{second}"), "2"),
            (GitReference { semver: set("~1.2"), ..reference() }, format!("v1.2.0@sha1:{first}"), "1"),
            (
                GitReference { name: set("refs/pull/7/head"), ..reference() },
                format!("refs/pull/7/head@sha1:{feature}"),
                "f",
            ),
            (
                GitReference { name: set("refs/tags/v1.2.0"), ..reference() },
                format!("refs/tags/v1.2.0@sha1:{first}"),
                "1",
            ),
            (GitReference { name: set("HEAD"), ..reference() }, format!("HEAD@sha1:{second}"), "2"),
            (GitReference { commit: set(&first), ..reference() }, format!("sha1:{first}"), "1"),
            (
                GitReference { commit: set(&first), branch: set("main"), ..reference() },
                format!("main@sha1:{first}"),
                "1",
            ),
        ] {
            let request = world.with(reference);
            let checkout = world.fetch(&request).await;
            assert_eq!(checkout.revision.as_str(), revision);
            assert!(checkout.changed);
            assert_eq!(read(&checkout, "a.txt").await.as_deref(), Some(content), "{revision}");
            let again = GitRequest { last_observed: observed(&checkout), ..request };
            assert!(!world.fetch(&again).await.changed, "{revision}");
        }
        let missing = world.failure(&world.with(GitReference { tag: set("v9"), ..reference() })).await;
        assert!(matches!(missing.kind, GitErrorKind::ReferenceNotFound(_)), "{missing}");
        assert_eq!(missing.reason(), "GitOperationFailed");
        let commit = "0123456789012345678901234567890123456789";
        let missing = world.failure(&world.with(GitReference { commit: set(commit), ..reference() })).await;
        assert!(matches!(missing.kind, GitErrorKind::CommitNotFound(_)), "{missing}");
    }
}

#[tokio::test]
async fn a_commit_no_reference_points_to_is_found_with_protocol_0() {
    let world = world_with(|server| server, protocol_0, SourceLimits::default()).await;
    let mut commits = Vec::new();
    for number in 0..40 {
        let text = format!("{number}");
        commits.push(world.repository.commit("main", &[Write("n", text.as_bytes())], "n").unwrap());
    }
    world.fetch(&world.request()).await;
    let request = world.with(GitReference { commit: Some(commits[3].clone()), ..GitReference::default() });
    let checkout = world.fetch(&request).await;
    assert_eq!(read(&checkout, "n").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_push_by_real_git_is_fetched_with_the_fewest_requests() {
    let (sender, mut pushes) = tokio::sync::mpsc::unbounded_channel::<Pushed>();
    let world = world_with(
        |server| server.on_push(move |push| sender.send(push).unwrap()),
        |router| router,
        SourceLimits::default(),
    )
    .await;
    let work = world.directory.path().join("work");
    std::fs::create_dir(&work).unwrap();
    git(&work, &["init", "-q"]);
    let url = format!("{}/app.git", world.forge.url);
    let push = |content: String| {
        let (work, url) = (work.clone(), url.clone());
        tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(work.join("charts/app")).unwrap();
            std::fs::write(work.join("charts/app/values.yaml"), content).unwrap();
            git(&work, &["add", "."]);
            git(&work, &["commit", "-qm", "change the values"]);
            git(&work, &["push", "-q", &url, "HEAD:main"]);
        })
    };
    push("replicas: 1\n".into()).await.unwrap();
    let pushed = pushes.recv().await.unwrap();
    assert_eq!((pushed.repository.as_str(), pushed.reference.as_str()), ("app.git", "refs/heads/main"));
    assert_eq!(pushed.old, None);
    world.forge.asked();
    let first = world.fetch(&world.request().pushed("refs/heads/main", pushed.new.clone().unwrap())).await;
    assert_eq!(
        world.forge.asked(),
        ["GET /app.git/info/refs", "POST /app.git/git-upload-pack", "POST /app.git/git-upload-pack"]
    );
    assert_eq!(first.subject, "change the values");
    assert_eq!(first.author, "Dev <dev@example.com>");

    push("replicas: 2\n".into()).await.unwrap();
    let pushed = pushes.recv().await.unwrap();
    world.forge.asked();
    let mut request = world.request().pushed("refs/heads/main", pushed.new.clone().unwrap());
    request.last_observed = observed(&first);
    let second = world.fetch(&request).await;
    // the list and the pack, side by side
    assert_eq!(world.forge.asked(), ["POST /app.git/git-upload-pack", "POST /app.git/git-upload-pack"]);
    assert_eq!(second.commit, pushed.new.unwrap());
    assert_eq!(read(&second, "charts/app/values.yaml").await.as_deref(), Some("replicas: 2\n"));
    assert_eq!(read(&first, "charts/app/values.yaml").await.as_deref(), Some("replicas: 1\n"));
    // another source of the same repository, told of the same push
    let twin = world.fetch(&request).await;
    assert_eq!(twin.commit, second.commit);
    assert!(world.forge.asked().is_empty(), "the commit is here: no network");
    assert_eq!(world.kept().len(), 1);
}

#[tokio::test]
async fn an_unchanged_branch_costs_one_request() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let first = world.fetch(&world.request()).await;
    world.forge.asked();
    let mut request = world.request();
    request.last_observed = observed(&first);
    let again = world.fetch(&request).await;
    assert!(!again.changed);
    assert_eq!(world.forge.asked(), ["POST /app.git/git-upload-pack"]);
    request.last_observed = Some(Revision::new(format!("main/{}", first.commit)));
    assert!(!world.fetch(&request).await.changed, "the revision as Flux before 0.35 wrote it");
}

#[tokio::test]
async fn concurrent_requests_share_one_fetch() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    world.fetch(&world.request()).await;
    world.repository.commit("main", &[Write("a", b"2")], "two").unwrap();
    world.forge.asked();
    let requests: Vec<GitRequest> = (0..20).map(|_| world.request()).collect();
    let all = futures::future::join_all(requests.iter().map(|request| world.sources.fetch(request))).await;
    for checkout in all {
        assert_eq!(read(&checkout.unwrap(), "a").await.as_deref(), Some("2"));
    }
    let asked = world.forge.asked().len();
    assert!(asked <= 4, "{asked} requests for twenty sources");
}

#[tokio::test]
async fn l4_the_pushed_commit_is_used_exactly_and_an_old_delivery_does_not_turn_the_clock_back() {
    for layers in [(|router| router) as fn(axum::Router) -> axum::Router, protocol_0] {
        let world = world_with(|server| server, layers, SourceLimits::default()).await;
        let repository = &world.repository;
        let base = repository.commit("main", &[Write("n", b"0")], "0").unwrap();
        let start = world.fetch(&world.request()).await;
        let one = repository.commit("main", &[Write("n", b"1")], "1").unwrap();
        let two = repository.commit("main", &[Write("n", b"2")], "2").unwrap();
        let mut request = world.request().pushed("refs/heads/main", one.clone());
        request.last_observed = observed(&start);
        let exact = world.fetch(&request).await;
        assert_eq!(exact.commit, one, "the branch is further on, but this push is what was announced");
        assert_eq!(exact.revision.as_str(), format!("main@sha1:{one}"));
        for old in [&base, &one, &two] {
            let mut replay = world.request().pushed("refs/heads/main", old.clone());
            replay.last_observed = Some(Revision::new(format!("main@sha1:{two}")));
            assert_eq!(world.fetch(&replay).await.commit, two, "a replay of {old} resolves the head");
        }
        let stranger = repository.commit("other", &[Write("n", b"evil")], "other").unwrap();
        let foreign = world.request().pushed("refs/heads/main", stranger);
        assert_eq!(
            world.fetch(&foreign).await.commit,
            two,
            "a commit of another branch is not this branch's"
        );
        let unwatched = world.request().pushed("refs/heads/other", one);
        assert_eq!(world.fetch(&unwatched).await.commit, two);
        let nonsense = world.request().pushed("refs/heads/main", "--upload-pack=touch /tmp/x");
        assert_eq!(world.fetch(&nonsense).await.commit, two);
    }
}

#[tokio::test]
async fn f16_force_push_deleted_branch_and_empty_repository() {
    let world = world().await;
    let repository = &world.repository;
    let empty = world.failure(&world.request()).await;
    assert!(matches!(empty.kind, GitErrorKind::Empty), "{empty}");
    assert_eq!(empty.reason(), "EmptyGitRepository");
    assert!(empty.to_string().contains("git repository is empty"), "{empty}");

    let mut base = String::new();
    for number in 0..30 {
        base = repository.commit("main", &[Write("n", format!("{number}").as_bytes())], "n").unwrap();
    }
    let first = world.fetch(&world.request()).await;
    let tip = repository.commit("main", &[Write("n", b"tip")], "tip").unwrap();
    assert_eq!(world.fetch(&world.request()).await.commit, tip);
    let amended = repository.commit_onto("main", Some(&base), &[Write("n", b"amended")], "amended").unwrap();
    let checkout = world.fetch(&world.request().pushed("refs/heads/main", amended.clone())).await;
    assert_eq!(
        (checkout.commit.as_str(), read(&checkout, "n").await.as_deref()),
        (amended.as_str(), Some("amended"))
    );
    let fresh = repository.commit_onto("main", None, &[Write("n", b"fresh")], "unrelated").unwrap();
    assert_eq!(world.fetch(&world.request()).await.commit, fresh);
    // back to what was there before: nothing to download, but the head counts
    repository.set_reference("refs/heads/main", &base).unwrap();
    let mut back = world.request().pushed("refs/heads/main", base.clone());
    back.last_observed = Some(Revision::new(format!("main@sha1:{tip}")));
    assert_eq!(world.fetch(&back).await.commit, base);

    repository.delete_reference("refs/heads/main").unwrap();
    repository.commit("other", &[Write("n", b"o")], "o").unwrap();
    let gone = world.failure(&world.request()).await;
    assert!(matches!(gone.kind, GitErrorKind::ReferenceNotFound(_)), "{gone}");
    assert_eq!(read(&first, "n").await.as_deref(), Some("29"), "what was fetched stays readable");
}

#[tokio::test]
async fn f16_refusals_are_typed_and_name_no_secret() {
    let world = world_with(
        |server| server.basic_auth("bob", "s3cret".into()),
        |router| router,
        SourceLimits::default(),
    )
    .await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let basic = |password: &str| GitRequest {
        credentials: GitCredentials::Basic { username: "bob".into(), password: password.into() },
        ..world.request()
    };
    assert_eq!(world.fetch(&basic("s3cret")).await.subject, "one");
    let in_url = world.request().url.replace("http://", "http://bob:s3cret@");
    assert_eq!(world.fetch(&GitRequest { url: in_url.clone(), ..world.request() }).await.subject, "one");
    for request in [
        world.request(),
        basic("canary-wrong"),
        GitRequest { credentials: GitCredentials::Bearer("canary-token".into()), ..world.request() },
        GitRequest { url: in_url.replace("s3cret", "canary-url"), ..world.request() },
    ] {
        let refused = world.failure(&request).await;
        assert!(matches!(refused.kind, GitErrorKind::Unauthorized(_)), "{refused}");
        assert_eq!(refused.reason(), "AuthenticationFailed");
        assert!(!refused.concerns_host());
        for text in [refused.to_string(), format!("{refused:?}"), format!("{request:?}")] {
            assert!(!text.contains("canary-wrong") && !text.contains("canary-token"), "{text}");
        }
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
    let missing = GitRequest { url: format!("{}/none.git", world.forge.url), ..basic("s3cret") };
    let missing = world.failure(&missing).await;
    assert!(matches!(missing.kind, GitErrorKind::RepositoryNotFound(_)), "{missing}");
    let closed = GitRequest::new("http://bob:canary@127.0.0.1:1/x");
    let refused = world.failure(&closed).await;
    assert!(matches!(refused.kind, GitErrorKind::Connect(_)), "{refused}");
    assert!(refused.concerns_host() && refused.is_retryable());
    assert_eq!(refused.host().as_deref(), Some("127.0.0.1:1"));
    assert!(!refused.to_string().contains("canary"), "{refused}");
    let invalid = world.failure(&GitRequest::new("ext::sh -c 'echo bob:canary@x'")).await;
    assert_eq!(invalid.reason(), "URLInvalid");
    assert!(!invalid.is_retryable());
}

#[tokio::test]
async fn f16_a_slow_server_ends_at_the_deadline_and_holds_up_nobody_else() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}/x.git", listener.local_addr().unwrap());
    let accept = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    let slow: Vec<GitRequest> = (0..16)
        .map(|number| {
            let mut request = GitRequest::new(silent.replace("x.git", &format!("{number}.git")));
            request.timeout = Duration::from_millis(1500);
            request
        })
        .collect();
    let started = std::time::Instant::now();
    let stuck = futures::future::join_all(slow.iter().map(|request| world.sources.fetch(request)));
    let healthy = async {
        world.fetch(&world.request()).await;
        started.elapsed()
    };
    let (stuck, took) = futures::join!(stuck, healthy);
    assert!(took < Duration::from_millis(1400), "a healthy repository waited {took:?}");
    for refused in stuck {
        let refused = refused.err().unwrap();
        assert!(matches!(refused.kind, GitErrorKind::Timeout(_)), "{refused}");
        assert!(refused.to_string().contains("no result within 1.5s"), "{refused}");
    }
    accept.abort();
}

#[tokio::test]
async fn s15_h78_redirects_leave_neither_the_origin_nor_the_credentials() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let attacker = Forge::start(axum::Router::new().fallback(async || StatusCode::OK)).await;
    let to = |target: String| {
        axum::Router::new().fallback(move || {
            let target = target.clone();
            async move {
                Response::builder()
                    .status(StatusCode::FOUND)
                    .header(header::LOCATION, target)
                    .body(Body::empty())
                    .unwrap()
            }
        })
    };
    for target in [
        format!("{}/app.git/info/refs?service=git-upload-pack", attacker.url),
        "file:///etc/passwd".to_owned(),
        "https://127.0.0.1:1/app.git/info/refs".to_owned(),
        "//169.254.169.254/latest/info/refs".to_owned(),
    ] {
        let forge = Forge::start(to(target.clone())).await;
        let request = GitRequest {
            url: format!("{}/app.git", forge.url),
            credentials: GitCredentials::Basic { username: "bob".into(), password: "s3cret".into() },
            ..world.request()
        };
        let refused = world.failure(&request).await;
        assert!(matches!(refused.kind, GitErrorKind::Redirect(_)), "{target}: {refused}");
        assert_eq!(forge.asked(), ["GET /app.git/info/refs auth"]);
    }
    assert!(attacker.asked().is_empty());
    // within the origin a redirect is followed, and remembered for the requests after it
    let moved = world_with(
        |server| server,
        |router| {
            router.layer(axum::middleware::from_fn(|request: Request, next: Next| async move {
                if !request.uri().path().starts_with("/old/") {
                    return next.run(request).await;
                }
                let place = request.uri().to_string().replace("/old/", "/");
                Response::builder()
                    .status(StatusCode::MOVED_PERMANENTLY)
                    .header(header::LOCATION, place)
                    .body(Body::empty())
                    .unwrap()
            }))
        },
        SourceLimits::default(),
    )
    .await;
    moved.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let request = GitRequest { url: format!("{}/old/app.git", moved.forge.url), ..moved.request() };
    assert_eq!(moved.fetch(&request).await.subject, "one");
    let second = moved.repository.commit("main", &[Write("a", b"2")], "two").unwrap();
    moved.forge.asked();
    assert_eq!(moved.fetch(&request.pushed("refs/heads/main", second)).await.subject, "two");
    assert_eq!(moved.forge.asked().len(), 4, "two for the redirect, the list, the pack");
    let looping = Forge::start(to("/app.git/info/refs".to_owned())).await;
    let refused =
        world.failure(&GitRequest { url: format!("{}/app.git", looping.url), ..world.request() }).await;
    assert!(matches!(refused.kind, GitErrorKind::Protocol(_)), "{refused}");
}

/// Builds a commit whose tree holds these raw entries, as no honest git would write them.
fn hostile(repository: &DemoRepository, entries: &[(&str, &[u8], &[u8])]) -> String {
    let raw = git2::Repository::open_bare(repository.path()).unwrap();
    let mut tree = Vec::new();
    for (mode, name, content) in entries {
        let id = match *mode {
            "40000" => {
                let blob = raw.blob(content).unwrap();
                let mut below = b"100644 config\0".to_vec();
                below.extend_from_slice(blob.as_bytes());
                raw.odb().unwrap().write(git2::ObjectType::Tree, &below).unwrap()
            }
            _ => raw.blob(content).unwrap(),
        };
        tree.extend_from_slice(format!("{mode} ").as_bytes());
        tree.extend_from_slice(name);
        tree.push(0);
        tree.extend_from_slice(id.as_bytes());
    }
    let tree = raw.odb().unwrap().write(git2::ObjectType::Tree, &tree).unwrap();
    let author = git2::Signature::now("a", "b").unwrap();
    let tree = raw.find_tree(tree).unwrap();
    let commit = raw.commit(None, &author, &author, "hostile", &tree, &[]).unwrap();
    raw.reference("refs/heads/main", commit, true, "").unwrap();
    commit.to_string()
}

#[tokio::test]
async fn h71_s34_trees_with_git_directories_are_refused_when_read() {
    let world = world().await;
    for name in [".git", ".GIT", "git~1", ".git ", ".g\u{200c}it", "..", "."] {
        hostile(&world.repository, &[("100644", b"a", b"1"), ("40000", name.as_bytes(), b"[core]")]);
        let checkout = world.fetch(&world.request()).await;
        let limits = checkout.repository.file_limits();
        let refused = checkout.repository.files("", &IgnoreRules::none(), limits).await.unwrap_err();
        assert!(matches!(refused.kind, GitErrorKind::ForbiddenPath(_)), "{name:?}: {refused}");
        assert!(checkout.repository.read_file(&format!("{name}/config")).await.is_err() || name == ".");
        let key = ObjectKey::new(Kind::GitRepository, "ns", "app");
        let request = ArtifactRequest { key: &key, checkout: &checkout, ignore: None, includes: &[] };
        assert_eq!(world.sources.artifact(request).await.unwrap_err().reason(), "ArchiveOperationFailed");
    }
}

#[tokio::test]
async fn h73_s18_links_are_followed_inside_the_tree_only_and_loops_end() {
    let world = world().await;
    world
        .repository
        .commit(
            "main",
            &[
                Write("common/values.yaml", b"shared: 1"),
                Write("charts/app/Chart.yaml", b"name: app"),
                Link("charts/app/values.yaml", "../../common/values.yaml"),
                Link("charts/app/passwd", "/etc/passwd"),
                Link("charts/app/tenant", "../../../other/secret"),
                Link("charts/app/loop", "loop"),
                Link("charts/app/ping", "pong"),
                Link("charts/app/pong", "ping"),
                Link("charts/app/up", ".."),
                Link("charts/app/self", "."),
                Link("charts/app/dir", "../../common"),
                Link("charts/app/gone", "nowhere"),
                Link("charts/app/git", "../../.git/config"),
                Link("alias", "charts/app"),
            ],
            "links",
        )
        .unwrap();
    let checkout = world.fetch(&world.request()).await;
    assert_eq!(
        names(&checkout, "charts/app").await,
        ["Chart.yaml", "dir/values.yaml", "values.yaml"],
        "what leaves the tree, dangles or loops is left out"
    );
    assert_eq!(names(&checkout, "alias").await, names(&checkout, "charts/app").await);
    assert_eq!(read(&checkout, "alias/dir/values.yaml").await.as_deref(), Some("shared: 1"));
    for path in [
        "charts/app/passwd",
        "charts/app/tenant",
        "charts/app/loop",
        "charts/app/ping",
        "charts/app/git",
        "../x",
    ] {
        let refused = checkout.repository.read_file(path).await.unwrap_err();
        assert!(matches!(refused.kind, GitErrorKind::ForbiddenPath(_)), "{path}: {refused}");
    }
    for path in ["charts/app/gone", "charts/app", "none", "charts/app/Chart.yaml/x"] {
        assert_eq!(read(&checkout, path).await, None, "{path}");
    }
}

#[tokio::test]
async fn an_unchanged_tree_id_means_unchanged_files_also_through_links() {
    let world = world().await;
    let repository = &world.repository;
    repository
        .commit(
            "main",
            &[
                Write("docs/readme.md", b"1"),
                Write("common/values.yaml", b"1"),
                Write("plain/Chart.yaml", b"1"),
                Write("linked/Chart.yaml", b"1"),
                Link("linked/values.yaml", "../common/values.yaml"),
            ],
            "one",
        )
        .unwrap();
    async fn ids(world: &World) -> BTreeMap<&'static str, String> {
        let checkout = world.fetch(&world.request()).await;
        let mut found = BTreeMap::new();
        for path in ["plain", "linked", "docs", "common/values.yaml"] {
            found.insert(path, checkout.repository.tree_id(path).await.unwrap().unwrap());
        }
        assert_eq!(checkout.repository.tree_id("none").await.unwrap(), None);
        found
    }
    let before = ids(&world).await;
    repository.commit("main", &[Write("docs/readme.md", b"2")], "docs").unwrap();
    let docs = ids(&world).await;
    assert_eq!((&before["plain"], &before["linked"]), (&docs["plain"], &docs["linked"]));
    assert_ne!(before["docs"], docs["docs"]);
    repository.commit("main", &[Write("common/values.yaml", b"2")], "values").unwrap();
    let values = ids(&world).await;
    assert_eq!(docs["plain"], values["plain"]);
    assert_ne!(docs["linked"], values["linked"], "the link shows another file now");
    assert_ne!(docs["common/values.yaml"], values["common/values.yaml"]);
}

#[tokio::test]
async fn walks_are_bounded() {
    let world = world().await;
    let big = vec![b'x'; 5000];
    world
        .repository
        .commit("main", &[Write("a", b"1"), Write("b", b"2"), Write("c/big", &big)], "three")
        .unwrap();
    let checkout = world.fetch(&world.request()).await;
    let roomy = FileLimits { files: 3, file_bytes: 5000, total_bytes: 5002 };
    let files = async |limits| checkout.repository.files("", &IgnoreRules::none(), limits).await;
    assert_eq!(files(roomy).await.unwrap().unwrap().len(), 3);
    for tight in [
        FileLimits { files: 2, ..roomy },
        FileLimits { file_bytes: 4999, ..roomy },
        FileLimits { total_bytes: 5001, ..roomy },
    ] {
        let refused = files(tight).await.unwrap_err();
        assert!(matches!(refused.kind, GitErrorKind::TooLarge { .. }), "{refused}");
    }
}

#[tokio::test]
async fn h75_a_pack_that_is_cut_off_or_altered_is_refused_and_the_next_fetch_works() {
    let fault = Arc::new(AtomicUsize::new(0));
    let switch = Arc::clone(&fault);
    let layers = move |router: axum::Router| {
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let fault = switch.load(Ordering::SeqCst);
            async move {
                let response = next.run(request).await;
                let (mut head, body) = response.into_parts();
                let mut bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap().to_vec();
                if let Some(pack) = bytes.windows(4).position(|window| window == b"PACK") {
                    let last = bytes.len() - 12;
                    match fault {
                        1 => bytes.truncate(pack + 20),
                        2 => bytes[last] ^= 1,
                        3 => bytes[pack + 30] ^= 0x55,
                        4 => bytes[pack + 11] = 200,
                        _ => {}
                    }
                }
                head.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(head, Body::from(bytes))
            }
        }))
    };
    let world = world_with(|server| server, layers, SourceLimits::default()).await;
    world.repository.commit("main", &[Write("a", &[b'x'; 900])], "one").unwrap();
    for number in 1..=4 {
        fault.store(number, Ordering::SeqCst);
        let refused = world.failure(&world.request()).await;
        let typed = matches!(
            refused.kind,
            GitErrorKind::Corrupt(_) | GitErrorKind::Connection(_) | GitErrorKind::Protocol(_)
        );
        assert!(typed, "fault {number}: {refused}");
    }
    fault.store(0, Ordering::SeqCst);
    assert_eq!(world.fetch(&world.request()).await.subject, "one");
}

#[tokio::test]
async fn h77_endless_lists_and_foreign_servers_end_at_a_limit() {
    let limits = SourceLimits { references: 1000, ..SourceLimits::default() };
    let world = world_with(|server| server, |router| router, limits).await;
    let advertisement = |body: Body| {
        Response::builder()
            .header(header::CONTENT_TYPE, "application/x-git-upload-pack-advertisement")
            .body(body)
            .unwrap()
    };
    let id = "0123456789012345678901234567890123456789";
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let endless = {
        let first =
            format!("001e# service=git-upload-pack\n0000{}", line(format!("{id} refs/heads/a\0agent=x\n")));
        axum::Router::new().fallback(move || {
            let first = first.clone();
            let more = futures::stream::repeat(line(format!("{id} refs/heads/zzzz\n")));
            let all = futures::StreamExt::chain(futures::stream::iter([first]), more);
            let all = futures::StreamExt::map(all, Ok::<_, std::io::Error>);
            async move { advertisement(Body::from_stream(all)) }
        })
    };
    let forge = Forge::start(endless).await;
    let refused = world.failure(&GitRequest { url: format!("{}/x", forge.url), ..world.request() }).await;
    assert!(matches!(refused.kind, GitErrorKind::TooLarge { .. }), "{refused}");

    let talking = axum::Router::new().fallback(move || async move {
        advertisement(Body::from(
            "001e# service=git-upload-pack\n0000002cERR \u{1b}[31mdenied\u{1b}[0m access to this",
        ))
    });
    let forge = Forge::start(talking).await;
    let refused = world.failure(&GitRequest { url: format!("{}/x", forge.url), ..world.request() }).await;
    assert!(!refused.to_string().contains('\u{1b}'), "{refused:?}");

    let website = Forge::start(axum::Router::new().fallback(async || "<html>")).await;
    let refused = world.failure(&GitRequest { url: format!("{}/x", website.url), ..world.request() }).await;
    assert!(matches!(refused.kind, GitErrorKind::Protocol(_)), "{refused}");

    let busy = Forge::start(axum::Router::new().fallback(async || {
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, HeaderValue::from_static("7"))])
    }))
    .await;
    let refused = world.failure(&GitRequest { url: format!("{}/x", busy.url), ..world.request() }).await;
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(7)));
    assert!(refused.concerns_host());
}

#[tokio::test]
async fn h79_commit_texts_are_one_short_line() {
    let world = world().await;
    let message = format!("sub\u{1b}[31mject {}\n\nbody", "x".repeat(1 << 20));
    world.repository.commit("main", &[Write("a", b"1")], &message).unwrap();
    let checkout = world.fetch(&world.request()).await;
    assert!(checkout.subject.starts_with("sub\\u{1b}[31mject xxx"), "{}", checkout.subject);
    assert!(checkout.subject.chars().count() < 600);
}

#[tokio::test]
async fn h80_a_git_lfs_pointer_is_named() {
    let world = world().await;
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    world.repository.commit("main", &[Write("values.yaml", pointer)], "lfs").unwrap();
    let checkout = world.fetch(&world.request()).await;
    let refused = checkout.repository.read_file("values.yaml").await.unwrap_err();
    assert!(matches!(refused.kind, GitErrorKind::LfsPointer(_)), "{refused}");
}

#[tokio::test]
async fn submodules_are_fetched_with_credentials_of_their_own_origin_only() {
    let world = world_with(
        |server| server.basic_auth("bob", "s3cret".into()),
        |router| router,
        SourceLimits::default(),
    )
    .await;
    let root = world.directory.path().join("git");
    let deep = DemoRepository::create(root.join("deep.git"), "main").unwrap();
    let deep_commit = deep.commit("main", &[Write("deep.txt", b"deep")], "deep").unwrap();
    let lib = DemoRepository::create(root.join("lib.git"), "main").unwrap();
    let modules = "[submodule \"d\"]\n\tpath = nested/deep\n\turl = ../deep.git\n";
    let lib_commit = lib
        .commit(
            "main",
            &[
                Write("lib.txt", b"lib"),
                Write(".gitmodules", modules.as_bytes()),
                Submodule("nested/deep", &deep_commit),
            ],
            "lib",
        )
        .unwrap();
    let modules = "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib.git\n";
    let declare = |modules: &str| {
        let changes = [
            Write("a", b"1"),
            Write(".gitmodules", modules.as_bytes()),
            Submodule("vendor/lib", &lib_commit),
        ];
        world.repository.commit("main", &changes, "with a submodule").unwrap()
    };
    declare(modules);
    let request = GitRequest {
        credentials: GitCredentials::Basic { username: "bob".into(), password: "s3cret".into() },
        ..world.request()
    };
    let plain = world.fetch(&request).await;
    assert_eq!(read(&plain, "vendor/lib/lib.txt").await, None);
    let recursive = GitRequest { recurse_submodules: true, ..request };
    let checkout = world.fetch(&recursive).await;
    assert_eq!(read(&checkout, "vendor/lib/lib.txt").await.as_deref(), Some("lib"));
    assert_eq!(read(&checkout, "vendor/lib/nested/deep/deep.txt").await.as_deref(), Some("deep"));
    assert_eq!(
        names(&checkout, "vendor").await,
        ["lib/.gitmodules", "lib/lib.txt", "lib/nested/deep/deep.txt"]
    );

    let attacker = Forge::start(axum::Router::new().fallback(async || StatusCode::UNAUTHORIZED)).await;
    declare(&modules.replace("../lib.git", &format!("{}/lib.git", attacker.url)));
    let refused = world.failure(&recursive).await;
    assert!(matches!(refused.kind, GitErrorKind::Submodule { .. }), "{refused}");
    assert!(attacker.asked().iter().all(|line| !line.contains("auth")), "no credentials for another origin");
    for (from, to) in [
        ("../lib.git", "ext::sh -c id"),
        ("../lib.git", "-u./x"),
        ("vendor/lib", "../x"),
        ("vendor/lib", ".git/x"),
    ] {
        declare(&modules.replace(from, to));
        world.failure(&recursive).await;
    }
}

#[tokio::test]
async fn s7_sparse_checkout_keeps_prefixes_and_refuses_to_leave() {
    let world = world().await;
    world
        .repository
        .commit(
            "main",
            &[
                Write("root.txt", b"1"),
                Write("apps/a.yaml", b"1"),
                Write("infra/b.yaml", b"1"),
                Link("out", "/etc"),
            ],
            "x",
        )
        .unwrap();
    let sparse = |directory: &str| GitRequest { sparse_checkout: vec![directory.into()], ..world.request() };
    let checkout = world.fetch(&sparse("./apps")).await;
    assert_eq!(names(&checkout, "").await, ["apps/a.yaml"]);
    assert_eq!(read(&checkout, "infra/b.yaml").await, None);
    let missing = world.failure(&sparse("none")).await;
    assert!(matches!(missing.kind, GitErrorKind::SparseDirectory(_)), "{missing}");
    for directory in ["../..", "apps/../../x", "out/ssh", ".git"] {
        let refused = world.failure(&sparse(directory)).await;
        assert!(matches!(refused.kind, GitErrorKind::ForbiddenPath(_)), "{directory}: {refused}");
    }
}

/// Name, type, mode, modification time, owner of each entry of a stored artifact.
fn listing(world: &World, path: &str) -> Vec<String> {
    let file = std::fs::File::open(world.directory.path().join("state/artifacts").join(path)).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
            format!("{:o} {}", header.mode().unwrap(), entry.path().unwrap().display())
        })
        .collect()
}

#[tokio::test]
async fn artifacts_are_normalised_shared_swept_and_verified() {
    let world = world().await;
    let repository = &world.repository;
    let changes = [
        Write("charts/app/Chart.yaml", b"name: app"),
        Write("charts/app/icon.png", b"png"),
        Write(".github/workflows/ci.yaml", b"ci"),
        Write(".gitignore", b"x"),
        Write("deploy/app.yaml", b"a"),
        Executable("run.sh", b"#!/bin/sh"),
        Link("link", "run.sh"),
    ];
    let first = repository.commit("main", &changes, "one").unwrap();
    let checkout = world.fetch(&world.request()).await;
    let key = |name: &str| ObjectKey::new(Kind::GitRepository, "ns", name);
    let store = async |name: &str, checkout: &GitCheckout, ignore: Option<&str>| {
        let request = ArtifactRequest { key: &key(name), checkout, ignore, includes: &[] };
        world.sources.artifact(request).await.unwrap()
    };
    let artifact = store("app", &checkout, None).await;
    assert_eq!(artifact.path, format!("gitrepository/ns/app/{first}.tar.gz"));
    assert_eq!(artifact.revision, checkout.revision);
    assert_eq!(artifact.last_update_time, world.clock.now());
    assert_eq!(
        listing(&world, &artifact.path),
        [
            "750 charts",
            "750 charts/app",
            "600 charts/app/Chart.yaml",
            "750 deploy",
            "600 deploy/app.yaml",
            "700 run.sh"
        ],
        "Flux's defaults leave out VCS files, CI and pictures; links are dropped"
    );
    let path = world.sources.verify_artifact(&artifact).await.unwrap().unwrap();
    assert_eq!(artifact.size, std::fs::metadata(&path).unwrap().len());
    let twin = store("twin", &checkout, None).await;
    assert_eq!(twin.digest, artifact.digest);
    let blobs = || std::fs::read_dir(world.directory.path().join("state/artifacts/sha256")).unwrap().count();
    assert_eq!(blobs(), 1, "equal content is stored once");
    let narrow = store("twin", &checkout, Some("/*\n!/deploy/\n")).await;
    assert_eq!(listing(&world, &narrow.path), ["750 deploy", "600 deploy/app.yaml"]);
    let stored = |name: &str| {
        std::fs::read_dir(world.directory.path().join("state/artifacts/gitrepository/ns").join(name))
            .unwrap()
            .count()
    };
    for number in 0..4 {
        world.clock.advance(Duration::from_secs(1));
        repository.commit("main", &[Write("n", format!("{number}").as_bytes())], "n").unwrap();
        let checkout = world.fetch(&world.request()).await;
        let last = store("app", &checkout, None).await;
        assert!(world.sources.verify_artifact(&last).await.unwrap().is_some());
    }
    assert_eq!((stored("app"), stored("twin"), blobs()), (2, 1, 3));
    assert_eq!(world.sources.verify_artifact(&artifact).await.unwrap(), None, "the first is swept");
    let path = world.sources.verify_artifact(&narrow).await.unwrap().unwrap();
    std::fs::write(&path, b"tampered").unwrap();
    assert_eq!(world.sources.verify_artifact(&narrow).await.unwrap(), None);
    world.sources.remove_artifacts(&key("app")).await.unwrap();
    world.sources.remove_artifacts(&key("twin")).await.unwrap();
    assert_eq!(blobs(), 0);
    for (namespace, name) in [("..", "x"), ("ns", "../../x"), ("", "x")] {
        let key = ObjectKey::new(Kind::GitRepository, namespace, name);
        let request = ArtifactRequest { key: &key, checkout: &checkout, ignore: None, includes: &[] };
        assert_eq!(world.sources.artifact(request).await.unwrap_err().reason(), "IllegalPath");
    }
}

#[tokio::test]
async fn includes_take_part_of_another_artifact() {
    let world = world().await;
    let other = DemoRepository::create(world.directory.path().join("git/other.git"), "main").unwrap();
    other
        .commit(
            "main",
            &[Write("base/b.yaml", b"b"), Write("x.yaml", b"x"), Write("base/pic.png", b"p")],
            "o",
        )
        .unwrap();
    world.repository.commit("main", &[Write("a.yaml", b"a")], "a").unwrap();
    let key = |name: &str| ObjectKey::new(Kind::GitRepository, "ns", name);
    let request = GitRequest { url: format!("{}/other.git", world.forge.url), ..world.request() };
    let included = world.fetch(&request).await;
    let (other_key, app_key) = (key("other"), key("app"));
    let request = ArtifactRequest { key: &other_key, checkout: &included, ignore: None, includes: &[] };
    let artifact = world.sources.artifact(request).await.unwrap();
    let include = Include { artifact, from_path: "./base".into(), to_path: "vendor/base".into() };
    let checkout = world.fetch(&world.request()).await;
    let includes = [include.clone()];
    let request = ArtifactRequest { key: &app_key, checkout: &checkout, ignore: None, includes: &includes };
    let combined = world.sources.artifact(request).await.unwrap();
    assert_eq!(
        listing(&world, &combined.path),
        ["600 a.yaml", "750 vendor", "750 vendor/base", "600 vendor/base/b.yaml"]
    );
    let reading = world.sources.with_includes(&checkout, &includes).await.unwrap();
    assert_eq!(read(&reading, "vendor/base/b.yaml").await.as_deref(), Some("b"));
    assert_eq!(names(&reading, "").await, ["a.yaml", "vendor/base/b.yaml"]);
    assert_ne!(reading.repository.tree_id("").await.unwrap(), checkout.repository.tree_id("").await.unwrap());
    for (from, to, reason) in
        [("none", "v", "CopyFailure"), ("../x", "v", "CopyFailure"), ("", "../x", "IllegalPath")]
    {
        let include = Include { from_path: from.into(), to_path: to.into(), ..include.clone() };
        let refused = world.sources.with_includes(&checkout, &[include]).await.unwrap_err();
        assert_eq!(refused.reason(), reason, "{refused}");
    }
}

#[tokio::test]
async fn sourceignore_files_count_from_where_they_stand() {
    let world = world().await;
    world
        .repository
        .commit(
            "main",
            &[
                Write(".sourceignore", b"*.md\n"),
                Write("readme.md", b"1"),
                Write("a/.sourceignore", b"/x.yaml\n!keep.md\n"),
                Write("a/x.yaml", b"1"),
                Write("a/b/x.yaml", b"1"),
                Write("a/keep.md", b"1"),
                Write("pic.png", b"1"),
            ],
            "x",
        )
        .unwrap();
    let checkout = world.fetch(&world.request()).await;
    let left = async |spec: Option<&str>| {
        let rules = checkout.repository.ignore_rules(spec).await.unwrap();
        let files = checkout.repository.files("", &rules, checkout.repository.file_limits()).await.unwrap();
        files.unwrap().into_keys().collect::<Vec<_>>()
    };
    assert_eq!(
        left(None).await,
        [".sourceignore", "a/.sourceignore", "a/b/x.yaml", "a/keep.md", "pic.png"],
        "one pattern anywhere drops the defaults"
    );
    assert_eq!(left(Some("a/\n!readme.md")).await, [".sourceignore", "pic.png", "readme.md"]);
    world
        .repository
        .commit("main", &[Remove(".sourceignore"), Remove("a/.sourceignore")], "without")
        .unwrap();
    let bare = world.fetch(&world.request()).await;
    let rules = bare.repository.ignore_rules(None).await.unwrap();
    assert!(rules.excludes("pic.png", false));
}

#[tokio::test]
async fn f23_a_damaged_copy_is_fetched_afresh() {
    let world = world().await;
    let first = world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    // each round is a new room, as after a restart
    for damage in ["none", "truncate", "remove", "head"] {
        if let Some(kept) = world.kept().pop() {
            for entry in std::fs::read_dir(kept.join("objects/pack")).unwrap() {
                let path = entry.unwrap().path();
                match damage {
                    "truncate" => {
                        std::fs::remove_file(&path).unwrap();
                        std::fs::write(&path, b"").unwrap();
                    }
                    "remove" => std::fs::remove_file(&path).unwrap(),
                    _ => {}
                }
            }
            if damage == "head" {
                std::fs::write(kept.join("HEAD"), b"nonsense").unwrap();
                std::fs::write(kept.join("config"), b"[nonsense").unwrap();
            }
        }
        let state = world.directory.path().join("state");
        let sources = Sources::new(&state, SourceLimits::default(), world.clock.clone()).unwrap();
        let checkout =
            sources.fetch(&world.request()).await.unwrap_or_else(|error| panic!("{damage}: {error}"));
        assert_eq!(checkout.commit, first, "{damage}");
        assert_eq!(read(&checkout, "a").await.as_deref(), Some("1"), "{damage}");
    }
}

#[tokio::test]
async fn a_long_history_is_fetched_shallow_and_then_step_by_step() {
    for layers in [(|router| router) as fn(axum::Router) -> axum::Router, protocol_0] {
        let world = world_with(|server| server, layers, SourceLimits::default()).await;
        let repository = &world.repository;
        for number in 0..60 {
            let content = format!("{number}");
            repository.commit("main", &[Write(&format!("dir/{number}"), content.as_bytes())], "n").unwrap();
        }
        let first = world.fetch(&world.request()).await;
        let kept = world.kept().remove(0);
        let count = || git(&kept, &["rev-list", "--count", "--all"]);
        assert_eq!(count(), "20", "a first fetch takes twenty generations");
        assert_eq!(names(&first, "dir").await.len(), 60);
        for number in 60..70 {
            let content = format!("{number}");
            repository.commit("main", &[Write(&format!("dir/{number}"), content.as_bytes())], "n").unwrap();
            // an old blob comes back: the server must not think that we have it from before the boundary
            repository.commit("main", &[Write("again", format!("{}", number - 58).as_bytes())], "n").unwrap();
            let checkout = world.fetch(&world.request()).await;
            assert_eq!(read(&checkout, "again").await, Some(format!("{}", number - 58)));
        }
        git(&kept, &["fsck", "--connectivity-only"]);
        let branch = repository.commit_onto("side", None, &[Write("s", b"s")], "side").unwrap();
        let side = GitRequest {
            reference: GitReference { branch: Some("side".into()), ..GitReference::default() },
            ..world.request()
        };
        assert_eq!(world.fetch(&side).await.commit, branch);
        git(&kept, &["fsck", "--connectivity-only"]);
    }
}

#[tokio::test]
async fn many_small_packs_become_one_and_unused_repositories_go() {
    let world = world().await;
    let repository = &world.repository;
    let mut old = None;
    for number in 0..45 {
        repository.commit("main", &[Write(&format!("d/{number}"), b"x")], "n").unwrap();
        let checkout = world.fetch(&world.request()).await;
        old.get_or_insert(checkout);
    }
    let packs = || std::fs::read_dir(world.kept()[0].join("objects/pack")).unwrap().count();
    assert_eq!(packs(), 90);
    world.sources.tidy().await.unwrap();
    assert_eq!(packs(), 2);
    git(&world.kept()[0], &["fsck", "--connectivity-only"]);
    assert_eq!(names(&old.take().unwrap(), "d").await, ["0"]);
    assert_eq!(names(&world.fetch(&world.request()).await, "d").await.len(), 45);
    world.sources.tidy().await.unwrap();
    assert_eq!(world.kept().len(), 1);
    world.sources.tidy().await.unwrap();
    assert_eq!(world.kept().len(), 0, "no fetch since the last time");
    assert_eq!(names(&world.fetch(&world.request()).await, "d").await.len(), 45);
}

#[tokio::test]
async fn s14_local_addresses_are_refused_on_request() {
    let limits = SourceLimits { addresses: AddressPolicy::NoLocal, ..SourceLimits::default() };
    let world = world_with(|server| server, |router| router, limits).await;
    let named = world.forge.url.replace("127.0.0.1", "localhost");
    for url in [&world.forge.url, &named] {
        let refused = world.failure(&GitRequest { url: format!("{url}/app.git"), ..world.request() }).await;
        assert!(refused.to_string().contains("is not allowed"), "{refused}");
    }
    assert!(world.forge.asked().is_empty());
    let known_hosts = "* ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let key = tempfile::tempdir().unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(key.path().join("key"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let refused = world
        .failure(&GitRequest {
            url: "ssh://git@127.0.0.1:1/x".into(),
            credentials: GitCredentials::Ssh(SshCredentials {
                identity: std::fs::read_to_string(key.path().join("key")).unwrap().into(),
                password: None,
                known_hosts: known_hosts.into(),
            }),
            ..world.request()
        })
        .await;
    assert!(matches!(refused.kind, GitErrorKind::ForbiddenAddress(_)), "{refused}");
}

/// Serves `router` over TLS; the client must show a certificate of `clients` if there is one.
async fn tls(
    router: axum::Router,
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
    clients: Option<&rcgen::Certificate>,
) -> String {
    use rustls::server::WebPkiClientVerifier;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![certificate.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
                drop(connection.await);
            });
        }
    });
    url
}

#[tokio::test]
async fn https_takes_the_secrets_authority_and_client_certificate() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let client = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let forge = || GitServer::new(world.directory.path().join("git")).router();
    let plain = tls(forge(), &certificate, None).await;
    let mutual = tls(forge(), &certificate, Some(&client.cert)).await;
    let ca = Some(certificate.cert.pem().into_bytes());
    let shown = Some(ClientCertificate {
        certificate: client.cert.pem().into_bytes(),
        key: client.signing_key.serialize_pem().into(),
    });
    let request =
        |url: &str, tls: TlsMaterial| GitRequest { url: format!("{url}/app.git"), tls, ..world.request() };
    let trusting = TlsMaterial { ca: ca.clone(), client: None };
    assert_eq!(world.fetch(&request(&plain, trusting.clone())).await.subject, "one");
    assert_eq!(world.fetch(&request(&mutual, TlsMaterial { ca, client: shown })).await.subject, "one");
    for request in [request(&plain, TlsMaterial::default()), request(&mutual, trusting)] {
        let refused = world.failure(&request).await;
        let typed = matches!(refused.kind, GitErrorKind::Connect(_) | GitErrorKind::Connection(_));
        assert!(typed, "{refused}");
    }
    let unusable = TlsMaterial { ca: Some(b"no certificate".to_vec()), client: None };
    let refused = world.failure(&request(&plain, unusable)).await;
    assert_eq!(refused.reason(), "AuthenticationFailed", "{refused}");
}

#[tokio::test]
async fn a_proxy_is_used_and_asked_with_its_own_credentials() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    // a proxy for plain http gets the whole URL; this one is the forge itself
    let forge = GitServer::new(world.directory.path().join("git")).router();
    let proxy = Forge::start(forge.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let given = request.headers().get(header::PROXY_AUTHORIZATION).cloned();
        log.lock().unwrap().push(format!("{:?} {:?}", request.uri().host(), given.is_some()));
        next.run(request)
    })))
    .await;
    let request = GitRequest {
        url: "http://git.invalid/app.git".into(),
        proxy: Some(Proxy {
            address: proxy.url.clone(),
            username: Some("me".into()),
            password: Some("canary".into()),
        }),
        ..world.request()
    };
    assert_eq!(world.fetch(&request).await.subject, "one");
    let seen = seen.lock().unwrap().clone();
    assert!(!seen.is_empty() && seen.iter().all(|line| line == "Some(\"git.invalid\") true"), "{seen:?}");
    assert!(!format!("{request:?}").contains("canary"));
}

/// A real sshd on a free port, for the user who runs the tests.
struct Sshd {
    port: u16,
    child: std::process::Child,
    host_key: String,
    identity: String,
    user: String,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn sshd(directory: &Path) -> Option<Sshd> {
    let program = "/usr/sbin/sshd";
    if !Path::new(program).exists() {
        return None;
    }
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "host"]);
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "open sesame", "-f", "user"]);
    let user = run("id", &["-un"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = |name: &str| directory.join(name).display().to_string();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n",
        at("host"),
        at("user.pub"),
    );
    std::fs::write(directory.join("sshd_config"), config).unwrap();
    // sshd started by root wants it; by anybody else it does not matter
    drop(std::fs::create_dir_all("/run/sshd"));
    let mut child = Command::new(program)
        .args(["-D", "-e", "-f", &at("sshd_config")])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let listening = words.by_ref().map_while(Result::ok).any(|line| line.contains("Server listening"));
    assert!(listening, "sshd did not start");
    // its output is read to the end, so that it never waits for us
    std::thread::spawn(move || words.count());
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let host_key = read("host.pub").split(' ').take(2).collect::<Vec<_>>().join(" ");
    Some(Sshd { port, child, host_key, identity: read("user"), user })
}

#[tokio::test]
async fn s17_ssh_works_with_the_listed_host_key_and_with_no_other() {
    let world = world().await;
    let keys = tempfile::tempdir().unwrap();
    let Some(server) = sshd(keys.path()) else {
        eprintln!("skipped: /usr/sbin/sshd is not installed (apt-get install openssh-server)");
        return;
    };
    let first = world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let path = world.repository.path().display().to_string();
    let url = format!("ssh://{}@127.0.0.1:{}{path}", server.user, server.port);
    let host = format!("[127.0.0.1]:{}", server.port);
    let request = |known_hosts: String, password: &str| GitRequest {
        url: url.clone(),
        credentials: GitCredentials::Ssh(SshCredentials {
            identity: server.identity.clone().into(),
            password: Some(password.into()),
            known_hosts,
        }),
        ..world.request()
    };
    let trusted = format!("{host} {}\n", server.host_key);
    let checkout = world.fetch(&request(trusted.clone(), "open sesame")).await;
    assert_eq!(
        (checkout.commit.as_str(), read(&checkout, "a").await.as_deref()),
        (first.as_str(), Some("1"))
    );
    let second = world.repository.commit("main", &[Write("a", b"2")], "two").unwrap();
    let mut again = request(trusted.clone(), "open sesame");
    again.last_observed = observed(&checkout);
    let again = world.fetch(&again).await;
    assert_eq!((again.commit, again.changed), (second, true));
    let tag = GitReference { commit: Some(first), ..GitReference::default() };
    world.fetch(&GitRequest { reference: tag, ..request(trusted.clone(), "open sesame") }).await;

    let changed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    for (known_hosts, password, words) in [
        (format!("{host} {changed}\n"), "open sesame", "shows another key"),
        (format!("other.example.com {}\n", server.host_key), "open sesame", "has no key for"),
        (format!("@revoked * {}\n{trusted}", server.host_key), "open sesame", "revokes"),
        (String::new(), "open sesame", "no `known_hosts`"),
        (trusted.clone(), "canary-wrong", "`password` does not open it"),
    ] {
        let refused = world.failure(&request(known_hosts.clone(), password)).await;
        assert!(refused.to_string().contains(words), "{known_hosts}: {refused}");
        assert_eq!(refused.reason(), "AuthenticationFailed", "{refused}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
    let missing = GitRequest { url: format!("{url}-none"), ..request(trusted.clone(), "open sesame") };
    let missing = world.failure(&missing).await;
    assert!(matches!(missing.kind, GitErrorKind::RepositoryNotFound(_)), "{missing}");
    let stranger = tempfile::tempdir().unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(stranger.path().join("key"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let refused = world
        .failure(&GitRequest {
            credentials: GitCredentials::Ssh(SshCredentials {
                identity: std::fs::read_to_string(stranger.path().join("key")).unwrap().into(),
                password: None,
                known_hosts: trusted,
            }),
            ..request(String::new(), "")
        })
        .await;
    assert!(matches!(refused.kind, GitErrorKind::Unauthorized(_)), "{refused}");
}
