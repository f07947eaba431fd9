//! One document as a flat list of nodes in text order.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::parse::{Event, EventKind, Parser};
use crate::scan::{Mark, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NodeKind {
    Scalar,
    Sequence,
    Mapping,
    Alias,
}

/// A node; its children follow it and end before `next`.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) kind: NodeKind,
    pub(crate) style: Style,
    /// For a scalar, whether its tag is left to the resolver.
    pub(crate) implicit: bool,
    /// The node after this one and all its children.
    pub(crate) next: u32,
    /// For an alias, the node it stands for.
    pub(crate) target: u32,
    /// Where the node starts, with its anchor and tag.
    pub(crate) start: Mark,
    /// Where the node itself starts.
    pub(crate) content: Mark,
    pub(crate) end: Mark,
    pub(crate) tag: Option<Cow<'a, str>>,
    pub(crate) anchor: Option<Cow<'a, str>>,
    /// Scalar text; the anchor's name for an alias.
    pub(crate) value: Cow<'a, str>,
}

impl Node<'_> {
    /// The tag, empty when there is none.
    pub(crate) fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("")
    }
}

/// The nodes of one document; the root is the first.
#[derive(Debug, Default)]
pub(crate) struct Tape<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    /// Where the document starts, at its `---` if it has one.
    pub(crate) start: Mark,
    pub(crate) end: Mark,
}

impl<'a> Tape<'a> {
    /// Reads the next document; none at the end of the stream.
    pub(crate) fn read(parser: &mut Parser<'a>, max_depth: usize) -> Result<Option<Self>> {
        let mut event = parser.next_event()?;
        if event.kind == EventKind::StreamStart {
            event = parser.next_event()?;
        }
        if event.kind == EventKind::StreamEnd {
            return Ok(None);
        }
        let mut tape = Tape { start: event.start, ..Tape::default() };
        let mut open: Vec<u32> = Vec::new();
        let mut anchors: HashMap<Cow<'a, str>, u32> = HashMap::new();
        loop {
            let event = parser.next_event()?;
            let index = tape.nodes.len() as u32;
            match event.kind {
                EventKind::Scalar => {
                    tape.push(event, NodeKind::Scalar, &mut anchors);
                }
                EventKind::Alias => {
                    let name = event.anchor.clone().unwrap_or_default();
                    let Some(&target) = anchors.get(&name) else {
                        let text = format!("unknown anchor '{name}' referenced");
                        return Err(Error::yaml(ErrorKind::Decode, text)
                            .at(event.start.line + 1, event.start.column + 1));
                    };
                    tape.push(Event { anchor: None, value: name, ..event }, NodeKind::Alias, &mut anchors);
                    tape.nodes[index as usize].target = target;
                }
                EventKind::SequenceStart | EventKind::MappingStart => {
                    let kind = match event.kind {
                        EventKind::MappingStart => NodeKind::Mapping,
                        _ => NodeKind::Sequence,
                    };
                    if open.len() >= max_depth {
                        let text =
                            format!("line {}: exceeded max depth of {max_depth}", event.start.line + 1);
                        return Err(Error::yaml(ErrorKind::Limit, text)
                            .at(event.start.line + 1, event.start.column + 1));
                    }
                    tape.push(event, kind, &mut anchors);
                    open.push(index);
                }
                EventKind::SequenceEnd | EventKind::MappingEnd => {
                    if let Some(index) = open.pop() {
                        let next = tape.nodes.len() as u32;
                        let node = &mut tape.nodes[index as usize];
                        node.next = next;
                        node.end = event.end;
                    }
                }
                EventKind::DocumentEnd | EventKind::StreamEnd => {
                    tape.end = event.end;
                    return Ok(Some(tape));
                }
                EventKind::DocumentStart | EventKind::StreamStart => {}
            }
        }
    }

    fn push(&mut self, event: Event<'a>, kind: NodeKind, anchors: &mut HashMap<Cow<'a, str>, u32>) {
        let index = self.nodes.len() as u32;
        if let Some(anchor) = &event.anchor {
            anchors.insert(anchor.clone(), index);
        }
        self.nodes.push(Node {
            kind,
            style: event.style,
            implicit: event.implicit,
            next: index + 1,
            target: index,
            start: event.start,
            content: event.content,
            end: event.end,
            tag: event.tag,
            anchor: event.anchor,
            value: event.value,
        });
    }
}
