//! An ImageUpdateAutomation: the latest images into the files of a repository, as one commit, pushed.
//!
//! A push races with everybody else who pushes: it is made only if the branch stands where the files were read, else all
//! is done again on what is there now. Nothing is committed where nothing changes, so that a run after a crash, or after
//! the forge's hook for our own commit, comes to rest. Listens to no registry: policies say what is the latest.

mod plan;
mod policies;
mod pull_request;
mod signing;
mod write;

use std::collections::BTreeMap;
use std::time::Duration;

use flux_api::{
    Condition, ConditionStatus, FluxObject, GitRepository, GitTarget, ImageRef, ImageUpdateAutomation,
    ImageUpdateAutomationStatus, condition_type as t, conditions, reason,
};

use self::plan::Problem;
use self::write::{Outcome, Pushed};
use super::context::{Done, Run};
use crate::model::{CauseKind, Kind, ObjectKey, RepositoryId, Severity};
use crate::queue::{NewJob, Priority};

/// What Ready says when all is well, whatever was pushed.
const UP_TO_DATE: &str = "repository up-to-date";
/// Characters of a commit's message that an event shows: a chat is no place for more.
const EVENT_CHARS: usize = 4096;

/// Why a run ended without what it was for.
struct Failure {
    problem: Problem,
    /// How long the other end asked us to wait.
    after: Option<Duration>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, after: None }
    }
}

/// What a run came to.
struct Report {
    outcome: Outcome,
    observed: BTreeMap<String, ImageRef>,
    /// What went wrong after the push, if something did.
    afterwards: Option<Failure>,
}

/// Brings the files of the repository to what the policies say.
pub(super) async fn reconcile(
    run: &mut Run<'_>,
    object: &FluxObject,
    automation: &ImageUpdateAutomation,
) -> Done {
    let started = run.time();
    let key = run.job.object.clone();
    let interval = automation.spec.interval.get();
    let generation = automation.metadata.generation;
    let before = &automation.status;
    let mut status = before.clone();
    status.last_automation_run_time = Some(started);
    let done = automate(run, automation).await;
    let now = run.time();
    status.last_handled_reconcile_at =
        object.requested_at().map(str::to_owned).or(status.last_handled_reconcile_at);
    let (outcome, failure) = match done {
        Ok(Report { outcome, observed, afterwards }) => {
            observe(&mut status, &outcome, observed, now);
            (Some(outcome), afterwards)
        }
        Err(failure) => (None, Some(failure)),
    };
    let pushed = match &outcome {
        Some(Outcome::Pushed(pushed)) => Some(summary(pushed)),
        _ => None,
    };
    let done = match failure {
        None => {
            for stale in [t::STALLED, t::RECONCILING] {
                conditions::remove(&mut status.conditions, stale);
            }
            status.observed_generation = generation;
            let ready = Condition::new(t::READY, ConditionStatus::True, reason::SUCCEEDED, UP_TO_DATE);
            conditions::set(&mut status.conditions, ready, generation, now);
            let was_ready = conditions::is_ready(&before.conditions);
            let skipped = matches!(outcome, Some(Outcome::NothingNew { .. }));
            match pushed {
                Some(summary) => run.event(object, Severity::Info, reason::SUCCEEDED, summary, &[]),
                None if !was_ready => run.event(object, Severity::Info, reason::SUCCEEDED, UP_TO_DATE, &[]),
                None => {
                    let text = if skipped { "no change since last reconciliation" } else { UP_TO_DATE };
                    run.event(object, Severity::Trace, reason::SUCCEEDED, text, &[]);
                }
            }
            Done::Interval(interval)
        }
        Some(Failure { problem, after }) => {
            if let Some(summary) = pushed {
                run.event(object, Severity::Info, reason::SUCCEEDED, summary, &[]);
            }
            fail(&mut status, &problem, automation, now);
            run.event(object, Severity::Error, problem.reason, problem.message.clone(), &[]);
            match problem.stalled {
                true => Done::Stalled { error: problem.message, interval: Some(interval) },
                false => Done::Retry { error: problem.message, interval, after },
            }
        }
    };
    run.write_status(&key, &automation.metadata.uid, &status).await;
    done
}

/// What the status remembers of a run that got as far as the repository.
fn observe(
    status: &mut ImageUpdateAutomationStatus,
    outcome: &Outcome,
    observed: BTreeMap<String, ImageRef>,
    now: flux_api::Time,
) {
    match outcome {
        Outcome::NothingNew { .. } => {}
        Outcome::UpToDate { revision, .. } => {
            status.observed_source_revision = Some(revision.clone());
            status.observed_policies = observed;
        }
        Outcome::Pushed(pushed) => {
            status.observed_source_revision = Some(pushed.observed_revision.clone());
            status.observed_policies = observed;
            status.last_push_commit = Some(pushed.commit.clone());
            status.last_push_time = Some(now);
        }
    }
}

