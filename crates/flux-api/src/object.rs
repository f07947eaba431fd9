//! One object of any kind: `apiVersion`, metadata, spec, status.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::condition::Condition;
use crate::kind::Kind;
use crate::kinds::*;
use crate::meta::ObjectMeta;
use crate::names::annotation;

/// An object in today's form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<S, T> {
    /// The API version it was written in; spec and status are in today's form whatever it says.
    pub api_version: String,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: S,
    /// What was found.
    pub status: T,
}

/// One kind as a Rust type.
pub trait Resource: Sized {
    /// The kind.
    const KIND: Kind;

    /// This kind's object, if `object` is one.
    fn of(object: &FluxObject) -> Option<&Self>;

    /// The same for changing it.
    fn of_mut(object: &mut FluxObject) -> Option<&mut Self>;

    /// As one of all kinds.
    fn into_flux(self) -> FluxObject;
}

macro_rules! objects {
    ($( $kind:ident, $spec:ident, $status:ident, suspend: $suspend:tt, conditions: $conditions:tt; )*) => {
        $(
            #[doc = concat!("A ", stringify!($kind), ".")]
            pub type $kind = Object<$spec, $status>;

            impl Resource for $kind {
                const KIND: Kind = Kind::$kind;

                fn of(object: &FluxObject) -> Option<&Self> {
                    match object { FluxObject::$kind(one) => Some(one), _ => None }
                }

                fn of_mut(object: &mut FluxObject) -> Option<&mut Self> {
                    match object { FluxObject::$kind(one) => Some(one), _ => None }
                }

                fn into_flux(self) -> FluxObject {
                    FluxObject::$kind(Box::new(self))
                }
            }

            impl From<$kind> for FluxObject {
                fn from(object: $kind) -> Self {
                    object.into_flux()
                }
            }
        )*

        /// An object of any Flux kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum FluxObject {
            $(
                #[doc = concat!("A ", stringify!($kind), ".")]
                $kind(Box<$kind>),
            )*
        }

        impl FluxObject {
            /// The kind.
            pub fn kind(&self) -> Kind {
                match self { $(FluxObject::$kind(_) => Kind::$kind),* }
            }

            /// The API version it was written in.
            pub fn api_version(&self) -> &str {
                match self { $(FluxObject::$kind(one) => &one.api_version),* }
            }

            /// Metadata.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(FluxObject::$kind(one) => &one.metadata),* }
            }

            /// Metadata, to change.
            pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
                match self { $(FluxObject::$kind(one) => &mut one.metadata),* }
            }

            /// Conditions; none for static kinds.
            pub fn conditions(&self) -> &[Condition] {
                match self { $(FluxObject::$kind(_one) => objects!(@conditions $conditions _one)),* }
            }

            /// `spec.suspend`.
            pub fn suspended(&self) -> bool {
                match self { $(FluxObject::$kind(_one) => objects!(@suspend $suspend _one)),* }
            }

            /// Sets `spec.suspend`; kinds without it stay as they are.
            pub fn set_suspended(&mut self, _suspended: bool) {
                match self { $(FluxObject::$kind(_one) => objects!(@set_suspend $suspend _one _suspended)),* }
            }

            /// The spec in today's form.
            pub fn spec_json(&self) -> Value {
                match self { $(FluxObject::$kind(one) => json(&one.spec)),* }
            }

            /// The status in today's form.
            pub fn status_json(&self) -> Value {
                match self { $(FluxObject::$kind(one) => json(&one.status)),* }
            }

            /// Replaces the status by one in today's form.
            pub fn set_status_json(&mut self, status: &Value) -> Result<(), serde_json::Error> {
                match self {
                    $(FluxObject::$kind(one) => one.status = serde::Deserialize::deserialize(status)?,)*
                }
                Ok(())
            }

            pub(crate) fn build(
                kind: Kind,
                api_version: String,
                metadata: ObjectMeta,
                spec: Value,
                status: Value,
            ) -> Result<Self, serde_json::Error> {
                Ok(match kind {
                    $(Kind::$kind => Object {
                        api_version,
                        metadata,
                        spec: serde_json::from_value::<$spec>(spec)?,
                        // Somebody else's status is no reason to refuse the object.
                        status: serde_json::from_value::<$status>(status).unwrap_or_default(),
                    }.into_flux(),)*
                })
            }
        }
    };
    (@conditions yes $one:ident) => { &$one.status.conditions };
    (@conditions no $one:ident) => { &[] };
    (@suspend yes $one:ident) => { $one.spec.suspend };
    (@suspend no $one:ident) => { false };
    (@set_suspend yes $one:ident $to:ident) => { $one.spec.suspend = $to };
    (@set_suspend no $one:ident $to:ident) => { {} };
}

