//! Which objects a delivery wakes, with which hint, and why it wakes no others. Plain data in, plain data out.
//!
//! Flux wakes everything a Receiver lists. So does this, except for what the payload proves to be untouched: a
//! GitRepository that follows another repository or another ref, an ImageRepository or OCIRepository of another image.

use std::collections::BTreeSet;

use flux_api::{FluxObject, GitRepository, GitTarget, ObjectSelector, Receiver};
use serde_json::{Value, json};

use super::facts::{Change, FactKind, Facts};
use super::images::{self, Report, watched};
use super::provider::Provider;
use crate::model::{Kind, ObjectKey, RepositoryId, last_name, short_name};
use crate::objects::Objects;

/// What a delivery leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Objects to wake, each with its hint (null for none).
    pub(super) wake: Vec<(ObjectKey, Value)>,
    /// Why nothing, or not everything, is woken.
    pub(super) note: Option<String>,
}

impl Plan {
    fn nothing(note: impl Into<String>) -> Self {
        Self { wake: Vec::new(), note: Some(note.into()) }
    }
}

/// An object that a Receiver lists.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) object: std::sync::Arc<FluxObject>,
    /// The place in `spec.resources` of what selects it; an object may be selected more than once.
    pub(super) selector: usize,
}

/// Each object once.
pub(super) fn objects_of(listed: Vec<Listed>) -> Vec<std::sync::Arc<FluxObject>> {
    let mut seen = BTreeSet::new();
    listed.into_iter().map(|one| one.object).filter(|object| seen.insert(key_of(object))).collect()
}

/// The objects a Receiver lists, and what is wrong with its list.
pub(super) fn listed(
    objects: &Objects,
    receiver: &Receiver,
    no_cross_namespace_refs: bool,
) -> (Vec<Listed>, Vec<String>) {
    let own = &receiver.metadata.namespace;
    let mut found: Vec<Listed> = Vec::new();
    let mut problems = Vec::new();
    for (n, selector) in receiver.spec.resources.iter().enumerate() {
        let namespace = selector.namespace(own);
        let shown = format!("{}/{namespace}/{}", selector.kind, selector.name);
        let Some(kind) = kind_of(selector) else {
            problems.push(format!("`{shown}` is of no kind that is reconciled here"));
            continue;
        };
        if no_cross_namespace_refs && namespace != own {
            problems.push(format!("can't access '{shown}', cross-namespace references have been blocked"));
            continue;
        }
        if selector.name == "*" && selector.match_labels.is_empty() {
            problems.push(format!("`{shown}` has no `matchLabels`, which `*` needs"));
            continue;
        }
        let before = found.len();
        let selected = |object: &std::sync::Arc<FluxObject>| {
            object.namespace() == namespace && selector.selects(object.name(), &object.metadata().labels)
        };
        let here = |object| Listed { object, selector: n };
        if selector.name == "*" {
            found.extend(objects.list(kind).into_iter().filter(selected).map(here));
        } else {
            found.extend(objects.get(&ObjectKey::new(kind, namespace, &selector.name)).map(here));
        }
        if found.len() == before {
            problems.push(format!("`{shown}` selects nothing"));
        }
    }
    (found, problems)
}

/// The kind, if its group (where one is given) is the kind's own and it is one that does something when woken.
fn kind_of(selector: &ObjectSelector) -> Option<Kind> {
    let kind = Kind::ALL.iter().copied().find(|kind| kind.as_str() == selector.kind)?;
    let group_fits = selector.api_version.as_deref().is_none_or(|version| {
        version.is_empty() || version.split_once('/').is_some_and(|(group, _)| group == kind.group())
    });
    let wakes = !matches!(kind, Kind::Receiver | Kind::Provider | Kind::Alert);
    (group_fits && wakes).then_some(kind)
}

fn key_of(object: &FluxObject) -> ObjectKey {
    ObjectKey::new(object.kind(), object.namespace(), object.name())
}

