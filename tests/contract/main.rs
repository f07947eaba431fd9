//! One suite of what a client may rely on, run against the simulated API server always and against a real kube-apiserver
//! when `TESTCLUSTER` names the binary of `tests/cluster`. Where they differ, the real one is right.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod apply;
mod client;
mod conditions;
mod deletion;
mod discovery;
#[path = "../e2e/planes.rs"]
#[allow(dead_code)]
mod planes;
mod refusals;
mod watching;
mod writes;

use client::Api;

/// Runs a check against a simulated cluster.
async fn simulated(check: impl AsyncFnOnce(&Api)) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let simulator = kube_sim::Simulator::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let api = Api::new(&simulator.add_cluster("member1").kubeconfig());
    let stop = tokio_util::sync::CancellationToken::new();
    let server = tokio::spawn(simulator.run(stop.clone()));
    check(&api).await;
    stop.cancel();
    server.await.unwrap();
}

/// Runs a check against a real API server with its controllers, if there is one.
async fn real(check: impl AsyncFnOnce(&Api)) {
    if std::env::var_os("TESTCLUSTER").is_none() {
        eprintln!(
            "SKIPPED: TESTCLUSTER is not set\nhint: scripts/test builds the control planes and runs this"
        );
        return;
    }
    check(&planes::Planes::shared().member(1).api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulation_forgets_when_it_is_told_to() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let simulator = kube_sim::Simulator::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let cluster = simulator.add_cluster("member1");
    let stop = tokio_util::sync::CancellationToken::new();
    let server = tokio::spawn(simulator.run(stop.clone()));
    watching::a_compacted_version_is_gone(&Api::new(&cluster.kubeconfig()), || cluster.compact()).await;
    stop.cancel();
    server.await.unwrap();
}

/// A real API server gives any free port, so this cannot be asked of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_simulation_keeps_what_a_dry_run_was_shown() {
    let service = |name: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "type": "NodePort", "ports": [{ "port": 80 }] }
        })
    };
    simulated(async |api| {
        let all = "/api/v1/namespaces/default/services";
        let shown = api.post(&format!("{all}?dryRun=All"), &service("a")).await.expect(201);
        let real = api.post(all, &service("a")).await.expect(201);
        assert_eq!(shown["spec"], real["spec"]);
    })
    .await;
}

macro_rules! contract {
    ($($module:ident: $($name:ident),+;)+) => {
        mod simulation {
            $($(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                crate::simulated(crate::$module::$name).await;
            })+)+
        }
        mod kube_apiserver {
            $($(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                crate::real(crate::$module::$name).await;
            })+)+
        }
    };
}

contract! {
    discovery: version_and_groups, aggregated_discovery, a_custom_resource_is_served_once_defined;
    apply: creates_changes_and_leaves_alone, fields_left_out_are_removed, anothers_field_is_a_conflict,
        lists_merge_by_their_keys, a_dry_run_writes_nothing, what_an_apply_must_say;
    writes: create_read_replace, stale_replacements, three_older_patches, selectors_and_representations,
        secrets_and_services_are_completed, an_update_takes_fields_over;
    watching: events_from_a_version_on, selectors_turn_changes_into_comings_and_goings, bookmarks_and_initial_events,
        a_version_that_is_too_old;
    deletion: objects_go_at_once, finalizers_hold_an_object, preconditions_protect, dependents_follow_or_stay,
        many_at_once, namespaces_take_their_objects_along;
    refusals: nothing_there, invalid_objects, immutable_fields, too_large_or_not_understood, strangers;
    conditions: workloads_become_ready, broken_images_do_not;
}
