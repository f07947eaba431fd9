//! Commits made here and pushed to a real git server, against hooks, races and broken connections.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode, header};
use axum::middleware::Next;
use sluice::demo::repository::Change::{Executable, Link, Submodule, Write};
use sluice::model::Timestamp;
use sluice::source::{
    Expected, GitCheckout, GitCredentials, GitErrorKind, GitIdentity, GitPush, GitRequest, NewCommit,
    PushError, RefUpdate, SourceLimits, Sources,
};

use crate::world::*;

const MAIN: &str = "refs/heads/main";

fn change(path: &str, content: &str) -> NewCommit {
    NewCommit {
        changes: BTreeMap::from([(path.to_owned(), content.as_bytes().to_vec())]),
        author: GitIdentity { name: "Flux Bot".into(), email: "flux@example.com".into() },
        time: Timestamp::from_second(1_760_000_000).unwrap(),
        message: format!("Set {path}"),
        signing: None,
    }
}

fn update(reference: &str, expected: Option<&str>) -> RefUpdate {
    let expected = expected.map_or(Expected::Absent, |commit| Expected::At(commit.to_owned()));
    RefUpdate { reference: reference.into(), expected, force: false }
}

fn push_of(commit: &GitCheckout, updates: Vec<RefUpdate>) -> GitPush {
    GitPush { commit: commit.commit.clone(), updates, options: Vec::new() }
}

/// A world whose repository holds a file, and the checkout of it.
async fn world_and_base() -> (World, GitCheckout) {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"1\n"), Write("dir/b", b"1\n")], "one").unwrap();
    let base = world.fetch(&world.request()).await;
    world.forge.asked();
    (world, base)
}

impl World {
    async fn commit(&self, onto: &GitCheckout, path: &str, content: &str) -> GitCheckout {
        self.sources.commit(onto, change(path, content)).await.unwrap_or_else(|error| panic!("{error}"))
    }

    fn head(&self, branch: &str) -> Option<String> {
        self.repository.head(branch).unwrap()
    }

