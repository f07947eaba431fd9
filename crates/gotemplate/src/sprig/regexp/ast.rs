//! The tree of a Go pattern while it is parsed, with the figures Go's limits look at.

use regex_syntax::hir::{Capture, ClassUnicode, Hir, Look, Repetition};

/// Highest tree Go accepts.
const MAX_HEIGHT: usize = 1000;

/// Largest number of compiled instructions Go accepts.
const MAX_SIZE: u64 = (128 << 20) / (5 * 8);

/// Why a tree is refused although its syntax is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Height,
    Size,
}

#[derive(Debug)]
enum Kind {
    Empty,
    Look(Look),
    Class(ClassUnicode),
    Repeat {
        min: u32,
        max: Option<u32>,
        greedy: bool,
        /// Written as `{min,max}` rather than as `*`, `+` or `?`.
        counted: bool,
        sub: Box<Node>,
    },
    Capture {
        index: u32,
        sub: Box<Node>,
    },
    Concat(Vec<Node>),
    Alternate(Vec<Node>),
}

/// One part of a pattern.
#[derive(Debug)]
pub(super) struct Node {
    kind: Kind,
    height: usize,
    size: u64,
}

impl Node {
    fn leaf(kind: Kind) -> Self {
        Self { kind, height: 1, size: 1 }
    }

    pub(super) fn empty() -> Self {
        Self::leaf(Kind::Empty)
    }

    pub(super) fn look(look: Look) -> Self {
        Self::leaf(Kind::Look(look))
    }

    pub(super) fn class(class: ClassUnicode) -> Self {
        Self::leaf(Kind::Class(class))
    }

    pub(super) fn capture(index: u32, sub: Self) -> Self {
        Self {
            height: sub.height + 1,
            size: sub.size.saturating_add(2),
            kind: Kind::Capture { index, sub: Box::new(sub) },
        }
    }

    /// `sub*`, `sub+` or `sub?`.
    pub(super) fn repeat(min: u32, max: Option<u32>, greedy: bool, sub: Self) -> Self {
        let instructions = if min == 0 && max.is_none() { 2 } else { 1 };
        Self {
            height: sub.height + 1,
            size: sub.size.saturating_add(instructions),
            kind: Kind::Repeat { min, max, greedy, counted: false, sub: Box::new(sub) },
        }
    }

    /// `sub{min,max}`.
    pub(super) fn counted_repeat(min: u32, max: Option<u32>, greedy: bool, sub: Self) -> Self {
        let size = match max {
            None if min == 0 => sub.size.saturating_add(2),
            None => sub.size.saturating_mul(min.into()).saturating_add(1),
            Some(max) => sub.size.saturating_mul(max.into()).saturating_add(max.saturating_sub(min).into()),
        };
        Self {
            height: sub.height + 1,
            size: size.max(1),
            kind: Kind::Repeat { min, max, greedy, counted: true, sub: Box::new(sub) },
        }
    }

    pub(super) fn concat(nodes: Vec<Self>) -> Self {
        Self::collapse(nodes, false)
    }

    pub(super) fn alternate(nodes: Vec<Self>) -> Self {
        Self::collapse(nodes, true)
    }

    /// Joins nodes; a concatenation inside a concatenation is dissolved, as in Go's tree.
    fn collapse(mut nodes: Vec<Self>, alternate: bool) -> Self {
        if nodes.len() == 1
            && let Some(node) = nodes.pop()
        {
            return node;
        }
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node.kind {
                Kind::Alternate(subs) if alternate => flat.extend(subs),
                Kind::Concat(subs) if !alternate => flat.extend(subs),
                kind => flat.push(Self { kind, ..node }),
            }
        }
        let height = 1 + flat.iter().map(|node| node.height).max().unwrap_or(0);
        let mut size: u64 = flat.iter().fold(0, |sum, node| sum.saturating_add(node.size));
        if alternate {
            size = size.saturating_add(flat.len() as u64 - 1);
        }
        Self {
            kind: if alternate { Kind::Alternate(flat) } else { Kind::Concat(flat) },
            height,
            size: size.max(1),
        }
    }

    /// Refuses what Go refuses.
    pub(super) fn check_limits(&self) -> Result<(), Limit> {
        if self.size > MAX_SIZE {
            Err(Limit::Size)
        } else if self.height > MAX_HEIGHT {
            Err(Limit::Height)
        } else {
            Ok(())
        }
    }

    /// Whether nested counted repetitions ask for at most `copies` copies of the innermost part.
    pub(super) fn repeats_at_most(&self, mut copies: u32) -> bool {
        match &self.kind {
            Kind::Repeat { min, max, counted, sub, .. } => {
                if *counted {
                    let asked = match max {
                        Some(0) => return true,
                        Some(max) => *max,
                        None => *min,
                    };
                    if asked > copies {
                        return false;
                    }
                    copies = copies.checked_div(asked).unwrap_or(copies);
                }
                sub.repeats_at_most(copies)
            }
            Kind::Capture { sub, .. } => sub.repeats_at_most(copies),
            Kind::Concat(subs) | Kind::Alternate(subs) => subs.iter().all(|sub| sub.repeats_at_most(copies)),
            Kind::Empty | Kind::Look(_) | Kind::Class(_) => true,
        }
    }

    /// The same pattern for the matcher.
    pub(super) fn into_hir(self) -> Hir {
        match self.kind {
            Kind::Empty => Hir::empty(),
            Kind::Look(look) => Hir::look(look),
            Kind::Class(class) => Hir::class(regex_syntax::hir::Class::Unicode(class)),
            Kind::Repeat { min, max, greedy, sub, .. } => {
                Hir::repetition(Repetition { min, max, greedy, sub: Box::new(sub.into_hir()) })
            }
            Kind::Capture { index, sub } => {
                Hir::capture(Capture { index, name: None, sub: Box::new(sub.into_hir()) })
            }
            Kind::Concat(subs) => Hir::concat(subs.into_iter().map(Self::into_hir).collect()),
            Kind::Alternate(subs) => Hir::alternation(subs.into_iter().map(Self::into_hir).collect()),
        }
    }
}
