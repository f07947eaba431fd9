//! Turns parse trees into instructions.

mod literal;
mod pipeline;

pub(crate) use literal::literal;

use crate::code::{Const, Op, RangeVars, Template, Unit};
use crate::collections::HashMap;
use crate::parse::{Branch, Kind, NodeId, Nodes, Trees};
use crate::types::{self, GoType};
use crate::{Func, FuncMap, Str};
use std::sync::Arc;

/// Compiles all templates of a parsed text; the first is the text itself.
pub(crate) fn compile(trees: Trees, funcs: &FuncMap) -> Vec<Arc<Template>> {
    let Trees { name, text, nodes, roots, main } = trees;
    let mut compiler = Compiler {
        nodes: &nodes,
        funcs,
        code: Vec::with_capacity(nodes.len() + nodes.len() / 4),
        consts: Vec::new(),
        names: Names::default(),
        paths: Vec::new(),
        types: Vec::new(),
        func_ids: HashMap::default(),
        func_list: Vec::new(),
        messages: Vec::new(),
        ranges: Vec::new(),
        loops: Vec::new(),
        label: 0,
    };
    let dollar = compiler.names.id(&"$".into());
    let mut roots: Vec<(Str, NodeId)> = roots.into_iter().collect();
    roots.sort_by(|a, b| a.0.cmp(&b.0));
    let mut entries = Vec::new();
    for (template, root) in &roots {
        entries.push((template.clone(), *root, compiler.label()));
        compiler.list(*root);
        compiler.emit(Op::Return);
    }
    if !roots.iter().any(|(_, root)| *root == main) {
        // The text is blank and shares its name with a template it defines: it is executed, never found.
        entries.push((name.as_str().into(), main, compiler.label()));
        compiler.list(main);
        compiler.emit(Op::Return);
    }
    let Compiler { code, consts, names, paths, types, func_list, messages, ranges, .. } = compiler;
    let empties: Vec<bool> = entries.iter().map(|(_, root, _)| nodes.is_empty_tree(*root)).collect();
    let unit = Arc::new(Unit {
        parse_name: name,
        text,
        nodes,
        code,
        consts,
        names: names.list,
        paths,
        types,
        funcs: func_list,
        messages,
        ranges,
        dollar,
    });
    let mut templates: Vec<(bool, Arc<Template>)> = entries
        .into_iter()
        .zip(empties)
        .map(|((name, root, entry), is_empty)| {
            (root != main, Arc::new(Template { name, unit: unit.clone(), entry, is_empty }))
        })
        .collect();
    templates.sort_by_key(|(not_main, _)| *not_main);
    templates.into_iter().map(|(_, template)| template).collect()
}

#[derive(Default)]
struct Names {
    ids: HashMap<Str, u32>,
    list: Vec<Str>,
}

impl Names {
    fn id(&mut self, name: &Str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.list.len() as u32;
        self.list.push(name.clone());
        self.ids.insert(name.clone(), id);
        id
    }
}

struct Compiler<'a> {
    nodes: &'a Nodes,
    funcs: &'a FuncMap,
    code: Vec<Op>,
    consts: Vec<Const>,
    names: Names,
    paths: Vec<Vec<Str>>,
    types: Vec<GoType>,
    func_ids: HashMap<&'static str, u32>,
    func_list: Vec<Arc<Func>>,
    messages: Vec<String>,
    ranges: Vec<RangeVars>,
    loops: Vec<Loop>,
    /// The last position that something jumps to.
    label: usize,
}

/// A loop being compiled: where to continue, and the breaks that wait for its end.
struct Loop {
    head: u32,
    breaks: Vec<usize>,
}

