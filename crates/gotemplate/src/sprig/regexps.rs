//! Regular expression functions.

use crate::collections::HashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Mutex};

use super::args::{Answer, Args, string};
use super::regexp::{GoRegex, SyntaxError, quote_meta};
use crate::gofmt::{can_backquote, quote};
use crate::types::{BOOL, INT, STRING, STRINGS};
use crate::{Ctx, Error, Func, List, Str, Value};

/// The regular expression functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("regexMatch", &[STRING, STRING], BOOL, |ctx, args| {
        // The error is swallowed here, and only here.
        let regex = compile(ctx, args.text(0)?)?;
        Ok(Value::Bool(regex.is_ok_and(|regex| regex.is_match(args.text(1).map_or(b"", |text| text)))))
    }),
    Func::new("mustRegexMatch", &[STRING, STRING], BOOL, |ctx, args| {
        Ok(Value::Bool(checked(ctx, args)?.is_match(args.text(1)?)))
    }),
    Func::new("regexFind", &[STRING, STRING], STRING, |ctx, args| {
        let regex = must(ctx, args)?;
        find(&regex, args)
    }),
    Func::new("mustRegexFind", &[STRING, STRING], STRING, |ctx, args| {
        let regex = checked(ctx, args)?;
        find(&regex, args)
    }),
    Func::new("regexFindAll", &[STRING, STRING, INT], STRINGS, |ctx, args| {
        let regex = must(ctx, args)?;
        find_all(ctx, &regex, args)
    }),
    Func::new("mustRegexFindAll", &[STRING, STRING, INT], STRINGS, |ctx, args| {
        let regex = checked(ctx, args)?;
        find_all(ctx, &regex, args)
    }),
    Func::new("regexReplaceAll", &[STRING, STRING, STRING], STRING, |ctx, args| {
        let regex = must(ctx, args)?;
        replace_all(ctx, &regex, args)
    }),
    Func::new("mustRegexReplaceAll", &[STRING, STRING, STRING], STRING, |ctx, args| {
        let regex = checked(ctx, args)?;
        replace_all(ctx, &regex, args)
    }),
    Func::new("regexReplaceAllLiteral", &[STRING, STRING, STRING], STRING, |ctx, args| {
        let regex = must(ctx, args)?;
        replace_all_literal(ctx, &regex, args)
    }),
    Func::new("mustRegexReplaceAllLiteral", &[STRING, STRING, STRING], STRING, |ctx, args| {
        let regex = checked(ctx, args)?;
        replace_all_literal(ctx, &regex, args)
    }),
    Func::new("regexSplit", &[STRING, STRING, INT], STRINGS, |ctx, args| {
        let regex = must(ctx, args)?;
        split(ctx, &regex, args)
    }),
    Func::new("mustRegexSplit", &[STRING, STRING, INT], STRINGS, |ctx, args| {
        let regex = checked(ctx, args)?;
        split(ctx, &regex, args)
    }),
    Func::new("regexQuoteMeta", &[STRING], STRING, |_, args| string(quote_meta(args.text(0)?))),
];

/// Patterns that are kept compiled; beyond that many it starts over.
const CACHE_SIZE: usize = 256;

/// Bytes a compiled pattern may take to be kept beyond its render.
const SHARED_SIZE: usize = 256 << 10;

/// A pattern, or why it is malformed.
type Compiled = Result<Arc<GoRegex>, Rc<SyntaxError>>;

/// Patterns compiled for any render: compiling one takes as long as a small chart's whole render.
static SHARED: LazyLock<Mutex<HashMap<Str, Arc<GoRegex>>>> = LazyLock::new(Mutex::default);

/// The patterns used in this render: charts use few, again and again.
#[derive(Default)]
struct Cache(RefCell<HashMap<Str, Compiled>>);

