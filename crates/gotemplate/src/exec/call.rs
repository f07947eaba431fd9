//! Calling functions and methods.

use super::{MethodCall, Origin, Renderer, Slot, no_template};
use crate::code::Unit;
use crate::func::Target;
use crate::parse::NodeId;
use crate::set::{Local, MissingKey, View};
use crate::{Error, Execute, FuncBody, GoType, Kind, Limit, Method, Reply, Str, Value, builtins, gofmt};
use std::rc::Rc;

/// What a map or slice takes besides its contents.
const CONTAINER: usize = 96;

impl Renderer {
    /// Calls a function with the topmost `count` values; with `piped` the lowest is the last argument.
    pub(super) fn call(
        &mut self,
        unit: &Unit,
        func: u32,
        count: usize,
        piped: bool,
        node: NodeId,
    ) -> Result<(), Error> {
        let base = self.stack.len() - count;
        if piped {
            self.stack[base..].rotate_left(1);
        }
        let definition = &unit.funcs[func as usize];
        let interface = definition.result.is_any();
        let reply = match &definition.body {
            FuncBody::Builtin(builtin) => {
                let slots = &self.stack[base..];
                let result = builtins::call(&mut self.ctx, *builtin, slots);
                self.stack.truncate(base);
                return match result {
                    Ok(slot) => {
                        self.stack.push(slot);
                        Ok(())
                    }
                    Err(error) => Err(self.call_error(func, node, error)),
                };
            }
            body => {
                self.args.clear();
                self.args.extend(self.stack.drain(base..).map(|slot| slot.value));
                match body {
                    FuncBody::Native(body) => body(&mut self.ctx, &self.args).map(Reply::Value),
                    FuncBody::Control(body) => body(&mut self.ctx, &self.args),
                    FuncBody::Bound(slot) => match self.ctx.bound(*slot) {
                        Some(body) => body(&mut self.ctx, &self.args),
                        None => Err(Error::msg(format!("{} is not available here", definition.name))),
                    },
                    FuncBody::Builtin(_) => unreachable!("builtins are called above"),
                }
            }
        };
        self.args.clear();
        match reply {
            Ok(Reply::Value(value)) => {
                if matches!(value, Value::Map(_) | Value::List(_)) {
                    self.ctx.charge(CONTAINER)?;
                }
                self.stack.push(Slot { value, interface });
                Ok(())
            }
            Ok(Reply::Execute(execute)) => self.execute_for(func, node, execute),
            Err(error) => Err(self.call_error(func, node, error)),
        }
    }

    /// Starts a template for a function; its answer follows when the template ends.
    fn execute_for(&mut self, func: u32, node: NodeId, execute: Execute) -> Result<(), Error> {
        let Execute { target, data, after } = execute;
        let view = self.frame().view.clone();
        let (template, view) = match target {
            Target::Named(name) => match view.find(&name) {
                Some(template) => (template, view),
                None => {
                    let missing = no_template(view.set(), &name);
                    return match after(&mut self.ctx, Err(missing)) {
                        Ok(value) => {
                            self.answer(func, value);
                            Ok(())
                        }
                        Err(error) => Err(self.call_error(func, node, error)),
                    };
                }
            },
            Target::Parsed(parsed) => {
                let main = Rc::new(Local(parsed.main().clone()));
                (main, Rc::new(View::Over { parsed, below: view }))
            }
        };
        if self.calls >= self.ctx.limits.calls {
            return Err(Limit::Depth(self.ctx.limits.calls).into());
        }
        self.calls += 1;
        let origin = Origin::Function { output: self.out.len(), after, call: func, node };
        self.push_frame(template, view, Slot::plain(data), 0, origin);
        Ok(())
    }

    /// Pushes what a function of the current frame answered.
    pub(super) fn answer(&mut self, func: u32, value: Value) {
        let interface = self.frame().template.0.unit.funcs[func as usize].result.is_any();
        self.stack.push(Slot { value, interface });
    }