/// Decides. `event` is the word that `spec.events` is about, for senders that are filtered by it.
pub(super) fn plan(
    receiver: &Receiver,
    provider: Provider,
    event: Option<&str>,
    facts: &Facts,
    listed: &[std::sync::Arc<FluxObject>],
    problems: Vec<String>,
) -> Plan {
    if receiver.spec.suspend {
        return Plan::nothing("the receiver is suspended");
    }
    let events = &receiver.spec.events;
    let is_listed = event.is_some_and(|event| events.iter().any(|one| one.eq_ignore_ascii_case(event)));
    if let Some(event) = event
        && !events.is_empty()
        && !is_listed
    {
        return Plan::nothing(format!("event `{}` is not in spec.events", super::log::clean(event)));
    }
    let mut plan = match facts.change.kind {
        FactKind::Ping => return Plan::nothing("a ping"),
        _ if facts.registry => match wake_watching(facts, listed) {
            Some(plan) => plan,
            // A scan of an image pulls it, and a pull is reported: waking the scan by it would never end.
            None => return Plan::nothing("nothing was pushed or deleted"),
        },
        FactKind::Push | FactKind::Create | FactKind::Delete if provider.names_what_changed() => {
            wake_touched(facts, listed)
        }
        _ => wake_all(facts, listed),
    };
    let notes: Vec<String> = plan.note.into_iter().chain(problems).collect();
    plan.note = match (notes.is_empty(), plan.wake.is_empty()) {
        (false, _) => Some(notes.join("; ")),
        (true, true) => Some("the receiver lists no object".to_owned()),
        (true, false) => None,
    };
    plan
}

/// Wakes everything.
fn wake_all(facts: &Facts, listed: &[std::sync::Arc<FluxObject>]) -> Plan {
    let report = Report::read(facts, listed.iter().map(AsRef::as_ref));
    Plan { wake: listed.iter().map(|object| wake(object, facts, &report)).collect(), note: None }
}

/// Wakes what a registry's report can have touched: what watches one of its images, and other kinds, which may depend
/// on it in ways that are not known here. `None` if it touched nothing.
fn wake_watching(facts: &Facts, listed: &[std::sync::Arc<FluxObject>]) -> Option<Plan> {
    let report = Report::read(facts, listed.iter().map(AsRef::as_ref));
    if report.is_empty() {
        return None;
    }
    let mut plan = Plan::default();
    let (mut watching, mut others) = (0_usize, 0_usize);
    for object in listed {
        match watched(object) {
            Some(image) if !report.concerns(image) => {
                others += 1;
                continue;
            }
            Some(_) => watching += 1,
            None => {}
        }
        plan.wake.push(wake(object, facts, &report));
    }
    if watching == 0 && others > 0 {
        plan.note = Some(format!("no source watches image repository {}", report.shown()));
    }
    Some(plan)
}