objects! {
    GitRepository, GitRepositorySpec, GitRepositoryStatus, suspend: yes, conditions: yes;
    OCIRepository, OCIRepositorySpec, OCIRepositoryStatus, suspend: yes, conditions: yes;
    HelmRepository, HelmRepositorySpec, HelmRepositoryStatus, suspend: yes, conditions: yes;
    HelmChart, HelmChartSpec, HelmChartStatus, suspend: yes, conditions: yes;
    Bucket, BucketSpec, BucketStatus, suspend: yes, conditions: yes;
    ExternalArtifact, ExternalArtifactSpec, ExternalArtifactStatus, suspend: no, conditions: yes;
    Kustomization, KustomizationSpec, KustomizationStatus, suspend: yes, conditions: yes;
    HelmRelease, HelmReleaseSpec, HelmReleaseStatus, suspend: yes, conditions: yes;
    ImageRepository, ImageRepositorySpec, ImageRepositoryStatus, suspend: yes, conditions: yes;
    ImagePolicy, ImagePolicySpec, ImagePolicyStatus, suspend: yes, conditions: yes;
    ImageUpdateAutomation, ImageUpdateAutomationSpec, ImageUpdateAutomationStatus, suspend: yes, conditions: yes;
    Receiver, ReceiverSpec, ReceiverStatus, suspend: yes, conditions: yes;
    Provider, ProviderSpec, ProviderStatus, suspend: yes, conditions: no;
    Alert, AlertSpec, AlertStatus, suspend: yes, conditions: no;
}

fn json(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("our structs have string keys and no failing serializer")
}

impl FluxObject {
    /// The object as `T`, if it is of that kind.
    pub fn get<T: Resource>(&self) -> Option<&T> {
        T::of(self)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.metadata().name
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.metadata().namespace
    }

    /// How often the object is looked at without being told; `None` for what nothing reconciles on its own:
    /// Providers, Alerts, ExternalArtifacts, registries, and policies that do not watch a digest. A zero interval
    /// (`0s`) means the same, as in Flux.
    pub fn interval(&self) -> Option<Duration> {
        let interval = match self {
            FluxObject::GitRepository(one) => Some(one.spec.interval.get()),
            FluxObject::OCIRepository(one) => Some(one.spec.interval.get()),
            FluxObject::HelmRepository(one) if one.spec.is_oci() => None,
            FluxObject::HelmRepository(one) => one.spec.interval.map(Duration::from),
            FluxObject::HelmChart(one) => Some(one.spec.interval.get()),
            FluxObject::Bucket(one) => Some(one.spec.interval.get()),
            FluxObject::Kustomization(one) => Some(one.spec.interval.get()),
            FluxObject::HelmRelease(one) => Some(one.spec.interval.get()),
            FluxObject::ImageRepository(one) => Some(one.spec.interval.get()),
            FluxObject::ImagePolicy(one) => one.spec.interval.map(Duration::from),
            FluxObject::ImageUpdateAutomation(one) => Some(one.spec.interval.get()),
            FluxObject::Receiver(one) => Some(one.spec.interval()),
            FluxObject::ExternalArtifact(_) | FluxObject::Provider(_) | FluxObject::Alert(_) => None,
        };
        interval.filter(|interval| !interval.is_zero())
    }

    /// What the source stands at.
    pub fn artifact(&self) -> Option<&Artifact> {
        match self {
            FluxObject::GitRepository(one) => one.status.artifact.as_ref(),
            FluxObject::OCIRepository(one) => one.status.artifact.as_ref(),
            FluxObject::HelmRepository(one) => one.status.artifact.as_ref(),
            FluxObject::HelmChart(one) => one.status.artifact.as_ref(),
            FluxObject::Bucket(one) => one.status.artifact.as_ref(),
            FluxObject::ExternalArtifact(one) => one.status.artifact.as_ref(),
            _ => None,
        }
    }

    /// The generation last reconciled; 0 before the first time and for static kinds.
    pub fn observed_generation(&self) -> i64 {
        match self {
            FluxObject::GitRepository(one) => one.status.observed_generation,
            FluxObject::OCIRepository(one) => one.status.observed_generation,
            FluxObject::HelmRepository(one) => one.status.observed_generation,
            FluxObject::HelmChart(one) => one.status.observed_generation,
            FluxObject::Bucket(one) => one.status.observed_generation,
            FluxObject::Kustomization(one) => one.status.observed_generation,
            FluxObject::HelmRelease(one) => one.status.observed_generation,
            FluxObject::ImageRepository(one) => one.status.observed_generation,
            FluxObject::ImagePolicy(one) => one.status.observed_generation,
            FluxObject::ImageUpdateAutomation(one) => one.status.observed_generation,
            FluxObject::Receiver(one) => one.status.observed_generation,
            FluxObject::ExternalArtifact(_) | FluxObject::Provider(_) | FluxObject::Alert(_) => 0,
        }
    }

    /// `status.lastHandledReconcileAt`.
    pub fn last_handled_reconcile_at(&self) -> Option<&str> {
        match self {
            FluxObject::GitRepository(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::OCIRepository(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::HelmRepository(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::HelmChart(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::Bucket(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::Kustomization(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::HelmRelease(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::ImageRepository(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::ImagePolicy(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::ImageUpdateAutomation(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::Receiver(one) => one.status.last_handled_reconcile_at.as_deref(),
            FluxObject::ExternalArtifact(_) | FluxObject::Provider(_) | FluxObject::Alert(_) => None,
        }
    }

    /// The `requestedAt` annotation.
    pub fn requested_at(&self) -> Option<&str> {
        self.metadata().annotation(annotation::REQUESTED_AT)
    }

    /// The whole object, written in today's API version whatever it was read in.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), Value::String(self.kind().api_version()));
        object.insert("kind".to_owned(), Value::String(self.kind().as_str().to_owned()));
        object.insert("metadata".to_owned(), json(self.metadata()));
        object.insert("spec".to_owned(), self.spec_json());
        let status = self.status_json();
        if status.as_object().is_some_and(|status| !status.is_empty()) {
            object.insert("status".to_owned(), status);
        }
        Value::Object(object)
    }
}
