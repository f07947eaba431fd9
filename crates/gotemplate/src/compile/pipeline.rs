//! Pipelines, commands, calls and their arguments.

use super::Compiler;
use super::literal::{ideal_constant, literal};
use crate::builtins::Builtin;
use crate::code::{Const, Op};
use crate::parse::{Kind, NodeId, Number};
use crate::types::{self, GoType};
use crate::{Func, FuncBody, Str};
use std::sync::Arc;

/// Where an argument's parameter type comes from.
#[derive(Clone, Copy)]
enum Param {
    Known(GoType),
    Method(u16),
}

impl Compiler<'_> {
    pub(super) fn pipeline(&mut self, id: NodeId) {
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
        let funcs = self.funcs;
        let Some(func) = funcs.find(name) else {
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
        let func = self.func_id(func);
        self.emit(Op::Call { func, args: given as u16 + u16::from(is_call), piped, node });
    }

    fn func_id(&mut self, func: &Arc<Func>) -> u32 {
        if let Some(id) = self.func_ids.get(func.name) {
            return *id;
        }
        let id = self.func_list.len() as u32;
        self.func_list.push(func.clone());
        self.func_ids.insert(func.name, id);
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
