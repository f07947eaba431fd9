//! String functions.

use super::args::{Answer, Args, print, string, strval};
use super::{case, text, unicode};
use crate::gofmt::quote;
use crate::types::{ANY, BOOL, INT, STRING, STRING_MAP, STRINGS};
use crate::{Ctx, Error, Func, List, Str, Value};

/// The string functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("hello", &[], STRING, |_, _| string("Hello!")),
    Func::new("abbrev", &[INT, STRING], STRING, abbrev),
    Func::new("abbrevboth", &[INT, INT, STRING], STRING, abbrevboth),
    Func::new("trunc", &[INT, STRING], STRING, |_, args| string(text::truncate(args.int(0)?, args.text(1)?))),
    Func::new("trim", &[STRING], STRING, |_, args| string(text::trim_space(args.text(0)?))),
    Func::new("upper", &[STRING], STRING, |_, args| string(unicode::upper(args.text(0)?))),
    Func::new("lower", &[STRING], STRING, |_, args| string(unicode::lower(args.text(0)?))),
    Func::new("title", &[STRING], STRING, |_, args| string(case::title(args.text(0)?))),
    Func::new("untitle", &[STRING], STRING, |_, args| string(case::untitle(args.text(0)?))),
    Func::new("substr", &[INT, INT, STRING], STRING, |_, args| {
        let cut = text::substring(args.int(0)?, args.int(1)?, args.text(2)?);
        string(cut.map_err(|out_of_range| Error::msg(out_of_range.to_string()))?)
    }),
    Func::new("repeat", &[INT, STRING], STRING, |ctx, args| {
        string(repeat(ctx, args.int(0)?, args.text(1)?)?)
    }),
    Func::new("trimall", &[STRING, STRING], STRING, trim_all),
    Func::new("trimAll", &[STRING, STRING], STRING, trim_all),
    Func::new("trimSuffix", &[STRING, STRING], STRING, |_, args| {
        let whole = args.text(1)?;
        string(whole.strip_suffix(args.text(0)?.as_bytes()).unwrap_or(whole))
    }),
    Func::new("trimPrefix", &[STRING, STRING], STRING, |_, args| {
        let whole = args.text(1)?;
        string(whole.strip_prefix(args.text(0)?.as_bytes()).unwrap_or(whole))
    }),
    Func::new("nospace", &[STRING], STRING, |_, args| string(text::delete_spaces(args.text(0)?))),
    Func::new("initials", &[STRING], STRING, |_, args| string(text::initials(args.text(0)?))),
    Func::new("swapcase", &[STRING], STRING, |_, args| string(case::swap_case(args.text(0)?))),
    Func::new("snakecase", &[STRING], STRING, |_, args| {
        string(case::connected_lower_case(args.text(0)?, '_'))
    }),
    Func::new("kebabcase", &[STRING], STRING, |_, args| {
        string(case::connected_lower_case(args.text(0)?, '-'))
    }),
    Func::new("camelcase", &[STRING], STRING, |_, args| string(case::pascal_case(args.text(0)?))),
    Func::new("wrap", &[INT, STRING], STRING, |ctx, args| {
        let wrapped = text::wrap(args.text(1)?, args.int(0)?, b"", false);
        ctx.charge(wrapped.len())?;
        string(wrapped)
    }),
    Func::new("wrapWith", &[INT, STRING, STRING], STRING, wrap_with),
    Func::new("contains", &[STRING, STRING], BOOL, |_, args| {
        Ok(Value::Bool(text::find(args.text(1)?, args.text(0)?).is_some()))
    }),
    Func::new("hasPrefix", &[STRING, STRING], BOOL, |_, args| {
        Ok(Value::Bool(args.text(1)?.starts_with(args.text(0)?)))
    }),
    Func::new("hasSuffix", &[STRING, STRING], BOOL, |_, args| {
        Ok(Value::Bool(args.text(1)?.ends_with(args.text(0)?)))
    }),
    Func::variadic("quote", &[ANY], STRING, |ctx, args| {
        join_non_nil(ctx, args, |ctx, value| Ok(quote(&strval(ctx, value)?).into_bytes()))
    }),
    Func::variadic("squote", &[ANY], STRING, |ctx, args| {
        join_non_nil(ctx, args, |ctx, value| {
            let mut quoted = vec![b'\''];
            quoted.extend_from_slice(&print(ctx, value)?);
            quoted.push(b'\'');
            Ok(quoted)
        })
    }),
    Func::variadic("cat", &[ANY], STRING, |ctx, args| join_non_nil(ctx, args, print)),
    Func::new("indent", &[INT, STRING], STRING, |ctx, args| {
        string(indent(ctx, args.int(0)?, args.text(1)?)?)
    }),
    Func::new("nindent", &[INT, STRING], STRING, |ctx, args| {
        let mut out = vec![b'\n'];
        out.append(&mut indent(ctx, args.int(0)?, args.text(1)?)?);
        string(out)
    }),
    Func::new("replace", &[STRING, STRING, STRING], STRING, replace),
    Func::new("plural", &[STRING, STRING, INT], STRING, |_, args| {
        string(args.text(usize::from(args.int(2)? != 1))?.clone())
    }),
    Func::new("toString", &[ANY], STRING, |ctx, args| string(strval(ctx, args.any(0))?)),
    Func::new("join", &[STRING, ANY], STRING, join),
    Func::new("split", &[STRING, STRING], STRING_MAP, |ctx, args| {
        split_map(ctx, args.text(0)?, args.text(1)?, -1)
    }),
    Func::new("splitn", &[STRING, INT, STRING], STRING_MAP, |ctx, args| {
        split_map(ctx, args.text(0)?, args.text(2)?, args.int(1)?)
    }),
    Func::new("splitList", &[STRING, STRING], STRINGS, |ctx, args| {
        let parts = text::split(args.text(0)?, args.text(1)?, -1);
        charge_parts(ctx, &parts)?;
        Ok(Value::strings(parts))
    }),
    Func::new("toStrings", &[ANY], STRINGS, |ctx, args| match args.any(0) {
        list @ Value::List(items) if items.go_type() == STRINGS => Ok(list.clone()),
        value => Ok(Value::strings(strslice(ctx, value)?)),
    }),
    Func::new("sortAlpha", &[ANY], STRINGS, sort_alpha),
];

