//! Deletes objects, one or many, in the order of whoever applied them.
//!
//! Says what became of each; does not wait for anything to be gone.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _};
use http::Method;
use serde_json::json;

use super::applied::ObjectFailure;
use super::apply::carries;
use super::error::{ApiError, Reason};
use super::member::Call;
use super::object::ObjectId;
use super::order::{self, Order};
use super::pool::Cluster;

/// What happens to an object's dependents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They are collected afterwards.
    #[default]
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Propagation {
    fn as_str(self) -> &'static str {
        match self {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }
    }
}

/// How to delete.
#[derive(Clone, Debug)]
pub struct DeleteOptions {
    /// What happens to dependents.
    pub propagation: Propagation,
    /// In whose order.
    pub order: Order,
    /// Objects of one group deleted at once.
    pub concurrency: usize,
    /// Only objects that carry all these labels (owner labels); costs a read per object.
    pub only_labelled: BTreeMap<String, String>,
    /// Not objects that carry any of these labels or annotations; costs a read per object.
    pub unless: Vec<(String, String)>,
}

impl Default for DeleteOptions {
    fn default() -> Self {
        Self {
            propagation: Propagation::Background,
            order: Order::Helm,
            concurrency: 16,
            only_labelled: BTreeMap::new(),
            unless: Vec::new(),
        }
    }
}

/// What became of the objects to be deleted.
#[derive(Clone, Debug, Default)]
pub struct Deleted {
    /// Deleted by this call (or being deleted, where finalizers hold them).
    pub deleted: Vec<ObjectId>,
    /// Not there any more.
    pub missing: Vec<ObjectId>,
    /// Left alone: not ours, or told to stay.
    pub kept: Vec<ObjectId>,
    /// Could not be deleted; still to be done.
    pub failed: Vec<ObjectFailure>,
}

enum Fate {
    Deleted,
    Missing,
    Kept,
}

impl Cluster {
    /// Deletes the objects, group by group. A failure does not keep the others from being deleted.
    pub async fn delete(&self, objects: &[ObjectId], options: &DeleteOptions) -> Deleted {
        let mut report = Deleted::default();
        for group in order::to_delete(objects, &options.order) {
            let members = group.into_iter().map(|index| {
                let object = &objects[index];
                Box::pin(async move { (object.clone(), self.delete_one(object, options).await) })
            });
            let mut running = stream::iter(members).buffered(options.concurrency.max(1));
            while let Some((object, fate)) = running.next().await {
                match fate {
                    Ok(Fate::Deleted) => report.deleted.push(object),
                    Ok(Fate::Missing) => report.missing.push(object),
                    Ok(Fate::Kept) => report.kept.push(object),
                    Err(error) => report.failed.push(ObjectFailure { object, error }),
                }
            }
        }
        report
    }

    async fn delete_one(&self, id: &ObjectId, options: &DeleteOptions) -> Result<Fate, ApiError> {
        let DeleteOptions { propagation, only_labelled, unless, order: _, concurrency: _ } = options;
        let mut uid = None;
        if !only_labelled.is_empty() || !unless.is_empty() {
            let live = match self.get_metadata(id).await {
                Ok(Some(live)) => live,
                Ok(None) => return Ok(Fate::Missing),
                Err(error) => return self.gone_with_its_kind(id, error).await,
            };
            let is_ours = only_labelled.iter().all(|(key, value)| live.labels.get(key) == Some(value));
            let metadata = json!({"labels": live.labels, "annotations": live.annotations});
            if !is_ours || carries(&metadata, unless) {
                return Ok(Fate::Kept);
            }
            uid = Some(live.uid);
        }
        match self.remove_if(id, *propagation, uid.as_deref()).await {
            Ok(true) => Ok(Fate::Deleted),
            Ok(false) => Ok(Fate::Missing),
            Err(error) => self.gone_with_its_kind(id, error).await,
        }
    }

    /// An object whose API group is gone went with its CRD. A group that is listed but does not answer proves nothing.
    async fn gone_with_its_kind(&self, id: &ObjectId, error: ApiError) -> Result<Fate, ApiError> {
        if !matches!(error.reason, Reason::UnknownKind { .. }) {
            return Err(error);
        }
        let known = self.member.kinds.get(&self.member, &self.headers).await?;
        if known.kinds.is_answering(&id.api_version()) { Ok(Fate::Missing) } else { Err(error) }
    }

    /// Deletes one object; false when it is not there.
    pub async fn remove(&self, id: &ObjectId, propagation: Propagation) -> Result<bool, ApiError> {
        self.remove_if(id, propagation, None).await
    }

    async fn remove_if(
        &self,
        id: &ObjectId,
        propagation: Propagation,
        uid: Option<&str>,
    ) -> Result<bool, ApiError> {
        let attempt = format!("delete {} `{}`", id.kind, id.place());
        let place = self.locate(id, &attempt).await?;
        let mut body = json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation.as_str(),
        });
        if let Some(uid) = uid {
            body["preconditions"] = json!({"uid": uid});
        }
        let call = Call {
            headers: &self.headers,
            repeatable: true,
            ..Call::with_body(
                Method::DELETE,
                place.object,
                body.to_string().into(),
                "application/json",
                &attempt,
            )
        };
        let result = self.member.call(&call).await;
        if id.is_crd() {
            self.member.kinds.undefine(&id.name);
        }
        match result {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
