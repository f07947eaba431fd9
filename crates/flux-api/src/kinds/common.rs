//! References and small structures that several kinds share.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::macros::{api, words};
use crate::time::Time;

/// What sources and providers wait for one operation when `spec.timeout` is absent.
pub(crate) const SOURCE_TIMEOUT: Duration = Duration::from_secs(60);

api! {
    /// A Secret (or other object) in the same namespace.
    LocalRef {
        /// Its name.
        name: String,
    }

    /// A Secret in the same namespace and, optionally, one key of it.
    SecretKeyRef {
        /// The Secret's name.
        name: String,
        /// The key; what applies when it is absent is the reader's rule.
        key: Option<String>,
    }

    /// A kubeconfig for the target cluster; exactly one of the two is set.
    KubeConfigRef {
        /// A Secret holding a kubeconfig under `key`, `value` or `value.yaml`.
        secret_ref: Option<SecretKeyRef>,
        /// A ConfigMap describing a cloud cluster to log in to.
        config_map_ref: Option<LocalRef>,
    }

    /// An object of the same kind that must be ready first.
    DependencyRef {
        /// Its name.
        name: String,
        /// Its namespace; the object's own when absent.
        namespace: Option<String>,
        /// A CEL expression over `self` and `dep` that decides readiness.
        ready_expr: Option<String>,
    }

    /// Labels and annotations put on every object applied.
    CommonMetadata {
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Annotations.
        annotations: BTreeMap<String, String>,
    }

    /// Objects a patch or rule is for; an absent field matches everything. Regular expressions, as kustomize has it.
    Selector {
        /// The API group.
        group: Option<String>,
        /// The API version.
        version: Option<String>,
        /// The kind.
        kind: Option<String>,
        /// The name.
        name: Option<String>,
        /// The namespace.
        namespace: Option<String>,
        /// A label selector.
        label_selector: Option<String>,
        /// A selector over annotations.
        annotation_selector: Option<String>,
    }

    /// A strategic-merge or JSON patch, as kustomize's `patches`.
    Patch {
        /// The patch, YAML or JSON.
        patch: String,
        /// What it is for.
        target: Option<Selector>,
    }

    /// An image override, as kustomize's `images`.
    ImageOverride {
        /// The image's name without a tag.
        name: String,
        /// The name to use instead.
        new_name: Option<String>,
        /// The tag to use instead.
        new_tag: Option<String>,
        /// The digest to use instead of a tag.
        digest: Option<String>,
    }

    /// JSON pointers to leave alone on the objects selected.
    IgnoreRule {
        /// JSON pointers.
        paths: Vec<String>,
        /// Whose; every object when absent.
        target: Option<Selector>,
    }

    /// How to tell the health of a custom kind, in CEL.
    HealthCheckExpr {
        /// The API version.
        api_version: String,
        /// The kind; the whole API version when absent.
        kind: Option<String>,
        /// True: healthy.
        current: String,
        /// True: not done yet.
        in_progress: Option<String>,
        /// True: failed.
        failed: Option<String>,
    }

    /// What a source stands at and where its files are.
    Artifact {
        /// Path in storage.
        path: String,
        /// Where it is served.
        url: String,
        /// The revision.
        revision: String,
        /// `sha256:<hex>` of the file.
        digest: String,
        /// When it was stored.
        last_update_time: Option<Time>,
        /// Bytes.
        size: Option<i64>,
        /// Upstream's annotations (OCI).
        metadata: BTreeMap<String, String>,
    }

    /// One object applied.
    InventoryEntry {
        /// `<namespace>_<name>_<group>_<kind>`.
        id: String,
        /// The API version.
        v: String,
    }

    /// Namespaces an object may be used from.
    NamespaceSelector {
        /// Labels the namespace must have; none: every namespace.
        match_labels: BTreeMap<String, String>,
    }

    /// Who may refer to an object from another namespace.
    AccessFrom {
        /// Any of these.
        namespace_selectors: Vec<NamespaceSelector>,
    }

    /// Who must have signed without a key.
    OidcIdentityMatch {
        /// Regular expression for the issuer.
        issuer: String,
        /// Regular expression for the subject.
        subject: String,
    }

    /// How an OCI artifact's or chart's signature is checked.
    OciVerification {
        /// Absent: cosign.
        provider: Option<OciVerifier>,
        /// Public keys (cosign), trust policy and certificates (notation).
        secret_ref: Option<LocalRef>,
        /// Identities for keyless signatures.
        #[serde(rename = "matchOIDCIdentity")]
        match_oidc_identity: Vec<OidcIdentityMatch>,
        /// A Secret with `trusted_root.json`.
        trusted_root_secret_ref: Option<LocalRef>,
    }
}

/// What was applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The objects; written even when empty, as Flux does.
    #[serde(default)]
    pub entries: Vec<InventoryEntry>,
}

words! {
    /// Who checks OCI signatures.
    OciVerifier {
        Cosign = "cosign",
        Notation = "notation",
    }

    /// Whose credentials to use where a cloud has its own kind.
    CloudProvider {
        Generic = "generic",
        Aws = "aws",
        Azure = "azure",
        Gcp = "gcp",
        GitHub = "github",
    }

    /// Where a values or substitution reference points.
    ConfigKind {
        Secret = "Secret",
        ConfigMap = "ConfigMap",
    }
}

impl OciVerification {
    /// cosign unless said otherwise.
    pub fn provider(&self) -> OciVerifier {
        self.provider.unwrap_or(OciVerifier::Cosign)
    }
}

/// A reference to a source of any kind, in any namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRef {
    /// The API version as written; it decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The kind; the default is what ImageUpdateAutomation has.
    #[serde(default = "git_repository")]
    pub kind: Kind,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The namespace; the referring object's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

fn git_repository() -> Kind {
    Kind::GitRepository
}

impl Default for SourceRef {
    fn default() -> Self {
        Self { api_version: None, kind: Kind::GitRepository, name: String::new(), namespace: None }
    }
}

impl SourceRef {
    /// The namespace referred to, for an object living in `own`.
    pub fn namespace<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }
}

impl DependencyRef {
    /// The namespace referred to, for an object living in `own`.
    pub fn namespace<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }
}
