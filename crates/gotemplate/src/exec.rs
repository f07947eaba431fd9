//! Executes compiled templates.
//!
//! A stack machine: templates that call templates, and functions that do (`include`, `tpl`), push frames
//! on a vector instead of recursing, so depth is bounded by the limits and never by the native stack.

mod call;
mod eval;
mod range;
#[cfg(test)]
mod tests;

use crate::code::{Op, Unit};
use crate::func::AfterFn;
use crate::parse::NodeId;
use crate::set::{Local, Parsed, TemplateSet, View};
use crate::{Ctx, Error, ExecError, Limit, Method, Str, Value, gofmt};
use range::Loop;
use std::rc::Rc;
use std::sync::Arc;

/// A value as Go's reflection holds it: `interface` says it was found in a place of type
/// `interface {}`. Nil there is a nil interface; nil elsewhere is no value at all.
#[derive(Clone, Default)]
pub(crate) struct Slot {
    pub(crate) value: Value,
    pub(crate) interface: bool,
}

impl Slot {
    fn plain(value: Value) -> Slot {
        Slot { value, interface: false }
    }

    fn is_invalid(&self) -> bool {
        !self.interface && self.value.is_nil()
    }

    fn type_name(&self) -> &'static str {
        if self.interface { "interface {}" } else { self.value.type_name() }
    }
}

/// A template being executed, and the registers of what called it.
struct Frame {
    template: Rc<Local>,
    view: Rc<View>,
    depth: usize,
    vars: usize,
    marks: usize,
    dots: usize,
    loops: usize,
    stack: usize,
    methods: usize,
    origin: Origin,
    caller: Registers,
}

/// Where execution stands.
#[derive(Default)]
struct Registers {
    ip: usize,
    node: Option<NodeId>,
    dot: Slot,
    /// Where the variables of the current template begin.
    vars: usize,
}

/// Who started a frame.
enum Origin {
    /// The caller of the renderer.
    Caller,
    /// A `template` action.
    Template,
    /// A function that asked for it; where the output began and what to make of it.
    Function { output: usize, after: AfterFn, call: u32, node: NodeId },
}

/// A method call whose arguments are being evaluated.
struct MethodCall {
    method: &'static Method,
    receiver: Value,
}

/// Executes templates, one render on one thread. Values that functions change stay changed from one
/// template to the next, as in Helm's renders. When the last renderer of a thread is dropped, maps that
/// were written to are emptied, because they may hold themselves: take what you need from them before.
pub struct Renderer {
    ctx: Ctx,
    at: Registers,
    base: Option<Rc<View>>,
    stack: Vec<Slot>,
    args: Vec<Value>,
    vars: Vec<(u32, Slot)>,
    marks: Vec<usize>,
    dots: Vec<Slot>,
    loops: Vec<Loop>,
    methods: Vec<MethodCall>,
    frames: Vec<Frame>,
    out: Vec<u8>,
    calls: usize,
}

impl Renderer {
    /// A renderer with that state.
    pub fn new(ctx: Ctx) -> Renderer {
        Renderer {
            ctx,
            at: Registers::default(),
            base: None,
            stack: Vec::new(),
            args: Vec::new(),
            vars: Vec::new(),
            marks: Vec::new(),
            dots: Vec::new(),
            loops: Vec::new(),
            methods: Vec::new(),
            frames: Vec::new(),
            out: Vec::new(),
            calls: 0,
        }
    }

    /// The state that functions see.
    pub fn ctx(&mut self) -> &mut Ctx {
        &mut self.ctx
    }

    /// Executes the template of that name with `data` as dot and gives back its output.
    pub fn execute(&mut self, set: &Arc<TemplateSet>, name: &str, data: Value) -> Result<Vec<u8>, Error> {
        let view = self.view(set);
        let Some(template) = view.find(name.as_bytes()) else {
            return Err(no_template(set, name.as_bytes()));
        };
        self.start(template, view, data)
    }

