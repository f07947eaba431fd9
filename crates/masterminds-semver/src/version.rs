//! A semantic version, parsed strictly or leniently, and its precedence.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;

use crate::quote::go_quote;

/// Longest version text accepted, in bytes; the Go library refuses longer ones unread.
const MAX_VERSION_LEN: usize = 256;

/// One to three segments with optional `v`, prerelease and metadata; leading zeros are let through.
static LENIENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?$",
    )
    .expect("the pattern is constant")
});

/// Why a text is not a version; shown exactly as the Go library says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text does not have a version's shape.
    #[error("invalid semantic version")]
    Invalid,
    /// The text is empty (strict parsing only).
    #[error("version string empty")]
    Empty,
    /// A number segment holds something else than digits (strict parsing only).
    #[error("invalid characters in version")]
    InvalidCharacters,
    /// A numeric segment has a leading zero.
    #[error("version segment starts with 0")]
    SegmentStartsZero,
    /// The part after `+` is malformed.
    #[error("invalid metadata string")]
    InvalidMetadata,
    /// The part after `-` is malformed.
    #[error("invalid prerelease string")]
    InvalidPrerelease,
    /// The text is longer than 256 bytes.
    #[error("version string is too long (max {MAX_VERSION_LEN} bytes)")]
    TooLong,
    /// A segment does not fit 64 bits, or is empty.
    #[error("{context}strconv.ParseUint: parsing {}: {reason}", go_quote(segment))]
    Number {
        /// `error parsing version segment: ` for lenient parsing, else empty.
        context: &'static str,
        /// The segment as written.
        segment: String,
        /// Go's reason: `invalid syntax` or `value out of range`.
        reason: &'static str,
    },
}

/// A version segment is already at its largest value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{segment} version increment would overflow uint64")]
pub struct IncrementError {
    segment: &'static str,
}

/// A semantic version. Equality and order are semver precedence: metadata is ignored.
#[derive(Debug, Clone)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    prerelease: String,
    metadata: String,
    original: String,
}

