//! Docker Hub, and Alibaba Cloud's registry that sends the same with a digest. There is no proof but the secret path.
//!
//! `callback_url` is never called: it would let whoever knows the path make us call anywhere.

use serde::Deserialize;

use super::Parsed;
use crate::receiver::facts::{Change, FactKind, Facts, Malformed, below, digest, tag};
use crate::receiver::json;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hook {
    push_data: Option<PushData>,
    repository: Option<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PushData {
    tag: Option<String>,
    digest: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    repo_name: Option<String>,
    /// Alibaba.
    repo_full_name: Option<String>,
    region: Option<String>,
}

impl Repository {
    fn name(self) -> Option<String> {
        match (self.repo_name, self.repo_full_name, self.region) {
            (Some(name), ..) => Some(below(Some("docker.io"), &name)),
            (None, Some(name), Some(region)) => {
                Some(below(Some(&format!("registry.{region}.aliyuncs.com")), &name))
            }
            (None, name, None) => name,
            (None, None, Some(_)) => None,
        }
    }
}

pub(super) fn parse(body: &[u8]) -> Result<Parsed, Malformed> {
    let hook: Hook = json::read(body)?;
    let repository = hook.repository.unwrap_or_default().name();
    let Some(pushed) = hook.push_data else {
        return Ok(Facts::of(FactKind::Other).into());
    };
    let change = Change {
        kind: FactKind::Push,
        repository,
        tag: tag(pushed.tag),
        digest: digest(pushed.digest),
        ..Change::default()
    };
    Ok(Parsed { facts: Facts::images(vec![change]), event: Some("push".to_owned()), ..Parsed::default() })
}
