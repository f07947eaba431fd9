//! The parser: tokens to events, as go-yaml's port of libyaml does it.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Result};
use crate::resolve::Schema;
use crate::scan::{Mark, Scanner, Source, Style, TokenKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    StreamStart,
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirstEntry,
    BlockSequenceEntry,
    IndentlessSequenceEntry,
    BlockMappingFirstKey,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirstEntry,
    FlowSequenceEntry,
    FlowSequenceEntryMappingKey,
    FlowSequenceEntryMappingValue,
    FlowSequenceEntryMappingEnd,
    FlowMappingFirstKey,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias,
    Scalar,
    SequenceStart,
    SequenceEnd,
    MappingStart,
    MappingEnd,
}

#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) kind: EventKind,
    pub(crate) style: Style,
    /// For a scalar, whether its tag is left to the resolver; for a document, whether no marker was written.
    pub(crate) implicit: bool,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
    /// Where the node itself starts, after its anchor and tag.
    pub(crate) content: Mark,
    pub(crate) anchor: Option<Cow<'a, str>>,
    pub(crate) tag: Option<Cow<'a, str>>,
    pub(crate) value: Cow<'a, str>,
}

impl<'a> Event<'a> {
    fn new(kind: EventKind, start: Mark, end: Mark) -> Self {
        Self {
            kind,
            style: Style::Plain,
            implicit: false,
            start,
            end,
            content: start,
            anchor: None,
            tag: None,
            value: Cow::Borrowed(""),
        }
    }
}

