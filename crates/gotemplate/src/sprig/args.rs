//! What function bodies need all the time: their typed arguments, Go's text of a value, panics.

use crate::gofmt::{Bounds, sprint};
use crate::{Ctx, Error, Kind, Map, Str, Value};

/// What a body answers with.
pub(crate) type Answer = Result<Value, Error>;

/// The text of Go's panic when a nil interface is asked for its type.
pub(crate) const NIL_DEREFERENCE: &str = "runtime error: invalid memory address or nil pointer dereference";

/// The arguments of a call. The executor has checked their number and types, so a body that asks for
/// another type than it declared is at fault; it gets an error rather than a panic.
pub(crate) trait Args {
    fn text(&self, index: usize) -> Result<&Str, Error>;
    fn int(&self, index: usize) -> Result<i64, Error>;
    fn map(&self, index: usize) -> Result<&Map, Error>;
    fn any(&self, index: usize) -> &Value;
    fn from(&self, index: usize) -> &[Value];
}

impl Args for [Value] {
    fn text(&self, index: usize) -> Result<&Str, Error> {
        self.any(index).as_str().ok_or_else(|| undeclared(index, "string"))
    }

    fn int(&self, index: usize) -> Result<i64, Error> {
        match self.any(index) {
            Value::Int(number, _) => Ok(*number),
            _ => Err(undeclared(index, "int")),
        }
    }

    fn map(&self, index: usize) -> Result<&Map, Error> {
        self.any(index).as_map().ok_or_else(|| undeclared(index, "map"))
    }

    fn any(&self, index: usize) -> &Value {
        self.get(index).unwrap_or(&Value::Nil)
    }

    fn from(&self, index: usize) -> &[Value] {
        self.get(index..).unwrap_or_default()
    }
}

fn undeclared(index: usize, wanted: &str) -> Error {
    Error::msg(format!("argument {index} is not of the declared type `{wanted}`"))
}

/// A `string` answer.
pub(crate) fn string(text: impl Into<Str>) -> Answer {
    Ok(Value::Str(text.into()))
}

/// What Go's `%v` prints.
pub(crate) fn print(ctx: &mut Ctx, value: &Value) -> Result<Vec<u8>, Error> {
    let bounds = Bounds { nesting: ctx.limits().nesting, ..Bounds::default() };
    let text = sprint(std::slice::from_ref(value), bounds)?;
    ctx.charge(text.len())?;
    Ok(text)
}

/// sprig's `strval`: strings, bytes, errors and Stringers by themselves, the rest as `%v` prints it.
pub(crate) fn strval(ctx: &mut Ctx, value: &Value) -> Result<Str, Error> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        Value::Bytes(bytes) => Ok(Str::new(bytes.as_deref().unwrap_or_default())),
        Value::Host(host) => match host.string() {
            Some(text) => Ok(text),
            None => print(ctx, value).map(Str::from),
        },
        _ => print(ctx, value).map(Str::from),
    }
}

/// The elements of a slice, or Go's text of the refusal: `refusal` in front of the kind.
pub(crate) fn elements(value: &Value, refusal: &str) -> Result<Vec<Value>, Error> {
    if let Some(items) = value.elements() {
        return Ok(items);
    }
    Err(match value.kind() {
        Kind::Invalid => Error::msg(NIL_DEREFERENCE),
        kind => Error::msg(format!("{refusal} {}", kind.name())),
    })
}
