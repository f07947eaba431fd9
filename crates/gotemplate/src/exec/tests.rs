//! What no vector shows: limits, depth, sharing between threads, errors on the way through functions.

use crate::types::{ANY, STRING};
use crate::{
    Ctx, Error, Execute, Frozen, Func, FuncMap, Limit, Limits, MissingKey, Parsed, Renderer, Reply, Target,
    TemplateSet, Value,
};
use std::sync::Arc;

fn include(_: &mut Ctx, args: &[Value]) -> Result<Reply, Error> {
    Ok(Reply::Execute(Execute {
        target: Target::Named(args[0].as_str().unwrap().clone()),
        data: args[1].clone(),
        after: Box::new(|_, result| result.map(Value::Str)),
    }))
}

fn tpl(_: &mut Ctx, args: &[Value]) -> Result<Reply, Error> {
    let parsed = Parsed::parse("gotpl", args[0].as_str().unwrap().as_bytes(), &funcs())?;
    Ok(Reply::Execute(Execute {
        target: Target::Parsed(Arc::new(parsed)),
        data: args[1].clone(),
        after: Box::new(|_, result| match result {
            Ok(text) => Ok(Value::Str(text)),
            Err(error) => Err(error.wrap("in tpl: ")),
        }),
    }))
}

fn set(_: &mut Ctx, args: &[Value]) -> Result<Value, Error> {
    args[0].as_map().unwrap().insert(args[1].as_str().unwrap().clone(), args[2].clone());
    Ok(args[0].clone())
}

fn dict(_: &mut Ctx, _: &[Value]) -> Result<Value, Error> {
    Ok(Value::map::<&str>([]))
}

fn funcs() -> FuncMap {
    let mut funcs = FuncMap::new();
    funcs
        .insert(Func::control("include", &[STRING, ANY], STRING, include))
        .insert(Func::control("tpl", &[STRING, ANY], STRING, tpl))
        .insert(Func::new("set", &[crate::types::MAP, STRING, ANY], crate::types::MAP, set))
        .insert(Func::new("dict", &[], crate::types::MAP, dict))
        .insert(Func::bound("lookup", &[STRING], ANY, 0));
    funcs
}

fn compiled(text: &str, missing_key: MissingKey) -> Result<Arc<TemplateSet>, Error> {
    let mut set = TemplateSet::new("root", missing_key);
    set.add(&Parsed::parse("t", text.as_bytes(), &funcs())?);
    Ok(Arc::new(set))
}

fn render_with(text: &str, limits: Limits) -> Result<String, Error> {
    let data = Frozen::map([("a", Frozen::map([("b", Frozen::from("deep"))])), ("n", Frozen::Float(1e6))]);
    let set = compiled(text, MissingKey::Invalid)?;
    let out = Renderer::new(Ctx::new(limits)).execute(&set, "t", data.thaw())?;
    Ok(String::from_utf8(out).unwrap())
}

fn render(text: &str) -> Result<String, Error> {
    render_with(text, Limits::default())
}

fn fails(text: &str) -> String {
    render(text).unwrap_err().to_string()
}

#[test]
fn go_allows_a_hundred_thousand_templates_within_each_other() {
    let text = r#"{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}"#;
    assert_eq!(
        fails(text),
        "template: t:1:28: executing \"x\" at <{{template \"x\" .}}>: \
         exceeded maximum template depth (100000)"
    );
}

#[test]
fn endless_includes_end_with_a_limit_and_not_with_the_stack() {
    let text = r#"{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}"#;
    let limits = Limits { calls: 20_000, ..Limits::default() };
    assert_eq!(render_with(text, limits).unwrap_err().limit(), Some(Limit::Depth(20_000)));
}

#[test]
fn every_limit_is_an_error_of_its_own() {
    let small = |limits: Limits, text: &str| render_with(text, limits).unwrap_err().limit();
    let limits = Limits::default();
    let steps = Limits { steps: 1000, ..limits };
    assert_eq!(small(steps, "{{ range 1000000000 }}{{ end }}"), Some(Limit::Steps(1000)));
    let output = Limits { output: 100, ..limits };
    assert_eq!(small(output, "{{ range 1000 }}xx{{ end }}"), Some(Limit::Output(100)));
    let memory = Limits { memory: 5000, ..limits };
    assert_eq!(small(memory, r#"{{ printf "%10000d" 1 }}"#), Some(Limit::Memory(5000)));
    let looped = r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $d }}"#;
    assert_eq!(small(limits, looped), Some(Limit::Nesting(200)));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(small(limits, &deep), Some(Limit::Nesting(400)));
    let nested = "{{ if true }}".repeat(5000) + &"{{ end }}".repeat(5000);
    assert_eq!(small(limits, &nested), Some(Limit::Nesting(400)));
}

#[test]
fn a_limit_inside_a_function_is_not_wrapped() {
    let text = r#"{{ define "x" }}{{ range 1000 }}{{ end }}{{ end }}{{ include "x" . }}"#;
    let error = render_with(text, Limits { steps: 100, ..Limits::default() }).unwrap_err();
    assert_eq!(error.to_string(), "template execution exceeded the limit of 100 steps");
}

#[test]
fn nesting_below_the_limit_fits_a_small_stack() {
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(390), ")".repeat(390));
    let ifs = "{{ if true }}".repeat(195) + "x" + &"{{ end }}".repeat(195);
    let elses = "{{ if false }}".to_string() + &"{{ else if false }}".repeat(350) + "{{ else }}y{{ end }}";
    let rendered = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || [render(&parens), render(&ifs), render(&elses)].map(|r| r.unwrap()))
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(rendered, ["1", "x", "y"]);
}

