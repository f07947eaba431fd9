//! F3: asked to stop while thirty releases are being waited for.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::{NAMESPACE, Setup, World, patiently, records};

const RELEASES: usize = 30;

/// A release of the same chart whose image never becomes ready.
fn waiting(number: usize) -> String {
    format!(
        "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: waits-{number}\n  namespace: {NAMESPACE}\nspec:\n  interval: 10m\n  releaseName: waits-{number}\n  kubeConfig:\n    secretRef: {{name: member1-kubeconfig}}\n  chart:\n    spec:\n      chart: ./helm-chart\n      sourceRef: {{kind: GitRepository, name: git-repo}}\n  values:\n    deployment: {{container: {{image: {{tag: broken}}}}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_asked_to_stop_it_records_what_it_waited_for_as_failed_within_ten_seconds() {
    let world = World::start(Setup::default(), |manifests, _| {
        let text: String = (0..RELEASES).map(waiting).collect();
        std::fs::write(manifests.join("waits.yaml"), text).unwrap();
    })
    .await;
    // All of them have applied their objects and wait.
    let member = &world.members[0];
    let waits = member.until(|cluster| {
        let deployments = cluster.list("apps/v1", "deployments", Some(NAMESPACE));
        let pending = (0..RELEASES)
            .filter(|number| {
                let records = records(cluster, &format!("waits-{number}"));
                records.last().is_some_and(|(_, status)| status == "pending-install")
            })
            .count();
        deployments.len() == RELEASES && pending == RELEASES
    });
    patiently("thirty releases to be waited for", waits).await;

    let clock = Instant::now();
    let asked = Command::new("kill").args(["-TERM", &world.agent.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let status = tokio::task::block_in_place(|| world.agent.ended());
    let took = clock.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    for number in 0..RELEASES {
        let found = records(member, &format!("waits-{number}"));
        assert_eq!(found, [(1, "failed".to_owned())], "waits-{number}");
    }
    assert_eq!(world.hook("0000", "too-late").await, None, "nobody listens any more");
    world.end().await;
}
