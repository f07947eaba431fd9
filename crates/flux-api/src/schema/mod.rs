//! The rules each API version sets for its objects: fields, types, words, patterns, lengths.
//!
//! Written by hand after Flux's CRDs; `check` walks a value beside them and reports every problem in the API server's
//! words. The typed structs of `kinds` take what has passed.

mod check;
mod helm;
mod image;
mod kustomize;
mod metadata;
mod node;
mod notification;
mod parts;
mod source;

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value;

use crate::kind::Kind;
use crate::problem::{Path, Problem};
pub(crate) use check::whole;
use node::Node;

/// Which of a kind's API versions: today's, the one before, the first. Every Flux group has had three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Generation {
    First,
    Second,
    Current,
}

impl Generation {
    /// The generation of `version` for `kind`; `None` when there is no such version.
    pub(crate) fn of(kind: Kind, version: &str) -> Option<Self> {
        match kind.versions().iter().position(|known| *known == version)? {
            0 => Some(Self::Current),
            1 => Some(Self::Second),
            _ => Some(Self::First),
        }
    }
}

/// Everything wrong with `value`, an object of that kind and generation, in the order of its fields.
pub(crate) fn problems(kind: Kind, generation: Generation, value: &Value) -> Vec<Problem> {
    static SCHEMAS: OnceLock<HashMap<(Kind, Generation), Node>> = OnceLock::new();
    let schemas = SCHEMAS.get_or_init(|| {
        let mut all = HashMap::new();
        for &kind in Kind::ALL {
            for version in kind.versions() {
                let generation = Generation::of(kind, version).expect("taken from the kind's own list");
                all.insert((kind, generation), root(kind, generation));
            }
        }
        all
    });
    let mut problems = Vec::new();
    if let Some(schema) = schemas.get(&(kind, generation)) {
        check::check(schema, value, &mut Path::root(), &mut problems);
    }
    problems
}

fn root(kind: Kind, generation: Generation) -> Node {
    let spec = match kind {
        Kind::GitRepository => source::git_repository(generation),
        Kind::OCIRepository => source::oci_repository(generation),
        Kind::HelmRepository => source::helm_repository(generation),
        Kind::HelmChart => source::helm_chart(generation),
        Kind::Bucket => source::bucket(generation),
        Kind::ExternalArtifact => source::external_artifact(),
        Kind::HelmRelease => helm::helm_release(generation),
        Kind::Kustomization => kustomize::kustomization(generation),
        Kind::ImageRepository => image::image_repository(generation),
        Kind::ImagePolicy => image::image_policy(generation),
        Kind::ImageUpdateAutomation => image::image_update_automation(generation),
        Kind::Receiver => notification::receiver(generation),
        Kind::Provider => notification::provider(generation),
        Kind::Alert => notification::alert(generation),
    };
    // The CRDs do not require a spec, but nothing except an ExternalArtifact means anything without one.
    metadata::frame(spec, kind != Kind::ExternalArtifact)
}
