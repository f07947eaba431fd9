//! The tags of image repositories: in the store, and at hand while they are not too many, because two hundred policies
//! of one image should not read its list two hundred times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::context::Inner;
use crate::model::ObjectKey;
use crate::queue::StoreError;

/// Tags held in memory at most, of all images; some tens of MiB.
const AT_HAND: usize = 500_000;

/// What is at hand. Only the job of an ImageRepository changes what is known of it, and there is one at a time.
#[derive(Default)]
pub(super) struct KnownTags(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// The image's canonical name, and its tags, highest first.
    lists: HashMap<ObjectKey, (String, Arc<Vec<String>>)>,
    count: usize,
}

impl Held {
    fn put(&mut self, key: &ObjectKey, image: &str, tags: &Arc<Vec<String>>) {
        self.remove(key);
        if self.count + tags.len() > AT_HAND {
            *self = Self::default();
        }
        if tags.len() <= AT_HAND {
            self.count += tags.len();
            self.lists.insert(key.clone(), (image.to_owned(), Arc::clone(tags)));
        }
    }

    fn remove(&mut self, key: &ObjectKey) {
        if let Some((_, tags)) = self.lists.remove(key) {
            self.count -= tags.len();
        }
    }
}

impl Inner {
    /// The tags an ImageRepository knows of an image, highest first.
    pub(super) async fn known_tags(
        &self,
        repository: &ObjectKey,
        image: &str,
    ) -> Result<Arc<Vec<String>>, StoreError> {
        let held = {
            let held = self.tags.0.lock().expect("held for one look-up");
            held.lists.get(repository).filter(|(of, _)| of == image).map(|(_, tags)| Arc::clone(tags))
        };
        if let Some(tags) = held {
            return Ok(tags);
        }
        let tags = Arc::new(self.queue.image_tags(repository, image).await?);
        self.tags.0.lock().expect("held for one insert").put(repository, image, &tags);
        Ok(tags)
    }

    /// Keeps all the tags an ImageRepository knows, highest first.
    pub(super) async fn keep_tags(
        &self,
        repository: &ObjectKey,
        image: &str,
        tags: Arc<Vec<String>>,
    ) -> Result<(), StoreError> {
        // Whoever reads meanwhile must not put back what is about to change.
        self.tags.0.lock().expect("held for one removal").remove(repository);
        self.queue.put_image_tags(repository, image, &tags).await?;
        self.tags.0.lock().expect("held for one insert").put(repository, image, &tags);
        Ok(())
    }

    /// Forgets the tags of an ImageRepository that is gone.
    pub(super) async fn forget_tags(&self, repository: &ObjectKey) -> Result<(), StoreError> {
        self.tags.0.lock().expect("held for one removal").remove(repository);
        self.queue.forget_image_tags(repository).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn lists_at_hand_stay_within_their_bound() {
        let key = |name: &str| ObjectKey::new(Kind::ImageRepository, "a", name);
        let list = |count: usize| Arc::new(vec![String::new(); count]);
        let mut held = Held::default();
        held.put(&key("a"), "r/a", &list(AT_HAND / 2));
        held.put(&key("b"), "r/b", &list(AT_HAND / 2));
        held.put(&key("b"), "r/b", &list(10));
        assert_eq!((held.lists.len(), held.count), (2, AT_HAND / 2 + 10));
        held.put(&key("c"), "r/c", &list(AT_HAND));
        assert_eq!((held.lists.len(), held.count), (1, AT_HAND));
        held.put(&key("d"), "r/d", &list(AT_HAND + 1));
        assert_eq!((held.lists.len(), held.count), (0, 0));
    }
}
