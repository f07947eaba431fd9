//! Pushing a commit: references are moved only from where they were expected to stand.
//!
//! Tries once. Fetching what is new and doing the work again is for whoever made the commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use git2::Oid;

use super::error::{GitError, GitErrorKind, shown};
use super::fetch::{Git, address};
use super::kept::{self, Kept};
use super::outgoing;
use super::protocol::Remote;
use super::receive::{Command, Receiving, Report};
use super::reference::{checked, parse_commit};
use super::request::GitRequest;

/// Characters of a server's words that are shown.
const WORDS: usize = 512;
/// A push option is a setting, not a document.
const OPTION_BYTES: usize = 4096;
/// References of one push.
const UPDATES: usize = 64;

/// A commit to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitPush {
    /// The commit, 40 hex digits, in the kept repository of the request's URL and credentials.
    pub commit: String,
    /// The references to move to it: all or none, where the server can.
    pub updates: Vec<RefUpdate>,
    /// Push options, key and value (`-o key=value`).
    pub options: Vec<(String, String)>,
}

/// A reference to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// Its full name: `refs/heads/main`.
    pub reference: String,
    /// Where it must stand.
    pub expected: Expected,
    /// Move it even if the commit does not build on where it stands.
    pub force: bool,
}

/// Where a reference must stand to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// At this object: 40 hex digits, those of the tag itself where it is an annotated one.
    At(String),
    /// Nowhere: it is to be made.
    Absent,
    /// Wherever it is. Unless forced it goes forward only, all the same.
    Anywhere,
}

/// Why a push did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A reference does not stand where it was expected; nothing was sent, or the server refused the swap. Fetch,
    /// and do the work again on top of what is there now.
    #[error("`{reference}` has moved meanwhile, {}", standing(.now.as_deref()))]
    Moved {
        /// The reference.
        reference: String,
        /// Where it stands.
        now: Option<String>,
    },
    /// The server refused (protected branch, hook declined).
    #[error("the server refused the push{}: {words}{}", named(.reference.as_deref()), hint(.words))]
    Refused {
        /// The reference, if it was about one.
        reference: Option<String>,
        /// The server's words, control characters escaped, cut.
        words: String,
    },
    /// Anything else.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Said by us of a server that lacks what was asked for.
const NO_OPTIONS: &str = "it takes no push options";
/// Said by us in the server's place.
const NOT_FORCED: &str = "and the push is not forced";

fn hint(words: &str) -> &'static str {
    match words {
        NO_OPTIONS => {
            "\nhint: remove the push options, or let the server take them (`receive.advertisePushOptions`)"
        }
        words if words.ends_with(NOT_FORCED) => "",
        _ => "\nhint: allow whoever the credentials belong to, or push to another branch",
    }
}

fn standing(now: Option<&str>) -> String {
    now.map_or_else(|| "it is not there".to_owned(), |now| format!("it stands at `{now}`"))
}

fn named(reference: Option<&str>) -> String {
    reference.map_or_else(String::new, |reference| format!(" to `{}`", shown(reference, 200)))
}

impl PushError {
    /// How long the server asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            PushError::Moved { .. } | PushError::Refused { .. } => None,
            PushError::Git(error) => error.retry_after(),
        }
    }
}

/// A push whose texts have been read.
struct Plan {
    commit: Oid,
    updates: Vec<Planned>,
    options: Vec<String>,
}

struct Planned {
    reference: String,
    expected: Place,
    force: bool,
}

enum Place {
    At(Oid),
    Absent,
    Anywhere,
}

impl Place {
    fn fits(&self, stands: Option<Oid>) -> bool {
        match self {
            Place::At(id) => stands == Some(*id),
            Place::Absent => stands.is_none(),
            Place::Anywhere => true,
        }
    }
}

/// Why a step ended: the server's state or words, or a failure that still lacks its place.
enum Stop {
    Moved { reference: String, now: Option<Oid> },
    Refused { reference: Option<String>, words: String },
    Failed(GitErrorKind),
}

impl From<GitErrorKind> for Stop {
    fn from(kind: GitErrorKind) -> Self {
        Stop::Failed(kind)
    }
}

