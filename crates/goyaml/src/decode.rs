//! Nodes to values: go-yaml's decoder into `interface{}`, then the conversion to JSON of `sigs.k8s.io/yaml`.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::build::Build;
use crate::error::{Error, ErrorKind, Result};
use crate::gosyntax;
use crate::number;
use crate::resolve::{MERGE_TAG, Resolved, Schema, resolve};
use crate::scan::Style;
use crate::tape::{Node, NodeKind, Tape};
use crate::value::Number;

/// How to read YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Which rules decide what a plain scalar means.
    pub schema: Schema,
    /// Whether a key that a map already has is an error.
    pub strict: bool,
    /// How deep collections may nest. The decoder and the tree it builds are recursive, so this bounds the stack.
    pub max_depth: usize,
}

impl Options {
    /// Nesting that a 2 MiB stack holds with room to spare, without optimisation too. go-yaml itself stops at 10000.
    pub const DEFAULT_MAX_DEPTH: usize = 256;
}

impl Default for Options {
    fn default() -> Self {
        Self { schema: Schema::V2, strict: false, max_depth: Self::DEFAULT_MAX_DEPTH }
    }
}

/// Entries of a map above which keys are found by hash.
const HASH_FROM: usize = 16;

/// How many repeats of one key are reported with each earlier one.
const MAX_DUPLICATES: usize = 16;

/// A key that JSON cannot have, by nodes.
#[derive(Debug, Clone, Copy)]
struct BadKey {
    type_name: &'static str,
    map: u32,
    key: u32,
    value: u32,
}

/// What JSON cannot have: found while decoding, but it fails only after all of it, and not at all if another value
/// takes its place in a map.
#[derive(Debug, Default)]
struct Pending {
    /// The first bad key.
    key: Option<BadKey>,
    /// The first infinite number or NaN, and the node it is.
    number: Option<(f64, u32)>,
}

impl Pending {
    fn or(self, other: Self) -> Self {
        Self { key: self.key.or(other.key), number: self.number.or(other.number) }
    }

    /// Keys fail first: they are checked before any JSON is written.
    fn into_error(self, tape: &Tape<'_>, schema: Schema) -> Error {
        let (node, text) = match (self.key, self.number) {
            (Some(BadKey { type_name, key, value, .. }), _) => {
                let shown = gosyntax::format(tape, schema, key);
                let value = gosyntax::format(tape, schema, value);
                (key, format!("unsupported map key of type: {type_name}, key: {shown}, value: {value}"))
            }
            (None, Some((number, node))) => {
                (node, format!("json: unsupported value: {}", number::format_g(number)))
            }
            (None, None) => (0, String::new()),
        };
        let start = tape.nodes[node as usize].start;
        Error::new(ErrorKind::Json, text).at(start.line + 1, start.column + 1)
    }
}

/// What kind of scalar a key was; go-yaml tells `1` from `"1"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Null,
    Bool,
    Int,
    Float,
    String,
}

struct Entries<'a, N> {
    list: Vec<(Cow<'a, str>, N)>,
    /// Only where duplicates are looked for.
    kinds: Option<Vec<KeyKind>>,
    index: HashMap<Cow<'a, str>, usize>,
    /// Whether a key that is there already keeps its value.
    keep: bool,
    /// What JSON cannot have within the values, by entry.
    pending: Vec<(usize, Pending)>,
}

impl<'a, N> Entries<'a, N> {
    fn new(strict: bool) -> Self {
        Self {
            list: Vec::with_capacity(4),
            kinds: strict.then(Vec::new),
            index: HashMap::new(),
            keep: false,
            pending: Vec::new(),
        }
    }

    fn find(&self, key: &str) -> Option<usize> {
        if self.list.len() < HASH_FROM {
            self.list.iter().position(|(known, _)| known == key)
        } else {
            self.index.get(key).copied()
        }
    }

    fn push(&mut self, key: Cow<'a, str>, kind: KeyKind, value: N) {
        if self.list.len() >= HASH_FROM {
            self.index.insert(key.clone(), self.list.len());
        } else if self.list.len() + 1 == HASH_FROM {
            self.index = self.list.iter().enumerate().map(|(i, (key, _))| (key.clone(), i)).collect();
            self.index.insert(key.clone(), self.list.len());
        }
        self.list.push((key, value));
        if let Some(kinds) = &mut self.kinds {
            kinds.push(kind);
        }
    }
}

