//! Types and kinds.

use super::args::{Answer, Args, string};
use super::equal::deep_equal;
use crate::types::{ANY, BOOL, STRING};
use crate::{Ctx, Func, Value};

/// The functions of sprig around types.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("typeOf", &[ANY], STRING, |_, args| string(args.any(0).type_name())),
    Func::new("typeIs", &[STRING, ANY], BOOL, |_, args| {
        Ok(Value::Bool(*args.text(0)? == args.any(1).type_name()))
    }),
    Func::new("typeIsLike", &[STRING, ANY], BOOL, type_is_like),
    Func::new("kindOf", &[ANY], STRING, |_, args| string(args.any(0).kind().name())),
    Func::new("kindIs", &[STRING, ANY], BOOL, |_, args| {
        Ok(Value::Bool(*args.text(0)? == args.any(1).kind().name()))
    }),
    Func::new("deepEqual", &[ANY, ANY], BOOL, |ctx, args| {
        Ok(Value::Bool(deep_equal(ctx, args.any(0), args.any(1), 0)?))
    }),
];

/// The type itself or a pointer to it.
fn type_is_like(_: &mut Ctx, args: &[Value]) -> Answer {
    let (target, found) = (args.text(0)?, args.any(1).type_name());
    let pointed_to = found.strip_prefix('*').unwrap_or(found);
    Ok(Value::Bool(*target == found || *target == pointed_to))
}
