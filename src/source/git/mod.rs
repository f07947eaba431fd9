//! Git repositories: fetched by commit, branch, tag or range; read from the object database.
//!
//! libgit2 keeps and checks the objects; the conversation with the server (`protocol.rs`) and the transports
//! (`http.rs`, `ssh.rs`) are ours, so that deadlines, proxies, certificates and host keys are handled as
//! everywhere else. There is no work tree, no shallow clone per revision, and no `git` program.

mod address;
mod checkout;
mod choice;
mod commit;
mod error;
mod fetch;
mod greeting;
mod hosts;
mod http;
mod kept;
mod known_hosts;
mod loose;
mod mounts;
mod names;
mod openpgp;
mod outgoing;
mod pack;
mod pkt;
mod prefix;
mod protocol;
mod push;
mod receive;
mod reference;
mod regular;
mod request;
mod signature;
mod signer;
mod ssh;
mod sshsig;
mod store;
mod submodules;
mod survey;
mod tidy;
mod tree;
mod walk;

pub use checkout::{GitCheckout, RepositoryHandle};
pub use commit::{GitIdentity, NewCommit};
pub use error::{GitError, GitErrorKind};
pub use prefix::PrefixMatch;
pub use push::{Expected, GitPush, PushError, RefUpdate};
pub use regular::RegularFile;
pub use request::{
    ClientCertificate, GitCredentials, GitReference, GitRequest, Proxy, PushHint, SshCredentials, TlsMaterial,
};
pub use signature::{TrustedKeys, VerifyError, VerifyMode};
pub use signer::{CommitSigner, SigningKeyError};
pub use walk::FileLimits;

pub(crate) use error::shown;
pub(crate) use fetch::Git;
pub(crate) use names::elements;
pub(crate) use tree::{Content, Included, View, read};
