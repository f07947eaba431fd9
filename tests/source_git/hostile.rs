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

/// Two texts of one SHA-1: the first 320 bytes of the SHAttered documents.
fn shattered() -> [Vec<u8>; 2] {
    const PREFIX: &str = "255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f547970652034203020522f537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e6774682038203020522f42697473506572436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe01";
    const ONE: &str = "7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb76038e972722fe7ad728f0e4904e046c230570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1";
    const OTHER: &str = "7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d23c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1";
    [ONE, OTHER].map(|end| hex::decode(format!("{PREFIX}{end}")).unwrap())
}

#[tokio::test]
async fn h76_s34_documents_of_one_sha1_are_two_blobs_and_a_pack_that_swaps_them_is_refused() {
    use sha1::{Digest as _, Sha1};
    let [one, other] = shattered();
    assert!(one != other && Sha1::digest(&one) == Sha1::digest(&other), "they do collide");
    let swap = Arc::new(AtomicUsize::new(0));
    let switch = Arc::clone(&swap);
    let (from, to) = (one.clone(), other.clone());
    let layers = move |router: axum::Router| {
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let swapping = switch.load(Ordering::SeqCst) == 1;
            let (from, to) = (from.clone(), to.clone());
            async move {
                let (head, body) = next.run(request).await.into_parts();
                let mut bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap().to_vec();
                if swapping && let Some(at) = bytes.windows(from.len()).position(|part| part == from) {
                    bytes[at..at + to.len()].copy_from_slice(&to);
                }
                Response::from_parts(head, Body::from(bytes))
            }
        }))
    };
    // with the files stored as they are in the pack, so that one can be put in place of the other on the way
    let world = world_with(|server| server, layers, SourceLimits::default()).await;
    git(world.repository.path(), &["config", "pack.compression", "0"]);
    git(world.repository.path(), &["config", "pack.window", "0"]);
    world.repository.commit("main", &[Write("one.pdf", &one), Write("other.pdf", &other)], "both").unwrap();
    let id = |name: &str| git(world.repository.path(), &["rev-parse", &format!("main:{name}")]);
    // git's ids cover a header, behind which the documents no longer collide
    assert_ne!(id("one.pdf"), id("other.pdf"));
    swap.store(1, Ordering::SeqCst);
    let refused = world.failure(&world.request()).await;
    assert!(matches!(refused.kind, GitErrorKind::Corrupt(_)), "{refused}");
    swap.store(0, Ordering::SeqCst);
    let checkout = world.fetch(&world.request()).await;
    for (name, content) in [("one.pdf", one), ("other.pdf", other)] {
        let read = checkout.repository.read_file(name).await.unwrap();
        assert!(read.as_deref() == Some(content.as_slice()), "{name}");
        assert_eq!(checkout.repository.tree_id(name).await.unwrap().unwrap(), id(name));
    }
}

#[tokio::test]
async fn s34_hostile_trees_reach_neither_the_disk_nor_the_reader() {
    let world = world().await;
    let raw = git2::Repository::open_bare(world.repository.path()).unwrap();
    let blob = raw.blob(b"[core]\nfsmonitor = touch pwned").unwrap();
    let put = |entries: &[(&str, &str, git2::Oid)]| {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend_from_slice(id.as_bytes());
        }
        raw.odb().unwrap().write(git2::ObjectType::Tree, &tree).unwrap()
    };
    let commit = |tree: git2::Oid| {
        let author = git2::Signature::now("a", "b").unwrap();
        let text = format!("tree {tree}\nauthor {author} 0 +0000\ncommitter {author} 0 +0000\n\nhostile\n");
        let commit = raw.odb().unwrap().write(git2::ObjectType::Commit, text.as_bytes()).unwrap();
        raw.reference("refs/heads/main", commit, true, "").unwrap();
    };
    let mut deep = put(&[("100644", "end", blob)]);
    for _ in 0..2000 {
        deep = put(&[("40000", "d", deep)]);
    }
    let config = put(&[("100644", "config", blob)]);
    let out = raw.blob(b"../../../../../../tmp").unwrap();
    let dot_git = raw.blob(b".git").unwrap();
    let trees = [
        ("deep", put(&[("40000", "d", deep)])),
        ("slash", put(&[("100644", "a/../../b", blob)])),
        ("backslash", put(&[("40000", "a\\.git", config)])),
        ("link over directory", put(&[("120000", "x", out), ("40000", "x", config)])),
        ("twice", put(&[("100644", "x", blob), ("100644", "x", blob)])),
        ("link to git", put(&[("120000", "x", dot_git), ("40000", ".GiT", config)])),
        ("modules as link", put(&[("120000", ".gitmodules", out)])),
        ("odd modes", put(&[("104755", "setuid", blob), ("20000", "device", blob), ("0", "none", blob)])),
        ("blob as tree", put(&[("40000", "x", blob)])),
        ("tree as blob", put(&[("100644", "x", config)])),
    ];
    for (what, tree) in trees {
        commit(tree);
        let mut request = world.request();
        request.recurse_submodules = true;
        let checkout = match world.sources.fetch(&request).await {
            Ok(checkout) => checkout,
            Err(refused) => {
                assert!(!refused.to_string().contains("panicked"), "{what}: {refused}");
                continue;
            }
        };
        let limits = checkout.repository.file_limits();
        let read = checkout.repository.files("", &IgnoreRules::none(), limits).await;
        if let Ok(Some(files)) = &read {
            assert!(
                files.keys().all(|path| !path.contains("..") && !path.contains(".git/")),
                "{what}: {files:?}"
            );
        }
        let key = ObjectKey::new(Kind::GitRepository, "ns", "app");
        let stored = ArtifactRequest { key: &key, checkout: &checkout, ignore: None, includes: &[] };
        for text in [
            read.err().map(|error| error.to_string()),
            world.sources.artifact(stored).await.err().map(|error| error.to_string()),
            checkout
                .repository
                .regular_files("", |_| true, limits)
                .await
                .err()
                .map(|error| error.to_string()),
        ] {
            assert!(!text.unwrap_or_default().contains("panicked"), "{what}");
        }
    }
    let state = world.directory.path().join("state");
    let mut places = vec![state];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name != "pwned" && name.to_lowercase() != ".git" && name != "end", "{}", path.display());
            if path.is_dir() {
                places.push(path);
            }
        }
    }
}

