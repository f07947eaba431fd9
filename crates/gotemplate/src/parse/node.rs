//! The parse tree, and how its nodes print in error messages. Text stays where it is: in the source.

use super::number::Number;
use crate::Str;
use crate::gofmt::quote;
use std::sync::Arc;

/// The index of a node in its [`Nodes`].
pub(crate) type NodeId = u32;

/// The nodes of one parsed text: all its templates.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// The text they were parsed from.
    source: Arc<[u8]>,
    nodes: Vec<Node>,
}

/// A node and where it stands in the text.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) pos: u32,
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// So many bytes of the source from where the node stands on.
    Text(u32),
    Action(NodeId),
    Break,
    Continue,
    List(Vec<NodeId>),
    Branch {
        word: Branch,
        pipe: NodeId,
        list: NodeId,
        otherwise: Option<NodeId>,
    },
    Template {
        name: Str,
        pipe: Option<NodeId>,
    },
    Pipe {
        assign: bool,
        decl: Vec<NodeId>,
        commands: Vec<NodeId>,
    },
    Command(Vec<NodeId>),
    /// A function.
    Identifier(&'static str),
    Variable(Vec<Str>),
    Field(Vec<Str>),
    Chain {
        node: NodeId,
        fields: Vec<Str>,
    },
    Dot,
    Nil,
    Bool(bool),
    Number(Box<Number>),
    /// A literal: how long it is in the source, and what it means.
    String {
        quoted: u32,
        text: Str,
    },
    End,
    Else,
}

/// Which control structure a branch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Branch {
    If,
    Range,
    With,
}

impl Branch {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Branch::If => "if",
            Branch::Range => "range",
            Branch::With => "with",
        }
    }
}

impl Nodes {
    /// Room for the nodes of a text with that many actions, so that few texts outgrow it.
    pub(crate) fn for_actions(source: Arc<[u8]>, actions: usize) -> Nodes {
        Nodes { source, nodes: Vec::with_capacity(8 * actions.min(100_000) + 4) }
    }

    pub(crate) fn add(&mut self, pos: usize, kind: Kind) -> NodeId {
        self.nodes.push(Node { pos: pos as u32, kind });
        (self.nodes.len() - 1) as NodeId
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn get(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(crate) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    pub(crate) fn kind(&self, id: NodeId) -> &Kind {
        &self.nodes[id as usize].kind
    }

    /// What the source has at a node.
    pub(crate) fn text(&self, id: NodeId, len: u32) -> &[u8] {
        let start = self.nodes[id as usize].pos as usize;
        &self.source[start..start + len as usize]
    }

    /// The node as Go prints it: normalised source.
    pub(crate) fn print(&self, id: NodeId) -> String {
        let mut out = Vec::new();
        self.write(id, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn write(&self, id: NodeId, out: &mut Vec<u8>) {
        match self.kind(id) {
            Kind::Text(len) => out.extend_from_slice(self.text(id, *len)),
            Kind::Action(pipe) => {
                out.extend_from_slice(b"{{");
                self.write(*pipe, out);
                out.extend_from_slice(b"}}");
            }
            Kind::Break => out.extend_from_slice(b"{{break}}"),
            Kind::Continue => out.extend_from_slice(b"{{continue}}"),
            Kind::List(nodes) => nodes.iter().for_each(|node| self.write(*node, out)),
            Kind::Branch { word, pipe, list, otherwise } => {
                out.extend_from_slice(b"{{");
                out.extend_from_slice(word.word().as_bytes());
                out.push(b' ');
                self.write(*pipe, out);
                out.extend_from_slice(b"}}");
                self.write(*list, out);
                if let Some(otherwise) = otherwise {
                    out.extend_from_slice(b"{{else}}");
                    self.write(*otherwise, out);
                }
                out.extend_from_slice(b"{{end}}");
            }
            Kind::Template { name, pipe } => {
                out.extend_from_slice(b"{{template ");
                out.extend_from_slice(quote(name).as_bytes());
                if let Some(pipe) = pipe {
                    out.push(b' ');
                    self.write(*pipe, out);
                }
                out.extend_from_slice(b"}}");
            }
            Kind::Pipe { assign, decl, commands } => {
                for (i, variable) in decl.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(b", ");
                    }
                    self.write(*variable, out);
                }
                if !decl.is_empty() {
                    out.extend_from_slice(if *assign { b" = " } else { b" := " });
                }
                for (i, command) in commands.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(b" | ");
                    }
                    self.write(*command, out);
                }
            }
            Kind::Command(args) => {
                for (i, arg) in args.iter().enumerate() {
                    if i > 0 {
                        out.push(b' ');
                    }
                    self.write_operand(*arg, out);
                }
            }
            Kind::Identifier(name) => out.extend_from_slice(name.as_bytes()),
            Kind::Variable(names) => {
                for (i, name) in names.iter().enumerate() {
                    if i > 0 {
                        out.push(b'.');
                    }
                    out.extend_from_slice(name);
                }
            }
            Kind::Field(names) => Nodes::write_fields(names, out),
            Kind::Chain { node, fields } => {
                self.write_operand(*node, out);
                Nodes::write_fields(fields, out);
            }
            Kind::Dot => out.push(b'.'),
            Kind::Nil => out.extend_from_slice(b"nil"),
            Kind::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Kind::Number(number) => out.extend_from_slice(number.text.as_bytes()),
            Kind::String { quoted, .. } => out.extend_from_slice(self.text(id, *quoted)),
            Kind::End => out.extend_from_slice(b"{{end}}"),
            Kind::Else => out.extend_from_slice(b"{{else}}"),
        }
    }

    fn write_operand(&self, id: NodeId, out: &mut Vec<u8>) {
        if matches!(self.kind(id), Kind::Pipe { .. }) {
            out.push(b'(');
            self.write(id, out);
            out.push(b')');
        } else {
            self.write(id, out);
        }
    }

    fn write_fields(names: &[Str], out: &mut Vec<u8>) {
        for name in names {
            out.push(b'.');
            out.extend_from_slice(name);
        }
    }

    /// Whether a template's body is nothing but white space and comments.
    pub(crate) fn is_empty_tree(&self, id: NodeId) -> bool {
        match self.kind(id) {
            Kind::List(nodes) => nodes.iter().all(|node| self.is_empty_tree(*node)),
            Kind::Text(len) => trim_space(self.text(id, *len)).is_empty(),
            _ => false,
        }
    }
}

/// `bytes.TrimSpace`: Unicode white space as Go defines it.
fn trim_space(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => text.trim_ascii(),
    }
}