    /// Executes an extra text over a set; its `define`s are seen by nothing else.
    pub fn execute_parsed(
        &mut self,
        set: &Arc<TemplateSet>,
        parsed: &Arc<Parsed>,
        data: Value,
    ) -> Result<Vec<u8>, Error> {
        let view = Rc::new(View::Over { parsed: parsed.clone(), below: self.view(set) });
        self.start(Rc::new(Local(parsed.main().clone())), view, data)
    }

    /// This render's view of a set, kept from one template to the next.
    fn view(&mut self, set: &Arc<TemplateSet>) -> Rc<View> {
        match &self.base {
            Some(view) if Arc::ptr_eq(view.set(), set) => view.clone(),
            _ => self.base.insert(View::new(set.clone())).clone(),
        }
    }

    fn start(&mut self, template: Rc<Local>, view: Rc<View>, data: Value) -> Result<Vec<u8>, Error> {
        self.out.clear();
        self.calls = 0;
        self.push_frame(template, view, Slot::plain(data), 0, Origin::Caller);
        let result = self.run();
        self.frames.clear();
        self.loops.clear();
        self.methods.clear();
        self.stack.clear();
        self.vars.clear();
        self.marks.clear();
        self.dots.clear();
        self.at = Registers::default();
        // A copy that fits; the buffer, grown to what templates here give, serves the next one.
        let output = result.map(|()| self.out.as_slice().to_vec());
        self.out.clear();
        output
    }

    fn push_frame(&mut self, template: Rc<Local>, view: Rc<View>, dot: Slot, depth: usize, origin: Origin) {
        let vars = self.vars.len();
        self.vars.push((template.0.unit.dollar, dot.clone()));
        let registers = Registers { ip: template.0.entry, node: None, dot, vars };
        let caller = std::mem::replace(&mut self.at, registers);
        self.frames.push(Frame {
            depth,
            vars,
            marks: self.marks.len(),
            dots: self.dots.len(),
            loops: self.loops.len(),
            stack: self.stack.len(),
            methods: self.methods.len(),
            origin,
            view,
            template,
            caller,
        });
    }

    /// Runs until the frame of the caller ends, taking errors to the functions that may handle them.
    fn run(&mut self) -> Result<(), Error> {
        loop {
            match self.run_frames() {
                Ok(()) => return Ok(()),
                Err(error) => self.unwind(error)?,
            }
        }
    }

    /// Ends frames until a function takes the error, then puts the function's answer in its place.
    fn unwind(&mut self, mut error: Error) -> Result<(), Error> {
        while let Some(frame) = self.frames.pop() {
            self.vars.truncate(frame.vars);
            self.marks.truncate(frame.marks);
            self.dots.truncate(frame.dots);
            self.loops.truncate(frame.loops);
            self.stack.truncate(frame.stack);
            self.methods.truncate(frame.methods);
            self.at = frame.caller;
            let Origin::Function { output, after, call, node } = frame.origin else { continue };
            self.out.truncate(output);
            self.calls -= 1;
            if error.limit().is_some() {
                continue;
            }
            match after(&mut self.ctx, Err(error)) {
                Ok(value) => {
                    self.answer(call, value);
                    return Ok(());
                }
                Err(inner) => error = self.call_error(call, node, inner),
            }
        }
        Err(error)
    }

    fn frame(&self) -> &Frame {
        self.frames.last().expect("an instruction runs in a frame")
    }

    fn pop(&mut self) -> Slot {
        self.stack.pop().expect("the compiler balances the stack")
    }

    fn top(&mut self) -> &mut Slot {
        self.stack.last_mut().expect("the compiler balances the stack")
    }

    /// An error at the node that was last looked at: Go's `s.errorf`.
    fn error(&self, message: impl Into<String>) -> Error {
        self.exec_error(message.into()).into()
    }

    fn exec_error(&self, message: String) -> ExecError {
        let frame = self.frame();
        let template = &frame.template.0;
        let at = self.at.node.map(|node| template.unit.error_context(node));
        ExecError::new(template.name.to_string(), at, message)
    }

    fn write(&mut self, bytes: usize) -> Result<(), Error> {
        self.ctx.output += bytes as u64;
        if self.ctx.output > self.ctx.limits.output {
            return Err(Limit::Output(self.ctx.limits.output).into());
        }
        Ok(())
    }

