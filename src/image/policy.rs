//! Which of an image's tags is the latest, as image-reflector-controller decides it (`internal/policy`).
//!
//! Where its answer depends on the order of a Go map, the tags are taken in descending order instead, so that the same
//! tags always give the same answer.

use std::collections::BTreeMap;

use flux_api::{PolicyChoice, PolicyOrder, TagFilter};
use gotemplate::sprig::parse_float;
use gotemplate::sprig::regexp::GoRegex;
use masterminds_semver::{Constraints, Version};

/// Why there is no latest tag, in Flux's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The policy itself is wrong: only a change of it helps.
    #[error("{0}")]
    Invalid(String),
    /// These tags give no answer; others may.
    #[error("{0}")]
    NoAnswer(String),
}

/// A policy that was read.
#[derive(Debug, Clone)]
pub enum Policy {
    /// The highest version in a range.
    Semver(Constraints),
    /// The last (or first) by letters.
    Alphabetical(PolicyOrder),
    /// The greatest (or least) number.
    Numerical(PolicyOrder),
}

impl Policy {
    /// Reads `spec.policy`.
    pub fn new(choice: &PolicyChoice) -> Result<Self, PolicyError> {
        if let Some(semver) = &choice.semver {
            return Constraints::parse(&semver.range)
                .map(Self::Semver)
                .map_err(|error| PolicyError::Invalid(format!("invalid policy: {error}")));
        }
        match (&choice.alphabetical, &choice.numerical) {
            (Some(alphabetical), _) => Ok(Self::Alphabetical(alphabetical.order())),
            (None, Some(numerical)) => Ok(Self::Numerical(numerical.order())),
            (None, None) => Err(PolicyError::Invalid(
                "invalid policy: given ImagePolicyChoice object is invalid".to_owned(),
            )),
        }
    }

    /// The latest of `tags`, which come in descending order.
    pub fn latest(&self, filter: Option<&TagFilter>, tags: &[String]) -> Result<String, PolicyError> {
        let Some(filter) = filter else {
            return self.pick(tags.iter().map(String::as_str)).map(str::to_owned);
        };
        let kept = filtered(filter, tags)?;
        // Keys of a map are in ascending order.
        let latest = self.pick(kept.keys().rev().map(String::as_str))?;
        Ok(kept[latest].to_owned())
    }

    fn pick<'t>(&self, tags: impl Iterator<Item = &'t str> + Clone) -> Result<&'t str, PolicyError> {
        let no_answer = |text: &str| PolicyError::NoAnswer(text.to_owned());
        if tags.clone().next().is_none() {
            return Err(no_answer("version list argument cannot be empty"));
        }
        match self {
            Self::Semver(constraints) => highest(constraints, tags)
                .ok_or_else(|| no_answer("unable to determine latest version from provided list")),
            Self::Alphabetical(PolicyOrder::Asc) => Ok(tags.max().unwrap_or_default()),
            Self::Alphabetical(PolicyOrder::Desc) => Ok(tags.min().unwrap_or_default()),
            Self::Numerical(order) => extreme(*order, tags),
        }
    }
}

/// The tags that the pattern finds something in, by what of each is compared. Of two with the same key the one that
/// comes last counts.
fn filtered<'t>(filter: &TagFilter, tags: &'t [String]) -> Result<BTreeMap<String, &'t str>, PolicyError> {
    let pattern = filter.pattern.as_deref().unwrap_or_default();
    let regex = GoRegex::new(pattern.as_bytes()).map_err(|error| {
        PolicyError::Invalid(format!(
            "failed to filter tags: invalid regular expression pattern '{pattern}': {error}"
        ))
    })?;
    let extract = filter.extract.as_deref().filter(|extract| !extract.is_empty());
    let key = |tag: &str| match extract {
        None => regex.is_match(tag.as_bytes()).then(|| tag.to_owned()),
        Some(extract) => regex
            .expand(extract.as_bytes(), tag.as_bytes())
            .map(|key| String::from_utf8_lossy(&key).into_owned()),
    };
    Ok(tags.iter().filter_map(|tag| Some((key(tag)?, tag.as_str()))).collect())
}

/// The highest version in the range. What is no version of three parts is passed over.
fn highest<'t>(constraints: &Constraints, tags: impl Iterator<Item = &'t str>) -> Option<&'t str> {
    let mut best: Option<(Version, &str)> = None;
    for tag in tags {
        let Some(version) = version(tag).filter(|version| constraints.check(version)) else { continue };
        // Of equals the first counts: `v1.0.0` before `1.0.0`.
        if best.as_ref().is_none_or(|(highest, _)| version > *highest) {
            best = Some((version, tag));
        }
    }
    best.map(|(_, tag)| tag)
}

