//! What one question to a registry may cost us. The other end is not ours.

use std::time::Duration;

/// Tags of one repository. The largest public ones have some ten thousand; at this many something makes one tag for
/// every request it gets.
pub(super) const TAGS: usize = 500_000;
/// Pages of one list: all tags in pages of fifty, the smallest that are known.
pub(super) const PAGES: usize = 10_000;
/// Pages in a row that bring nothing new.
pub(super) const IDLE_PAGES: usize = 3;
/// Tags to ask for at once. Registries give fewer if they like.
pub(super) const PAGE: usize = 1_000;
/// Bytes of one page: older registries know no pages and send everything at once. Twice Helm's limit for an index.
pub(super) const PAGE_BYTES: usize = 50 << 20;
/// Bytes of all pages.
pub(super) const LIST_BYTES: usize = 128 << 20;
/// Bytes of a manifest, as the distribution specification has it.
pub(super) const MANIFEST_BYTES: usize = 4 << 20;
/// Bytes of an answer with a token. Tokens of big organisations have some ten KiB.
pub(super) const TOKEN_BYTES: usize = 1 << 20;
/// Bytes of an error that are read for its words.
pub(super) const ERROR_BYTES: usize = 64 << 10;
/// Characters of a registry's words that are shown.
pub(super) const WORDS: usize = 300;
/// The longest a question may take, whatever the object says: its timeout is its interval if it names none.
pub(super) const LONGEST: Duration = Duration::from_secs(10 * 60);
/// A peer that is silent for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
/// How long https may take to show that a registry that need not have it does not.
pub(super) const HTTPS_TRIAL: Duration = Duration::from_secs(5);
/// Pauses before asking again; as many as there are tries.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
/// Redirects of one request.
pub(super) const REDIRECTS: usize = 5;
/// Clients, registries and tokens remembered; beyond it all are forgotten and made again.
pub(super) const REMEMBERED: usize = 1024;
