//! The text of a document as a tree that knows where everything stands: styles, comments, places, order of keys.
//!
//! For messages that name a line, and for changing one scalar while all other bytes stay ([`string_edit`]).

use std::collections::HashMap;
use std::ops::Range;

use crate::decode::Options;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::Parser;
use crate::resolve::{Resolved, STR_TAG, Schema, resolve};
pub use crate::scan::Style;
use crate::scan::{Comment, Source};
use crate::tape::{NodeKind, Tape};

/// A node of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is, with its children.
    pub content: Content,
    /// How it is written.
    pub style: Style,
    /// Its tag in full (`tag:yaml.org,2002:str`), if one is written.
    pub tag: Option<String>,
    /// Its anchor's name, if it has one.
    pub anchor: Option<String>,
    /// The 1-based line where it starts, after its anchor and tag.
    pub line: u32,
    /// The 1-based column, in characters, where it starts.
    pub column: u32,
    /// The bytes of the text that it takes, quotes and block header included, anchor and tag not.
    pub span: Range<usize>,
    /// Whether it stands inside `[]` or `{}`.
    pub in_flow: bool,
    /// The comment lines right before it, with their `#`.
    pub head_comment: String,
    /// The comment at the end of its line, with its `#`.
    pub line_comment: String,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A scalar's text, without quotes and escapes.
    Scalar(String),
    /// The items of a list.
    Sequence(Vec<Node>),
    /// Keys and values of a map, in order; a key may occur twice.
    Mapping(Vec<(Node, Node)>),
    /// The anchor's name that an alias refers to.
    Alias(String),
}

/// A document as a tree of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDocument {
    /// The root; an empty document has an empty plain scalar.
    pub root: Node,
    /// The 1-based line of its `---`, or of its first content.
    pub line: u32,
    /// Comment lines after the last node, with their `#`.
    pub foot_comment: String,
}

/// Reads all documents of a text as trees of nodes.
pub fn parse_nodes(text: &str, options: Options) -> Result<Vec<NodeDocument>> {
    let mut parser = Parser::new(Source::new(text)?, options.schema);
    parser.scanner.comments = Some(Vec::new());
    let mut tapes = Vec::new();
    while let Some(tape) = Tape::read(&mut parser, options.max_depth)? {
        tapes.push(tape);
    }
    let comments = parser.scanner.comments.take().unwrap_or_default();
    let mut comments = comments.as_slice();
    let mut documents = Vec::with_capacity(tapes.len());
    for (i, tape) in tapes.iter().enumerate() {
        // What stands before the next document's start belongs to this one.
        let end = tapes.get(i + 1).map_or(u32::MAX, |next| next.start.pos);
        let count = comments.iter().take_while(|comment| comment.start.pos < end).count();
        let (own, rest) = comments.split_at(count);
        comments = rest;
        let mut attached = attach(text, tape, own);
        documents.push(NodeDocument {
            root: build(tape, 0, false, &mut attached),
            line: tape.start.line + 1,
            foot_comment: attached.foot,
        });
    }
    Ok(documents)
}

/// Comments by the node they belong to.
#[derive(Default)]
struct Attached {
    head: HashMap<u32, String>,
    line: HashMap<u32, String>,
    foot: String,
}

fn attach(text: &str, tape: &Tape<'_>, comments: &[Comment]) -> Attached {
    let mut attached = Attached::default();
    if comments.is_empty() {
        return attached;
    }
    let nodes = &tape.nodes;
    let is_leaf = |index: &u32| {
        let node = &nodes[*index as usize];
        matches!(node.kind, NodeKind::Scalar | NodeKind::Alias)
    };
    let leaves: Vec<u32> = (0..nodes.len() as u32).filter(is_leaf).collect();
    let mut closed: Vec<u32> = (0..nodes.len() as u32)
        .filter(|&index| !is_leaf(&index) && nodes[index as usize].style == Style::Flow)
        .collect();
    closed.sort_by_key(|&index| nodes[index as usize].end.pos);
    let feet = feet(text, comments);
    for (comment, is_foot) in comments.iter().zip(feet) {
        let at = comment.start.pos;
        let shown = text[at as usize..comment.end as usize].trim_end();
        let before = leaves.partition_point(|&index| nodes[index as usize].content.pos < at);
        let leaf = before.checked_sub(1).map(|i| leaves[i]);
        // The comment behind `|` stands within the scalar.
        let block = leaf.filter(|&index| nodes[index as usize].end.pos > at);
        let on_line = |index: &u32| {
            let end = nodes[*index as usize].end;
            end.pos <= at && end.line == comment.start.line && end.column > 0
        };
        let close = closed.partition_point(|&index| nodes[index as usize].end.pos <= at);
        let close = close.checked_sub(1).map(|i| closed[i]).filter(on_line);
        let ended = leaf.filter(on_line);
        let owner = match (close, ended) {
            (Some(close), Some(leaf)) if nodes[close as usize].end.pos < nodes[leaf as usize].end.pos => {
                Some(leaf)
            }
            (close, leaf) => close.or(leaf),
        };
        if let Some(index) = block.or(owner) {
            attached.line.entry(index).or_insert_with(|| shown.to_owned());
            continue;
        }
        let next = nodes.partition_point(|node| node.start.pos < at);
        if is_foot && next < nodes.len() {
            continue;
        }
        let lines = match nodes.get(next) {
            Some(_) => attached.head.entry(next as u32).or_default(),
            None => &mut attached.foot,
        };
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(shown);
    }
    attached
}

