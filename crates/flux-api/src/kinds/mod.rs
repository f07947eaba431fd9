//! One file per kind: its spec, its status, and the defaults as methods.

mod alert;
mod bucket;
mod common;
mod external_artifact;
mod git_repository;
mod helm_actions;
mod helm_chart;
mod helm_release;
mod helm_repository;
mod image_policy;
mod image_repository;
mod image_update_automation;
mod kustomization;
mod oci_repository;
mod provider;
mod receiver;

pub use alert::*;
pub use bucket::*;
pub use common::*;
pub use external_artifact::*;
pub use git_repository::*;
pub use helm_actions::*;
pub use helm_chart::*;
pub use helm_release::*;
pub use helm_repository::*;
pub use image_policy::*;
pub use image_repository::*;
pub use image_update_automation::*;
pub use kustomization::*;
pub use oci_repository::*;
pub use provider::*;
pub use receiver::*;
