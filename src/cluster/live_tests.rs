//! The room against whole clusters: always the simulated one, and the real API servers of `testcluster up --dir` when
//! `SLUICE_TESTCLUSTER` names that directory. What the simulation cannot do runs against the real ones only.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::Clock;

/// A cluster with a fresh namespace.
struct Bed {
    cluster: Cluster,
    namespace: String,
    kubeconfig: String,
    is_real: bool,
    _simulation: Option<tokio_util::sync::DropGuard>,
}

impl Bed {
    async fn new(kubeconfig: String, prefix: &str, simulation: Option<tokio_util::sync::DropGuard>) -> Self {
        let cluster = connect(&clusters(), &kubeconfig, None);
        let namespace = unique(prefix);
        cluster.ensure_namespace(&namespace, &[]).await.unwrap();
        Self { cluster, namespace, kubeconfig, is_real: simulation.is_none(), _simulation: simulation }
    }
}

fn clusters() -> Clusters {
    // Another test may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    Clusters::new(ClusterSettings::default(), Clock::system())
}

fn connect(clusters: &Clusters, kubeconfig: &str, impersonate: Option<ServiceAccount>) -> Cluster {
    let identity = ClusterIdentity { object: "a test".to_owned(), impersonate };
    clusters.connect(&SecretBytes::from(kubeconfig.as_bytes().to_vec()), identity).unwrap()
}

fn directory() -> Option<PathBuf> {
    let directory = std::env::var_os("SLUICE_TESTCLUSTER").map(PathBuf::from);
    if directory.is_none() {
        eprintln!("not run against real API servers: SLUICE_TESTCLUSTER is not set");
    }
    directory
}

/// A real cluster: `host` is an API server only, `member1` and `member2` run workloads.
async fn real(name: &str, prefix: &str) -> Option<Bed> {
    let kubeconfig = std::fs::read_to_string(directory()?.join(format!("{name}.kubeconfig"))).unwrap();
    Some(Bed::new(kubeconfig, prefix, None).await)
}

/// For what the simulation does not do.
async fn real_beds(name: &str, prefix: &str) -> Vec<Bed> {
    real(name, prefix).await.into_iter().collect()
}

/// A simulated cluster, and the real one if there is one.
async fn beds(name: &str, prefix: &str) -> Vec<Bed> {
    let simulator = kube_sim::Simulator::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let kubeconfig = simulator.add_cluster(name).kubeconfig();
    let stop = CancellationToken::new();
    tokio::spawn(simulator.run(stop.clone()));
    let mut beds = vec![Bed::new(kubeconfig, prefix, Some(stop.drop_guard())).await];
    beds.extend(real(name, prefix).await);
    beds
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
    for bed in beds("host", "apply").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
        let options = ApplyOptions { default_namespace: Some(namespace.clone()), ..ApplyOptions::default() };
        let objects = |value: &str| {
            vec![
                deployment(&namespace, "web", "app:1.0"),
                manifest(
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}}),
                ),
                manifest(
                    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "dg=="}}),
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
        let cluster = connect(&clusters(), &bed.kubeconfig, None);
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
}

#[tokio::test]
async fn the_footprint_moves_when_somebody_edits_and_not_with_the_status() {
    for bed in beds("member1", "footprint").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
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
}

#[tokio::test]
async fn f8_a_conflict_names_the_manager_and_force_takes_the_field() {
    for bed in beds("host", "conflict").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
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
}

#[tokio::test]
async fn fields_of_kubectl_are_taken_over() {
    for bed in real_beds("host", "takeover").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
        let mut by_hand = config_map(&namespace, "a", json!({"ours": "1", "stray": "1"}));
        by_hand.json["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
        cluster.create(&by_hand, "kubectl-client-side-apply").await.unwrap();
        let cleanup = Cleanup {
            managers: FieldManager::flux_defaults(),
            annotations: vec!["kubectl.kubernetes.io/last-applied-configuration".to_owned()],
            labels: Vec::new(),
        };
        let options = ApplyOptions {
            field_manager: "kustomize-controller".to_owned(),
            cleanup,
            ..ApplyOptions::default()
        };
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
}

#[tokio::test]
async fn f10_a_403_names_verb_kind_and_user() {
    let Some(directory) = directory() else { return };
    let kubeconfig = std::fs::read_to_string(directory.join("host.user.kubeconfig")).unwrap();
    let cluster = connect(&clusters(), &kubeconfig, None);
    let objects = [config_map("default", "a", json!({}))];
    let error = cluster.apply(&objects, &ApplyOptions::default()).await.unwrap_err();
    let Reason::Forbidden { user, .. } = &error.failures[0].error.reason else { panic!("{error}") };
    assert_eq!(user.as_deref(), Some("restricted"));
    let text = error.to_string();
    for part in ["apply ConfigMap `default/a`", "patch", "configmaps", "restricted", "127.0.0.1:"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
}

#[tokio::test]
async fn a_service_account_is_impersonated() {
    let Some(bed) = real("host", "impersonate").await else { return };
    let account = ServiceAccount { namespace: bed.namespace.clone(), name: "deployer".to_owned() };
    let cluster = connect(&clusters(), &bed.kubeconfig, Some(account));
    let error = cluster.get(&config_map(&bed.namespace, "a", json!({})).id).await.unwrap_err();
    let user = format!("system:serviceaccount:{}:deployer", bed.namespace);
    assert!(error.to_string().contains(&user), "{error}");
}

#[tokio::test]
async fn immutable_fields_are_recreated_only_when_asked() {
    for bed in real_beds("member1", "immutable").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
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
}

#[tokio::test]
async fn f11_a_crd_and_its_objects_are_applied_in_one_go() {
    for bed in beds("host", "crd").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
        let group = format!("{namespace}.example.com");
        let crd = manifest(
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")}, "spec": {"group": group, "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}),
        );
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
        assert_eq!(deleted.deleted, std::slice::from_ref(&crd.id), "{:?}", deleted.failed);
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
}

