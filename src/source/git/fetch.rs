//! From a request to a commit that can be read.
//!
//! The order of thrift: a pushed commit that is already here costs no network; else one list of just that
//! reference, beside it (where the server allows) already the pushed commit's pack; else that and then the pack.
//! One fetch at a time per repository; who waited uses what the one before learnt.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use git2::Oid;
use tokio::sync::Semaphore;

use super::address::Address;
use super::checkout::{GitCheckout, ReferencingTag, RepositoryHandle, facts};
use super::choice::{at_hand, choose};
use super::error::{GitError, GitErrorKind, shown};
use super::greeting::Greeting;
use super::hosts::Hosts;
use super::http::HttpClients;
use super::kept::{self, FULL_DEPTH, Gate, Kept, Listing, Received};
use super::protocol::{Conversation, FetchPlan, Remote, RemoteRef};
use super::reference::{Target, commit_of, modern, parse_commit};
use super::request::{GitCredentials, GitRequest};
use super::ssh::SshClients;
use super::store::key;
use super::survey::Surveys;
use super::tree::View;
use crate::source::limits::SourceLimits;

const TAGS: &str = "refs/tags/";

/// Everything git: clients, kept repositories, bounds.
pub(crate) struct Git {
    pub(super) directory: PathBuf,
    pub(super) key: Vec<u8>,
    pub(super) limits: Arc<SourceLimits>,
    pub(super) permits: Arc<Semaphore>,
    http: HttpClients,
    ssh: Arc<SshClients>,
    pub(super) kept: Mutex<HashMap<String, Arc<Kept>>>,
    pub(super) surveys: Arc<Surveys>,
    pub(super) hosts: Hosts,
}

/// A commit that is here, and the reference it was found by.
pub(crate) struct Found {
    pub(crate) reference: String,
    pub(crate) commit: Oid,
    /// The tag it was found by.
    pub(crate) tag: Option<ReferencingTag>,
}

/// What a server said when asked for its references.
struct Asked {
    conversation: Conversation,
    references: Vec<RemoteRef>,
    /// The pushed commit's pack, fetched on the chance that it is what the reference points to.
    ahead: Option<Received>,
}

impl Git {
    pub(crate) fn new(
        state: &Path,
        limits: Arc<SourceLimits>,
        permits: Arc<Semaphore>,
    ) -> std::io::Result<Self> {
        let directory = state.join("git");
        super::super::private_directory(&directory)?;
        Ok(Self {
            key: key(&directory)?,
            directory,
            http: HttpClients::new(limits.addresses),
            ssh: Arc::new(SshClients::new(limits.addresses)),
            limits,
            permits,
            kept: Mutex::new(HashMap::new()),
            surveys: Arc::new(Surveys::default()),
            hosts: Hosts::default(),
        })
    }

    pub(crate) async fn fetch(&self, request: &GitRequest) -> Result<GitCheckout, GitError> {
        let address = address(request)?;
        let fail = |attempted: String, kind| GitError { attempted, url: address.shown().to_owned(), kind };
        let target =
            Target::choose(&request.reference).map_err(|kind| fail("fetch from".to_owned(), kind))?;
        let attempted = format!("fetch {} from", target.describe());
        let work = Box::pin(self.checkout(request, &address, &target));
        match tokio::time::timeout(request.timeout, work).await {
            Ok(done) => done.map_err(|kind| {
                self.hosts.failed(&address.host(), &kind, Instant::now());
                fail(attempted, kind)
            }),
            Err(_) => Err(fail(attempted, GitErrorKind::Timeout(request.timeout))),
        }
    }

