//! Slash-separated paths; the `os` functions mean the same, as on Unix.

use super::args::{Answer, Args, string};
use crate::types::{BOOL, STRING};
use crate::{Ctx, Func, Value};

/// The path functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("base", &[STRING], STRING, base_of),
    Func::new("osBase", &[STRING], STRING, base_of),
    Func::new("dir", &[STRING], STRING, dir_of),
    Func::new("osDir", &[STRING], STRING, dir_of),
    Func::new("clean", &[STRING], STRING, clean_of),
    Func::new("osClean", &[STRING], STRING, clean_of),
    Func::new("ext", &[STRING], STRING, ext_of),
    Func::new("osExt", &[STRING], STRING, ext_of),
    Func::new("isAbs", &[STRING], BOOL, is_abs),
    Func::new("osIsAbs", &[STRING], BOOL, is_abs),
];

fn base_of(_: &mut Ctx, args: &[Value]) -> Answer {
    string(base(args.text(0)?))
}

fn dir_of(_: &mut Ctx, args: &[Value]) -> Answer {
    let path = args.text(0)?;
    let end = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    string(clean(&path[..end]))
}

fn clean_of(_: &mut Ctx, args: &[Value]) -> Answer {
    string(clean(args.text(0)?))
}

fn ext_of(_: &mut Ctx, args: &[Value]) -> Answer {
    let path = args.text(0)?;
    let name = memchr::memrchr(b'/', path).map_or(&path[..], |slash| &path[slash + 1..]);
    string(memchr::memrchr(b'.', name).map_or(&b""[..], |dot| &name[dot..]))
}

fn is_abs(_: &mut Ctx, args: &[Value]) -> Answer {
    Ok(Value::Bool(args.text(0)?.starts_with(b"/")))
}

/// Go's `path.Base`.
fn base(path: &[u8]) -> &[u8] {
    let Some(last) = path.iter().rposition(|byte| *byte != b'/') else {
        return if path.is_empty() { b"." } else { b"/" };
    };
    let path = &path[..=last];
    memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..])
}

/// Go's `path.Clean`.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let mut cleaned = parts.join(&b"/"[..]);
    if rooted {
        cleaned.insert(0, b'/');
    } else if cleaned.is_empty() {
        cleaned.push(b'.');
    }
    cleaned
}