impl Compiler<'_> {
    fn emit(&mut self, op: Op) -> usize {
        // A node is remembered in vain if the next instruction remembers another.
        let remembers = matches!(op, Op::At(_) | Op::DotPath { .. } | Op::VariablePath { .. });
        if remembers && matches!(self.code.last(), Some(Op::At(_))) && self.label < self.code.len() {
            self.code.pop();
        }
        self.code.push(op);
        self.code.len() - 1
    }

    /// Marks this position as one that something jumps to.
    fn label(&mut self) -> usize {
        self.label = self.code.len();
        self.label
    }

    /// Makes a jump emitted earlier lead here.
    fn land(&mut self, at: usize) {
        let here = self.label() as u32;
        match &mut self.code[at] {
            Op::Jump(target)
            | Op::JumpIfFalse(target)
            | Op::EnterWith(target)
            | Op::Break(target)
            | Op::ShortCircuit { target, .. }
            | Op::Method { target, .. }
            | Op::RangeStart { target, .. }
            | Op::RangeNext { target, .. } => *target = here,
            op => unreachable!("{op:?} does not jump"),
        }
    }

    fn fail(&mut self, message: String) {
        self.messages.push(message);
        self.emit(Op::Fail(self.messages.len() as u32 - 1));
    }

    fn constant(&mut self, constant: Const) {
        self.consts.push(constant);
        self.emit(Op::Const(self.consts.len() as u32 - 1));
    }

    fn type_id(&mut self, ty: GoType) -> u32 {
        if let Some(id) = self.types.iter().position(|t| *t == ty) {
            return id as u32;
        }
        self.types.push(ty);
        self.types.len() as u32 - 1
    }

    // Statements.

    fn list(&mut self, id: NodeId) {
        let Kind::List(children) = self.nodes.kind(id) else { return };
        for child in children {
            self.statement(*child);
        }
    }

    fn statement(&mut self, id: NodeId) {
        let nodes = self.nodes;
        match nodes.kind(id) {
            Kind::Text(len) => {
                if *len > 0 {
                    self.emit(Op::Text { start: nodes.get(id).pos, len: *len });
                }
            }
            Kind::Action(pipe) => {
                self.emit(Op::At(id));
                self.pipeline(*pipe);
                let declares = matches!(nodes.kind(*pipe), Kind::Pipe { decl, .. } if !decl.is_empty());
                self.emit(if declares { Op::Pop } else { Op::Print(id) });
            }
            Kind::Break => {
                let at = self.emit(Op::Break(0));
                if let Some(innermost) = self.loops.last_mut() {
                    innermost.breaks.push(at);
                }
            }
            Kind::Continue => {
                let head = self.loops.last().map_or(0, |l| l.head);
                self.emit(Op::Continue(head));
            }
            Kind::Branch { word, pipe, list, otherwise } => {
                self.emit(Op::At(id));
                match word {
                    Branch::If => self.branch_if(*pipe, *list, *otherwise),
                    Branch::With => self.branch_with(*pipe, *list, *otherwise),
                    Branch::Range => self.range(*pipe, *list, *otherwise),
                }
            }
            Kind::Template { name, pipe } => {
                self.emit(Op::At(id));
                let name = self.names.id(name);
                self.emit(Op::FindTemplate(name));
                match pipe {
                    Some(pipe) => self.pipeline(*pipe),
                    None => {
                        let value = self.type_id(types::VALUE);
                        self.emit(Op::Zero(value));
                    }
                }
                self.emit(Op::CallTemplate(name));
            }
            kind => unreachable!("{kind:?} is not a statement"),
        }
    }

    fn branch_if(&mut self, pipe: NodeId, list: NodeId, otherwise: Option<NodeId>) {
        let scoped =
            self.declares(pipe) || self.declares(list) || otherwise.is_some_and(|l| self.declares(l));
        if scoped {
            self.emit(Op::Mark);
        }
        self.pipeline(pipe);
        let to_else = self.emit(Op::JumpIfFalse(0));
        self.list(list);
        if let Some(otherwise) = otherwise {
            let to_end = self.emit(Op::Jump(0));
            self.land(to_else);
            self.list(otherwise);
            self.land(to_end);
        } else {
            self.land(to_else);
        }
        if scoped {
            self.emit(Op::Unmark);
        }
    }

    fn branch_with(&mut self, pipe: NodeId, list: NodeId, otherwise: Option<NodeId>) {
        self.emit(Op::Mark);
        self.pipeline(pipe);
        let to_else = self.emit(Op::EnterWith(0));
        self.list(list);
        self.emit(Op::LeaveWith);
        let to_end = self.emit(Op::Jump(0));
        self.land(to_else);
        if let Some(otherwise) = otherwise {
            self.list(otherwise);
        }
        self.land(to_end);
        self.emit(Op::Unmark);
    }

    fn range(&mut self, pipe: NodeId, list: NodeId, otherwise: Option<NodeId>) {
        let Kind::Pipe { assign, decl, .. } = self.nodes.kind(pipe) else { return };
        let names = decl.iter().map(|variable| self.variable_name(*variable)).collect();
        self.ranges.push(RangeVars { assign: *assign, names });
        let range = self.ranges.len() as u32 - 1;
        self.emit(Op::Mark);
        self.pipeline(pipe);
        let start = self.emit(Op::RangeStart { range, target: 0 });
        self.label();
        let next = self.emit(Op::RangeNext { range, target: 0 });
        self.loops.push(Loop { head: next as u32, breaks: Vec::new() });
        self.list(list);
        self.emit(Op::Continue(next as u32));
        let ended = self.loops.pop();
        self.land(start);
        if let Some(otherwise) = otherwise {
            self.list(otherwise);
        }
        self.land(next);
        for at in ended.map(|l| l.breaks).unwrap_or_default() {
            self.land(at);
        }
        self.emit(Op::Unmark);
    }

    /// Whether executing the node can declare a variable that outlives its own scope.
    fn declares(&self, id: NodeId) -> bool {
        match self.nodes.kind(id) {
            Kind::List(children) => children.iter().any(|child| match self.nodes.kind(*child) {
                Kind::Action(pipe) => self.declares(*pipe),
                Kind::Template { pipe: Some(pipe), .. } => self.declares(*pipe),
                // These keep their own scope.
                Kind::Branch { .. } => false,
                _ => false,
            }),
            Kind::Pipe { decl, assign, commands } => {
                !decl.is_empty() && !assign || commands.iter().any(|command| self.declares(*command))
            }
            Kind::Command(args) => args.iter().any(|arg| self.declares(*arg)),
            Kind::Chain { node, .. } => self.declares(*node),
            _ => false,
        }
    }

    fn variable_name(&mut self, id: NodeId) -> u32 {
        match self.nodes.kind(id) {
            Kind::Variable(names) => self.names.id(&names[0]),
            kind => unreachable!("{kind:?} is not a variable"),
        }
    }
}
