//! Pull-request mode: what annotations ask for, and one pull request for what stands on the push branch.
//!
//! Asked for by annotations, not by a field: Flux's CRD would drop a field of the spec without a word, and a manifest
//! with annotations stays one that Flux takes as well.

use std::collections::BTreeMap;

use flux_api::{GitRepository, ImageUpdateAutomation, reason};
use secrecy::SecretString;

use super::super::context::{Inner, Run};
use super::super::secrets;
use super::Failure;
use super::plan::{Plan, Problem};
use super::write::Proposal;
use crate::image::pull_request::{
    Access, Done, Forge, Project, PullRequestError, Wanted, describe, settle as settle_at,
};
use crate::queue::StepOutcome;
use crate::source::{GitRequest, TlsMaterial};

/// `true`, or which forge it is: `github`, `gitlab`, `gitea`.
const MODE: &str = "image.sluice.dev/pull-request";
/// Where the forge's API is, if the repository's URL does not tell.
const API: &str = "image.sluice.dev/pull-request-api";
/// A Secret with a `token`, in the automation's namespace.
const SECRET: &str = "image.sluice.dev/pull-request-secret";
/// The branch the pull request is for; the one checked out if it is not given.
const BASE: &str = "image.sluice.dev/pull-request-base";

/// What the annotations ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    forge: Option<Forge>,
    api: Option<String>,
    secret: Option<String>,
    base: String,
    head: String,
}

/// Whether a pull request is wanted, and how.
pub(super) fn settings(automation: &ImageUpdateAutomation, plan: &Plan) -> Result<Option<Settings>, Problem> {
    parse(&automation.metadata.annotations, plan).map_err(|text| {
        Problem::stalled(
            reason::INVALID_SOURCE_CONFIGURATION,
            format!("{text}: invalid source configuration"),
        )
    })
}

fn parse(annotations: &BTreeMap<String, String>, plan: &Plan) -> Result<Option<Settings>, String> {
    let text = |key: &str| annotations.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    let forge = match text(MODE) {
        None | Some("false") => return Ok(None),
        Some("true") => None,
        Some(name) => Some(Forge::named(name).ok_or_else(|| {
            format!("annotation `{MODE}` is `{name}`; `true`, `github`, `gitlab` or `gitea` is expected")
        })?),
    };
    let base = text(BASE).map(str::to_owned).or_else(|| plan.checkout_branch.clone()).ok_or_else(|| {
        format!("a pull request needs a branch to go to, and no branch is checked out; name one in the annotation `{BASE}`")
    })?;
    if base == plan.push_branch {
        return Err(format!(
            "a pull request needs a branch of its own, and `spec.git.push.branch` is `{base}` like its target"
        ));
    }
    Ok(Some(Settings {
        forge,
        api: text(API).map(str::to_owned),
        secret: text(SECRET).map(str::to_owned),
        base,
        head: plan.push_branch.clone(),
    }))
}

/// Opens the pull request, or brings it up to date.
pub(super) async fn settle(
    run: &mut Run<'_>,
    automation: &ImageUpdateAutomation,
    git: &GitRepository,
    request: &GitRequest,
    settings: &Settings,
    proposal: &Proposal,
) -> Result<(), Failure> {
    let watch = run.stopwatch();
    let settled = async {
        let project = Project::of(&git.spec.url, settings.forge, settings.api.as_deref())?;
        let access = access(run.inner, automation, git, request, settings, &project)?;
        let name = format!("{}/{}", automation.metadata.namespace, automation.metadata.name);
        let (title, body) = describe(&name, &proposal.message, &proposal.changes);
        let wanted = Wanted {
            head: settings.head.clone(),
            commit: proposal.commit.clone(),
            base: settings.base.clone(),
            title,
            body,
        };
        settle_at(&project, &access, &wanted).await
    }
    .await;
    match settled {
        Ok(settled) => {
            let (outcome, did) = match settled.done {
                Done::Opened => (StepOutcome::Done, "opened"),
                Done::Updated => (StepOutcome::Done, "updated"),
                Done::Unchanged => (StepOutcome::Unchanged, "nothing to change in"),
                Done::LeftClosed => (StepOutcome::Skipped, "somebody closed"),
            };
            let detail = format!("{did} pull request {}: {}", settled.number, settled.url);
            run.step("pull-request", watch.started, watch.elapsed(), outcome, detail);
            Ok(())
        }
        Err(error) => {
            run.step("pull-request", watch.started, watch.elapsed(), StepOutcome::Failed, error.to_string());
            let message = format!("failed to open a pull request for branch '{}': {error}", settings.head);
            let after = error.retry_after();
            let problem = match error.is_retryable() {
                true => Problem::failed(reason::GIT_OPERATION_FAILED, message),
                false => Problem::stalled(reason::INVALID_SOURCE_CONFIGURATION, message),
            };
            Err(Failure { problem, after })
        }
    }
}

