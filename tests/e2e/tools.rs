//! The real `git` and `helm`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::client::patiently;
use crate::planes::Member;

/// What a program prints; it must succeed.
pub(crate) async fn output(command: &mut Command) -> String {
    let shown = format!("{:?}", command.as_std());
    let output = patiently(&shown, command.kill_on_drop(true).output()).await.unwrap();
    assert!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What `helm` says about a member's releases.
pub(crate) async fn helm(member: &Member, namespace: &str, arguments: &[&str]) -> String {
    let binary = std::env::var_os("HELM").expect("HELM names the helm binary");
    let mut command = Command::new(binary);
    command.args(arguments).args(["-n", namespace]).env("KUBECONFIG", &member.kubeconfig);
    output(&mut command).await
}

/// The same as JSON.
pub(crate) async fn helm_json(member: &Member, namespace: &str, arguments: &[&str]) -> Value {
    let text = helm(member, namespace, &[arguments, &["-o", "json"]].concat()).await;
    serde_json::from_str(&text).unwrap()
}

/// A developer's clone.
pub(crate) struct Clone {
    path: PathBuf,
}

impl Clone {
    pub(crate) async fn of(url: &str, path: &Path) -> Self {
        output(git().args(["clone", "--quiet", url]).arg(path)).await;
        Self { path: path.to_owned() }
    }

    async fn git(&self, arguments: &[&str]) -> String {
        output(git().arg("-C").arg(&self.path).args(arguments)).await
    }

    /// The commit that is checked out.
    pub(crate) async fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).await.trim().to_owned()
    }

    /// Takes what others pushed to `master`.
    pub(crate) async fn pull(&self) {
        self.git(&["pull", "--quiet", "--ff-only", "origin", "master"]).await;
    }

    /// What `git show` says of the commit that is checked out, without the space around it.
    pub(crate) async fn show(&self, arguments: &[&str]) -> String {
        self.git(&[&["show"], arguments, &["HEAD"]].concat()).await.trim().to_owned()
    }

    /// Edits a file: `from`, which must be there, becomes `to`.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{from}` is not in {file}: {text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Commits everything and pushes it to a branch; the commit comes back.
    pub(crate) async fn push_to(&self, branch: &str, message: &str) -> String {
        self.git(&["commit", "--quiet", "--all", "--message", message]).await;
        let commit = self.head().await;
        self.git(&["push", "--quiet", "origin", &format!("HEAD:{branch}")]).await;
        commit
    }

    /// An edit, committed and pushed to `master`.
    pub(crate) async fn change(&self, file: &str, from: &str, to: &str) -> String {
        self.edit(file, from, to);
        self.push_to("master", "Change it").await
    }
}

fn git() -> Command {
    let mut command = Command::new("git");
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Dev").env(format!("GIT_{role}_EMAIL"), "dev@sluice.example");
    }
    command
}