    fn hook(&self, name: &str, script: &str) {
        let path = self.repository.path().join("hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // written aside and moved: a script that is open for writing cannot be run
        let aside = path.with_extension("new");
        std::fs::write(&aside, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(aside, path).unwrap();
    }

    fn configure(&self, key: &str, value: &str) {
        git(self.repository.path(), &["config", key, value]);
    }
}

#[tokio::test]
async fn a_commit_changes_one_file_and_is_pushed_with_two_requests() {
    let world = world().await;
    let other = "0123456789012345678901234567890123456789";
    let files = [
        Write("charts/app/values.yaml", b"tag: 1\n"),
        Write("charts/app/readme", b"r"),
        Executable("bin/run", b"#!/bin/sh\n"),
        Link("link", "charts"),
        Submodule("vendor/lib", other),
        Write("top", b"t"),
    ];
    world.repository.commit("main", &files, "one").unwrap();
    let base = world.fetch(&world.request()).await;
    let bare = world.repository.path();
    let before = git(bare, &["ls-tree", "-r", "main"]);
    world.forge.asked();

    let mut edit = change("charts/app/values.yaml", "tag: 2\n");
    edit.changes.insert("./bin/run".into(), b"#!/bin/sh\ntrue\n".to_vec());
    edit.message = "Tag 2\n\nwith a body, no line feed at its end".into();
    let made = world.sources.commit(&base, edit).await.unwrap();
    assert!(made.changed && made.revision.as_str() == format!("main@sha1:{}", made.commit));
    assert_eq!((made.subject.as_str(), made.author.as_str()), ("Tag 2", "Flux Bot <flux@example.com>"));
    assert_eq!(read(&made, "link/app/values.yaml").await.as_deref(), Some("tag: 2\n"));
    assert_eq!(read(&base, "charts/app/values.yaml").await.as_deref(), Some("tag: 1\n"));
    assert!(world.forge.asked().is_empty());

    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    world.sources.push(&world.request(), &push).await.unwrap();
    assert_eq!(world.forge.asked(), ["GET /app.git/info/refs", "POST /app.git/git-receive-pack"]);
    assert_eq!(world.head("main").unwrap(), made.commit);

    let after = git(bare, &["ls-tree", "-r", "main"]);
    let changed: Vec<_> = before.lines().zip(after.lines()).filter(|(one, other)| one != other).collect();
    assert_eq!(before.lines().count(), after.lines().count());
    assert_eq!(changed.len(), 2, "{changed:?}");
    for (one, other) in changed {
        let without_id =
            |line: &str| line.split(' ').next().unwrap().to_owned() + line.split('\t').nth(1).unwrap();
        assert_eq!(without_id(one), without_id(other));
    }
    let raw = git(bare, &["cat-file", "commit", "main"]);
    let expected = format!(
        "tree {}\nparent {}\nauthor Flux Bot <flux@example.com> 1760000000 +0000\ncommitter Flux Bot <flux@example.com> 1760000000 +0000\n\nTag 2\n\nwith a body, no line feed at its end",
        git(bare, &["rev-parse", "main^{tree}"]),
        base.commit
    );
    assert_eq!(raw, expected);
    git(bare, &["fsck", "--strict", "--connectivity-only"]);

    // what we pushed is known: the hook of it asks nobody
    world.forge.asked();
    let again = world.fetch(&world.request().pushed(MAIN, made.commit.clone())).await;
    assert_eq!(again.commit, made.commit);
    assert!(world.forge.asked().is_empty());
    // and so is that it has already happened
    world.sources.push(&world.request(), &push).await.unwrap();
    assert_eq!(world.forge.asked(), ["GET /app.git/info/refs"]);
}

#[tokio::test]
async fn commits_that_cannot_be_made_say_which_path_and_why() {
    let world = world().await;
    let files = [Write("a", b"1"), Link("link", "a"), Link("out", "../x"), Submodule("sub", &"1".repeat(40))];
    world.repository.commit("main", &files, "one").unwrap();
    world.repository.commit("main", &[Write("dir/b", b"1")], "two").unwrap();
    let base = world.fetch(&world.request()).await;
    for path in ["link", "out", "sub", "sub/x", "link/x", "dir", "new", "dir/new", "new/new", "a/b"] {
        let refused = world.sources.commit(&base, change(path, "2")).await.unwrap_err();
        assert!(matches!(&refused.kind, GitErrorKind::NotAFile(_)), "{path}: {refused}");
        assert!(!refused.is_retryable());
    }
    for path in ["../a", "/../a", ".git/config", "a/../../b", "", ".", "dir/.GIT/x"] {
        let refused = world.sources.commit(&base, change(path, "2")).await.unwrap_err();
        assert!(matches!(refused.kind, GitErrorKind::ForbiddenPath(_)), "{path}: {refused}");
    }
    let mut twice = change("dir/b", "2");
    twice.changes.insert("./dir//b".into(), b"3".to_vec());
    assert!(world.sources.commit(&base, twice).await.is_err());
    for (mut wrong, words) in [
        (change("a", "1"), "change nothing"),
        (NewCommit { message: "a\0b".into(), ..change("a", "2") }, "NUL"),
        (NewCommit { message: "x".repeat(2 << 20), ..change("a", "2") }, "exceeds the limit"),
    ] {
        wrong.signing = None;
        let refused = world.sources.commit(&base, wrong).await.unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
    }
}

#[tokio::test]
async fn f19_of_two_pushes_at_once_one_wins_and_the_other_learns_where_the_branch_stands() {
    let (world, base) = world_and_base().await;
    let made = world.commit(&base, "a", "ours\n").await;
    // somebody else is faster
    let theirs = world.repository.commit("main", &[Write("dir/b", b"theirs\n")], "theirs").unwrap();
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    let refused = world.sources.push(&world.request(), &push).await.unwrap_err();
    match &refused {
        PushError::Moved { reference, now } => {
            assert_eq!((reference.as_str(), now.as_deref()), (MAIN, Some(theirs.as_str())));
        }
        other => panic!("{other}"),
    }
    assert_eq!(world.forge.asked(), ["GET /app.git/info/refs"], "nothing was sent");
    // what was not pushed is never taken for what the server has
    for request in [world.request(), world.request().pushed(MAIN, made.commit.clone())] {
        assert_eq!(world.fetch(&request).await.commit, theirs);
    }
    let base = world.fetch(&world.request()).await;
    let made = world.commit(&base, "a", "ours\n").await;
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    world.sources.push(&world.request(), &push).await.unwrap();
    assert_eq!(world.head("main").unwrap(), made.commit);
    for expected in [None, Some("1".repeat(40))] {
        let made = world.commit(&made, "a", "more\n").await;
        let push = push_of(&made, vec![update(MAIN, expected.as_deref())]);
        let refused = world.sources.push(&world.request(), &push).await.unwrap_err();
        assert!(matches!(refused, PushError::Moved { .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_six_writers_of_one_branch_all_get_through_within_their_tries() {
    let (world, _) = world_and_base().await;
    // each with a room of its own, as agents on six machines
    let tries = AtomicUsize::new(0);
    let writers = (0..6).map(|number| {
        let (world, tries) = (&world, &tries);
        async move {
            let state = world.directory.path().join(format!("state-{number}"));
            let sources = Sources::new(&state, SourceLimits::default(), world.clock.clone()).unwrap();
            for _ in 0..20 {
                tries.fetch_add(1, Ordering::SeqCst);
                let base = sources.fetch(&world.request()).await.unwrap();
                let text = format!("{}{number}\n", read(&base, "a").await.unwrap());
                let made = sources.commit(&base, change("a", &text)).await.unwrap();
                let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
                match sources.push(&world.request(), &push).await {
                    Ok(()) => return,
                    Err(PushError::Moved { reference, now }) => {
                        assert_eq!(reference, MAIN);
                        assert!(now.is_some());
                    }
                    Err(other) => panic!("writer {number}: {other}"),
                }
            }
            panic!("writer {number} never got through");
        }
    });
    futures::future::join_all(writers).await;
    let text = world.repository.read("main", "a").unwrap().unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0", "1", "1", "2", "3", "4", "5"], "nobody's work was lost");
    assert!(tries.load(Ordering::SeqCst) >= 6);
    git(world.repository.path(), &["fsck", "--strict"]);
}

/// What somebody else does just before our push arrives.
type Rival = Box<dyn FnOnce() + Send>;

#[tokio::test]
async fn f19_a_swap_that_the_server_loses_after_the_list_is_a_move_too() {
    // the branch moves between the list and the push
    let rival: Arc<std::sync::Mutex<Option<Rival>>> = Arc::default();
    let hook = Arc::clone(&rival);
    let layers = move |router: axum::Router| {
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let rival = if request.method() == "POST" { hook.lock().unwrap().take() } else { None };
            async move {
                if let (Some(rival), true) = (rival, request.uri().path().ends_with("git-receive-pack")) {
                    rival();
                }
                next.run(request).await
            }
        }))
    };
    let world = world_with(|server| server, layers, SourceLimits::default()).await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let base = world.fetch(&world.request()).await;
    let made = world.commit(&base, "a", "2").await;
    let repository = world.repository.clone();
    *rival.lock().unwrap() = Some(Box::new(move || {
        repository.commit("main", &[Write("a", b"rival")], "rival").unwrap();
    }));
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    let refused = world.sources.push(&world.request(), &push).await.unwrap_err();
    let PushError::Moved { now, .. } = &refused else { panic!("{refused}") };
    assert_eq!(now.as_deref(), world.head("main").as_deref());
    assert_ne!(now.as_deref(), Some(made.commit.as_str()));
}

#[tokio::test]
async fn f19_a_protected_branch_refuses_in_its_own_words() {
    let (world, base) = world_and_base().await;
    let script = "echo; echo '*** ====='; printf 'main is \\033[31mprotected\\033[0m\\n'; echo 'open a merge request'; exit 1";
    world.hook("pre-receive", script);
    let made = world.commit(&base, "a", "2\n").await;
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    let refused = world.sources.push(&world.request(), &push).await.unwrap_err();
    let PushError::Refused { reference, words } = &refused else { panic!("{refused}") };
    assert_eq!(reference.as_deref(), Some(MAIN));
    assert_eq!(
        words,
        "pre-receive hook declined: main is \\u{1b}[31mprotected\\u{1b}[0m; open a merge request"
    );
    assert!(refused.to_string().contains("hint: "), "{refused}");
    assert_eq!(world.head("main").unwrap(), base.commit);
    // the branch stays what it was here, too
    assert_eq!(world.fetch(&world.request().pushed(MAIN, made.commit.clone())).await.commit, base.commit);

    // another branch is allowed
    world.hook("pre-receive", "exit 0");
    world.hook("update", "case $1 in refs/heads/main) echo 'not here' >&2; exit 1;; esac");
    let refused = world.sources.push(&world.request(), &push).await.unwrap_err();
    let PushError::Refused { words, .. } = &refused else { panic!("{refused}") };
    assert_eq!(words, "hook declined: not here");
    let aside = push_of(&made, vec![update("refs/heads/images", None)]);
    world.sources.push(&world.request(), &aside).await.unwrap();
    assert_eq!(world.head("images").unwrap(), made.commit);
}

#[tokio::test]
async fn several_references_move_together_or_not_at_all() {
    let (world, base) = world_and_base().await;
    world.hook("update", "case $1 in *protected*) echo no; exit 1;; esac");
    let made = world.commit(&base, "a", "2\n").await;
    let both = |second: &str| push_of(&made, vec![update(MAIN, Some(&base.commit)), update(second, None)]);
    let refused = world.sources.push(&world.request(), &both("refs/heads/protected")).await.unwrap_err();
    let PushError::Refused { reference, words } = &refused else { panic!("{refused}") };
    assert_eq!(reference.as_deref(), Some("refs/heads/protected"), "{words}");
    assert_eq!(world.head("main").unwrap(), base.commit);
    world.sources.push(&world.request(), &both("refs/for/main")).await.unwrap();
    assert_eq!(world.head("main").unwrap(), made.commit);
    assert_eq!(git(world.repository.path(), &["rev-parse", "refs/for/main"]), made.commit);
}

#[tokio::test]
async fn force_replaces_a_branch_unless_the_server_forbids_it() {
    let (world, base) = world_and_base().await;
    let first = world.commit(&base, "a", "first\n").await;
    let second = world.commit(&base, "a", "second\n").await;
    let images = "refs/heads/images";
    let forced = |commit: &GitCheckout, expected: Option<&str>| {
        let expected = expected.map_or(Expected::Anywhere, |commit| Expected::At(commit.to_owned()));
        push_of(commit, vec![RefUpdate { expected, force: true, ..update(images, None) }])
    };
    world.sources.push(&world.request(), &forced(&first, None)).await.unwrap();
    // not forced it does not go back or aside
    let plain = push_of(&second, vec![update(images, Some(&first.commit))]);
    let refused = world.sources.push(&world.request(), &plain).await.unwrap_err();
    assert!(
        matches!(&refused, PushError::Refused { words, .. } if words.contains("not forced")),
        "{refused}"
    );
    let anywhere = RefUpdate { expected: Expected::Anywhere, ..update(images, None) };
    let refused = world.sources.push(&world.request(), &push_of(&second, vec![anywhere])).await.unwrap_err();
    assert!(
        matches!(&refused, PushError::Refused { words, .. } if words.contains("not forced")),
        "{refused}"
    );
    let absent = RefUpdate { force: true, ..update(images, None) };
    let refused = world.sources.push(&world.request(), &push_of(&second, vec![absent])).await.unwrap_err();
    assert!(matches!(refused, PushError::Moved { .. }), "{refused}");
    world.sources.push(&world.request(), &forced(&second, None)).await.unwrap();
    assert_eq!(world.head("images").unwrap(), second.commit);
    // with a commit it must stand at, force is no blind force
    let refused =
        world.sources.push(&world.request(), &forced(&first, Some(&base.commit))).await.unwrap_err();
    assert!(matches!(refused, PushError::Moved { .. }), "{refused}");
    world.configure("receive.denyNonFastForwards", "true");
    let refused =
        world.sources.push(&world.request(), &forced(&first, Some(&second.commit))).await.unwrap_err();
    let PushError::Refused { words, .. } = &refused else { panic!("{refused}") };
    assert!(words.starts_with("non-fast-forward"), "{words}");
    assert_eq!(world.head("images").unwrap(), second.commit);
    let below = push_of(&first, vec![update("refs/heads/images/x", None)]);
    let refused = world.sources.push(&world.request(), &below).await.unwrap_err();
    assert!(matches!(refused, PushError::Refused { .. }), "a branch below a branch: {refused}");
}

#[tokio::test]
async fn an_annotated_tag_is_moved_by_force_wherever_it_stands() {
    let (world, base) = world_and_base().await;
    let latest = "refs/tags/latest";
    git(world.repository.path(), &["tag", "-a", "-m", "latest", "latest", "main"]);
    let made = world.commit(&base, "a", "2\n").await;
    let moved = |force: bool| {
        let tag = RefUpdate { reference: latest.into(), expected: Expected::Anywhere, force };
        push_of(&made, vec![update(MAIN, Some(&base.commit)), tag])
    };
    let refused = world.sources.push(&world.request(), &moved(false)).await.unwrap_err();
    assert!(
        matches!(&refused, PushError::Refused { words, .. } if words.contains("not forced")),
        "{refused}"
    );
    assert_eq!(world.head("main").unwrap(), base.commit);
    world.forge.asked();
    world.sources.push(&world.request(), &moved(true)).await.unwrap();
    assert_eq!(world.forge.asked(), ["GET /app.git/info/refs", "POST /app.git/git-receive-pack"]);
    assert_eq!(git(world.repository.path(), &["rev-parse", latest]), made.commit);
    assert_eq!(world.head("main").unwrap(), made.commit);
}

#[tokio::test]
async fn push_options_reach_the_hooks_of_a_server_that_takes_them() {
    let (world, base) = world_and_base().await;
    let made = world.commit(&base, "a", "2\n").await;
    let push = GitPush {
        options: vec![("topic".into(), "images v2".into()), ("ci.skip".into(), String::new())],
        ..push_of(&made, vec![update(MAIN, Some(&base.commit))])
    };
    world.configure("receive.advertisePushOptions", "false");
    let refused = world.sources.push(&world.request(), &push).await.unwrap_err();
    assert!(
        matches!(&refused, PushError::Refused { words, .. } if words == "it takes no push options"),
        "{refused}"
    );
    world.configure("receive.advertisePushOptions", "true");
    world.hook("pre-receive", "echo \"$GIT_PUSH_OPTION_COUNT|$GIT_PUSH_OPTION_0|$GIT_PUSH_OPTION_1\" > told");
    world.sources.push(&world.request(), &push).await.unwrap();
    let told = std::fs::read_to_string(world.repository.path().join("told")).unwrap();
    assert_eq!(told, "2|topic=images v2|ci.skip=\n");
}

#[tokio::test]
async fn a_server_that_takes_no_pushes_at_all_is_quoted() {
    let line = "ERR \u{1b}[31mthis repository is archived\n";
    let body = format!("001f# service=git-receive-pack\n0000{:04x}{line}", line.len() + 4);
    let layers = move |router: axum::Router| {
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let body = body.clone();
            async move {
                if !request.uri().to_string().contains("git-receive-pack") {
                    return next.run(request).await;
                }
                let kind = "application/x-git-receive-pack-advertisement";
                Response::builder().header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap()
            }
        }))
    };
    let world = world_with(|server| server, layers, SourceLimits::default()).await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let base = world.fetch(&world.request()).await;
    let made = world.commit(&base, "a", "2").await;
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    let refused = world.sources.push(&world.request(), &push).await.unwrap_err();
    let PushError::Refused { reference: None, words } = &refused else { panic!("{refused}") };
    assert_eq!(words, "\\u{1b}[31mthis repository is archived");
}

#[tokio::test]
async fn only_what_the_server_lacks_is_sent() {
    let world = world().await;
    let large: Vec<u8> =
        (0_u32..400_000).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut files: Vec<(String, Vec<u8>)> =
        (0..300).map(|number| (format!("apps/{number}/values.yaml"), b"tag: 1\n".to_vec())).collect();
    files.push(("large".into(), large));
    let changes: Vec<_> = files.iter().map(|(path, content)| Write(path, content)).collect();
    world.repository.commit("main", &changes, "one").unwrap();
    let base = world.fetch(&world.request()).await;
    let first = world.commit(&base, "apps/7/values.yaml", "tag: 2\n").await;
    // two commits at once, the first of them never pushed alone
    let second = world.commit(&first, "apps/8/values.yaml", "tag: 3\n").await;
    let objects = || {
        let counted = git(world.repository.path(), &["count-objects", "-v"]);
        let of = |key: &str| {
            let line = counted.lines().find(|line| line.starts_with(key)).unwrap();
            line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
        };
        of("count:") + of("in-pack:")
    };
    let before = objects();
    let push = push_of(&second, vec![update(MAIN, Some(&base.commit))]);
    world.sources.push(&world.request(), &push).await.unwrap();
    // per commit: itself, the file, and the three directories above it
    assert_eq!(objects() - before, 10);
    git(world.repository.path(), &["fsck", "--strict"]);
}

#[tokio::test]
async fn a_commit_whose_base_the_server_dropped_is_to_be_made_anew() {
    let (world, base) = world_and_base().await;
    let made = world.commit(&base, "a", "2\n").await;
    let unborn = tempfile::tempdir().unwrap();
    let other =
        sluice::demo::repository::DemoRepository::create(unborn.path().join("o.git"), "main").unwrap();
    let stranger = other.commit("main", &[Write("z", b"z")], "unrelated").unwrap();
    git(world.repository.path(), &["fetch", "-q", unborn.path().join("o.git").to_str().unwrap(), "main"]);
    world.repository.set_reference(MAIN, &stranger).unwrap();
    git(world.repository.path(), &["reflog", "expire", "--expire=now", "--all"]);
    git(world.repository.path(), &["gc", "--prune=now", "-q"]);
    let push = push_of(&made, vec![update("refs/heads/images", None)]);
    let refused = world.sources.push(&world.request(), &push).await.unwrap_err();
    assert!(
        matches!(&refused, PushError::Moved { reference, now: None } if reference == "refs/heads/images"),
        "{refused}"
    );
    assert_eq!(world.head("images"), None);
}

#[tokio::test]
async fn f19_an_answer_that_is_lost_does_not_make_a_push_that_arrived_a_failure() {
    let fault = Arc::new(AtomicUsize::new(0));
    let switch = Arc::clone(&fault);
    let layers = move |router: axum::Router| {
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let fault = match request.uri().path().ends_with("git-receive-pack") {
                true => switch.load(Ordering::SeqCst),
                false => 0,
            };
            async move {
                let broken = || {
                    let cut = futures::stream::iter([Err::<bytes::Bytes, _>(std::io::Error::other("cut"))]);
                    Response::new(Body::from_stream(cut))
                };
                match fault {
                    0 => next.run(request).await,
                    1 => {
                        next.run(request).await;
                        broken()
                    }
                    _ => broken(),
                }
            }
        }))
    };
    let world = world_with(|server| server, layers, SourceLimits::default()).await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let base = world.fetch(&world.request()).await;
    let made = world.commit(&base, "a", "2").await;
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    fault.store(2, Ordering::SeqCst);
    let lost = world.sources.push(&world.request(), &push).await.unwrap_err();
    assert!(matches!(&lost, PushError::Git(error) if error.concerns_host()), "{lost}");
    assert_eq!(world.head("main").unwrap(), base.commit);
    fault.store(1, Ordering::SeqCst);
    world.sources.push(&world.request(), &push).await.unwrap();
    assert_eq!(world.head("main").unwrap(), made.commit);
    world.forge.asked();
    world.fetch(&world.request().pushed(MAIN, made.commit)).await;
    assert!(world.forge.asked().is_empty());
}