pub(crate) struct Decoder<'t, 'a, B> {
    tape: &'t Tape<'a>,
    builder: &'t mut B,
    schema: Schema,
    strict: bool,
    /// Aliases being decoded, innermost last.
    aliases: Vec<u32>,
    decode_count: u64,
    alias_count: u64,
    /// Collections being decoded; with aliases they can nest deeper than in the text.
    depth: usize,
    max_depth: usize,
    type_errors: Vec<String>,
    first_type_error: Option<(u32, u32)>,
    /// What JSON cannot have of what was decoded so far, if anything.
    pending: Option<Box<Pending>>,
}

/// Decodes a document.
pub(crate) fn decode_tape<'a, B: Build>(
    tape: &Tape<'a>,
    options: Options,
    builder: &mut B,
) -> Result<B::Node> {
    let mut decoder = Decoder {
        tape,
        builder,
        schema: options.schema,
        strict: options.strict,
        aliases: Vec::new(),
        // The document itself counts.
        decode_count: 1,
        alias_count: 0,
        depth: 0,
        max_depth: options.max_depth,
        type_errors: Vec::new(),
        first_type_error: None,
        pending: None,
    };
    let value = decoder.node(0)?;
    if !decoder.type_errors.is_empty() {
        let text = format!("yaml: unmarshal errors:\n  {}", decoder.type_errors.join("\n  "));
        let (line, column) = decoder.first_type_error.unwrap_or_default();
        return Err(Error::new(ErrorKind::Decode, text).at(line, column));
    }
    match decoder.pending {
        Some(pending) => Err(pending.into_error(tape, options.schema)),
        None => Ok(value),
    }
}

/// The share of decoding that may come from aliases, in a document of this size.
fn allowed_alias_ratio(decode_count: u64) -> f64 {
    const LOW: u64 = 400_000;
    const HIGH: u64 = 4_000_000;
    match decode_count {
        ..=LOW => 0.99,
        HIGH.. => 0.10,
        _ => 0.99 - 0.89 * ((decode_count - LOW) as f64 / (HIGH - LOW) as f64),
    }
}