    /// `error calling …` at the call, around the function's own error.
    pub(super) fn call_error(&mut self, func: u32, node: NodeId, error: Error) -> Error {
        self.at.node = Some(node);
        let name = self.frame().template.0.unit.funcs[func as usize].name;
        self.method_error(name, error)
    }

    pub(super) fn method_error(&self, name: &str, error: Error) -> Error {
        match error {
            Error::Limit(limit) => Error::Limit(limit),
            error => self.exec_error(format!("error calling {name}: ")).with_cause(error).into(),
        }
    }

    /// Takes the receiver from the top and checks that it has the method and wants so many arguments.
    /// False if there is no receiver: then there is no value either.
    pub(super) fn start_method(&mut self, name: &Str, count: usize, piped: bool) -> Result<bool, Error> {
        let receiver = self.pop();
        if receiver.is_invalid() {
            if self.missing_key() == MissingKey::Error {
                self.field_of_nothing(name)?;
            }
            if piped {
                self.pop();
            }
            self.stack.push(Slot::default());
            return Ok(false);
        }
        let Some(own) = receiver.value.go_type() else {
            return Err(self.error(format!("nil pointer evaluating interface {{}}.{name}")));
        };
        let Some(method) = own.method(name) else {
            return Err(match &receiver.value {
                Value::Map(_) => self.error(format!("{name} is not a method but has arguments")),
                Value::Host(host) if matches!(host.underlying(), Some(Value::Map(_))) => {
                    self.error(format!("{name} is not a method but has arguments"))
                }
                Value::Host(host) if host.field(name).is_some() => {
                    self.error(format!("{name} has arguments but cannot be invoked as function"))
                }
                _ => self.no_field(&receiver, name),
            });
        };
        self.check_method(method, count, piped)?;
        self.methods.push(MethodCall { method, receiver: receiver.value });
        Ok(true)
    }

    /// Whether the method can be called with that many arguments.
    pub(super) fn check_method(&self, method: &Method, given: usize, piped: bool) -> Result<(), Error> {
        let name = method.name;
        let params = method.params.len();
        if method.variadic {
            let fixed = params - 1;
            if given < fixed {
                let got = given - usize::from(piped);
                let text = format!("wrong number of args for {name}: want at least {fixed} got {got}");
                return Err(self.error(text));
            }
        } else if given != params {
            return Err(self.error(format!("wrong number of args for {name}: want {params} got {given}")));
        }
        if method.result.kind() == Kind::Invalid {
            let reason = method.result.name();
            return Err(self.error(match reason.strip_prefix("has ") {
                Some(_) => format!("function {name} {reason}"),
                None => format!("invalid function signature for {name}: {reason}"),
            }));
        }
        Ok(())
    }

    pub(super) fn method_param(&self, index: usize) -> GoType {
        let method = self.methods.last().expect("arguments follow the start of a method call").method;
        method.params[index.min(method.params.len() - 1)]
    }

    pub(super) fn call_method(&mut self, count: usize, piped: bool, node: NodeId) -> Result<(), Error> {
        let base = self.stack.len() - count;
        if piped {
            let ty = self.method_param(count - 1);
            self.validate_at(base, ty)?;
            self.stack[base..].rotate_left(1);
        }
        let call = self.methods.pop().expect("arguments follow the start of a method call");
        self.args.clear();
        self.args.extend(self.stack.drain(base..).map(|slot| slot.value));
        let result = (call.method.call)(&mut self.ctx, &call.receiver, &self.args);
        self.args.clear();
        match result {
            Ok(value) => {
                self.stack.push(Slot { value, interface: call.method.result.is_any() });
                Ok(())
            }
            Err(error) => {
                self.at.node = Some(node);
                Err(self.method_error(call.method.name, error))
            }
        }
    }

    /// What `%v` prints for a value in an error message.
    pub(super) fn shown(&self, value: &Value) -> Result<String, Error> {
        let text = gofmt::sprint(std::slice::from_ref(value), self.ctx.bounds())?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