impl Git {
    pub(crate) async fn push(&self, request: &GitRequest, push: &GitPush) -> Result<(), PushError> {
        let address = address(request)?;
        let fail = |kind| {
            let first = push.updates.first().map_or("", |update| update.reference.as_str());
            let attempted = format!("push to `{}` of", shown(first, 200));
            PushError::Git(GitError { attempted, url: address.shown().to_owned(), kind })
        };
        let plan = Plan::read(push).map_err(fail)?;
        let work = Box::pin(async {
            let remote = self.remote(request, &address)?;
            let kept = self.kept(request, &address);
            let done = self.send(&kept, &remote, &plan).await;
            match done {
                // the answer is lost, not necessarily the push
                Err(Stop::Failed(lost @ (GitErrorKind::Connection(_) | GitErrorKind::Status(500..=599)))) => {
                    let now = self.receiving(&remote).await?;
                    let arrived =
                        plan.updates.iter().all(|update| now.stands(&update.reference) == Some(plan.commit));
                    now.close().await;
                    if !arrived {
                        return Err(Stop::Failed(lost));
                    }
                }
                done => done?,
            }
            // the push is through: not knowing it only costs the next fetch a question
            if let Err(error) = remember(&kept, &plan).await {
                tracing::debug!(%error, "failed to remember what was pushed");
            }
            Ok(())
        });
        match tokio::time::timeout(request.timeout, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Stop::Moved { reference, now })) => {
                Err(PushError::Moved { reference, now: now.map(|now| now.to_string()) })
            }
            Ok(Err(Stop::Refused { reference, words })) => Err(PushError::Refused { reference, words }),
            // what it says before the push has begun: no right to push here at all, an archived repository
            Ok(Err(Stop::Failed(GitErrorKind::Remote(words)))) => {
                Err(PushError::Refused { reference: None, words })
            }
            Ok(Err(Stop::Failed(kind))) => {
                self.hosts.failed(&address.host(), &kind, Instant::now());
                Err(fail(kind))
            }
            Err(_) => Err(fail(GitErrorKind::Timeout(request.timeout))),
        }
    }

    async fn receiving(&self, remote: &Remote) -> Result<Receiving, GitErrorKind> {
        self.hosts.admit(&remote.host(), Instant::now())?;
        let opened = Receiving::open(remote.clone(), self.limits.references).await?;
        self.hosts.answered(&remote.host());
        Ok(opened)
    }

    async fn send(&self, kept: &Arc<Kept>, remote: &Remote, plan: &Plan) -> Result<(), Stop> {
        let server = self.receiving(remote).await?;
        let (commit, tips, limit) =
            (plan.commit, server.tips().collect::<Vec<Oid>>(), self.limits.pack_bytes);
        let commands = match self.commands(kept, &server, plan).await {
            Ok(commands) if !commands.is_empty() => commands,
            done => {
                server.close().await;
                return done.map(drop);
            }
        };
        let packed = kept.run(move |repository| outgoing::pack(repository, commit, &tips, limit)).await;
        let pack = match packed {
            Ok(Some(pack)) => pack,
            none => {
                server.close().await;
                none?;
                // what the commit builds on is no longer there, so it must be made anew
                let first = commands.into_iter().next();
                let (reference, now) = first.map_or_else(Default::default, |one| (one.reference, one.old));
                return Err(Stop::Moved { reference, now });
            }
        };
        let report = server.push(&commands, &plan.options, pack).await?;
        match verdict(&commands, &report, plan)? {
            Verdict::Done => Ok(()),
            Verdict::Refused { reference, words } => Err(Stop::Refused { reference, words }),
            Verdict::Moved { reference } => {
                let after = self.receiving(remote).await?;
                let now = after.stands(&reference);
                after.close().await;
                Err(Stop::Moved { reference, now })
            }
        }
    }

    /// The references that have to be moved, checked against where they stand.
    async fn commands(
        &self,
        kept: &Arc<Kept>,
        server: &Receiving,
        plan: &Plan,
    ) -> Result<Vec<Command>, Stop> {
        let mut commands = Vec::new();
        for update in &plan.updates {
            let old = server.stands(&update.reference);
            if old == Some(plan.commit) {
                continue;
            }
            if !update.expected.fits(old) {
                return Err(Stop::Moved { reference: update.reference.clone(), now: old });
            }
            if let (Some(old), false) = (old, update.force) {
                let commit = plan.commit;
                if !kept.run(move |repository| Ok(kept::contains(repository, commit, old))).await? {
                    let words = format!("the commit does not build on `{old}`, {NOT_FORCED}");
                    return Err(Stop::Refused { reference: Some(update.reference.clone()), words });
                }
            }
            commands.push(Command { reference: update.reference.clone(), old, new: plan.commit });
        }
        if !commands.is_empty() && !plan.options.is_empty() && !server.takes_options() {
            let words = NO_OPTIONS.to_owned();
            return Err(Stop::Refused { reference: None, words });
        }
        Ok(commands)
    }
}

