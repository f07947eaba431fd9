//! ExternalArtifact.

use super::common::Artifact;
use crate::condition::Condition;
use crate::macros::api;

api! {
    /// An artifact some other controller makes.
    ExternalArtifactSpec {
        /// What it was made from.
        source_ref: Option<ExternalSourceRef>,
    }

    /// The object an external artifact was made from; may be of any kind.
    ExternalSourceRef {
        /// The API version.
        api_version: Option<String>,
        /// The kind.
        kind: String,
        /// The name.
        name: String,
        /// The namespace.
        namespace: Option<String>,
    }

    /// What an ExternalArtifact stands at.
    ExternalArtifactStatus {
        /// The artifact.
        artifact: Option<Artifact>,
        /// Conditions.
        conditions: Vec<Condition>,
    }
}