#[tokio::test]
async fn h77_endless_progress_beside_a_pack_ends_and_a_fatal_word_is_escaped() {
    for endless in [true, false] {
        let router = axum::Router::new().fallback(move |request: Request| async move {
            let kind = if request.method() == "GET" { "advertisement" } else { "result" };
            let line = |text: &[u8]| {
                let mut line = format!("{:04x}", text.len() + 4).into_bytes();
                line.extend_from_slice(text);
                line
            };
            let id = "0123456789012345678901234567890123456789";
            let body = match kind {
                "advertisement" => Body::from("001e# service=git-upload-pack\n0000000eversion 2\n000els-refs=u\n0012fetch=shallow\n0000"),
                _ => {
                    let asked = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                    if asked.windows(15).any(|part| part == b"command=ls-refs") {
                        Body::from([line(format!("{id} refs/heads/main\n").as_bytes()), b"0000".to_vec()].concat())
                    } else if endless {
                        let first = line(b"packfile\n");
                        let more = line(&[b"\x02".as_slice(), &[b'.'; 1000]].concat());
                        let all = futures::StreamExt::chain(futures::stream::iter([first]), futures::stream::repeat(more));
                        Body::from_stream(futures::StreamExt::map(all, Ok::<_, std::io::Error>))
                    } else {
                        Body::from([line(b"packfile\n"), line(b"\x03\x1b[31mno\x1b]0;title\x07")].concat())
                    }
                }
            };
            let kind = format!("application/x-git-upload-pack-{kind}");
            Response::builder().header(header::CONTENT_TYPE, kind).body(body).unwrap()
        });
        let forge = Forge::start(router).await;
        let world = world().await;
        let refused = world.failure(&GitRequest { url: format!("{}/x", forge.url), ..world.request() }).await;
        match endless {
            true => assert!(matches!(refused.kind, GitErrorKind::TooLarge { .. }), "{refused}"),
            false => assert!(
                refused.to_string().contains("reports: \\u{1b}[31mno\\u{1b}]0;title\\u{7}"),
                "{refused}"
            ),
        }
    }
}

#[tokio::test]
async fn f16_each_answer_of_a_server_has_its_own_word() {
    let world = world().await;
    for (status, words, host) in [
        (StatusCode::FORBIDDEN, "refused the credentials (HTTP 403)", false),
        (StatusCode::NOT_FOUND, "repository not found (HTTP 404)", false),
        (StatusCode::GONE, "repository not found (HTTP 410)", false),
        (StatusCode::INTERNAL_SERVER_ERROR, "answered HTTP 500", true),
        (StatusCode::SERVICE_UNAVAILABLE, "answered HTTP 503", true),
        (StatusCode::IM_A_TEAPOT, "answered HTTP 418", false),
    ] {
        let forge = Forge::start(axum::Router::new().fallback(move || async move { status })).await;
        let refused = world.failure(&GitRequest { url: format!("{}/x", forge.url), ..world.request() }).await;
        assert!(refused.to_string().contains(words), "{refused}");
        assert_eq!((refused.concerns_host(), refused.is_retryable()), (host, true), "{refused}");
    }
    let nowhere = world.failure(&GitRequest { url: "http://git.invalid/x".into(), ..world.request() }).await;
    assert!(matches!(nowhere.kind, GitErrorKind::Connect(_)), "{nowhere}");
    assert!(nowhere.concerns_host() && nowhere.reason() == "GitOperationFailed", "{nowhere}");
}

#[tokio::test]
async fn f16_a_host_that_asks_for_a_pause_gets_it_from_all_its_repositories() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let busy = Forge::start(axum::Router::new().fallback(async || {
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, HeaderValue::from_static("120"))])
    }))
    .await;
    for number in 0..5 {
        let url = format!("{}/{number}.git", busy.url);
        let refused = world.failure(&GitRequest { url, ..world.request() }).await;
        let wait = refused.retry_after().unwrap();
        assert!(wait > Duration::from_secs(100) && wait <= Duration::from_secs(120), "{refused}");
        assert!(
            refused.concerns_host() && refused.is_retryable() && refused.to_string().contains("HTTP 429")
        );
    }
    assert_eq!(busy.asked(), ["GET /0.git/info/refs"]);
    // other hosts are not concerned
    assert_eq!(world.fetch(&world.request()).await.subject, "one");
}

#[tokio::test]
async fn f16_one_byte_a_second_is_no_progress() {
    let world = world().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    let drip = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-advertisement\r\n\r\n001e# service=git-upload-pack\n0000";
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        for byte in answer.iter().cycle() {
            beat.tick().await;
            if socket.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    let request = GitRequest { url, timeout: Duration::from_millis(400), ..world.request() };
    let refused = world.failure(&request).await;
    assert!(matches!(refused.kind, GitErrorKind::Timeout(_)), "{refused}");
    // the connection is given up, not kept waiting
    tokio::time::timeout(Duration::from_secs(20), drip).await.unwrap().unwrap();
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
