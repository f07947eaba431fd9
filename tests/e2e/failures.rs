//! A release that does not become ready is rolled back and told as an error; a release whose file is gone is uninstalled.

use serde_json::Value;

use crate::planes;
use crate::stage::{CHATS, Setup, Stage, app, condition};
use crate::tools::helm_json;

fn image(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]["image"]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_never_becomes_ready_is_rolled_back_and_told_as_an_error() {
    let Some(planes) = planes() else { return };
    let setup = Setup { release_lines: "  timeout: 5s\n", ..Setup::named("broken", "broken-releases") };
    let mut stage = Stage::start(planes, setup).await;
    for member in [1, 2] {
        stage.version(member, 1).await;
    }
    stage.clone.change("helm-chart/values.yaml", "tag: \"\"", "tag: \"broken\"").await;
    for member in [1, 2] {
        let status =
            stage.until(&app(member), |status| condition(status, "Remediated")["status"] == "True").await;
        let ready = condition(&status, "Ready");
        assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"RollbackSucceeded".into()));
        let release = stage.release(member);
        let history = helm_json(stage.member(member), "broken-releases", &["history", &release]).await;
        let told: Vec<(i64, &str, &str)> = history
            .as_array()
            .unwrap()
            .iter()
            .map(|line| {
                let text = |key: &str| line[key].as_str().unwrap();
                (line["revision"].as_i64().unwrap(), text("status"), text("description"))
            })
            .collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!((told[0].0, told[0].1), (1, "superseded"));
        assert_eq!((told[1].0, told[1].1), (2, "failed"));
        assert!(told[1].2.starts_with(&format!("Upgrade \"{release}\" failed")), "{told:?}");
        assert_eq!(told[2], (3, "deployed", "Rollback to 1"));
        let deployment = stage.object(member, "deployments").await;
        assert_eq!(*image(&deployment), "nuclearwu/hello-kubernetes:1.0.0");

        // Every chat hears of the failure as one.
        let text = format!("Helm upgrade failed for release broken/{release}");
        for chat in CHATS {
            let message =
                stage.message(chat, &text, |message| message.body.to_string().contains(&text)).await;
            let body = &message.body;
            let is_error = match chat {
                "slack" | "discord" => body["attachments"][0]["color"] == "danger",
                "rocket" => body["attachments"][0]["color"] == "#FF0000",
                "msteams" => body["attachments"][0]["content"]["body"][0]["items"][1]["color"] == "attention",
                _ => body["severity"] == "error" && body["reason"] == "UpgradeFailed",
            };
            assert!(is_error, "{chat}: {body}");
        }
    }
    // A push that mends it goes out as any other.
    stage.clone.change("helm-chart/values.yaml", "tag: \"broken\"", "tag: \"1.0.1\"").await;
    for member in [1, 2] {
        stage.version(member, 4).await;
        let deployment = stage.object(member, "deployments").await;
        assert_eq!(*image(&deployment), "nuclearwu/hello-kubernetes:1.0.1");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_manifest_is_removed_is_uninstalled() {
    let Some(planes) = planes() else { return };
    let stage = Stage::start(planes, Setup::named("gone", "gone-releases")).await;
    for member in [1, 2] {
        stage.version(member, 1).await;
    }
    std::fs::remove_file(stage.manifest("member1-app.yaml")).unwrap();
    for kind in ["deployments", "services", "serviceaccounts"] {
        stage.object_until(1, kind, "it is gone", Value::is_null).await;
    }
    let mut changes = stage.objects.subscribe();
    crate::client::patiently("the object to be gone", async {
        while stage.objects.get(&app(1)).is_some() {
            changes.recv().await.ok();
        }
    })
    .await;
    assert_eq!(helm_json(stage.member(1), "gone-releases", &["list"]).await.as_array().unwrap().len(), 0);
    // The neighbour is as it was.
    assert_eq!(stage.object(2, "deployments").await["status"]["readyReplicas"], 1);
    let list = helm_json(stage.member(2), "gone-releases", &["list"]).await;
    assert_eq!(list[0]["status"], "deployed", "{list}");
    stage.stop().await;
}
