//! The small world that the demonstration and the whole-path tests share: a chart for two members, and the manifests
//! that deliver it, in the API versions of a cluster set up years ago.

use std::path::Path;

/// The chart's repository: path and content of every file.
pub const CHART: &[(&str, &str)] = &[
    ("helm-chart/Chart.yaml", include_str!("chart/Chart.yaml")),
    ("helm-chart/values.yaml", include_str!("chart/values.yaml")),
    ("helm-chart/member1-values.yaml", include_str!("chart/member1-values.yaml")),
    ("helm-chart/member2-values.yaml", include_str!("chart/member2-values.yaml")),
    ("helm-chart/templates/_helpers.tpl", include_str!("chart/templates/_helpers.tpl")),
    ("helm-chart/templates/deployment.yaml", include_str!("chart/templates/deployment.yaml")),
    ("helm-chart/templates/service.yaml", include_str!("chart/templates/service.yaml")),
    ("helm-chart/templates/serviceaccount.yaml", include_str!("chart/templates/serviceaccount.yaml")),
    ("helm-chart/templates/NOTES.txt", include_str!("chart/templates/NOTES.txt")),
];

/// Where everything of the world is.
#[derive(Debug, Clone)]
pub struct World {
    /// The repository, as sluice fetches it.
    pub git_url: String,
    /// Kubeconfigs of member1 and member2.
    pub kubeconfigs: [String; 2],
    /// The receiver's token.
    pub hook_token: String,
    /// Where messages go; no alert without one.
    pub chat_url: Option<String>,
}

/// What image automation needs besides.
#[derive(Debug, Clone)]
pub struct Images {
    /// The image without a tag: `127.0.0.1:5000/nuclearwu/hello-kubernetes`.
    pub image: String,
    /// What the registry sends as `Authorization`.
    pub hook_token: String,
}

impl World {
    /// Writes the manifests of image automation beside the others, and gives the repository a log-in, as whoever
    /// turns it on has to.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_image_manifests(&self, images: &Images, dir: &Path) -> std::io::Result<()> {
        let fill = |text: &str| {
            text.replace("$GIT_URL", &self.git_url)
                .replace("$IMAGE_TOKEN", &images.hook_token)
                .replace("$IMAGE", &images.image)
        };
        std::fs::write(dir.join("git-repo.yaml"), fill(include_str!("manifests/git-repo-push.yaml")))?;
        std::fs::write(dir.join("images.yaml"), fill(include_str!("manifests/images.yaml")))
    }

    /// Writes the manifests that deliver the chart to both members.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_manifests(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let fill = |text: &str| {
            text.replace("$GIT_URL", &self.git_url)
                .replace("$HOOK_TOKEN", &self.hook_token)
                .replace("$CHAT_URL", self.chat_url.as_deref().unwrap_or_default())
        };
        for (number, kubeconfig) in self.kubeconfigs.iter().enumerate() {
            let number = number + 1;
            let indented: String = kubeconfig.lines().map(|line| format!("    {line}\n")).collect();
            let secret = format!(
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: member{number}-kubeconfig\n  namespace: gitops-project\nstringData:\n  value.yaml: |\n{indented}"
            );
            std::fs::write(dir.join(format!("member{number}-kubeconfig.yaml")), secret)?;
        }
        std::fs::write(dir.join("member1-app.yaml"), include_str!("manifests/member1-app.yaml"))?;
        std::fs::write(dir.join("member2-app.yaml"), include_str!("manifests/member2-app.yaml"))?;
        std::fs::write(dir.join("git-repo.yaml"), fill(include_str!("manifests/git-repo.yaml")))?;
        std::fs::write(dir.join("receiver.yaml"), fill(include_str!("manifests/receiver.yaml")))?;
        if self.chat_url.is_some() {
            std::fs::write(dir.join("alert.yaml"), fill(include_str!("manifests/alert.yaml")))?;
        }
        Ok(())
    }
}
