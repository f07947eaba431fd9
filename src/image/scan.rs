//! When an ImageRepository lists its tags, when a look at the named ones is enough, and what is written down of them.
//!
//! Mirrors image-reflector-controller's `shouldScan`, with one thing more: what a webhook named needs no list. Asks
//! nobody, and orders nothing by version: that is a policy's business.

use std::time::Duration;

use flux_api::{ImageRepositoryStatus, ScanResult, Time};
use gotemplate::sprig::regexp::GoRegex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::Timestamp;

/// How many of the tags are shown in the status.
const SHOWN: usize = 10;
/// Nearer than this the next list is made at once.
const NEAR: Duration = Duration::from_secs(1);
/// How long after a webhook to look again for a tag that a registry does not show yet. Registries that replicate take
/// some seconds; what is not there after three quarters of a minute waits for the interval.
const LOOKS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// What there is to do, and when to come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// List all tags.
    Scan {
        /// Why, in Flux's words.
        reason: &'static str,
    },
    /// Look up the tags that a webhook named.
    Look {
        /// When the next list is due.
        next_scan: Duration,
    },
    /// Nothing.
    Nothing {
        /// When the next list is due.
        next_scan: Duration,
    },
}

/// What [`due`] decides by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The object's status.
    pub status: &'a ImageRepositoryStatus,
    /// `spec.interval`.
    pub interval: Duration,
    /// The annotation that asks for a run.
    pub requested_at: Option<&'a str>,
    /// The image's canonical name.
    pub image: &'a str,
    /// `spec.exclusionList`.
    pub exclusions: &'a [String],
    /// Whether any tag is known.
    pub has_tags: bool,
    /// Whether a webhook named tags.
    pub has_named: bool,
    /// Whether a webhook said that something changed, and not what.
    pub has_unnamed: bool,
    /// The time.
    pub now: Timestamp,
}

/// What there is to do. The order of the reasons is Flux's.
pub fn due(facts: &Facts<'_>) -> Due {
    let scan = |reason| Due::Scan { reason };
    let Some(last) = &facts.status.last_scan_result else { return scan("first scan") };
    if facts.requested_at.is_some() && facts.requested_at != facts.status.last_handled_reconcile_at.as_deref()
    {
        return scan("reconcile requested");
    }
    if facts.status.canonical_image_name.as_deref() != Some(facts.image) {
        return scan("new image name");
    }
    if !same_content(facts.exclusions, &facts.status.observed_exclusion_list) {
        return scan("updated exclusion list");
    }
    if !facts.has_tags {
        return scan("no tags in database");
    }
    let scanned_at = last.scan_time.map_or(Timestamp::MIN, Time::get);
    let passed = Duration::try_from(facts.now.duration_since(scanned_at)).unwrap_or_default();
    let next_scan = facts.interval.saturating_sub(passed);
    if next_scan < NEAR {
        return scan("triggered by interval");
    }
    if facts.has_unnamed {
        // What Flux's receiver does: it asks by annotation.
        return scan("reconcile requested");
    }
    match facts.has_named {
        true => Due::Look { next_scan },
        false => Due::Nothing { next_scan },
    }
}

/// The same, in any order.
fn same_content(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|one| b.contains(one))
}

/// The patterns of tags that do not count.
pub struct Exclusions(Vec<GoRegex>);

