//! Parses RE2 syntax as Go's `regexp/syntax` does, error for error.

use regex_syntax::hir::{ClassUnicode, Hir, Look};

use super::ast::{Limit, Node};
use super::class;
use super::error::{
    INVALID_CHAR_RANGE, INVALID_ESCAPE, INVALID_NAMED_CAPTURE, INVALID_PERL_OP, INVALID_REPEAT_OP,
    INVALID_REPEAT_SIZE, LARGE, MISSING_PAREN, MISSING_REPEAT_ARGUMENT, NESTING_DEPTH, SyntaxError,
    UNEXPECTED_PAREN, error,
};
use super::scan::{before, check_utf8, next_rune, parse_class_char, parse_escape, parse_repeat};

/// Most copies a counted repetition, and nested ones together, may ask for.
const MAX_REPEAT: u32 = 1000;

/// A parsed pattern.
pub(super) struct Parsed {
    pub(super) hir: Hir,
    pub(super) names: Vec<Option<String>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_matches_new_line: bool,
    non_greedy: bool,
}

enum Item {
    Node(Node),
    /// `(` with the flags to restore and the index of the group, if it captures.
    LeftParen(Flags, Option<u32>),
    VerticalBar,
}

struct Parser<'p> {
    pattern: &'p [u8],
    flags: Flags,
    stack: Vec<Item>,
    names: Vec<Option<String>>,
}

/// Parses a whole pattern.
pub(super) fn parse(pattern: &[u8]) -> Result<Parsed, SyntaxError> {
    let mut parser = Parser { pattern, flags: Flags::default(), stack: Vec::new(), names: vec![None] };
    parser.parse()?;
    match (parser.stack.pop(), parser.stack.is_empty()) {
        (Some(Item::Node(node)), true) => Ok(Parsed { hir: node.into_hir(), names: parser.names }),
        _ => Err(error(MISSING_PAREN, pattern)),
    }
}

impl<'p> Parser<'p> {
    fn parse(&mut self) -> Result<(), SyntaxError> {
        let mut rest = self.pattern;
        // Where the repetition operator just parsed began; two in a row are an error.
        let mut last_repeat: Option<&[u8]> = None;
        while let Some(&first) = rest.first() {
            let mut repeat = None;
            match first {
                b'(' if rest.get(1) == Some(&b'?') => rest = self.parse_perl_flags(rest)?,
                b'(' => {
                    self.open_group(None);
                    rest = &rest[1..];
                }
                b'|' => {
                    self.concat()?;
                    if !self.swap_vertical_bar() {
                        self.stack.push(Item::VerticalBar);
                    }
                    rest = &rest[1..];
                }
                b')' => {
                    self.close_group()?;
                    rest = &rest[1..];
                }
                b'^' => {
                    self.push_look(if self.flags.multi_line { Look::StartLF } else { Look::Start })?;
                    rest = &rest[1..];
                }
                b'$' => {
                    self.push_look(if self.flags.multi_line { Look::EndLF } else { Look::End })?;
                    rest = &rest[1..];
                }
                b'.' => {
                    self.push(Node::class(if self.flags.dot_matches_new_line {
                        class::ranges(&[('\0', char::MAX)])
                    } else {
                        class::ranges(&[('\0', '\x09'), ('\x0b', char::MAX)])
                    }))?;
                    rest = &rest[1..];
                }
                b'[' => rest = self.parse_class(rest)?,
                b'*' | b'+' | b'?' => {
                    let (min, max) = match first {
                        b'*' => (0, None),
                        b'+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    repeat = Some(rest);
                    let after = &rest[1..];
                    rest = self.repeat(min, max, false, rest, after, last_repeat)?;
                }
                b'{' => match parse_repeat(rest) {
                    None => {
                        self.push_literal('{')?;
                        rest = &rest[1..];
                    }
                    Some((bounds, after)) => {
                        let (min, max) = bounds
                            .filter(|(min, max)| {
                                *min <= MAX_REPEAT && max.is_none_or(|max| max <= MAX_REPEAT && *min <= max)
                            })
                            .ok_or_else(|| error(INVALID_REPEAT_SIZE, before(rest, after)))?;
                        repeat = Some(rest);
                        rest = self.repeat(min, max, true, rest, after, last_repeat)?;
                    }
                },
                b'\\' => rest = self.parse_backslash(rest)?,
                _ => {
                    let (rune, after) = next_rune(rest)?;
                    self.push_literal(rune)?;
                    rest = after;
                }
            }
            last_repeat = repeat;
        }
        self.finish_alternation()
    }

    fn push(&mut self, node: Node) -> Result<(), SyntaxError> {
        let checked = node.check_limits();
        self.stack.push(Item::Node(node));
        checked.map_err(|limit| match limit {
            Limit::Height => error(NESTING_DEPTH, self.pattern),
            Limit::Size => error(LARGE, self.pattern),
        })
    }

    fn push_look(&mut self, look: Look) -> Result<(), SyntaxError> {
        self.push(Node::look(look))
    }

    fn push_literal(&mut self, rune: char) -> Result<(), SyntaxError> {
        self.push_code_point(u32::from(rune))
    }

    fn push_code_point(&mut self, code: u32) -> Result<(), SyntaxError> {
        let mut class = class::code_points(code, code);
        self.fold(&mut class);
        self.push(Node::class(class))
    }

    fn fold(&self, class: &mut ClassUnicode) {
        if self.flags.fold_case {
            class.case_fold_simple();
        }
    }

    fn open_group(&mut self, name: Option<String>) {
        let index = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name);
        self.stack.push(Item::LeftParen(self.flags, Some(index)));
    }