/// Which comments belong to what stands above them, as go-yaml v3 sees it: lines right below some content, and an empty
/// line after them. They are the comment of no node after them.
fn feet(text: &str, comments: &[Comment]) -> Vec<bool> {
    let line_before = |at: usize| {
        let start = text[..at].rfind('\n')?;
        Some(text[text[..start].rfind('\n').map_or(0, |line| line + 1)..start].trim())
    };
    let mut feet = Vec::with_capacity(comments.len());
    let mut below_content = false;
    for (i, comment) in comments.iter().enumerate() {
        let follows = i.checked_sub(1).and_then(|before| comments.get(before));
        let follows = follows.is_some_and(|before| before.start.line + 1 == comment.start.line);
        if !follows || !line_before(comment.start.pos as usize).is_some_and(|line| line.starts_with('#')) {
            below_content = line_before(comment.start.pos as usize)
                .map(|line| line.split(" #").next().unwrap_or(line).trim_end())
                .is_some_and(|line| !line.is_empty() && !line.starts_with('#') && !line.ends_with(':'));
        }
        feet.push(below_content);
    }
    // The block ends in an empty line, or none of it is a foot.
    let mut ends_empty = false;
    for (i, comment) in comments.iter().enumerate().rev() {
        let goes_on = comments.get(i + 1).is_some_and(|next| next.start.line == comment.start.line + 1);
        if !goes_on {
            let rest = &text[comment.end as usize..];
            let mut lines = rest.split('\n').skip(1);
            ends_empty = lines.next().is_some_and(|line| line.trim().is_empty());
        }
        feet[i] &= ends_empty;
    }
    feet
}

fn build(tape: &Tape<'_>, index: u32, in_flow: bool, attached: &mut Attached) -> Node {
    let node = &tape.nodes[index as usize];
    let inside = in_flow || node.style == Style::Flow;
    let content = match node.kind {
        NodeKind::Scalar => Content::Scalar(node.value.clone().into_owned()),
        NodeKind::Alias => Content::Alias(node.value.clone().into_owned()),
        NodeKind::Sequence => {
            let mut items = Vec::new();
            let mut child = index + 1;
            while child < node.next {
                items.push(build(tape, child, inside, attached));
                child = tape.nodes[child as usize].next;
            }
            Content::Sequence(items)
        }
        NodeKind::Mapping => {
            let mut entries = Vec::new();
            let mut key = index + 1;
            while key < node.next {
                let value = tape.nodes[key as usize].next;
                entries.push((build(tape, key, inside, attached), build(tape, value, inside, attached)));
                key = tape.nodes[value as usize].next;
            }
            Content::Mapping(entries)
        }
    };
    Node {
        content,
        style: node.style,
        tag: node.tag.as_deref().map(str::to_owned),
        anchor: node.anchor.as_deref().map(str::to_owned),
        line: node.content.line + 1,
        column: node.content.column + 1,
        span: node.content.pos as usize..node.end.pos.max(node.content.pos) as usize,
        in_flow,
        head_comment: attached.head.remove(&index).unwrap_or_default(),
        line_comment: attached.line.remove(&index).unwrap_or_default(),
    }
}