impl<'t, 'a: 't, B: Build> Decoder<'t, 'a, B> {
    fn fail<T>(&self, index: u32, text: impl AsRef<str>) -> Result<T> {
        let node = self.get(index);
        Err(Error::yaml(ErrorKind::Decode, text).at(node.start.line + 1, node.start.column + 1))
    }

    fn get(&self, index: u32) -> &'t Node<'a> {
        let tape = self.tape;
        &tape.nodes[index as usize]
    }

    fn count(&mut self, index: u32) -> Result<()> {
        self.decode_count += 1;
        if !self.aliases.is_empty() {
            self.alias_count += 1;
        }
        if self.alias_count > 100
            && self.decode_count > 1000
            && self.alias_count as f64 / self.decode_count as f64 > allowed_alias_ratio(self.decode_count)
        {
            let node = self.get(index);
            return Err(Error::yaml(ErrorKind::Limit, "document contains excessive aliasing")
                .at(node.start.line + 1, node.start.column + 1));
        }
        Ok(())
    }

    fn enter_alias(&mut self, index: u32) -> Result<u32> {
        if self.aliases.contains(&index) {
            let name = &self.get(index).value;
            return self.fail(index, format!("anchor '{name}' value contains itself"));
        }
        self.aliases.push(index);
        Ok(self.get(index).target)
    }

    fn node(&mut self, index: u32) -> Result<B::Node> {
        self.count(index)?;
        let kind = self.get(index).kind;
        if kind == NodeKind::Scalar {
            return self.scalar(index);
        }
        if kind == NodeKind::Alias {
            let target = self.enter_alias(index)?;
            let value = self.node(target)?;
            self.aliases.pop();
            return Ok(value);
        }
        self.deepen(index)?;
        let value = if kind == NodeKind::Mapping { self.map(index)? } else { self.sequence(index)? };
        self.depth -= 1;
        Ok(value)
    }

    fn map(&mut self, index: u32) -> Result<B::Node> {
        let mut entries = Entries::new(self.strict);
        self.mapping(index, &mut entries)?;
        // JSON is written in the order of the keys.
        let list = &entries.list;
        entries.pending.sort_by(|a, b| list[a.0].0.cmp(&list[b.0].0));
        for (_, pending) in entries.pending {
            let known = self.pending.take().map_or_else(Pending::default, |known| *known);
            self.pending = Some(Box::new(known.or(pending)));
        }
        Ok(self.builder.object(entries.list))
    }

    /// Counts one level more; an error ends the decoding, so only success counts back.
    fn deepen(&mut self, index: u32) -> Result<()> {
        self.depth += 1;
        if self.depth > self.max_depth {
            let start = self.get(index).start;
            let text = format!("line {}: exceeded max depth of {}", start.line + 1, self.max_depth);
            return Err(Error::yaml(ErrorKind::Limit, text).at(start.line + 1, start.column + 1));
        }
        Ok(())
    }

    fn resolve(&self, index: u32) -> Result<Resolved> {
        let node = self.get(index);
        resolve_node(self.schema, node).map_err(|error| error.at(node.start.line + 1, node.start.column + 1))
    }

    fn binary(&self, index: u32) -> Result<String> {
        match decode_base64(self.get(index).value.as_bytes()) {
            Some(bytes) => Ok(crate::json::go_utf8(&bytes).into_owned()),
            None => self.fail(index, "!!binary value contains invalid base64 data"),
        }
    }

    fn scalar(&mut self, index: u32) -> Result<B::Node> {
        let node = self.get(index);
        Ok(match self.resolve(index)? {
            Resolved::Null => self.builder.null(),
            Resolved::Bool(value) => self.builder.bool(value),
            Resolved::Int(value) => self.builder.number(Number::Int(value)),
            Resolved::Uint(value) => self.builder.number(Number::Uint(value)),
            Resolved::Float(value) if value.is_finite() => self.builder.number(Number::Float(value)),
            Resolved::Float(value) => {
                self.pending.get_or_insert_default().number.get_or_insert((value, index));
                self.builder.null()
            }
            Resolved::Str | Resolved::Timestamp | Resolved::Tagged => {
                self.builder.string(Cow::Borrowed(&node.value))
            }
            Resolved::Binary => {
                let text = self.binary(index)?;
                self.builder.string(Cow::Owned(text))
            }
        })
    }

    fn sequence(&mut self, index: u32) -> Result<B::Node> {
        let end = self.get(index).next;
        let mut items = Vec::new();
        let mut child = index + 1;
        while child < end {
            items.push(self.node(child)?);
            child = self.get(child).next;
        }
        Ok(self.builder.array(items))
    }

    fn mapping(&mut self, index: u32, entries: &mut Entries<'t, B::Node>) -> Result<()> {
        let v3 = self.schema == Schema::V3;
        if v3 && self.has_duplicates(index) {
            return Ok(());
        }
        let end = self.get(index).next;
        let mut merged = None;
        let mut key = index + 1;
        while key < end {
            let value = self.get(key).next;
            let next = self.get(value).next;
            if !is_merge(self.schema, self.get(key)) {
                self.entry(index, key, value, entries)?;
            } else if v3 {
                merged = Some(value);
            } else {
                self.merge(value, entries)?;
            }
            key = next;
        }
        if let Some(value) = merged {
            // go-yaml v3 merges last, and only what the map does not have.
            let keep = std::mem::replace(&mut entries.keep, true);
            self.merge(value, entries)?;
            entries.keep = keep;
        }
        Ok(())
    }

    /// Reports the keys that occur twice, as go-yaml v3 does whether strict or not.
    fn has_duplicates(&mut self, index: u32) -> bool {
        let end = self.get(index).next;
        let mut seen: HashMap<(NodeKind, &str), Vec<u32>> = HashMap::new();
        let mut key = index + 1;
        while key < end {
            let node = self.get(key);
            seen.entry((node.kind, &node.value)).or_default().push(key);
            key = self.get(node.next).next;
        }
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for keys in seen.values() {
            // Every later key with every earlier one, as long as that stays readable.
            for (i, &first) in keys.iter().enumerate().take(MAX_DUPLICATES) {
                pairs.extend(keys[i + 1..].iter().take(MAX_DUPLICATES).map(|&later| (first, later)));
            }
        }
        pairs.sort_unstable();
        for &(first, later) in &pairs {
            let (first, later) = (self.get(first), self.get(later));
            let (line, shown) = (later.start.line + 1, crate::json::quote_go(&later.value));
            let first = first.start.line + 1;
            self.type_errors
                .push(format!("line {line}: mapping key {shown} already defined at line {first}"));
            self.first_type_error.get_or_insert((line, later.start.column + 1));
        }
        !pairs.is_empty()
    }

    fn entry(&mut self, map: u32, key: u32, value: u32, entries: &mut Entries<'t, B::Node>) -> Result<()> {
        let (name, kind) = self.key(map, key, value)?;
        let outside = self.pending.take();
        self.builder.enter(&name);
        let decoded = self.node(value)?;
        self.builder.leave();
        let own = std::mem::replace(&mut self.pending, outside);
        match entries.find(&name) {
            None => {
                entries.pending.extend(own.map(|own| (entries.list.len(), *own)));
                entries.push(name, kind, decoded);
            }
            Some(_) if entries.keep => {}
            Some(found) => {
                if entries.kinds.as_ref().is_some_and(|kinds| kinds[found] == kind) {
                    let node = self.get(value);
                    let shown = gosyntax::format(self.tape, self.schema, self.key_target(key));
                    self.type_errors
                        .push(format!("line {}: key {shown} already set in map", node.start.line + 1));
                    if self.first_type_error.is_none() {
                        let key = self.get(key);
                        self.first_type_error = Some((key.start.line + 1, key.start.column + 1));
                    }
                    return Ok(());
                }
                entries.pending.retain(|&(entry, _)| entry != found);
                entries.pending.extend(own.map(|own| (found, *own)));
                entries.list[found].1 = decoded;
                if let Some(kinds) = &mut entries.kinds {
                    kinds[found] = kind;
                }
            }
        }
        Ok(())
    }

    /// The node behind a key that may be an alias.
    fn key_target(&self, mut key: u32) -> u32 {
        while self.get(key).kind == NodeKind::Alias {
            key = self.get(key).target;
        }
        key
    }

    /// Decodes a key and makes it the string that JSON needs.
    fn key(&mut self, map: u32, index: u32, value: u32) -> Result<(Cow<'t, str>, KeyKind)> {
        self.count(index)?;
        let node = self.get(index);
        match node.kind {
            NodeKind::Alias => {
                let target = self.enter_alias(index)?;
                let key = self.key(map, target, value)?;
                self.aliases.pop();
                return Ok(key);
            }
            NodeKind::Mapping | NodeKind::Sequence => {
                // go-yaml decodes the key before it refuses it, and may fail there.
                self.check(index)?;
                let shown = gosyntax::format(self.tape, self.schema, index);
                return self.fail(index, format!("invalid map key: {shown}"));
            }
            NodeKind::Scalar => {}
        }
        let text: &'t str = &node.value;
        let resolved = self.resolve(index)?;
        if self.schema == Schema::V3 && resolved != Resolved::Binary {
            // Decoded into a map with string keys, a key is its text.
            return Ok((Cow::Borrowed(text), KeyKind::String));
        }
        Ok(match resolved {
            Resolved::Bool(true) => (Cow::Borrowed("true"), KeyKind::Bool),
            Resolved::Bool(false) => (Cow::Borrowed("false"), KeyKind::Bool),
            Resolved::Int(number) => (Cow::Owned(number.to_string()), KeyKind::Int),
            Resolved::Float(number) => {
                let shown = match number::format_g32(number as f32) {
                    shown if shown == "+Inf" => ".inf".to_owned(),
                    shown if shown == "-Inf" => "-.inf".to_owned(),
                    shown if shown == "NaN" => ".nan".to_owned(),
                    shown => shown,
                };
                (Cow::Owned(shown), KeyKind::Float)
            }
            Resolved::Null => {
                let bad = BadKey { type_name: "%!s(<nil>)", map, key: index, value };
                match &mut self.pending.get_or_insert_default().key {
                    // The last of equal keys counts.
                    Some(known) if known.map == map && known.type_name == bad.type_name => *known = bad,
                    Some(_) => {}
                    none => *none = Some(bad),
                }
                (Cow::Borrowed(text), KeyKind::Null)
            }
            Resolved::Uint(_) => {
                let known = &mut self.pending.get_or_insert_default().key;
                known.get_or_insert(BadKey { type_name: "uint64", map, key: index, value });
                (Cow::Borrowed(text), KeyKind::Int)
            }
            Resolved::Binary => (Cow::Owned(self.binary(index)?), KeyKind::String),
            Resolved::Str | Resolved::Timestamp | Resolved::Tagged => (Cow::Borrowed(text), KeyKind::String),
        })
    }

    /// Decodes the contents of a node for its errors only.
    fn check(&mut self, index: u32) -> Result<()> {
        match self.get(index).kind {
            NodeKind::Mapping => {
                let mut entries = Entries::new(self.strict);
                self.mapping(index, &mut entries)
            }
            _ => self.sequence(index).map(drop),
        }
    }

    fn merge(&mut self, index: u32, entries: &mut Entries<'t, B::Node>) -> Result<()> {
        let node = self.get(index);
        match node.kind {
            NodeKind::Mapping | NodeKind::Alias => self.merge_one(index, entries),
            NodeKind::Sequence => {
                let mut children = Vec::new();
                let mut child = index + 1;
                while child < node.next {
                    children.push(child);
                    child = self.get(child).next;
                }
                // Earlier maps take precedence: they come last, or first where what is there stays.
                if self.schema == Schema::V2 {
                    children.reverse();
                }
                for &child in &children {
                    if !matches!(self.get(child).kind, NodeKind::Mapping | NodeKind::Alias) {
                        return self.merge_wants_map(index);
                    }
                    self.merge_one(child, entries)?;
                }
                Ok(())
            }
            NodeKind::Scalar => self.merge_wants_map(index),
        }
    }

    fn merge_wants_map<T>(&self, index: u32) -> Result<T> {
        self.fail(index, "map merge requires map or sequence of maps as the value")
    }

    fn merge_one(&mut self, index: u32, entries: &mut Entries<'t, B::Node>) -> Result<()> {
        self.count(index)?;
        self.deepen(index)?;
        if self.get(index).kind == NodeKind::Mapping {
            self.mapping(index, entries)?;
            self.depth -= 1;
            return Ok(());
        }
        if self.get(self.get(index).target).kind != NodeKind::Mapping {
            return self.merge_wants_map(index);
        }
        let target = self.enter_alias(index)?;
        self.count(target)?;
        self.mapping(target, entries)?;
        self.aliases.pop();
        self.depth -= 1;
        Ok(())
    }
}

