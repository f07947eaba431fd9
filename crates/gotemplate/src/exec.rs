//! Executes compiled templates.
//!
//! A stack machine: templates that call templates, and functions that do (`include`, `tpl`), push frames
//! on a vector instead of recursing, so depth is bounded by the limits and never by the native stack.

mod call;
mod eval;
mod range;
#[cfg(test)]
mod tests;

use crate::code::{Op, Template, Unit};
use crate::func::AfterFn;
use crate::parse::NodeId;
use crate::set::{Parsed, TemplateSet};
use crate::{Ctx, Error, ExecError, Limit, Method, Str, Value, gofmt};
use range::Loop;
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

/// A template being executed.
struct Frame {
    template: Arc<Template>,
    set: Arc<TemplateSet>,
    ip: usize,
    node: Option<NodeId>,
    dot: Slot,
    depth: usize,
    vars: usize,
    marks: usize,
    dots: usize,
    loops: usize,
    stack: usize,
    methods: usize,
    origin: Origin,
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
/// template to the next, as in Helm's renders.
pub struct Renderer {
    ctx: Ctx,
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
        let Some(template) = set.find(name.as_bytes()) else {
            return Err(no_template(set, name.as_bytes()));
        };
        self.start(template.clone(), set.clone(), data)
    }

    /// Executes an extra text over a set; its `define`s are seen by nothing else.
    pub fn execute_parsed(
        &mut self,
        set: &Arc<TemplateSet>,
        parsed: &Parsed,
        data: Value,
    ) -> Result<Vec<u8>, Error> {
        self.start(parsed.main().clone(), set.extended(parsed), data)
    }

    fn start(
        &mut self,
        template: Arc<Template>,
        set: Arc<TemplateSet>,
        data: Value,
    ) -> Result<Vec<u8>, Error> {
        self.out.clear();
        self.calls = 0;
        self.push_frame(template, set, Slot::plain(data), 0, Origin::Caller);
        let result = self.run();
        self.frames.clear();
        self.loops.clear();
        self.methods.clear();
        self.stack.clear();
        self.vars.clear();
        self.marks.clear();
        self.dots.clear();
        result.map(|()| std::mem::take(&mut self.out))
    }