/// Flux's `version.ParseVersion`: `v2` and `1.2` are no versions, `v2025.02.03` is one.
fn version(tag: &str) -> Option<Version> {
    (tag.splitn(3, '.').count() == 3).then(|| Version::parse(tag).ok())?
}

fn extreme<'t>(order: PolicyOrder, tags: impl Iterator<Item = &'t str>) -> Result<&'t str, PolicyError> {
    let mut best: Option<(f64, &str)> = None;
    for tag in tags {
        let number = parse_float(tag.as_bytes())
            .ok_or_else(|| PolicyError::NoAnswer(format!("failed to parse invalid numeric value '{tag}'")))?;
        let is_behind = best.is_some_and(|(standing, _)| match order {
            PolicyOrder::Asc => number < standing,
            PolicyOrder::Desc => number > standing,
        });
        if !is_behind {
            best = Some((number, tag));
        }
    }
    Ok(best.map_or("", |(_, tag)| tag))
}

#[cfg(test)]
mod tests {
    use flux_api::{OrderPolicy, SemverPolicy};

    use super::*;

    fn semver(range: &str) -> PolicyChoice {
        PolicyChoice { semver: Some(SemverPolicy { range: range.to_owned() }), ..PolicyChoice::default() }
    }

    fn alphabetical(order: Option<PolicyOrder>) -> PolicyChoice {
        PolicyChoice { alphabetical: Some(OrderPolicy { order }), ..PolicyChoice::default() }
    }

    fn numerical(order: Option<PolicyOrder>) -> PolicyChoice {
        PolicyChoice { numerical: Some(OrderPolicy { order }), ..PolicyChoice::default() }
    }

