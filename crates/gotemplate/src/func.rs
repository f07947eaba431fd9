//! Functions that templates call: how they are declared, looked up and what they may use.
//!
//! A [`FuncMap`] is built once and shared by everything compiled with it. What differs from one render
//! to the next (a cluster to look things up in, a clock, a source of random bytes) is either a function
//! bound per render (see [`FuncBody::Bound`]) or an extension of the [`Ctx`].

use crate::collections::HashMap;
use crate::gofmt::{self, Bounds};
use crate::{Error, GoType, Limit, Str, Value};
use std::any::{Any, TypeId};
use std::rc::Rc;
use std::sync::Arc;

/// A function's body: the checked arguments in, a value or an error out. What Go would panic with is
/// returned as the error that `text/template` makes of it.
pub type NativeFn = fn(&mut Ctx, &[Value]) -> Result<Value, Error>;

/// A body that may also ask for a template to be executed (`include`, `tpl`).
pub type ControlFn = fn(&mut Ctx, &[Value]) -> Result<Reply, Error>;

/// A body bound for one render.
pub type BoundFn = Rc<dyn Fn(&mut Ctx, &[Value]) -> Result<Reply, Error>>;

/// What a function answers with.
pub enum Reply {
    /// A value.
    Value(Value),
    /// Execute this template and answer with what comes out.
    Execute(Execute),
}

/// What to do with the text of a template that a function asked to execute.
pub type AfterFn = Box<dyn FnOnce(&mut Ctx, Result<Str, Error>) -> Result<Value, Error>>;

/// A template to be executed on behalf of a function, without recursion on the native stack.
pub struct Execute {
    /// Which template.
    pub target: Target,
    /// Its dot.
    pub data: Value,
    /// Turns the output or the error into the function's answer.
    pub after: AfterFn,
}

/// The template that an [`Execute`] means.
pub enum Target {
    /// The template of that name in the set that is executing (`include`).
    Named(Str),
    /// An extra text over the set that is executing; its `define`s are seen by nothing else (`tpl`).
    Parsed(Arc<crate::Parsed>),
}

/// A function and its Go signature.
#[derive(Clone)]
pub struct Func {
    /// The name in templates.
    pub name: &'static str,
    /// The types of the parameters; of a variadic function the last is the element type.
    pub params: &'static [GoType],
    /// Whether the last parameter may be given any number of times.
    pub variadic: bool,
    /// The declared type of the result.
    pub result: GoType,
    /// What it does.
    pub body: FuncBody,
}

/// What a function does.
#[derive(Clone)]
pub enum FuncBody {
    /// A plain function.
    Native(NativeFn),
    /// A function that may ask for a template to be executed.
    Control(ControlFn),
    /// A closure bound for each render with [`Ctx::bind`]; the number is its slot.
    Bound(usize),
    /// One of text/template's own, executed by the executor.
    Builtin(crate::builtins::Builtin),
}

impl Func {
    /// A function with a fixed number of arguments.
    pub const fn new(name: &'static str, params: &'static [GoType], result: GoType, body: NativeFn) -> Func {
        Func { name, params, variadic: false, result, body: FuncBody::Native(body) }
    }

    /// A function whose last parameter may be repeated or left out.
    pub const fn variadic(
        name: &'static str,
        params: &'static [GoType],
        result: GoType,
        body: NativeFn,
    ) -> Func {
        Func { name, params, variadic: true, result, body: FuncBody::Native(body) }
    }

    /// A function that may ask for a template to be executed.
    pub const fn control(
        name: &'static str,
        params: &'static [GoType],
        result: GoType,
        body: ControlFn,
    ) -> Func {
        Func { name, params, variadic: false, result, body: FuncBody::Control(body) }
    }

    /// A function bound for each render; `slot` is what [`Ctx::bind`] is given.
    pub const fn bound(name: &'static str, params: &'static [GoType], result: GoType, slot: usize) -> Func {
        Func { name, params, variadic: false, result, body: FuncBody::Bound(slot) }
    }
}

/// A function as a value: a struct's field or a map's entry that the builtin `call` calls.
pub struct FuncValue {
    /// The types of the parameters; of a variadic function the last is the element type.
    pub params: Vec<GoType>,
    /// Whether the last parameter may be given any number of times.
    pub variadic: bool,
    /// The declared type of the result.
    pub result: GoType,
    /// What it does.
    pub body: ValueFn,
}

/// The body of a function that is a value.
pub type ValueFn = Rc<dyn Fn(&mut Ctx, &[Value]) -> Result<Value, Error>>;

/// The functions templates are compiled against; text/template's own are always there and can be
/// overridden.
#[derive(Clone, Default)]
pub struct FuncMap {
    funcs: HashMap<&'static str, Arc<Func>>,
}

impl FuncMap {
    /// A map with text/template's own functions only.
    pub fn new() -> FuncMap {
        FuncMap::default()
    }

