//! What is accepted and what is refused.

use flux_api::{FluxObject, HelmRelease, ImageUpdateAutomation, ReconcileStrategy};

use super::*;

/// The manifests of the article, as printed there, blanks at line ends included.
const ARTICLE: &[&str] = &[
    "apiVersion: source.toolkit.fluxcd.io/v1beta2\nkind: GitRepository\nmetadata:\n  name: git-repo\n  namespace: gitops-project\nspec:\n  # 添加权限\n  secretRef:\n    name: flux-git-auth   \n  interval: 1m0s\n  url: https://github.com/nuclearwu/hello-kubernetes.git\n  ref:\n    branch: master\n",
    "apiVersion: helm.toolkit.fluxcd.io/v2beta1\nkind: HelmRelease\nmetadata:\n  name: member1-app\n  namespace: gitops-project\nspec:\n  storageNamespace: gitops-project\n  targetNamespace: app\n  install:\n    createNamespace: true\n  kubeConfig:\n    secretRef:\n      name: member1-kubeconfig\n  interval: 1m         \n  chart:\n    spec:\n      chart: ./helm-chart\n      version: \"0.1.0\"\n      sourceRef:\n        kind: GitRepository\n        name: git-repo\n        namespace: gitops-project\n      interval: 1m\n      valuesFiles:\n      - ./helm-chart/values.yaml\n      - ./helm-chart/member1-values.yaml\n      reconcileStrategy: Revision\n  upgrade:\n    remediation:\n      remediateLastFailure: true\n    force: true  \n",
    "apiVersion: image.toolkit.fluxcd.io/v1beta1\nkind: ImageRepository\nmetadata:\n  name: image-repo\n  namespace: gitops-project\nspec:\n  image: nuclearwu/hello-kubernetes\n  interval: 1m\n",
    "apiVersion: image.toolkit.fluxcd.io/v1beta1\nkind: ImagePolicy\nmetadata:\n  name: image-policy\n  namespace: gitops-project\nspec:\n  imageRepositoryRef:\n    name: image-repo\n  policy:\n    semver:\n      range: 1.0.x  \n",
    "apiVersion: image.toolkit.fluxcd.io/v1beta1\nkind: ImageUpdateAutomation\nmetadata:\n  name: image-update-automation\n  namespace: gitops-project\nspec:\n  interval: 1m0s\n  sourceRef:\n    kind: GitRepository\n    name: git-repo\n    namespace: gitops-project\n  git:\n    checkout:\n      ref:\n        branch: master\n    commit:\n      author:\n        email: fluxbot@flux.com\n        name: fluxbot\n      messageTemplate: '{{range .Updated.Images}}{{println .}}{{end}}'\n    push:\n      branch: master\n  update:\n    path: ./helm-chart\n    strategy: Setters\n",
];

fn check_article(objects: &Objects) {
    assert_eq!(problems(objects), Vec::<String>::new());
    assert_eq!(objects.all().len(), ARTICLE.len());
    let release: HelmRelease = objects.get_as("gitops-project", "member1-app").unwrap();
    let chart = &release.spec.chart.as_ref().unwrap().spec;
    assert_eq!(chart.values_files, ["./helm-chart/values.yaml", "./helm-chart/member1-values.yaml"]);
    assert_eq!((chart.version(), chart.reconcile_strategy()), ("0.1.0", ReconcileStrategy::Revision));
    assert_eq!(release.composed_release_name(), "app-member1-app");
    assert_eq!(release.storage_namespace(), "gitops-project");
    assert!(release.spec.install().create_namespace && release.spec.upgrade().force);
    assert!(release.spec.upgrade().remediation().remediate_last_failure());
    let automation: ImageUpdateAutomation =
        objects.get_as("gitops-project", "image-update-automation").unwrap();
    let commit = &automation.spec.git.as_ref().unwrap().commit;
    assert_eq!(commit.message_template(), "{{range .Updated.Images}}{{println .}}{{end}}");
}

#[tokio::test]
async fn article_manifests_are_accepted_as_printed() {
    let objects = Objects::memory(clock());
    for (index, text) in ARTICLE.iter().enumerate() {
        objects.put_manifests(&format!("{index}.yaml"), text).await;
    }
    check_article(&objects);
}

