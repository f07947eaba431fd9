//! Values as Go's `%#v` prints them, for error texts.

use std::fmt::Write;

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

/// Prints a scalar that is a key.
pub(crate) fn format_key(tape: &Tape<'_>, schema: Schema, index: u32) -> String {
    format(tape, schema, index)
}

fn write_node(tape: &Tape<'_>, schema: Schema, index: u32, depth: usize, out: &mut String) {
    let node = &tape.nodes[index as usize];
    if out.len() > MAX_LEN || depth > MAX_DEPTH {
        return;
    }
    match node.kind {
        NodeKind::Alias => write_node(tape, schema, node.target, depth + 1, out),
        NodeKind::Mapping | NodeKind::Sequence => {
            let mapping = node.kind == NodeKind::Mapping;
            out.push_str(if mapping { "map[interface {}]interface {}{" } else { "[]interface {}{" });
            let mut child = index + 1;
            let mut separator = "";
            while child < node.next {
                out.push_str(separator);
                write_node(tape, schema, child, depth + 1, out);
                child = tape.nodes[child as usize].next;
                if mapping {
                    out.push(':');
                    write_node(tape, schema, child, depth + 1, out);
                    child = tape.nodes[child as usize].next;
                }
                separator = ", ";
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
                _ => out.write_str(&json::quote_go(&node.value)),
            };
        }
    }
}