    fn filter(pattern: &str, extract: &str) -> Option<TagFilter> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Some(TagFilter { pattern: some(pattern), extract: some(extract) })
    }

    /// The answer, or the error's text. Tags are written as people would, and sorted as they are stored.
    fn answer(choice: &PolicyChoice, filter: Option<&TagFilter>, tags: &str) -> String {
        let mut tags: Vec<String> = tags.split_whitespace().map(str::to_owned).collect();
        tags.sort_by(|a, b| b.cmp(a));
        match Policy::new(choice).and_then(|policy| policy.latest(filter, &tags)) {
            Ok(tag) => tag,
            Err(error) => format!("! {error}"),
        }
    }

    const NONE: &str = "! unable to determine latest version from provided list";
    const EMPTY: &str = "! version list argument cannot be empty";

    #[test]
    fn semver_takes_the_highest_version_in_the_range() {
        for (range, tags, expected) in [
            ("1.0.x", "1.0.0 1.0.0.1 1.0.0p 1.0.1 1.2.0 0.1.0", "1.0.1"),
            ("1.0.x", "v1.2.3 v1.0.0 v0.1.0", "v1.0.0"),
            ("1.0.x", "b1.2.3 b1.0.0 b0.1.0", NONE),
            ("1.0.x", "1.2.0", NONE),
            ("1.0.x", "", EMPTY),
            ("*", "0.9.9 1.0.0 2.0.0-rc.1", "1.0.0"),
            ("*-0", "0.9.9 1.0.0 2.0.0-rc.1", "2.0.0-rc.1"),
            (">=1.0.0-0", "1.0.0-alpha 1.0.0-beta.2 1.0.0-beta.11", "1.0.0-beta.11"),
            (">=1.0.0", "1.0.0-alpha 0.9.0", NONE),
            ("^1.2", "1.2.0 1.9.3 1.10.0 2.0.0", "1.10.0"),
            ("^0.2.3", "0.2.4 0.3.0 0.2.10", "0.2.10"),
            ("~1.4", "1.4.0 1.4.9 1.5.0", "1.4.9"),
            ("1.x || >=2.5.0", "1.9.0 2.4.0 2.5.1", "2.5.1"),
            ("1.2 - 1.4.5", "1.1.9 1.2.0 1.4.5 1.4.6", "1.4.5"),
            ("!=1.3.0, <=1.3.0", "1.2.9 1.3.0 1.3.1", "1.2.9"),
            (">0,<2.0", "0.0.0 1.99.0 2.0.0", "1.99.0"),
            ("=1.0.0", "1.0.0 1.0.1", "1.0.0"),
            // H87: what is no version of three parts is passed over.
            (">=0", "1 1.2 v2 latest 0.0.1", "0.0.1"),
            (">=0", "v2 1.2 latest", NONE),
            (">=0", "1.2.3_b 1.2.2", "1.2.2"),
            (">=0", "1.2.3.4 1.2.2", "1.2.2"),
            // Looser than semver.org: leading zeros are dates.
            (">=2025.0.0", "2025.02.03 2024.12.31", "2025.02.03"),
            (">=0", "01.2.3 1.2.2", "01.2.3"),
            ("2025.x", "v2025.10.01 v2025.9.30", "v2025.10.01"),
            // Of equal versions the first in descending order counts.
            ("1.x", "1.0.0 v1.0.0", "v1.0.0"),
            ("1.x", "1.0.0-0 1.0.0", "1.0.0"),
            ("1.x", "99999999999999999999.0.0 1.0.0", "1.0.0"),
            ("1.x", "V1.0.0 1.0.0", "1.0.0"),
            // A tag with a dot behind the patch belongs to the prerelease.
            (">=1.0.0-0", "1.0.0-rc.1 1.0.0-rc.2.1", "1.0.0-rc.2.1"),
        ] {
            assert_eq!(answer(&semver(range), None, tags), expected, "{range} over {tags}");
        }
    }

    #[test]
    fn alphabetical_takes_an_end_of_the_order_of_bytes() {
        use PolicyOrder::{Asc, Desc};
        for (order, tags, expected) in [
            (None, "16.04 16.04.1 16.10 20.04 20.10", "20.10"),
            (Some(Asc), "16.04 16.04.1 16.10 20.04 20.10", "20.10"),
            (Some(Desc), "16.04 16.04.1 16.10 20.04 20.10", "16.04"),
            (None, "xenial yakkety zesty artful bionic", "zesty"),
            (Some(Desc), "xenial yakkety zesty artful bionic", "artful"),
            (None, "1606234201 1606364286 1606334092", "1606364286"),
            (None, "rel-1606234201 rel-1606364286 rel-99", "rel-99"),
            (None, "2021-01-08T21-18-21Z 2023-05-08T00-20-00Z 1990-01-08T00-20-00Z", "2023-05-08T00-20-00Z"),
            (None, "9 10", "9"),
            (None, "a B", "a"),
            (None, "a _ Z", "a"),
            (None, "v1 v1-", "v1-"),
            (Some(Desc), "v1 v1-", "v1"),
            (None, "one", "one"),
            (None, "", EMPTY),
        ] {
            assert_eq!(answer(&alphabetical(order), None, tags), expected, "{order:?} over {tags}");
        }
    }

    #[test]
    fn numerical_takes_an_end_of_the_order_of_numbers() {
        use PolicyOrder::{Asc, Desc};
        for (order, tags, expected) in [
            (None, "15 16 73 72 15 29", "73"),
            (Some(Desc), "5 25 70 80 92", "5"),
            (None, "9 10 100", "100"),
            (None, "47.40896403322944 53.47333823144817 3.2008658570411086", "53.47333823144817"),
            (Some(Desc), "57.82 22.40 77.70", "22.40"),
            (None, "1606234201 1606364286 1606334092", "1606364286"),
            (Some(Desc), "1", "1"),
            (None, "0 1a b", "! failed to parse invalid numeric value 'b'"),
            (None, "1 latest", "! failed to parse invalid numeric value 'latest'"),
            (None, "1.2.3 1", "! failed to parse invalid numeric value '1.2.3'"),
            (None, "v1", "! failed to parse invalid numeric value 'v1'"),
            // Go's numbers: exponents, hexadecimal ones, underscores, infinity.
            (None, "1e3 999", "1e3"),
            (None, "0x1p10 1000", "0x1p10"),
            (None, "1_000 999", "1_000"),
            (None, "inf 999", "inf"),
            (None, "1e999 1", "! failed to parse invalid numeric value '1e999'"),
            // Of equals the last in descending order counts.
            (None, "1 1.0", "1"),
            (Some(Desc), "1.0 1", "1"),
            (Some(Asc), "", EMPTY),
        ] {
            assert_eq!(answer(&numerical(order), None, tags), expected, "{order:?} over {tags}");
        }
    }

    #[test]
    fn filters_choose_tags_and_what_of_them_is_compared() {
        for (choice, pattern, extract, tags, expected) in [
            (alphabetical(None), "", "", "a b", "b"),
            (alphabetical(None), "^ver", "", "ver1 ver2 ver3 zel1", "ver3"),
            (numerical(None), r"ver(\d+)", "$1", "ver9 ver10 rel11", "ver10"),
            (
                numerical(None),
                r"^main-[a-f0-9]+-(?P<ts>[0-9]+)$",
                "$ts",
                "main-aa-9 main-bb-10 dev-cc-11",
                "main-bb-10",
            ),
            (numerical(None), r"^(?P<ts>[0-9]+)-x", "${ts}", "9-x 10-x", "10-x"),
            (
                semver(">=1.0.0"),
                r"^v?(?P<v>[0-9.]+)-alpine$",
                "$v",
                "v1.2.0-alpine 1.10.0-alpine 2.0.0",
                "1.10.0-alpine",
            ),
            (semver("^1"), r"^(.*)-rc$", "$1", "1.0.0-rc 1.1.0-rc 1.2.0", "1.1.0-rc"),
            (semver("^1"), r"^x", "", "1.0.0", EMPTY),
            (
                alphabetical(None),
                r"^(123-[0-9]+\.[0-9]+\.[a-z0-9]+-debug)",
                "",
                "123-123.123.abcd123-debug 123-123.123.abcd123 123-123.123.abcd456-debug",
                "123-123.123.abcd456-debug",
            ),
            (
                alphabetical(None),
                r"^(?P<tag>123-[0-9]+\.[0-9]+\.[a-z0-9]+$)",
                "$tag",
                "123-123.123.abcd123-debug 123-123.123.abcd456 123-123.123.abcd123",
                "123-123.123.abcd456",
            ),
            // A group that is not there is empty, `$1x` names the group `1x`, and text stands for itself.
            (alphabetical(None), r"^(a)(b)?", "$2", "ab ac", "ab"),
            (alphabetical(None), r"^(.)", "$1x", "a b", "a"),
            (alphabetical(None), r"^(.)", "${1}x", "a b", "b"),
            (alphabetical(None), r"^(.)(.*)$", "$2$1", "az by", "az"),
            (alphabetical(None), r"^(.)", "$$", "a b", "a"),
            // Of two tags with one key the lower is remembered.
            (numerical(None), r"^[a-z]+-(\d+)$", "$1", "a-1 b-1", "a-1"),
            (alphabetical(None), r"(?i)^V", "", "v1 V2", "v1"),
            (numerical(None), r"\d", "", "1 a2", "! failed to parse invalid numeric value 'a2'"),
            (
                alphabetical(None),
                r"[",
                "",
                "a",
                "! failed to filter tags: invalid regular expression pattern '[': error parsing regexp: missing closing ]: `[`",
            ),
            (
                alphabetical(None),
                r"a(?=b)",
                "",
                "a",
                "! failed to filter tags: invalid regular expression pattern 'a(?=b)': error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
            ),
        ] {
            let filter = filter(pattern, extract);
            assert_eq!(answer(&choice, filter.as_ref(), tags), expected, "{pattern} {extract} over {tags}");
        }
    }

    #[test]
    fn wrong_policies_are_told_from_tags_without_an_answer() {
        for range in ["1.0.0p", "1x", "x1", "-1", "a", "", "*-*"] {
            let error = Policy::new(&semver(range)).unwrap_err();
            assert!(
                matches!(&error, PolicyError::Invalid(text) if text.starts_with("invalid policy: ")),
                "{range}"
            );
        }
        for range in ["1.0.x", "^1.0", "=1.0.0", "~1.0", ">=1.0", ">0,<2.0"] {
            assert!(Policy::new(&semver(range)).is_ok(), "{range}");
        }
        assert_eq!(
            Policy::new(&PolicyChoice::default()).unwrap_err().to_string(),
            "invalid policy: given ImagePolicyChoice object is invalid"
        );
        let invalid =
            Policy::new(&alphabetical(None)).unwrap().latest(filter("(", "").as_ref(), &["a".into()]);
        assert!(matches!(invalid, Err(PolicyError::Invalid(_))));
        let none = Policy::new(&semver("1.x")).unwrap().latest(None, &["2.0.0".into()]);
        assert!(matches!(none, Err(PolicyError::NoAnswer(_))));
    }

    #[test]
    fn h87_a_hundred_thousand_tags_are_weighed_in_no_time() {
        let mut tags: Vec<String> = (0..100_000).map(|n| format!("1.{}.{}", n / 1000, n % 1000)).collect();
        tags.sort_by(|a, b| b.cmp(a));
        let policy = Policy::new(&semver("1.x")).unwrap();
        assert_eq!(policy.latest(None, &tags).unwrap(), "1.99.999");
        assert_eq!(
            policy.latest(filter(r"^1\.(.*)$", "0.$1").as_ref(), &tags).unwrap_err().to_string(),
            &NONE[2..]
        );
    }
}