#[tokio::test]
async fn article_manifests_are_accepted_in_todays_versions() {
    let text = ARTICLE
        .join("---\n")
        .replace("source.toolkit.fluxcd.io/v1beta2", "source.toolkit.fluxcd.io/v1")
        .replace("helm.toolkit.fluxcd.io/v2beta1", "helm.toolkit.fluxcd.io/v2")
        .replace("image.toolkit.fluxcd.io/v1beta1", "image.toolkit.fluxcd.io/v1");
    check_article(&holding(&text).await);
}

#[tokio::test]
async fn a_newer_api_version_of_the_same_spec_is_no_change() {
    let objects = Objects::memory(clock());
    objects.put_manifests("a.yaml", ARTICLE[1]).await;
    let newer = ARTICLE[1].replace("v2beta1", "v2");
    objects.put_manifests("a.yaml", &newer).await;
    let release: HelmRelease = objects.get_as("gitops-project", "member1-app").unwrap();
    assert_eq!((release.metadata.generation, release.api_version.as_str()), (1, "helm.toolkit.fluxcd.io/v2"));
}

#[tokio::test]
async fn an_unknown_field_is_named_with_file_and_line() {
    let text = git_manifest("good", "1m")
        + "---\n"
        + &git_manifest("bad", "1m")
        + "  intervall: 5m\n  suspent: true\n";
    let objects = holding(&text).await;
    assert_eq!(
        problems(&objects),
        [r#"app.yaml:18: unknown field "spec.intervall""#, r#"app.yaml:19: unknown field "spec.suspent""#]
    );
    let invalid = objects.invalid();
    assert_eq!((invalid.len(), &invalid[0].key, invalid[0].last_good), (1, &git("bad"), false));
    assert_eq!(
        invalid[0].message,
        r#"app.yaml:18: unknown field "spec.intervall"; app.yaml:19: unknown field "spec.suspent""#
    );
    assert!(objects.get(&git("bad")).is_none());
    get(&objects, &git("good"));
}

#[tokio::test]
async fn h33_an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        let many = vec![format!("*a{before}"); 10].join(",");
        text += &format!("a{level}: &a{level} [{many}]\n");
    }
    let objects = holding(&(git_manifest("good", "1m") + "---\n" + &text)).await;
    assert_eq!(problems(&objects), ["app.yaml:10: yaml: document contains excessive aliasing"]);
    get(&objects, &git("good"));
}

#[tokio::test]
async fn h34_deep_nesting_is_refused() {
    let objects = holding(&(git_manifest("good", "1m") + "---\na: " + &"[".repeat(200_000))).await;
    let found = problems(&objects);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].len() < 300, "{}", found[0]);
    get(&objects, &git("good"));
}

