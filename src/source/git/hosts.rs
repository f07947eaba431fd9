//! Hosts in trouble: while one cannot be reached, its repositories wait together instead of each finding out alone.
//!
//! Asks nobody and knows no clock: what happened, and when, is told to it. A slow or refused repository is no trouble
//! of its host.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::error::GitErrorKind;

/// First pause, after the second failure in a row; doubles.
const FIRST: Duration = Duration::from_secs(1);
/// A host that is back should be noticed within a minute.
const LONGEST: Duration = Duration::from_secs(60);
/// What a server may ask for at most.
const ASKED: Duration = Duration::from_secs(15 * 60);
/// A server that asks us to slow down without saying for how long.
const UNSAID: Duration = Duration::from_secs(5);
/// How long whoever looks again may take, and how soon the others ask what came of it.
const LOOK: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(1);
/// Hosts remembered; beyond it those that may be asked again are forgotten.
const HOSTS: usize = 10_000;

/// Who is left alone until when.
#[derive(Default)]
pub(crate) struct Hosts(Mutex<HashMap<String, Trouble>>);

struct Trouble {
    failures: u32,
    until: Instant,
    looking: bool,
    why: String,
}

impl Hosts {
    /// Whether the host may be asked now. After a pause one caller looks, the others wait for what it finds.
    pub(crate) fn admit(&self, host: &str, now: Instant) -> Result<(), GitErrorKind> {
        let mut hosts = self.0.lock().expect("held for one lookup");
        let Some(trouble) = hosts.get_mut(host).filter(|trouble| trouble.failures > 1) else {
            return Ok(());
        };
        if now >= trouble.until {
            trouble.looking = true;
            trouble.until = now + LOOK;
            return Ok(());
        }
        let left = if trouble.looking { SOON } else { trouble.until - now };
        Err(GitErrorKind::Resting { why: trouble.why.clone(), left })
    }

    /// The host answered.
    pub(crate) fn answered(&self, host: &str) {
        self.0.lock().expect("held for one removal").remove(host);
    }

    /// An operation failed; counted if the host is to blame, and good news of it if it at least said no.
    pub(crate) fn failed(&self, host: &str, kind: &GitErrorKind, now: Instant) {
        let asked = match kind {
            GitErrorKind::Connect(_) => None,
            GitErrorKind::Throttled { retry_after } => Some(retry_after.unwrap_or(UNSAID).min(ASKED)),
            GitErrorKind::Unauthorized(_)
            | GitErrorKind::RepositoryNotFound(_)
            | GitErrorKind::Redirect(_)
            | GitErrorKind::Status(_)
            | GitErrorKind::Remote(_)
            | GitErrorKind::Protocol(_) => return self.answered(host),
            _ => return,
        };
        let mut hosts = self.0.lock().expect("held for one insert");
        if hosts.len() >= HOSTS {
            hosts.retain(|_, trouble| trouble.until > now);
        }
        let why = kind.to_string();
        let trouble = hosts.entry(host.to_owned()).or_insert(Trouble {
            failures: 0,
            until: now,
            looking: false,
            why: String::new(),
        });
        if let Some(asked) = asked {
            *trouble = Trouble { failures: trouble.failures.max(2), until: now + asked, looking: false, why };
            return;
        }
        // those that were under way when the first one failed tell nothing new
        if now < trouble.until && !trouble.looking {
            return;
        }
        let pause = match trouble.failures {
            0 => Duration::ZERO,
            failures => FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST),
        };
        *trouble =
            Trouble { failures: trouble.failures.saturating_add(1), until: now + pause, looking: false, why };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "git.example.com:443";

    fn refused() -> GitErrorKind {
        GitErrorKind::Connect("connection refused".into())
    }

    fn left(hosts: &Hosts, now: Instant) -> Option<Duration> {
        match hosts.admit(HOST, now) {
            Ok(()) => None,
            Err(GitErrorKind::Resting { left, why }) => {
                assert!(!why.is_empty());
                Some(left)
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn f16_a_dead_host_is_asked_ever_more_rarely_and_by_one_at_a_time() {
        let hosts = Hosts::default();
        let mut now = Instant::now();
        hosts.failed(HOST, &refused(), now);
        assert_eq!(left(&hosts, now), None, "once may be chance");
        let mut pauses = Vec::new();
        for _ in 0..9 {
            hosts.failed(HOST, &refused(), now);
            // all that were under way fail as well
            hosts.failed(HOST, &refused(), now);
            let pause = left(&hosts, now).unwrap();
            pauses.push(pause.as_secs());
            now += pause;
            assert_eq!(left(&hosts, now), None, "one looks");
            assert_eq!(left(&hosts, now), Some(SOON), "the others wait for it");
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // whoever looks and never comes back does not close the door for ever
        now += LOOK;
        assert_eq!(left(&hosts, now), None);
        hosts.answered(HOST);
        assert_eq!((left(&hosts, now), left(&hosts, now)), (None, None));
    }

    #[test]
    fn f16_a_servers_wish_is_kept_within_reason_and_other_failures_are_the_repositorys_own() {
        let hosts = Hosts::default();
        let now = Instant::now();
        for kind in [
            GitErrorKind::Timeout(SOON),
            GitErrorKind::Unauthorized("HTTP 401".into()),
            GitErrorKind::Status(500),
            GitErrorKind::Connection("cut".into()),
        ] {
            hosts.failed(HOST, &kind, now);
            hosts.failed(HOST, &kind, now);
            assert_eq!(left(&hosts, now), None, "{kind}");
        }
        for (asked, kept) in [
            (Some(Duration::from_secs(7)), Duration::from_secs(7)),
            (Some(Duration::MAX), ASKED),
            (None, UNSAID),
        ] {
            hosts.failed(HOST, &GitErrorKind::Throttled { retry_after: asked }, now);
            assert_eq!(left(&hosts, now), Some(kept));
        }
        assert!(hosts.admit("other.example.com:443", now).is_ok());
    }
}
