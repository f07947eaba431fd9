//! What can be said about an expression without data: that its names are known, and what it gives.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SourceInfo};

use super::library::children;

/// Functions, by the name they are called by.
const FUNCTIONS: &[&str] = &[
    "base64.decode",
    "base64.encode",
    "bool",
    "bytes",
    "charAt",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "hasValue",
    "indexOf",
    "int",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "matches",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "or",
    "orValue",
    "replace",
    "reverse",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "size",
    "split",
    "startsWith",
    "string",
    "strings.quote",
    "substring",
    "timestamp",
    "trim",
    "type",
    "uint",
    "upperAscii",
    "value",
];
/// What may stand before the dot of a function's name.
const NAMESPACES: &[&str] = &["base64", "optional", "sets", "strings"];
/// Types, which are values, too.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "duration",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "timestamp",
    "type",
    "uint",
];

const DYN: &str = "dyn";

/// How deep an expression is.
pub(super) fn depth(tree: &IdedExpr) -> usize {
    1 + children(&tree.expr).into_iter().map(depth).max().unwrap_or(0)
}

/// The type of an expression over these variables, by cel-go's name; `dyn` where only the data will tell.
pub(super) fn check(
    tree: &IdedExpr,
    variables: &[&str],
    text: &str,
    places: &SourceInfo,
) -> Result<&'static str, String> {
    let mut names: Vec<&str> = variables.to_vec();
    match unknown(tree, &mut names) {
        Some((id, name)) => Err(undeclared(text, places.offset_for(id).map_or(0, |(start, _)| start), &name)),
        None => Ok(kind(tree, variables)),
    }
}

/// The first name that nobody has declared.
fn unknown<'a>(tree: &'a IdedExpr, names: &mut Vec<&'a str>) -> Option<(u64, String)> {
    match &tree.expr {
        Expr::Ident(name) => {
            let plain = name.trim_start_matches('.');
            let known = names.contains(&plain) || TYPES.contains(&plain);
            (!known).then(|| (tree.id, name.clone()))
        }
        Expr::Call(call) => {
            let (name, qualified) = called(call, names);
            let is_known = name.starts_with(['_', '@', '!', '-']) || FUNCTIONS.contains(&name.as_str());
            let target = call.target.iter().map(Box::as_ref).filter(|_| !qualified);
            // In cel-go's order: what a function is called on, then its name.
            for part in target {
                if let Some(found) = unknown(part, names) {
                    return Some(found);
                }
            }
            if !is_known {
                return Some((tree.id, name));
            }
            call.args.iter().find_map(|part| unknown(part, names))
        }
        Expr::Comprehension(one) => {
            let outer = unknown(&one.iter_range, names).or_else(|| unknown(&one.accu_init, names));
            let before = names.len();
            names.push(&one.iter_var);
            names.extend(one.iter_var2.as_deref());
            names.push(&one.accu_var);
            let inner = [&one.loop_cond, &one.loop_step, &one.result];
            let found = outer.or_else(|| inner.into_iter().find_map(|part| unknown(part, names)));
            names.truncate(before);
            found
        }
        other => children(other).into_iter().find_map(|part| unknown(part, names)),
    }
}

/// The full name of a function, and whether its target was a part of it.
fn called(call: &CallExpr, names: &[&str]) -> (String, bool) {
    if let Some(target) = &call.target
        && let Expr::Ident(space) = &target.expr
        && NAMESPACES.contains(&space.as_str())
        && !names.contains(&space.as_str())
    {
        return (format!("{space}.{}", call.func_name), true);
    }
    (call.func_name.clone(), false)
}

fn undeclared(text: &str, offset: u32, name: &str) -> String {
    let offset = usize::try_from(offset).unwrap_or(0);
    let before: String = text.chars().take(offset).collect();
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count());
    let shown = text.lines().nth(line).unwrap_or_default();
    format!(
        "ERROR: <input>:{}:{}: undeclared reference to '{name}' (in container '')\n | {shown}\n | {}^",
        line + 1,
        column + 1,
        ".".repeat(column)
    )
}

fn kind(tree: &IdedExpr, variables: &[&str]) -> &'static str {
    match &tree.expr {
        Expr::Unspecified => DYN,
        Expr::Literal(literal) => match literal {
            LiteralValue::Boolean(_) => "bool",
            LiteralValue::Bytes(_) => "bytes",
            LiteralValue::Double(_) => "double",
            LiteralValue::Int(_) => "int",
            LiteralValue::Null => "null_type",
            LiteralValue::String(_) => "string",
            LiteralValue::UInt(_) => "uint",
        },
        Expr::Ident(name) if variables.contains(&name.as_str()) => "map(string, dyn)",
        Expr::Ident(_) => DYN,
        Expr::List(_) => "list(dyn)",
        Expr::Map(_) => "map(dyn, dyn)",
        Expr::Struct(_) => DYN,
        Expr::Select(select) => {
            if select.test {
                "bool"
            } else {
                DYN
            }
        }
        Expr::Comprehension(one) => match &one.result.expr {
            // `all`, `exists`, `map`, `filter`: what is gathered is of the type it begins with.
            Expr::Ident(name) if *name == one.accu_var => kind(&one.accu_init, variables),
            _ => kind(&one.result, variables),
        },
        Expr::Call(call) => of_call(call, variables),
    }
}

fn of_call(call: &CallExpr, variables: &[&str]) -> &'static str {
    let argument = |n: usize| call.args.get(n).map_or(DYN, |part| kind(part, variables));
    match called(call, variables).0.as_str() {
        "_==_"
        | "_!=_"
        | "_<_"
        | "_<=_"
        | "_>_"
        | "_>=_"
        | "_&&_"
        | "_||_"
        | "!_"
        | "@in"
        | "@not_strictly_false"
        | "contains"
        | "startsWith"
        | "endsWith"
        | "matches"
        | "hasValue"
        | "bool"
        | "sets.contains"
        | "sets.equivalent"
        | "sets.intersects" => "bool",
        "_?_:_" if argument(1) == argument(2) => argument(1),
        "_+_" | "_-_" | "_*_" | "_/_" | "_%_" if argument(0) == argument(1) => argument(0),
        "-_" => argument(0),
        "size" | "int" | "indexOf" | "lastIndexOf" | "getDate" | "getDayOfMonth" | "getDayOfWeek"
        | "getDayOfYear" | "getFullYear" | "getHours" | "getMilliseconds" | "getMinutes" | "getMonth"
        | "getSeconds" => "int",
        "string" | "charAt" | "format" | "join" | "lowerAscii" | "upperAscii" | "replace" | "reverse"
        | "substring" | "trim" | "strings.quote" | "base64.encode" => "string",
        "bytes" | "base64.decode" => "bytes",
        "double" => "double",
        "uint" => "uint",
        "duration" => "duration",
        "timestamp" => "timestamp",
        "split" => "list(string)",
        "_?._" | "_[?_]" | "optional.of" | "optional.none" | "optional.ofNonZeroValue" => {
            "optional_type(dyn)"
        }
        _ => DYN,
    }
}
