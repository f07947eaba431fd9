//! Which of the commits at hand is the one to read: the pushed one where it lies on its reference, else the head.
//!
//! Asks no server.

use std::sync::Arc;

use git2::Oid;

use super::error::GitErrorKind;
use super::fetch::Found;
use super::kept::{self, Kept};
use super::reference::Target;

/// The pushed commit if it needs no network: it lies on the reference as last fetched, and is not behind what
/// was last observed (an old delivery, replayed, must not turn the clock back).
pub(crate) async fn at_hand(
    kept: &Arc<Kept>,
    target: &Target,
    pushed: Option<Oid>,
    observed: Option<Oid>,
) -> Result<Option<Found>, GitErrorKind> {
    let (Some(commit), Some(reference)) = (pushed, target.reference()) else {
        return Ok(None);
    };
    kept.run(move |repository| {
        let known = kept::head_of(repository, &reference)
            .filter(|_| kept::holds(repository, commit) && !is_behind(repository, commit, observed))
            .filter(|head| kept::contains(repository, *head, commit));
        Ok(known.map(|_| Found { reference, commit, tag: None }))
    })
    .await
}

fn is_behind(repository: &git2::Repository, commit: Oid, observed: Option<Oid>) -> bool {
    observed.is_some_and(|observed| kept::contains(repository, observed, commit))
}

/// Among the heads: the youngest tag; then the pushed commit if the head contains it, else the head.
pub(crate) fn choose(
    repository: &git2::Repository,
    heads: &[(String, Oid)],
    pushed: Option<Oid>,
    observed: Option<Oid>,
) -> Result<Found, GitErrorKind> {
    let when =
        |commit: Oid| repository.find_commit(commit).map_or(i64::MIN, |commit| commit.time().seconds());
    let Some((reference, head)) = heads.iter().max_by_key(|(_, commit)| when(*commit)) else {
        return Err(GitErrorKind::Protocol("no reference left".into()));
    };
    let commit = pushed
        .filter(|commit| commit != head && kept::holds(repository, *commit))
        .filter(|commit| !is_behind(repository, *commit, observed))
        .filter(|commit| kept::contains(repository, *head, *commit))
        .unwrap_or(*head);
    Ok(Found { reference: reference.clone(), commit, tag: None })
}