    async fn checkout(
        &self,
        request: &GitRequest,
        address: &Address,
        target: &Target,
    ) -> Result<GitCheckout, GitErrorKind> {
        let remote = self.remote(request, address)?;
        let kept = self.kept(request, address);
        let observed = request.last_observed.as_ref().and_then(|revision| commit_of(revision.as_str()));
        let pushed = request
            .pushed
            .as_ref()
            .filter(|hint| target.reference().as_deref() == Some(hint.reference.as_str()))
            // a tag is where it stands, not what it held before
            .filter(|hint| !hint.reference.starts_with(TAGS))
            .and_then(|hint| parse_commit(&hint.commit));
        let (found, facts) = self.bring_sound(&kept, &remote, target, pushed, observed).await?;
        let mut view = View::new(Arc::clone(&kept), facts.tree, Arc::clone(&self.surveys));
        if request.recurse_submodules {
            let mut count = 0;
            self.mount_submodules(request, address, &mut view, "", 0, &mut count).await?;
        }
        view.sparse = request
            .sparse_checkout
            .iter()
            .map(|directory| directory.strip_prefix("./").unwrap_or(directory).to_owned())
            .collect();
        for directory in view.sparse.clone() {
            let probe = view.clone();
            let wanted = directory.clone();
            let found = kept::blocking(&self.permits, move || probe.resolve(&wanted)).await?;
            if found.is_none() {
                return Err(GitErrorKind::SparseDirectory(shown(&directory, 200)));
            }
        }
        let revision = target.revision(&found.reference, found.commit);
        let changed = request
            .last_observed
            .as_ref()
            .is_none_or(|observed| modern(observed.as_str()) != revision.as_str());
        Ok(GitCheckout {
            revision,
            commit: found.commit.to_string(),
            subject: facts.subject,
            author: facts.author,
            committed: facts.committed,
            changed,
            tag: found.tag,
            repository: RepositoryHandle {
                view: Arc::new(view),
                permits: Arc::clone(&self.permits),
                url: address.shown().to_owned(),
                limits: Arc::clone(&self.limits),
            },
        })
    }

    /// Brings the commit here and makes sure that it can be read; a damaged copy is fetched anew, once.
    pub(crate) async fn bring_sound(
        &self,
        kept: &Arc<Kept>,
        remote: &Remote,
        target: &Target,
        pushed: Option<Oid>,
        observed: Option<Oid>,
    ) -> Result<(Found, super::checkout::CommitFacts), GitErrorKind> {
        let mut repaired = false;
        loop {
            if kept.is_damaged() {
                let mut gate = kept.gate.lock().await;
                if kept.is_damaged() {
                    kept.reset().await?;
                    *gate = Gate::default();
                }
            }
            let brought = async {
                let found = self.bring(kept, remote, target, pushed, observed).await?;
                let commit = found.commit;
                let facts = kept.run(move |repository| facts(repository, commit)).await?;
                Ok((found, facts))
            };
            match brought.await {
                Err(GitErrorKind::Damaged(_)) if !repaired => repaired = true,
                done => return done,
            }
        }
    }

