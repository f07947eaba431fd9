//! Manifests of every kind and version through the public door.

#![allow(clippy::unwrap_used)]

use flux_api::*;
use serde_json::{Value, json};

fn manifest(api_version: &str, kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "app", "namespace": "apps"},
        "spec": spec,
    })
}

#[track_caller]
fn good<T: Resource + Clone>(api_version: &str, spec: Value) -> T {
    let object = decode(&manifest(api_version, T::KIND.as_str(), spec)).unwrap();
    object.get::<T>().unwrap().clone()
}

#[track_caller]
fn problems(value: &Value) -> Vec<String> {
    decode(value).unwrap_err().problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn bad(api_version: &str, kind: &str, spec: Value) -> Vec<String> {
    problems(&manifest(api_version, kind, spec))
}

const GIT: &str = "source.toolkit.fluxcd.io/v1";
const HELM: &str = "helm.toolkit.fluxcd.io/v2";
const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io/v1";

fn git(more: Value) -> Value {
    with(json!({"interval": "1m", "url": "https://example.com/app.git"}), more)
}

fn kustomization(more: Value) -> Value {
    with(
        json!({"interval": "1m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "app"}}),
        more,
    )
}

fn release(more: Value) -> Value {
    let chart = json!({"spec": {"chart": "./chart", "sourceRef": {"kind": "GitRepository", "name": "app"}}});
    with(json!({"interval": "1m", "chart": chart}), more)
}

fn with(mut base: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

/// The least each kind needs, in a form each generation of it accepts.
fn minimal(kind: Kind) -> Value {
    match kind {
        Kind::GitRepository => git(json!({})),
        Kind::OCIRepository => json!({"interval": "1m", "url": "oci://r/a"}),
        Kind::HelmRepository => json!({"interval": "1m", "url": "https://charts"}),
        Kind::HelmChart => {
            json!({"interval": "1m", "chart": "c", "sourceRef": {"kind": "HelmRepository", "name": "r"}})
        }
        Kind::Bucket => json!({"interval": "1m", "bucketName": "b", "endpoint": "e"}),
        Kind::ExternalArtifact => json!({}),
        Kind::Kustomization => kustomization(json!({})),
        Kind::HelmRelease => release(json!({})),
        Kind::ImageRepository => json!({"interval": "1m", "image": "nginx"}),
        Kind::ImagePolicy => {
            json!({"imageRepositoryRef": {"name": "i"}, "policy": {"semver": {"range": "1.x"}}})
        }
        Kind::ImageUpdateAutomation => {
            json!({"interval": "1m", "sourceRef": {"kind": "GitRepository", "name": "g"},
                   "update": {"strategy": "Setters"}})
        }
        Kind::Receiver => {
            json!({"type": "github", "secretRef": {"name": "s"},
                   "resources": [{"kind": "GitRepository", "name": "g"}]})
        }
        Kind::Provider => json!({"type": "slack"}),
        Kind::Alert => {
            json!({"providerRef": {"name": "p"}, "eventSources": [{"kind": "HelmRelease", "name": "*"}]})
        }
    }
}

#[test]
fn every_kind_and_version_is_read_and_written_as_todays() {
    let mut count = 0;
    for &kind in Kind::ALL {
        for version in kind.versions() {
            let api_version = format!("{}/{version}", kind.group());
            let object = decode(&manifest(&api_version, kind.as_str(), minimal(kind)))
                .unwrap_or_else(|error| panic!("{api_version} {kind}: {error}"));
            assert_eq!((object.kind(), object.api_version()), (kind, api_version.as_str()));
            let written = object.to_json();
            assert_eq!(written["apiVersion"], kind.api_version());
            // What we write, we read, and it says the same.
            assert_eq!(decode(&written).unwrap().spec_json(), object.spec_json(), "{kind}");
            count += 1;
        }
    }
    assert_eq!(count, 39);
}

#[test]
fn unknown_fields_are_named_with_their_path_all_of_them() {
    let include = json!([{"repository": {"name": "a"}, "form": 1}]);
    let spec = git(json!({"intervall": "1m", "ref": {"brunch": "x"}, "include": include}));
    let mut found = bad(GIT, "GitRepository", spec);
    found.sort();
    assert_eq!(
        found,
        [
            r#"unknown field "spec.include[0].form""#,
            r#"unknown field "spec.intervall""#,
            r#"unknown field "spec.ref.brunch""#,
        ]
    );
    let mut value = manifest(GIT, "GitRepository", git(json!({})));
    value["metadata"]["nam"] = json!("x");
    value["specc"] = json!({});
    assert_eq!(problems(&value), [r#"unknown field "metadata.nam""#, r#"unknown field "specc""#]);
}

#[test]
fn problems_read_like_the_api_servers() {
    let table = [
        (
            git(json!({"interval": null})),
            r#"spec.interval: Invalid value: "null": spec.interval in body must be of type string: "null""#,
        ),
        (json!({"interval": "1m"}), "spec.url: Required value"),
        (
            git(json!({"url": "git@x:y"})),
            r#"spec.url: Invalid value: "git@x:y": spec.url in body should match '^(http|https|ssh)://.*$'"#,
        ),
        (
            git(json!({"suspend": "yes"})),
            r#"spec.suspend: Invalid value: "string": spec.suspend in body must be of type boolean: "string""#,
        ),
        (
            git(json!({"provider": "gitlab"})),
            r#"spec.provider: Unsupported value: "gitlab": supported values: "generic", "aws", "azure", "github""#,
        ),
        (
            git(json!({"serviceAccountName": "x"})),
            r#"spec: Invalid value: "object": serviceAccountName can only be set when provider is 'azure' or 'aws'"#,
        ),
        (
            git(json!({"timeout": "1h"})),
            r#"spec.timeout: Invalid value: "1h": spec.timeout in body should match '^([0-9]+(\.[0-9]+)?(ms|s|m))+$'"#,
        ),
        (git(json!({"secretRef": {}})), "spec.secretRef.name: Required value"),
        (
            git(json!({"ignore": ["a"]})),
            r#"spec.ignore: Invalid value: "array": spec.ignore in body must be of type string: "array""#,
        ),
    ];
    for (spec, expected) in table {
        assert_eq!(bad(GIT, "GitRepository", spec), [expected]);
    }
    assert_eq!(
        bad(HELM, "HelmRelease", release(json!({"releaseName": "x".repeat(54)}))),
        ["spec.releaseName: Too long: may not be more than 53 bytes"]
    );
    let values = json!({"valuesFrom": [{"kind": "Secret", "name": "x", "targetPath": "a b"}]});
    assert_eq!(
        bad(HELM, "HelmRelease", release(values)),
        [
            r#"spec.valuesFrom[0].targetPath: Invalid value: "a b": spec.valuesFrom[0].targetPath in body should match '^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,5}\])+$'"#
        ]
    );
    assert_eq!(problems(&json!([1])), ["the manifest is not an object"]);
    assert_eq!(problems(&json!({"kind": "GitRepository"})), ["apiVersion: Required value"]);
}

#[test]
fn exactly_one_of_chart_and_chart_ref() {
    let chart_ref = json!({"kind": "OCIRepository", "name": "x"});
    let expected = [r#"spec: Invalid value: "object": either chart or chartRef must be set"#];
    assert_eq!(bad(HELM, "HelmRelease", json!({"interval": "1m"})), expected);
    assert_eq!(bad(HELM, "HelmRelease", release(json!({"chartRef": chart_ref}))), expected);
    good::<HelmRelease>(HELM, json!({"interval": "1m", "chartRef": chart_ref}));
}

#[test]
fn rules_over_several_fields() {
    let both = json!({"kubeConfig": {"secretRef": {"name": "a"}, "configMapRef": {"name": "b"}}});
    for (kind, api_version, spec) in
        [("HelmRelease", HELM, release(both.clone())), ("Kustomization", KUSTOMIZE, kustomization(both))]
    {
        assert_eq!(
            bad(api_version, kind, spec),
            [
                r#"spec.kubeConfig: Invalid value: "object": exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified"#
            ]
        );
    }
    let two = json!({"secretRef": {"name": "a"}, "serviceAccountName": "b", "provider": "aws"});
    assert_eq!(
        bad(GIT, "Bucket", with(minimal(Kind::Bucket), two)),
        [r#"spec: Invalid value: "object": cannot set both .spec.secretRef and .spec.serviceAccountName"#]
    );
    assert_eq!(
        bad(
            "notification.toolkit.fluxcd.io/v1",
            "Receiver",
            with(minimal(Kind::Receiver), json!({"type": "generic-oidc"}))
        ),
        [
            r#"spec: Invalid value: "object": generic-oidc receivers must define at least one oidcProvider"#,
            r#"spec: Invalid value: "object": secretRef cannot be set when type is generic-oidc"#,
        ]
    );
    let policy = with(minimal(Kind::ImagePolicy), json!({"digestReflectionPolicy": "Always"}));
    assert_eq!(
        bad("image.toolkit.fluxcd.io/v1", "ImagePolicy", policy),
        [
            r#"spec: Invalid value: "object": spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'"#
        ]
    );
    let strategy = json!({"install": {"strategy": {"name": "RemediateOnFailure", "retryInterval": "1m"}}});
    assert_eq!(
        bad(HELM, "HelmRelease", release(strategy)),
        [
            r#"spec.install.strategy: Invalid value: "object": .retryInterval cannot be set when .name is 'RemediateOnFailure'"#
        ]
    );
}

#[test]
fn h45_s4_bad_intervals() {
    let long = "9".repeat(5000) + "s";
    for interval in [
        json!(5),
        json!("5"),
        json!("-1s"),
        json!("-5s"),
        json!("1y"),
        json!("9999999h"),
        json!("1e9h"),
        json!(""),
        json!(long),
    ] {
        for &kind in Kind::ALL {
            let mut spec = minimal(kind);
            if spec.get("interval").is_none() {
                continue;
            }
            spec["interval"] = interval.clone();
            for version in kind.versions() {
                let found = bad(&format!("{}/{version}", kind.group()), kind.as_str(), spec.clone());
                assert_eq!(found.len(), 1, "{kind} {version}: {found:?}");
                assert!(found[0].starts_with("spec.interval: Invalid value: "), "{}", found[0]);
                assert!(found[0].len() < 400, "{}", found[0].len());
            }
        }
    }
    assert_eq!(
        bad(GIT, "GitRepository", git(json!({"interval": "9999999h"}))),
        [r#"spec.interval: Invalid value: "9999999h": time: invalid duration "9999999h""#]
    );
}

#[test]
fn h39_numbers_that_are_no_int64() {
    let huge: Value = serde_json::from_str("123456789012345678901234567890").unwrap();
    let found = bad(HELM, "HelmRelease", release(json!({"maxHistory": huge})));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("must be of type integer"), "{}", found[0]);
    assert_eq!(good::<HelmRelease>(HELM, release(json!({"maxHistory": 3}))).spec.max_history(), 3);
    assert_eq!(good::<HelmRelease>(HELM, release(json!({"maxHistory": 3.0}))).spec.max_history(), 3);
}

#[test]
fn h43_unknown_versions_and_kinds() {
    assert_eq!(
        bad("source.toolkit.fluxcd.io/v9", "GitRepository", git(json!({}))),
        [
            r#"no matches for kind "GitRepository" in version "source.toolkit.fluxcd.io/v9" (served: v1, v1beta2, v1beta1)"#
        ]
    );
    assert_eq!(classify("kustomize.config.k8s.io/v1beta1", "Kustomization"), Class::Other);
    assert_eq!(classify("apps/v1", "Deployment"), Class::Other);
    assert_eq!(classify("v1", "Secret"), Class::Other);
    assert!(matches!(
        classify("source.extensions.fluxcd.io/v1beta1", "ArtifactGenerator"),
        Class::Unsupported(_)
    ));
    // The first generation had no OCIRepository.
    assert!(matches!(classify("source.toolkit.fluxcd.io/v1beta1", "OCIRepository"), Class::Unsupported(_)));
}

#[test]
fn h44_names_are_checked() {
    for name in ["Upper", "../x", "a_b", "", "a/b", &"x".repeat(300)] {
        let mut value = manifest(GIT, "GitRepository", git(json!({})));
        value["metadata"]["name"] = json!(name);
        let found = problems(&value);
        assert!(found[0].starts_with("metadata.name: Invalid value"), "{name}: {found:?}");
        assert!(found[0].len() < 600);
    }
    let mut value = manifest(GIT, "GitRepository", git(json!({})));
    value["metadata"] = json!({"namespace": "a.b"});
    let found = problems(&value);
    assert_eq!(found[0], "metadata.name: Required value");
    let label = "metadata.namespace: Invalid value: \"a.b\": a lowercase RFC 1123 label";
    assert!(found[1].starts_with(label), "{}", found[1]);
}

#[test]
fn h47_paths_that_lead_out_are_refused() {
    for path in ["../../etc", "./a/../../b", "a\0b", "apps/*"] {
        for (kind, api_version, spec) in [
            ("Kustomization", KUSTOMIZE, kustomization(json!({"path": path}))),
            (
                "GitRepository",
                GIT,
                git(json!({"include": [{"repository": {"name": "x"}, "fromPath": path}]})),
            ),
            ("GitRepository", GIT, git(json!({"include": [{"repository": {"name": "x"}, "toPath": path}]}))),
            ("GitRepository", GIT, git(json!({"sparseCheckout": [path]}))),
            (
                "ImageUpdateAutomation",
                "image.toolkit.fluxcd.io/v1",
                with(minimal(Kind::ImageUpdateAutomation), json!({"update": {"path": path}})),
            ),
        ] {
            assert_eq!(bad(api_version, kind, spec).len(), 1, "{kind} {path}");
        }
    }
    let files = with(minimal(Kind::HelmChart), json!({"chart": "c\0", "valuesFiles": ["a\0"]}));
    assert_eq!(bad(GIT, "HelmChart", files).len(), 2);
}

#[test]
fn values_file_is_merged_before_the_list() {
    let chart = |more| with(minimal(Kind::HelmChart), more);
    let old = json!({
        "valuesFile": "first.yaml",
        "valuesFiles": ["second.yaml"],
        "accessFrom": {"namespaceSelectors": []},
    });
    for version in ["v1beta1", "v1beta2"] {
        let object: HelmChart = good(&format!("source.toolkit.fluxcd.io/{version}"), chart(old.clone()));
        assert_eq!(object.spec.values_files, ["first.yaml", "second.yaml"]);
    }
    assert_eq!(
        bad(GIT, "HelmChart", chart(json!({"valuesFile": "x"}))),
        [r#"unknown field "spec.valuesFile""#]
    );
    for version in ["v2beta1", "v2beta2"] {
        let mut spec = release(json!({}));
        spec["chart"]["spec"]["valuesFile"] = json!("only.yaml");
        let object: HelmRelease = good(&format!("helm.toolkit.fluxcd.io/{version}"), spec);
        assert_eq!(object.spec.chart.unwrap().spec.values_files, ["only.yaml"]);
    }
}

#[test]
fn old_git_fields_are_accepted_and_ignored() {
    for version in ["v1beta1", "v1beta2"] {
        let object: GitRepository = good(
            &format!("source.toolkit.fluxcd.io/{version}"),
            git(json!({
                "gitImplementation": "libgit2",
                "accessFrom": {"namespaceSelectors": [{"matchLabels": {"a": "b"}}]},
                "verify": {"mode": "head", "secretRef": {"name": "keys"}},
            })),
        );
        assert_eq!(object.spec.verify.unwrap().mode(), GitVerificationMode::Head);
    }
    assert_eq!(
        bad(GIT, "GitRepository", git(json!({"gitImplementation": "go-git"}))),
        [r#"unknown field "spec.gitImplementation""#]
    );
    // Fields an old version did not have are unknown in it, as on an API server.
    assert_eq!(
        bad("source.toolkit.fluxcd.io/v1beta2", "GitRepository", git(json!({"sparseCheckout": ["a"]}))),
        [r#"unknown field "spec.sparseCheckout""#]
    );
}

#[test]
fn old_patches_become_patches_in_kustomizes_order() {
    let old = json!({
        "patches": [{"patch": "two"}],
        "patchesStrategicMerge": [{"kind": "Deployment", "metadata": {"name": "x"}}],
        "patchesJson6902": [
            {"target": {"kind": "Service", "name": "y"}, "patch": [{"op": "remove", "path": "/spec"}]}
        ],
    });
    let check = |patches: &[Patch]| {
        assert_eq!(patches.len(), 3);
        let merge: Value = serde_json::from_str(&patches[0].patch).unwrap();
        assert_eq!(merge, json!({"kind": "Deployment", "metadata": {"name": "x"}}));
        assert_eq!(patches[1].patch, "two");
        let operations: Value = serde_json::from_str(&patches[2].patch).unwrap();
        assert_eq!(operations, json!([{"op": "remove", "path": "/spec"}]));
        assert_eq!(patches[2].target.as_ref().unwrap().kind.as_deref(), Some("Service"));
    };
    for version in ["v1beta1", "v1beta2"] {
        let spec = kustomization(with(old.clone(), json!({"validation": "client"})));
        let object: Kustomization = good(&format!("kustomize.toolkit.fluxcd.io/{version}"), spec);
        check(&object.spec.patches);
    }
    for version in ["v2beta1", "v2beta2"] {
        let spec = release(json!({"postRenderers": [{"kustomize": old}]}));
        let object: HelmRelease = good(&format!("helm.toolkit.fluxcd.io/{version}"), spec);
        check(&object.spec.post_renderers[0].kustomize.as_ref().unwrap().patches);
    }
    assert_eq!(
        bad(KUSTOMIZE, "Kustomization", kustomization(json!({"validation": "none"}))),
        [r#"unknown field "spec.validation""#]
    );
}

#[test]
fn old_statuses_are_mapped() {
    let with_status = |api_version: &str, kind: Kind, status: Value| {
        let mut value = manifest(api_version, kind.as_str(), minimal(kind));
        value["status"] = status;
        decode(&value).unwrap().status_json()
    };
    let image = |text: &str| {
        with_status("image.toolkit.fluxcd.io/v1beta1", Kind::ImagePolicy, json!({"latestImage": text}))
    };
    assert_eq!(image("a/b:1.0.0"), json!({"latestRef": {"name": "a/b", "tag": "1.0.0"}}));
    assert_eq!(image("r:5000/a:1"), json!({"latestRef": {"name": "r:5000/a", "tag": "1"}}));
    assert_eq!(image("r:5000/a"), json!({}));

    let old = json!({
        "artifact": {
            "path": "p", "url": "u", "revision": "main/abc", "checksum": "00ff",
            "lastUpdateTime": "2022-07-07T14:19:38Z",
        },
        "url": "http://old",
        "observedGeneration": 2,
    });
    let status = with_status("source.toolkit.fluxcd.io/v1beta1", Kind::GitRepository, old);
    assert_eq!(status["artifact"]["digest"], "sha256:00ff");
    assert_eq!(status["artifact"]["lastUpdateTime"], "2022-07-07T14:19:38Z");
    assert_eq!(status["observedGeneration"], 2);
    assert_eq!(status.get("url"), None);

    let path =
        with_status("notification.toolkit.fluxcd.io/v1beta1", Kind::Receiver, json!({"url": "/hook/x"}));
    assert_eq!(path, json!({"webhookPath": "/hook/x"}));

    let released = json!({"lastAppliedRevision": "1.0.0", "lastReleaseRevision": 3, "helmChart": "a/b"});
    let status = with_status("helm.toolkit.fluxcd.io/v2beta1", Kind::HelmRelease, released);
    assert_eq!(status, json!({"helmChart": "a/b"}));

    let snapshot = json!({"snapshot": {"checksum": "x", "entries": []}, "lastAppliedRevision": "r"});
    let status = with_status("kustomize.toolkit.fluxcd.io/v1beta1", Kind::Kustomization, snapshot);
    assert_eq!(status, json!({"lastAppliedRevision": "r"}));

    // Nobody's status can make an object unreadable.
    assert_eq!(with_status(GIT, Kind::GitRepository, json!({"conditions": 5})), json!({}));
}

#[test]
fn defaults_are_flux() {
    let object: GitRepository = good(GIT, git(json!({})));
    assert_eq!(object.spec.timeout().as_secs(), 60);
    assert_eq!(object.spec.target(), GitTarget::Branch("master"));

    let object: HelmRelease = good(HELM, release(json!({"targetNamespace": "app"})));
    let spec = &object.spec;
    assert_eq!(spec.timeout().as_secs(), 300);
    assert_eq!((spec.max_history(), spec.persistent_client()), (5, true));
    assert_eq!(spec.upgrade().crds(), CrdsPolicy::Create);
    assert_eq!(spec.upgrade().remediation().strategy(), RemediationStrategy::Rollback);
    assert!(!spec.upgrade().remediation().remediate_last_failure());
    assert_eq!(spec.uninstall().deletion_propagation(), DeletionPropagation::Background);
    assert_eq!(object.composed_release_name(), "app-app");
    assert_eq!(object.helm_chart_name(), Some(("apps".to_owned(), "apps-app".to_owned())));
    assert_eq!((object.release_namespace(), object.storage_namespace()), ("app", "apps"));

    let retries = json!({"upgrade": {"remediation": {"retries": 3}}});
    let remediation = good::<HelmRelease>(HELM, release(retries)).spec.upgrade().remediation();
    assert!(remediation.remediate_last_failure());
    assert_eq!((remediation.retries_exhausted(3), remediation.retries_exhausted(4)), (false, true));

    let object: Kustomization = good(KUSTOMIZE, kustomization(json!({})));
    assert_eq!((object.spec.timeout().as_secs(), object.spec.path()), (30, "."));
    let object: Kustomization =
        good(KUSTOMIZE, kustomization(json!({"interval": "10m", "retryInterval": "2m"})));
    assert_eq!((object.spec.timeout().as_secs(), object.spec.retry_interval().as_secs()), (570, 120));

    let object: ImageRepository = good("image.toolkit.fluxcd.io/v1", minimal(Kind::ImageRepository));
    assert_eq!(object.spec.exclusion_list(), [r"^.*\.sig$"]);
    let object: Receiver = good("notification.toolkit.fluxcd.io/v1", minimal(Kind::Receiver));
    assert_eq!(object.spec.interval().as_secs(), 600);
    let object: Provider = good("notification.toolkit.fluxcd.io/v1beta3", json!({"type": "slack"}));
    assert_eq!(object.spec.timeout().as_secs(), 15);

    let registry = manifest(GIT, "HelmRepository", json!({"url": "oci://r", "type": "oci"}));
    assert_eq!(decode(&registry).unwrap().interval(), None);
    let never = decode(&manifest(GIT, "GitRepository", git(json!({"interval": "0s"})))).unwrap();
    assert_eq!(never.interval(), None);
}

#[test]
fn nulls_stand_for_absence_only_where_the_api_server_takes_them() {
    let mut value = manifest(HELM, "HelmRelease", release(json!({"values": {"keep": null}})));
    value["metadata"]["creationTimestamp"] = Value::Null;
    value["metadata"]["annotations"] = Value::Null;
    value["status"] = Value::Null;
    let object = decode(&value).unwrap();
    assert_eq!(object.spec_json()["values"], json!({"keep": null}));
    // A null with a default counts as absent, one without is a fault.
    let bucket = with(minimal(Kind::Bucket), json!({"provider": null}));
    assert_eq!(good::<Bucket>(GIT, bucket).spec.provider(), CloudProvider::Generic);
    assert_eq!(bad(HELM, "HelmRelease", release(json!({"install": null}))).len(), 1);
    assert_eq!(bad(HELM, "HelmRelease", release(json!({"values": [1]}))).len(), 1);
}

#[test]
fn a_release_survives_the_round_trip_with_every_field() {
    let spec = json!({
        "interval": "5m0s", "timeout": "10m0s", "releaseName": "r", "targetNamespace": "t", "storageNamespace": "s",
        "chart": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {
                "chart": "c", "version": "1.x", "interval": "1m0s", "reconcileStrategy": "Revision",
                "sourceRef": {"kind": "HelmRepository", "name": "repo", "namespace": "flux-system"},
                "valuesFiles": ["a.yaml"], "ignoreMissingValuesFiles": true,
                "verify": {"provider": "notation", "secretRef": {"name": "k"}},
            },
        },
        "dependsOn": [{"name": "d", "namespace": "e", "readyExpr": "dep.status.ok"}],
        "install": {
            "crds": "CreateReplace", "skipCRDs": true, "disableOpenAPIValidation": true, "createNamespace": true,
            "remediation": {"retries": -1, "ignoreTestFailures": false}, "serverSideApply": false,
            "strategy": {"name": "RetryOnFailure", "retryInterval": "1m0s"},
        },
        "upgrade": {
            "force": true, "preserveValues": true, "serverSideApply": "auto",
            "chartNameChangeStrategy": "InPlaceUpdate",
            "remediation": {"strategy": "uninstall", "remediateLastFailure": false},
        },
        "test": {"enable": true, "filters": [{"name": "f", "exclude": true}]},
        "rollback": {"recreate": true},
        "uninstall": {"keepHistory": true, "deletionPropagation": "orphan"},
        "driftDetection": {
            "mode": "warn",
            "ignore": [{"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}],
        },
        "valuesFrom": [
            {"kind": "Secret", "name": "n", "valuesKey": "k", "targetPath": "a.b[0]", "optional": true, "literal": true}
        ],
        "values": {"a": [1, 2.5, "x", null, {"b": true}]},
        "postRenderers": [{"kustomize": {"images": [{"name": "a", "newTag": "b"}]}}],
        "commonMetadata": {"labels": {"x": "y"}},
        "postRenderStrategy": "separate",
        "waitStrategy": {"name": "legacy"},
        "healthCheckExprs": [{"apiVersion": "v1", "kind": "X", "current": "true"}],
        "maxHistory": 0, "persistentClient": false, "serviceAccountName": "sa", "suspend": true,
        "kubeConfig": {"configMapRef": {"name": "cm"}},
    });
    let object = decode(&manifest(HELM, "HelmRelease", spec.clone())).unwrap();
    assert_eq!(object.spec_json(), spec);
    assert!(object.suspended());
}

#[test]
fn h46_references_to_other_namespaces_are_known() {
    let source = |namespace: &str| json!({"kind": "GitRepository", "name": "g", "namespace": namespace});
    let refused =
        |object: &FluxObject| object.foreign_references().iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut chart = release(json!({}));
    chart["chart"]["spec"]["sourceRef"] = source("infra");
    let expected = ["can't access 'GitRepository/infra/g', cross-namespace references have been blocked"];
    assert_eq!(refused(&good::<HelmRelease>(HELM, chart).into()), expected);
    let other = kustomization(json!({"sourceRef": source("infra")}));
    assert_eq!(refused(&good::<Kustomization>(KUSTOMIZE, other).into()), expected);
    let own =
        kustomization(json!({"sourceRef": source("apps"), "dependsOn": [{"name": "x", "namespace": "y"}]}));
    assert_eq!(refused(&good::<Kustomization>(KUSTOMIZE, own).into()), Vec::<String>::new());
    let policy =
        with(minimal(Kind::ImagePolicy), json!({"imageRepositoryRef": {"name": "i", "namespace": "infra"}}));
    assert_eq!(
        refused(&good::<ImagePolicy>("image.toolkit.fluxcd.io/v1", policy).into()),
        ["cannot access 'ImageRepository/infra/i', cross-namespace references have been blocked"]
    );
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    let found = bad(GIT, "GitRepository", git(json!({"url": "htps://user:hunter2@host/x@y"})));
    assert!(!found[0].contains("hunter2") && found[0].contains("htps://***@host/x@y"), "{}", found[0]);
}

/// Every place in a value.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), all)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
}

#[test]
fn no_value_in_any_place_of_any_kind_panics() {
    for &kind in Kind::ALL {
        for version in kind.versions() {
            let api_version = format!("{}/{version}", kind.group());
            let mut whole = manifest(&api_version, kind.as_str(), minimal(kind));
            whole["status"] = json!({"conditions": [{"type": "Ready"}], "artifact": {"checksum": "x"}, "url": "u",
                "latestImage": "a:b", "history": [{}]});
            whole["spec"]["verify"] =
                json!({"provider": "cosign", "mode": "HEAD", "secretRef": {"name": "x"}});
            whole["spec"]["valuesFile"] = json!("x");
            whole["spec"]["patchesStrategicMerge"] = json!([{}]);
            let mut all = Vec::new();
            places(&whole, "", &mut all);
            for place in all {
                for other in [
                    json!(null),
                    json!(true),
                    json!(-5),
                    json!(1e300),
                    json!("x"),
                    json!([]),
                    json!({}),
                    json!([{}]),
                ] {
                    let mut changed = whole.clone();
                    *changed.pointer_mut(&place).unwrap() = other;
                    if let Ok(object) = decode(&changed) {
                        decode(&object.to_json()).unwrap();
                    }
                }
            }
        }
    }
}
