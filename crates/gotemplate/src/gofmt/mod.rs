//! Go's `fmt` and the parts of `strconv` below it.

mod quote;

pub use quote::{can_backquote, decode_rune, is_print, quote, quote_ascii, quote_rune, quote_rune_ascii};
