//! The room against real API servers: `SLUICE_TESTCLUSTER` names the directory of `testcluster up --dir`.
//!
//! Without it the tests say so and pass; `scripts/test` starts the control planes and sets it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::model::Clock;

fn directory() -> Option<PathBuf> {
    let directory = std::env::var_os("SLUICE_TESTCLUSTER").map(PathBuf::from);
    if directory.is_none() {
        eprintln!("skipped: SLUICE_TESTCLUSTER is not set");
    }
    directory
}

fn clusters() -> Clusters {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Clusters::new(ClusterSettings::default(), Clock::system())
}

/// A cluster of the test bed and a fresh namespace in it.
async fn bed(clusters: &Clusters, name: &str, namespace: &str) -> Option<Cluster> {
    let kubeconfig = std::fs::read(directory()?.join(format!("{name}.kubeconfig"))).unwrap();
    let identity = ClusterIdentity { object: format!("file `{name}.kubeconfig`"), impersonate: None };
    let cluster = clusters.connect(&SecretBytes::from(kubeconfig), identity).unwrap();
    cluster.ensure_namespace(namespace, &[]).await.unwrap();
    Some(cluster)
}

fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

fn manifest(json: Value) -> Manifest {
    Manifest::new(json, None).unwrap()
}

fn config_map(namespace: &str, name: &str, data: Value) -> Manifest {
    manifest(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}),
    )
}

fn deployment(namespace: &str, name: &str, image: &str) -> Manifest {
    let labels = json!({"app": name});
    manifest(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": image}]}}}}),
    )
}

fn actions(applied: &Applied) -> Vec<Action> {
    applied.changes.iter().map(|change| change.action).collect()
}

#[tokio::test]
async fn created_configured_and_unchanged_are_told_from_the_answer() {
    let (clusters, namespace) = (clusters(), unique("apply"));
    let Some(cluster) = bed(&clusters, "host", &namespace).await else { return };
    let options = ApplyOptions { default_namespace: Some(namespace.clone()), ..ApplyOptions::default() };
    let objects = |value: &str| {
        vec![
            deployment(&namespace, "web", "app:1.0"),
            manifest(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}}),
            ),
            manifest(
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}),
            ),
        ]
    };
    use Action::{Configured, Created, Unchanged};
    let first = cluster.apply(&objects("1"), &options).await.unwrap();
    assert_eq!(actions(&first), [Created, Created, Created]);
    assert_eq!(first.changes[1].object.namespace.as_deref(), Some(&*namespace));
    assert_eq!(first.unready(), [ObjectId::new("apps/v1", "Deployment", &namespace, "web")]);
    // At once, within the second of the change, where times alone cannot tell.
    let second = cluster.apply(&objects("1"), &options).await.unwrap();
    assert_eq!(actions(&second), [Unchanged, Unchanged, Unchanged]);
    let third = cluster.apply(&objects("2"), &options).await.unwrap();
    assert_eq!(actions(&third), [Unchanged, Configured, Unchanged]);
    // A process that has seen none of these objects, once the second of the change is over.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let fresh = self::clusters();
    let cluster = bed(&fresh, "host", &namespace).await.unwrap();
    let fourth = cluster.apply(&objects("2"), &options).await.unwrap();
    assert_eq!(actions(&fourth), [Unchanged, Unchanged, Unchanged]);
    assert_eq!(fourth.changes[0].footprint, first.changes[0].footprint);
    let dry = ApplyOptions { dry_run: true, ..options.clone() };
    assert_eq!(
        actions(&cluster.apply(&objects("3"), &dry).await.unwrap()),
        [Unchanged, Configured, Unchanged]
    );
    let live = cluster.get(&first.changes[1].object).await.unwrap().unwrap();
    assert_eq!(live["data"]["k"], "2", "a dry run changes nothing");
}

#[tokio::test]
async fn the_footprint_moves_when_somebody_edits_and_not_with_the_status() {
    let (clusters, namespace) = (clusters(), unique("footprint"));
    let Some(cluster) = bed(&clusters, "member1", &namespace).await else { return };
    let object = deployment(&namespace, "web", "app:1.0");
    let applied = cluster.apply(std::slice::from_ref(&object), &ApplyOptions::default()).await.unwrap();
    cluster.wait(&applied.unready(), &WaitOptions::default()).await.unwrap();
    let scope = ListScope { namespace: Some(namespace.clone()), labels: String::new() };
    let listed = cluster.list_metadata("apps/v1", "Deployment", &scope).await.unwrap();
    assert_ne!(listed[0].resource_version, applied.changes[0].resource_version);
    assert_eq!(listed[0].footprint, applied.changes[0].footprint);
    let patch = Patch::Merge(json!({"metadata": {"labels": {"by": "hand"}}}));
    cluster.patch_object(&object.id, &patch, "kubectl-label").await.unwrap();
    let edited = cluster.get_metadata(&object.id).await.unwrap().unwrap();
    assert_ne!(edited.footprint, applied.changes[0].footprint);
}