    /// Adds a function; one of the same name is replaced.
    pub fn insert(&mut self, func: Func) -> &mut FuncMap {
        self.funcs.insert(func.name, Arc::new(func));
        self
    }

    /// Adds functions; those of the same names are replaced.
    pub fn extend(&mut self, funcs: impl IntoIterator<Item = Func>) -> &mut FuncMap {
        for func in funcs {
            self.insert(func);
        }
        self
    }

    /// Takes a function out.
    pub fn remove(&mut self, name: &str) -> &mut FuncMap {
        self.funcs.remove(name);
        self
    }

    /// The function of that name; the added ones come before text/template's own.
    pub fn get(&self, name: &str) -> Option<Arc<Func>> {
        self.find(name).cloned()
    }

    /// As [`FuncMap::get`], without touching a counter that other threads touch too.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Func>> {
        self.funcs.get(name).or_else(|| crate::builtins::builtin(name))
    }

    /// The names of the added functions, in no order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.funcs.keys().copied()
    }
}

/// How much a render may use. Each is counted over the whole life of its [`Ctx`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions executed.
    pub steps: u64,
    /// Bytes of text written, nested outputs included.
    pub output: u64,
    /// Bytes of values created, freed or not.
    pub memory: u64,
    /// `template` calls within each other; Go's limit by default.
    pub depth: usize,
    /// Executions asked for by functions (`include`, `tpl`) within each other.
    pub calls: usize,
    /// Levels of a value that printing and copying follow.
    pub nesting: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            steps: 200_000_000,
            output: 256 << 20,
            memory: 1 << 30,
            depth: 100_000,
            calls: 100_000,
            nesting: 200,
        }
    }
}

/// The state of one render that functions may use: limits, bound functions, extensions.
pub struct Ctx {
    pub(crate) limits: Limits,
    pub(crate) steps: u64,
    pub(crate) output: u64,
    pub(crate) memory: u64,
    bound: Vec<Option<BoundFn>>,
    extensions: HashMap<TypeId, Rc<dyn Any>>,
    _cycles: crate::map::CycleGuard,
}

impl Ctx {
    /// A fresh state.
    pub fn new(limits: Limits) -> Ctx {
        Ctx {
            limits,
            steps: 0,
            output: 0,
            memory: 0,
            bound: Vec::new(),
            extensions: HashMap::default(),
            _cycles: crate::map::CycleGuard::new(),
        }
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Counts `bytes` of new values. Call it before making something whose size the template decides.
    #[inline]
    pub fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.memory = self.memory.saturating_add(bytes as u64);
        if self.memory > self.limits.memory {
            return Err(Limit::Memory(self.limits.memory).into());
        }
        Ok(())
    }

    /// Counts `steps` of work, for functions whose work the template decides.
    #[inline]
    pub fn work(&mut self, steps: u64) -> Result<(), Error> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.limits.steps {
            return Err(Limit::Steps(self.limits.steps).into());
        }
        Ok(())
    }

    /// How far printing may still go.
    pub fn bounds(&self) -> Bounds {
        Bounds { nesting: self.limits.nesting, bytes: self.limits.memory.saturating_sub(self.memory) }
    }

    /// Go's `fmt.Sprint` of these values; of one value it is what `%v` prints.
    pub fn sprint(&mut self, args: &[Value]) -> Result<Str, Error> {
        let text = gofmt::sprint(args, self.bounds())?;
        self.charge(text.len())?;
        Ok(text.into())
    }

    /// Go's `fmt.Sprintf`.
    pub fn sprintf(&mut self, format: &[u8], args: &[Value]) -> Result<Str, Error> {
        let text = gofmt::sprintf(format, args, self.bounds())?;
        self.charge(text.len())?;
        Ok(text.into())
    }

    /// Fails when `depth` levels of a value are more than may be followed; for functions that recurse.
    #[inline]
    pub fn check_nesting(&self, depth: usize) -> Result<(), Error> {
        if depth > self.limits.nesting {
            return Err(Limit::Nesting(self.limits.nesting).into());
        }
        Ok(())
    }

    /// Binds the function of that slot for this render.
    pub fn bind(&mut self, slot: usize, body: BoundFn) {
        if self.bound.len() <= slot {
            self.bound.resize(slot + 1, None);
        }
        self.bound[slot] = Some(body);
    }

    pub(crate) fn bound(&self, slot: usize) -> Option<BoundFn> {
        self.bound.get(slot).cloned().flatten()
    }

    /// Puts an object that functions can find by its type; one of the same type is replaced.
    pub fn set_extension<T: Any>(&mut self, object: T) {
        self.extensions.insert(TypeId::of::<T>(), Rc::new(object));
    }

    /// The object of that type.
    pub fn extension<T: Any>(&self) -> Option<Rc<T>> {
        self.extensions.get(&TypeId::of::<T>()).cloned().and_then(|object| object.downcast().ok())
    }
}