    /// Executes instructions until the outermost frame returns.
    fn run_frames(&mut self) -> Result<(), Error> {
        loop {
            let template = self.frame().template.clone();
            if self.run_template(&template.0.unit)? {
                return Ok(());
            }
        }
    }

    /// Executes instructions of one text until another takes over; true when the outermost frame
    /// returned.
    fn run_template(&mut self, unit: &Unit) -> Result<bool, Error> {
        let depth = self.frames.len();
        loop {
            let op = unit.code[self.at.ip];
            self.at.ip += 1;
            self.ctx.steps += 1;
            if self.ctx.steps > self.ctx.limits.steps {
                return Err(Limit::Steps(self.ctx.limits.steps).into());
            }
            match op {
                Op::Text { start, len } => {
                    self.write(len as usize)?;
                    let range = start as usize..(start + len) as usize;
                    self.out.extend_from_slice(&unit.text[range]);
                }
                Op::Print(node) => {
                    self.at.node = Some(node);
                    self.print()?;
                }
                Op::Pop => {
                    self.pop();
                }
                Op::At(node) => self.at.node = Some(node),
                Op::Const(id) => self.stack.push(Slot::plain(unit.consts[id as usize].value())),
                Op::Zero(ty) => self.push_zero(unit.types[ty as usize]),
                Op::Dot => {
                    self.stack.push(self.at.dot.clone());
                }
                Op::Variable(name) => {
                    let value = self.variable(unit, name)?.clone();
                    self.stack.push(value);
                }
                Op::Field(name) => {
                    let receiver = self.pop();
                    let value = self.field(receiver, &unit.names[name as usize])?;
                    self.stack.push(value);
                }
                Op::DotPath { path, node, elem } => {
                    self.at.node = Some(node);
                    let mut value = self.walk_from_dot(&unit.paths[path as usize])?;
                    value.interface &= !elem;
                    self.stack.push(value);
                }
                Op::VariablePath { variable, path, node, elem } => {
                    self.at.node = Some(node);
                    let mut value = self.walk_from_variable(unit, variable, &unit.paths[path as usize])?;
                    value.interface &= !elem;
                    self.stack.push(value);
                }
                Op::Elem => self.top().interface = false,
                Op::Declare(name) => {
                    let value = self.top().clone();
                    self.vars.push((name, value));
                }
                Op::Assign(name) => {
                    let value = self.top().clone();
                    self.assign(unit, name, value)?;
                }
                Op::Validate(ty) => {
                    let at = self.stack.len() - 1;
                    self.validate_at(at, unit.types[ty as usize])?;
                }
                Op::ValidateFinal { ty, above } => {
                    let at = self.stack.len() - 1 - above as usize;
                    self.validate_at(at, unit.types[ty as usize])?;
                }
                Op::Call { func, args, piped, node } => {
                    self.call(unit, func, args as usize, piped, node)?;
                    if self.frames.len() != depth {
                        return Ok(false);
                    }
                }
                Op::ShortCircuit { on, keep, target } => {
                    let truth = self.top().value.truth();
                    if truth == on {
                        self.at.ip = target as usize;
                    } else if !keep {
                        self.pop();
                    }
                }
                Op::Dup => {
                    let value = self.top().clone();
                    self.stack.push(value);
                }
                Op::DropUnder => {
                    let value = self.pop();
                    *self.top() = value;
                }
                Op::Method { name, args, piped, target } => {
                    let name = &unit.names[name as usize];
                    if !self.start_method(name, args as usize, piped)? {
                        self.at.ip = target as usize;
                    }
                }
                Op::MethodArg(index) => {
                    let ty = self.method_param(index as usize);
                    let at = self.stack.len() - 1;
                    self.validate_at(at, ty)?;
                }
                Op::MethodLiteral { node, index } => {
                    let ty = self.method_param(index as usize);
                    self.literal(unit, node, ty)?;
                }
                Op::CallMethod { args, piped, node } => self.call_method(args as usize, piped, node)?,
                Op::Fail(message) => return Err(self.error(&*unit.messages[message as usize])),
                Op::Jump(target) => self.at.ip = target as usize,
                Op::JumpIfFalse(target) => {
                    if !self.pop().value.truth() {
                        self.at.ip = target as usize;
                    }
                }
                Op::Mark => self.marks.push(self.vars.len()),
                Op::Unmark => {
                    if let Some(mark) = self.marks.pop() {
                        self.vars.truncate(mark);
                    }
                }
                Op::EnterWith(target) => {
                    let value = self.pop();
                    if value.value.truth() {
                        let old = std::mem::replace(&mut self.at.dot, value);
                        self.dots.push(old);
                    } else {
                        self.at.ip = target as usize;
                    }
                }
                Op::LeaveWith => {
                    if let Some(dot) = self.dots.pop() {
                        self.at.dot = dot;
                    }
                }
                Op::RangeStart { range, target } => {
                    if !self.range_start(&unit.ranges[range as usize])? {
                        self.at.ip = target as usize;
                    }
                }
                Op::RangeNext { range, target } => {
                    if !self.range_next(unit, &unit.ranges[range as usize])? {
                        self.at.ip = target as usize;
                    }
                }
                Op::Break(target) => {
                    self.leave_body();
                    self.end_loop();
                    self.at.ip = target as usize;
                }
                Op::Continue(target) => {
                    self.leave_body();
                    self.at.ip = target as usize;
                }
                Op::FindTemplate(name) => {
                    let name = &unit.names[name as usize];
                    let frame = self.frame();
                    if frame.view.find(name).is_none() {
                        return Err(self.error(format!("template {} not defined", gofmt::quote(name))));
                    }
                    if frame.depth == self.ctx.limits.depth {
                        let depth = frame.depth;
                        return Err(self.error(format!("exceeded maximum template depth ({depth})")));
                    }
                }
                Op::CallTemplate(name) => {
                    let dot = self.pop();
                    let frame = self.frame();
                    let Some(template) = frame.view.find(&unit.names[name as usize]) else { continue };
                    let (view, depth) = (frame.view.clone(), frame.depth + 1);
                    self.push_frame(template, view, dot, depth, Origin::Template);
                    return Ok(false);
                }
                Op::Return => return self.end_frame(),
            }
        }
    }