fn compile(ctx: &mut Ctx, pattern: &Str) -> Result<Compiled, Error> {
    let cache = match ctx.extension::<Cache>() {
        Some(cache) => cache,
        None => {
            ctx.set_extension(Cache::default());
            ctx.extension::<Cache>().unwrap_or_default()
        }
    };
    if let Some(compiled) = cache.0.borrow().get(pattern) {
        return Ok(compiled.clone());
    }
    ctx.work(64 * pattern.len() as u64 + 1)?;
    let compiled = shared(pattern).map_err(Rc::new);
    let mut cache = cache.0.borrow_mut();
    if cache.len() >= CACHE_SIZE {
        cache.clear();
    }
    cache.insert(pattern.clone(), compiled.clone());
    Ok(compiled)
}

fn shared(pattern: &Str) -> Result<Arc<GoRegex>, SyntaxError> {
    if let Ok(known) = SHARED.lock()
        && let Some(regex) = known.get(pattern)
    {
        return Ok(regex.clone());
    }
    let regex = Arc::new(GoRegex::new(pattern)?);
    if regex.size() + pattern.len() <= SHARED_SIZE
        && let Ok(mut known) = SHARED.lock()
    {
        if known.len() >= CACHE_SIZE {
            known.clear();
        }
        known.insert(pattern.clone(), regex.clone());
    }
    Ok(regex)
}

/// Compiles the first argument; a malformed pattern is Go's error.
fn checked(ctx: &mut Ctx, args: &[Value]) -> Result<Arc<GoRegex>, Error> {
    charge_search(ctx, args)?;
    compile(ctx, args.text(0)?)?.map_err(|error| Error::msg(error.to_string()))
}

/// Compiles the first argument; a malformed pattern is the panic of Go's `MustCompile`.
fn must(ctx: &mut Ctx, args: &[Value]) -> Result<Arc<GoRegex>, Error> {
    charge_search(ctx, args)?;
    let pattern = args.text(0)?;
    compile(ctx, pattern)?.map_err(|error| {
        let shown = if can_backquote(pattern) { format!("`{pattern}`") } else { quote(pattern) };
        Error::msg(format!("regexp: Compile({shown}): {error}"))
    })
}

fn charge_search(ctx: &mut Ctx, args: &[Value]) -> Result<(), Error> {
    ctx.work(args.text(1)?.len() as u64 / 16)
}

fn find(regex: &GoRegex, args: &[Value]) -> Answer {
    string(regex.find(args.text(1)?).unwrap_or_default())
}

/// The found texts; nothing found is a nil slice.
fn find_all(ctx: &mut Ctx, regex: &GoRegex, args: &[Value]) -> Answer {
    let found = regex.find_all(args.text(1)?, args.int(2)?);
    if found.is_empty() {
        return Ok(Value::List(List::nil(STRINGS)));
    }
    texts(ctx, &found)
}

fn split(ctx: &mut Ctx, regex: &GoRegex, args: &[Value]) -> Answer {
    let limit = args.int(2)?;
    if limit == 0 {
        return Ok(Value::List(List::nil(STRINGS)));
    }
    texts(ctx, &regex.split(args.text(1)?, limit))
}

fn texts(ctx: &mut Ctx, parts: &[&[u8]]) -> Answer {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    ctx.charge(bytes + parts.len() * size_of::<Value>())?;
    Ok(Value::strings(parts.iter().copied()))
}

fn replace_all(ctx: &mut Ctx, regex: &GoRegex, args: &[Value]) -> Answer {
    let (text, replacement) = (args.text(1)?, args.text(2)?);
    charge_replacement(ctx, regex, text, replacement)?;
    // Each reference adds a part of its match, so all of its uses together add at most the text.
    let references = memchr::memchr_iter(b'$', replacement).count();
    ctx.charge(references.saturating_mul(text.len()))?;
    string(regex.replace_all(text, replacement))
}

fn charge_replacement(ctx: &mut Ctx, regex: &GoRegex, text: &[u8], replacement: &[u8]) -> Result<(), Error> {
    let matches = regex.find_all(text, -1).len();
    ctx.charge(text.len().saturating_add(matches.saturating_mul(replacement.len())))
}

fn replace_all_literal(ctx: &mut Ctx, regex: &GoRegex, args: &[Value]) -> Answer {
    let (text, replacement) = (args.text(1)?, args.text(2)?);
    charge_replacement(ctx, regex, text, replacement)?;
    string(regex.replace_all_literal(text, replacement))
}
