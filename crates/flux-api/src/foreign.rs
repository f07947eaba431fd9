//! References to objects of other namespaces, for installations that forbid them (`--no-cross-namespace-refs`).

use std::fmt;

use crate::kind::Kind;
use crate::object::FluxObject;

/// A reference to an object of another namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignReference {
    /// The kind referred to.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name; may be `*` in Receivers and Alerts.
    pub name: String,
    /// The kind that refers.
    pub from: Kind,
}

impl fmt::Display for ForeignReference {
    /// Flux's text for a reference that is forbidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.from == Kind::ImagePolicy { "cannot" } else { "can't" };
        let Self { kind, namespace, name, from: _ } = self;
        write!(f, "{verb} access '{kind}/{namespace}/{name}', cross-namespace references have been blocked")
    }
}

impl FluxObject {
    /// Every reference out of the object's own namespace, of those Flux can forbid; `dependsOn` is not among them.
    pub fn foreign_references(&self) -> Vec<ForeignReference> {
        let own = self.namespace();
        let mut all: Vec<(&str, Option<&str>, &str)> = Vec::new();
        match self {
            FluxObject::HelmRelease(one) => {
                let chart = one.spec.chart.as_ref().map(|chart| &chart.spec.source_ref);
                for reference in chart.into_iter().chain(&one.spec.chart_ref) {
                    all.push((reference.kind.as_str(), reference.namespace.as_deref(), &reference.name));
                }
            }
            FluxObject::Kustomization(one) => {
                let reference = &one.spec.source_ref;
                all.push((reference.kind.as_str(), reference.namespace.as_deref(), &reference.name));
            }
            FluxObject::ImageUpdateAutomation(one) => {
                let reference = &one.spec.source_ref;
                all.push((reference.kind.as_str(), reference.namespace.as_deref(), &reference.name));
            }
            FluxObject::ImagePolicy(one) => {
                let reference = &one.spec.image_repository_ref;
                all.push((Kind::ImageRepository.as_str(), reference.namespace.as_deref(), &reference.name));
            }
            FluxObject::Receiver(one) => {
                all.extend(
                    one.spec
                        .resources
                        .iter()
                        .map(|it| (it.kind.as_str(), it.namespace.as_deref(), it.name.as_str())),
                );
            }
            FluxObject::Alert(one) => {
                all.extend(
                    one.spec
                        .event_sources
                        .iter()
                        .map(|it| (it.kind.as_str(), it.namespace.as_deref(), it.name.as_str())),
                );
            }
            FluxObject::GitRepository(_)
            | FluxObject::OCIRepository(_)
            | FluxObject::HelmRepository(_)
            | FluxObject::HelmChart(_)
            | FluxObject::Bucket(_)
            | FluxObject::ExternalArtifact(_)
            | FluxObject::ImageRepository(_)
            | FluxObject::Provider(_) => {}
        }
        all.into_iter()
            .filter_map(|(kind, namespace, name)| {
                Some((kind, namespace.filter(|it| !it.is_empty() && *it != own)?, name))
            })
            .map(|(kind, namespace, name)| ForeignReference {
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                from: self.kind(),
            })
            .collect()
    }
}
