//! One rule of a constraint: an operator and a possibly open version.

use std::cmp::Ordering;
use std::fmt;

use crate::quote::go_quote;
use crate::version::{Version, compare_prerelease};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Tilde,
    Caret,
}

impl Operator {
    /// Reads an operator the grammar has already accepted.
    pub(crate) fn from_text(text: &str) -> Self {
        match text {
            "!=" => Self::NotEqual,
            ">" => Self::Greater,
            "<" => Self::Less,
            ">=" | "=>" => Self::GreaterOrEqual,
            "<=" | "=<" => Self::LessOrEqual,
            "~" | "~>" => Self::Tilde,
            "^" => Self::Caret,
            _ => Self::Equal,
        }
    }
}

/// An operator and the version it compares with. `open` means that a segment is missing or a
/// wildcard; `minor_open` and `patch_open` name the first such segment unless it is the major one.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) operator: Operator,
    pub(crate) version: Version,
    pub(crate) original: String,
    pub(crate) written_operator: String,
    pub(crate) open: bool,
    pub(crate) minor_open: bool,
    pub(crate) patch_open: bool,
}

/// Why a version fails a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Prerelease,
    Equal,
    NotEqual,
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    OtherMajor,
    OtherMajorOrMinor,
    OtherMinor,
    OtherMinorBelowOne,
    OtherPatchBelowOne,
}

/// Why a version was refused by one rule of a constraint, in the Go library's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    version: String,
    constraint: String,
    reason: Reason,
}

impl Rejection {
    pub(crate) fn new(version: &Version, rule: &Rule, reason: Reason) -> Self {
        Self { version: version.to_string(), constraint: rule.original.clone(), reason }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (relation, hint) = match self.reason {
            Reason::Prerelease => {
                return write!(
                    f,
                    "{} is a prerelease version and the constraint is only looking for release versions",
                    go_quote(&self.version)
                );
            }
            Reason::Equal => ("is equal to", ""),
            Reason::NotEqual => ("is not equal to", ""),
            Reason::LessOrEqual => ("is less than or equal to", ""),
            Reason::Less => ("is less than", ""),
            Reason::GreaterOrEqual => ("is greater than or equal to", ""),
            Reason::Greater => ("is greater than", ""),
            Reason::OtherMajor => ("does not have same major version as", ""),
            Reason::OtherMajorOrMinor => ("does not have same major and minor version as", ""),
            Reason::OtherMinor => ("does not have same minor version as", ""),
            Reason::OtherMinorBelowOne => (
                "does not have same minor version as",
                ". Expected minor versions to match when constraint major version is 0",
            ),
            Reason::OtherPatchBelowOne => (
                "does not equal",
                ". Expect version and constraint to equal when major and minor versions are 0",
            ),
        };
        let (version, constraint) = (go_quote(&self.version), go_quote(&self.constraint));
        write!(f, "{version} {relation} {constraint}{hint}")
    }
}

impl std::error::Error for Rejection {}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.written_operator, self.original)
    }
}

/// `Ok` when `holds`, else the reason.
fn require(holds: bool, reason: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(reason) }
}

impl Rule {
    /// Whether `version` follows this rule; prereleases do only with `prereleases`.
    pub(crate) fn check(&self, version: &Version, prereleases: bool) -> Result<(), Reason> {
        require(prereleases || !version.is_prerelease(), Reason::Prerelease)?;
        match self.operator {
            Operator::Equal if self.open => self.tilde(version),
            Operator::Equal => require(*version == self.version, Reason::NotEqual),
            Operator::NotEqual => self.not_equal(version),
            Operator::Greater => self.greater(version),
            Operator::Less => require(*version < self.version, Reason::GreaterOrEqual),
            Operator::GreaterOrEqual => require(*version >= self.version, Reason::Less),
            Operator::LessOrEqual => self.less_or_equal(version),
            Operator::Tilde => self.tilde(version),
            Operator::Caret => self.caret(version),
        }
    }

    fn not_equal(&self, version: &Version) -> Result<(), Reason> {
        let rule = &self.version;
        if self.open {
            if rule.major() != version.major() {
                return Ok(());
            }
            if self.minor_open {
                return Err(Reason::Equal);
            }
            if rule.minor() != version.minor() {
                return Ok(());
            }
            if self.patch_open {
                let order = compare_prerelease(version.prerelease(), rule.prerelease());
                return require(order != Ordering::Equal, Reason::Equal);
            }
        }
        require(version != rule, Reason::Equal)
    }

    fn greater(&self, version: &Version) -> Result<(), Reason> {
        let rule = &self.version;
        let holds = if !self.open || version.major() == rule.major() {
            if self.minor_open {
                // `>11` begins at 12.
                false
            } else if self.patch_open {
                // `>11.1` begins at 11.2.
                version.minor() > rule.minor()
            } else {
                version > rule
            }
        } else {
            version.major() > rule.major()
        };
        require(holds, Reason::LessOrEqual)
    }

    fn less_or_equal(&self, version: &Version) -> Result<(), Reason> {
        let rule = &self.version;
        let holds = if !self.open {
            version <= rule
        } else {
            version.major() < rule.major()
                || version.major() == rule.major() && (self.minor_open || version.minor() <= rule.minor())
        };
        require(holds, Reason::Greater)
    }

    fn tilde(&self, version: &Version) -> Result<(), Reason> {
        let rule = &self.version;
        require(version >= rule, Reason::Less)?;
        let is_zero = rule.major() == 0 && rule.minor() == 0 && rule.patch() == 0;
        if is_zero && !self.minor_open && !self.patch_open {
            // `*`, and by the same road `~0.0.0`, take every version.
            return Ok(());
        }
        require(version.major() == rule.major(), Reason::OtherMajor)?;
        require(self.minor_open || version.minor() == rule.minor(), Reason::OtherMajorOrMinor)
    }

    fn caret(&self, version: &Version) -> Result<(), Reason> {
        let rule = &self.version;
        require(version >= rule, Reason::Less)?;
        if rule.major() > 0 || self.minor_open {
            return require(version.major() == rule.major(), Reason::OtherMajor);
        }
        require(version.major() == 0, Reason::OtherMajor)?;
        if rule.minor() > 0 || self.patch_open {
            return require(version.minor() == rule.minor(), Reason::OtherMinorBelowOne);
        }
        require(version.minor() == 0, Reason::OtherMinor)?;
        require(version.patch() == rule.patch(), Reason::OtherPatchBelowOne)
    }
}
