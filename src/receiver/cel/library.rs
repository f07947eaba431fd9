//! The functions, and bounds on those that could make much out of little.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue};
use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::Val;
use cel::{Env, ExecutionError, IdedExpr, add_member_overload, add_overload, extensions};
use gotemplate::sprig::regexp::GoRegex;

/// No text made by `replace` is longer.
const LONGEST_TEXT: usize = 4 << 20;
/// What functions are called once they are bounded.
const REPLACE: &str = "@replace";
const INDEX_OF: &str = "@indexOf";
const LAST_INDEX_OF: &str = "@lastIndexOf";
const MATCHES: &str = "@matches";
const MATCHES_DATA: &str = "@matchesData";

/// Bytes that a compiled regular expression may take, if it stands in the expression …
pub(super) const LARGEST_PATTERN: usize = 256 << 10;
/// … and if it comes out of the data.
pub(super) const LARGEST_PATTERN_OF_DATA: usize = 16 << 10;
/// Compiled regular expressions that are kept: more than the expressions of one delivery have.
const PATTERNS: usize = 64;

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

/// `replace` of an empty text, or of a short one by a long one, multiplies lengths; so does looking for one long text
/// in another place by place; and a regular expression is compiled each time.
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
    )?;
    add_member_overload!(env, fn index_of: (CelString, CelString) -> CelInt, name = INDEX_OF)?;
    add_member_overload!(
        env,
        fn index_of_after: (CelString, CelString, CelInt) -> Result<CelInt>,
        name = INDEX_OF
    )?;
    add_member_overload!(env, fn last_index_of: (CelString, CelString) -> CelInt, name = LAST_INDEX_OF)?;
    add_member_overload!(
        env,
        fn last_index_of_before: (CelString, CelString, CelInt) -> Result<CelInt>,
        name = LAST_INDEX_OF
    )?;
    add_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>, name = MATCHES)?;
    add_member_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>, name = MATCHES)?;
    add_overload!(env, fn matches_data: (CelString, CelString) -> Result<CelBool>, name = MATCHES_DATA)?;
    add_member_overload!(env, fn matches_data: (CelString, CelString) -> Result<CelBool>, name = MATCHES_DATA)
}

/// Where a text begins that stands so many bytes into another, in characters.
fn place(text: &str, found: Option<usize>) -> i64 {
    found.map_or(-1, |at| i64::try_from(text[..at].chars().count()).unwrap_or(i64::MAX))
}

/// So many characters into a text, in bytes. Only the end is beyond the last of them.
fn offset(text: &str, function: &'static str, characters: i64) -> Result<usize, ExecutionError> {
    let out_of_range =
        || ExecutionError::function_error(function, format!("index out of range: {characters}"));
    let n = usize::try_from(characters).map_err(|_| out_of_range())?;
    text.char_indices().nth(n).map(|(at, _)| at).ok_or_else(out_of_range)
}

fn index_of(text: &CelString<'_>, part: &CelString<'_>) -> CelInt {
    place(text.inner(), text.inner().find(part.inner())).into()
}

fn index_of_after(
    text: &CelString<'_>,
    part: &CelString<'_>,
    after: &CelInt,
) -> Result<CelInt, ExecutionError> {
    let (text, part, after) = (text.inner(), part.inner(), *after.inner());
    if part.is_empty() && after >= 0 {
        return Ok(after.min(place(text, Some(text.len()))).into());
    }
    let from = offset(text, "indexOf", after)?;
    Ok(place(text, text[from..].find(part).map(|at| from + at)).into())
}

fn last_index_of(text: &CelString<'_>, part: &CelString<'_>) -> CelInt {
    place(text.inner(), text.inner().rfind(part.inner())).into()
}

fn last_index_of_before(
    text: &CelString<'_>,
    part: &CelString<'_>,
    before: &CelInt,
) -> Result<CelInt, ExecutionError> {
    let (text, part, before) = (text.inner(), part.inner(), *before.inner());
    if part.is_empty() && before >= 0 {
        return Ok(before.min(place(text, Some(text.len()))).into());
    }
    // It may begin there, at the latest.
    let last = offset(text, "lastIndexOf", before)?;
    let mut end = last.saturating_add(part.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Ok(place(text, text[..end].rfind(part)).into())
}

fn matches(text: &CelString<'_>, wanted: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    matches_within(text.inner(), wanted.inner(), LARGEST_PATTERN)
}

fn matches_data(text: &CelString<'_>, wanted: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    matches_within(text.inner(), wanted.inner(), LARGEST_PATTERN_OF_DATA)
}

fn matches_within(text: &str, wanted: &str, largest: usize) -> Result<CelBool, ExecutionError> {
    let pattern = pattern(wanted, largest).map_err(|why| ExecutionError::function_error("matches", why))?;
    Ok(pattern.is_match(text.as_bytes()).into())
}

/// A regular expression as Go reads it, which is not as Rust does: `\d` is ASCII's, for one.
pub(super) fn pattern(text: &str, largest: usize) -> Result<Arc<GoRegex>, String> {
    static KEPT: LazyLock<Mutex<HashMap<String, Arc<GoRegex>>>> = LazyLock::new(Mutex::default);
    // Whoever panicked has left a map of whole entries.
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if largest == LARGEST_PATTERN
        && let Some(pattern) = kept().get(text)
    {
        return Ok(Arc::clone(pattern));
    }
    let pattern = GoRegex::within(text.as_bytes(), largest).map_err(|error| error.to_string())?;
    let pattern = Arc::new(pattern);
    if largest == LARGEST_PATTERN {
        let mut kept = kept();
        if kept.len() >= PATTERNS {
            kept.clear();
        }
        kept.insert(text.to_owned(), Arc::clone(&pattern));
    }
    Ok(pattern)
}

/// The regular expression of a call to `matches`, where it is part of the expression.
pub(super) fn literal_pattern(call: &CallExpr) -> Option<&str> {
    match &call.args.last()?.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
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
    if let Expr::Call(call) = &mut tree.expr {
        let name = match (call.func_name.as_str(), call.target.is_some()) {
            ("replace", true) => Some(REPLACE),
            ("indexOf", true) => Some(INDEX_OF),
            ("lastIndexOf", true) => Some(LAST_INDEX_OF),
            ("matches", _) if literal_pattern(call).is_some() => Some(MATCHES),
            ("matches", _) => Some(MATCHES_DATA),
            _ => None,
        };
        if let Some(name) = name {
            name.clone_into(&mut call.func_name);
        }
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
