//! Parsing what nobody would write.

use crate::{Ctx, FuncMap, Limits, MissingKey, Parsed, Renderer, TemplateSet, Value};
use std::sync::Arc;

/// A small generator of numbers; the same ones every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn any_bytes_parse_and_run_or_fail_but_never_panic() {
    let pieces: [&[u8]; 48] = [
        b"{{",
        b"}}",
        b"{{-",
        b" -}}",
        b"{{- ",
        b"- }}",
        b"{{/*",
        b"*/}}",
        b" ",
        b"\n",
        b"\t",
        b"if",
        b"else",
        b"end",
        b"range",
        b"with",
        b"define",
        b"block",
        b"template",
        b"break",
        b"continue",
        b"nil",
        b"true",
        b"\"x\"",
        b"\"",
        b"`",
        b"'",
        b"'a'",
        b"$",
        b"$x",
        b".",
        b".a",
        b"..",
        b"(",
        b")",
        b"|",
        b":=",
        b"=",
        b",",
        b"1",
        b"-",
        b"0x",
        b"1e",
        b"1i",
        b"printf",
        b"index",
        b"\xff",
        "é".as_bytes(),
    ];
    let funcs = FuncMap::new();
    let limits = Limits { steps: 10_000, ..Limits::default() };
    let mut numbers = Numbers(7);
    let mut parsed = 0;
    for _ in 0..30_000 {
        let mut text = Vec::new();
        if numbers.below(3) > 0 {
            text.extend_from_slice(b"{{");
        }
        for _ in 0..1 + numbers.below(14) {
            text.extend_from_slice(pieces[numbers.below(pieces.len())]);
            if numbers.below(3) == 0 {
                text.push(b' ');
            }
        }
        let Ok(template) = Parsed::parse("t", &text[..], &funcs) else { continue };
        parsed += 1;
        let mut set = TemplateSet::new("root", MissingKey::Zero);
        set.add(&template);
        let data = Value::map([("a", Value::list(vec![Value::int(1), Value::str("b")]))]);
        let mut renderer = Renderer::new(Ctx::new(limits));
        let _outcome = renderer.execute(&Arc::new(set), "t", data);
    }
    assert!(parsed > 1000, "only {parsed} texts could be parsed");
}

#[test]
fn delimiters_can_be_others() {
    let funcs = FuncMap::new();
    let parsed = Parsed::parse_with_delims("t", &b"<< .a >> {{ x }}"[..], "<<", ">>", &funcs).unwrap();
    let mut set = TemplateSet::new("root", MissingKey::Zero);
    set.add(&parsed);
    let out = Renderer::new(Ctx::new(Limits::default())).execute(
        &Arc::new(set),
        "t",
        Value::map([("a", Value::int(1))]),
    );
    assert_eq!(out.unwrap(), b"1 {{ x }}");
}
