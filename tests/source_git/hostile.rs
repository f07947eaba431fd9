//! Servers and repositories that mean harm, or are just broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use sluice::demo::repository::Change::Write;
use sluice::demo::repository::DemoRepository;
use sluice::model::{Kind, ObjectKey};
use sluice::source::{ArtifactRequest, GitCredentials, GitErrorKind, GitRequest, IgnoreRules, SourceLimits};

use crate::world::*;

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
        // a checksum read as the header of an object may well announce a huge one
        let typed = matches!(
            refused.kind,
            GitErrorKind::Corrupt(_)
                | GitErrorKind::Connection(_)
                | GitErrorKind::Protocol(_)
                | GitErrorKind::TooLarge { .. }
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

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn f16_large_packs_go_through_the_disk_and_too_large_ones_are_refused() {
    let content = noise(3 << 20);
    for (limits, allowed) in [
        (SourceLimits::default(), true),
        (SourceLimits { pack_bytes: 2 << 20, ..SourceLimits::default() }, false),
        (SourceLimits { object_bytes: 2 << 20, ..SourceLimits::default() }, false),
    ] {
        let world = world_with(|server| server, |router| router, limits).await;
        world.repository.commit("main", &[Write("big", &content)], "big").unwrap();
        match allowed {
            true => {
                let checkout = world.fetch(&world.request()).await;
                let read = checkout.repository.read_file("big").await.unwrap();
                assert!(read.as_deref() == Some(content.as_slice()));
            }
            false => {
                let refused = world.failure(&world.request()).await;
                assert!(matches!(refused.kind, GitErrorKind::TooLarge { .. }), "{refused}");
            }
        }
        for kept in world.kept() {
            let left = std::fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(left.filter(|name| name.to_string_lossy().starts_with("incoming-")).count(), 0);
        }
    }
}
