//! Provider.

use std::time::Duration;

use super::common::LocalRef;
use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// Where messages go.
    ProviderSpec {
        /// Which service.
        r#type: Option<ProviderType>,
        /// Channel, room, project or topic, as the service has it.
        channel: Option<String>,
        /// The sender's name.
        username: Option<String>,
        /// The service's address; the Secret's `address` wins.
        address: Option<String>,
        /// Longest time for one message.
        timeout: Option<GoDuration>,
        /// An http proxy (deprecated).
        proxy: Option<String>,
        /// Address and credentials of a proxy.
        proxy_secret_ref: Option<LocalRef>,
        /// Credentials.
        secret_ref: Option<LocalRef>,
        /// `ca.crt`, `tls.crt`, `tls.key`.
        cert_secret_ref: Option<LocalRef>,
        /// Identity for a cloud's login.
        service_account_name: Option<String>,
        /// A CEL expression that names the commit status.
        commit_status_expr: Option<String>,
        /// Leave it alone.
        suspend: bool,
        /// Accepted and, as in Flux, without effect.
        interval: Option<GoDuration>,
    }

    /// A Provider is a static object: it has no status.
    ProviderStatus {
    }
}

words! {
    /// Which service.
    ProviderType {
        Slack = "slack",
        Discord = "discord",
        MsTeams = "msteams",
        Rocket = "rocket",
        Generic = "generic",
        GenericHmac = "generic-hmac",
        GitHub = "github",
        GitLab = "gitlab",
        Gitea = "gitea",
        GiteaPullRequestComment = "giteapullrequestcomment",
        BitbucketServer = "bitbucketserver",
        Bitbucket = "bitbucket",
        AzureDevOps = "azuredevops",
        GoogleChat = "googlechat",
        GooglePubSub = "googlepubsub",
        Webex = "webex",
        Sentry = "sentry",
        AzureEventHub = "azureeventhub",
        Telegram = "telegram",
        Lark = "lark",
        Matrix = "matrix",
        Opsgenie = "opsgenie",
        AlertManager = "alertmanager",
        Grafana = "grafana",
        GitHubDispatch = "githubdispatch",
        GitHubPullRequestComment = "githubpullrequestcomment",
        GitLabMergeRequestComment = "gitlabmergerequestcomment",
        PagerDuty = "pagerduty",
        DataDog = "datadog",
        Nats = "nats",
        Zulip = "zulip",
        Otel = "otel",
        Zoom = "zoom",
        IncidentIo = "incident.io",
    }
}

/// Longest time for one message when nothing is said.
const TIMEOUT: Duration = Duration::from_secs(15);

impl ProviderSpec {
    /// 15 s unless said otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(TIMEOUT, GoDuration::get)
    }

    /// Which service; the API makes it required, so the fallback is never seen.
    pub fn provider_type(&self) -> ProviderType {
        self.r#type.unwrap_or(ProviderType::Generic)
    }
}