impl Exclusions {
    /// Compiles `spec.exclusionList`.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        patterns
            .iter()
            .map(|pattern| {
                GoRegex::new(pattern.as_bytes())
                    .map_err(|error| format!("failed to compile regex {pattern}: {error}"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a tag does not count.
    pub fn exclude(&self, tag: &str) -> bool {
        self.0.iter().any(|regex| regex.is_match(tag.as_bytes()))
    }

    /// The tags that count, highest first.
    pub fn keep(&self, mut tags: Vec<String>) -> Vec<String> {
        tags.retain(|tag| !self.exclude(tag));
        tags.sort_unstable_by(|a, b| b.cmp(a));
        tags
    }
}

/// What the status says of the tags, which come highest first.
pub fn result(tags: &[String], scanned_at: Option<Time>) -> ScanResult {
    ScanResult {
        tag_count: i64::try_from(tags.len()).ok(),
        scan_time: scanned_at,
        latest_tags: tags.iter().take(SHOWN).cloned().collect(),
        revision: Some(checksum(tags).to_string()),
    }
}

/// Adler-32 of the tags as a JSON list, which is what Flux's own database gives as revision. The grammar of tags has
/// nothing that JSON would escape.
fn checksum(tags: &[String]) -> u32 {
    /// The largest prime below 2^16.
    const MODULUS: u32 = 65_521;
    /// So many bytes can be added before 32 bits overflow.
    const RUN: usize = 5_552;
    let (mut low, mut high) = (1_u32, 0_u32);
    let mut add = |bytes: &[u8]| {
        for run in bytes.chunks(RUN) {
            for byte in run {
                low += u32::from(*byte);
                high += low;
            }
            low %= MODULUS;
            high %= MODULUS;
        }
    };
    add(b"[");
    for (at, tag) in tags.iter().enumerate() {
        add(if at == 0 { b"\"" } else { b",\"" });
        add(tag.as_bytes());
        add(b"\"");
    }
    add(b"]");
    (high << 16) | low
}

/// A tag that a webhook named, and how far the search for it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The tag.
    pub tag: String,
    /// What it should point to.
    #[serde(default)]
    pub digest: Option<String>,
    /// How often it was looked for in vain.
    #[serde(default)]
    pub looks: usize,
    /// Not to be looked for before.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
}

impl Named {
    /// Whether it is to be looked for now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// The search goes on after a pause; `None` when it was long enough.
    pub fn again(&self, now: Timestamp) -> Option<Self> {
        let pause = *LOOKS.get(self.looks)?;
        let not_before = now.saturating_add(pause).ok();
        Some(Self { looks: self.looks + 1, not_before, ..self.clone() })
    }
}

/// What the webhooks behind a job named: the tags, the newest word on each, and whether some push had no tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Tags to look up.
    pub named: Vec<Named>,
    /// Something changed that only a list of all tags shows: a deletion, a push without a tag, or very many pushes.
    pub without_tag: bool,
}

/// So many tags are found sooner by a list than one by one; the queue keeps no more of a hint, either.
const MANY: usize = 100;

/// Reads a job's hint: `{"images": [{"tag": …, "digest": …}]}`.
pub fn pushed(hint: &Value) -> Pushed {
    let entries = hint.get("images").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut pushed = Pushed { without_tag: entries.len() >= MANY, ..Pushed::default() };
    for entry in entries {
        let Ok(named) = Named::deserialize(entry) else {
            pushed.without_tag = true;
            continue;
        };
        // The newest is at the end.
        pushed.named.retain(|older| older.tag != named.tag);
        pushed.named.push(named);
    }
    pushed
}

/// The hint of the job that goes on searching.
pub fn hint(named: &[Named]) -> Value {
    json!({ "images": named })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn scanned() -> ImageRepositoryStatus {
        ImageRepositoryStatus {
            canonical_image_name: Some("r/app".into()),
            observed_exclusion_list: strings(&["a", "b"]),
            last_handled_reconcile_at: Some("yesterday".into()),
            last_scan_result: Some(result(&strings(&["1"]), Some(Time::new(at(0))))),
            ..ImageRepositoryStatus::default()
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn decided(edit: impl FnOnce(&mut Facts<'_>)) -> String {
        let (status, exclusions) = (scanned(), strings(&["b", "a"]));
        let mut facts = Facts {
            status: &status,
            interval: Duration::from_secs(60),
            requested_at: Some("yesterday"),
            image: "r/app",
            exclusions: &exclusions,
            has_tags: true,
            has_named: false,
            has_unnamed: false,
            now: at(20),
        };
        edit(&mut facts);
        match due(&facts) {
            Due::Scan { reason } => reason.to_owned(),
            Due::Look { next_scan } => format!("look, scan in {next_scan:?}"),
            Due::Nothing { next_scan } => format!("scan in {next_scan:?}"),
        }
    }

    #[test]
    fn the_reasons_for_a_scan_are_fluxs_in_its_order() {
        let never = ImageRepositoryStatus::default();
        let other = strings(&["a"]);
        assert_eq!(decided(|_| {}), "scan in 40s");
        assert_eq!(decided(|facts| facts.requested_at = None), "scan in 40s");
        assert_eq!(decided(|facts| facts.requested_at = Some("today")), "reconcile requested");
        assert_eq!(decided(|facts| facts.image = "r/other"), "new image name");
        assert_eq!(decided(|facts| facts.has_tags = false), "no tags in database");
        assert_eq!(decided(|facts| facts.now = at(60)), "triggered by interval");
        assert_eq!(decided(|facts| facts.now = at(59)), "scan in 1s");
        assert_eq!(decided(|facts| facts.now = at(-500)), "scan in 60s");
        let mut all = decided(|facts| {
            (facts.image, facts.has_tags, facts.has_named) = ("r/other", false, true);
            facts.requested_at = Some("today");
        });
        assert_eq!(all, "reconcile requested");
        let (status, exclusions) = (scanned(), other);
        let facts = Facts {
            status: &status,
            interval: Duration::from_secs(60),
            requested_at: None,
            image: "r/app",
            exclusions: &exclusions,
            has_tags: false,
            has_named: true,
            has_unnamed: true,
            now: at(100),
        };
        assert_eq!(due(&facts), Due::Scan { reason: "updated exclusion list" });
        all = format!("{:?}", due(&Facts { status: &never, ..facts }));
        assert_eq!(all, r#"Scan { reason: "first scan" }"#);
    }

    #[test]
    fn a_hook_that_names_a_tag_needs_no_list_and_moves_no_interval() {
        assert_eq!(decided(|facts| facts.has_named = true), "look, scan in 40s");
        assert_eq!(decided(|facts| facts.has_unnamed = true), "reconcile requested");
        assert_eq!(decided(|facts| (facts.has_named, facts.now) = (true, at(60))), "triggered by interval");
    }

    #[test]
    fn revisions_are_those_of_fluxs_database() {
        // hash/adler32 of `[]`, `["a"]`, `["2.0.0","1.0.0"]`.
        for (tags, revision) in
            [(&[][..], "18153657"), (&["a"], "68682078"), (&["2.0.0", "1.0.0"], "495584072")]
        {
            assert_eq!(result(&strings(tags), None).revision.as_deref(), Some(revision), "{tags:?}");
        }
        let many: Vec<String> = (0..20_000).map(|n| format!("v{n}")).collect();
        let text = serde_json::to_string(&many).unwrap();
        let (mut low, mut high) = (1_u64, 0_u64);
        for byte in text.bytes() {
            low = (low + u64::from(byte)) % 65_521;
            high = (high + low) % 65_521;
        }
        assert_eq!(u64::from(checksum(&many)), (high << 16) | low);
    }

    #[test]
    fn the_ten_highest_are_shown_and_what_is_excluded_does_not_count() {
        let tags: Vec<String> = (0..12).map(|n| format!("v{n}")).chain(strings(&["v1.sig"])).collect();
        let exclusions = Exclusions::new(&strings(&[r"^.*\.sig$", "^v3$"])).unwrap();
        let kept = exclusions.keep(tags);
        let result = result(&kept, None);
        assert_eq!(result.tag_count, Some(11));
        assert_eq!(result.latest_tags, ["v9", "v8", "v7", "v6", "v5", "v4", "v2", "v11", "v10", "v1"]);
        assert_eq!(
            Exclusions::new(&strings(&["("])).err().as_deref(),
            Some("failed to compile regex (: error parsing regexp: missing closing ): `(`")
        );
    }

    #[test]
    fn f18_a_tag_is_looked_for_at_one_two_five_ten_and_thirty_seconds() {
        let mut named =
            pushed(&json!({"images": [{"repository": "r/app", "tag": "1.0.1", "digest": null}]})).named;
        assert_eq!(named.len(), 1);
        let mut now = at(0);
        let mut pauses = Vec::new();
        while let Some(next) = named[0].again(now) {
            assert!(!next.is_due(now) && next.is_due(next.not_before.unwrap()));
            pauses.push(next.not_before.unwrap().duration_since(now).as_secs());
            // What is kept survives a restart.
            named = pushed(&hint(&[next])).named;
            now = named[0].not_before.unwrap();
        }
        assert_eq!(pauses, [1, 2, 5, 10, 30]);
    }

    #[test]
    fn the_newest_word_on_a_tag_counts_and_pushes_without_a_tag_are_noticed() {
        let hint = json!({"images": [
            {"repository": "r/app", "tag": "1", "digest": "sha256:old"},
            {"repository": "r/app", "tag": null, "digest": "sha256:x"},
            {"repository": "r/app", "tag": "1", "digest": "sha256:new"},
        ]});
        let pushed = pushed(&hint);
        assert!(pushed.without_tag);
        assert_eq!(
            pushed.named.iter().map(|one| one.digest.as_deref()).collect::<Vec<_>>(),
            [Some("sha256:new")]
        );
        assert_eq!(super::pushed(&Value::Null), Pushed::default());
        assert_eq!(super::pushed(&json!({"push": {}})), Pushed::default());
    }
}
