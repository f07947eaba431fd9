//! text/template's own functions.

use crate::GoType;
use crate::func::{Func, FuncBody};
use crate::types::{ANY, BOOL, INT, STRING, VALUE};
use std::collections::HashMap;
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
pub(crate) fn builtin(name: &str) -> Option<Arc<Func>> {
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
        .cloned()
}
