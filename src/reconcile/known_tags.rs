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
    /// Counts what is written: a list that was read while one was written may be the old one.
    writes: u64,
}

impl Held {
    fn put(&mut self, key: &ObjectKey, image: &str, tags: &Arc<Vec<String>>) {
        self.remove(key);
        if self.count + tags.len() > AT_HAND {
            self.lists.clear();
            self.count = 0;
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

    /// Takes a list out that is about to change.
    fn begin_write(&mut self, key: &ObjectKey) {
        self.writes += 1;
        self.remove(key);
    }

    /// Takes in a list that was read, unless anything was written since.
    fn put_read(&mut self, key: &ObjectKey, image: &str, tags: &Arc<Vec<String>>, writes: u64) {
        if self.writes == writes {
            self.put(key, image, tags);
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
        let (held, writes) = {
            let held = self.tags.0.lock().expect("held for one look-up");
            let list = held.lists.get(repository).filter(|(of, _)| of == image);
            (list.map(|(_, tags)| Arc::clone(tags)), held.writes)
        };
        if let Some(tags) = held {
            return Ok(tags);
        }
        let tags = Arc::new(self.queue.image_tags(repository, image).await?);
        self.tags.0.lock().expect("held for one insert").put_read(repository, image, &tags, writes);
        Ok(tags)
    }

    /// Keeps all the tags an ImageRepository knows, highest first.
    pub(super) async fn keep_tags(
        &self,
        repository: &ObjectKey,
        image: &str,
        tags: Arc<Vec<String>>,
    ) -> Result<(), StoreError> {
        self.tags.0.lock().expect("held for one removal").begin_write(repository);
        self.queue.put_image_tags(repository, image, &tags).await?;
        self.written(repository, image, &tags);
        Ok(())
    }

    /// Keeps tags that are new to an ImageRepository; `all` is what it knows with them, highest first.
    pub(super) async fn add_tags(
        &self,
        repository: &ObjectKey,
        image: &str,
        new: Vec<String>,
        all: &Arc<Vec<String>>,
    ) -> Result<(), StoreError> {
        self.tags.0.lock().expect("held for one removal").begin_write(repository);
        self.queue.add_image_tags(repository, image, new).await?;
        self.written(repository, image, all);
        Ok(())
    }

    fn written(&self, repository: &ObjectKey, image: &str, tags: &Arc<Vec<String>>) {
        let mut held = self.tags.0.lock().expect("held for one insert");
        // Once more, for whoever began to read between the two.
        held.begin_write(repository);
        held.put(repository, image, tags);
    }

    /// Forgets the tags of an ImageRepository that is gone.
    pub(super) async fn forget_tags(&self, repository: &ObjectKey) -> Result<(), StoreError> {
        self.queue.forget_image_tags(repository).await?;
        self.tags.0.lock().expect("held for one removal").begin_write(repository);
        Ok(())
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

    #[test]
    fn a_list_that_was_read_while_another_was_written_is_not_kept() {
        let key = ObjectKey::new(Kind::ImageRepository, "a", "app");
        let list = |tag: &str| Arc::new(vec![tag.to_owned()]);
        let mut held = Held::default();
        let before = held.writes;
        held.begin_write(&key);
        held.put(&key, "r/app", &list("new"));
        held.put_read(&key, "r/app", &list("old"), before);
        assert_eq!(*held.lists[&key].1, ["new"]);
        held.remove(&key);
        held.put_read(&key, "r/app", &list("read"), held.writes);
        assert_eq!(*held.lists[&key].1, ["read"]);
    }
}