impl Version {
    /// The release version `major.minor.patch`.
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self {
            major,
            minor,
            patch,
            prerelease: String::new(),
            metadata: String::new(),
            original: format!("{major}.{minor}.{patch}"),
        }
    }

    /// Parses leniently (Go's `NewVersion`): `v` prefix, missing segments and leading zeros allowed.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        if text.len() > MAX_VERSION_LEN {
            return Err(VersionError::TooLong);
        }
        let found = LENIENT.captures(text).ok_or(VersionError::Invalid)?;
        let group = |index| found.get(index).map_or("", |group| group.as_str());
        let segment = |index| match group(index).trim_start_matches('.') {
            "" => Ok(0),
            digits => parse_segment(digits, "error parsing version segment: "),
        };
        let version = Self {
            major: segment(1)?,
            minor: segment(2)?,
            patch: segment(3)?,
            prerelease: group(5).to_owned(),
            metadata: group(8).to_owned(),
            original: text.to_owned(),
        };
        if !version.prerelease.is_empty() {
            validate_prerelease(&version.prerelease)?;
        }
        if !version.metadata.is_empty() {
            validate_metadata(&version.metadata)?;
        }
        Ok(version)
    }

    /// Parses strictly (Go's `StrictNewVersion`): exactly what semver.org allows.
    pub fn parse_strict(text: &str) -> Result<Self, VersionError> {
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if text.len() > MAX_VERSION_LEN {
            return Err(VersionError::TooLong);
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VersionError::Invalid);
        };
        let (rest, metadata) = match rest.split_once('+') {
            Some((rest, metadata)) => {
                validate_metadata(metadata)?;
                (rest, metadata)
            }
            None => (rest, ""),
        };
        let (patch, prerelease) = match rest.split_once('-') {
            Some((patch, prerelease)) => {
                validate_prerelease(prerelease)?;
                (patch, prerelease)
            }
            None => (rest, ""),
        };
        for segment in [major, minor, patch] {
            if !is_numeric(segment) {
                return Err(VersionError::InvalidCharacters);
            }
            if segment.len() > 1 && segment.starts_with('0') {
                return Err(VersionError::SegmentStartsZero);
            }
        }
        Ok(Self {
            major: parse_segment(major, "")?,
            minor: parse_segment(minor, "")?,
            patch: parse_segment(patch, "")?,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// The first segment.
    pub fn major(&self) -> u64 {
        self.major
    }

    /// The second segment.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// The third segment.
    pub fn patch(&self) -> u64 {
        self.patch
    }

    /// The part after `-`, without it; empty for a release.
    pub fn prerelease(&self) -> &str {
        &self.prerelease
    }

    /// The part after `+`, without it; empty when there is none.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// The text this version was parsed from.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// Whether this version has a prerelease part.
    pub fn is_prerelease(&self) -> bool {
        !self.prerelease.is_empty()
    }

    /// The next patch version; for a prerelease that is the release it leads to.
    pub fn increment_patch(&self) -> Result<Self, IncrementError> {
        let patch = if self.is_prerelease() { self.patch } else { increment(self.patch, "patch")? };
        Ok(self.successor(self.major, self.minor, patch))
    }

    /// The next minor version, with patch 0 and no prerelease or metadata.
    pub fn increment_minor(&self) -> Result<Self, IncrementError> {
        Ok(self.successor(self.major, increment(self.minor, "minor")?, 0))
    }

    /// The next major version, with minor and patch 0 and no prerelease or metadata.
    pub fn increment_major(&self) -> Result<Self, IncrementError> {
        Ok(self.successor(increment(self.major, "major")?, 0, 0))
    }

    /// The same version with another prerelease part (given without `-`; empty removes it).
    pub fn with_prerelease(&self, prerelease: &str) -> Result<Self, VersionError> {
        if !prerelease.is_empty() {
            validate_prerelease(prerelease)?;
        }
        let mut version = self.clone();
        version.prerelease = prerelease.to_owned();
        Ok(version.with_fresh_original())
    }

    /// The same version with other metadata (given without `+`; empty removes it).
    pub fn with_metadata(&self, metadata: &str) -> Result<Self, VersionError> {
        if !metadata.is_empty() {
            validate_metadata(metadata)?;
        }
        let mut version = self.clone();
        version.metadata = metadata.to_owned();
        Ok(version.with_fresh_original())
    }

    fn successor(&self, major: u64, minor: u64, patch: u64) -> Self {
        Self {
            major,
            minor,
            patch,
            prerelease: String::new(),
            metadata: String::new(),
            original: self.original.clone(),
        }
        .with_fresh_original()
    }

    /// Rebuilds `original` from the parts, keeping a `v` prefix.
    fn with_fresh_original(mut self) -> Self {
        let prefix = if self.original.starts_with('v') { "v" } else { "" };
        self.original = format!("{prefix}{self}");
        self
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch)).then_with(
            || match (self.is_prerelease(), other.is_prerelease()) {
                (false, false) => Ordering::Equal,
                (false, true) => Ordering::Greater,
                (true, false) => Ordering::Less,
                (true, true) => compare_prerelease(&self.prerelease, &other.prerelease),
            },
        )
    }
}