#[tokio::test]
async fn s15_h78_pushes_keep_credentials_and_content_at_their_origin() {
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
    let base = world.fetch(&basic("s3cret")).await;
    let made = world.commit(&base, "a", "2").await;
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    let refused = world.sources.push(&basic("canary"), &push).await.unwrap_err();
    let PushError::Git(error) = &refused else { panic!("{refused}") };
    assert!(matches!(error.kind, GitErrorKind::Unauthorized(_)) && !refused.to_string().contains("canary"));
    world.sources.push(&basic("s3cret"), &push).await.unwrap();

    let attacker = Forge::start(axum::Router::new().fallback(async || StatusCode::OK)).await;
    for (on, code) in [("GET", StatusCode::FOUND), ("POST", StatusCode::TEMPORARY_REDIRECT)] {
        let target = format!("{}/app.git/info/refs?service=git-receive-pack", attacker.url);
        let layers = |router: axum::Router| {
            router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
                let target = target.clone();
                async move {
                    let receive = request.uri().to_string().contains("git-receive-pack");
                    if !receive || request.method() != on {
                        return next.run(request).await;
                    }
                    let answer = Response::builder().status(code).header(header::LOCATION, target);
                    answer.body(Body::empty()).unwrap()
                }
            }))
        };
        let world = world_with(|server| server, layers, SourceLimits::default()).await;
        world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
        let request = GitRequest {
            credentials: GitCredentials::Basic { username: "bob".into(), password: "s3cret".into() },
            ..world.request()
        };
        let base = world.fetch(&request).await;
        let made = world.commit(&base, "a", "2").await;
        let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
        let refused = world.sources.push(&request, &push).await.unwrap_err();
        let typed = matches!(
            &refused,
            PushError::Git(error)
                if matches!(error.kind, GitErrorKind::Redirect(_) | GitErrorKind::Protocol(_))
        );
        assert!(typed, "{on}: {refused}");
        assert!(attacker.asked().is_empty());
        assert_eq!(world.head("main").unwrap(), base.commit);
    }
}

