//! What a flood may cost: memory for bodies under way, and attention for proofs that fail.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{Network, ObjectKey, Timestamp};

/// The budget is counted in pieces of this size.
const PIECE: usize = 1024;

/// Memory for bodies that are being read, shared by all requests.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / PIECE)))
    }

    /// Sets memory aside for one request that has none yet.
    pub(super) fn open(&self) -> Share {
        Share { budget: self.clone(), held: None, bytes: 0 }
    }
}

/// One request's part of the budget; it comes back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Share {
    /// Grows to `bytes` in all; false when there is not so much left.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let pieces = (bytes - self.bytes).div_ceil(PIECE);
        let Ok(pieces) = u32::try_from(pieces) else { return false };
        let Ok(more) = Arc::clone(&self.budget.0).try_acquire_many_owned(pieces) else { return false };
        match &mut self.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        self.bytes += pieces as usize * PIECE;
        true
    }
}

/// Failed proofs allowed at once, per receiver and per address …
const BURST: f64 = 20.0;
/// … and per second after that.
const PER_SECOND: f64 = 1.0;
/// Addresses remembered; beyond it the ones that behave are forgotten first.
const ADDRESSES: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    fn take(&mut self, now: Timestamp) -> bool {
        self.fill(now);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }

    fn fill(&mut self, now: Timestamp) {
        let passed = Duration::try_from(now.duration_since(self.at)).unwrap_or(Duration::ZERO);
        self.left = (self.left + passed.as_secs_f64() * PER_SECOND).min(BURST);
        self.at = now;
    }
}

/// Counts failed proofs. A proof that holds is never held up by those that fail, wherever they come from.
#[derive(Debug, Default)]
pub(super) struct Failures {
    by_receiver: HashMap<ObjectKey, Bucket>,
    by_address: HashMap<IpAddr, Bucket>,
}

impl Failures {
    /// Notes a failure; false if there have been too many of late, so that it is not worth a line in the log.
    pub(super) fn note(&mut self, receiver: &ObjectKey, address: Option<IpAddr>, now: Timestamp) -> bool {
        let full = Bucket { left: BURST, at: now };
        let receiver_may = match self.by_receiver.get_mut(receiver) {
            Some(bucket) => bucket.take(now),
            // Receivers are configured, so there are not many.
            None => self.by_receiver.entry(receiver.clone()).or_insert(full).take(now),
        };
        let Some(address) = address else { return receiver_may };
        if self.by_address.len() >= ADDRESSES && !self.by_address.contains_key(&address) {
            self.by_address.retain(|_, bucket| {
                bucket.fill(now);
                bucket.left < BURST
            });
            if self.by_address.len() >= ADDRESSES {
                self.by_address.clear();
            }
        }
        let address_may = self.by_address.entry(address).or_insert(full).take(now);
        receiver_may && address_may
    }
}

/// Who really sent a request: the peer, or, behind proxies that are trusted, the last address that is none of them.
pub(super) fn client(peer: Option<IpAddr>, forwarded: &[&str], trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer?;
    if !is_trusted(peer) {
        return Some(peer);
    }
    let mut last = peer;
    for hop in forwarded.iter().flat_map(|line| line.split(',')).rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        last = address;
        if !is_trusted(address) {
            break;
        }
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn h31_forwarded_addresses_count_only_behind_a_trusted_proxy() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        let of = |peer: &str, line: &str| client(Some(ip(peer)), &[line], &trusted).unwrap();
        assert_eq!(of("203.0.113.9", "1.2.3.4"), ip("203.0.113.9"), "spoofed");
        assert_eq!(of("10.1.2.3", "1.2.3.4"), ip("1.2.3.4"));
        assert_eq!(
            of("10.1.2.3", "6.6.6.6, 1.2.3.4, 10.9.9.9"),
            ip("1.2.3.4"),
            "the part the client made up"
        );
        assert_eq!(of("10.1.2.3", "garbage"), ip("10.1.2.3"));
        assert_eq!(of("::1", "2001:db8::7"), ip("2001:db8::7"));
        assert_eq!(client(Some(ip("10.1.2.3")), &["1.2.3.4"], &[]), Some(ip("10.1.2.3")));
    }

    #[test]
    fn memory_comes_back_when_a_request_ends() {
        let budget = Budget::new(10 * PIECE);
        let mut one = budget.open();
        assert!(one.grow_to(1));
        assert!(one.grow_to(4 * PIECE));
        let mut two = budget.open();
        assert!(!two.grow_to(7 * PIECE));
        assert!(two.grow_to(6 * PIECE));
        drop(one);
        assert!(two.grow_to(10 * PIECE));
        assert!(!two.grow_to(10 * PIECE + 1));
    }

    #[test]
    fn failures_run_out_and_come_back_and_many_addresses_cost_little() {
        let mut failures = Failures::default();
        let receiver = |n: u32| ObjectKey::new(Kind::Receiver, "a", n.to_string());
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let noted = (0..100).filter(|_| failures.note(&receiver(1), address, start)).count();
        assert_eq!(noted, 20);
        let later = start.saturating_add(Duration::from_secs(5)).unwrap();
        assert_eq!((0..100).filter(|_| failures.note(&receiver(1), address, later)).count(), 5);
        assert!(!failures.note(&receiver(2), address, later), "the address counts on its own");
        for n in 0..20_000_u32 {
            failures.note(&receiver(3), Some(IpAddr::from(n.to_be_bytes())), later);
        }
        assert!(failures.by_address.len() <= ADDRESSES);
    }
}
