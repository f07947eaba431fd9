//! Renders Helm charts as helm does: (chart, values, capabilities, release) to manifests, hooks and
//! notes, byte for byte, without helm.
//!
//! A chart is loaded ([`load_archive`], [`load_files`]), compiled once ([`Chart::compile`]) and then
//! rendered as often as needed ([`CompiledChart::render`]), from any thread. What differs between
//! Helm versions is in [`HelmProfile`]. Release records as helm stores them are in [`release`].
//!
//! This crate reads no file, clock, environment or network; `lookup` is a callback. It does not
//! apply anything.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod capabilities;
mod chart;
mod engine;
mod glob;
mod gopath;
mod gostring;
mod head;
mod limits;
pub mod manifest;
pub mod ordering;
mod output;
pub mod profile;
pub mod release;
pub mod schema;
pub mod values;
mod yaml;

pub use capabilities::{Capabilities, KubeVersion};
pub use chart::ignore::{IgnoreError, Rules as IgnoreRules};
pub use chart::load::{LoadError, load_archive, load_files};
pub use chart::metadata::{Dependency, Maintainer, Metadata, MetadataError};
pub use chart::{Chart, ChartFile, ChartFiles, CrdFile, Lock};
pub use engine::{
    CompiledChart, Entropy, Lookup, LookupRead, NoCluster, Reads, ReleaseOptions, RenderContext, RenderError,
    Rendered,
};
pub use gopath::PatternError;
pub use limits::Limits;
pub use manifest::{Hook, HookEvent, Manifest};
pub use output::TemplateOutput;
pub use profile::HelmProfile;
pub use schema::RemoteSchemas;
