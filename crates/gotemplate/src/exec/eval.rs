//! Variables, fields and the checking of arguments.

use super::{Renderer, Slot};
use crate::code::Unit;
use crate::compile::literal;
use crate::parse::NodeId;
use crate::set::MissingKey;
use crate::{Error, GoType, Kind, Map, Str, Value, gofmt, types};

impl Renderer {
    pub(super) fn variable(&self, unit: &Unit, name: u32) -> Result<&Slot, Error> {
        let first = self.at.vars;
        for (id, value) in self.vars[first..].iter().rev() {
            if *id == name {
                return Ok(value);
            }
        }
        Err(self.error(format!("undefined variable: {}", unit.names[name as usize])))
    }

    pub(super) fn assign(&mut self, unit: &Unit, name: u32, value: Slot) -> Result<(), Error> {
        let first = self.at.vars;
        for (id, old) in self.vars[first..].iter_mut().rev() {
            if *id == name {
                *old = value;
                return Ok(());
            }
        }
        Err(self.error(format!("undefined variable: {}", unit.names[name as usize])))
    }

    pub(super) fn walk_from_dot(&mut self, path: &[Str]) -> Result<Slot, Error> {
        match self.first_step(&self.at.dot, path) {
            Some((slot, rest)) => self.walk(slot?, rest),
            None => self.walk(self.at.dot.clone(), path),
        }
    }

    pub(super) fn walk_from_variable(&mut self, unit: &Unit, name: u32, path: &[Str]) -> Result<Slot, Error> {
        let start = self.variable(unit, name)?;
        match self.first_step(start, path) {
            Some((slot, rest)) => self.walk(slot?, rest),
            None => self.walk(start.clone(), path),
        }
    }

    /// What a path leads to first if it starts at an ordinary map, which is nearly always and needs no copy.
    fn first_step<'p>(&self, start: &Slot, path: &'p [Str]) -> Option<(Result<Slot, Error>, &'p [Str])> {
        let (name, rest) = path.split_first()?;
        match &start.value {
            Value::Map(map) if map.go_type().0.methods.is_empty() => Some((self.entry(map, name), rest)),
            _ => None,
        }
    }

    fn walk(&mut self, start: Slot, path: &[Str]) -> Result<Slot, Error> {
        let mut slot = start;
        for name in path {
            slot = self.field(slot, name)?;
        }
        Ok(slot)
    }

    /// `.name` without arguments: a method, a struct's field or a map's entry.
    pub(super) fn field(&mut self, receiver: Slot, name: &Str) -> Result<Slot, Error> {
        if let Value::Map(map) = &receiver.value
            && map.go_type().0.methods.is_empty()
        {
            return self.entry(map, name);
        }
        if receiver.value.is_nil() {
            if receiver.interface {
                return Err(self.error(format!("nil pointer evaluating interface {{}}.{name}")));
            }
            return self.field_of_nothing(name);
        }
        if let Some(method) = receiver.value.go_type().and_then(|ty| ty.method(name)) {
            self.check_method(method, 0, false)?;
            return match (method.call)(&mut self.ctx, &receiver.value, &[]) {
                Ok(value) => Ok(Slot { value, interface: method.result.is_any() }),
                Err(error) => Err(self.method_error(method.name, error)),
            };
        }
        match &receiver.value {
            Value::Map(map) => self.entry(map, name),
            Value::Host(host) => {
                if let Some(Value::Map(map)) = host.underlying() {
                    return self.entry(&map, name);
                }
                if let Some(value) = host.field(name) {
                    return Ok(Slot { interface: value.is_nil(), value });
                }
                if host.has_unexported(name) {
                    let ty = receiver.type_name();
                    return Err(self.error(format!("{name} is an unexported field of struct type {ty}")));
                }
                Err(self.no_field(&receiver, name))
            }
            _ => Err(self.no_field(&receiver, name)),
        }
    }

    pub(super) fn missing_key(&self) -> MissingKey {
        self.frame().view.set().missing_key()
    }

    pub(super) fn field_of_nothing(&self, name: &Str) -> Result<Slot, Error> {
        if self.missing_key() == MissingKey::Error {
            let name = gofmt::quote(name);
            return Err(self.error(format!("nil data; no entry for key {name}")));
        }
        Ok(Slot::default())
    }

    pub(super) fn no_field(&self, receiver: &Slot, name: &Str) -> Error {
        self.error(format!("can't evaluate field {name} in type {}", receiver.type_name()))
    }

    fn entry(&self, map: &Map, name: &Str) -> Result<Slot, Error> {
        let elem = map.go_type().elem().unwrap_or(types::ANY);
        if let Some(value) = map.get(name) {
            return Ok(Slot { value, interface: elem.is_any() });
        }
        match self.missing_key() {
            MissingKey::Invalid => Ok(Slot::default()),
            MissingKey::Zero => Ok(Slot { value: Value::zero(elem), interface: elem.is_any() }),
            MissingKey::Error => {
                let name = gofmt::quote(name);
                Err(self.error(format!("map has no entry for key {name}")))
            }
        }
    }

    pub(super) fn push_zero(&mut self, ty: GoType) {
        self.stack.push(Slot { value: Value::zero(ty), interface: ty.is_any() });
    }

    /// Checks a value on the stack against a parameter type, in place.
    pub(super) fn validate_at(&mut self, at: usize, ty: GoType) -> Result<(), Error> {
        let slot = &mut self.stack[at];
        if slot.value.go_type() == Some(ty) {
            slot.interface = false;
            return Ok(());
        }
        let slot = std::mem::take(slot);
        self.stack[at] = self.validate(slot, ty)?;
        Ok(())
    }

    /// Go's `validateType`: the value as an argument of that type.
    fn validate(&self, slot: Slot, ty: GoType) -> Result<Slot, Error> {
        if slot.is_invalid() {
            if ty.can_be_nil() {
                return Ok(Slot { value: Value::zero(ty), interface: ty.is_any() });
            }
            return Err(self.error(format!("invalid value; expected {ty}")));
        }
        if ty.is_any() || ty == types::VALUE {
            return Ok(slot);
        }
        if let Some(own) = slot.value.go_type() {
            if own == ty {
                return Ok(Slot::plain(slot.value));
            }
            if own.assignable_to(ty) {
                return Ok(Slot::plain(convert(slot.value, ty)));
            }
            return Err(self.error(format!("wrong type for value; expected {ty}; got {own}")));
        }
        Err(self.error(format!("wrong type for value; expected {ty}; got interface {{}}")))
    }

    /// A literal as an argument of a type that is known only now.
    pub(super) fn literal(&mut self, unit: &Unit, node: NodeId, ty: GoType) -> Result<(), Error> {
        match literal(&unit.nodes, unit.nodes.kind(node), node, ty) {
            Ok(Some(constant)) => self.stack.push(Slot::plain(constant.value())),
            Ok(None) => self.push_zero(ty),
            Err(message) => return Err(self.error(message)),
        }
        Ok(())
    }
}

/// The same map or slice under the parameter's type.
fn convert(value: Value, ty: GoType) -> Value {
    match value {
        Value::Map(map) if ty.kind() == Kind::Map => Value::Map(map.as_type(ty)),
        Value::List(list) if ty.kind() == Kind::Slice => Value::List(list.as_type(ty)),
        Value::Host(host) => match host.underlying() {
            Some(plain) if host.go_type() != ty && !ty.is_any() => convert(plain, ty),
            _ => Value::Host(host),
        },
        other => other,
    }
}
