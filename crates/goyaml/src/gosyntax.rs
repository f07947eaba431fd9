//! Values as Go's `%#v` prints them, for error texts.

use std::fmt::Write;

use crate::decode::decode_base64;
use crate::json;
use crate::number;
use crate::resolve::{Resolved, Schema, resolve};
use crate::tape::{NodeKind, Tape};

/// Longest text printed; aliases can make a short document very long.
const MAX_LEN: usize = 64 * 1024;

/// Deepest nesting printed.
const MAX_DEPTH: usize = 256;

/// Prints a node as `%#v` prints the `interface{}` it is decoded into.
pub(crate) fn format(tape: &Tape<'_>, schema: Schema, index: u32) -> String {
    let mut out = String::new();
    write_node(tape, schema, index, 0, &mut out);
    if out == "interface {}(nil)" { "<nil>".to_owned() } else { out }
}

fn write_node(tape: &Tape<'_>, schema: Schema, index: u32, depth: usize, out: &mut String) {
    let node = &tape.nodes[index as usize];
    if out.len() > MAX_LEN || depth > MAX_DEPTH {
        return;
    }
    match node.kind {
        NodeKind::Alias => write_node(tape, schema, node.target, depth + 1, out),
        NodeKind::Sequence => {
            out.push_str("[]interface {}{");
            let mut child = index + 1;
            while child < node.next {
                if child > index + 1 {
                    out.push_str(", ");
                }
                write_node(tape, schema, child, depth + 1, out);
                child = tape.nodes[child as usize].next;
            }
            out.push('}');
        }
        NodeKind::Mapping => {
            let mut entries: Vec<(String, String)> = Vec::new();
            let mut length = out.len();
            let mut key = index + 1;
            while key < node.next && length <= MAX_LEN {
                let value = tape.nodes[key as usize].next;
                let (mut name, mut shown) = (String::new(), String::new());
                write_node(tape, schema, key, depth + 1, &mut name);
                write_node(tape, schema, value, depth + 1, &mut shown);
                length += name.len() + shown.len();
                // The last of equal keys counts.
                match entries.iter_mut().find(|(known, _)| *known == name) {
                    Some(entry) => entry.1 = shown,
                    None => entries.push((name, shown)),
                }
                key = tape.nodes[value as usize].next;
            }
            entries.sort();
            out.push_str("map[interface {}]interface {}{");
            for (i, (name, shown)) in entries.iter().enumerate() {
                let separator = if i > 0 { ", " } else { "" };
                out.extend([separator, name, ":", shown]);
            }
            out.push('}');
        }
        NodeKind::Scalar => {
            let resolved = if node.tag.is_none() && !node.implicit {
                Resolved::Str
            } else {
                resolve(schema, node.tag(), &node.value).unwrap_or(Resolved::Str)
            };
            // Writing to a string cannot fail.
            let _written = match resolved {
                Resolved::Null => out.write_str("interface {}(nil)"),
                Resolved::Bool(value) => write!(out, "{value}"),
                Resolved::Int(value) => write!(out, "{value}"),
                Resolved::Uint(value) => write!(out, "{value:#x}"),
                Resolved::Float(value) => out.write_str(&number::format_g(value)),
                Resolved::Binary => {
                    let bytes = decode_base64(node.value.as_bytes()).unwrap_or_default();
                    out.write_str(&json::quote_go(&json::go_utf8(&bytes)))
                }
                _ => out.write_str(&json::quote_go(&node.value)),
            };
        }
    }
}