#[tokio::test]
async fn f16_a_server_that_takes_a_push_and_falls_silent_ends_at_the_deadline() {
    let layers = |router: axum::Router| {
        router.layer(axum::middleware::from_fn(|request: Request, next: Next| async move {
            match request.method() == "POST" && request.uri().path().ends_with("git-receive-pack") {
                true => std::future::pending().await,
                false => next.run(request).await,
            }
        }))
    };
    let world = world_with(|server| server, layers, SourceLimits::default()).await;
    world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let base = world.fetch(&world.request()).await;
    let made = world.commit(&base, "a", "2").await;
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    let request = GitRequest { timeout: Duration::from_millis(300), ..world.request() };
    let refused = world.sources.push(&request, &push).await.unwrap_err();
    let PushError::Git(error) = &refused else { panic!("{refused}") };
    assert!(matches!(error.kind, GitErrorKind::Timeout(_)), "{refused}");
    assert!(refused.to_string().starts_with("failed to push to `refs/heads/main` of `http://"), "{refused}");
}

/// As if two hours had gone by since these were written.
fn age(files: &[std::path::PathBuf]) {
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    for file in files {
        let mut permissions = std::fs::metadata(file).unwrap().permissions();
        permissions.set_mode(0o644);
        std::fs::set_permissions(file, permissions).unwrap();
        std::fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
    }
}

