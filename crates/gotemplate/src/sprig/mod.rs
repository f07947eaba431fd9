//! The function library charts call: sprig v3.3.0, value for value and error for error.
//!
//! [`functions`] gives all of them but `env` and `expandenv`, which Helm takes out. They are pure apart
//! from the clock, the random bytes and the local time zone that come from [`Surroundings`]. Helm's own
//! functions (`toYaml`, `include`, …) are not here.

pub mod regexp;
pub mod time;

mod args;
mod case;
mod cast;
mod crypto;
mod dates;
mod decimal;
mod defaults;
mod dicts;
mod durations;
mod encodings;
mod equal;
mod ip;
mod jsons;
mod lists;
mod merge;
mod numbers;
mod paths;
mod reflection;
mod regexps;
mod semvers;
mod strings;
mod surroundings;
mod text;
mod unicode;
mod url;
mod urls;

use crate::Func;
pub use cast::parse_float;
pub(crate) use encodings::base64_encode;
pub use surroundings::{FillRandom, Surroundings};

/// The functions of sprig.
pub fn functions() -> impl Iterator<Item = Func> {
    [
        strings::FUNCTIONS,
        numbers::FUNCTIONS,
        lists::FUNCTIONS,
        dicts::FUNCTIONS,
        defaults::FUNCTIONS,
        reflection::FUNCTIONS,
        paths::FUNCTIONS,
        semvers::FUNCTIONS,
        dates::FUNCTIONS,
        regexps::FUNCTIONS,
        encodings::FUNCTIONS,
        urls::FUNCTIONS,
        jsons::FUNCTIONS,
        crypto::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .cloned()
}

/// Functions of durations as values (`mustToDuration`, `durationSeconds`, …), which are not sprig's;
/// Helm has them since 4.3.
pub fn duration_functions() -> impl Iterator<Item = Func> {
    durations::FUNCTIONS.iter().cloned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::gofmt::{Bounds, sprint};
    use crate::{Ctx, Error, FuncBody, Limits, Value};

    /// Calls a function within a render; dicts that were written to are emptied when it ends.
    fn call(ctx: &mut Ctx, name: &str, args: &[Value]) -> Result<Value, Error> {
        let func = super::functions().find(|func| func.name == name).unwrap();
        let FuncBody::Native(body) = func.body else { panic!("`{name}` is not a plain function") };
        body(ctx, args)
    }

    fn shown(result: Result<Value, Error>) -> String {
        match result {
            Ok(value) => String::from_utf8(sprint(&[value], Bounds::default()).unwrap()).unwrap(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn all_of_sprig_but_the_environment_is_here() {
        let names: Vec<_> = super::functions().map(|func| func.name).collect();
        let unique: HashSet<_> = names.iter().collect();
        // sprig v3.3.0 has 211 functions; Helm takes `env` and `expandenv` out.
        assert_eq!((names.len(), unique.len()), (209, 209));
    }

    #[test]
    fn functions_answer_as_sprig_does() {
        let mut ctx = Ctx::new(Limits::default());
        let list = || Value::list(vec![Value::int(1), Value::str("b"), Value::Nil, Value::str("a")]);
        let map = |entries: &[(&str, Value)]| Value::map(entries.iter().cloned());
        let inner = map(&[("b", Value::int(1))]);
        let nested = map(&[("a", inner)]);
        for (name, args, expected) in [
            ("default", vec![Value::int(1), Value::str("")], "1"),
            ("coalesce", vec![Value::Nil, Value::int(0), Value::str("x")], "x"),
            ("quote", vec![Value::str("a\"b"), Value::Nil, Value::Float(1.0)], r#""a\"b" "1""#),
            ("join", vec![Value::str("-"), list()], "1-b-a"),
            ("sortAlpha", vec![list()], "[1 a b]"),
            ("rest", vec![list()], "[b <nil> a]"),
            ("has", vec![Value::str("b"), list()], "true"),
            ("without", vec![list(), Value::Nil, Value::int(1)], "[b a]"),
            (
                "append",
                vec![Value::Nil, Value::int(1)],
                "error: runtime error: invalid memory address or nil pointer dereference",
            ),
            ("first", vec![Value::str("x")], "error: Cannot find first on type string"),
            ("dig", vec![Value::str("a"), Value::str("b"), Value::int(9), nested.clone()], "1"),
            ("dig", vec![Value::str("x"), Value::str("b"), Value::int(9), nested.clone()], "9"),
            (
                "dig",
                vec![Value::str("a"), Value::str("b"), Value::str("c"), Value::int(9), nested],
                "error: interface conversion: interface {} is int, not map[string]interface {}",
            ),
            ("div", vec![Value::int(1), Value::int(0)], "error: runtime error: integer divide by zero"),
            ("add", vec![Value::Float(1.9), Value::str("0x10"), Value::Bool(true)], "18"),
            ("addf", vec![Value::Float(0.1), Value::Float(0.2)], "0.3"),
            ("seq", vec![Value::int(5), Value::int(-2), Value::int(0)], "5 3 1"),
            ("until", vec![Value::int(-3)], "[0 -1 -2]"),
            ("round", vec![Value::Float(2.345), Value::int(2)], "2.35"),
            ("semverCompare", vec![Value::str(">=1.21-0"), Value::str("v1.30.1-eks")], "true"),
            ("typeOf", vec![list()], "[]interface {}"),
            ("b64dec", vec![Value::str("a b")], "illegal base64 data at input byte 1"),
            ("toRawJson", vec![Value::str("<\u{e9}>")], "\"<\u{e9}>\""),
            (
                "regexFind",
                vec![Value::str("["), Value::str("")],
                "error: regexp: Compile(`[`): error parsing regexp: missing closing ]: `[`",
            ),
            ("base", vec![Value::str("a/b/")], "b"),
            ("now", vec![], "error: no clock was given to this render"),
        ] {
            assert_eq!(shown(call(&mut ctx, name, &args)), expected, "{name}");
        }
    }

    #[test]
    fn merging_changes_the_first_dict_and_shares_the_second() {
        let mut ctx = Ctx::new(Limits::default());
        let inner = Value::map([("c", Value::int(1))]);
        let target = Value::map([("a", Value::Bool(false)), ("keep", Value::int(1))]);
        let source = Value::map([("a", Value::Bool(true)), ("keep", Value::int(2)), ("m", inner.clone())]);
        let merged = call(&mut ctx, "merge", &[target.clone(), source.clone()]).unwrap();
        assert!(merged.as_map().unwrap().same(target.as_map().unwrap()));
        assert_eq!(shown(Ok(merged)), "map[a:true keep:1 m:map[c:1]]");
        inner.as_map().unwrap().insert("c", Value::int(2));
        assert_eq!(shown(Ok(target.clone())), "map[a:true keep:1 m:map[c:2]]");
        let nil = Value::map([("keep", Value::Nil)]);
        call(&mut ctx, "mergeOverwrite", &[target.clone(), nil]).unwrap();
        assert_eq!(shown(Ok(target)), "map[a:true keep:<nil> m:map[c:2]]");
    }

    #[test]
    fn sorting_strings_is_seen_by_everybody() {
        let mut ctx = Ctx::new(Limits::default());
        let parts = call(&mut ctx, "splitList", &[Value::str(","), Value::str("c,a")]).unwrap();
        let alias = parts.clone();
        call(&mut ctx, "sortAlpha", &[parts]).unwrap();
        assert_eq!(shown(Ok(alias)), "[a c]");
    }
}