fn abbrev(_: &mut Ctx, args: &[Value]) -> Answer {
    let (width, whole) = (args.int(0)?, args.text(1)?);
    if width < 4 {
        return string(whole.clone());
    }
    abbreviate(0, width, whole)
}

fn abbrevboth(_: &mut Ctx, args: &[Value]) -> Answer {
    let (left, right, whole) = (args.int(0)?, args.int(1)?, args.text(2)?);
    if right < 4 || left > 0 && right < 7 {
        return string(whole.clone());
    }
    abbreviate(left, right, whole)
}

fn abbreviate(offset: i64, width: i64, whole: &[u8]) -> Answer {
    let cut = text::abbreviate(offset, width, whole);
    string(cut.map_err(|out_of_range| Error::msg(out_of_range.to_string()))?)
}

fn trim_all(_: &mut Ctx, args: &[Value]) -> Answer {
    string(text::trim(args.text(0)?, args.text(1)?))
}

fn repeat(ctx: &mut Ctx, count: i64, whole: &[u8]) -> Result<Vec<u8>, Error> {
    let size = usize::try_from(count).ok().and_then(|count| count.checked_mul(whole.len()));
    ctx.charge(size.unwrap_or(0))?;
    text::repeat(count, whole).map_err(Error::msg)
}

fn indent(ctx: &mut Ctx, spaces: i64, whole: &[u8]) -> Result<Vec<u8>, Error> {
    let lines = memchr::memchr_iter(b'\n', whole).count() + 1;
    let padding = usize::try_from(spaces).unwrap_or(0).saturating_mul(lines);
    ctx.charge(padding.saturating_add(whole.len()))?;
    text::indent(spaces, whole).map_err(Error::msg)
}

fn wrap_with(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let (width, separator, whole) = (args.int(0)?, args.text(1)?, args.text(2)?);
    let lines = whole.len() / usize::try_from(width.max(1)).unwrap_or(usize::MAX) + 1;
    ctx.charge(whole.len().saturating_add(lines.saturating_mul(separator.len())))?;
    string(text::wrap(whole, width, separator, true))
}

fn replace(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let (old, new, whole) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let growth = new.len().saturating_sub(old.len());
    if growth > 0 {
        let count = match old.len() {
            0 => whole.len() + 1,
            _ => memchr::memmem::find_iter(whole, old.as_bytes()).count(),
        };
        ctx.charge(count.saturating_mul(growth))?;
    }
    ctx.charge(whole.len())?;
    string(text::replace(old, new, whole))
}

/// The texts of everything that is not nil, with spaces between.
fn join_non_nil(
    ctx: &mut Ctx,
    values: &[Value],
    show: fn(&mut Ctx, &Value) -> Result<Vec<u8>, Error>,
) -> Answer {
    let mut out = Vec::new();
    for (index, value) in values.iter().filter(|value| !value.is_nil()).enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.append(&mut show(ctx, value)?);
    }
    string(out)
}

/// sprig's `strslice`: any value as a list of strings, without nils.
pub(super) fn strslice(ctx: &mut Ctx, value: &Value) -> Result<Vec<Str>, Error> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::List(_) | Value::Bytes(_) => {
            let items = value.elements().unwrap_or_default();
            items.iter().filter(|item| !item.is_nil()).map(|item| strval(ctx, item)).collect()
        }
        _ => Ok(vec![strval(ctx, value)?]),
    }
}

fn join(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let separator = args.text(0)?;
    let parts = strslice(ctx, args.any(1))?;
    let size = parts.iter().map(|part| part.len() + separator.len()).sum();
    ctx.charge(size)?;
    let mut out = Vec::with_capacity(size);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(part);
    }
    string(out)
}

fn charge_parts(ctx: &mut Ctx, parts: &[&[u8]]) -> Result<(), Error> {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    ctx.charge(bytes + parts.len() * size_of::<Value>())
}

/// The parts under the keys `_0`, `_1` and so on.
fn split_map(ctx: &mut Ctx, separator: &[u8], whole: &[u8], limit: i64) -> Answer {
    let parts = text::split(separator, whole, limit);
    charge_parts(ctx, &parts)?;
    let entries = parts.iter().enumerate();
    let entries = entries.map(|(index, part)| (Str::from(format!("_{index}")), Value::str(*part)));
    Ok(Value::Map(crate::Map::from_entries(STRING_MAP, entries.collect())))
}

/// Sorts the texts of a list. A `[]string` is sorted where it is, so whoever else holds it sees that.
fn sort_alpha(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let value = args.any(0);
    let mut parts = match value {
        Value::List(_) | Value::Bytes(_) => strslice(ctx, value)?,
        _ => vec![strval(ctx, value)?],
    };
    ctx.charge(parts.len() * size_of::<Value>())?;
    parts.sort();
    if let Value::List(list) = value
        && list.go_type() == STRINGS
    {
        list.sort_strings();
        return Ok(value.clone());
    }
    Ok(Value::List(List::new(STRINGS, parts.into_iter().map(Value::Str).collect())))
}