#[tokio::test]
async fn f8_a_conflict_names_the_manager_and_force_takes_the_field() {
    let (clusters, namespace) = (clusters(), unique("conflict"));
    let Some(cluster) = bed(&clusters, "host", &namespace).await else { return };
    let as_manager = |manager: &str, force_conflicts| ApplyOptions {
        field_manager: manager.to_owned(),
        force_conflicts,
        ..ApplyOptions::default()
    };
    cluster
        .apply(&[config_map(&namespace, "a", json!({"k": "1"}))], &as_manager("other", true))
        .await
        .unwrap();
    let ours = [config_map(&namespace, "a", json!({"k": "2"}))];
    let error = cluster.apply(&ours, &as_manager("helm-controller", false)).await.unwrap_err();
    let Reason::Conflict { managers, .. } = &error.failures[0].error.reason else { panic!("{error}") };
    assert_eq!(managers, &[FieldOwner { manager: "other".to_owned(), field: ".data.k".to_owned() }]);
    cluster.apply(&ours, &as_manager("helm-controller", true)).await.unwrap();
}

#[tokio::test]
async fn fields_of_kubectl_are_taken_over() {
    let (clusters, namespace) = (clusters(), unique("takeover"));
    let Some(cluster) = bed(&clusters, "host", &namespace).await else { return };
    let mut by_hand = config_map(&namespace, "a", json!({"ours": "1", "stray": "1"}));
    by_hand.json["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
    cluster.create(&by_hand, "kubectl-client-side-apply").await.unwrap();
    let cleanup = Cleanup {
        managers: FieldManager::flux_defaults(),
        annotations: vec!["kubectl.kubernetes.io/last-applied-configuration".to_owned()],
        labels: Vec::new(),
    };
    let options =
        ApplyOptions { field_manager: "kustomize-controller".to_owned(), cleanup, ..ApplyOptions::default() };
    let wanted = [config_map(&namespace, "a", json!({"ours": "1"}))];
    let applied = cluster.apply(&wanted, &options).await.unwrap();
    assert_eq!(actions(&applied), [Action::Configured]);
    let live = cluster.get(&wanted[0].id).await.unwrap().unwrap();
    assert_eq!(live["data"], json!({"ours": "1"}), "what kubectl had added is gone");
    assert!(live["metadata"].get("annotations").is_none());
    let managers: Vec<_> = live["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["kustomize-controller"]);
    assert_eq!(actions(&cluster.apply(&wanted, &options).await.unwrap()), [Action::Unchanged]);
}

#[tokio::test]
async fn f10_a_403_names_verb_kind_and_user() {
    let Some(directory) = directory() else { return };
    let clusters = clusters();
    let kubeconfig = std::fs::read(directory.join("host.user.kubeconfig")).unwrap();
    let cluster = clusters.connect(&SecretBytes::from(kubeconfig), ClusterIdentity::default()).unwrap();
    let error =
        cluster.apply(&[config_map("default", "a", json!({}))], &ApplyOptions::default()).await.unwrap_err();
    let Reason::Forbidden { user, .. } = &error.failures[0].error.reason else { panic!("{error}") };
    assert_eq!(user.as_deref(), Some("restricted"));
    let text = error.to_string();
    for part in ["apply ConfigMap `default/a`", "patch", "configmaps", "restricted", "127.0.0.1:"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
}

#[tokio::test]
async fn a_service_account_is_impersonated() {
    let (clusters, namespace) = (clusters(), unique("impersonate"));
    let Some(_) = bed(&clusters, "host", &namespace).await else { return };
    let kubeconfig = std::fs::read(directory().unwrap().join("host.kubeconfig")).unwrap();
    let impersonate = Some(ServiceAccount { namespace: namespace.clone(), name: "deployer".to_owned() });
    let identity = ClusterIdentity { object: "test".to_owned(), impersonate };
    let cluster = clusters.connect(&SecretBytes::from(kubeconfig), identity).unwrap();
    let error = cluster.get(&config_map(&namespace, "a", json!({})).id).await.unwrap_err();
    assert!(error.to_string().contains(&format!("system:serviceaccount:{namespace}:deployer")), "{error}");
}

#[tokio::test]
async fn immutable_fields_are_recreated_only_when_asked() {
    let (clusters, namespace) = (clusters(), unique("immutable"));
    let Some(cluster) = bed(&clusters, "member1", &namespace).await else { return };
    let mut immutable = config_map(&namespace, "a", json!({"k": "1"}));
    immutable.json["immutable"] = true.into();
    let options = ApplyOptions::default();
    cluster.apply(std::slice::from_ref(&immutable), &options).await.unwrap();
    immutable.json["data"]["k"] = "2".into();
    let job = |command: &str| {
        manifest(
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": namespace},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "app:1", "command": [command]}]}}}}),
        )
    };
    cluster.apply(&[job("a")], &options).await.unwrap();
    let objects = [immutable.clone(), job("b")];
    let error = cluster.apply(&objects[..1], &options).await.unwrap_err();
    assert!(error.to_string().contains("immutable"), "{error}");
    let force = ApplyOptions { recreate_on_immutable: true, ..options.clone() };
    let applied = cluster.apply(&objects, &force).await.unwrap();
    assert_eq!(actions(&applied), [Action::Recreated, Action::Recreated]);
    // A change that would be wrong for a new object too deletes nothing.
    let broken = manifest(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": namespace}, "data": {"bad key!": "1"}}),
    );
    cluster.apply(&[broken], &force).await.unwrap_err();
    let live = cluster.get(&immutable.id).await.unwrap().unwrap();
    assert_eq!(live["data"]["k"], "2");
}

#[tokio::test]
async fn f11_a_crd_and_its_objects_are_applied_in_one_go() {
    let (clusters, namespace) = (clusters(), unique("crd"));
    let Some(cluster) = bed(&clusters, "host", &namespace).await else { return };
    let group = format!("{namespace}.example.com");
    let crd = manifest(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")}, "spec": {"group": group, "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}));
    let widget = manifest(
        json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"}, "spec": {"a": 1}}),
    );
    let options = ApplyOptions { default_namespace: Some(namespace.clone()), ..ApplyOptions::default() };
    let before = cluster.capabilities().await.unwrap();
    for order in [Order::Helm, Order::Flux { custom_stage: Vec::new() }] {
        let options = ApplyOptions { order, ..options.clone() };
        cluster.apply(&[widget.clone(), crd.clone()], &options).await.unwrap();
    }
    let entry = format!("{group}/v1/Widget");
    assert!(!before.api_versions().contains(&entry));
    assert!(cluster.capabilities().await.unwrap().api_versions().contains(&entry));
    let id = ObjectId::new(&format!("{group}/v1"), "Widget", &namespace, "w");
    assert!(cluster.get(&id).await.unwrap().is_some());
    let deleted = cluster.delete(std::slice::from_ref(&crd.id), &DeleteOptions::default()).await;
    assert_eq!(deleted.deleted, [crd.id.clone()], "{:?}", deleted.failed);
    let wait = WaitOptions {
        wait_for: WaitFor::Deleted,
        timeout: Duration::from_secs(30),
        ..WaitOptions::default()
    };
    cluster.wait(std::slice::from_ref(&crd.id), &wait).await.unwrap();
    // Its objects went with it.
    let began = Instant::now();
    loop {
        let deleted = cluster.delete(std::slice::from_ref(&id), &DeleteOptions::default()).await;
        if deleted.missing == [id.clone()] {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{deleted:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn f11_a_terminating_namespace_is_named() {
    let (clusters, namespace) = (clusters(), unique("terminating"));
    // The first cluster has no controllers: the namespace stays as it is.
    let Some(cluster) = bed(&clusters, "host", &namespace).await else { return };
    cluster.remove(&ObjectId::new("v1", "Namespace", "", &namespace), Propagation::Background).await.unwrap();
    let error =
        cluster.apply(&[config_map(&namespace, "a", json!({}))], &ApplyOptions::default()).await.unwrap_err();
    assert!(matches!(error.failures[0].error.reason, Reason::NamespaceTerminating { .. }), "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains("being terminated"), "{error}");
}

#[tokio::test]
async fn deployments_become_ready_and_are_waited_for_by_watch() {
    let (clusters, namespace) = (clusters(), unique("wait"));
    let Some(cluster) = bed(&clusters, "member1", &namespace).await else { return };
    let mut objects: Vec<_> =
        (0..12).map(|i| deployment(&namespace, &format!("web{i}"), "app:1.0")).collect();
    objects.push(config_map(&namespace, "a", json!({})));
    let options = ApplyOptions::default();
    let applied = cluster.apply(&objects, &options).await.unwrap();
    assert_eq!(applied.unready().len(), 12);
    let ids: Vec<_> = objects.iter().map(|o| o.id.clone()).collect();
    let began = Instant::now();
    cluster
        .wait(&ids, &WaitOptions { timeout: Duration::from_secs(60), ..WaitOptions::default() })
        .await
        .unwrap();
    eprintln!("12 Deployments of 2 were ready {:?} after the apply", began.elapsed());
    // One that is rolled out again is not taken for ready because it was.
    let again = [deployment(&namespace, "web0", "app:1.1")];
    let applied = cluster.apply(&again, &options).await.unwrap();
    assert!(!applied.changes[0].ready);
    cluster.wait(&applied.unready(), &WaitOptions::default()).await.unwrap();
    let live = cluster.get(&again[0].id).await.unwrap().unwrap();
    assert_eq!(live["status"]["updatedReplicas"], 2);
}

#[tokio::test]
async fn a_broken_image_runs_into_the_timeout_with_flux_words() {
    let (clusters, namespace) = (clusters(), unique("broken"));
    let Some(cluster) = bed(&clusters, "member1", &namespace).await else { return };
    let object = deployment(&namespace, "web", "app:broken");
    cluster.apply(std::slice::from_ref(&object), &ApplyOptions::default()).await.unwrap();
    let wait = WaitOptions { timeout: Duration::from_secs(2), ..WaitOptions::default() };
    let error = cluster.wait(std::slice::from_ref(&object.id), &wait).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("timeout waiting for: [Deployment/{namespace}/web status: 'InProgress']")
    );
    assert_eq!(error.details(), [format!("Deployment/{namespace}/web: Available: 0/2")]);
}

#[tokio::test]
async fn a_crashing_stateful_set_fails_fast_by_its_pods() {
    let (clusters, namespace) = (clusters(), unique("crash"));
    let Some(cluster) = bed(&clusters, "member1", &namespace).await else { return };
    let mut object = deployment(&namespace, "db", "app:crash");
    object.json["kind"] = "StatefulSet".into();
    object.json["spec"]["serviceName"] = "db".into();
    let object = manifest(object.json);
    cluster.apply(std::slice::from_ref(&object), &ApplyOptions::default()).await.unwrap();
    let wait = WaitOptions { timeout: Duration::from_secs(60), ..WaitOptions::default() };
    let error = cluster.wait(std::slice::from_ref(&object.id), &wait).await.unwrap_err();
    assert_eq!(error.end, WaitEnd::Failed, "{error}");
    assert_eq!(error.details(), [format!("StatefulSet/{namespace}/db: 1 pods have failed")]);
}

#[tokio::test]
async fn jobs_are_waited_for_to_their_end() {
    let (clusters, namespace) = (clusters(), unique("jobs"));
    let Some(cluster) = bed(&clusters, "member1", &namespace).await else { return };
    let job = |name: &str, image: &str| {
        manifest(
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace},
            "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}}}),
        )
    };
    let (good, bad) = (job("good", "app:1"), job("bad", "app:fail"));
    cluster.apply(&[good.clone(), bad.clone()], &ApplyOptions::default()).await.unwrap();
    for wait_for in [WaitFor::HookDone, WaitFor::ReadyWithJobs] {
        let wait = WaitOptions { wait_for, timeout: Duration::from_secs(60), ..WaitOptions::default() };
        cluster.wait(std::slice::from_ref(&good.id), &wait).await.unwrap();
        let error = cluster.wait(&[good.id.clone(), bad.id.clone()], &wait).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("failed early due to stalled resources: [Job/{namespace}/bad status: 'Failed']")
        );
    }
}

#[tokio::test]
async fn deletes_tell_what_was_there_and_what_is_not_ours() {
    let (clusters, namespace) = (clusters(), unique("delete"));
    let Some(cluster) = bed(&clusters, "member1", &namespace).await else { return };
    let mut ours = config_map(&namespace, "ours", json!({}));
    ours.json["metadata"]["labels"] = json!({"owner": "us"});
    let mut pinned = config_map(&namespace, "pinned", json!({}));
    pinned.json["metadata"]["labels"] = json!({"owner": "us"});
    pinned.json["metadata"]["annotations"] = json!({"prune": "Disabled"});
    let foreign = config_map(&namespace, "foreign", json!({}));
    cluster.apply(&[ours.clone(), pinned.clone(), foreign.clone()], &ApplyOptions::default()).await.unwrap();
    let ids = [ours.id, pinned.id, foreign.id, config_map(&namespace, "gone", json!({})).id];
    let options = DeleteOptions {
        only_labelled: [("owner".to_owned(), "us".to_owned())].into(),
        unless: vec![("prune".to_owned(), "disabled".to_owned())],
        ..DeleteOptions::default()
    };
    let deleted = cluster.delete(&ids, &options).await;
    assert_eq!(deleted.deleted, ids[..1]);
    assert_eq!(deleted.kept, ids[1..3]);
    assert_eq!(deleted.missing, ids[3..]);
    let wait = WaitOptions { wait_for: WaitFor::Deleted, ..WaitOptions::default() };
    cluster.wait(&deleted.deleted, &wait).await.unwrap();
    let short = WaitOptions { timeout: Duration::from_millis(300), ..wait };
    let error = cluster.wait(&ids[1..2], &short).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("ConfigMap/{namespace}/pinned termination timeout: context deadline exceeded")
    );
}

#[tokio::test]
async fn release_secrets_are_created_once_listed_and_replaced() {
    let (clusters, namespace) = (clusters(), unique("secrets"));
    let Some(cluster) = bed(&clusters, "host", &namespace).await else { return };
    let secret = |version: u32, status: &str| {
        manifest(json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
            "metadata": {"name": format!("sh.helm.release.v1.web.v{version}"), "namespace": namespace,
                "labels": {"owner": "helm", "name": "web", "version": version.to_string(), "status": status}},
            "data": {"release": "AAAA"}}))
    };
    for version in [1, 2] {
        cluster.create(&secret(version, "pending-upgrade"), "helm-controller").await.unwrap();
    }
    let error = cluster.create(&secret(2, "deployed"), "helm-controller").await.unwrap_err();
    assert!(matches!(error.reason, Reason::AlreadyExists { .. }), "{error}");
    cluster.replace(&secret(2, "deployed"), "helm-controller").await.unwrap();
    let scope = ListScope { namespace: Some(namespace.clone()), labels: "owner=helm,name=web".to_owned() };
    let full = cluster.list("v1", "Secret", &scope).await.unwrap();
    assert_eq!(full.len(), 2);
    assert_eq!(full[1]["data"]["release"], "AAAA");
    assert_eq!(full[1]["kind"], "Secret");
    let metadata = cluster.list_metadata("v1", "Secret", &scope).await.unwrap();
    assert_eq!(metadata[1].labels["status"], "deployed");
    assert_eq!(metadata[1].id, secret(2, "deployed").id);
    assert!(cluster.remove(&metadata[0].id, Propagation::Background).await.unwrap());
    assert!(!cluster.remove(&metadata[0].id, Propagation::Background).await.unwrap());
    assert_eq!(cluster.list_metadata("v1", "Secret", &scope).await.unwrap().len(), 1);
    // Something of everything, over several pages of one object each, is what `limit` is for.
    assert!(!cluster.ensure_namespace(&namespace, &[("name", &namespace)]).await.unwrap());
}

