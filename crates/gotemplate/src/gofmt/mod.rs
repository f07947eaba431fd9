//! Go's `fmt` and the parts of `strconv` below it.
//!
//! The functions give back bytes, because Go strings are bytes; they stop with a [`Limit`] when a value
//! nests too deeply (a map that holds itself) or the text grows beyond what the caller allows.

mod float;
mod layout;
mod print;
mod printf;
mod quote;

pub use float::format_float;
pub use quote::{can_backquote, decode_rune, is_print, quote, quote_ascii, quote_rune, quote_rune_ascii};

use crate::{Limit, Value};
use print::Printer;

/// How far printing may go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Levels of a value that are followed.
    pub nesting: usize,
    /// Bytes of text.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { nesting: 200, bytes: 1 << 30 }
    }
}

/// `fmt.Sprint`: spaces between operands when neither is a string.
pub fn sprint(args: &[Value], bounds: Bounds) -> Result<Vec<u8>, Limit> {
    let mut printer = Printer::new(Vec::new(), bounds);
    printer.print_all(args);
    printer.finish()
}

/// `fmt.Sprintln`: spaces between operands and a newline at the end.
pub fn sprintln(args: &[Value], bounds: Bounds) -> Result<Vec<u8>, Limit> {
    let mut printer = Printer::new(Vec::new(), bounds);
    for (i, arg) in args.iter().enumerate() {
        if i > 0 {
            printer.buf.push(b' ');
        }
        printer.print_arg(arg, 'v');
    }
    printer.buf.push(b'\n');
    printer.finish()
}

/// `fmt.Sprintf`.
pub fn sprintf(format: &[u8], args: &[Value], bounds: Bounds) -> Result<Vec<u8>, Limit> {
    let mut printer = Printer::new(Vec::with_capacity(format.len() + 16), bounds);
    printer.printf(format, args);
    printer.finish()
}

/// Appends what a template prints for a value: `fmt.Print` of what a pointer points to.
pub fn append(out: &mut Vec<u8>, value: &Value, bounds: Bounds) -> Result<(), Limit> {
    match value {
        Value::Str(text) => out.extend_from_slice(text),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(n, _) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Float(f) => out.extend_from_slice(format_float(*f, b'g', -1, 64).as_bytes()),
        value => {
            let room = bounds.bytes.saturating_add(out.len() as u64);
            let mut printer = Printer::new(std::mem::take(out), Bounds { bytes: room, ..bounds });
            printer.indirect = true;
            printer.addressed = true;
            printer.print_arg(value, 'v');
            *out = printer.finish()?;
        }
    }
    Ok(())
}

/// `fmt.Sprint` of what pointers point to, as the escaping functions see their arguments.
pub(crate) fn sprint_indirect(args: &[Value], bounds: Bounds) -> Result<Vec<u8>, Limit> {
    let mut printer = Printer::new(Vec::new(), bounds);
    printer.indirect = true;
    printer.print_all(args);
    printer.finish()
}