    async fn bring(
        &self,
        kept: &Arc<Kept>,
        remote: &Remote,
        target: &Target,
        pushed: Option<Oid>,
        observed: Option<Oid>,
    ) -> Result<Found, GitErrorKind> {
        if let Target::Commit { commit, .. } = target {
            return self.bring_commit(kept, remote, target, *commit).await;
        }
        let arrival = kept.tick();
        if let Some(found) = at_hand(kept, target, pushed, observed).await? {
            return Ok(found);
        }
        let mut gate = kept.gate.lock().await;
        if let Some(found) = at_hand(kept, target, pushed, observed).await? {
            return Ok(found);
        }
        let prefixes = target.prefixes();
        let shared = gate
            .listing
            .as_ref()
            .filter(|listing| listing.started > arrival)
            .filter(|listing| prefixes.iter().all(|prefix| listing.prefixes.contains(prefix)))
            .map(|listing| listing.references.clone());
        let (mut conversation, references, ahead) = match shared {
            Some(references) => (None, references, None),
            None => {
                let started = kept.tick();
                let asked = self.ask(kept, remote, target, &prefixes, &mut gate, pushed).await?;
                let references = asked.references.clone();
                gate.listing = Some(Listing { started, prefixes: prefixes.clone(), references });
                (Some(asked.conversation), asked.references, asked.ahead)
            }
        };
        let picked = match target.pick(&references) {
            Ok(picked) => picked,
            Err(error) => {
                if let Some(conversation) = conversation {
                    conversation.close().await;
                }
                if references.is_empty() && self.is_empty(remote).await? {
                    return Err(GitErrorKind::Empty);
                }
                return Err(error);
            }
        };
        let heads: Vec<(String, Oid)> = picked.iter().map(|one| (one.name.clone(), one.commit())).collect();
        let name = heads.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let (candidates, named) = (picked.clone(), name.clone());
        let plan = kept
            .run(move |repository| {
                let missing = candidates
                    .iter()
                    .filter(|one| !kept::holds(repository, one.id) || !kept::holds(repository, one.commit()))
                    .map(|one| one.id)
                    .collect();
                Ok(kept::plan(repository, &named, missing))
            })
            .await?;
        if plan.wants.is_empty() {
            if let Some(conversation) = conversation.take() {
                conversation.close().await;
            }
            let heads = heads.clone();
            kept.run(move |repository| {
                heads.iter().try_for_each(|(name, commit)| kept::set_head(repository, name, *commit))
            })
            .await?;
        } else {
            let received =
                match ahead.filter(|_| plan.wants.len() == 1 && plan.wants.first() == pushed.as_ref()) {
                    Some(received) => {
                        if let Some(conversation) = conversation.take() {
                            conversation.close().await;
                        }
                        received
                    }
                    None => {
                        let conversation = match conversation.take() {
                            Some(conversation) => conversation,
                            None => self.open(remote.clone(), gate.greeting.clone(), &prefixes).await?,
                        };
                        self.pull(kept, conversation, &plan).await?
                    }
                };
            kept.store(received, heads.clone(), self.limits.object_bytes).await?;
        }
        drop(gate);
        let found = kept.run(move |repository| choose(repository, &heads, pushed, observed)).await?;
        let tag = found.reference.strip_prefix(TAGS).map(|name| ReferencingTag {
            name: name.to_owned(),
            object: picked
                .iter()
                .find(|one| one.name == found.reference && one.peeled.is_some())
                .map(|one| one.id),
        });
        Ok(Found { tag, ..found })
    }

    /// Lists the references; with a push at hand and a server known to allow it, fetches the pushed commit beside.
    async fn ask(
        &self,
        kept: &Arc<Kept>,
        remote: &Remote,
        target: &Target,
        prefixes: &[String],
        gate: &mut Gate,
        pushed: Option<Oid>,
    ) -> Result<Asked, GitErrorKind> {
        let known = gate.greeting.take();
        let list = |known: Option<Greeting>| async move {
            let mut conversation = self.open(remote.clone(), known, prefixes).await?;
            let references = conversation.list(prefixes).await?;
            Ok((conversation, references))
        };
        let two_at_once =
            matches!(remote, Remote::Http(_)) && known.as_ref().is_some_and(|greeting| greeting.version2);
        let (mut listed, ahead) = match pushed.filter(|_| two_at_once) {
            None => (list(known.clone()).await, None),
            Some(commit) => {
                let name = target.reference().unwrap_or_default();
                let ahead = async {
                    let plan = kept
                        .run(move |repository| {
                            let wants =
                                if kept::holds(repository, commit) { Vec::new() } else { vec![commit] };
                            Ok(kept::plan(repository, &name, wants))
                        })
                        .await
                        .ok()
                        .filter(|plan| !plan.wants.is_empty())?;
                    let conversation = self.open(remote.clone(), known.clone(), prefixes).await.ok()?;
                    // a refusal means that the guess was wrong; the list decides
                    self.pull(kept, conversation, &plan).await.ok()
                };
                let (listed, ahead) = futures::join!(list(known.clone()), ahead);
                (listed, ahead)
            }
        };
        let stale = matches!(
            listed,
            Err(GitErrorKind::Protocol(_) | GitErrorKind::Remote(_) | GitErrorKind::Status(400..=499))
        );
        if known.is_some() && stale {
            // the server may have changed since it greeted us
            listed = list(None).await;
        }
        let (conversation, references) = listed?;
        self.hosts.answered(&remote.host());
        gate.greeting = conversation.greeting();
        Ok(Asked { conversation, references, ahead })
    }

