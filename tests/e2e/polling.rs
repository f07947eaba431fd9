//! Step 10: no hook is sent at all. Besides, kubeconfigs under the other two keys (step 2).

use crate::planes;
use crate::stage::{Setup, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn f40_a_push_that_missed_all_webhooks_arrives_by_interval() {
    let Some(planes) = planes() else { return };
    let setup = Setup {
        hooks: false,
        interval: "2s",
        kubeconfig_keys: ["value", "config"],
        ..Setup::named("polled", "polled-releases")
    };
    let stage = Stage::start(planes, setup).await;
    for member in [1, 2] {
        stage.version(member, 1).await;
    }
    stage.clone.change("helm-chart/values.yaml", "type: ClusterIP", "type: NodePort").await;
    for member in [1, 2] {
        stage
            .object_until(member, "services", "it is a NodePort", |service| {
                service["spec"]["type"] == "NodePort"
            })
            .await;
        stage.version(member, 2).await;
    }
    let deliveries = stage.queue.list_deliveries(&Default::default(), 10).await.unwrap();
    assert!(deliveries.is_empty(), "{deliveries:?}");
    stage.stop().await;
}