#[tokio::test]
async fn capabilities_are_those_of_the_server() {
    let clusters = clusters();
    let Some(cluster) = bed(&clusters, "member1", "default").await else { return };
    let other = bed(&clusters, "member2", "default").await.unwrap();
    let (one, two) = (cluster.capabilities().await.unwrap(), other.capabilities().await.unwrap());
    assert_eq!(one.kube_version.git_version, "v1.37.2");
    let versions = one.api_versions();
    for expected in
        ["v1", "apps/v1", "v1/Pod", "apps/v1/Deployment", "apps/v1/Scale", "networking.k8s.io/v1/Ingress"]
    {
        assert!(versions.iter().any(|v| v == expected), "{expected} is missing");
    }
    assert!(!versions.iter().any(|v| v.contains("//")));
    assert!(std::sync::Arc::ptr_eq(&one.kinds, &two.kinds), "two equal clusters hold two copies");
}

#[tokio::test]
async fn a_refused_certificate_is_a_tls_error() {
    let Some(directory) = directory() else { return };
    let clusters = clusters();
    let text = std::fs::read_to_string(directory.join("member1.kubeconfig")).unwrap();
    // The CA of another member.
    let other = std::fs::read_to_string(directory.join("member2.kubeconfig")).unwrap();
    let ca = |text: &str| {
        let line = text.lines().find(|l| l.contains("certificate-authority-data")).unwrap();
        line.split_once(": ").unwrap().1.trim().to_owned()
    };
    let text = text.replace(&ca(&text), &ca(&other));
    let cluster =
        clusters.connect(&SecretBytes::from(text.into_bytes()), ClusterIdentity::default()).unwrap();
    let error = cluster.capabilities().await.unwrap_err();
    assert!(matches!(error.reason, Reason::Tls { .. }), "{error}");
}
