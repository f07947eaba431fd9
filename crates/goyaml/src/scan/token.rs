//! Tokens and places.

use std::borrow::Cow;

/// A place in the text; all counts start at zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Bytes from the start of the text.
    pub(crate) pos: u32,
    /// Characters from the start of the text.
    pub(crate) index: u32,
    pub(crate) line: u32,
    /// Characters from the start of the line.
    pub(crate) column: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    StreamStart,
    StreamEnd,
    VersionDirective(u8, u8),
    TagDirective,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
}

/// How a node is written; block or flow for collections, the quoting for scalars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Style {
    /// A scalar without quotes, possibly empty.
    #[default]
    Plain,
    /// A scalar in `'`.
    SingleQuoted,
    /// A scalar in `"`.
    DoubleQuoted,
    /// A `|` scalar.
    Literal,
    /// A `>` scalar.
    Folded,
    /// A collection by indentation.
    Block,
    /// A collection in `[]` or `{}`.
    Flow,
}

#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) style: Style,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
    /// Scalar text, anchor name, tag handle or directive handle.
    pub(crate) value: Cow<'a, str>,
    /// Tag suffix or directive prefix.
    pub(crate) suffix: Option<Box<str>>,
}

impl<'a> Token<'a> {
    pub(crate) fn new(kind: TokenKind, start: Mark, end: Mark) -> Self {
        Self { kind, style: Style::Plain, start, end, value: Cow::Borrowed(""), suffix: None }
    }

    pub(crate) fn scalar(value: Cow<'a, str>, style: Style, start: Mark, end: Mark) -> Self {
        Self { kind: TokenKind::Scalar, style, start, end, value, suffix: None }
    }
}
