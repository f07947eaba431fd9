//! Flags of `helm template` that change nothing about a chart on this machine, and those that cannot be honoured here.
//! Scripts pass them; the first are taken without effect, the others are refused by name. Renders nothing.

use anyhow::bail;
use secrecy::SecretString;

/// What scripts written for helm pass besides.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Taken for helm's sake, without effect")]
pub struct HelmFlags {
    /// Nothing is installed
    #[arg(long)]
    create_namespace: bool,
    /// Nothing is waited for
    #[arg(long, value_name = "STRATEGY", num_args = 0..=1, require_equals = true, default_missing_value = "watcher")]
    wait: Option<String>,
    /// Nothing is waited for
    #[arg(long)]
    wait_for_jobs: bool,
    /// Nothing is waited for
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// No release is recorded
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// No release is recorded
    #[arg(short, long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// It always is one; `server` needs a cluster
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: Option<String>,
    /// No release is recorded
    #[arg(long)]
    replace: bool,
    /// There is no cluster to validate against
    #[arg(long)]
    disable_openapi_validation: bool,
    /// The chart that is here is rendered
    #[arg(long, value_name = "RANGE")]
    version: Option<String>,
    /// The chart that is here is rendered
    #[arg(long)]
    devel: bool,
    /// Nothing is installed
    #[arg(long)]
    force_conflicts: bool,
    /// Nothing is installed
    #[arg(long)]
    force_replace: bool,
    /// Nothing is installed
    #[arg(long)]
    take_ownership: bool,
    /// Nothing is installed
    #[arg(long)]
    rollback_on_failure: bool,
    /// Nothing is installed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    server_side: Option<String>,
    /// No signature is checked
    #[arg(long, value_name = "FILE")]
    keyring: Option<String>,
    /// What is printed has no colours
    #[arg(long, alias = "colour", value_name = "WHEN")]
    color: Option<String>,
    /// No cluster is asked
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// No cluster is asked
    #[arg(long, value_name = "NAME")]
    kube_context: Option<String>,
    #[command(flatten)]
    unneeded: UnneededFlags,
    #[command(flatten)]
    refused: RefusedFlags,
}

/// helm's flags for a cluster and for its own caches, which are not asked.
#[derive(Debug, Clone, Default, clap::Args)]
struct UnneededFlags {
    #[arg(long, hide = true)]
    burst_limit: Option<i64>,
    #[arg(long, hide = true)]
    content_cache: Option<String>,
    #[arg(long, hide = true)]
    kube_apiserver: Option<String>,
    #[arg(long, hide = true)]
    kube_as_group: Vec<String>,
    #[arg(long, hide = true)]
    kube_as_user: Option<String>,
    #[arg(long, hide = true)]
    kube_ca_file: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    kube_insecure_skip_tls_verify: Option<String>,
    #[arg(long, hide = true)]
    kube_tls_server_name: Option<String>,
    #[arg(long, hide = true)]
    kube_token: Option<SecretString>,
    #[arg(long, hide = true)]
    qps: Option<f32>,
    #[arg(long, hide = true)]
    registry_config: Option<String>,
    #[arg(long, hide = true)]
    repository_cache: Option<String>,
    #[arg(long, hide = true)]
    repository_config: Option<String>,
}

/// What needs something that is not there.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Refused")]
struct RefusedFlags {
    #[arg(long, hide = true)]
    repo: Option<String>,
    #[arg(long, hide = true)]
    username: Option<String>,
    #[arg(long, hide = true)]
    password: Option<SecretString>,
    #[arg(long, hide = true)]
    ca_file: Option<String>,
    #[arg(long, hide = true)]
    cert_file: Option<String>,
    #[arg(long, hide = true)]
    key_file: Option<String>,
    #[arg(long, hide = true)]
    insecure_skip_tls_verify: bool,
    #[arg(long, hide = true)]
    pass_credentials: bool,
    #[arg(long, hide = true)]
    plain_http: bool,
    #[arg(long, hide = true)]
    dependency_update: bool,
    #[arg(long, hide = true)]
    verify: bool,
    #[arg(long, hide = true)]
    post_renderer: Option<String>,
    #[arg(long, hide = true)]
    post_renderer_args: Vec<String>,
    #[arg(long, hide = true)]
    enable_dns: bool,
}

impl HelmFlags {
    /// Refuses what would have to change the output and cannot.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let refused = &self.refused;
        let given = [
            ("repo", refused.repo.is_some()),
            ("username", refused.username.is_some()),
            ("password", refused.password.is_some()),
            ("ca-file", refused.ca_file.is_some()),
            ("cert-file", refused.cert_file.is_some()),
            ("key-file", refused.key_file.is_some()),
            ("insecure-skip-tls-verify", refused.insecure_skip_tls_verify),
            ("pass-credentials", refused.pass_credentials),
            ("plain-http", refused.plain_http),
            ("dependency-update", refused.dependency_update),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
            bail!("`--{flag}` needs a repository; charts are read from directories and archives");
        }
        if refused.verify {
            bail!("`--verify` is not supported: no signatures of charts are checked here");
        }
        if refused.post_renderer.is_some() || !refused.post_renderer_args.is_empty() {
            bail!("`--post-renderer` is not supported: it runs a plugin of helm");
        }
        if refused.enable_dns {
            bail!("`--enable-dns` is not supported: templates see no network");
        }
        if self.dry_run.as_deref() == Some("server") {
            bail!("`--dry-run=server` needs a cluster; `sluice diff` asks the clusters of a running agent");
        }
        Ok(())
    }
}
