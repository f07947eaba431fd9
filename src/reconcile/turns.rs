//! One at a time for each key: who needs the same thing at the same moment waits for the one who makes it. It keeps
//! nothing of what is made.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedMutexGuard;

/// The turns of every key somebody holds or waits for.
#[derive(Debug)]
pub(super) struct Turns<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Turns<K> {
    /// Waits for the turn of `key`; it is over when the guard is dropped.
    pub(super) async fn of(&self, key: K) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().expect("held for one look-up");
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(key).or_default())
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_key_is_held_by_one_at_a_time_and_others_are_free() {
        let turns = Turns::default();
        let first = turns.of("a").await;
        assert!(turns.of("a").now_or_never().is_none());
        let other = turns.of("b").now_or_never();
        assert!(other.is_some());
        drop(first);
        assert!(turns.of("a").now_or_never().is_some());
    }

    #[tokio::test]
    async fn keys_nobody_wants_any_more_are_forgotten() {
        let turns = Turns::default();
        for key in 0..100 {
            turns.of(key).await;
        }
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
