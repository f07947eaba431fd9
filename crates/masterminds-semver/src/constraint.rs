//! Constraint texts: OR groups of AND-ed rules, checked against versions.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::quote::go_quote;
use crate::rule::{Operator, Reason, Rejection, Rule};
use crate::version::Version;

/// Longest constraint text accepted, in bytes.
const MAX_CONSTRAINT_LEN: usize = 512;

/// Most `||` groups accepted in one constraint.
const MAX_CONSTRAINT_GROUPS: usize = 32;

/// A version in a constraint: segments may be wildcards. Nine groups, the fourth is `-prerelease`.
const VERSION: &str = r"v?([0-9|xX*]+)(\.[0-9|xX*]+)?(\.[0-9|xX*]+)?(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";

/// The operators; the empty one sits second, so longer ones are found by going on.
const OPERATOR: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";

/// Go's `\s`.
const SPACE: &str = r"[\t\n\f\r ]";

static RULE: LazyLock<Regex> =
    LazyLock::new(|| compile(&format!("^{SPACE}*({OPERATOR}){SPACE}*({VERSION}){SPACE}*$")));

static HYPHEN_RANGE: LazyLock<Regex> =
    LazyLock::new(|| compile(&format!("{SPACE}*({VERSION}){SPACE}+-{SPACE}+({VERSION}){SPACE}*")));

static FIND_RULE: LazyLock<Regex> = LazyLock::new(|| compile(&format!("({OPERATOR}){SPACE}*({VERSION})")));

static VALID_GROUP: LazyLock<Regex> = LazyLock::new(|| {
    let rule = format!("(?:{OPERATOR}){SPACE}*(?:{VERSION}){SPACE}*");
    compile(&format!("^(?:{SPACE}*{rule})(?:(?:{SPACE}+|,{SPACE}*){rule})*$"))
});

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

/// Why a text is not a constraint; shown exactly as the Go library says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// The text is longer than 512 bytes.
    #[error("constraint string is too long (max {MAX_CONSTRAINT_LEN} bytes)")]
    TooLong,
    /// There are more than 32 `||` groups.
    #[error("too many constraint groups (max {MAX_CONSTRAINT_GROUPS})")]
    TooManyGroups,
    /// A group does not follow the grammar; holds the group.
    #[error("improper constraint: {}", go_quote(.0))]
    Improper(String),
    /// A version inside a well-formed constraint is none.
    #[error("constraint parser error")]
    Version,
}

/// AND-ed rules, and whether one of them names a prerelease: then prereleases may pass this group.
#[derive(Debug, Clone)]
struct Group {
    rules: Vec<Rule>,
    names_prerelease: bool,
}

/// A parsed constraint such as `>=1.2, <2 || ~3.1`: OR groups of AND-ed rules.
#[derive(Debug, Clone)]
pub struct Constraints {
    groups: Vec<Group>,
    include_prerelease: bool,
}

