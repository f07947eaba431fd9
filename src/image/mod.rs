//! Image automation's own knowledge: when to look into a registry, and which tag is the latest.
//!
//! Pure functions over plain data. No registry is asked and no object is read here; `reconcile` does both.

pub mod policy;
pub mod scan;