    fn push_frame(
        &mut self,
        template: Arc<Template>,
        set: Arc<TemplateSet>,
        dot: Slot,
        depth: usize,
        origin: Origin,
    ) {
        let frame = Frame {
            ip: template.entry,
            node: None,
            depth,
            vars: self.vars.len(),
            marks: self.marks.len(),
            dots: self.dots.len(),
            loops: self.loops.len(),
            stack: self.stack.len(),
            methods: self.methods.len(),
            dot: dot.clone(),
            origin,
            set,
            template,
        };
        self.vars.push((frame.template.unit.dollar, dot));
        self.frames.push(frame);
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

    fn frame_mut(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("an instruction runs in a frame")
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
        let at = frame.node.map(|node| frame.template.unit.error_context(node));
        ExecError::new(frame.template.name.to_string(), at, message)
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
        let mut unit: Arc<Unit> = self.frame().template.unit.clone();
        loop {
            let frame = self.frame_mut();
            let op = unit.code[frame.ip];
            frame.ip += 1;
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
                    self.frame_mut().node = Some(node);
                    self.print()?;
                }
                Op::Pop => {
                    self.pop();
                }
                Op::At(node) => self.frame_mut().node = Some(node),
                Op::Const(id) => self.stack.push(Slot::plain(unit.consts[id as usize].value())),
                Op::Zero(ty) => self.push_zero(unit.types[ty as usize]),
                Op::Dot => {
                    let dot = self.frame().dot.clone();
                    self.stack.push(dot);
                }
                Op::Variable(name) => {
                    let value = self.variable(&unit, name)?;
                    self.stack.push(value);
                }
                Op::Field(name) => {
                    let receiver = self.pop();
                    let value = self.field(receiver, &unit.names[name as usize])?;
                    self.stack.push(value);
                }
                Op::DotPath { path, node } => {
                    let frame = self.frame_mut();
                    frame.node = Some(node);
                    let dot = frame.dot.clone();
                    let value = self.walk(dot, &unit.paths[path as usize])?;
                    self.stack.push(value);
                }
                Op::VariablePath { variable, path, node } => {
                    self.frame_mut().node = Some(node);
                    let value = self.variable(&unit, variable)?;
                    let value = self.walk(value, &unit.paths[path as usize])?;
                    self.stack.push(value);
                }
                Op::Elem => self.top().interface = false,
                Op::Declare(name) => {
                    let value = self.top().clone();
                    self.vars.push((name, value));
                }
                Op::Assign(name) => {
                    let value = self.top().clone();
                    self.assign(&unit, name, value)?;
                }
                Op::Validate(ty) => {
                    let slot = self.pop();
                    let slot = self.validate(slot, unit.types[ty as usize])?;
                    self.stack.push(slot);
                }
                Op::ValidateFinal { ty, above } => {
                    let at = self.stack.len() - 1 - above as usize;
                    let slot = std::mem::take(&mut self.stack[at]);
                    self.stack[at] = self.validate(slot, unit.types[ty as usize])?;
                }
                Op::Call { func, args, piped, node } => {
                    self.call(&unit, func, args as usize, piped, node)?;
                    if !Arc::ptr_eq(&unit, &self.frame().template.unit) {
                        unit = self.frame().template.unit.clone();
                    }
                }
                Op::ShortCircuit { on, keep, target } => {
                    let truth = self.top().value.truth();
                    if truth == on {
                        self.frame_mut().ip = target as usize;
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
                        self.frame_mut().ip = target as usize;
                    }
                }
                Op::MethodArg(index) => {
                    let ty = self.method_param(index as usize);
                    let slot = self.pop();
                    let slot = self.validate(slot, ty)?;
                    self.stack.push(slot);
                }
                Op::MethodLiteral { node, index } => {
                    let ty = self.method_param(index as usize);
                    self.literal(&unit, node, ty)?;
                }
                Op::CallMethod { args, piped, node } => self.call_method(args as usize, piped, node)?,
                Op::Fail(message) => return Err(self.error(unit.messages[message as usize].clone())),
                Op::Jump(target) => self.frame_mut().ip = target as usize,
                Op::JumpIfFalse(target) => {
                    if !self.pop().value.truth() {
                        self.frame_mut().ip = target as usize;
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
                        let old = std::mem::replace(&mut self.frame_mut().dot, value);
                        self.dots.push(old);
                    } else {
                        self.frame_mut().ip = target as usize;
                    }
                }
                Op::LeaveWith => {
                    if let Some(dot) = self.dots.pop() {
                        self.frame_mut().dot = dot;
                    }
                }
                Op::RangeStart { range, target } => {
                    if !self.range_start(&unit.ranges[range as usize])? {
                        self.frame_mut().ip = target as usize;
                    }
                }
                Op::RangeNext { range, target } => {
                    if !self.range_next(&unit, &unit.ranges[range as usize])? {
                        self.frame_mut().ip = target as usize;
                    }
                }
                Op::Break(target) => {
                    self.leave_body();
                    self.end_loop();
                    self.frame_mut().ip = target as usize;
                }
                Op::Continue(target) => {
                    self.leave_body();
                    self.frame_mut().ip = target as usize;
                }
                Op::FindTemplate(name) => {
                    let name = &unit.names[name as usize];
                    let frame = self.frame();
                    if frame.set.find(name).is_none() {
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
                    let Some(template) = frame.set.find(&unit.names[name as usize]) else { continue };
                    let (template, set, depth) = (template.clone(), frame.set.clone(), frame.depth + 1);
                    unit = template.unit.clone();
                    self.push_frame(template, set, dot, depth, Origin::Template);
                }
                Op::Return => {
                    if self.end_frame()? {
                        return Ok(());
                    }
                    if !Arc::ptr_eq(&unit, &self.frame().template.unit) {
                        unit = self.frame().template.unit.clone();
                    }
                }
            }
        }
    }

    /// Ends the current frame; true if it was the outermost.
    fn end_frame(&mut self) -> Result<bool, Error> {
        let Some(frame) = self.frames.pop() else { return Ok(true) };
        self.vars.truncate(frame.vars);
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
                let node = frame.node.map(|node| frame.template.unit.nodes.print(node));
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
