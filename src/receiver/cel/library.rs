//! The functions, and bounds on those that could make much out of little.

use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr};
use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::Val;
use cel::{Env, ExecutionError, IdedExpr, add_member_overload, add_overload, extensions};

/// No text made by `replace` is longer.
const LONGEST_TEXT: usize = 4 << 20;
/// What `replace` is called once it is bounded.
const REPLACE: &str = "@replace";

/// Built once: it is the same for every expression.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // As cel-go, which Flux uses.
    env.set_error_on_duplicate_map_keys(false);
    let known = "these functions are registered once, under names of their own";
    env.add_extension(extensions::strings).expect(known);
    env.add_extension(extensions::encoders).expect(known);
    env.add_extension(sets).expect(known);
    env.add_extension(bounded).expect(known);
    Arc::new(env)
});

pub(super) fn environment() -> &'static Arc<Env> {
    &ENVIRONMENT
}

/// cel-go's `ext.Sets()`.
fn sets(env: &mut Env) -> Result<(), cel::DeclarationError> {
    add_overload!(env, fn contains: (CelList, CelList) -> CelBool, name = "sets.contains")?;
    add_overload!(env, fn equivalent: (CelList, CelList) -> CelBool, name = "sets.equivalent")?;
    add_overload!(env, fn intersects: (CelList, CelList) -> CelBool, name = "sets.intersects")
}

fn is_in<'v>(one: &(dyn Val + 'v), list: &CelList<'v>) -> bool {
    list.inner().iter().any(|other| other.equals(one))
}

fn holds_all<'v>(list: &CelList<'v>, wanted: &CelList<'v>) -> bool {
    wanted.inner().iter().all(|one| is_in(one.as_ref(), list))
}

fn contains<'v>(list: &CelList<'v>, wanted: &CelList<'v>) -> CelBool {
    holds_all(list, wanted).into()
}

fn equivalent<'v>(one: &CelList<'v>, other: &CelList<'v>) -> CelBool {
    (holds_all(one, other) && holds_all(other, one)).into()
}

fn intersects<'v>(one: &CelList<'v>, other: &CelList<'v>) -> CelBool {
    one.inner().iter().any(|entry| is_in(entry.as_ref(), other)).into()
}

/// `replace` of an empty text, or of a short one by a long one, multiplies lengths.
fn bounded(env: &mut Env) -> Result<(), cel::DeclarationError> {
    add_member_overload!(
        env,
        fn replace: (CelString, CelString, CelString) -> Result<CelString>,
        name = REPLACE
    )?;
    add_member_overload!(
        env,
        fn replace_some: (CelString, CelString, CelString, CelInt) -> Result<CelString>,
        name = REPLACE
    )
}

fn replace(
    text: &CelString<'_>,
    from: &CelString<'_>,
    to: &CelString<'_>,
) -> Result<CelString<'static>, ExecutionError> {
    replaced(text.inner(), from.inner(), to.inner(), usize::MAX)
}

fn replace_some(
    text: &CelString<'_>,
    from: &CelString<'_>,
    to: &CelString<'_>,
    count: &CelInt,
) -> Result<CelString<'static>, ExecutionError> {
    // A negative number means all, as in Go.
    replaced(text.inner(), from.inner(), to.inner(), usize::try_from(*count.inner()).unwrap_or(usize::MAX))
}

fn replaced(text: &str, from: &str, to: &str, count: usize) -> Result<CelString<'static>, ExecutionError> {
    let found = text.matches(from).take(count).count();
    let longest = text.len().saturating_add(found.saturating_mul(to.len()));
    if longest > LONGEST_TEXT {
        let why = format!("the text would be longer than {LONGEST_TEXT} bytes");
        return Err(ExecutionError::function_error("replace", why));
    }
    Ok(text.replacen(from, to, count).into())
}

/// Puts the bounded functions in the place of those that are not.
pub(super) fn bound(tree: &mut IdedExpr) {
    if let Expr::Call(call) = &mut tree.expr
        && call.target.is_some()
        && call.func_name == "replace"
    {
        REPLACE.clone_into(&mut call.func_name);
    }
    each_child_mut(&mut tree.expr, &mut bound);
}

fn each_child_mut(expr: &mut Expr, visit: &mut impl FnMut(&mut IdedExpr)) {
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Call(call) => call.target.iter_mut().map(Box::as_mut).chain(&mut call.args).for_each(visit),
        Expr::Comprehension(one) => {
            visit(&mut one.iter_range);
            visit(&mut one.accu_init);
            visit(&mut one.loop_cond);
            visit(&mut one.loop_step);
            visit(&mut one.result);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(visit),
        Expr::Select(select) => visit(&mut select.operand),
        Expr::Map(cel::common::ast::MapExpr { entries })
        | Expr::Struct(cel::common::ast::StructExpr { entries, .. }) => {
            for entry in entries {
                match &mut entry.expr {
                    EntryExpr::StructField(field) => visit(&mut field.value),
                    EntryExpr::MapEntry(entry) => {
                        visit(&mut entry.key);
                        visit(&mut entry.value);
                    }
                }
            }
        }
    }
}

/// The parts of an expression.
pub(super) fn children(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.iter().map(Box::as_ref).chain(&call.args).collect(),
        Expr::Comprehension(one) => {
            vec![&one.iter_range, &one.accu_init, &one.loop_cond, &one.loop_step, &one.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(cel::common::ast::MapExpr { entries })
        | Expr::Struct(cel::common::ast::StructExpr { entries, .. }) => entries
            .iter()
            .flat_map(|entry| match &entry.expr {
                EntryExpr::StructField(field) => vec![&field.value],
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            })
            .collect(),
    }
}