fn fail(
    status: &mut ImageUpdateAutomationStatus,
    problem: &Problem,
    automation: &ImageUpdateAutomation,
    now: flux_api::Time,
) {
    let generation = automation.metadata.generation;
    let ready = Condition::new(t::READY, ConditionStatus::False, problem.reason, problem.message.as_str());
    conditions::set(&mut status.conditions, ready, generation, now);
    if problem.stalled {
        status.observed_generation = generation;
        conditions::mark_stalled(&mut status.conditions, problem.reason, &problem.message, generation, now);
        return;
    }
    let text = match status.observed_generation {
        same if same == generation => "reconciliation in progress".to_owned(),
        old => format!("processing object: new generation {old} -> {generation}"),
    };
    let reason = reason::PROGRESSING_WITH_RETRY;
    conditions::mark_reconciling(&mut status.conditions, reason, &text, generation, now);
}

/// Flux's line about a push, then the commit's message.
fn summary(pushed: &Pushed) -> String {
    let short: String = pushed.commit.chars().take(7).collect();
    let mut text = format!("pushed commit '{short}' to branch '{}'", pushed.branch);
    if let Some(refspec) = &pushed.refspec {
        text.push_str(&format!(" and refspecs '{refspec}'"));
    }
    if pushed.message.is_empty() {
        return text;
    }
    text.push('\n');
    for (count, character) in pushed.message.chars().enumerate() {
        match character {
            _ if count == EVENT_CHARS => {
                text.push('…');
                break;
            }
            '\n' | '\t' => text.push(character),
            other if other.is_control() => text.extend(other.escape_default()),
            other => text.push(other),
        }
    }
    text
}

async fn automate(run: &mut Run<'_>, automation: &ImageUpdateAutomation) -> Result<Report, Failure> {
    let inner = run.inner;
    let settings = &inner.settings;
    let policies = policies::selected(inner, automation)?;
    let observed: BTreeMap<String, ImageRef> = policies.iter().cloned().collect();
    plan::check_strategy(automation)?;
    let key = plan::source(automation, settings.no_cross_namespace_refs)?;
    let git: GitRepository = inner.objects.get_as(&key.namespace, &key.name).ok_or_else(|| {
        Problem::source(format!(
            "referenced git repository does not exist: gitrepositories.source.toolkit.fluxcd.io \"{}\" not found",
            key.name
        ))
    })?;
    let plan = plan::plan(automation, &git)?;
    let pull_request = pull_request::settings(automation, &plan)?;
    let plan = if pull_request.is_some() { plan.for_a_pull_request() } else { plan };
    let request = inner.git_request(&git).map_err(Problem::source)?;
    let signing = signing::SigningKey::find(inner, automation)?;
    let namespace = &automation.metadata.namespace;
    let work = write::Work {
        automation,
        git: &git,
        plan: &plan,
        request: &request,
        signing,
        policies: policies.iter().map(|(name, image)| plan::pinned(namespace, name, image)).collect(),
        policies_changed: automation.status.observed_policies != observed,
        always_pull_request: pull_request.is_some(),
    };
    let branch = format!("{} {}", git.spec.url, plan.push_branch);
    let (outcome, proposal) = {
        let _alone = inner.writers.of(branch).await;
        write::bring_up_to_date(run, &work).await?
    };
    match &outcome {
        Outcome::Pushed(pushed) => wake_sources(run, &git, &pushed.references, &pushed.commit),
        // A run before this one may have pushed and ended before it could wake anybody. Whoever knows the commit already
        // asks nobody for it.
        Outcome::NothingNew { head } | Outcome::UpToDate { head, .. } => {
            if let (Some(head), true) = (head, run.job.attempts > 0 || run.job.lease.claim > 1) {
                wake_sources(run, &git, &[format!("refs/heads/{}", plan.push_branch)], head);
            }
        }
    }
    let afterwards = match (pull_request, proposal) {
        (Some(settings), Some(proposal)) => {
            pull_request::settle(run, automation, &git, &request, &settings, &proposal).await.err()
        }
        _ => None,
    };
    Ok(Report { outcome, observed, afterwards })
}