#[tokio::test]
async fn f11_a_terminating_namespace_is_named() {
    // The first cluster has no controllers: the namespace stays as it is.
    for bed in real_beds("host", "terminating").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
        cluster
            .remove(&ObjectId::new("v1", "Namespace", "", &namespace), Propagation::Background)
            .await
            .unwrap();
        let error = cluster
            .apply(&[config_map(&namespace, "a", json!({}))], &ApplyOptions::default())
            .await
            .unwrap_err();
        assert!(matches!(error.failures[0].error.reason, Reason::NamespaceTerminating { .. }), "{error}");
        assert!(error.is_retryable());
        assert!(error.to_string().contains("being terminated"), "{error}");
    }
}

#[tokio::test]
async fn deployments_become_ready_and_are_waited_for_by_watch() {
    for bed in beds("member1", "wait").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
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
}

#[tokio::test]
async fn a_broken_image_runs_into_the_timeout_with_flux_words() {
    for bed in beds("member1", "broken").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
        let object = deployment(&namespace, "web", "app:broken");
        cluster.apply(std::slice::from_ref(&object), &ApplyOptions::default()).await.unwrap();
        let wait = WaitOptions { timeout: Duration::from_secs(2), ..WaitOptions::default() };
        let error = cluster.wait(std::slice::from_ref(&object.id), &wait).await.unwrap_err();
        // The simulation has no pods to ask.
        let pull = "ImagePullBackOff: Back-off pulling image \"app:broken\": ErrImagePull: not found";
        let causes = if bed.is_real { format!(" (container `c`: {pull})") } else { String::new() };
        assert_eq!(
            error.to_string(),
            format!("timeout waiting for: [Deployment/{namespace}/web status: 'InProgress']")
        );
        assert_eq!(error.details(), [format!("Deployment/{namespace}/web: Available: 0/2{causes}")]);
    }
}

#[tokio::test]
async fn a_crashing_stateful_set_fails_fast_by_its_pods() {
    for bed in real_beds("member1", "crash").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
        let mut object = deployment(&namespace, "db", "app:crash");
        object.json["kind"] = "StatefulSet".into();
        object.json["spec"]["serviceName"] = "db".into();
        let object = manifest(object.json);
        cluster.apply(std::slice::from_ref(&object), &ApplyOptions::default()).await.unwrap();
        let wait = WaitOptions { timeout: Duration::from_secs(60), ..WaitOptions::default() };
        let error = cluster.wait(std::slice::from_ref(&object.id), &wait).await.unwrap_err();
        assert_eq!(error.end, WaitEnd::Failed, "{error}");
        let crash = "container `c`: CrashLoopBackOff: back-off restarting failed container c";
        assert_eq!(error.details(), [format!("StatefulSet/{namespace}/db: 1 pods have failed ({crash})")]);
    }
}

#[tokio::test]
async fn jobs_are_waited_for_to_their_end() {
    for bed in beds("member1", "jobs").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
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
}

#[tokio::test]
async fn deletes_tell_what_was_there_and_what_is_not_ours() {
    for bed in beds("member1", "delete").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
        let mut ours = config_map(&namespace, "ours", json!({}));
        ours.json["metadata"]["labels"] = json!({"owner": "us"});
        let mut pinned = config_map(&namespace, "pinned", json!({}));
        pinned.json["metadata"]["labels"] = json!({"owner": "us"});
        pinned.json["metadata"]["annotations"] = json!({"prune": "Disabled"});
        let foreign = config_map(&namespace, "foreign", json!({}));
        cluster
            .apply(&[ours.clone(), pinned.clone(), foreign.clone()], &ApplyOptions::default())
            .await
            .unwrap();
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
}

#[tokio::test]
async fn release_secrets_are_created_once_listed_and_replaced() {
    for bed in beds("host", "secrets").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
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
        let scope =
            ListScope { namespace: Some(namespace.clone()), labels: "owner=helm,name=web".to_owned() };
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
}

