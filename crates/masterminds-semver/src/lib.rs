//! Versions and constraints as Go's Masterminds/semver 3.5 reads them.
//!
//! Helm, Flux and the template functions `semver` and `semverCompare` all decide with that
//! library, so its lenient parsing, its operators, its prerelease rule per AND group and its error
//! texts are part of what users see. Nothing here knows charts, tags or repositories.
//!
//! ```
//! use masterminds_semver::{Constraints, Version};
//! let version = Version::parse("v1.4").expect("two segments are enough");
//! assert_eq!(version.to_string(), "1.4.0");
//! let constraints = Constraints::parse("^1.2 || ~3.1").expect("a valid constraint");
//! assert!(constraints.check(&version));
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod constraint;
mod quote;
mod rule;
mod version;

pub use constraint::{ConstraintError, Constraints};
pub use rule::Rejection;
pub use version::{IncrementError, Version, VersionError};