/// Wakes what a git push can have touched.
fn wake_touched(facts: &Facts, listed: &[std::sync::Arc<FluxObject>]) -> Plan {
    // A body that names neither repository nor ref: nothing can be ruled out.
    let urls: Vec<RepositoryId> =
        facts.repository_urls.iter().filter_map(|url| RepositoryId::parse(url)).collect();
    let shorts: Vec<String> = facts.repository_urls.iter().filter_map(|url| short_name(url)).collect();
    let changes: Vec<&Change> =
        facts.all_changes().iter().filter(|change| change.git_ref.is_some()).collect();
    if changes.is_empty() || facts.repository_urls.is_empty() {
        return wake_all(facts, listed);
    }
    let names = urls.iter().map(RepositoryId::last_name).chain(shorts.iter().map(|short| last_name(short)));
    let names: Vec<&str> = names.collect::<BTreeSet<_>>().into_iter().collect();
    let ids: Vec<Option<RepositoryId>> = listed
        .iter()
        .map(|object| RepositoryId::parse_if_called(&object.get::<GitRepository>()?.spec.url, &names))
        .collect();
    let same = |id: &Option<RepositoryId>| id.as_ref().is_some_and(|id| urls.contains(id));
    // A forge is often reached by an inner name that its payloads do not know. If nobody follows the repository by
    // the names it has there, its path decides.
    let by_full_name = ids.iter().any(same);
    let same_short = |id: &Option<RepositoryId>| {
        id.as_ref().is_some_and(|id| shorts.iter().any(|short| short == id.short()))
    };
    let follows = |id: &Option<RepositoryId>| if by_full_name { same(id) } else { same_short(id) };

    let mut plan = Plan::default();
    let mut other_repository = 0_usize;
    let mut other_ref = 0_usize;
    for (object, id) in listed.iter().zip(&ids) {
        let Some(repository) = object.get::<GitRepository>() else {
            // A git push names no image.
            let hint = watched(object).map_or(Value::Null, |_| images::only_a_list_tells());
            plan.wake.push((key_of(object), hint));
            continue;
        };
        if !follows(id) {
            other_repository += 1;
            continue;
        }
        // The last change of a delivery is the newest.
        match changes.iter().rev().find(|change| concerns(repository.spec.target(), change)) {
            Some(change) => plan.wake.push((key_of(object), push_hint(change, facts))),
            None => other_ref += 1,
        }
    }
    let followed = plan.wake.iter().any(|(key, _)| key.kind == Kind::GitRepository);
    if !followed && other_ref > 0 {
        plan.note = Some(format!("no source follows {} of {}", refs(&changes), repository_shown(facts)));
    } else if !followed && other_repository > 0 {
        plan.note = Some(format!("no source follows repository {}", repository_shown(facts)));
    }
    plan
}

fn refs(changes: &[&Change]) -> String {
    let shown =
        |change: &&Change| format!("`{}`", super::log::clean(change.git_ref.as_deref().unwrap_or_default()));
    let mut shown: Vec<String> = changes.iter().take(3).map(shown).collect();
    if changes.len() > 3 {
        shown.push(format!("{} more", changes.len() - 3));
    }
    shown.join(", ")
}

fn repository_shown(facts: &Facts) -> String {
    format!("`{}`", super::log::clean(facts.repository.as_deref().unwrap_or_default()))
}

/// Whether a change can move what a GitRepository follows.
fn concerns(target: GitTarget<'_>, change: &Change) -> bool {
    let Some(name) = change.git_ref.as_deref() else { return true };
    match target {
        // A commit is what it is; at most it has just arrived.
        GitTarget::Commit { commit, .. } => change.commit.as_deref() == Some(commit),
        GitTarget::Name(wanted) => name == wanted,
        GitTarget::Semver(_) => name.starts_with("refs/tags/"),
        GitTarget::Tag(tag) => name.strip_prefix("refs/tags/") == Some(tag),
        GitTarget::Branch(branch) => name.strip_prefix("refs/heads/") == Some(branch),
    }
}

fn push_hint(change: &Change, facts: &Facts) -> Value {
    if change.kind == FactKind::Delete {
        return Value::Null;
    }
    json!({ "push": { "ref": change.git_ref, "commit": change.commit, "url": facts.repository } })
}

/// An object with the hint that concerns it: the tags pushed to the image repository it watches, or a commit.
fn wake(object: &FluxObject, facts: &Facts, report: &Report<'_>) -> (ObjectKey, Value) {
    let hint = match (object, watched(object)) {
        (_, Some(image)) => report.hint(image),
        (FluxObject::GitRepository(one), _) => {
            let pushed = facts.all_changes().iter().rev().find(|change| {
                change.kind == FactKind::Push
                    && change.git_ref.is_some()
                    && concerns(one.spec.target(), change)
            });
            pushed.map_or(Value::Null, |change| push_hint(change, facts))
        }
        _ => Value::Null,
    };
    (key_of(object), hint)
}