#[tokio::test]
async fn h35_duplicate_key_is_an_error() {
    let text = git_manifest("good", "1m") + "---\n" + &git_manifest("bad", "1m") + "  interval: 2m\n";
    let objects = holding(&text).await;
    assert_eq!(problems(&objects), [r#"app.yaml:18: key "interval" is already set at line 16"#]);
    assert!(objects.get(&git("bad")).is_none());
    get(&objects, &git("good"));
}

#[tokio::test]
async fn h36_odd_tags_stall_only_their_object() {
    for tag in ["!!binary aGk=", "!!python/object/apply:os.system [x]", "!custom x", "!!timestamp 2001-01-01"]
    {
        let text =
            git_manifest("good", "1m") + "---\n" + &git_manifest("odd", "1m") + "  ignore: " + tag + "\n";
        let objects = holding(&text).await;
        get(&objects, &git("good"));
        // As Go: known tags and unknown ones on plain text give text, the rest is refused.
        if let Some(object) = objects.get(&git("odd")) {
            assert!(object.spec_json()["ignore"].is_string(), "{tag}");
        } else {
            assert!(!problems(&objects).is_empty(), "{tag}");
        }
    }
}

#[tokio::test]
async fn h37_anchors_and_merge_keys_are_go() {
    let text = git_manifest("a", "&i 1m") + "  ref: {<<: &r {branch: main}, tag: v1}\n  timeout: *i\n";
    let objects = holding(&text).await;
    let spec = get(&objects, &git("a")).spec_json();
    assert_eq!(spec["ref"], serde_json::json!({"branch": "main", "tag": "v1"}));
    assert_eq!(spec["timeout"], "1m0s");
}

#[tokio::test]
async fn h38_scalars_are_go() {
    // `yes` is a boolean to Go's YAML, so it suspends; as a string it is refused.
    let objects = holding(&(git_manifest("a", "1m") + "  suspend: yes\n")).await;
    assert!(get(&objects, &git("a")).suspended());
    let objects =
        holding(&(git_manifest("a", "1m") + "  ref: {branch: on, tag: 1_000, semver: 0o14, name: ~}\n"))
            .await;
    assert_eq!(
        problems(&objects),
        [
            r#"app.yaml:9: spec.ref.branch: Invalid value: "boolean": spec.ref.branch in body must be of type string: "boolean""#,
            r#"app.yaml:9: spec.ref.semver: Invalid value: "integer": spec.ref.semver in body must be of type string: "integer""#,
            r#"app.yaml:9: spec.ref.tag: Invalid value: "integer": spec.ref.tag in body must be of type string: "integer""#,
            r#"app.yaml:9: spec.ref.name: Invalid value: "null": spec.ref.name in body must be of type string: "null""#,
        ]
    );
}

#[tokio::test]
async fn h39_an_integer_past_int64_is_refused() {
    let objects = holding(&release_manifest("r", "  maxHistory: 123456789012345678901234567890\n")).await;
    assert_eq!(
        problems(&objects),
        [
            r#"app.yaml:9: spec.maxHistory: Invalid value: "number": spec.maxHistory in body must be of type integer: "number""#
        ]
    );
}

#[tokio::test]
async fn h40_byte_order_marks_line_ends_and_tabs() {
    let plain = git_manifest("a", "1m");
    let windows = plain.replace('\n', "\r\n");
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(plain.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let utf16_big: Vec<u8> =
        [0xFE, 0xFF].into_iter().chain(plain.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    for bytes in [format!("\u{feff}{plain}").into_bytes(), windows.into_bytes(), utf16, utf16_big] {
        let file = super::super::read::parse("x", &bytes);
        assert_eq!((file.items.len(), file.problems.len()), (1, 0), "{:?}", file.problems);
    }
    let file = super::super::read::parse("x", b"a: 1\n\xFF\n");
    assert_eq!((file.problems[0].line, file.problems[0].message.as_str()), (2, "the file is no valid UTF-8"));
    let tabs = super::super::read::parse("x", b"a:\n\tb: 1\n");
    assert_eq!(tabs.problems.len(), 1);
    assert_eq!(tabs.problems[0].line, 2);
}

#[tokio::test]
async fn h41_document_separators() {
    let text = format!(
        "# head\n--- # first\n{}  ignore: |\n    a\n    ---\n    b\n...\n---\n---\n{}",
        git_manifest("a", "1m"),
        git_manifest("b", "1m")
    );
    let objects = holding(&text).await;
    assert_eq!(problems(&objects), Vec::<String>::new());
    assert_eq!(get(&objects, &git("a")).spec_json()["ignore"], "a\n---\nb\n");
    get(&objects, &git("b"));
}

#[tokio::test]
async fn h42_too_many_documents_and_too_large_files_are_capped() {
    let objects = holding(&"a: 1\n---\n".repeat(10_000)).await;
    assert_eq!(problems(&objects), ["app.yaml:10001: yaml: line 10001: more than 5000 documents"]);
    let objects = holding(&"# filler\n".repeat(2_000_000)).await;
    assert_eq!(
        problems(&objects),
        ["app.yaml: the file has 18000000 bytes, more than the limit of 16777216"]
    );
}

#[tokio::test]
async fn h43_lists_are_opened_but_not_without_end() {
    let item = |name: &str| {
        format!(
            "{{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {{name: {name}, namespace: apps}}, spec: {{interval: 1m, url: https://x/y}}}}"
        )
    };
    let list = |items: &str| format!("{{apiVersion: v1, kind: List, items: [{items}]}}");
    let objects = holding(&list(&format!("{},\n{}", item("a"), list(&item("b"))))).await;
    assert_eq!(problems(&objects), Vec::<String>::new());
    get(&objects, &git("a"));
    get(&objects, &git("b"));

    let mut deep = item("c");
    for _ in 0..50 {
        deep = list(&deep);
    }
    let objects = holding(&(deep + "\n---\n" + &git_manifest("good", "1m"))).await;
    assert_eq!(problems(&objects), ["app.yaml:1: lists are nested more than 3 deep"]);
    get(&objects, &git("good"));

    let bad = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: source.toolkit.fluxcd.io/v1\n  kind: GitRepository\n  metadata: {name: x, namespace: apps}\n  spec:\n    interval: 1m\n    url: https://x/y\n    urll: z\n";
    assert_eq!(problems(&holding(bad).await), [r#"app.yaml:10: unknown field "spec.urll""#]);
}

#[tokio::test]
async fn h43_unknown_versions_are_named_and_other_kinds_ignored() {
    let text = "apiVersion: source.toolkit.fluxcd.io/v7\nkind: GitRepository\nmetadata: {name: a}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [x.yaml]\n---\nreplicas: 3\n---\n- 1\n---\ntext\n";
    let objects = holding(text).await;
    assert_eq!(
        problems(&objects),
        [
            r#"app.yaml:1: no matches for kind "GitRepository" in version "source.toolkit.fluxcd.io/v7" (served: v1, v1beta2, v1beta1)"#
        ]
    );
    assert!(objects.all().is_empty());
}

#[tokio::test]
async fn an_unknown_version_is_an_invalid_object_and_an_unknown_kind_a_remark() {
    let objects = holding(&(git_manifest("a", "1m") + "---\n" + &git_manifest("b", "1m"))).await;
    // A slip in the version keeps the last good object; what else left the file is gone all the same.
    let generator = "---\napiVersion: source.extensions.fluxcd.io/v1beta1\nkind: ArtifactGenerator\nmetadata: {name: x}\n";
    objects.put_manifests("app.yaml", &(git_manifest("a", "1m").replace("/v1", "/v11") + generator)).await;
    assert_eq!(
        problems(&objects),
        [
            r#"app.yaml:1: no matches for kind "GitRepository" in version "source.toolkit.fluxcd.io/v11" (served: v1, v1beta2, v1beta1)"#,
            r#"app.yaml:10: no matches for kind "ArtifactGenerator" in version "source.extensions.fluxcd.io/v1beta1""#,
        ]
    );
    assert!(objects.invalid()[0].last_good);
    get(&objects, &git("a"));
    assert!(objects.get(&git("b")).is_none());
}

#[tokio::test]
async fn problems_without_end_are_cut() {
    let fields: String = (0..10_000).map(|number| format!("  f{number}: 1\n")).collect();
    let objects = holding(&(git_manifest("a", "1m") + &fields)).await;
    let found = problems(&objects);
    assert_eq!(found.len(), 21);
    assert!(found[20].ends_with(": and 9980 more problems"), "{}", found[20]);
}

#[tokio::test]
async fn h44_bad_names_are_refused() {
    for name in ["Upper", "../x", &"x".repeat(300)] {
        let objects = holding(&(git_manifest("good", "1m") + "---\n" + &git_manifest(name, "1m"))).await;
        let found = problems(&objects);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("app.yaml:13: metadata.name: Invalid value"), "{}", found[0]);
        get(&objects, &git("good"));
    }
    let nameless = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nspec: {interval: 1m, url: https://x}\n";
    assert_eq!(problems(&holding(nameless).await), ["app.yaml:1: metadata: Required value"]);
}

#[tokio::test]
async fn h45_s4_a_bad_duration_stalls_only_its_object() {
    for bad in ["5", "-1s", "1y", "9999999h", "\"\"", "1e9h", "-5s"] {
        let mut text = git_manifest("bad", bad);
        for number in 0..99 {
            text += "---\n";
            text += &git_manifest(&format!("good-{number}"), "1m");
        }
        let objects = holding(&text).await;
        assert_eq!(objects.list(Kind::GitRepository).len(), 99, "{bad}");
        assert_eq!(objects.invalid().len(), 1);
        let found = problems(&objects);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("app.yaml:7: spec.interval: Invalid value"), "{bad}: {}", found[0]);
    }
}

#[tokio::test]
async fn h47_paths_that_lead_out_are_refused() {
    for path in ["../../etc", "\"a\\0b\"", "apps/*"] {
        let text = format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: k, namespace: apps}}\nspec:\n  interval: 1m\n  prune: true\n  sourceRef: {{kind: GitRepository, name: g}}\n  path: {path}\n"
        );
        let found = problems(&holding(&text).await);
        assert_eq!(found.len(), 1, "{path}");
        assert!(found[0].starts_with("app.yaml:8: spec.path: Invalid value"), "{}", found[0]);
    }
}

#[tokio::test]
async fn h48_dependencies_on_oneself_in_a_circle_and_on_nothing() {
    let depends =
        |name: &str, on: &str| release_manifest(name, &format!("  dependsOn: [{{name: {on}}}]\n")) + "---\n";
    let text = depends("self", "self")
        + &depends("a", "b")
        + &depends("b", "c")
        + &depends("c", "a")
        + &depends("leads-in", "a")
        + &depends("lost", "nobody")
        + &depends("fine", "plain")
        + &release_manifest("plain", "");
    let objects = holding(&text).await;
    let problem = |name: &str| {
        objects.dependency_problem(&key(Kind::HelmRelease, name)).map(|problem| problem.to_string())
    };
    assert_eq!(problem("self").unwrap(), "`HelmRelease/apps/self` depends on itself");
    assert_eq!(
        problem("a").unwrap(),
        "dependency cycle: `HelmRelease/apps/a` -> `HelmRelease/apps/b` -> `HelmRelease/apps/c` -> `HelmRelease/apps/a`"
    );
    assert_eq!(problem("lost").unwrap(), "dependency `HelmRelease/apps/nobody` does not exist");
    // It waits for a cycle, but is no part of one; its dependency says what is wrong.
    assert_eq!(problem("leads-in"), None);
    assert_eq!(problem("fine"), None);
    assert_eq!(problem("plain"), None);
}

#[tokio::test]
async fn an_object_defined_twice_is_reported_twice_and_the_first_is_used() {
    let objects = Objects::memory(clock());
    objects.put_manifests("b.yaml", &git_manifest("x", "2m")).await;
    objects.put_manifests("a.yaml", &format!("# head\n{}", git_manifest("x", "1m"))).await;
    assert_eq!(
        problems(&objects),
        [
            "a.yaml:2: `GitRepository/apps/x` is defined again in b.yaml:1; this one is used",
            "b.yaml:1: `GitRepository/apps/x` is already defined in a.yaml:2; this one is ignored",
        ]
    );
    assert_eq!(interval(&objects, "x"), "1m0s");
    assert_eq!(objects.file(&git("x")).as_deref(), Some("a.yaml"));
}

#[tokio::test]
async fn a_syntax_error_spares_what_stands_before_it() {
    let objects = holding(&(git_manifest("a", "1m") + "---\na: [\n---\n" + &git_manifest("b", "1m"))).await;
    get(&objects, &git("a"));
    assert_eq!(problems(&objects).len(), 1);
    assert!(objects.get(&git("b")).is_none());
}

#[tokio::test]
async fn a_namespace_left_out_is_default_and_a_status_in_the_file_is_not_ours() {
    let text = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: x\n  uid: theirs\n  generation: 7\nspec: {interval: 1m, url: https://x}\nstatus: {observedGeneration: 7}\n";
    let objects = holding(text).await;
    let object = get(&objects, &ObjectKey::new(Kind::GitRepository, "default", "x"));
    assert_eq!((object.metadata().generation, object.observed_generation()), (1, 0));
    assert_ne!(object.metadata().uid, "theirs");
    assert!(matches!(&*object, FluxObject::GitRepository(_)));
}
