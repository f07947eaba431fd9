//! Conditions, and the rules by which Flux keeps, orders and sums them up.

use serde::{Deserialize, Serialize};

use crate::macros::words;
use crate::time::Time;

words! {
    /// True, False or Unknown.
    ConditionStatus {
        True = "True",
        False = "False",
        Unknown = "Unknown",
    }
}

/// A `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Stalled`, ...
    pub r#type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The generation of `spec` it was found at.
    #[serde(default)]
    pub observed_generation: i64,
    /// When status, reason or message last changed.
    #[serde(default)]
    pub last_transition_time: Time,
    /// One word.
    #[serde(default)]
    pub reason: String,
    /// The text people read.
    #[serde(default)]
    pub message: String,
}

/// Condition types.
pub mod condition_type {
    /// The object is as its spec says.
    pub const READY: &str = "Ready";
    /// Work is under way; present only while True.
    pub const RECONCILING: &str = "Reconciling";
    /// Only a change by hand helps; present only while True.
    pub const STALLED: &str = "Stalled";
    /// The objects applied are healthy (Kustomization).
    pub const HEALTHY: &str = "Healthy";
    /// The artifact of the revision is stored.
    pub const ARTIFACT_IN_STORAGE: &str = "ArtifactInStorage";
    /// A newer revision exists than is stored; negative.
    pub const ARTIFACT_OUTDATED: &str = "ArtifactOutdated";
    /// Fetching from upstream failed; negative.
    pub const FETCH_FAILED: &str = "FetchFailed";
    /// Building the chart failed; negative.
    pub const BUILD_FAILED: &str = "BuildFailed";
    /// Writing to storage failed; negative.
    pub const STORAGE_OPERATION_FAILED: &str = "StorageOperationFailed";
    /// An included repository has no artifact; negative.
    pub const INCLUDE_UNAVAILABLE: &str = "IncludeUnavailable";
    /// The signature was checked.
    pub const SOURCE_VERIFIED: &str = "SourceVerified";
    /// The last release attempt succeeded (HelmRelease).
    pub const RELEASED: &str = "Released";
    /// The release's tests passed (HelmRelease).
    pub const TEST_SUCCESS: &str = "TestSuccess";
    /// A failed release was rolled back or uninstalled (HelmRelease).
    pub const REMEDIATED: &str = "Remediated";
    /// The cluster differs from the release (HelmRelease).
    pub const DRIFTED: &str = "Drifted";
}

use condition_type::{READY, RECONCILING, STALLED};

/// The API server's limit for a condition's message, in bytes.
const MAX_MESSAGE: usize = 32_768;

