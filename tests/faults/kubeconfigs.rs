//! S1 and H46: kubeconfigs that would run a program or read a file of the agent's machine, and references into the
//! namespace of somebody else.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::binary;
use crate::strace::Strace;
use crate::world::{NAMESPACE, Setup, World, patiently};

/// What the user or the cluster of a kubeconfig would do; `$MARK` is a file that must stay untouched.
const HOSTILE: &[(&str, &str, &str)] = &[
    (
        "exec",
        "",
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: $MARK, interactiveMode: Never}",
    ),
    ("auth-provider", "", "auth-provider: {name: gcp, config: {cmd-path: $MARK, cmd-args: x}}"),
    ("token-file", "", "tokenFile: $MARK"),
    ("authority-file", "certificate-authority: $MARK", "token: t"),
    ("key-file", "", "client-key: $MARK, client-certificate: $MARK"),
];

fn manifest(name: &str, cluster: &str, user: &str, mark: &Path) -> String {
    let fill = |text: &str| text.replace("$MARK", &mark.display().to_string());
    let comma = if cluster.is_empty() { "" } else { ", " };
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}-kubeconfig, namespace: {NAMESPACE}}}\nstringData:\n  value: |\n    apiVersion: v1\n    kind: Config\n    current-context: c\n    contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n    clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1'{comma}{}}}}}]\n    users: [{{name: u, user: {{{}}}}}]\n\
         ---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  interval: 10m\n  kubeConfig:\n    secretRef: {{name: {name}-kubeconfig}}\n  chart:\n    spec:\n      chart: ./helm-chart\n      sourceRef: {{kind: GitRepository, name: git-repo}}\n",
        fill(cluster),
        fill(user)
    )
}

/// The `Ready` condition that `sluice get` tells of a release.
fn ready(world: &World, namespace: &str, name: &str) -> Value {
    let output = Command::new(binary())
        .args(["get", "hr", name, "-n", namespace, "-o", "json", "--state"])
        .arg(world.state())
        .output()
        .unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let object = if object["items"].is_array() { object["items"][0].clone() } else { object };
    let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|condition| condition["type"] == "Ready").unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_hostile_kubeconfig_runs_no_program_and_opens_no_file() {
    let world = World::start(Setup::default(), |_, _| {}).await;
    for member in [1, 2] {
        world.deployed(member, |_| true).await;
    }
    let mark = world.dir.path().join("must-stay-untouched");
    std::fs::write(&mark, "#!/bin/sh\necho '{}'\n").unwrap();
    let calls = world.dir.path().join("calls");
    let strace = tokio::task::block_in_place(|| {
        let output = calls.display().to_string();
        Strace::attach(
            world.agent.id(),
            &["-s", "4096", "-e", "trace=execve,execveat,open,openat,openat2,readlink,stat", "-o", &output],
        )
    });
    let text: String =
        HOSTILE.iter().map(|(name, cluster, user)| manifest(name, cluster, user, &mark)).collect();
    std::fs::write(world.manifests().join("hostile.yaml"), text).unwrap();
    for (name, ..) in HOSTILE {
        patiently(&format!("`{name}` to be refused"), async {
            loop {
                let found = tokio::task::block_in_place(|| ready(&world, NAMESPACE, name));
                if found["status"] == "False" {
                    let message = found["message"].as_str().unwrap();
                    assert!(message.contains(&format!("{NAMESPACE}/{name}-kubeconfig")), "{message}");
                    return;
                }
            }
        })
        .await;
    }
    drop(strace);
    let calls = std::fs::read_to_string(calls).unwrap();
    // The tracer did see it work.
    assert!(calls.contains("hostile.yaml"), "{calls}");
    assert!(!calls.contains("exec"), "a program was run:\n{calls}");
    assert!(!calls.contains("must-stay-untouched"), "a file was opened:\n{calls}");
    // The neighbours run on.
    assert_eq!(ready(&world, NAMESPACE, "member1-app")["status"], "True");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h46_with_the_lock_down_a_source_of_another_namespace_is_refused() {
    let flags = [
        "--api-listen",
        "off",
        "--metrics-listen",
        "off",
        "--log-level",
        "warn",
        "--no-cross-namespace-refs",
    ];
    let setup = Setup { flags: Some(flags.map(str::to_owned).into()), ..Setup::default() };
    let world = World::start(setup, |manifests, world| {
        let indented: String =
            world.members[0].kubeconfig().lines().map(|line| format!("    {line}\n")).collect();
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: kubeconfig, namespace: tenant}}\nstringData:\n  value: |\n{indented}---\n\
             apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: reaches-over, namespace: tenant}}\nspec:\n  interval: 10m\n  kubeConfig:\n    secretRef: {{name: kubeconfig}}\n  chart:\n    spec:\n      chart: ./helm-chart\n      sourceRef: {{kind: GitRepository, name: git-repo, namespace: {NAMESPACE}}}\n"
        );
        std::fs::write(manifests.join("tenant.yaml"), text).unwrap();
    })
    .await;
    // The siblings, in the source's own namespace, run.
    for member in [1, 2] {
        world.deployed(member, |_| true).await;
    }
    let refused = patiently("the reference to be refused", async {
        loop {
            let found = tokio::task::block_in_place(|| ready(&world, "tenant", "reaches-over"));
            if found["status"] == "False" {
                return found;
            }
        }
    })
    .await;
    assert_eq!(refused["reason"], "AccessDenied", "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.ends_with("cross-namespace references have been blocked"), "{message}");
    assert!(world.members[0].list("apps/v1", "deployments", Some("tenant")).is_empty());
    world.end().await;
}
