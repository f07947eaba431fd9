//! Files as they are read from a commit.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use sluice::demo::repository::Change::{Link, Submodule, Write};
use sluice::demo::repository::DemoRepository;
use sluice::source::{FileLimits, GitCredentials, GitErrorKind, GitRequest, IgnoreRules, SourceLimits};

use crate::world::*;

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
