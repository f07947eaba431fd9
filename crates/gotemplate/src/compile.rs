//! Turns parse trees into instructions.

use crate::builtins::Builtin;
use crate::code::{Const, Op, RangeVars, Template, Unit};
use crate::parse::{Branch, Kind, NodeId, Nodes, Number, Trees};
use crate::types::{self, GoType};
use crate::{Func, FuncBody, FuncMap, IntKind, Kind as TypeKind, Str, UintKind};
use std::collections::HashMap;
use std::sync::Arc;

/// Compiles all templates of a parsed text; the first is the text itself.
pub(crate) fn compile(trees: Trees, funcs: &FuncMap) -> Vec<Arc<Template>> {
    let Trees { name, text, nodes, roots, main } = trees;
    let mut compiler = Compiler {
        nodes: &nodes,
        funcs,
        code: Vec::new(),
        consts: Vec::new(),
        names: Names::default(),
        paths: Vec::new(),
        types: Vec::new(),
        func_ids: HashMap::new(),
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
    func_ids: HashMap<String, u32>,
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

/// Where an argument's parameter type comes from.
#[derive(Clone, Copy)]
enum Param {
    Known(GoType),
    Method(u16),
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
            Kind::Text(text) => {
                if !text.is_empty() {
                    self.emit(Op::Text { start: nodes.get(id).pos, len: text.len() as u32 });
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

    // Pipelines.

    fn pipeline(&mut self, id: NodeId) {
        let Kind::Pipe { assign, decl, commands } = self.nodes.kind(id) else { return };
        self.emit(Op::At(id));
        for (i, command) in commands.iter().enumerate() {
            self.command(*command, i > 0);
            self.elem();
        }
        for variable in decl {
            let name = self.variable_name(*variable);
            self.emit(if *assign { Op::Assign(name) } else { Op::Declare(name) });
        }
    }

    /// Looks into the interface on top, unless what is there cannot be in one.
    fn elem(&mut self) {
        match self.code.last_mut() {
            Some(Op::Const(_)) => {}
            Some(Op::DotPath { elem, .. } | Op::VariablePath { elem, .. }) => *elem = true,
            Some(Op::Call { func, .. }) => {
                let result = self.func_list[*func as usize].result;
                if result.is_any() || result == types::VALUE {
                    self.emit(Op::Elem);
                }
            }
            _ => {
                self.emit(Op::Elem);
            }
        }
    }

    fn command(&mut self, id: NodeId, piped: bool) {
        let nodes = self.nodes;
        let Kind::Command(args) = nodes.kind(id) else { return };
        let first = args[0];
        let has_args = args.len() > 1 || piped;
        match nodes.kind(first) {
            Kind::Field(names) => {
                if has_args {
                    self.emit(Op::At(first));
                    self.emit(Op::Dot);
                    self.fields(names, args, piped, first);
                } else {
                    self.path_from_dot(first, names);
                }
            }
            Kind::Chain { node, fields } => self.chain(first, *node, fields, args, piped),
            Kind::Identifier(name) => {
                self.emit(Op::At(first));
                self.function(name, &args[1..], piped, id);
            }
            Kind::Pipe { .. } => {
                if has_args {
                    self.not_a_function(first);
                } else {
                    self.pipeline(first);
                }
            }
            Kind::Variable(names) => {
                let variable = self.names.id(&names[0]);
                if names.len() == 1 {
                    self.emit(Op::At(first));
                    self.emit(Op::Variable(variable));
                    if has_args {
                        self.not_a_function(first);
                    }
                } else if has_args {
                    self.emit(Op::At(first));
                    self.emit(Op::Variable(variable));
                    self.fields(&names[1..], args, piped, first);
                } else {
                    self.path_from_variable(first, names);
                }
            }
            kind => {
                self.emit(Op::At(first));
                if has_args {
                    return self.not_a_function(first);
                }
                match kind {
                    Kind::Bool(b) => self.constant(Const::Bool(*b)),
                    Kind::Dot => {
                        self.emit(Op::Dot);
                    }
                    Kind::Nil => self.fail("nil is not a command".into()),
                    Kind::Number(number) => self.ideal(number),
                    Kind::String { text, .. } => self.constant(Const::Str(text.clone())),
                    kind => unreachable!("{kind:?} is not a command"),
                }
            }
        }
    }

    fn not_a_function(&mut self, id: NodeId) {
        let text = self.nodes.print(id);
        self.fail(format!("can't give argument to non-function {text}"));
    }

    fn path_from_dot(&mut self, id: NodeId, names: &[Str]) {
        self.paths.push(names.to_vec());
        self.emit(Op::DotPath { path: self.paths.len() as u32 - 1, node: id, elem: false });
    }

    fn path_from_variable(&mut self, id: NodeId, names: &[Str]) {
        let variable = self.names.id(&names[0]);
        self.paths.push(names[1..].to_vec());
        let path = self.paths.len() as u32 - 1;
        self.emit(Op::VariablePath { variable, path, node: id, elem: false });
    }

    fn chain(&mut self, id: NodeId, node: NodeId, fields: &[Str], args: &[NodeId], piped: bool) {
        self.emit(Op::At(id));
        match self.nodes.kind(node) {
            Kind::Nil => {
                let text = self.nodes.print(id);
                return self.fail(format!("indirection through explicit nil in {text}"));
            }
            Kind::Identifier(name) => {
                self.emit(Op::At(node));
                self.function(name, &[], false, node);
            }
            _ => {
                self.emit(Op::At(node));
                self.pipeline(node);
            }
        }
        self.fields(fields, args, piped, id);
    }

    /// Walks fields from the value on top; the last may be a method that gets the arguments.
    fn fields(&mut self, names: &[Str], args: &[NodeId], piped: bool, node: NodeId) {
        let Some((last, first)) = names.split_last() else { return };
        for name in first {
            let name = self.names.id(name);
            self.emit(Op::Field(name));
        }
        let name = self.names.id(last);
        let args = args.get(1..).unwrap_or_default();
        if args.is_empty() && !piped {
            self.emit(Op::Field(name));
            return;
        }
        let count = args.len() as u16 + u16::from(piped);
        let start = self.emit(Op::Method { name, args: count, piped, target: 0 });
        for (i, arg) in args.iter().enumerate() {
            self.argument(*arg, Param::Method(i as u16));
        }
        self.emit(Op::CallMethod { args: count, piped, node });
        self.land(start);
    }

    fn function(&mut self, name: &str, args: &[NodeId], piped: bool, node: NodeId) {
        let Some(func) = self.funcs.get(name) else {
            return self.fail(format!("{name:?} is not a defined function"));
        };
        let given = args.len() + usize::from(piped);
        let params = func.params;
        if func.variadic {
            let fixed = params.len() - 1;
            if given < fixed {
                return self.fail(format!(
                    "wrong number of args for {name}: want at least {fixed} got {}",
                    args.len()
                ));
            }
        } else if given != params.len() {
            let want = params.len();
            return self.fail(format!("wrong number of args for {name}: want {want} got {given}"));
        }
        if let FuncBody::Builtin(builtin @ (Builtin::And | Builtin::Or)) = func.body {
            return self.short_circuit(builtin == Builtin::Or, args, piped);
        }
        let param = |i: usize| params[i.min(params.len() - 1)];
        let is_call = matches!(func.body, FuncBody::Builtin(Builtin::Call));
        if is_call {
            // The name of what is called, for error messages; empty if it comes through the pipeline.
            let callee = args.first().map_or(Str::EMPTY, |arg| self.nodes.print(*arg).into());
            self.constant(Const::Str(callee));
        }
        for (i, arg) in args.iter().enumerate() {
            self.argument(*arg, Param::Known(param(i)));
        }
        if piped && !takes_anything(param(given - 1)) {
            let ty = self.type_id(param(given - 1));
            self.emit(Op::ValidateFinal { ty, above: args.len() as u16 + u16::from(is_call) });
        }
        let func = self.func_id(name, func);
        self.emit(Op::Call { func, args: given as u16 + u16::from(is_call), piped, node });
    }

    fn func_id(&mut self, name: &str, func: Arc<Func>) -> u32 {
        if let Some(id) = self.func_ids.get(name) {
            return *id;
        }
        let id = self.func_list.len() as u32;
        self.func_list.push(func);
        self.func_ids.insert(name.to_string(), id);
        id
    }

    fn short_circuit(&mut self, on: bool, args: &[NodeId], piped: bool) {
        let mut jumps = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            self.argument(*arg, Param::Known(types::VALUE));
            let keep = i + 1 == args.len() && !piped;
            jumps.push(self.emit(Op::ShortCircuit { on, keep, target: 0 }));
        }
        if piped {
            self.emit(Op::Dup);
        }
        for jump in jumps {
            self.land(jump);
        }
        if piped {
            self.emit(Op::DropUnder);
        }
    }

    // Arguments.

    fn argument(&mut self, id: NodeId, param: Param) {
        let nodes = self.nodes;
        match nodes.kind(id) {
            Kind::Dot => {
                self.emit(Op::At(id));
                self.emit(Op::Dot);
            }
            Kind::Field(names) => self.path_from_dot(id, names),
            Kind::Variable(names) if names.len() == 1 => {
                self.emit(Op::At(id));
                let variable = self.names.id(&names[0]);
                self.emit(Op::Variable(variable));
            }
            Kind::Variable(names) => self.path_from_variable(id, names),
            Kind::Pipe { .. } => {
                self.emit(Op::At(id));
                self.pipeline(id);
            }
            Kind::Identifier(name) => {
                self.emit(Op::At(id));
                self.function(name, &[], false, id);
            }
            Kind::Chain { node, fields } => {
                self.emit(Op::At(id));
                self.chain(id, *node, fields, &[], false);
            }
            kind => {
                self.emit(Op::At(id));
                match param {
                    Param::Method(index) => {
                        self.emit(Op::MethodLiteral { node: id, index });
                    }
                    Param::Known(ty) => match literal(nodes, kind, id, ty) {
                        Ok(Some(constant)) => self.constant(constant),
                        Ok(None) => {
                            let ty = self.type_id(ty);
                            self.emit(Op::Zero(ty));
                        }
                        Err(message) => self.fail(message),
                    },
                }
                return;
            }
        }
        match param {
            Param::Known(ty) if takes_anything(ty) => {}
            Param::Known(ty) => {
                let ty = self.type_id(ty);
                self.emit(Op::Validate(ty));
            }
            Param::Method(index) => {
                self.emit(Op::MethodArg(index));
            }
        }
    }

    fn ideal(&mut self, number: &Number) {
        match ideal_constant(number) {
            Ok(constant) => self.constant(constant),
            Err(message) => self.fail(message),
        }
    }
}

/// Whether every value is fine as a parameter of that type as it is.
fn takes_anything(ty: GoType) -> bool {
    ty == types::ANY || ty == types::VALUE
}

/// A number where no type is asked for: its syntax tells.
fn ideal_constant(number: &Number) -> Result<Const, String> {
    let text = number.text.as_str();
    if let Some((re, im)) = number.complex {
        return Ok(Const::Complex(re, im));
    }
    let is_hex =
        text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P']);
    let looks_like_float = !is_hex && !text.starts_with('\'') && text.contains(['.', 'e', 'E', 'p', 'P']);
    match (number.float, number.int) {
        (Some(float), _) if looks_like_float => Ok(Const::Float(float)),
        (_, Some(int)) => Ok(Const::Int(int, IntKind::Int)),
        _ => Err(format!("{text} overflows int")),
    }
}

/// A literal as an argument of a parameter type; `None` is nil.
pub(crate) fn literal(nodes: &Nodes, kind: &Kind, id: NodeId, ty: GoType) -> Result<Option<Const>, String> {
    if matches!(kind, Kind::Nil) {
        if ty.can_be_nil() {
            return Ok(None);
        }
        return Err(format!("cannot assign nil to {ty}"));
    }
    let expected = |what: &str| Err(format!("expected {what}; found {}", nodes.print(id)));
    let number = match kind {
        Kind::Number(number) => Some(number),
        _ => None,
    };
    let constant = match (ty.kind(), kind) {
        (TypeKind::Bool, Kind::Bool(b)) => Const::Bool(*b),
        (TypeKind::Bool, _) => return expected("bool"),
        (TypeKind::String, Kind::String { text, .. }) => Const::Str(text.clone()),
        (TypeKind::String, _) => return expected("string"),
        (int, _) if int.is_int() => match number.and_then(|n| n.int) {
            Some(n) => narrow_int(n, int),
            None => return expected("integer"),
        },
        (uint, _) if uint.is_uint() => match number.and_then(|n| n.uint) {
            Some(n) => narrow_uint(n, uint),
            None => return expected("unsigned integer"),
        },
        (float, _) if float.is_float() => match number.and_then(|n| n.float) {
            Some(f) => Const::Float(f),
            None => return expected("float"),
        },
        (TypeKind::Complex64 | TypeKind::Complex128, _) => match number.and_then(|n| n.complex) {
            Some((re, im)) => Const::Complex(re, im),
            None => return expected("complex"),
        },
        _ if ty == types::ANY || ty == types::VALUE => match kind {
            Kind::Bool(b) => Const::Bool(*b),
            Kind::Number(number) => ideal_constant(number)?,
            Kind::String { text, .. } => Const::Str(text.clone()),
            _ => unreachable!("{kind:?} is not a literal"),
        },
        _ => return Err(format!("can't handle {} for arg of type {ty}", nodes.print(id))),
    };
    Ok(Some(constant))
}

fn narrow_int(n: i64, kind: TypeKind) -> Const {
    match kind {
        TypeKind::Int8 => Const::Int(i64::from(n as i8), IntKind::Int8),
        TypeKind::Int16 => Const::Int(i64::from(n as i16), IntKind::Int16),
        TypeKind::Int32 => Const::Int(i64::from(n as i32), IntKind::Int32),
        TypeKind::Int64 => Const::Int(n, IntKind::Int64),
        _ => Const::Int(n, IntKind::Int),
    }
}

fn narrow_uint(n: u64, kind: TypeKind) -> Const {
    match kind {
        TypeKind::Uint8 => Const::Uint(u64::from(n as u8), UintKind::Uint8),
        TypeKind::Uint16 => Const::Uint(u64::from(n as u16), UintKind::Uint16),
        TypeKind::Uint32 => Const::Uint(u64::from(n as u32), UintKind::Uint32),
        TypeKind::Uint64 => Const::Uint(n, UintKind::Uint64),
        _ => Const::Uint(n, UintKind::Uint),
    }
}