    fn close_group(&mut self) -> Result<(), SyntaxError> {
        self.finish_alternation()?;
        let node = self.stack.pop();
        let paren = self.stack.pop();
        let (Some(Item::Node(node)), Some(Item::LeftParen(flags, capture))) = (node, paren) else {
            return Err(error(UNEXPECTED_PAREN, self.pattern));
        };
        self.flags = flags;
        self.push(match capture {
            Some(index) => Node::capture(index, node),
            None => node,
        })
    }

    /// Ends the innermost alternation: everything above the last `(` becomes one node.
    fn finish_alternation(&mut self) -> Result<(), SyntaxError> {
        self.concat()?;
        if self.swap_vertical_bar() {
            self.stack.pop();
        }
        let nodes = self.pop_nodes();
        self.push(Node::alternate(nodes))
    }

    fn concat(&mut self) -> Result<(), SyntaxError> {
        let nodes = self.pop_nodes();
        self.push(if nodes.is_empty() { Node::empty() } else { Node::concat(nodes) })
    }

    /// Takes the nodes above the topmost `(` or `|`.
    fn pop_nodes(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        while let Some(Item::Node(_)) = self.stack.last() {
            if let Some(Item::Node(node)) = self.stack.pop() {
                nodes.push(node);
            }
        }
        nodes.reverse();
        nodes
    }

    /// If the topmost node sits above a `|`, swaps the two: nodes below a bar form its alternation.
    fn swap_vertical_bar(&mut self) -> bool {
        let length = self.stack.len();
        if length >= 2 && matches!(self.stack[length - 2], Item::VerticalBar) {
            self.stack.swap(length - 2, length - 1);
            return true;
        }
        false
    }

