//! The objects' durable side, kept in the queue's store.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::model::ObjectKey;
use crate::objects::{GeneratedRecord, OverlayRecord, StatusRecord, StatusStore, StoredObjects};
use crate::queue::{Generated, NewStatus, Overlay, Queue};

/// Statuses, generated objects and overlays in SQLite.
pub(super) struct QueueStore(pub(super) Queue);

impl StatusStore for QueueStore {
    fn load_all(&self) -> BoxFuture<'_, anyhow::Result<StoredObjects>> {
        async move {
            let statuses = self.0.statuses(None).await?;
            let generated = self.0.generated().await?;
            let overlays = self.0.overlays().await?;
            Ok(StoredObjects {
                statuses: statuses
                    .into_iter()
                    .map(|stored| StatusRecord {
                        object: stored.status.object,
                        status: stored.status.status,
                        generation: stored.status.generation,
                        spec_hash: stored.status.spec_hash,
                    })
                    .collect(),
                generated: generated
                    .into_iter()
                    .map(|stored| GeneratedRecord {
                        object: stored.object,
                        owner: stored.owner,
                        manifest: stored.manifest,
                    })
                    .collect(),
                overlays: overlays
                    .into_iter()
                    .map(|stored| OverlayRecord { object: stored.object, patch: stored.patch })
                    .collect(),
            })
        }
        .boxed()
    }

    fn put_status(&self, record: StatusRecord) -> BoxFuture<'_, anyhow::Result<()>> {
        let StatusRecord { object, status, generation, spec_hash } = record;
        async move { Ok(self.0.put_status(NewStatus { object, status, generation, spec_hash }).await?) }
            .boxed()
    }

    fn delete(&self, object: &ObjectKey) -> BoxFuture<'_, anyhow::Result<()>> {
        let object = object.clone();
        async move {
            self.0.delete_generated(&object).await?;
            Ok(self.0.forget(&object).await?)
        }
        .boxed()
    }

    fn put_generated(&self, record: GeneratedRecord) -> BoxFuture<'_, anyhow::Result<()>> {
        let GeneratedRecord { object, owner, manifest } = record;
        async move { Ok(self.0.put_generated(Generated { object, owner, manifest }).await?) }.boxed()
    }

    fn remove_generated(&self, object: &ObjectKey) -> BoxFuture<'_, anyhow::Result<()>> {
        let object = object.clone();
        async move { Ok(self.0.delete_generated(&object).await?) }.boxed()
    }

    fn put_overlay(&self, record: OverlayRecord) -> BoxFuture<'_, anyhow::Result<()>> {
        let OverlayRecord { object, patch } = record;
        async move {
            if patch.as_object().is_none_or(serde_json::Map::is_empty) {
                return Ok(self.0.delete_overlay(&object).await?);
            }
            Ok(self.0.put_overlay(Overlay { object, patch }).await?)
        }
        .boxed()
    }
}
