//! The kinds and what each is called: group, plural, short names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($name:ident, $group:literal, [$($version:literal),*], $plural:literal, [$($short:literal),*];)*) => {
        /// A Flux kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $(
                #[doc = concat!("`", stringify!($name), "` of `", $group, "`.")]
                $name,
            )*
        }

        impl Kind {
            /// Every kind, in Flux's order of groups.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// The kind as it stands in `kind:`.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$name => stringify!($name)),* }
            }

            /// The API group.
            pub fn group(self) -> &'static str {
                match self { $(Kind::$name => $group),* }
            }

            /// The API versions sluice reads, today's first; what it writes is always the first.
            pub fn versions(self) -> &'static [&'static str] {
                match self { $(Kind::$name => &[$($version),*]),* }
            }

            /// The plural resource name, lower case.
            pub fn plural(self) -> &'static str {
                match self { $(Kind::$name => $plural),* }
            }

            /// kubectl's short names.
            pub fn short_names(self) -> &'static [&'static str] {
                match self { $(Kind::$name => &[$($short),*]),* }
            }
        }
    };
}

kinds! {
    GitRepository, "source.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "gitrepositories", ["gitrepo"];
    OCIRepository, "source.toolkit.fluxcd.io", ["v1", "v1beta2"], "ocirepositories", ["ocirepo"];
    HelmRepository, "source.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "helmrepositories", ["helmrepo", "hrepo"];
    HelmChart, "source.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "helmcharts", ["hc"];
    Bucket, "source.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "buckets", [];
    ExternalArtifact, "source.toolkit.fluxcd.io", ["v1"], "externalartifacts", ["ea"];
    Kustomization, "kustomize.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "kustomizations", ["ks"];
    HelmRelease, "helm.toolkit.fluxcd.io", ["v2", "v2beta2", "v2beta1"], "helmreleases", ["hr"];
    ImageRepository, "image.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "imagerepositories", ["imgrepo", "imagerepo"];
    ImagePolicy, "image.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "imagepolicies", ["imgpol", "imagepol"];
    ImageUpdateAutomation, "image.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "imageupdateautomations", ["iua", "imgupd", "imgauto"];
    Receiver, "notification.toolkit.fluxcd.io", ["v1", "v1beta2", "v1beta1"], "receivers", [];
    Provider, "notification.toolkit.fluxcd.io", ["v1beta3", "v1beta2", "v1beta1"], "providers", [];
    Alert, "notification.toolkit.fluxcd.io", ["v1beta3", "v1beta2", "v1beta1"], "alerts", [];
}

impl Kind {
    /// Today's `apiVersion`: `source.toolkit.fluxcd.io/v1`.
    pub fn api_version(self) -> String {
        format!("{}/{}", self.group(), self.versions()[0])
    }

    /// True for the kinds an artifact can come from.
    pub fn is_source(self) -> bool {
        matches!(
            self,
            Kind::GitRepository
                | Kind::OCIRepository
                | Kind::HelmRepository
                | Kind::HelmChart
                | Kind::Bucket
                | Kind::ExternalArtifact
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no Flux kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Flux kind")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Reads a kind, its plural, singular or short name, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let wanted = text.to_ascii_lowercase();
        Kind::ALL
            .iter()
            .copied()
            .find(|kind| {
                kind.as_str().to_ascii_lowercase() == wanted
                    || kind.plural() == wanted
                    || kind.short_names().contains(&wanted.as_str())
            })
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}
