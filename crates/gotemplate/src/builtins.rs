//! text/template's own functions.

use crate::GoType;
use crate::collections::HashMap;
use crate::func::{Func, FuncBody};
use crate::types::{ANY, BOOL, INT, STRING, VALUE};
use std::sync::{Arc, OnceLock};

/// The functions text/template always has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Builtin {
    And,
    Or,
    Call,
    Html,
    Index,
    Slice,
    Js,
    Len,
    Not,
    Print,
    Printf,
    Println,
    UrlQuery,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

const TABLE: [(&str, Builtin, &[GoType], bool, GoType); 19] = [
    ("and", Builtin::And, &[VALUE, VALUE], true, VALUE),
    ("or", Builtin::Or, &[VALUE, VALUE], true, VALUE),
    ("call", Builtin::Call, &[VALUE, VALUE], true, VALUE),
    ("html", Builtin::Html, &[ANY], true, STRING),
    ("index", Builtin::Index, &[VALUE, VALUE], true, VALUE),
    ("slice", Builtin::Slice, &[VALUE, VALUE], true, VALUE),
    ("js", Builtin::Js, &[ANY], true, STRING),
    ("len", Builtin::Len, &[VALUE], false, INT),
    ("not", Builtin::Not, &[VALUE], false, BOOL),
    ("print", Builtin::Print, &[ANY], true, STRING),
    ("printf", Builtin::Printf, &[STRING, ANY], true, STRING),
    ("println", Builtin::Println, &[ANY], true, STRING),
    ("urlquery", Builtin::UrlQuery, &[ANY], true, STRING),
    ("eq", Builtin::Eq, &[VALUE, VALUE], true, BOOL),
    ("ne", Builtin::Ne, &[VALUE, VALUE], false, BOOL),
    ("lt", Builtin::Lt, &[VALUE, VALUE], false, BOOL),
    ("le", Builtin::Le, &[VALUE, VALUE], false, BOOL),
    ("gt", Builtin::Gt, &[VALUE, VALUE], false, BOOL),
    ("ge", Builtin::Ge, &[VALUE, VALUE], false, BOOL),
];

/// The builtin function of that name.
pub(crate) fn builtin(name: &str) -> Option<&'static Arc<Func>> {
    static BUILTINS: OnceLock<HashMap<&'static str, Arc<Func>>> = OnceLock::new();
    BUILTINS
        .get_or_init(|| {
            TABLE
                .iter()
                .map(|&(name, builtin, params, variadic, result)| {
                    let body = FuncBody::Builtin(builtin);
                    (name, Arc::new(Func { name, params, variadic, result, body }))
                })
                .collect()
        })
        .get(name)
}

mod call;
mod compare;
mod escape;
mod index;

use crate::exec::Slot;
use crate::{Ctx, Error, Value, gofmt};

/// Calls a builtin with arguments that were checked against its signature.
pub(crate) fn call(ctx: &mut Ctx, builtin: Builtin, args: &[Slot]) -> Result<Slot, Error> {
    let value = match builtin {
        Builtin::And | Builtin::Or => unreachable!("compiled to jumps"),
        Builtin::Call => return call::call(ctx, args),
        Builtin::Index => return index::index(args),
        Builtin::Slice => return index::slice(ctx, args),
        Builtin::Len => Value::int(index::length(&args[0])?),
        Builtin::Not => Value::Bool(!args[0].value.truth()),
        Builtin::Eq => Value::Bool(compare::eq(ctx, &args[0].value, &args[1..])?),
        Builtin::Ne => Value::Bool(!compare::eq(ctx, &args[0].value, &args[1..])?),
        Builtin::Lt => Value::Bool(compare::lt(&args[0].value, &args[1].value)?),
        Builtin::Le => Value::Bool(compare::le(ctx, args)?),
        Builtin::Gt => Value::Bool(!compare::le(ctx, args)?),
        Builtin::Ge => Value::Bool(!compare::lt(&args[0].value, &args[1].value)?),
        Builtin::Html | Builtin::Js | Builtin::UrlQuery => {
            let mut values = values(args);
            for value in values.iter_mut().filter(|v| v.is_nil()) {
                *value = Value::str("<no value>");
            }
            let text = gofmt::sprint_indirect(&values, ctx.bounds())?;
            let text = match builtin {
                Builtin::Html => escape::html(&text),
                Builtin::Js => escape::js(&text),
                _ => escape::url_query(&text),
            };
            ctx.charge(text.len())?;
            Value::str(text)
        }
        Builtin::Print => Value::Str(ctx.sprint(&values(args))?),
        Builtin::Printf => {
            let values = values(args);
            let Value::Str(format) = &values[0] else { return Ok(Slot::default()) };
            Value::Str(ctx.sprintf(format, &values[1..])?)
        }
        Builtin::Println => {
            let text = gofmt::sprintln(&values(args), ctx.bounds())?;
            ctx.charge(text.len())?;
            Value::str(text)
        }
    };
    Ok(Slot { value, interface: false })
}

fn values(args: &[Slot]) -> Vec<Value> {
    args.iter().map(|slot| slot.value.clone()).collect()
}

/// Go's message for a type that has no such operation.
fn type_of_nothing() -> Error {
    Error::msg("reflect: call of reflect.Value.Type on zero Value")
}
