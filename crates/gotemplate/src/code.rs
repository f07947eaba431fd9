//! The instructions templates are compiled to.
//!
//! Names are numbers, functions are resolved, literals are constants and text is a range of the source.
//! A compiled [`Unit`] is immutable and shared by all renders on all threads. Instructions mirror the
//! steps of Go's executor one by one, because error messages name the node that was last looked at:
//! `At` is Go's `s.at(node)`.

use crate::parse::{NodeId, Nodes};
use crate::{Func, GoType, IntKind, Str, UintKind, Value};
use std::sync::Arc;

/// One instruction of the executor's stack machine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Write a range of the source text.
    Text { start: u32, len: u32 },
    /// Pop and print, at this action.
    Print(NodeId),
    /// Drop the top.
    Pop,
    /// Remember the node for error messages.
    At(NodeId),
    /// Push a constant.
    Const(u32),
    /// Push the zero value of a type: nil as an argument.
    Zero(u32),
    /// Push dot.
    Dot,
    /// Push a variable.
    Variable(u32),
    /// Replace the top by one of its fields.
    Field(u32),
    /// Push dot, then walk fields; `elem` looks into the interface at the end.
    DotPath { path: u32, node: NodeId, elem: bool },
    /// Push a variable, then walk fields; `elem` as above.
    VariablePath { variable: u32, path: u32, node: NodeId, elem: bool },
    /// Look into the interface on top.
    Elem,
    /// Declare a variable with the top as value; the top stays.
    Declare(u32),
    /// Assign the top to a variable; the top stays.
    Assign(u32),
    /// Check the top against a parameter type.
    Validate(u32),
    /// Check the value below the arguments, which is the last argument.
    ValidateFinal { ty: u32, above: u16 },
    /// Call a function with the topmost `args` values; with `piped` the lowest is the last argument.
    Call { func: u32, args: u16, piped: bool, node: NodeId },
    /// `and` and `or`: jump with the top when its truth is `on`, otherwise pop it unless it is the last.
    ShortCircuit { on: bool, keep: bool, target: u32 },
    /// Push the top again.
    Dup,
    /// Remove the value below the top.
    DropUnder,
    /// Start a method call on the top, which must have the method; nil skips to the target.
    Method { name: u32, args: u16, piped: bool, target: u32 },
    /// Check the top against a parameter of the method.
    MethodArg(u16),
    /// Push a literal as the method's parameter wants it.
    MethodLiteral { node: NodeId, index: u16 },
    /// Call the method.
    CallMethod { args: u16, piped: bool, node: NodeId },
    /// Stop with a message at the remembered node.
    Fail(u32),
    /// Go on elsewhere.
    Jump(u32),
    /// Pop and go on elsewhere if it is false.
    JumpIfFalse(u32),
    /// Remember how many variables there are.
    Mark,
    /// Forget the variables since the last mark.
    Unmark,
    /// Pop into dot, or go on elsewhere if it is false.
    EnterWith(u32),
    /// Give dot its old value.
    LeaveWith,
    /// Pop what to range over; an empty one goes to the target.
    RangeStart { range: u32, target: u32 },
    /// Next iteration, or on to the target after the last.
    RangeNext { range: u32, target: u32 },
    /// Leave the innermost loop.
    Break(u32),
    /// Next iteration of the innermost loop, whose head is the target.
    Continue(u32),
    /// The template must exist.
    FindTemplate(u32),
    /// Pop dot and execute a template.
    CallTemplate(u32),
    /// The template ends.
    Return,
}

/// A constant.
#[derive(Clone, Debug)]
pub(crate) enum Const {
    Bool(bool),
    Int(i64, IntKind),
    Uint(u64, UintKind),
    Float(f64),
    Complex(f64, f64),
    Str(Str),
}

impl Const {
    #[inline]
    pub(crate) fn value(&self) -> Value {
        match self {
            Const::Bool(b) => Value::Bool(*b),
            Const::Int(n, kind) => Value::Int(*n, *kind),
            Const::Uint(n, kind) => Value::Uint(*n, *kind),
            Const::Float(f) => Value::Float(*f),
            Const::Complex(re, im) => Value::Complex(*re, *im),
            Const::Str(s) => Value::Str(s.clone()),
        }
    }
}

/// The variables of a range loop.
#[derive(Clone, Debug)]
pub(crate) struct RangeVars {
    pub(crate) assign: bool,
    pub(crate) names: Vec<u32>,
}

/// Everything one parsed text compiles to.
pub(crate) struct Unit {
    pub(crate) parse_name: String,
    pub(crate) text: Arc<[u8]>,
    pub(crate) nodes: Nodes,
    pub(crate) code: Vec<Op>,
    pub(crate) consts: Vec<Const>,
    pub(crate) names: Vec<Str>,
    pub(crate) paths: Vec<Vec<Str>>,
    pub(crate) types: Vec<GoType>,
    pub(crate) funcs: Vec<Arc<Func>>,
    pub(crate) messages: Vec<String>,
    pub(crate) ranges: Vec<RangeVars>,
    pub(crate) dollar: u32,
}

impl Unit {
    /// `file:line:column` of a node and its text, as Go's `ErrorContext`.
    pub(crate) fn error_context(&self, node: NodeId) -> (String, String) {
        let pos = self.nodes.get(node).pos as usize;
        let before = &self.text[..pos.min(self.text.len())];
        let column = before.iter().rev().take_while(|c| **c != b'\n').count();
        let line = 1 + before.iter().filter(|c| **c == b'\n').count();
        (format!("{}:{line}:{column}", self.parse_name), self.nodes.print(node))
    }
}

/// A named template: where its code starts.
pub(crate) struct Template {
    pub(crate) name: Str,
    pub(crate) unit: Arc<Unit>,
    pub(crate) entry: usize,
    pub(crate) is_empty: bool,
}
