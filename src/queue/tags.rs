//! The tags of images that were found in registries: kept so that a restart lists nothing again.
//!
//! What a tag means, and which is the latest, is not known here.

use std::collections::HashSet;

use super::command::Keep;
use super::{Queue, StoreError, sqlite};
use crate::model::ObjectKey;

/// A difference of what an ImageRepository knows of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagChange {
    pub(super) object: ObjectKey,
    /// The image's canonical name.
    pub(super) repository: String,
    pub(super) add: Vec<String>,
    pub(super) remove: Vec<String>,
}

impl Queue {
    /// The tags an ImageRepository knows of an image, highest first; none if what it knows is another image's.
    pub async fn image_tags(&self, object: &ObjectKey, repository: &str) -> Result<Vec<String>, StoreError> {
        let attempt = "read the tags";
        let mut conn = self.reader(attempt).await?;
        sqlite::image_tags(&mut conn, object, repository)
            .await
            .map_err(|error| sqlite::classify(attempt, &error))
    }

    /// Makes `tags`, in any order, all that an ImageRepository knows. One writer per object, which is the holder of
    /// its job: the difference is taken before it is written, so that the store is held up no longer than it must.
    pub async fn put_image_tags(
        &self,
        object: &ObjectKey,
        repository: &str,
        tags: &[String],
    ) -> Result<(), StoreError> {
        let known = self.image_tags(object, repository).await?;
        let known: HashSet<&str> = known.iter().map(String::as_str).collect();
        let wanted: HashSet<&str> = tags.iter().map(String::as_str).collect();
        let missing = |of: &HashSet<&str>, from: &HashSet<&str>| {
            of.difference(from).map(|tag| (*tag).to_owned()).collect::<Vec<_>>()
        };
        let (add, remove) = (missing(&wanted, &known), missing(&known, &wanted));
        if add.is_empty() && remove.is_empty() && !known.is_empty() {
            return Ok(());
        }
        let (object, repository) = (object.clone(), repository.to_owned());
        self.keep(Keep::Tags(TagChange { object, repository, add, remove })).await
    }

    /// Adds to what an ImageRepository knows of an image; what is known already may be among it.
    pub async fn add_image_tags(
        &self,
        object: &ObjectKey,
        repository: &str,
        add: Vec<String>,
    ) -> Result<(), StoreError> {
        let (object, repository) = (object.clone(), repository.to_owned());
        self.keep(Keep::Tags(TagChange { object, repository, add, remove: Vec::new() })).await
    }

    /// Removes what an ImageRepository that is gone knew.
    pub async fn forget_image_tags(&self, object: &ObjectKey) -> Result<(), StoreError> {
        self.keep(Keep::NoTags(object.clone())).await
    }
}
