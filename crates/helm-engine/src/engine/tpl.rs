//! `tpl`: a text given at run time, parsed and executed with everything around it in sight.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use gotemplate::{Ctx, Error, Execute, FuncMap, Parsed, Reply, Str, Target, Value, gofmt};

/// The name texts are parsed under: that of Helm's root template.
pub(super) const ROOT: &str = "gotpl";

/// How many bytes of text are remembered before all is forgotten.
const MAX_REMEMBERED: usize = 8 * 1024 * 1024;

/// Parsed texts, shared by the renders of a chart: charts hand the same few texts to `tpl` over and
/// over.
pub(super) struct TplCache {
    funcs: Arc<FuncMap>,
    parsed: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    texts: HashMap<Str, Arc<Parsed>, foldhash::fast::RandomState>,
    bytes: usize,
}

impl TplCache {
    pub(super) fn new(funcs: Arc<FuncMap>) -> Self {
        Self { funcs, parsed: Mutex::default() }
    }

    fn parse(&self, text: &Str) -> Result<Arc<Parsed>, Error> {
        if let Ok(remembered) = self.parsed.lock()
            && let Some(parsed) = remembered.texts.get(text)
        {
            return Ok(parsed.clone());
        }
        let parsed = Arc::new(Parsed::parse(ROOT, text.as_bytes(), &self.funcs)?);
        if let Ok(mut remembered) = self.parsed.lock() {
            if remembered.bytes + text.len() > MAX_REMEMBERED {
                *remembered = Remembered::default();
            }
            remembered.bytes += text.len();
            remembered.texts.insert(text.clone(), parsed.clone());
        }
        Ok(parsed)
    }
}

/// The `tpl` function.
pub(super) fn tpl(ctx: &mut Ctx, args: &[Value]) -> Result<Reply, Error> {
    let text = args[0].as_str().cloned().unwrap_or_default();
    let cache = ctx.extension::<Arc<TplCache>>().ok_or_else(|| Error::msg("tpl is not available here"))?;
    ctx.work(1 + text.len() as u64 / 16)?;
    let quoted = |text: &Str| gofmt::quote(text.as_bytes());
    let parsed = cache
        .parse(&text)
        .map_err(|error| error.wrap(format!("cannot parse template {}: ", quoted(&text))))?;
    let after = Box::new(move |_: &mut Ctx, output: Result<Str, Error>| match output {
        Ok(output) => Ok(Value::Str(without_no_value(output))),
        Err(error) => Err(error.wrap(format!("error during tpl function execution for {}: ", quoted(&text)))),
    });
    Ok(Reply::Execute(Execute { target: Target::Parsed(parsed), data: args[1].clone(), after }))
}

/// Helm takes every `<no value>` out of what templates print.
fn without_no_value(text: Str) -> Str {
    match remove_no_value(text.as_bytes()) {
        Some(clean) => Str::from(clean),
        None => text,
    }
}

/// The bytes without `<no value>`; none if there is nothing to take out.
pub(super) fn remove_no_value(text: &[u8]) -> Option<Vec<u8>> {
    const NO_VALUE: &[u8] = b"<no value>";
    static FINDER: LazyLock<memchr::memmem::Finder<'_>> =
        LazyLock::new(|| memchr::memmem::Finder::new(NO_VALUE));
    let mut found = FINDER.find_iter(text).peekable();
    found.peek()?;
    let mut clean = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in found {
        clean.extend_from_slice(&text[from..at]);
        from = at + NO_VALUE.len();
    }
    clean.extend_from_slice(&text[from..]);
    Some(clean)
}