pub(crate) struct Parser<'a> {
    pub(crate) scanner: Scanner<'a>,
    state: State,
    states: Vec<State>,
    marks: Vec<Mark>,
    /// `%TAG` handles and prefixes of the current document, then the two default ones.
    tag_directives: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(source: Source<'a>, schema: Schema) -> Self {
        Self {
            scanner: Scanner::new(source, schema),
            state: State::StreamStart,
            states: Vec::new(),
            marks: Vec::new(),
            tag_directives: Vec::new(),
        }
    }

    /// The next event; after the end of the stream, `StreamEnd` again.
    pub(crate) fn next_event(&mut self) -> Result<Event<'a>> {
        match self.state {
            State::StreamStart => self.stream_start(),
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirstEntry => self.block_sequence_entry(true),
            State::BlockSequenceEntry => self.block_sequence_entry(false),
            State::IndentlessSequenceEntry => self.indentless_sequence_entry(),
            State::BlockMappingFirstKey => self.block_mapping_key(true),
            State::BlockMappingKey => self.block_mapping_key(false),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirstEntry => self.flow_sequence_entry(true),
            State::FlowSequenceEntry => self.flow_sequence_entry(false),
            State::FlowSequenceEntryMappingKey => self.flow_sequence_entry_mapping_key(),
            State::FlowSequenceEntryMappingValue => self.flow_sequence_entry_mapping_value(),
            State::FlowSequenceEntryMappingEnd => self.flow_sequence_entry_mapping_end(),
            State::FlowMappingFirstKey => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(false),
            State::FlowMappingEmptyValue => self.flow_mapping_value(true),
            State::End => {
                let mark = self.scanner.mark();
                Ok(Event::new(EventKind::StreamEnd, mark, mark))
            }
        }
    }

    #[cold]
    fn error(&self, context: Option<Mark>, problem: &str, at: Mark) -> Error {
        let context = context.map_or(0, |mark| mark.line);
        let line = match self.scanner.schema {
            Schema::V2 if at.line != 0 => at.line,
            Schema::V3 if context == 0 => at.line,
            _ => context,
        };
        let text = match line {
            0 => problem.to_owned(),
            line => format!("line {line}: {problem}"),
        };
        Error::yaml(ErrorKind::Syntax, text).at(at.line + 1, at.column + 1)
    }

    #[inline(always)]
    fn peek(&mut self) -> Result<(TokenKind, Mark, Mark)> {
        let token = self.scanner.peek_token()?;
        Ok((token.kind, token.start, token.end))
    }

    fn skip(&mut self) {
        self.scanner.skip_token();
    }

    fn pop_state(&mut self) {
        self.state = self.states.pop().unwrap_or(State::End);
    }

    fn empty_scalar(&self, mark: Mark) -> Result<Event<'a>> {
        Ok(Event { implicit: true, ..Event::new(EventKind::Scalar, mark, mark) })
    }

    fn stream_start(&mut self) -> Result<Event<'a>> {
        let (_, start, end) = self.peek()?;
        self.state = State::ImplicitDocumentStart;
        self.skip();
        Ok(Event::new(EventKind::StreamStart, start, end))
    }

    fn document_start(&mut self, implicit: bool) -> Result<Event<'a>> {
        let (mut kind, mut start, mut end) = self.peek()?;
        if !implicit {
            while kind == TokenKind::DocumentEnd {
                self.skip();
                (kind, start, end) = self.peek()?;
            }
        }
        match kind {
            TokenKind::StreamEnd => {
                self.state = State::End;
                self.skip();
                Ok(Event::new(EventKind::StreamEnd, start, end))
            }
            TokenKind::VersionDirective(..) | TokenKind::TagDirective | TokenKind::DocumentStart => {
                self.explicit_document_start(start)
            }
            _ if implicit => {
                self.process_directives()?;
                self.states.push(State::DocumentEnd);
                self.state = State::BlockNode;
                Ok(Event { implicit: true, ..Event::new(EventKind::DocumentStart, start, end) })
            }
            _ => self.explicit_document_start(start),
        }
    }

    fn explicit_document_start(&mut self, start: Mark) -> Result<Event<'a>> {
        self.process_directives()?;
        let (kind, token_start, end) = self.peek()?;
        if kind != TokenKind::DocumentStart {
            return Err(self.error(None, "did not find expected <document start>", token_start));
        }
        self.states.push(State::DocumentEnd);
        self.state = State::DocumentContent;
        self.skip();
        Ok(Event::new(EventKind::DocumentStart, start, end))
    }

    fn document_content(&mut self) -> Result<Event<'a>> {
        let (kind, start, _) = self.peek()?;
        match kind {
            TokenKind::VersionDirective(..)
            | TokenKind::TagDirective
            | TokenKind::DocumentStart
            | TokenKind::DocumentEnd
            | TokenKind::StreamEnd => {
                self.pop_state();
                self.empty_scalar(start)
            }
            _ => self.node(true, false),
        }
    }

    fn document_end(&mut self) -> Result<Event<'a>> {
        let (kind, start, token_end) = self.peek()?;
        let mut end = start;
        let implicit = kind != TokenKind::DocumentEnd;
        if !implicit {
            end = token_end;
            self.skip();
        }
        self.tag_directives.clear();
        self.state = State::DocumentStart;
        Ok(Event { implicit, ..Event::new(EventKind::DocumentEnd, start, end) })
    }

    fn process_directives(&mut self) -> Result<()> {
        let mut version_seen = false;
        loop {
            let token = self.scanner.peek_token()?;
            let start = token.start;
            match token.kind {
                TokenKind::VersionDirective(major, minor) => {
                    if version_seen {
                        return Err(self.error(None, "found duplicate %YAML directive", start));
                    }
                    if (major, minor) != (1, 1) {
                        return Err(self.error(None, "found incompatible YAML document", start));
                    }
                    version_seen = true;
                }
                TokenKind::TagDirective => {
                    let handle = std::mem::take(&mut token.value);
                    let prefix = Cow::Owned(token.suffix.take().unwrap_or_default().into_string());
                    if self.tag_directives.iter().any(|(known, _)| *known == handle) {
                        return Err(self.error(None, "found duplicate %TAG directive", start));
                    }
                    self.tag_directives.push((handle, prefix));
                }
                _ => break,
            }
            self.skip();
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.tag_directives.iter().any(|(known, _)| known == handle) {
                self.tag_directives.push((handle.into(), prefix.into()));
            }
        }
        Ok(())
    }

    /// Takes anchor and tag off the queue, in either order.
    fn properties(&mut self) -> Result<Option<Properties<'a>>> {
        let mut found = Properties::default();
        let mut any = false;
        loop {
            let token = self.scanner.peek_token()?;
            match token.kind {
                TokenKind::Anchor if found.anchor.is_none() => {
                    found.anchor = Some(std::mem::take(&mut token.value));
                }
                TokenKind::Tag if found.tag.is_none() => {
                    let handle = std::mem::take(&mut token.value);
                    let suffix = token.suffix.take().unwrap_or_default();
                    found.tag = Some((handle, suffix, token.start));
                }
                _ => return Ok(any.then_some(found)),
            }
            if !any {
                found.start = token.start;
                any = true;
            }
            found.end = token.end;
            self.skip();
        }
    }

    fn node(&mut self, block: bool, indentless_sequence: bool) -> Result<Event<'a>> {
        let token = self.scanner.peek_token()?;
        if token.kind == TokenKind::Alias {
            let event = Event {
                anchor: Some(std::mem::take(&mut token.value)),
                ..Event::new(EventKind::Alias, token.start, token.end)
            };
            self.pop_state();
            self.skip();
            return Ok(event);
        }

        let mut start = token.start;
        let mut end = token.start;
        let mut anchor = None;
        let mut tag: Option<Cow<'a, str>> = None;
        if matches!(token.kind, TokenKind::Anchor | TokenKind::Tag)
            && let Some(properties) = self.properties()?
        {
            start = properties.start;
            end = properties.end;
            anchor = properties.anchor;
            if let Some((handle, suffix, mark)) = properties.tag {
                tag = self.resolve_tag(&handle, &suffix);
                if tag.is_none() && !handle.is_empty() {
                    return Err(self.error(Some(start), "found undefined tag handle", mark));
                }
            }
        }

        let token = self.scanner.peek_token()?;
        let (kind, content, token_end) = (token.kind, token.start, token.end);
        let implicit = tag.is_none();
        let mut event = Event::new(EventKind::SequenceStart, start, token_end);
        event.content = content;
        event.implicit = implicit;
        event.style = Style::Block;
        match kind {
            TokenKind::BlockEntry if indentless_sequence => {
                self.state = State::IndentlessSequenceEntry;
            }
            TokenKind::Scalar => {
                event.kind = EventKind::Scalar;
                event.value = std::mem::take(&mut token.value);
                event.style = token.style;
                event.implicit = match &tag {
                    None => token.style == Style::Plain,
                    Some(tag) => tag == "!",
                };
                self.pop_state();
                self.skip();
            }
            TokenKind::FlowSequenceStart => {
                self.state = State::FlowSequenceFirstEntry;
                event.style = Style::Flow;
            }
            TokenKind::FlowMappingStart => {
                self.state = State::FlowMappingFirstKey;
                event.kind = EventKind::MappingStart;
                event.style = Style::Flow;
            }
            TokenKind::BlockSequenceStart if block => {
                self.state = State::BlockSequenceFirstEntry;
            }
            TokenKind::BlockMappingStart if block => {
                self.state = State::BlockMappingFirstKey;
                event.kind = EventKind::MappingStart;
            }
            _ if anchor.is_some() || tag.is_some() => {
                self.pop_state();
                event.kind = EventKind::Scalar;
                event.style = Style::Plain;
                event.end = end;
                event.content = end;
            }
            _ => {
                return Err(self.error(Some(start), "did not find expected node content", content));
            }
        }
        event.anchor = anchor;
        event.tag = tag;
        Ok(event)
    }

    /// The whole tag of a handle and a suffix; none for an empty one or an unknown handle.
    fn resolve_tag(&self, handle: &str, suffix: &str) -> Option<Cow<'a, str>> {
        if handle.is_empty() {
            return (!suffix.is_empty()).then(|| Cow::Owned(suffix.to_owned()));
        }
        let (_, prefix) = self.tag_directives.iter().find(|(known, _)| known == handle)?;
        let tag = format!("{prefix}{suffix}");
        (!tag.is_empty()).then_some(Cow::Owned(tag))
    }

    fn push_mark(&mut self) -> Result<()> {
        let (_, start, _) = self.peek()?;
        self.marks.push(start);
        self.skip();
        Ok(())
    }

    fn end_collection(&mut self, kind: EventKind, start: Mark, end: Mark) -> Result<Event<'a>> {
        self.pop_state();
        self.marks.pop();
        self.skip();
        Ok(Event::new(kind, start, end))
    }

    fn block_sequence_entry(&mut self, first: bool) -> Result<Event<'a>> {
        if first {
            self.push_mark()?;
        }
        let (kind, start, end) = self.peek()?;
        match kind {
            TokenKind::BlockEntry => {
                self.skip();
                let (next, ..) = self.peek()?;
                if matches!(next, TokenKind::BlockEntry | TokenKind::BlockEnd) {
                    self.state = State::BlockSequenceEntry;
                    self.empty_scalar(end)
                } else {
                    self.states.push(State::BlockSequenceEntry);
                    self.node(true, false)
                }
            }
            TokenKind::BlockEnd => self.end_collection(EventKind::SequenceEnd, start, end),
            _ => {
                let context = self.marks.pop();
                Err(self.error(context, "did not find expected '-' indicator", start))
            }
        }
    }

    fn indentless_sequence_entry(&mut self) -> Result<Event<'a>> {
        let (kind, start, end) = self.peek()?;
        if kind == TokenKind::BlockEntry {
            self.skip();
            let (next, ..) = self.peek()?;
            if matches!(next, TokenKind::BlockEntry | TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd)
            {
                self.state = State::IndentlessSequenceEntry;
                return self.empty_scalar(end);
            }
            self.states.push(State::IndentlessSequenceEntry);
            return self.node(true, false);
        }
        self.pop_state();
        Ok(Event::new(EventKind::SequenceEnd, start, start))
    }

    fn block_mapping_key(&mut self, first: bool) -> Result<Event<'a>> {
        if first {
            self.push_mark()?;
        }
        let (kind, start, end) = self.peek()?;
        match kind {
            TokenKind::Key => {
                self.skip();
                let (next, ..) = self.peek()?;
                if matches!(next, TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd) {
                    self.state = State::BlockMappingValue;
                    self.empty_scalar(end)
                } else {
                    self.states.push(State::BlockMappingValue);
                    self.node(true, true)
                }
            }
            TokenKind::BlockEnd => self.end_collection(EventKind::MappingEnd, start, end),
            _ => {
                let context = self.marks.pop();
                Err(self.error(context, "did not find expected key", start))
            }
        }
    }

    fn block_mapping_value(&mut self) -> Result<Event<'a>> {
        let (kind, start, end) = self.peek()?;
        if kind != TokenKind::Value {
            self.state = State::BlockMappingKey;
            return self.empty_scalar(start);
        }
        self.skip();
        let (next, ..) = self.peek()?;
        if matches!(next, TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd) {
            self.state = State::BlockMappingKey;
            return self.empty_scalar(end);
        }
        self.states.push(State::BlockMappingKey);
        self.node(true, true)
    }

    fn flow_sequence_entry(&mut self, first: bool) -> Result<Event<'a>> {
        if first {
            self.push_mark()?;
        }
        let (mut kind, mut start, mut end) = self.peek()?;
        if kind != TokenKind::FlowSequenceEnd {
            if !first {
                if kind != TokenKind::FlowEntry {
                    let context = self.marks.pop();
                    return Err(self.error(context, "did not find expected ',' or ']'", start));
                }
                self.skip();
                (kind, start, end) = self.peek()?;
            }
            if kind == TokenKind::Key {
                self.state = State::FlowSequenceEntryMappingKey;
                self.skip();
                let event = Event::new(EventKind::MappingStart, start, end);
                return Ok(Event { implicit: true, style: Style::Flow, ..event });
            }
            if kind != TokenKind::FlowSequenceEnd {
                self.states.push(State::FlowSequenceEntry);
                return self.node(false, false);
            }
        }
        self.end_collection(EventKind::SequenceEnd, start, end)
    }

    fn flow_sequence_entry_mapping_key(&mut self) -> Result<Event<'a>> {
        let (kind, _, end) = self.peek()?;
        if !matches!(kind, TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowSequenceEnd) {
            self.states.push(State::FlowSequenceEntryMappingValue);
            return self.node(false, false);
        }
        self.skip();
        self.state = State::FlowSequenceEntryMappingValue;
        self.empty_scalar(end)
    }

    fn flow_sequence_entry_mapping_value(&mut self) -> Result<Event<'a>> {
        let (kind, start, _) = self.peek()?;
        if kind == TokenKind::Value {
            self.skip();
            let (next, ..) = self.peek()?;
            if !matches!(next, TokenKind::FlowEntry | TokenKind::FlowSequenceEnd) {
                self.states.push(State::FlowSequenceEntryMappingEnd);
                return self.node(false, false);
            }
        }
        self.state = State::FlowSequenceEntryMappingEnd;
        self.empty_scalar(start)
    }

    fn flow_sequence_entry_mapping_end(&mut self) -> Result<Event<'a>> {
        let (_, start, _) = self.peek()?;
        self.state = State::FlowSequenceEntry;
        Ok(Event::new(EventKind::MappingEnd, start, start))
    }

    fn flow_mapping_key(&mut self, first: bool) -> Result<Event<'a>> {
        if first {
            self.push_mark()?;
        }
        let (mut kind, mut start, mut end) = self.peek()?;
        if kind != TokenKind::FlowMappingEnd {
            if !first {
                if kind != TokenKind::FlowEntry {
                    let context = self.marks.pop();
                    return Err(self.error(context, "did not find expected ',' or '}'", start));
                }
                self.skip();
                (kind, start, end) = self.peek()?;
            }
            if kind == TokenKind::Key {
                self.skip();
                let (next, next_start, _) = self.peek()?;
                if matches!(next, TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowMappingEnd) {
                    self.state = State::FlowMappingValue;
                    return self.empty_scalar(next_start);
                }
                self.states.push(State::FlowMappingValue);
                return self.node(false, false);
            }
            if kind != TokenKind::FlowMappingEnd {
                self.states.push(State::FlowMappingEmptyValue);
                return self.node(false, false);
            }
        }
        self.end_collection(EventKind::MappingEnd, start, end)
    }

    fn flow_mapping_value(&mut self, empty: bool) -> Result<Event<'a>> {
        let (kind, mut start, _) = self.peek()?;
        if !empty && kind == TokenKind::Value {
            self.skip();
            let (next, next_start, _) = self.peek()?;
            start = next_start;
            if !matches!(next, TokenKind::FlowEntry | TokenKind::FlowMappingEnd) {
                self.states.push(State::FlowMappingKey);
                return self.node(false, false);
            }
        }
        self.state = State::FlowMappingKey;
        self.empty_scalar(start)
    }
}

/// Anchor and tag of a node.
#[derive(Default)]
struct Properties<'a> {
    start: Mark,
    end: Mark,
    anchor: Option<Cow<'a, str>>,
    tag: Option<(Cow<'a, str>, Box<str>, Mark)>,
}