/// What a scalar means, by its tag, its style and its text.
pub(crate) fn resolve_node(schema: Schema, node: &Node<'_>) -> Result<Resolved> {
    match node.tag() {
        "" if !node.implicit => Ok(Resolved::Str),
        // To go-yaml v3 a lone `!` is no tag.
        "!" if schema == Schema::V3 && node.style != Style::Plain => Ok(Resolved::Str),
        "!" if schema == Schema::V3 => resolve(schema, "", &node.value),
        tag => resolve(schema, tag, &node.value),
    }
}

pub(crate) fn is_merge(schema: Schema, node: &Node<'_>) -> bool {
    // To go-yaml v3 a quoted `<<` merges as well.
    let implicit = node.implicit || (schema == Schema::V3 && node.tag.is_none());
    node.kind == NodeKind::Scalar && node.value == "<<" && (implicit || node.tag() == MERGE_TAG)
}

/// Standard base64 with padding; line breaks are skipped.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut quantum = 0u32;
    let mut filled = 0;
    let mut padding = 0;
    for &c in text {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'\r' | b'\n' => continue,
            b'=' if filled + padding >= 2 && padding < 2 => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        quantum = quantum << 6 | u32::from(digit);
        filled += 1;
        if filled == 4 {
            out.extend_from_slice(&quantum.to_be_bytes()[1..]);
            quantum = 0;
            filled = 0;
        }
    }
    match (filled, padding) {
        (0, 0) => {}
        (2, 2) => out.push((quantum >> 4) as u8),
        (3, 1) => out.extend_from_slice(&((quantum >> 2) as u16).to_be_bytes()),
        _ => return None,
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::decode_base64;

    #[test]
    fn base64_is_strict_about_padding_only() {
        assert_eq!(decode_base64(b"aGVsbG8=").unwrap(), b"hello");
        assert_eq!(decode_base64(b"aGVs\nbG8=\n").unwrap(), b"hello");
        assert_eq!(decode_base64(b"aA==").unwrap(), b"h");
        assert_eq!(decode_base64(b"").unwrap(), b"");
        for bad in [&b"aGVsbG8"[..], b"a===", b"aA=", b"aA==x", b"a b=", b"===="] {
            assert_eq!(decode_base64(bad), None);
        }
    }
}
