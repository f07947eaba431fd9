//! Values as Go's `%#v` prints them, for error texts.

use std::fmt::Write;

use crate::decode::{decode_base64, is_merge, resolve_node};
use crate::json;
use crate::number;
use crate::resolve::{Resolved, Schema};
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
            let mut entries = Vec::new();
            collect(tape, schema, index, depth + 1, &mut entries);
            entries.sort();
            let strings = schema == Schema::V3 && entries.iter().all(|(name, _)| name.starts_with('"'));
            out.push_str(if strings { "map[string]interface {}{" } else { "map[interface {}]interface {}{" });
            for (i, (name, shown)) in entries.iter().enumerate() {
                let separator = if i > 0 { ", " } else { "" };
                out.extend([separator, name, ":", shown]);
            }
            out.push('}');
        }
        NodeKind::Scalar => {
            let resolved = resolve_node(schema, node).unwrap_or(Resolved::Str);
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

/// Prints the entries of a map, merged ones among them; the last of equal keys counts.
fn collect(tape: &Tape<'_>, schema: Schema, index: u32, depth: usize, entries: &mut Vec<(String, String)>) {
    let node = &tape.nodes[index as usize];
    let length = entries.iter().map(|(name, shown)| name.len() + shown.len()).sum::<usize>();
    if depth > MAX_DEPTH || length > MAX_LEN {
        return;
    }
    match node.kind {
        NodeKind::Scalar => {}
        NodeKind::Alias => collect(tape, schema, node.target, depth + 1, entries),
        NodeKind::Sequence => {
            let mut children = Vec::new();
            let mut child = index + 1;
            while child < node.next {
                children.push(child);
                child = tape.nodes[child as usize].next;
            }
            for &child in children.iter().rev() {
                collect(tape, schema, child, depth + 1, entries);
            }
        }
        NodeKind::Mapping => {
            let mut key = index + 1;
            let mut left = MAX_LEN;
            while key < node.next && left > 0 {
                let value = tape.nodes[key as usize].next;
                if is_merge(schema, &tape.nodes[key as usize]) {
                    collect(tape, schema, value, depth + 1, entries);
                } else {
                    let (mut name, mut shown) = (String::new(), String::new());
                    write_node(tape, schema, key, depth + 1, &mut name);
                    write_node(tape, schema, value, depth + 1, &mut shown);
                    left = left.saturating_sub(name.len() + shown.len());
                    match entries.iter_mut().find(|(known, _)| *known == name) {
                        Some(entry) => entry.1 = shown,
                        None => entries.push((name, shown)),
                    }
                }
                key = tape.nodes[value as usize].next;
            }
        }
    }
}