impl Node {
    /// The text, if this is a scalar.
    pub fn as_scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if this is a list.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.content {
            Content::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Keys and values, if this is a map.
    pub fn as_mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.content {
            Content::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// Key and value under a scalar key; the last, where it occurs more than once.
    pub fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        let mut entries = self.as_mapping()?.iter().rev();
        entries.find(|(found, _)| found.as_scalar() == Some(key)).map(|(key, value)| (key, value))
    }

    /// The value under a scalar key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The node a JSON pointer (`/spec/containers/0/image`) leads to; aliases are not followed.
    pub fn pointer(&self, pointer: &str) -> Option<&Node> {
        let Some(path) = pointer.strip_prefix('/') else {
            return pointer.is_empty().then_some(self);
        };
        path.split('/').try_fold(self, |node, part| match &node.content {
            Content::Sequence(items) => items.get(part.parse::<usize>().ok()?),
            Content::Mapping(_) => node.get(&part.replace("~1", "/").replace("~0", "~")),
            _ => None,
        })
    }

    /// Visits this node and all below it in the order of the text, keys before values, each with its JSON pointer.
    pub fn visit<'n>(&'n self, visitor: &mut dyn FnMut(&str, &'n Node)) {
        self.visit_at(&mut String::new(), visitor);
    }

    fn visit_at<'n>(&'n self, path: &mut String, visitor: &mut dyn FnMut(&str, &'n Node)) {
        visitor(path, self);
        let length = path.len();
        match &self.content {
            Content::Scalar(_) | Content::Alias(_) => {}
            Content::Sequence(items) => {
                for (i, item) in items.iter().enumerate() {
                    path.push('/');
                    path.push_str(&i.to_string());
                    item.visit_at(path, visitor);
                    path.truncate(length);
                }
            }
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    path.push('/');
                    path.push_str(&key.as_scalar().unwrap_or_default().replace('~', "~0").replace('/', "~1"));
                    visitor(path, key);
                    value.visit_at(path, visitor);
                    path.truncate(length);
                }
            }
        }
    }

    /// The keys that a map of this tree already has where they occur, each with the first of its name.
    pub fn duplicate_keys(&self) -> Vec<(&Node, &Node)> {
        let mut found = Vec::new();
        self.visit(&mut |_, node| {
            let Some(entries) = node.as_mapping() else { return };
            let mut seen: HashMap<&str, &Node> = HashMap::with_capacity(entries.len());
            for (key, _) in entries {
                let Some(name) = key.as_scalar() else { continue };
                match seen.get(name) {
                    Some(first) => found.push((key, *first)),
                    None => {
                        seen.insert(name, key);
                    }
                }
            }
        });
        found
    }

    /// Whether a scalar is a string under the rules of `schema`.
    pub fn is_string(&self, schema: Schema) -> bool {
        let Some(text) = self.as_scalar() else { return false };
        match &self.tag {
            Some(tag) => tag == STR_TAG || tag == "!",
            None if self.style != Style::Plain => true,
            None => matches!(resolve(schema, "", text), Ok(Resolved::Str)),
        }
    }
}

/// A change of a text: these bytes give way to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes that go.
    pub span: Range<usize>,
    /// What comes in their place.
    pub text: String,
}

impl Edit {
    /// The text with this change in it.
    pub fn apply(&self, source: &str) -> String {
        let mut out = String::with_capacity(source.len() + self.text.len());
        out.push_str(&source[..self.span.start]);
        out.push_str(&self.text);
        out.push_str(&source[self.span.end..]);
        out
    }
}