/// A token, from the Secret that is named, else from the GitRepository's; that one goes nowhere but to the repository's
/// own host, and in clear only where the repository itself is reached so.
fn access(
    inner: &Inner,
    automation: &ImageUpdateAutomation,
    git: &GitRepository,
    request: &GitRequest,
    settings: &Settings,
    project: &Project,
) -> Result<Access, PullRequestError> {
    let refuse = |text: String| PullRequestError::Settings(text);
    let named = match &settings.secret {
        Some(name) => {
            let secret = inner
                .need_secret(&automation.metadata.namespace, name)
                .map_err(|problem| PullRequestError::Unavailable(problem.to_string()))?;
            let tls = secrets::tls_material(&secret).map_err(|problem| refuse(problem.to_string()))?;
            Some((secret, ["token", "password", "bearerToken"], tls))
        }
        None => None,
    };
    let (secret, keys, tls): (_, _, TlsMaterial) = match named {
        Some(named) => named,
        None if !project.is_at_home(&git.spec.url) => {
            return Err(refuse(format!(
                "`{}` is at another host than the repository, or in clear: the repository's token is not sent there\nhint: name a Secret with a `token` in the annotation `{SECRET}`",
                project.api
            )));
        }
        None => {
            let Some(reference) = &git.spec.secret_ref else {
                return Err(refuse(format!(
                    "there is no token to open a pull request with\nhint: name a Secret with a `token` in the annotation `{SECRET}`"
                )));
            };
            let secret = inner
                .need_secret(&git.metadata.namespace, &reference.name)
                .map_err(|problem| PullRequestError::Unavailable(problem.to_string()))?;
            (secret, ["bearerToken", "password", "token"], request.tls.clone())
        }
    };
    // Over ssh, `password` is a key's passphrase.
    let is_passphrase = |key: &str| key == "password" && secret.get("identity").is_some();
    let token = keys
        .iter()
        .filter(|key| !is_passphrase(key))
        .find_map(|key| secret.get_str(key))
        .map(|token| SecretString::from(token.trim().to_owned()))
        .ok_or_else(|| {
            refuse(format!(
                "secret `{}/{}` has no token\nhint: put it under the key `token`",
                secret.namespace, secret.name
            ))
        })?;
    Ok(Access {
        token,
        tls,
        proxy: request.proxy.clone(),
        timeout: request.timeout,
        addresses: inner.sources.addresses(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Onto;
    use super::*;
    use crate::source::GitReference;

    fn plan(checkout: Option<&str>, push: &str) -> Plan {
        Plan {
            checkout: GitReference::default(),
            checkout_branch: checkout.map(str::to_owned),
            push_branch: push.to_owned(),
            onto: Onto::Anew,
            refspec: None,
            options: Vec::new(),
            path: ".".to_owned(),
        }
    }

    fn read(annotations: &[(&str, &str)], plan: &Plan) -> Result<Option<Settings>, String> {
        let annotations =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        parse(&annotations, plan)
    }

    #[test]
    fn a_pull_request_is_asked_for_by_annotation() {
        let auto = plan(Some("main"), "auto");
        assert_eq!(read(&[], &auto), Ok(None));
        assert_eq!(read(&[(MODE, "false")], &auto), Ok(None));
        let found = read(&[(MODE, "true")], &auto).unwrap().unwrap();
        assert_eq!((found.forge, found.base.as_str(), found.head.as_str()), (None, "main", "auto"));
        let found = read(&[(MODE, "gitea"), (BASE, "release"), (SECRET, "bot")], &auto).unwrap().unwrap();
        assert_eq!(
            (found.forge, found.base.as_str(), found.secret.as_deref()),
            (Some(Forge::Gitea), "release", Some("bot"))
        );
    }

    #[test]
    fn what_cannot_become_a_pull_request_is_said() {
        for (annotations, plan, expected) in [
            (&[(MODE, "bitbucket")][..], plan(Some("main"), "auto"), "`true`, `github`, `gitlab` or `gitea`"),
            (&[(MODE, "true")], plan(Some("main"), "main"), "needs a branch of its own"),
            (&[(MODE, "true")], plan(None, "auto"), "no branch is checked out"),
            (&[(MODE, "true"), (BASE, "auto")], plan(Some("main"), "auto"), "needs a branch of its own"),
        ] {
            let error = read(annotations, &plan).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
