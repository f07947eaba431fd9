//! Which clusters keep connections open while nothing is asked of them.
//!
//! A connection that only waits costs some forty kilobytes. Those to the clusters used last stay open; when another
//! cluster's turn comes, the one unused for longest lets go of its own. Calls under way keep theirs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::Body;

/// Idle connections are closed after this time, so that a quiet cluster holds no sockets.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes read ahead per connection, which an idle one keeps; objects are small and a thousand members read at once.
const READ_BUFFER: usize = 16 << 10;

pub(super) type Client = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// The clusters with open connections, of which there are only so many.
pub(super) struct Warm {
    most: usize,
    calls: AtomicU64,
    open: Mutex<Vec<Weak<Slot>>>,
}

/// The connections to one cluster.
pub(super) struct Slot {
    warm: Arc<Warm>,
    connector: HttpsConnector<HttpConnector>,
    /// Idle connections it may keep.
    idle: usize,
    /// The number of its last call.
    used: AtomicU64,
    client: Mutex<Option<Client>>,
}

impl Warm {
    /// At most so many clusters keep connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, calls: AtomicU64::new(0), open: Mutex::default() })
    }

    /// `slot` has opened a client; returns the one to close for it.
    fn admit(&self, slot: &Arc<Slot>) -> Option<Arc<Slot>> {
        let mut open = self.open.lock().expect("no code panics while it holds the lock");
        open.retain(|kept| kept.strong_count() > 0);
        open.push(Arc::downgrade(slot));
        if open.len() <= self.most {
            return None;
        }
        let used = |kept: &Weak<Slot>| kept.upgrade().map_or(0, |slot| slot.used.load(Ordering::Relaxed));
        let (oldest, _) = open.iter().enumerate().min_by_key(|(_, kept)| used(kept))?;
        open.swap_remove(oldest).upgrade()
    }
}

impl Slot {
    /// Nothing is opened yet.
    pub(super) fn new(warm: Arc<Warm>, connector: HttpsConnector<HttpConnector>, idle: usize) -> Arc<Self> {
        Arc::new(Self { warm, connector, idle, used: AtomicU64::new(0), client: Mutex::default() })
    }

    /// The client to send the next request with. Needs a tokio runtime around it.
    pub(super) fn client(self: &Arc<Self>) -> Client {
        self.used.store(self.warm.calls.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let client = {
            let mut held = self.lock();
            if let Some(client) = &*held {
                return client.clone();
            }
            held.insert(self.open()).clone()
        };
        if let Some(oldest) = self.warm.admit(self) {
            drop(oldest.lock().take());
        }
        client
    }

    fn open(&self) -> Client {
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(self.idle)
            .http1_max_buf_size(READ_BUFFER)
            .build(self.connector.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().expect("no code panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cluster_unused_for_longest_lets_go_of_its_connections() {
        let warm = Warm::new(2);
        let tls =
            rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
        let connector = HttpsConnector::from((HttpConnector::new(), tls));
        let slots: Vec<_> = (0..4).map(|_| Slot::new(Arc::clone(&warm), connector.clone(), 1)).collect();
        let open = || slots.iter().map(|slot| slot.lock().is_some()).collect::<Vec<_>>();
        assert_eq!(open(), [false; 4]);
        for used in [0, 1, 0] {
            drop(slots[used].client());
        }
        assert_eq!(open(), [true, true, false, false]);
        drop(slots[2].client());
        assert_eq!(open(), [true, false, true, false], "1 was unused for longest");
        drop(slots[1].client());
        assert_eq!(open(), [false, true, true, false]);
        // A cluster that is forgotten takes nobody's place.
        let mut slots = slots;
        drop(slots.remove(1));
        drop(slots[2].client());
        assert_eq!(slots.iter().map(|slot| slot.lock().is_some()).collect::<Vec<_>>(), [false, true, true]);
    }
}