#[tokio::test]
async fn capabilities_are_those_of_the_server() {
    let Some(one) = real("member1", "capabilities").await else { return };
    let two = real("member2", "capabilities").await.unwrap();
    // Both through one pool, as in the agent.
    let clusters = clusters();
    let capabilities = |bed: &Bed| {
        let cluster = connect(&clusters, &bed.kubeconfig, None);
        async move { cluster.capabilities().await.unwrap() }
    };
    let (one, two) = (capabilities(&one).await, capabilities(&two).await);
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
    let [one, two] = [beds("member1", "tls").await, beds("member2", "tls").await];
    for (bed, other) in one.iter().zip(&two) {
        let ca = |text: &str| {
            let line = text.lines().find(|l| l.contains("certificate-authority-data")).unwrap();
            line.split_once(": ").unwrap().1.trim().to_owned()
        };
        // The CA of another member.
        let text = bed.kubeconfig.replace(&ca(&bed.kubeconfig), &ca(&other.kubeconfig));
        let error = connect(&clusters(), &text, None).capabilities().await.unwrap_err();
        assert!(matches!(error.reason, Reason::Tls { .. }), "{error}");
        assert!(error.is_about_the_cluster());
    }
}

#[tokio::test]
async fn a_diff_tells_what_an_apply_would_change_and_changes_nothing() {
    for bed in beds("host", "diff").await {
        let (cluster, namespace) = (bed.cluster.clone(), bed.namespace.clone());
        let secret = |value: &str| {
            manifest(
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": namespace},
                "stringData": {"password": value}}),
            )
        };
        let before = [
            config_map(&namespace, "same", json!({"k": "1"})),
            config_map(&namespace, "a", json!({"k": "1"})),
            secret("hunter2"),
        ];
        cluster.apply(&before, &ApplyOptions::default()).await.unwrap();
        let after = [
            before[0].clone(),
            config_map(&namespace, "a", json!({"k": "2"})),
            secret("hunter3"),
            config_map(&namespace, "new", json!({"k": "1"})),
            config_map(&unique("absent"), "elsewhere", json!({"k": "1"})),
        ];
        let diffs = cluster.diff(&after, &DiffOptions::default()).await.unwrap();
        use Action::{Configured, Created, Unchanged};
        let actions: Vec<_> = diffs.iter().map(|d| (d.action, d.error.is_none())).collect();
        assert_eq!(
            actions,
            [(Unchanged, true), (Configured, true), (Configured, true), (Created, true), (Created, true)]
        );
        assert_eq!(diffs[0].text, "");
        assert!(diffs[1].text.contains("-  k: \"1\"\n+  k: \"2\""), "{}", diffs[1].text);
        assert_eq!(diffs[1].changes.len(), 1);
        assert_eq!(diffs[1].changes[0].path, ".data.k");
        let all: String = diffs.iter().map(|d| format!("{}{:?}", d.text, d.changes)).collect();
        for secret in ["hunter", "aHVudGVy"] {
            assert!(!all.contains(secret), "{all}");
        }
        assert!(cluster.get(&after[3].id).await.unwrap().is_none());
    }
}

/// Resident memory of this process in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A thousand members must fit into one process; here, two hundred that differ in their CA, so that nothing is shared
/// that a fleet would not share, each asked for its kinds and applied to once.
#[tokio::test]
async fn two_hundred_members_stay_small() {
    use futures::StreamExt as _;
    const MEMBERS: usize = 200;
    let Some(bed) = real("host", "fleet").await else { return };
    let line = bed.kubeconfig.lines().find(|l| l.contains("certificate-authority-data")).unwrap().to_owned();
    let data = line.split_once(": ").unwrap().1.trim().to_owned();
    use base64::Engine as _;
    let engine = &base64::engine::general_purpose::STANDARD;
    let ca = String::from_utf8(engine.decode(&data).unwrap()).unwrap();
    let kubeconfigs: Vec<String> = (0..MEMBERS)
        .map(|i| {
            let own = rcgen::generate_simple_self_signed([format!("member{i}.example")]).unwrap().cert.pem();
            bed.kubeconfig.replace(&data, &engine.encode(format!("{ca}{own}")))
        })
        .collect();
    let clusters = clusters();
    let before = resident();
    let namespace = &bed.namespace;
    let one = |(i, kubeconfig): (usize, &String)| {
        let cluster = connect(&clusters, kubeconfig, None);
        async move {
            cluster.capabilities().await.unwrap();
            let objects = [config_map(namespace, &format!("a{i}"), json!({"k": "v"}))];
            cluster.apply(&objects, &ApplyOptions::default()).await.unwrap();
            cluster
        }
    };
    let members: Vec<Cluster> =
        futures::stream::iter(kubeconfigs.iter().enumerate()).map(one).buffered(16).collect().await;
    let grown = resident().saturating_sub(before);
    eprintln!("{} members, connections open: {} KiB each", members.len(), grown / MEMBERS);
    // 150 MiB for a thousand, with half of it left for everything else.
    assert!(grown / MEMBERS < 75, "{} KiB per member", grown / MEMBERS);
}