#[test]
fn errors_keep_their_chain() {
    let text = r#"{{ define "x" }}{{ .a.b.c }}{{ end }}{{ tpl "{{ include \"x\" . }}" . }}"#;
    let error = render(text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "template: t:1:40: executing \"t\" at <tpl \"{{ include \\\"x\\\" . }}\" .>: error calling tpl: in tpl: \
         template: gotpl:1:3: executing \"gotpl\" at <include \"x\" .>: error calling include: \
         template: t:1:21: executing \"x\" at <.a.b.c>: can't evaluate field c in type interface {}"
    );
    let links = std::iter::successors(Some(&error), |e| e.cause());
    let kinds: Vec<bool> = links.map(|e| matches!(e, Error::Exec(_))).collect();
    assert_eq!(kinds, [true, false, true, true]);
}

#[test]
fn definitions_inside_an_extra_text_stay_there() {
    let text = r#"{{ define "x" }}outer{{ end }}{{ tpl "{{ define \"x\" }}inner{{ end }}{{ include \"x\" . }}" . }} {{ include "x" . }}"#;
    assert_eq!(render(text).unwrap(), "inner outer");
}

#[test]
fn missing_keys() {
    let run = |missing_key| {
        let set = compiled("{{ .x }}{{ .x.y }}", missing_key)?;
        Renderer::new(Ctx::new(Limits::default())).execute(&set, "t", Value::map::<&str>([]))
    };
    assert_eq!(run(MissingKey::Invalid).unwrap(), b"<no value><no value>");
    assert!(run(MissingKey::Zero).unwrap_err().to_string().contains("nil pointer evaluating interface {}.y"));
    assert!(run(MissingKey::Error).unwrap_err().to_string().contains("map has no entry for key \"x\""));
}

#[test]
fn variables_follow_gos_scopes() {
    assert_eq!(render("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ end }}{{ $x }}").unwrap(), "2");
    assert_eq!(render("{{ or true ($y := 5) }}").unwrap(), "true");
    assert!(fails("{{ or true ($y := 5) }}{{ $y }}").contains("undefined variable: $y"));
    assert_eq!(render("{{ range $i, $e := 3 }}{{ end }}").unwrap_err().limit(), None);
    let loops = "{{ range $i := 5 }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ with $i }}\
                 {{ if eq . 3 }}{{ break }}{{ end }}{{ end }}{{ $i }}{{ end }}{{ .a.b }}";
    assert_eq!(render(loops).unwrap(), "02deep");
}

#[test]
fn bound_functions_belong_to_one_render() {
    let set = compiled(r#"{{ lookup "x" }}"#, MissingKey::Zero).unwrap();
    let mut ctx = Ctx::new(Limits::default());
    let answer = String::from("found ");
    ctx.bind(
        0,
        std::rc::Rc::new(move |_, args| {
            Ok(Reply::Value(Value::str(format!("{answer}{}", args[0].as_str().unwrap()))))
        }),
    );
    assert_eq!(Renderer::new(ctx).execute(&set, "t", Value::Nil).unwrap(), b"found x");
    let unbound = Renderer::new(Ctx::new(Limits::default())).execute(&set, "t", Value::Nil);
    assert!(unbound.unwrap_err().to_string().ends_with("lookup is not available here"));
}

#[test]
fn threads_share_a_compiled_set_and_frozen_values() {
    let text = r#"{{ $_ := set .a "mine" .n }}{{ .a.mine }} {{ .a.b }}"#;
    let set = compiled(text, MissingKey::Zero).unwrap();
    let frozen = Frozen::map([("a", Frozen::map([("b", Frozen::from("shared"))])), ("n", Frozen::Int(7))]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut renderer = Renderer::new(Ctx::new(Limits::default()));
                for _ in 0..3 {
                    assert_eq!(renderer.execute(&set, "t", frozen.thaw()).unwrap(), b"7 shared");
                }
            });
        }
    });
}

#[test]
fn a_render_after_a_failed_one_starts_clean() {
    let set =
        compiled("{{ with .a }}{{ range 2 }}{{ $.fail.x }}{{ end }}{{ end }}ok", MissingKey::Zero).unwrap();
    let mut renderer = Renderer::new(Ctx::new(Limits::default()));
    assert!(renderer.execute(&set, "t", Value::map([("a", Value::Bool(true))])).is_err());
    assert_eq!(renderer.execute(&set, "t", Value::map::<&str>([])).unwrap(), b"ok");
}

#[test]
fn call_calls_values_that_are_functions() {
    let add = Value::Func(std::rc::Rc::new(crate::FuncValue {
        params: vec![crate::types::INT64, crate::types::INT64],
        variadic: false,
        result: crate::types::INT64,
        body: std::rc::Rc::new(|_, args| match args {
            [Value::Int(a, _), Value::Int(b, _)] => Ok(Value::int64(a + b)),
            _ => Err(Error::msg("not numbers")),
        }),
    }));
    let data = Value::map([("add", add)]);
    let mut renderer = Renderer::new(Ctx::new(Limits::default()));
    let mut run = |text: &str| {
        let set = compiled(text, MissingKey::Zero).unwrap();
        renderer.execute(&set, "t", data.clone()).map(|out| String::from_utf8(out).unwrap())
    };
    assert_eq!(run("{{ call .add 1 2 }}{{ 3 | call .add 1 }}").unwrap(), "34");
    let message = |result: Result<String, Error>| result.unwrap_err().to_string();
    assert!(message(run("{{ call .add 1 }}")).ends_with("wrong number of args for .add: got 1 want 2"));
    assert!(message(run("{{ call .add 1 true }}")).ends_with("arg 1: value has type bool; should be int64"));
    assert!(message(run("{{ .add }}")).ends_with("can't print {{.add}} of type func()"));
}
