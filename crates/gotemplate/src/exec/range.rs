//! Loops.

use super::{Renderer, Slot};
use crate::code::{RangeVars, Unit};
use crate::{Error, IntKind, Kind, List, Str, UintKind, Value};
use std::sync::Arc;

/// A loop under way.
pub(super) struct Loop {
    items: Items,
    next: usize,
    /// Variables, marks and dots outside the body.
    vars: usize,
    marks: usize,
    dots: usize,
    dot: Slot,
}

/// What a loop goes over.
enum Items {
    Int(i64, IntKind),
    Uint(u64, UintKind),
    List(List),
    Bytes(Arc<[u8]>),
    Map(Vec<(Str, Value)>, bool),
    /// Of a map whose keys are no strings.
    Pairs(Vec<(Value, Value)>, bool),
}

impl Renderer {
    /// Takes what to range over from the stack; false if it is empty.
    pub(super) fn range_start(&mut self, vars: &RangeVars) -> Result<bool, Error> {
        let value = self.pop().value.plain();
        let several = vars.names.len() > 1;
        let items = match &value {
            Value::Nil => return Ok(false),
            Value::Int(n, kind) => {
                if several {
                    return Err(self.several_variables(&value));
                }
                if *n <= 0 {
                    return Ok(false);
                }
                Items::Int(*n, *kind)
            }
            Value::Uint(n, kind) => {
                if several {
                    return Err(self.several_variables(&value));
                }
                if *n == 0 {
                    return Ok(false);
                }
                Items::Uint(*n, *kind)
            }
            Value::List(list) if list.is_empty() => return Ok(false),
            Value::List(list) => Items::List(list.clone()),
            Value::Bytes(bytes) => match bytes {
                Some(bytes) if !bytes.is_empty() => Items::Bytes(bytes.clone()),
                _ => return Ok(false),
            },
            Value::Map(map) if map.is_empty() => return Ok(false),
            Value::Map(map) => {
                let entries = map.entries();
                let size = entries.len() * size_of::<(Str, Value)>();
                self.ctx.charge(size)?;
                Items::Map(entries, map.go_type().elem().is_none_or(|e| e.is_any()))
            }
            Value::Host(host) if host.go_type().kind() == Kind::Map => {
                let entries = host.entries().unwrap_or_default();
                if entries.is_empty() {
                    return Ok(false);
                }
                self.ctx.charge(entries.len() * size_of::<(Value, Value)>())?;
                Items::Pairs(entries, host.go_type().elem().is_none_or(|e| e.is_any()))
            }
            _ => {
                let shown = self.shown(&value)?;
                return Err(self.error(format!("range can't iterate over {shown}")));
            }
        };
        self.loops.push(Loop {
            items,
            next: 0,
            vars: self.vars.len(),
            marks: self.marks.len(),
            dots: self.dots.len(),
            dot: self.at.dot.clone(),
        });
        Ok(true)
    }

    fn several_variables(&self, value: &Value) -> Error {
        match self.shown(value) {
            Ok(shown) => self.error(format!("can't use {shown} to iterate over more than one variable")),
            Err(error) => error,
        }
    }

    /// Puts the next element into dot and the variables; false after the last.
    pub(super) fn range_next(&mut self, unit: &Unit, vars: &RangeVars) -> Result<bool, Error> {
        let Some(current) = self.loops.last_mut() else { return Ok(false) };
        let at = current.next;
        current.next += 1;
        let position = || Slot::plain(Value::int(at as i64));
        let element = match &current.items {
            Items::Int(n, kind) => {
                ((at as i64) < *n).then(|| (Slot::default(), Slot::plain(Value::Int(at as i64, *kind))))
            }
            Items::Uint(n, kind) => {
                ((at as u64) < *n).then(|| (Slot::default(), Slot::plain(Value::Uint(at as u64, *kind))))
            }
            Items::List(list) => list.get(at).map(|value| {
                let interface = list.go_type().elem().is_none_or(|e| e.is_any());
                (position(), Slot { value: value.clone(), interface })
            }),
            Items::Bytes(bytes) => bytes.get(at).map(|byte| (position(), Slot::plain(Value::uint8(*byte)))),
            Items::Map(entries, interface) => entries.get(at).map(|(key, value)| {
                let value = Slot { value: value.clone(), interface: *interface };
                (Slot::plain(Value::Str(key.clone())), value)
            }),
            Items::Pairs(entries, interface) => entries.get(at).map(|(key, value)| {
                (Slot::plain(key.clone()), Slot { value: value.clone(), interface: *interface })
            }),
        };
        let Some((key, element)) = element else {
            self.end_loop();
            return Ok(false);
        };
        self.set_range_variables(unit, vars, key, &element)?;
        self.at.dot = element;
        Ok(true)
    }

    fn set_range_variables(
        &mut self,
        unit: &Unit,
        vars: &RangeVars,
        key: Slot,
        element: &Slot,
    ) -> Result<(), Error> {
        let top = self.vars.len();
        match vars.names.as_slice() {
            [] => {}
            [name] if vars.assign => self.assign(unit, *name, element.clone())?,
            [_] => self.vars[top - 1].1 = element.clone(),
            [first, second, ..] if vars.assign => {
                self.assign(unit, *first, key)?;
                self.assign(unit, *second, element.clone())?;
            }
            [_, _, ..] => {
                self.vars[top - 1].1 = element.clone();
                self.vars[top - 2].1 = key;
            }
        }
        Ok(())
    }

    /// Forgets what the body of the innermost loop declared and entered.
    pub(super) fn leave_body(&mut self) {
        let Some(current) = self.loops.last() else { return };
        self.vars.truncate(current.vars);
        self.marks.truncate(current.marks);
        self.dots.truncate(current.dots);
    }

    /// Ends the innermost loop and gives dot its old value.
    pub(super) fn end_loop(&mut self) {
        if let Some(ended) = self.loops.pop() {
            self.at.dot = ended.dot;
        }
    }
}