fn loose(kept: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for directory in std::fs::read_dir(kept.join("objects")).unwrap() {
        let path = directory.unwrap().path();
        if path.file_name().unwrap().len() == 2 {
            found.extend(std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path()));
        }
    }
    found
}

#[tokio::test]
async fn tidying_removes_commits_that_were_never_pushed_and_keeps_those_that_were() {
    let (world, base) = world_and_base().await;
    let pushed = world.commit(&base, "a", "pushed\n").await;
    let push = push_of(&pushed, vec![update(MAIN, Some(&base.commit))]);
    world.sources.push(&world.request(), &push).await.unwrap();
    let dropped = world.commit(&pushed, "dir/b", "never pushed\n").await;
    let kept = world.kept().remove(0);
    assert_eq!(loose(&kept).len(), 7, "commit, tree and file of the one, and a directory more of the other");
    world.sources.tidy().await.unwrap();
    assert_eq!(loose(&kept).len(), 7, "young ones may be on their way");
    age(&loose(&kept));
    // what holds a checkout is not thrown away; the pushed commit is still read from here
    world.sources.tidy().await.unwrap();
    assert_eq!(loose(&kept).len(), 3);
    world.forge.asked();
    let again = world.fetch(&world.request().pushed(MAIN, pushed.commit.clone())).await;
    assert_eq!(read(&again, "a").await.as_deref(), Some("pushed\n"));
    assert!(world.forge.asked().is_empty());
    assert!(dropped.repository.read_file("dir/b").await.is_err());
}