    /// Ends the current frame; true if it was the outermost.
    fn end_frame(&mut self) -> Result<bool, Error> {
        let Some(frame) = self.frames.pop() else { return Ok(true) };
        self.vars.truncate(frame.vars);
        self.at = frame.caller;
        match frame.origin {
            Origin::Caller => Ok(true),
            Origin::Template => Ok(false),
            Origin::Function { output, after, call, node } => {
                let text = Str::new(&self.out[output..]);
                self.out.truncate(output);
                self.calls -= 1;
                self.ctx.charge(text.len())?;
                match after(&mut self.ctx, Ok(text)) {
                    Ok(value) => self.answer(call, value),
                    Err(error) => return Err(self.call_error(call, node, error)),
                }
                Ok(false)
            }
        }
    }

    fn print(&mut self) -> Result<(), Error> {
        let slot = self.pop();
        let before = self.out.len();
        match &slot.value {
            Value::Nil => self.out.extend_from_slice(b"<no value>"),
            Value::Func(_) => {
                let frame = self.frame();
                let node = self.at.node.map(|node| frame.template.0.unit.nodes.print(node));
                let type_name = slot.type_name();
                let text = format!("can't print {} of type {type_name}", node.unwrap_or_default());
                return Err(self.error(text));
            }
            value => {
                let bounds = gofmt::Bounds {
                    bytes: self.ctx.limits.output.saturating_sub(self.ctx.output),
                    nesting: self.ctx.limits.nesting,
                };
                gofmt::append(&mut self.out, value, bounds).map_err(|limit| match limit {
                    Limit::Memory(_) => Limit::Output(self.ctx.limits.output),
                    limit => limit,
                })?;
            }
        }
        self.write(self.out.len() - before)
    }
}

fn no_template(set: &TemplateSet, name: &[u8]) -> Error {
    Error::msg(format!(
        "template: no template {} associated with template {}",
        gofmt::quote(name),
        gofmt::quote(set.name().as_bytes())
    ))
}