/// What the server now has at its branches is known without asking: the next fetch need not.
async fn remember(kept: &Arc<Kept>, plan: &Plan) -> Result<(), GitErrorKind> {
    // other places may be magic: what is pushed to `refs/for/main` appears under another name
    let branches = plan.updates.iter().map(|update| update.reference.clone());
    let branches: Vec<String> = branches.filter(|name| name.starts_with("refs/heads/")).collect();
    let commit = plan.commit;
    kept.run(move |repository| branches.iter().try_for_each(|name| kept::set_head(repository, name, commit)))
        .await
}

impl Plan {
    fn read(push: &GitPush) -> Result<Self, GitErrorKind> {
        let invalid = |why: String| GitErrorKind::InvalidPush(why);
        let commit = |text: &str| {
            parse_commit(text).ok_or_else(|| invalid(format!("`{}` is no commit", shown(text, 60))))
        };
        if push.updates.is_empty() || push.updates.len() > UPDATES {
            return Err(invalid(format!("a push of {} references", push.updates.len())));
        }
        let mut names = BTreeSet::new();
        let mut updates = Vec::new();
        for update in &push.updates {
            checked(&update.reference)?;
            if !update.reference.starts_with("refs/") {
                return Err(GitErrorKind::InvalidReference(shown(&update.reference, 200)));
            }
            if !names.insert(update.reference.as_str()) {
                return Err(invalid(format!("`{}` is to be pushed twice", shown(&update.reference, 200))));
            }
            updates.push(Planned {
                reference: update.reference.clone(),
                expected: match &update.expected {
                    Expected::At(id) => Place::At(commit(id)?),
                    Expected::Absent => Place::Absent,
                    Expected::Anywhere => Place::Anywhere,
                },
                force: update.force,
            });
        }
        let mut options = Vec::new();
        for (key, value) in &push.options {
            let option = format!("{key}={value}");
            if key.is_empty() || option.len() > OPTION_BYTES || option.contains(['\n', '\r', '\0']) {
                return Err(invalid(format!("push option `{}` is not allowed", shown(key, 60))));
            }
            options.push(option);
        }
        Ok(Self { commit: commit(&push.commit)?, updates, options })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Moved { reference: String },
    Refused { reference: Option<String>, words: String },
}

/// What a report means for the push: somebody was faster, or somebody said no.
fn verdict(commands: &[Command], report: &Report, plan: &Plan) -> Result<Verdict, GitErrorKind> {
    let words = |reason: &str| said(reason, &report.words);
    let mut failed: Vec<(&Command, &str)> = Vec::new();
    for command in commands {
        match report.references.get(&command.reference) {
            Some(None) => {}
            Some(Some(why)) => failed.push((command, why)),
            None if report.unpack.is_some() => {}
            None => {
                let reference = shown(&command.reference, 200);
                return Err(GitErrorKind::Protocol(format!("no word on what became of `{reference}`")));
            }
        }
    }
    if let Some(why) = &report.unpack {
        return Ok(Verdict::Refused { reference: None, words: words(why) });
    }
    // with several references the others fail because one did
    let first = failed.iter().find(|(_, why)| !why.contains("atomic")).or(failed.first());
    let Some((command, why)) = first else { return Ok(Verdict::Done) };
    let forced = plan.updates.iter().any(|update| update.force && update.reference == command.reference);
    let printed = String::from_utf8_lossy(&report.words);
    let reference = command.reference.clone();
    Ok(match lost_race(why, &printed) && !(forced && why.contains("non-fast-forward")) {
        true => Verdict::Moved { reference },
        false => Verdict::Refused { reference: Some(reference), words: words(why) },
    })
}

/// Whether a refusal says that the reference, or what the commit builds on, is no longer what it was.
fn lost_race(why: &str, printed: &str) -> bool {
    let locked = ["failed to update ref", "failed to lock", "cannot lock ref", "failed to write"];
    let stale = [
        "non-fast-forward",
        "fetch first",
        "stale info",
        "incorrect old value",
        "reference already exists",
        "missing necessary objects",
    ];
    // `refs/heads/a` and `refs/heads/a/b` cannot both be: waiting does not help
    let conflict = [why, printed].iter().any(|text| text.contains("exists; cannot create"));
    !conflict && locked.iter().chain(&stale).any(|words| why.contains(words))
}

/// The reason and what hooks printed, in one line: blank lines, rulers and overwritten progress left out.
fn said(reason: &str, printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    let lines =
        printed.lines().map(|line| line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or(""));
    let lines = lines.map(str::trim).filter(|line| line.chars().any(char::is_alphanumeric));
    // git prints the reason itself as well: `error: hook declined to update refs/heads/main`
    let lines = lines.filter(|line| !(line.starts_with("error: ") && line.contains(reason)));
    let printed = lines.collect::<Vec<_>>().join("; ");
    let both = if printed.is_empty() { reason.to_owned() } else { format!("{reason}: {printed}") };
    shown(&both, WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f19_a_lost_race_is_told_from_a_refusal() {
        for (why, printed, raced) in [
            ("non-fast-forward", "", true),
            ("fetch first", "", true),
            ("stale info", "", true),
            (
                "failed to update ref",
                "error: cannot lock ref 'refs/heads/main': is at a but expected b",
                true,
            ),
            ("cannot lock ref 'refs/heads/main': is at a but expected b", "", true),
            ("incorrect old value provided", "", true),
            ("reference already exists", "", true),
            ("missing necessary objects", "", true),
            (
                "failed to update ref",
                "error: 'refs/heads/main' exists; cannot create 'refs/heads/main/x'",
                false,
            ),
            ("pre-receive hook declined", "", false),
            ("protected branch hook declined", "", false),
            ("deletion prohibited", "", false),
            ("no new changes", "", false),
        ] {
            assert_eq!(lost_race(why, printed), raced, "{why}");
        }
    }

    #[test]
    fn a_servers_words_become_one_readable_line() {
        let printed = b"\n=====\nGitLab: \x1b[31mnot allowed\x1b[0m to push\r\n  10%\r 100% done\n\n-----\n";
        assert_eq!(
            said("pre-receive hook declined", printed),
            "pre-receive hook declined: GitLab: \\u{1b}[31mnot allowed\\u{1b}[0m to push; 100% done"
        );
        assert_eq!(said("no", b""), "no");
        assert!(said("no", &[b'x'; 9999]).chars().count() <= WORDS + 1);
    }

    #[test]
    fn h74_names_and_options_that_no_server_should_see_are_refused() {
        let push = |reference: &str, option: (&str, &str)| GitPush {
            commit: "0".repeat(39) + "1",
            updates: vec![RefUpdate {
                reference: reference.into(),
                expected: Expected::Absent,
                force: false,
            }],
            options: vec![(option.0.into(), option.1.into())],
        };
        assert!(Plan::read(&push("refs/heads/main", ("ci.skip", ""))).is_ok());
        assert!(Plan::read(&push("refs/for/main", ("topic", "images"))).is_ok());
        for name in
            ["main", "HEAD", "refs/heads/-x", "refs/heads/a..b", "refs/heads/a b", "refs/heads/a\n", ""]
        {
            assert!(Plan::read(&push(name, ("a", "b"))).is_err(), "{name:?}");
        }
        for option in [("", "x"), ("a", "b\n0000"), ("a\0", "b"), ("a", &"x".repeat(5000))] {
            assert!(Plan::read(&push("refs/heads/main", option)).is_err(), "{option:?}");
        }
    }
}
