//! Versions and constraints as Go's Masterminds/semver reads them
