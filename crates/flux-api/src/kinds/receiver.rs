//! Receiver.

use std::collections::BTreeMap;
use std::time::Duration;

use super::common::LocalRef;
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// A webhook that wakes other objects.
    ReceiverSpec {
        /// Who sends.
        r#type: Option<ReceiverType>,
        /// Which events count; all when empty.
        events: Vec<String>,
        /// Who is woken.
        resources: Vec<ObjectSelector>,
        /// A CEL expression over `req` and `res` every resource must pass.
        resource_filter: Option<String>,
        /// `token`.
        secret_ref: Option<LocalRef>,
        /// Issuers to trust (generic-oidc).
        oidc_providers: Vec<OidcProvider>,
        /// Absent: 10 minutes.
        interval: Option<GoDuration>,
        /// Leave it alone.
        suspend: bool,
    }

    /// Objects by kind and name, or by kind and labels with name `*`.
    ObjectSelector {
        /// The API version.
        api_version: Option<String>,
        /// The kind; may be one that is not reconciled here.
        kind: String,
        /// The name, or `*`.
        name: String,
        /// Absent: the referring object's own.
        namespace: Option<String>,
        /// Labels (with name `*`).
        match_labels: BTreeMap<String, String>,
        /// A CEL expression over `req` and `res` (Receivers only).
        filter: Option<String>,
    }

    /// An OpenID Connect issuer to trust.
    OidcProvider {
        /// The issuer.
        #[serde(rename = "issuerURL")]
        issuer_url: String,
        /// Absent: `notification-controller`.
        audience: Option<String>,
        /// Named CEL expressions.
        variables: Vec<OidcVariable>,
        /// What must hold.
        validations: Vec<OidcValidation>,
    }

    /// A named CEL expression.
    OidcVariable {
        /// The name.
        name: String,
        /// The expression.
        expression: String,
    }

    /// What must hold of a token.
    OidcValidation {
        /// A CEL expression.
        expression: String,
        /// What to say when it does not.
        message: String,
    }

    /// What a Receiver stands at.
    ReceiverStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// `/hook/<hex>`.
        webhook_path: Option<String>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }
}

words! {
    /// Who sends.
    ReceiverType {
        Generic = "generic",
        GenericHmac = "generic-hmac",
        GenericOidc = "generic-oidc",
        GitHub = "github",
        GitLab = "gitlab",
        Bitbucket = "bitbucket",
        Harbor = "harbor",
        DockerHub = "dockerhub",
        Quay = "quay",
        Gcr = "gcr",
        Nexus = "nexus",
        Acr = "acr",
        CdEvents = "cdevents",
    }
}

/// Where webhooks arrive.
pub const WEBHOOK_PATH: &str = "/hook/";
/// How often a Receiver is looked at when nothing is said.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

impl ReceiverSpec {
    /// 10 minutes unless said otherwise.
    pub fn interval(&self) -> Duration {
        self.interval.map_or(INTERVAL, GoDuration::get)
    }

    /// Who sends; the API makes it required, so the fallback is never seen.
    pub fn receiver_type(&self) -> ReceiverType {
        self.r#type.unwrap_or(ReceiverType::Generic)
    }
}

impl ObjectSelector {
    /// The namespace referred to, for an object living in `own`.
    pub fn namespace<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }

    /// Whether an object of the kind asked for is meant: by name, or by `*` and labels.
    pub fn selects(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        if self.name == "*" {
            self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        } else {
            self.name == name
        }
    }
}

impl OidcProvider {
    /// `notification-controller` unless said otherwise.
    pub fn audience(&self) -> &str {
        self.audience.as_deref().filter(|audience| !audience.is_empty()).unwrap_or("notification-controller")
    }
}