    async fn bring_commit(
        &self,
        kept: &Arc<Kept>,
        remote: &Remote,
        target: &Target,
        commit: Oid,
    ) -> Result<Found, GitErrorKind> {
        let name = format!("commit/{commit}");
        let here = move |repository: &git2::Repository| Ok(kept::holds(repository, commit));
        let found = || Found { reference: String::new(), commit, tag: None };
        if kept.run(here).await? {
            return Ok(found());
        }
        let mut gate = kept.gate.lock().await;
        if kept.run(here).await? {
            return Ok(found());
        }
        let prefixes = target.prefixes();
        let conversation = self.open(remote.clone(), gate.greeting.take(), &prefixes).await?;
        gate.greeting = conversation.greeting();
        let plan = {
            let name = name.clone();
            kept.run(move |repository| Ok(kept::plan(repository, &name, vec![commit]))).await?
        };
        match self.pull(kept, conversation, &plan).await {
            Ok(received) => {
                self.hosts.answered(&remote.host());
                kept.store(received, vec![(name, commit)], self.limits.object_bytes).await?;
                return Ok(found());
            }
            // most forges hand out any commit, plain git over protocol 0 only what a reference points to
            Err(GitErrorKind::Remote(_) | GitErrorKind::Connection(_) | GitErrorKind::Protocol(_)) => {}
            Err(error) => return Err(error),
        }
        let mut conversation = self.open(remote.clone(), gate.greeting.clone(), &prefixes).await?;
        let references = conversation.list(&prefixes).await?;
        if references.is_empty() {
            conversation.close().await;
            return match self.is_empty(remote).await? {
                true => Err(GitErrorKind::Empty),
                false => Err(GitErrorKind::CommitNotFound(commit.to_string())),
            };
        }
        let heads: Vec<(String, Oid)> =
            references.iter().map(|one| (one.name.clone(), one.commit())).collect();
        let plan = kept
            .run(move |repository| {
                let mut plan = kept::plan(repository, "", Vec::new());
                plan.wants = references
                    .iter()
                    .map(|one| one.id)
                    .filter(|id| !plan.shallow.is_empty() || !kept::holds(repository, *id))
                    .collect();
                plan.depth = Some(FULL_DEPTH);
                Ok(plan)
            })
            .await?;
        if !plan.wants.is_empty() {
            let received = self.pull(kept, conversation, &plan).await?;
            kept.store(received, heads, self.limits.object_bytes).await?;
        }
        match kept.run(here).await? {
            true => Ok(found()),
            false => Err(GitErrorKind::CommitNotFound(commit.to_string())),
        }
    }

    async fn pull(
        &self,
        kept: &Arc<Kept>,
        conversation: Conversation,
        plan: &FetchPlan,
    ) -> Result<Received, GitErrorKind> {
        let pack = conversation.fetch(plan).await?;
        kept.receive(pack).await
    }

    async fn open(
        &self,
        remote: Remote,
        known: Option<Greeting>,
        prefixes: &[String],
    ) -> Result<Conversation, GitErrorKind> {
        self.hosts.admit(&remote.host(), Instant::now())?;
        Conversation::open(remote, known, prefixes, self.limits.references, self.limits.pack_bytes).await
    }

    async fn is_empty(&self, remote: &Remote) -> Result<bool, GitErrorKind> {
        let mut conversation = self.open(remote.clone(), None, &[]).await?;
        let references = conversation.list(&[]).await?;
        conversation.close().await;
        Ok(references.is_empty())
    }

    pub(crate) fn remote(&self, request: &GitRequest, address: &Address) -> Result<Remote, GitErrorKind> {
        if address.is_ssh() {
            return Ok(Remote::Ssh(self.ssh.remote(address, &request.credentials)?));
        }
        if matches!(request.credentials, GitCredentials::Ssh(_)) {
            return Err(GitErrorKind::InvalidCredentials(
                "the secret holds an ssh key, but the URL is no `ssh://` URL".into(),
            ));
        }
        let http = self.http.remote(address, &request.credentials, &request.tls, request.proxy.as_ref())?;
        Ok(Remote::Http(http))
    }
}

pub(crate) fn address(request: &GitRequest) -> Result<Address, GitError> {
    Address::parse(&request.url).map_err(|kind| GitError {
        attempted: "use".to_owned(),
        url: redacted(&request.url),
        kind,
    })
}

/// A URL that could not be read, without what may be userinfo in it.
pub(crate) fn redacted(url: &str) -> String {
    let text = match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    };
    shown(&text, 200)
}