impl Constraints {
    /// Parses a constraint.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        if text.len() > MAX_CONSTRAINT_LEN {
            return Err(ConstraintError::TooLong);
        }
        let text = rewrite_hyphen_ranges(text);
        if text.split("||").count() > MAX_CONSTRAINT_GROUPS {
            return Err(ConstraintError::TooManyGroups);
        }
        Ok(Self {
            groups: text.split("||").map(parse_group).collect::<Result<_, _>>()?,
            include_prerelease: false,
        })
    }

    /// The same constraint, letting prereleases through even where no rule names one.
    #[must_use]
    pub fn with_prereleases(mut self) -> Self {
        self.include_prerelease = true;
        self
    }

    /// Whether `version` satisfies one of the groups.
    pub fn check(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            let prereleases = self.lets_prereleases_through(group);
            group.rules.iter().all(|rule| rule.check(version, prereleases).is_ok())
        })
    }

    /// Like [`check`](Self::check), with the reasons of every failing rule when none of the groups
    /// is satisfied.
    pub fn validate(&self, version: &Version) -> Result<(), Vec<Rejection>> {
        let mut rejections = Vec::new();
        let mut prerelease_told = false;
        for group in &self.groups {
            let prereleases = self.lets_prereleases_through(group);
            let mut satisfied = true;
            for rule in &group.rules {
                match rule.check(version, prereleases) {
                    Ok(()) => continue,
                    // Said once, however many rules and groups it concerns.
                    Err(Reason::Prerelease) if prerelease_told => {}
                    Err(reason) => {
                        prerelease_told |= reason == Reason::Prerelease;
                        rejections.push(Rejection::new(version, rule, reason));
                    }
                }
                satisfied = false;
            }
            if satisfied {
                return Ok(());
            }
        }
        Err(rejections)
    }

    fn lets_prereleases_through(&self, group: &Group) -> bool {
        self.include_prerelease || group.names_prerelease
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group_index, group) in self.groups.iter().enumerate() {
            if group_index > 0 {
                f.write_str(" || ")?;
            }
            for (rule_index, rule) in group.rules.iter().enumerate() {
                if rule_index > 0 {
                    f.write_str(" ")?;
                }
                write!(f, "{rule}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Constraints {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Turns each `a - b` into `>= a, <= b `.
fn rewrite_hyphen_ranges(text: &str) -> String {
    let mut out = text.to_owned();
    for range in HYPHEN_RANGE.captures_iter(text) {
        let comparison = format!(">= {}, <= {} ", &range[1], &range[11]);
        // The first occurrence of the matched text is replaced, as in the Go library.
        out = out.replacen(&range[0], &comparison, 1);
    }
    out
}

fn parse_group(text: &str) -> Result<Group, ConstraintError> {
    if !VALID_GROUP.is_match(text) {
        return Err(ConstraintError::Improper(text.to_owned()));
    }
    let rules =
        FIND_RULE.find_iter(text).map(|found| parse_rule(found.as_str())).collect::<Result<Vec<_>, _>>()?;
    let names_prerelease = rules.iter().any(|rule| rule.version.is_prerelease());
    Ok(Group { rules, names_prerelease })
}

fn parse_rule(text: &str) -> Result<Rule, ConstraintError> {
    let found = RULE.captures(text).ok_or_else(|| ConstraintError::Improper(text.to_owned()))?;
    let group = |found: &Captures<'_>, index| {
        found.get(index).map_or(String::new(), |group| group.as_str().to_owned())
    };
    let [major, minor, patch, prerelease] = [3, 4, 5, 6].map(|index| group(&found, index));
    let (major_open, minor_open, patch_open) = (is_open(&major), is_open(&minor), is_open(&patch));
    let version = if major_open {
        format!("0.0.0{prerelease}")
    } else if minor_open {
        format!("{major}.0.0{prerelease}")
    } else if patch_open {
        format!("{major}{minor}.0{prerelease}")
    } else {
        found[2].to_owned()
    };
    Ok(Rule {
        operator: Operator::from_text(&found[1]),
        version: Version::parse(&version).map_err(|_| ConstraintError::Version)?,
        original: found[2].to_owned(),
        written_operator: found[1].to_owned(),
        open: major_open || minor_open || patch_open,
        minor_open: !major_open && minor_open,
        patch_open: !major_open && !minor_open && patch_open,
    })
}

/// Whether a segment (with its leading dot) is missing or a wildcard.
fn is_open(segment: &str) -> bool {
    matches!(segment.trim_start_matches('.'), "" | "x" | "X" | "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(constraint: &str, version: &str) -> bool {
        Constraints::parse(constraint).unwrap().check(&Version::parse(version).unwrap())
    }

    #[test]
    fn rules_hold_or_not() {
        for (constraint, version, expected) in [
            ("=2.0", "2.0.5", true),
            ("2.0", "2.1.0", false),
            ("*", "1.2.3", true),
            ("*", "1.2.3-a", false),
            ("*-0", "1.2.3-a", true),
            (">=11.1", "11.1.2", true),
            (">11.1", "11.1.2", false),
            (">11", "12.0.0", true),
            ("<=11", "11.9.9", true),
            ("<1.1", "1.1.0-alpha1", false),
            ("!=4.x", "4.1.0", false),
            ("!=4.1.x", "4.2.0", true),
            ("~1.2.3", "1.3.0", false),
            ("~>1", "1.9.0", true),
            ("~0.0.0", "7.0.0", true),
            ("^0.2.3", "0.3.0", false),
            ("^0.0.3", "0.0.4", false),
            ("^1.2.0-alpha", "1.2.0-beta", true),
            ("1.1 - 2", "1.5.0", true),
            ("1.1 - 2", "2.9.0", true),
            ("1.1.0-a - 2 || <0.5", "0.4.0", true),
            (">= 1.1, < 2", "2.0.0", false),
            (">=1.1 <2 || 3.x", "3.4.5", true),
            (">=1.21-0", "1.30.2-gke.5", true),
            ("=>1.0.0 =<1.2", "1.2.7", true),
        ] {
            assert_eq!(check(constraint, version), expected, "{version} in {constraint}");
        }
    }

    #[test]
    fn errors_read_as_in_go() {
        for (constraint, error) in [
            ("", "improper constraint: \"\""),
            (">= bar", "improper constraint: \">= bar\""),
            ("1.2.3 >=", "improper constraint: \"1.2.3 >=\""),
            (">1.2.3<2", "improper constraint: \">1.2.3<2\""),
            ("1x.2.3", "constraint parser error"),
        ] {
            assert_eq!(Constraints::parse(constraint).unwrap_err().to_string(), error);
        }
        assert_eq!(Constraints::parse(&"1||".repeat(33)).unwrap_err(), ConstraintError::TooManyGroups);
        assert_eq!(Constraints::parse(&"1".repeat(513)).unwrap_err(), ConstraintError::TooLong);
    }

    #[test]
    fn validation_tells_every_reason_and_the_prerelease_once() {
        let reasons = |constraint: &str, version: &str| {
            Constraints::parse(constraint)
                .unwrap()
                .validate(&Version::parse(version).unwrap())
                .unwrap_err()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            reasons(">=2, <1 || ^0.0.1", "v1.5"),
            [
                "\"1.5.0\" is less than \"2\"",
                "\"1.5.0\" is greater than or equal to \"1\"",
                "\"1.5.0\" does not have same major version as \"0.0.1\"",
            ]
        );
        assert_eq!(
            reasons(">=2, <1 || ^0.0.1", "1.5.0-a"),
            ["\"1.5.0-a\" is a prerelease version and the constraint is only looking for release versions"]
        );
    }

    #[test]
    fn prints_what_was_parsed() {
        assert_eq!(
            Constraints::parse(" >=1.1,<2 ||~ 3.x|| 1 - 2").unwrap().to_string(),
            ">=1.1 <2 || ~3.x || >=1 <=2"
        );
    }

    #[test]
    fn prereleases_pass_when_asked_for() {
        let version = Version::parse("1.3.0-rc.1").unwrap();
        let constraints = Constraints::parse("^1.2").unwrap();
        assert!(!constraints.check(&version));
        assert!(constraints.with_prereleases().check(&version));
    }
}