/// The change that makes one scalar of `source` the string `text` and leaves every other byte as it is.
///
/// `node` must come from [`parse_nodes`] of this very `source`. The style stays where the new text allows it: quotes are
/// kept, a block scalar keeps its header, its comment and its indentation. What was plain stays plain unless the text
/// would then not be read as this string by YAML 1.1 or 1.2: kyaml's rule for setters.
pub fn string_edit(source: &str, node: &Node, text: &str) -> Result<Edit> {
    let refuse = |reason: &str| {
        let text = format!("cannot set the value at line {}: {reason}", node.line);
        Error::new(ErrorKind::Emit, text).at(node.line, node.column)
    };
    if node.as_scalar().is_none() {
        return Err(refuse("it is not a scalar"));
    }
    let Some(found) = source.get(node.span.clone()) else {
        return Err(refuse("it does not stand in this text"));
    };
    if matches!(node.style, Style::Literal | Style::Folded) {
        return Ok(block_edit(source, node, text));
    }
    let reads_as_string =
        [Schema::V2, Schema::V3].iter().all(|&schema| matches!(resolve(schema, "", text), Ok(Resolved::Str)));
    let writable = crate::emit::plain_writable(text, node.in_flow);
    let mut replacement = match node.style {
        Style::SingleQuoted if crate::emit::single_quotable(text) => single_quoted(text),
        Style::Plain if writable && reads_as_string => text.to_owned(),
        Style::Plain if !writable && !text.is_empty() && crate::emit::single_quotable(text) => {
            single_quoted(text)
        }
        _ => crate::emit::double_quoted(text),
    };
    if found.is_empty() {
        if !source[..node.span.start].is_empty() && !source[..node.span.start].ends_with([' ', '\t', '\n']) {
            replacement.insert(0, ' ');
        }
        if source[node.span.end..].starts_with('#') {
            replacement.push(' ');
        }
    }
    Ok(Edit { span: node.span.clone(), text: replacement })
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A block scalar stays one, of a single line: its header with comment, its indentation and the empty lines behind it are
/// kept. What cannot stand in it comes in quotes, before the header's comment.
fn block_edit(source: &str, node: &Node, text: &str) -> Edit {
    let found = &source[node.span.clone()];
    let (header, body) = found.split_at(found.find('\n').map_or(found.len(), |at| at + 1));
    let (style, rest) = header.split_at(1);
    let indicators = rest.bytes().take_while(|c| matches!(c, b'0'..=b'9' | b'+' | b'-')).count();
    let (indicators, rest) = rest.split_at(indicators);
    let first = body.split_inclusive('\n').find(|line| !line.trim().is_empty());
    let kept = body.trim_end_matches(['\n', '\r', ' ']).len();
    let end = node.span.start + header.len() + kept;
    let writable = !text.is_empty() && !text.starts_with([' ', '\t']) && crate::emit::single_quotable(text);
    let text = match first {
        Some(first) if writable && !indicators.contains(|c: char| c.is_ascii_digit()) => {
            let indent = &first[..first.len() - first.trim_start_matches(' ').len()];
            format!("{style}-{rest}{indent}{text}")
        }
        Some(_) => crate::emit::double_quoted(text) + rest.trim_end_matches(['\r', '\n']),
        None => crate::emit::double_quoted(text) + rest,
    };
    Edit { span: node.span.start..end, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# licence

# about a
a: 1 # one
b:   # list
- x  # first
# about y
- 'y'   # second
c: {d: [1, 2], e: z} # flow
f: | # block
  text
g: # nothing
h: &anchor !!str 12
é: \"q\"
# foot
";

    fn root() -> Node {
        parse_nodes(TEXT, Options::default()).unwrap().remove(0).root
    }

    #[test]
    fn places_are_known() {
        let root = root();
        for (pointer, line, column, text) in [
            ("/a", 4, 4, "1"),
            ("/b/1", 8, 3, "'y'"),
            ("/c/d/1", 9, 12, "2"),
            ("/f", 10, 4, "| # block\n  text\n"),
            ("/h", 13, 18, "12"),
            ("/é", 14, 4, "\"q\""),
        ] {
            let node = root.pointer(pointer).unwrap();
            assert_eq!((node.line, node.column), (line, column), "{pointer}");
            assert_eq!(&TEXT[node.span.clone()], text, "{pointer}");
        }
        let (key, _) = root.entry("é").unwrap();
        assert_eq!((key.line, &TEXT[key.span.clone()]), (14, "é"));
        assert_eq!(root.pointer("/h").unwrap().anchor.as_deref(), Some("anchor"));
        assert_eq!(root.pointer("/nope/1"), None);
    }

    #[test]
    fn comments_are_attached() {
        let document = parse_nodes(TEXT, Options::default()).unwrap().remove(0);
        let root = &document.root;
        assert_eq!(root.head_comment, "# licence\n# about a");
        assert_eq!(document.foot_comment, "# foot");
        for (pointer, comment) in [
            ("/a", "# one"),
            ("/b/0", "# first"),
            ("/b/1", "# second"),
            ("/c", "# flow"),
            ("/f", "# block"),
            ("/g", "# nothing"),
        ] {
            assert_eq!(root.pointer(pointer).unwrap().line_comment, comment, "{pointer}");
        }
        assert_eq!(root.entry("b").unwrap().0.line_comment, "# list");
        assert_eq!(root.pointer("/b/1").unwrap().head_comment, "# about y");
    }

    #[test]
    fn a_string_is_set_in_place() {
        let root = root();
        for (pointer, new, expected) in [
            ("/a", "v2", "a: v2 # one"),
            ("/a", "2", "a: \"2\" # one"),
            ("/a", "1.0.1", "a: 1.0.1 # one"),
            ("/a", "x: y", "a: 'x: y' # one"),
            ("/b/0", "new", "- new  # first"),
            ("/b/0", "true", "- \"true\"  # first"),
            ("/b/0", "010", "- \"010\"  # first"),
            ("/b/0", "", "- \"\"  # first"),
            ("/b/1", "it's", "- 'it''s'   # second"),
            ("/b/1", "a\nb", "- \"a\\nb\"   # second"),
            ("/c/e", "a,b", "c: {d: [1, 2], e: 'a,b'} # flow"),
            ("/c/e", "r.io/a:1", "c: {d: [1, 2], e: 'r.io/a:1'} # flow"),
            ("/f", "x", "f: |- # block\n  x\ng:"),
            ("/f", "a\nb", "f: \"a\\nb\" # block\ng:"),
            ("/g", "v", "g: v # nothing"),
            ("/h", "1.0.1", "h: &anchor !!str 1.0.1\n"),
            ("/é", "r\"s", "é: \"r\\\"s\""),
        ] {
            let node = root.pointer(pointer).unwrap();
            let out = string_edit(TEXT, node, new).unwrap().apply(TEXT);
            assert!(out.contains(expected), "{pointer} {new}: {out}");
            assert_eq!(&out[..node.span.start], &TEXT[..node.span.start]);
            assert!(out.ends_with(&TEXT[node.span.end..]), "{pointer} {new}: {out}");
            let changed = parse_nodes(&out, Options::default()).unwrap().remove(0).root;
            assert_eq!(changed.pointer(pointer).unwrap().as_scalar(), Some(new));
        }
        assert!(string_edit(TEXT, root.get("b").unwrap(), "x").is_err());
    }

    #[test]
    fn a_block_scalar_keeps_its_form() {
        for (text, expected) in [
            ("a: |+ # m\r\n\r\n    x\r\n   y\r\n\r\nb: 1\r\n", None),
            ("a: |+ # m\r\n   x\r\n\r\nb: 1\r\n", Some("a: |- # m\r\n   new\r\n\r\nb: 1\r\n")),
            ("a: >-\n  x\n  y\n\n\nb: 1\n", Some("a: >-\n  new\n\n\nb: 1\n")),
            ("a: |2 # m\n   x\n\nb: 1\n", Some("a: \"new\" # m\n\nb: 1\n")),
            ("a: |\n\nb: 1\n", Some("a: \"new\"\n\nb: 1\n")),
            ("a: |\n  x", Some("a: |-\n  new")),
        ] {
            let Ok(documents) = parse_nodes(text, Options::default()) else {
                assert_eq!(expected, None, "{text:?}");
                continue;
            };
            let node = documents[0].root.get("a").unwrap();
            let out = string_edit(text, node, "new").unwrap().apply(text);
            assert_eq!(Some(out.as_str()), expected, "{text:?}");
            let changed = parse_nodes(&out, Options::default()).unwrap().remove(0).root;
            assert_eq!(changed.get("a").unwrap().as_scalar(), Some("new"));
        }
    }

    #[test]
    fn a_comment_below_some_content_and_above_an_empty_line_is_of_no_node_after_it() {
        for (text, head) in [
            ("l:\n- a\n# c\n- x\n", "# c"),
            ("l:\n- a\n# c\n\n- x\n", ""),
            ("l:\n- a # line\n# c\n# d\n\n- x\n", ""),
            ("l:\n- a\n\n# c\n\n- x\n", "# c"),
            ("l:\n- a\n# b\n\n# c\n- x\n", "# c"),
        ] {
            let root = parse_nodes(text, Options::default()).unwrap().remove(0).root;
            assert_eq!(root.pointer("/l/1").unwrap().head_comment, head, "{text:?}");
        }
    }

    #[test]
    fn duplicates_are_found() {
        let text = "a: 1\nb: {c: 1, c: 2}\na: 3\n";
        let root = parse_nodes(text, Options::default()).unwrap().remove(0).root;
        let lines: Vec<_> =
            root.duplicate_keys().iter().map(|(key, first)| (key.line, key.column, first.column)).collect();
        assert_eq!(lines, [(3, 1, 1), (2, 11, 5)]);
    }

    #[test]
    fn documents_keep_their_comments() {
        let documents = parse_nodes("# a\nx: 1\n# end\n---\n# b\ny: 2\n", Options::default()).unwrap();
        assert_eq!(documents[0].root.head_comment, "# a");
        assert_eq!(documents[0].foot_comment, "# end");
        assert_eq!(documents[1].root.head_comment, "# b");
        assert_eq!(documents[1].line, 4);
    }
}