#[tokio::test]
async fn tidying_keeps_what_a_pushed_commit_left_as_it_found_it() {
    let (world, base) = world_and_base().await;
    let kept = world.kept().remove(0);
    let file = git(world.repository.path(), &["rev-parse", "main:dir/b"]);
    // a server leaves out of a pack what it was told of before: the file lies here loose, its commit in a pack
    let aside = world.directory.path().join("aside");
    std::fs::rename(kept.join("objects/pack"), &aside).unwrap();
    std::fs::create_dir(kept.join("objects/pack")).unwrap();
    let packs = std::fs::read_dir(&aside).unwrap().map(|entry| entry.unwrap().path());
    for pack in packs.filter(|path| path.extension().is_some_and(|extension| extension == "pack")) {
        let script = format!("git unpack-objects -q < {}", pack.display());
        assert!(Command::new("sh").args(["-c", &script]).current_dir(&kept).status().unwrap().success());
    }
    let script = format!(
        "git rev-list --objects {} | cut -d ' ' -f 1 | grep -v {file} | git pack-objects -q objects/pack/pack && git prune-packed",
        base.commit
    );
    assert!(Command::new("sh").args(["-c", &script]).current_dir(&kept).status().unwrap().success());
    assert_eq!(loose(&kept).len(), 1);

    // another room on the same directory, so that nothing is remembered
    let sources = || {
        let state = world.directory.path().join("state");
        Sources::new(&state, SourceLimits::default(), world.clock.clone()).unwrap()
    };
    let room = sources();
    let base = room.fetch(&world.request()).await.unwrap();
    let made = room.commit(&base, change("a", "2\n")).await.unwrap();
    let push = push_of(&made, vec![update(MAIN, Some(&base.commit))]);
    room.push(&world.request(), &push).await.unwrap();
    age(&loose(&kept));
    room.tidy().await.unwrap();
    assert_eq!(loose(&kept).len(), 4, "commit, tree and file, and the file beside");
    let again = sources().fetch(&world.request().pushed(MAIN, made.commit.clone())).await.unwrap();
    assert_eq!(read(&again, "dir/b").await.as_deref(), Some("1\n"));
}