impl Condition {
    /// A condition that is not yet in a list; [`conditions::set`] gives it its times.
    pub fn new(
        r#type: impl Into<String>,
        status: ConditionStatus,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            r#type: r#type.into(),
            status,
            observed_generation: 0,
            last_transition_time: Time::default(),
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// `status: True`.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Reading, writing and summing up lists of conditions.
pub mod conditions {
    use std::cmp::Ordering;

    use super::{Condition, ConditionStatus, MAX_MESSAGE, READY, RECONCILING, STALLED};
    use crate::time::Time;

    /// The condition of that type.
    pub fn get<'a>(list: &'a [Condition], r#type: &str) -> Option<&'a Condition> {
        list.iter().find(|condition| condition.r#type == r#type)
    }

    /// Whether that condition is there and True.
    pub fn is_true(list: &[Condition], r#type: &str) -> bool {
        get(list, r#type).is_some_and(Condition::is_true)
    }

    /// `Ready=True`.
    pub fn is_ready(list: &[Condition]) -> bool {
        is_true(list, READY)
    }

    /// `Stalled=True`.
    pub fn is_stalled(list: &[Condition]) -> bool {
        is_true(list, STALLED)
    }

    /// `Reconciling=True`.
    pub fn is_reconciling(list: &[Condition]) -> bool {
        is_true(list, RECONCILING)
    }

    /// Puts `condition` in, replacing the one of its type, found at `generation`.
    ///
    /// The transition time moves only when status, reason or message changed; the list ends in Flux's order; a
    /// message over the API server's limit is cut.
    pub fn set(list: &mut Vec<Condition>, mut condition: Condition, generation: i64, now: Time) {
        condition.observed_generation = generation;
        trim(&mut condition.message);
        match list.iter_mut().find(|old| old.r#type == condition.r#type) {
            Some(old) => {
                let same = old.status == condition.status
                    && old.reason == condition.reason
                    && old.message == condition.message;
                condition.last_transition_time = if same { old.last_transition_time } else { now };
                *old = condition;
            }
            None => {
                condition.last_transition_time = now;
                list.push(condition);
            }
        }
        list.sort_by(order);
    }

    /// Takes the condition of that type out.
    pub fn remove(list: &mut Vec<Condition>, r#type: &str) {
        list.retain(|condition| condition.r#type != r#type);
    }

    /// `Reconciling=True`; `Stalled` goes.
    pub fn mark_reconciling(
        list: &mut Vec<Condition>,
        reason: &str,
        message: &str,
        generation: i64,
        now: Time,
    ) {
        remove(list, STALLED);
        set(list, Condition::new(RECONCILING, ConditionStatus::True, reason, message), generation, now);
    }

    /// `Stalled=True`; `Reconciling` goes.
    pub fn mark_stalled(list: &mut Vec<Condition>, reason: &str, message: &str, generation: i64, now: Time) {
        remove(list, RECONCILING);
        set(list, Condition::new(STALLED, ConditionStatus::True, reason, message), generation, now);
    }

    /// What `Ready` should say when it sums up the conditions named in `order` (most telling first), of which those
    /// in `negative` are bad when True. `None` when there is nothing to sum up. Reason and message are those of the
    /// first condition of the winning group, as Flux has it.
    pub fn summary(list: &[Condition], order: &[&str], negative: &[&str]) -> Option<Condition> {
        let considered: Vec<&Condition> =
            list.iter().filter(|condition| order.contains(&condition.r#type.as_str())).collect();
        let is_negative = |condition: &Condition| negative.contains(&condition.r#type.as_str());
        let priority = |condition: &Condition| match (condition.status, is_negative(condition)) {
            (ConditionStatus::True, true) => 0,
            (ConditionStatus::False, false) => 1,
            (ConditionStatus::True, false) => 2,
            (ConditionStatus::False, true) => 3,
            (ConditionStatus::Unknown, _) => 4,
        };
        let top = considered.iter().map(|condition| priority(condition)).min()?;
        // Unknown conditions of either polarity share a priority; Flux groups them by polarity, but both end Unknown.
        let first = order
            .iter()
            .find_map(|name| considered.iter().find(|one| one.r#type == *name && priority(one) == top))?;
        let status = match top {
            0 | 1 => ConditionStatus::False,
            2 | 3 => ConditionStatus::True,
            _ => ConditionStatus::Unknown,
        };
        Some(Condition::new(READY, status, first.reason.clone(), first.message.clone()))
    }

    /// [`summary`] with the order and polarity of the sources (GitRepository, OCIRepository, Bucket, HelmRepository,
    /// HelmChart).
    pub fn source_summary(list: &[Condition]) -> Option<Condition> {
        use super::condition_type as t;
        const ORDER: &[&str] = &[
            t::STORAGE_OPERATION_FAILED,
            t::FETCH_FAILED,
            t::INCLUDE_UNAVAILABLE,
            t::BUILD_FAILED,
            t::ARTIFACT_OUTDATED,
            t::ARTIFACT_IN_STORAGE,
            t::SOURCE_VERIFIED,
            STALLED,
            RECONCILING,
        ];
        const NEGATIVE: &[&str] = &[
            t::STORAGE_OPERATION_FAILED,
            t::FETCH_FAILED,
            t::INCLUDE_UNAVAILABLE,
            t::BUILD_FAILED,
            t::ARTIFACT_OUTDATED,
            STALLED,
            RECONCILING,
        ];
        summary(list, ORDER, NEGATIVE)
    }

    /// Stalled, Reconciling, Ready, then the newest generation first, then by name.
    fn order(a: &Condition, b: &Condition) -> Ordering {
        let weight = |condition: &Condition| match condition.r#type.as_str() {
            STALLED => 0,
            RECONCILING => 1,
            READY => 2,
            _ => 3,
        };
        weight(a).cmp(&weight(b)).then_with(|| {
            if weight(a) == 3 {
                b.observed_generation.cmp(&a.observed_generation).then_with(|| a.r#type.cmp(&b.r#type))
            } else {
                Ordering::Equal
            }
        })
    }

    fn trim(message: &mut String) {
        if message.len() > MAX_MESSAGE {
            let mut end = MAX_MESSAGE - 3;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
            message.push_str("...");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::new(jiff::Timestamp::from_second(seconds).unwrap())
    }

    fn condition(r#type: &str, status: ConditionStatus, message: &str) -> Condition {
        Condition::new(r#type, status, "R", message)
    }

    #[test]
    fn transition_time_moves_only_with_state() {
        let mut list = Vec::new();
        conditions::set(&mut list, condition(READY, ConditionStatus::True, "a"), 1, at(1));
        conditions::set(&mut list, condition(READY, ConditionStatus::True, "a"), 2, at(2));
        assert_eq!((list[0].observed_generation, list[0].last_transition_time), (2, at(1)));
        conditions::set(&mut list, condition(READY, ConditionStatus::True, "b"), 2, at(3));
        assert_eq!(list[0].last_transition_time, at(3));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn list_is_in_flux_order() {
        let mut list = Vec::new();
        for name in ["SourceVerified", "Ready", "ArtifactInStorage", "Reconciling", "Stalled"] {
            conditions::set(&mut list, condition(name, ConditionStatus::True, ""), 1, at(1));
        }
        conditions::set(&mut list, condition("Zed", ConditionStatus::True, ""), 2, at(1));
        let names: Vec<&str> = list.iter().map(|c| c.r#type.as_str()).collect();
        assert_eq!(names, ["Stalled", "Reconciling", "Ready", "Zed", "ArtifactInStorage", "SourceVerified"]);
    }

    #[test]
    fn summary_follows_polarity_and_order() {
        let order = ["FetchFailed", "ArtifactOutdated", "ArtifactInStorage", "Stalled", "Reconciling"];
        let negative = ["FetchFailed", "ArtifactOutdated", "Stalled", "Reconciling"];
        let sum = |list: &[Condition]| conditions::summary(list, &order, &negative);
        assert_eq!(sum(&[]), None);

        let stored = condition("ArtifactInStorage", ConditionStatus::True, "stored");
        let ready = sum(std::slice::from_ref(&stored)).unwrap();
        assert_eq!(
            (ready.r#type.as_str(), ready.status, ready.message.as_str()),
            (READY, ConditionStatus::True, "stored")
        );

        let outdated = condition("ArtifactOutdated", ConditionStatus::True, "new revision");
        let failed = condition("FetchFailed", ConditionStatus::True, "no route");
        let ready = sum(&[stored.clone(), outdated, failed.clone()]).unwrap();
        assert_eq!((ready.status, ready.message.as_str()), (ConditionStatus::False, "no route"));

        let over = condition("FetchFailed", ConditionStatus::False, "");
        assert_eq!(sum(&[stored, over]).unwrap().message, "stored");
        assert_eq!(conditions::source_summary(&[failed]).unwrap().status, ConditionStatus::False);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let mut list = Vec::new();
        conditions::set(&mut list, condition(READY, ConditionStatus::False, &"ä".repeat(20_000)), 1, at(1));
        assert!(list[0].message.len() <= MAX_MESSAGE && list[0].message.ends_with("ä..."));
    }
}
