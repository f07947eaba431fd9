//! OCIRepository.

use std::time::Duration;

use super::common::{Artifact, CloudProvider, LocalRef, OciVerification, SOURCE_TIMEOUT};
use crate::condition::Condition;
use crate::duration::GoDuration;
use crate::macros::{api, words};

api! {
    /// An artifact in an OCI registry.
    OCIRepositorySpec {
        /// `oci://` and the repository, without a tag.
        url: String,
        /// Which artifact.
        #[serde(rename = "ref")]
        reference: Option<OCIReference>,
        /// Which layer.
        layer_selector: Option<OCILayerSelector>,
        /// Whose login to use.
        provider: Option<CloudProvider>,
        /// Credentials, dockerconfigjson.
        secret_ref: Option<LocalRef>,
        /// Whose signature is needed.
        verify: Option<OciVerification>,
        /// Image pull secrets or cloud identity.
        service_account_name: Option<String>,
        /// `ca.crt`, `tls.crt`, `tls.key`.
        cert_secret_ref: Option<LocalRef>,
        /// Address and credentials of a proxy.
        proxy_secret_ref: Option<LocalRef>,
        /// How often to look without being told.
        interval: GoDuration,
        /// Longest time for one operation.
        timeout: Option<GoDuration>,
        /// gitignore lines.
        ignore: Option<String>,
        /// Plain http.
        insecure: bool,
        /// Leave it alone.
        suspend: bool,
    }

    /// Which artifact: digest, else semver, else tag, else `latest`.
    OCIReference {
        /// A digest.
        digest: Option<String>,
        /// A range of tags.
        semver: Option<String>,
        /// A regular expression tags must match before `semver` is asked.
        semver_filter: Option<String>,
        /// A tag.
        tag: Option<String>,
    }

    /// Which layer of the artifact, and what to do with it.
    OCILayerSelector {
        /// The first layer of this media type; the first of all when absent.
        media_type: Option<String>,
        /// Absent: extract.
        operation: Option<LayerOperation>,
    }

    /// What an OCIRepository stands at.
    OCIRepositoryStatus {
        /// The generation last reconciled; 0 (Flux writes -1) before the first time.
        observed_generation: i64,
        /// Conditions.
        conditions: Vec<Condition>,
        /// Where the newest artifact is served (deprecated upstream).
        url: Option<String>,
        /// The last artifact stored.
        artifact: Option<Artifact>,
        /// `spec.ignore` of the artifact.
        observed_ignore: Option<String>,
        /// `spec.layerSelector` of the artifact.
        observed_layer_selector: Option<OCILayerSelector>,
        /// The `requestedAt` last handled.
        last_handled_reconcile_at: Option<String>,
    }
}

words! {
    /// What to do with a layer.
    LayerOperation {
        Extract = "extract",
        Copy = "copy",
    }
}

impl OCIRepositorySpec {
    /// 60 s unless said otherwise.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(SOURCE_TIMEOUT, GoDuration::get)
    }

    /// generic unless said otherwise.
    pub fn provider(&self) -> CloudProvider {
        self.provider.unwrap_or(CloudProvider::Generic)
    }

    /// extract unless said otherwise.
    pub fn layer_operation(&self) -> LayerOperation {
        self.layer_selector
            .as_ref()
            .and_then(|selector| selector.operation)
            .unwrap_or(LayerOperation::Extract)
    }
}