#[tokio::test]
async fn h82_regular_files_are_found_without_following_anything() {
    let world = world().await;
    let files = [
        Write("apps/a.yaml", b"a"),
        Executable("apps/run.yaml", b"r"),
        Write("apps/deep/er/b.yaml", b"b"),
        Write("apps/notes.txt", b"n"),
        Write("apps/large.yaml", &[b'x'; 5000]),
        Write("other/c.yaml", b"c"),
        Link("apps/link.yaml", "../other/c.yaml"),
        Link("apps/linked", "../other"),
        Link("apps/loop", "."),
        Submodule("apps/sub", &"1".repeat(40)),
        Link("alias", "apps"),
    ];
    world.repository.commit("main", &files, "one").unwrap();
    let checkout = world.fetch(&world.request()).await;
    let limits = sluice::source::FileLimits { file_bytes: 4096, ..checkout.repository.file_limits() };
    let found = async |path: &str| {
        let yaml = |path: &str| path.ends_with(".yaml");
        let found = checkout.repository.regular_files(path, yaml, limits).await.unwrap();
        found.into_iter().map(|file| (file.path, file.executable)).collect::<Vec<_>>()
    };
    let below = [("apps/a.yaml", false), ("apps/deep/er/b.yaml", false), ("apps/run.yaml", true)];
    let below: Vec<(String, bool)> = below.iter().map(|(path, bit)| ((*path).to_owned(), *bit)).collect();
    assert_eq!(found("apps").await, below);
    assert_eq!(found("./apps/").await, below);
    assert_eq!(found("").await.len(), 4);
    for nowhere in ["alias", "apps/linked", "apps/sub", "none", "apps/a.yaml"] {
        assert!(found(nowhere).await.is_empty(), "{nowhere}");
    }
    assert!(checkout.repository.regular_files("../x", |_| true, limits).await.is_err());
    let few = sluice::source::FileLimits { files: 1, ..limits };
    assert!(checkout.repository.regular_files("apps", |_| true, few).await.is_err());
}