    /// Applies a repetition to the topmost node. `whole` begins at the operator, `after` behind it.
    fn repeat(
        &mut self,
        min: u32,
        max: Option<u32>,
        counted: bool,
        whole: &'p [u8],
        mut after: &'p [u8],
        last_repeat: Option<&'p [u8]>,
    ) -> Result<&'p [u8], SyntaxError> {
        let mut greedy = !self.flags.non_greedy;
        if let Some(rest) = after.strip_prefix(b"?") {
            after = rest;
            greedy = !greedy;
        }
        if let Some(last) = last_repeat {
            return Err(error(INVALID_REPEAT_OP, before(last, after)));
        }
        let sub = match self.stack.pop() {
            Some(Item::Node(node)) => node,
            _ => return Err(error(MISSING_REPEAT_ARGUMENT, before(whole, after))),
        };
        let needs_count_check = counted && (min >= 2 || max.is_some_and(|max| max >= 2));
        let node = if counted {
            Node::counted_repeat(min, max, greedy, sub)
        } else {
            Node::repeat(min, max, greedy, sub)
        };
        let within = !needs_count_check || node.repeats_at_most(MAX_REPEAT);
        self.push(node)?;
        if !within {
            return Err(error(INVALID_REPEAT_SIZE, before(whole, after)));
        }
        Ok(after)
    }

    fn parse_backslash(&mut self, text: &'p [u8]) -> Result<&'p [u8], SyntaxError> {
        let look = match text.get(1) {
            Some(b'A') => Look::Start,
            Some(b'b') => Look::WordAscii,
            Some(b'B') => Look::WordAsciiNegate,
            Some(b'z') => Look::End,
            Some(b'C') => return Err(error(INVALID_ESCAPE, &text[..2])),
            Some(b'Q') => return self.parse_quoted(&text[2..]),
            _ => {
                if let Some((class, rest)) = self.parse_unicode_class(text)? {
                    self.push(Node::class(class))?;
                    return Ok(rest);
                }
                if let Some((class, rest)) = self.parse_perl_class(text) {
                    self.push(Node::class(class))?;
                    return Ok(rest);
                }
                let (code, rest) = parse_escape(text)?;
                self.push_code_point(code)?;
                return Ok(rest);
            }
        };
        self.push_look(look)?;
        Ok(&text[2..])
    }

    /// The literal text up to `\E`, or to the end.
    fn parse_quoted(&mut self, text: &'p [u8]) -> Result<&'p [u8], SyntaxError> {
        let (mut literal, rest) = match memchr::memmem::find(text, br"\E") {
            Some(end) => (&text[..end], &text[end + 2..]),
            None => (text, &text[text.len()..]),
        };
        while !literal.is_empty() {
            let (rune, after) = next_rune(literal)?;
            self.push_literal(rune)?;
            literal = after;
        }
        Ok(rest)
    }

    /// `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn parse_perl_flags(&mut self, text: &'p [u8]) -> Result<&'p [u8], SyntaxError> {
        let name_start = if text.len() > 4 && text[2..].starts_with(b"P<") { 4 } else { 3 };
        if name_start == 4 || text.len() > 3 && text[2] == b'<' {
            let Some(end) = memchr::memchr(b'>', text) else {
                check_utf8(text)?;
                return Err(error(INVALID_NAMED_CAPTURE, text));
            };
            let name = check_utf8(text.get(name_start..end).unwrap_or_default())?;
            let is_valid = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(is_valid) {
                return Err(error(INVALID_NAMED_CAPTURE, &text[..=end]));
            }
            self.open_group(Some(name.to_owned()));
            return Ok(&text[end + 1..]);
        }

        let mut flags = self.flags;
        let mut value = true;
        let mut saw_flag = false;
        let mut rest = &text[2..];
        while !rest.is_empty() {
            let (rune, after) = next_rune(rest)?;
            rest = after;
            match rune {
                'i' => flags.fold_case = value,
                'm' => flags.multi_line = value,
                's' => flags.dot_matches_new_line = value,
                'U' => flags.non_greedy = value,
                '-' if value => {
                    value = false;
                    saw_flag = false;
                    continue;
                }
                ':' | ')' if value || saw_flag => {
                    if rune == ':' {
                        self.stack.push(Item::LeftParen(self.flags, None));
                    }
                    self.flags = flags;
                    return Ok(rest);
                }
                _ => break,
            }
            saw_flag = true;
        }
        Err(error(INVALID_PERL_OP, before(text, rest)))
    }

    fn parse_perl_class(&self, text: &'p [u8]) -> Option<(ClassUnicode, &'p [u8])> {
        let (mut class, negated) = match text {
            [b'\\', letter, ..] => class::perl(*letter)?,
            _ => return None,
        };
        self.fold(&mut class);
        if negated {
            class.negate();
        }
        Some((class, &text[2..]))
    }

    fn parse_unicode_class(&self, text: &'p [u8]) -> Result<Option<(ClassUnicode, &'p [u8])>, SyntaxError> {
        let mut negated = match text {
            [b'\\', b'p', ..] => false,
            [b'\\', b'P', ..] => true,
            _ => return Ok(None),
        };
        let (first, after) = next_rune(&text[2..])?;
        let (sequence, name, rest) = if first != '{' {
            (before(text, after), before(&text[2..], after), after)
        } else {
            let Some(end) = memchr::memchr(b'}', text) else {
                check_utf8(text)?;
                return Err(error(INVALID_CHAR_RANGE, text));
            };
            (&text[..=end], &text[3..end], &text[end + 1..])
        };
        let mut name = check_utf8(name)?;
        if let Some(positive) = name.strip_prefix('^') {
            negated = !negated;
            name = positive;
        }
        let mut class = class::unicode(name).ok_or_else(|| error(INVALID_CHAR_RANGE, sequence))?;
        self.fold(&mut class);
        if negated {
            class.negate();
        }
        Ok(Some((class, rest)))
    }

    /// `[:alpha:]`, inside a class only.
    fn parse_named_class(&self, text: &'p [u8]) -> Result<Option<(ClassUnicode, &'p [u8])>, SyntaxError> {
        let Some(inner) = text.strip_prefix(b"[:") else {
            return Ok(None);
        };
        let Some(end) = memchr::memmem::find(inner, b":]") else {
            return Ok(None);
        };
        let (name, rest) = (&inner[..end], &inner[end + 2..]);
        let (positive, negated) = match name.strip_prefix(b"^") {
            Some(positive) => (positive, true),
            None => (name, false),
        };
        let mut class =
            class::posix(positive).ok_or_else(|| error(INVALID_CHAR_RANGE, before(text, rest)))?;
        self.fold(&mut class);
        if negated {
            class.negate();
        }
        Ok(Some((class, rest)))
    }

    fn parse_class(&mut self, whole: &'p [u8]) -> Result<&'p [u8], SyntaxError> {
        let mut rest = &whole[1..];
        let negated = rest.starts_with(b"^");
        if negated {
            rest = &rest[1..];
        }
        let mut class = ClassUnicode::empty();
        let mut first = true;
        while first || rest.first() != Some(&b']') {
            first = false;
            let named = if rest.len() > 2 { self.parse_named_class(rest)? } else { None };
            let named = match named {
                Some(named) => Some(named),
                None => match self.parse_unicode_class(rest)? {
                    Some(named) => Some(named),
                    None => self.parse_perl_class(rest),
                },
            };
            if let Some((named, after)) = named {
                class.union(&named);
                rest = after;
                continue;
            }
            let range = rest;
            let (low, after) = parse_class_char(rest, whole)?;
            rest = after;
            let mut high = low;
            if rest.len() >= 2 && rest[0] == b'-' && rest[1] != b']' {
                (high, rest) = parse_class_char(&rest[1..], whole)?;
                if high < low {
                    return Err(error(INVALID_CHAR_RANGE, before(range, rest)));
                }
            }
            let mut part = class::code_points(low, high);
            self.fold(&mut part);
            class.union(&part);
        }
        if negated {
            class.negate();
        }
        self.push(Node::class(class))?;
        Ok(&rest[1..])
    }
}
