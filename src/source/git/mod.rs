//! Git repositories: fetched by commit, branch, tag or range; read from the object database.
//!
//! libgit2 keeps and checks the objects; the conversation with the server (`protocol.rs`) and the transports
//! (`http.rs`, `ssh.rs`) are ours, so that deadlines, proxies, certificates and host keys are handled as
//! everywhere else. There is no work tree, no shallow clone per revision, and no `git` program.

mod address;
mod checkout;
mod error;
mod fetch;
mod http;
mod kept;
mod known_hosts;
mod mounts;
mod names;
mod pack;
mod pkt;
mod protocol;
mod reference;
mod request;
mod ssh;
mod store;
mod submodules;
mod survey;
mod tidy;
mod tree;
mod walk;

pub use checkout::{GitCheckout, RepositoryHandle};
pub use error::{GitError, GitErrorKind};
pub use request::{
    ClientCertificate, GitCredentials, GitReference, GitRequest, Proxy, PushHint, SshCredentials, TlsMaterial,
};
pub use walk::FileLimits;

pub(crate) use error::shown;
pub(crate) use fetch::Git;
pub(crate) use http::{Resolver, causes, literal};
pub(crate) use names::elements;
pub(crate) use tree::{Content, Included, View, read};
