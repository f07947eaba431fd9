//! What a fetch finds and what it costs.

use sluice::demo::git_server::Pushed;
use sluice::demo::repository::Change::Write;
use sluice::model::Revision;
use sluice::source::{GitErrorKind, GitReference, GitRequest, PrefixMatch, SourceLimits, Sources};

use crate::world::*;

#[tokio::test]
async fn a_commit_that_is_kept_is_found_by_its_beginning() {
    let world = world().await;
    let repository = &world.repository;
    let first = repository.commit("main", &[Write("a.txt", b"1")], "first").unwrap();
    let reference = GitReference { branch: Some("main".to_owned()), ..GitReference::default() };
    let kept = world.fetch(&world.with(reference.clone())).await.repository;
    let found = |prefix: &str| {
        let (kept, prefix) = (kept.clone(), prefix.to_owned());
        async move { kept.commit_with_prefix(&prefix).await.unwrap() }
    };
    assert_eq!(found(&first[..7]).await, PrefixMatch::One(first.clone()));
    assert_eq!(found(&first.to_ascii_uppercase()[..12]).await, PrefixMatch::One(first.clone()));
    assert_eq!(found("main").await, PrefixMatch::None);
    let other = if first.starts_with('0') { "1234567" } else { "0123456" };
    assert_eq!(found(other).await, PrefixMatch::None);
    // Four digits are the fewest that libgit2 looks up: what is shorter could be anything.
    assert_eq!(found("0").await, PrefixMatch::Several);
    // A commit that was never fetched is not known.
    let second = repository.commit("main", &[Write("a.txt", b"2")], "second").unwrap();
    assert_eq!(found(&second[..12]).await, PrefixMatch::None);
    let newer = world.fetch(&world.with(reference)).await.repository;
    assert_eq!(newer.commit_with_prefix(&second[..12]).await.unwrap(), PrefixMatch::One(second));
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