/// Goes on with the chain: whoever follows the branch need not wait for a webhook to hear of the commit.
fn wake_sources(run: &mut Run<'_>, git: &GitRepository, references: &[String], commit: &str) {
    let cause = run.cause.then(CauseKind::Dependency);
    let now = run.inner.now();
    for object in run.inner.objects.list(Kind::GitRepository) {
        let FluxObject::GitRepository(other) = &*object else { continue };
        let Some(followed) = followed(other) else { continue };
        if !references.contains(&followed) || !same_repository(&other.spec.url, &git.spec.url) {
            continue;
        }
        let push = serde_json::json!({"ref": followed, "commit": commit, "url": git.spec.url});
        run.spawn.push(NewJob {
            object: ObjectKey::new(Kind::GitRepository, &other.metadata.namespace, &other.metadata.name),
            cause: cause.clone(),
            due_at: now,
            payload: serde_json::json!({ "push": push }),
            priority: Priority::Push,
        });
    }
}

/// The reference whose commits a GitRepository takes as they come.
fn followed(git: &GitRepository) -> Option<String> {
    match git.spec.target() {
        GitTarget::Branch(branch) => Some(format!("refs/heads/{branch}")),
        GitTarget::Name(name) => Some(name.to_owned()),
        GitTarget::Commit { .. } | GitTarget::Semver(_) | GitTarget::Tag(_) => None,
    }
}

/// Whether two URLs mean the same repository, by whatever scheme they get there: by ssh the port may be another.
fn same_repository(one: &str, other: &str) -> bool {
    let is_ssh = |text: &str| !text.starts_with("http");
    match (RepositoryId::parse(one), RepositoryId::parse(other)) {
        (Some(id), Some(same)) => {
            id == same || (is_ssh(one) != is_ssh(other) && id.is_at_another_port(&same))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(message: &str) -> Pushed {
        Pushed {
            commit: "0123456789abcdef".into(),
            branch: "main".into(),
            refspec: None,
            message: message.into(),
            observed_revision: String::new(),
            references: Vec::new(),
        }
    }

    #[test]
    fn a_push_is_told_in_flux_s_words() {
        assert_eq!(
            summary(&pushed("Update\n\nbody\n")),
            "pushed commit '0123456' to branch 'main'\nUpdate\n\nbody\n"
        );
        let with_refspec = Pushed { refspec: Some("refs/heads/main:refs/for/main".into()), ..pushed("") };
        assert_eq!(
            summary(&with_refspec),
            "pushed commit '0123456' to branch 'main' and refspecs 'refs/heads/main:refs/for/main'"
        );
    }

    #[test]
    fn h79_control_characters_and_long_messages_do_not_reach_a_chat() {
        let told = summary(&pushed(&format!("a\u{1b}[31mb\r\n{}", "x".repeat(1 << 20))));
        assert!(told.contains("a\\u{1b}[31mb\\r\n") && told.ends_with('…'));
        assert!(told.chars().count() < EVENT_CHARS + 100);
    }

    #[test]
    fn sources_of_the_same_repository_are_known_by_any_url() {
        for (one, other, same) in [
            ("https://github.com/o/r", "https://github.com/o/r.git", true),
            ("https://GitHub.com/o/r/", "https://github.com/o/r", true),
            ("https://github.com/o/r", "ssh://git@github.com/o/r.git", true),
            ("https://user@github.com/o/r", "https://github.com/o/r", true),
            ("https://github.com/o/r", "https://github.com/o/other", false),
            ("https://github.com/o/r", "https://gitlab.com/o/r", false),
            ("http://h:1/r", "http://h:2/r", false),
            ("https://git.lan/o/r", "ssh://git@git.lan:2222/o/r", true),
            ("https://git.lan./O/%72.git/", "https://git.lan/o/r", true),
        ] {
            assert_eq!(same_repository(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn a_source_that_is_pinned_follows_nothing() {
        let with = |change: fn(&mut flux_api::GitReference)| {
            let mut git = GitRepository::default();
            let mut reference = flux_api::GitReference::default();
            change(&mut reference);
            git.spec.reference = Some(reference);
            followed(&git)
        };
        assert_eq!(followed(&GitRepository::default()).as_deref(), Some("refs/heads/master"));
        assert_eq!(with(|it| it.branch = Some("main".into())).as_deref(), Some("refs/heads/main"));
        assert_eq!(with(|it| it.name = Some("refs/heads/x".into())).as_deref(), Some("refs/heads/x"));
        assert_eq!(with(|it| it.commit = Some("abc".into())), None);
        assert_eq!(with(|it| it.tag = Some("v1".into())), None);
        assert_eq!(with(|it| it.semver = Some("1.x".into())), None);
        let empty = with(|it| {
            it.branch = Some("main".into());
            it.commit = Some(String::new());
            it.tag = Some(String::new());
        });
        assert_eq!(empty.as_deref(), Some("refs/heads/main"), "to Go an empty string is an absent one");
    }
}