/// Compares two prerelease texts identifier by identifier; a missing identifier is the smallest.
pub(crate) fn compare_prerelease(left: &str, right: &str) -> Ordering {
    let mut left = left.split('.');
    let mut right = right.split('.');
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (l, r) => compare_identifier(l.unwrap_or(""), r.unwrap_or("")),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Numbers sort below words; numbers too large for 64 bits count as words, as in Go.
fn compare_identifier(left: &str, right: &str) -> Ordering {
    if left.is_empty() || right.is_empty() {
        return left.len().cmp(&right.len());
    }
    let number = |text: &str| is_numeric(text).then(|| text.parse::<u64>().ok()).flatten();
    match (number(left), number(right)) {
        (Some(l), Some(r)) => l.cmp(&r),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

fn increment(segment: u64, name: &'static str) -> Result<u64, IncrementError> {
    segment.checked_add(1).ok_or(IncrementError { segment: name })
}

/// Parses a segment known to hold only digits (it may be empty in strict parsing).
fn parse_segment(digits: &str, context: &'static str) -> Result<u64, VersionError> {
    digits.parse().map_err(|_| VersionError::Number {
        context,
        segment: digits.to_owned(),
        reason: if digits.is_empty() { "invalid syntax" } else { "value out of range" },
    })
}

fn is_numeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_identifier(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn validate_prerelease(prerelease: &str) -> Result<(), VersionError> {
    for identifier in prerelease.split('.') {
        if identifier.is_empty() || !is_identifier(identifier) {
            return Err(VersionError::InvalidPrerelease);
        }
        if is_numeric(identifier) && identifier.len() > 1 && identifier.starts_with('0') {
            return Err(VersionError::SegmentStartsZero);
        }
    }
    Ok(())
}

fn validate_metadata(metadata: &str) -> Result<(), VersionError> {
    let valid = |identifier: &str| !identifier.is_empty() && is_identifier(identifier);
    if metadata.split('.').all(valid) { Ok(()) } else { Err(VersionError::InvalidMetadata) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenient_parsing_coerces() {
        for (text, shown) in [
            ("1", "1.0.0"),
            ("v1.2", "1.2.0"),
            ("01.02.003", "1.2.3"),
            ("1.2-beta.5", "1.2.0-beta.5"),
            ("1.2.3-a.b+c-d.1", "1.2.3-a.b+c-d.1"),
            ("1.2.3+5", "1.2.3+5"),
            ("1.2.3--", "1.2.3--"),
        ] {
            let version = Version::parse(text).unwrap();
            assert_eq!(version.to_string(), shown, "{text}");
            assert_eq!(version.original(), text);
        }
    }

    #[test]
    fn lenient_errors_read_as_in_go() {
        for (text, error) in [
            ("", "invalid semantic version"),
            ("V1", "invalid semantic version"),
            ("1.2.3.4", "invalid semantic version"),
            ("1.2.3\n", "invalid semantic version"),
            ("1.2.3-01", "version segment starts with 0"),
            (
                "1.99999999999999999999",
                "error parsing version segment: strconv.ParseUint: parsing \"99999999999999999999\": value out of range",
            ),
        ] {
            assert_eq!(Version::parse(text).unwrap_err().to_string(), error, "{text}");
        }
        let long = format!("1.2.3-{}", "a".repeat(251));
        assert_eq!(
            Version::parse(&long).unwrap_err().to_string(),
            "version string is too long (max 256 bytes)"
        );
    }

    #[test]
    fn strict_errors_read_as_in_go() {
        for (text, error) in [
            ("", "version string empty"),
            ("1.2", "invalid semantic version"),
            ("v1.2.3", "invalid characters in version"),
            ("1.02.3", "version segment starts with 0"),
            ("1.2.3-a..b", "invalid prerelease string"),
            ("1.2.3-00", "version segment starts with 0"),
            ("1.2.3+a_b", "invalid metadata string"),
            ("1..3", "strconv.ParseUint: parsing \"\": invalid syntax"),
            (
                "1.2.18446744073709551616",
                "strconv.ParseUint: parsing \"18446744073709551616\": value out of range",
            ),
        ] {
            assert_eq!(Version::parse_strict(text).unwrap_err().to_string(), error, "{text}");
        }
        assert_eq!(Version::parse_strict("1.2.3-a+b").unwrap().to_string(), "1.2.3-a+b");
    }

    #[test]
    fn precedence_follows_semver() {
        let ascending = [
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-103",
            "1.0.0-18446744073709551616",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0",
            "1.0.1",
            "1.1",
            "2",
            "10",
        ];
        let versions: Vec<_> = ascending.map(|text| Version::parse(text).unwrap()).into();
        assert!(versions.is_sorted_by(|a, b| a < b));
        assert_eq!(Version::parse("1.0+a").unwrap(), Version::parse("v1+b").unwrap());
    }

    #[test]
    fn increments_keep_the_prefix() {
        let version = Version::parse("v1.2.3-rc.1+build").unwrap();
        assert_eq!(version.increment_patch().unwrap().original(), "v1.2.3");
        assert_eq!(version.increment_minor().unwrap().original(), "v1.3.0");
        assert_eq!(version.increment_major().unwrap().original(), "v2.0.0");
        assert_eq!(version.with_metadata("abc").unwrap().original(), "v1.2.3-rc.1+abc");
        assert_eq!(version.with_prerelease("").unwrap().original(), "v1.2.3+build");
        assert_eq!(
            Version::new(0, 0, u64::MAX).increment_patch().unwrap_err().to_string(),
            "patch version increment would overflow uint64"
        );
    }
}
