//! Steps 6 to 8: the newest image goes into git, and from there to the members.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::{IMAGE, NAMESPACE, PATIENCE, Stage, condition, first_line, release, say};
use crate::demo::registry::ImageAnswered;
use crate::model::{Kind, ObjectKey};

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::new(kind, NAMESPACE, name)
}

fn message(status: &Value) -> &str {
    let text = condition(status, "Ready").and_then(|ready| ready["message"].as_str());
    first_line(text.unwrap_or_default())
}

impl Stage {
    /// Steps 6 and 7: an ImageRepository, an ImagePolicy, markers in values.yaml, and who keeps them current.
    pub(super) async fn automate_images(&mut self) -> anyhow::Result<()> {
        say("► step 6: an ImageRepository and an ImagePolicy; the registry holds 1.0.0");
        self.registry.push(IMAGE, "1.0.0").await?;
        let before = self.versions();
        let image = self.images.image.clone();
        let (answer, _) = self
            .push(
                "helm-chart/values.yaml",
                &format!("repository: \"{IMAGE}\""),
                &format!("repository: \"{image}\""),
                "Take the image from our own registry",
            )
            .await?;
        say(super::describe(&answer));
        for member in [1, 2] {
            self.at_version(member, before[member - 1] + 1).await?;
        }
        let head = self.forge.repository.head("master")?.unwrap_or_default();
        self.world
            .write_image_manifests(&self.images, &self.manifests)
            .with_context(|| format!("failed to write manifests to `{}`", self.manifests.display()))?;
        self.registry.hook.set(&self.image_hook_url, &self.images.hook_token);
        let ready =
            |status: &Value| condition(status, "Ready").is_some_and(|ready| ready["status"] == "True");
        for (kind, name) in [(Kind::ImageRepository, "image-repo"), (Kind::ImagePolicy, "image-policy")] {
            let key = key(kind, name);
            self.until(&key, "ready", ready).await?;
            say(format!("  ✔ {:<16} {}", kind.as_str(), message(&self.status(&key))));
        }

        say("► step 7: an ImageUpdateAutomation writes the policy's choice into the marked lines");
        let automation = key(Kind::ImageUpdateAutomation, "image-update-automation");
        self.until(&automation, "ready, with a commit of its own", |status| {
            ready(status) && status["lastPushCommit"].as_str().is_some_and(|commit| commit != head)
        })
        .await?;
        self.show_commit()?;
        for member in [1, 2] {
            self.at_version(member, before[member - 1] + 2).await?;
        }
        say("✔ one commit by fluxbot; the image is the same, so nothing was rolled out");
        self.show_members().await
    }

    /// Step 8: a new tag in the registry.
    pub(super) async fn push_an_image(&mut self) -> anyhow::Result<()> {
        say("► step 8: push the image 1.0.1; the registry sends its hook");
        let before = self.versions();
        let clock = Instant::now();
        self.registry.push(IMAGE, "1.0.1").await?;
        let answer = tokio::time::timeout(PATIENCE, self.image_answered.recv())
            .await
            .ok()
            .flatten()
            .context("the registry sent no hook")?;
        say(describe(&answer));
        for member in [1, 2] {
            self.at_version(member, before[member - 1] + 1).await?;
        }
        let took: Duration = clock.elapsed();
        self.show_commit()?;
        let wanted = format!("{}:1.0.1", self.images.image);
        for member in [1, 2] {
            let deployment = self.live(member, "apps/v1", "Deployment").await?;
            let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
            anyhow::ensure!(*image == wanted, "member{member} runs {image} instead of {wanted}");
        }
        say(format!("✔ both members run 1.0.1, {} ms after the push began", took.as_millis()));
        self.show_members().await
    }

    /// The line a person types to give the newest image another tag.
    pub(super) fn retag_command(&self, tag: &str) -> String {
        let manifests = format!("{}/v2/{IMAGE}/manifests", self.registry.url());
        let media = "application/vnd.oci.image.manifest.v1+json";
        format!(
            "  curl -s -H 'Accept: {media}' {manifests}/1.0.0 |\n    curl -i -X PUT -H 'Content-Type: {media}' --data-binary @- {manifests}/{tag}"
        )
    }

    /// The Helm revision each member stands at.
    fn versions(&self) -> [i64; 2] {
        [1, 2].map(|member| self.status(&release(member))["history"][0]["version"].as_i64().unwrap_or(0))
    }

    /// The automation's last commit, as the repository has it.
    fn show_commit(&self) -> anyhow::Result<()> {
        let status = self.status(&key(Kind::ImageUpdateAutomation, "image-update-automation"));
        let commit = status["lastPushCommit"].as_str().unwrap_or_default();
        let short: String = commit.chars().take(8).collect();
        say(format!("  commit {short} on master; the marked lines are now"));
        let values = self.forge.repository.read("master", "helm-chart/values.yaml")?.unwrap_or_default();
        for line in values.lines().filter(|line| line.contains("$imagepolicy")) {
            say(format!("    {}", line.trim()));
        }
        Ok(())
    }
}

pub(super) fn describe(answer: &ImageAnswered) -> String {
    let took = answer.took.as_secs_f64() * 1000.0;
    format!("  hook for {} answered {} in {took:.1} ms", answer.image, answer.status)
}
