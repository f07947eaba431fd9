//! The whole path in one process: a git repository, the real agent, simulated member clusters, a chat.

#![allow(clippy::unwrap_used)]

#[allow(unreachable_pub)]
#[path = "automation/mod.rs"]
mod automation;
#[path = "pipeline/crowds.rs"]
mod crowds;
#[path = "pipeline/questions.rs"]
mod questions;
#[path = "pipeline/releases.rs"]
mod releases;
mod support;

use serde_json::Value;
use sluice::model::{Kind, ObjectKey};
use support::Pipeline;

fn release(member: u8) -> ObjectKey {
    ObjectKey::new(Kind::HelmRelease, "gitops-project", format!("member{member}-app"))
}

fn name(member: u8) -> String {
    format!("hello-kubernetes-app-member{member}-app")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_chart_reaches_two_members_each_with_its_values() {
    let pipeline = Pipeline::start().await;
    for member in [1, 2] {
        pipeline.ready(&release(member)).await;
        let cluster = pipeline.member(member);
        let deployment = cluster.get("apps/v1", "deployments", Some("app"), &name(member)).unwrap();
        assert_eq!(deployment["spec"]["replicas"], 1);
        let message = &deployment["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"];
        assert_eq!(message, &Value::from(format!("member{member}")));
        let service = cluster.get("v1", "services", Some("app"), &name(member)).unwrap();
        assert_eq!(service["spec"]["type"], "ClusterIP");
        let other = 3 - member;
        assert!(pipeline.member(other).get("v1", "services", Some("app"), &name(member)).is_none());
        // The namespaces were made, and Helm's record lies in the storage namespace of the member.
        assert!(cluster.get("v1", "namespaces", None, "app").is_some());
        let secret = format!("sh.helm.release.v1.app-member{member}-app.v1");
        let record = cluster.get("v1", "secrets", Some("gitops-project"), &secret).unwrap();
        assert_eq!(record["metadata"]["labels"]["status"], "deployed");
        let status = pipeline.status(&release(member));
        let revision = status["history"][0]["chartVersion"].as_str().unwrap();
        assert!(revision.starts_with("1.0.0+") && revision.ends_with(".1"), "{revision}");
    }
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_changes_every_member_and_a_members_own_values_only_that_member() {
    let pipeline = Pipeline::start().await;
    for member in [1, 2] {
        pipeline.ready(&release(member)).await;
    }
    pipeline
        .push("service:\n  type: ClusterIP", "service:\n  type: NodePort", "helm-chart/values.yaml")
        .await;
    for member in [1, 2] {
        pipeline
            .member(member)
            .until(|cluster| {
                cluster
                    .get("v1", "services", Some("app"), &name(member))
                    .is_some_and(|service| service["spec"]["type"] == "NodePort")
            })
            .await;
    }
    let before =
        pipeline.member(2).get("apps/v1", "deployments", Some("app"), &name(2)).unwrap()["spec"].clone();
    pipeline.push("replicaCount: 1", "replicaCount: 2", "helm-chart/member1-values.yaml").await;
    pipeline
        .member(1)
        .until(|cluster| {
            cluster
                .get("apps/v1", "deployments", Some("app"), &name(1))
                .is_some_and(|deployment| deployment["spec"]["replicas"] == 2)
        })
        .await;
    pipeline.version(&release(2), 3).await;
    let after =
        pipeline.member(2).get("apps/v1", "deployments", Some("app"), &name(2)).unwrap()["spec"].clone();
    assert_eq!(before, after);
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_member_delays_nobody_and_is_caught_up_at_the_newest_revision() {
    let pipeline = Pipeline::start().await;
    for member in [1, 2] {
        pipeline.ready(&release(member)).await;
    }
    pipeline.member(2).set_fault(Some(kube_sim::Fault::Answer { code: 503, retry_after: None }));
    pipeline
        .push("service:\n  type: ClusterIP", "service:\n  type: NodePort", "helm-chart/values.yaml")
        .await;
    pipeline.version(&release(1), 2).await;
    pipeline.until(&release(2), |status| ready_status(status) == Some("False")).await;
    pipeline.push("replicaCount: 1", "replicaCount: 3", "helm-chart/member2-values.yaml").await;
    pipeline.version(&release(1), 3).await;
    pipeline.member(2).set_fault(None);
    pipeline
        .member(2)
        .until(|cluster| {
            cluster
                .get("apps/v1", "deployments", Some("app"), &name(2))
                .is_some_and(|deployment| deployment["spec"]["replicas"] == 3)
        })
        .await;
    pipeline.until(&release(2), |status| ready_status(status) == Some("True")).await;
    pipeline.stop().await;
}

fn ready_status(status: &Value) -> Option<&str> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Ready")?["status"].as_str()
}

/// `sluice demo --tour`, with the real git as the client: steps 4 to 8, 11 and 12 of the scenario.
#[tokio::test(flavor = "multi_thread")]
async fn the_demonstrations_tour_plays_to_its_end() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let dir = tempfile::TempDir::new().unwrap();
    let options = sluice::demo::tour::DemoOptions {
        tour: true,
        dir: Some(dir.path().to_owned()),
        ..sluice::demo::tour::DemoOptions::default()
    };
    let played = Box::pin(sluice::demo::tour::run(options, async |_, _| Ok(())));
    Box::pin(support::patiently("the tour", played)).await.unwrap();
}

fn condition<'s>(status: &'s Value, kind: &str) -> Option<&'s Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// `spec.verify`, with commits that the real git signs.
#[tokio::test(flavor = "multi_thread")]
async fn h81_only_signed_revisions_become_artifacts() {
    let pipeline = Pipeline::start().await;
    let place = pipeline.dir.path().to_owned();
    let run = |program: &str, directory: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program)
            .args(arguments)
            .current_dir(place.join(directory))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let key = place.join("key").display().to_string();
    run("ssh-keygen", ".", &["-q", "-t", "ed25519", "-N", "", "-C", "dev", "-f", &key]);
    run("git", ".", &["clone", "-q", &pipeline.repository.path().display().to_string(), "work"]);
    let commit = |sign: bool| {
        let setting = format!("user.signingKey={key}");
        let mut arguments = vec![
            "-c",
            "user.name=Dev",
            "-c",
            "user.email=dev@example.com",
            "-c",
            "gpg.format=ssh",
            "-c",
            &setting,
        ];
        arguments.extend(["commit", "-q", "--allow-empty", "-m", "Change nothing"]);
        if sign {
            arguments.push("-S");
        }
        run("git", "work", &arguments);
        run("git", "work", &["push", "-q", "origin", "HEAD:master"]);
        run("git", "work", &["rev-parse", "HEAD"])
    };
    let url = pipeline
        .objects
        .get_as::<flux_api::GitRepository>("gitops-project", "git-repo")
        .map(|git| git.spec.url)
        .unwrap();
    let public = std::fs::read_to_string(place.join("key.pub")).unwrap();
    let manifest = |mode: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: team, namespace: gitops-project}}\nstringData:\n  team.sshpub: {public}---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: signed, namespace: gitops-project}}\nspec:\n  interval: 10m\n  url: {url}\n  ref: {{branch: master}}\n  verify:\n    mode: {mode}\n    secretRef: {{name: team}}\n"
        )
    };
    let source = ObjectKey::new(Kind::GitRepository, "gitops-project", "signed");
    let look = async || {
        let asked = [("reconcile.fluxcd.io/requestedAt".to_owned(), uuid::Uuid::new_v4().to_string())];
        pipeline.objects.annotate(&source, asked.into()).await.unwrap();
    };
    let write = |text: String| {
        std::fs::write(place.join("manifests/verify.new"), text).unwrap();
        std::fs::rename(place.join("manifests/verify.new"), place.join("manifests/verify.yaml")).unwrap();
    };
    // the first look finds a commit that nobody signed: there is nothing to serve
    write(manifest("HEAD"));
    let refused =
        |status: &Value| condition(status, "SourceVerified").is_some_and(|one| one["status"] == "False");
    pipeline.until(&source, refused).await;
    let status = pipeline.status(&source);
    assert!(status["artifact"].is_null(), "{status}");
    for kind in ["SourceVerified", "Ready"] {
        let one = condition(&status, kind).unwrap();
        assert_eq!(
            (&one["status"], &one["reason"]),
            (&"False".into(), &"InvalidCommitSignature".into()),
            "{one}"
        );
        let message = one["message"].as_str().unwrap();
        assert!(message.ends_with("failed: unsupported signature type: empty"), "{message}");
    }
    assert!(condition(&status, "FetchFailed").is_none(), "{status}");

    let good = commit(true);
    look().await;
    pipeline.ready(&source).await;
    let status = pipeline.status(&source);
    let verified = condition(&status, "SourceVerified").unwrap();
    assert_eq!((&verified["status"], &verified["reason"]), (&"True".into(), &"Succeeded".into()));
    let message = verified["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("verified signature of\n\t- commit '{good}' with key 'SHA256:")),
        "{message}"
    );
    assert_eq!(status["sourceVerificationMode"], "HEAD");
    assert_eq!(status["artifact"]["revision"], format!("master@sha1:{good}"));

    // an unsigned commit does not take its place
    let bad = commit(false);
    look().await;
    pipeline.until(&source, refused).await;
    let status = pipeline.status(&source);
    assert_eq!(status["artifact"]["revision"], format!("master@sha1:{good}"), "the last good one stays");
    assert!(condition(&status, "Ready").unwrap()["message"].as_str().unwrap().contains(&bad));

    // what can never be verified needs a change of the object
    write(manifest("TagAndHEAD"));
    pipeline.until(&source, |status| condition(status, "Stalled").is_some()).await;
    let status = pipeline.status(&source);
    assert_eq!(condition(&status, "Stalled").unwrap()["reason"], "InvalidVerificationMode");
    let again = commit(true);
    write(manifest("HEAD"));
    pipeline.ready(&source).await;
    let status = pipeline.status(&source);
    assert_eq!(status["artifact"]["revision"], format!("master@sha1:{again}"));
    assert!(condition(&status, "Stalled").is_none());
    pipeline.stop().await;
}
