//! Submodules: fetches what `.gitmodules` names and mounts it where the tree has a link to it.
//!
//! Credentials, certificates and keys go no further than the origin they were given for.

use std::path::PathBuf;
use std::sync::Arc;

use git2::Oid;

use super::address::Address;
use super::error::{GitError, GitErrorKind, shown};
use super::fetch::{Git, redacted};
use super::kept;
use super::reference::Target;
use super::request::{GitCredentials, GitRequest};
use super::submodules;
use super::tree::{Mount, View};

/// Submodules within submodules, as go-git (and so Flux) follows them.
const LEVELS: usize = 10;

impl Git {
    pub(crate) async fn mount_submodules(
        &self,
        request: &GitRequest,
        parent: &Address,
        view: &mut View,
        below: &str,
        level: usize,
        count: &mut usize,
    ) -> Result<(), GitErrorKind> {
        let here = match below {
            "" => view.clone(),
            below => match view.mounts.get(below) {
                Some(Mount::Tree { kept, root }) => {
                    View::new(Arc::clone(kept), *root, Arc::clone(&self.surveys))
                }
                _ => return Ok(()),
            },
        };
        let limit = self.limits.file_bytes;
        let declared = kept::blocking(&self.permits, move || {
            let Some(text) = here.read_file(".gitmodules", limit)? else {
                return Ok(Vec::new());
            };
            let mut found = Vec::new();
            for submodule in submodules::parse(&String::from_utf8_lossy(&text))? {
                if let Some(commit) = gitlink(&here, &submodule.path)? {
                    found.push((submodule, commit));
                }
            }
            Ok(found)
        })
        .await?;
        for (submodule, commit) in declared {
            *count += 1;
            if *count > self.limits.submodules || level >= LEVELS {
                return Err(GitErrorKind::TooLarge {
                    what: "the number of submodules".into(),
                    limit: self.limits.submodules as u64,
                });
            }
            let path = match below {
                "" => submodule.path.clone(),
                below => format!("{below}/{}", submodule.path),
            };
            let named = |kind: GitErrorKind, url: String| GitErrorKind::Submodule {
                path: shown(&path, 200),
                source: Box::new(GitError { attempted: format!("fetch commit `{commit}` from"), url, kind }),
            };
            let address =
                parent.submodule(&submodule.url).map_err(|kind| named(kind, redacted(&submodule.url)))?;
            let shown_url = address.shown().to_owned();
            let mut own = request.clone();
            if !parent.same_origin(&address) {
                // credentials, certificates and the key were given for the parent's host alone
                own.credentials = GitCredentials::None;
                own.credentials_name = None;
                own.tls.client = None;
            }
            let target = Target::Commit { commit, branch: None, reference: None };
            let brought = async {
                let remote = self.remote(&own, &address)?;
                let kept = self.kept(&own, &address);
                let (_, facts) = self.bring_sound(&kept, &remote, &target, None, None).await?;
                Ok((kept, facts.tree))
            };
            let (kept, root) = brought.await.map_err(|kind| named(kind, shown_url))?;
            view.mounts.insert(path.clone(), Mount::Tree { kept, root });
            Box::pin(self.mount_submodules(&own, &address, view, &path, level + 1, count)).await?;
        }
        Ok(())
    }
}

/// The commit a tree names at a submodule's path; blocks.
fn gitlink(view: &View, path: &str) -> Result<Option<Oid>, GitErrorKind> {
    let path = PathBuf::from(path);
    view.kept.with(|repository| {
        let tree = repository.find_tree(view.root).map_err(kept::damaged)?;
        Ok(tree.get_path(&path).ok().filter(|entry| entry.filemode() == 0o160000).map(|entry| entry.id()))
    })
}
