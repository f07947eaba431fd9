use serde_json::{Value, json};

use super::{Data, Expression};

const VARIABLES: &[&str] = &["res", "req"];

fn data() -> Data {
    let req = json!({
        "tag": "1.0.1", "n": 7, "big": 1_772_366_400_i64, "ok": true, "none": null, "list": ["a", "b", "c"],
        "commits": [{"modified": ["deploy/app.yaml"]}, {"modified": ["README.md"]}],
        "data": "eyJhIjoxfQ==", "nested": {"a": {"b": "c"}},
    });
    let res = json!({"kind": "ImageRepository", "metadata": {"name": "app", "labels": {"team": "a"}}});
    Data::default().with("req", &req).with("res", &res)
}

fn holds(text: &str) -> Result<bool, String> {
    Expression::boolean(text, VARIABLES)?.holds(&data())
}

#[test]
fn what_flux_documents_works() {
    for (text, expected) in [
        ("req.tag.contains('0') && res.metadata.name in ['app', 'web']", true),
        ("has(res.metadata.labels) && res.metadata.labels.team == 'a'", true),
        ("req.tag.split('.').size() == 3", true),
        ("req.commits.exists(c, c.modified.exists(f, f.startsWith('deploy/')))", true),
        ("req.commits.all(c, c.modified.exists(f, f.startsWith('deploy/')))", false),
        ("req.list.filter(x, x != 'b').map(x, x + x) == ['aa', 'cc']", true),
        ("req.n == 7 && req.n < 8u && req.n > 6.5 && 7 in [req.n]", true),
        ("int(req.n) % 2 == 1", true),
        ("req.?missing.orValue('x') == 'x' && req.?tag.hasValue()", true),
        ("req[?'missing'].orValue(false) == false", true),
        ("sets.contains(req.list, ['b', 'a']) && sets.intersects(req.list, ['z', 'c'])", true),
        ("sets.equivalent(req.list, ['c', 'b', 'a', 'a'])", true),
        ("sets.equivalent(req.list, ['c', 'b'])", false),
        ("string(base64.decode(req.data)) == '{\"a\":1}'", true),
        ("req.tag.matches('^[0-9]+\\\\.')", true),
        ("req.tag.replace('.', '-') == '1-0-1' && req.tag.replace('.', '-', 1) == '1-0.1'", true),
        ("'%s:%d'.format([req.tag, 3]) == '1.0.1:3' && req.list.join('/') == 'a/b/c'", true),
        ("timestamp(int(req.big)).getFullYear() == 2026", true),
        ("timestamp('2026-03-01T12:00:00Z').getHours() == 12", true),
        ("duration('90m') > duration('1h')", true),
        ("req.none == null ? true : false", true),
        ("type(req.list) == list && !req.ok == false", true),
        ("'TAG'.lowerAscii().substring(1) == 'ag'", true),
    ] {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
}

#[test]
fn mistakes_are_found_before_the_first_delivery() {
    for (text, message) in [
        (
            "foo",
            "failed to parse the CEL expression 'foo': ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^",
        ),
        ("req.x == claims.y", "ERROR: <input>:1:10: undeclared reference to 'claims'"),
        ("req.list.exists(x, y == 1)", "undeclared reference to 'y'"),
        ("req.tag.shout() == 'x'", "undeclared reference to 'shout'"),
        ("env('HOME') == 'x'", "undeclared reference to 'env'"),
        ("lists.range(3) == [1]", "undeclared reference to 'lists'"),
        ("foo.", "failed to parse the CEL expression 'foo.': ERROR: <input>:1:"),
        ("", "failed to parse the CEL expression ''"),
        ("req.tag ==", "ERROR: <input>:1:"),
        ("'x", "ERROR: <input>:1:"),
        ("1", "CEL expression output type mismatch: expected bool, got int"),
        ("req.ok", "CEL expression output type mismatch: expected bool, got dyn"),
        ("req", "CEL expression output type mismatch: expected bool, got map(string, dyn)"),
        ("req.tag + 'x'", "expected bool, got dyn"),
        ("'a' + 'b'", "expected bool, got string"),
        ("req.list.map(x, x)", "expected bool, got list(dyn)"),
        ("size(req.tag)", "expected bool, got int"),
        ("req.?ok", "expected bool, got optional_type(dyn)"),
        ("req.?ok.orValue(false)", "expected bool, got dyn"),
        ("true ? 'a' : 'b'", "expected bool, got string"),
    ] {
        let error = Expression::boolean(text, VARIABLES).unwrap_err();
        assert!(error.contains(message), "{text}: {error}");
    }
    assert!(Expression::any("req.tag + 'x'", VARIABLES).is_ok());
}

#[test]
fn what_the_data_do_not_fit_is_an_error_of_this_delivery() {
    for text in
        ["req.missing == 'x'", "req.tag > 1", "req.tag.contains(req.n)", "req.list[9] == 'x'", "1 / 0 == 1"]
    {
        let error = holds(text).unwrap_err();
        assert!(error.starts_with("failed to evaluate the CEL expression '"), "{text}: {error}");
    }
    assert_eq!(holds("req.missing == 'x' || true"), Ok(true), "as cel-go: the other side decides");
}

#[test]
fn s21_an_expression_that_would_cost_too_much_is_refused_before_it_runs() {
    let wide: Vec<Value> = (0..1000).map(Value::from).collect();
    let long = "x".repeat(100_000);
    let data = Data::default().with("req", &json!({"l": wide, "s": long})).with("res", &json!({}));
    let started = std::time::Instant::now();
    for text in [
        "req.l.all(a, req.l.all(b, req.l.all(c, a + b + c >= 0.0)))",
        "req.l.map(a, req.l.map(b, req.l.map(c, a))).size() > 0",
        "req.s.split('').exists(a, req.s.split('').exists(b, a == b))",
        "req.l.map(a, req.s + req.s).size() > 0",
        "req.s.replace('', req.s).replace('', req.s).size() > 0",
        "sets.contains(req.l.map(x, x), req.l.map(x, x)) && req.l.all(x, sets.contains(req.l, req.l))",
    ] {
        let error = Expression::boolean(text, VARIABLES).unwrap().holds(&data).unwrap_err();
        assert!(
            error.contains("would cost too much") || error.contains("would be longer"),
            "{text}: {error}"
        );
    }
    assert!(started.elapsed().as_secs() < 5);
    // One loop over all of it is fine.
    assert_eq!(Expression::boolean("req.l.all(a, a >= 0.0)", VARIABLES).unwrap().holds(&data), Ok(true));
}

#[test]
fn s21_looking_through_text_is_counted_by_its_length() {
    let many: Vec<Value> = (0..20_000).map(Value::from).collect();
    let req = json!({"l": many, "s": "x".repeat(100_000), "t": "y".repeat(100_000), "few": ["a", "b"],
        "texts": vec!["z".repeat(1000); 1000], "p": "^v"});
    let data = Data::default().with("req", &req).with("res", &json!({}));
    let started = std::time::Instant::now();
    for text in [
        "req.l.all(a, req.s.indexOf('y') < 0)",
        "req.l.all(a, req.s.lastIndexOf('y', 7) < 0)",
        "req.l.all(a, req.s.charAt(9) == 'x')",
        "req.l.all(a, req.s.size() > 0)",
        "req.l.all(a, size(req.s) > 0)",
        "req.l.all(a, req.s.contains(req.t) == false)",
        "req.l.all(a, req.s.startsWith(req.s))",
        "req.l.all(a, req.s.endsWith(req.s))",
        "req.l.all(a, req.s < req.t)",
        "req.l.all(a, req.s.matches('y$') == false)",
        "req.l.all(a, matches(req.s, 'y$') == false)",
        "req.l.all(a, 'v1'.matches(req.p))",
        "req.l.all(a, req.s.split('x').size() > 0)",
        "req.l.all(a, req.texts.join('') != '')",
        "req.l.all(a, '%s'.format([req.texts]) != '')",
        "req.l.all(a, req == req)",
        "req.l.map(a, req.s).all(t, t.contains('x'))",
        "[req.s, req.s].map(a, a).all(t, req.l.all(b, t.contains('x')))",
        "req.l.all(a, req.texts == req.texts)",
        "req.l.all(a, req in [req, req])",
        "req.l.all(a, (req.l + req.l).size() > 0)",
    ] {
        let error = Expression::boolean(text, VARIABLES).unwrap().holds(&data).unwrap_err();
        assert!(error.contains("would cost too much"), "{text}: {error}");
    }
    assert!(started.elapsed().as_secs() < 5);
    // What is looked at once, or is short, may be long or many.
    for text in [
        "req.s.indexOf('y') < 0 && req.s.lastIndexOf(req.t) < 0 && !req.s.matches('y+$') && req.s != req.t",
        "req.l.all(a, a != 7.5 || a in [1.0, 7.5])",
        "req.texts.exists(t, t != req.p)",
        "req.texts.all(t, t.contains('z') && t.matches('^z+$') && t.upperAscii() != 'Z')",
        "req == req",
    ] {
        assert_eq!(Expression::boolean(text, VARIABLES).unwrap().holds(&data), Ok(true), "{text}");
    }
    // For many objects it is too much where it is not for one.
    let costly = Expression::boolean("req.s.reverse() != req.t", VARIABLES).unwrap();
    assert_eq!(costly.holds(&data), Ok(true));
    let error = costly.holds(&data.clone().one_of(100_000)).unwrap_err();
    assert!(error.contains("would cost too much"), "{error}");
}

#[test]
fn s21_the_costliest_that_is_allowed_ends_soon() {
    let started = std::time::Instant::now();
    let many: Vec<Value> = (0..20_000).map(|n| json!(format!("v{n}"))).collect();
    let data = Data::default().with("req", &json!({"l": many})).with("res", &json!({}));
    // The pattern is compiled once.
    let text = "req.l.all(a, a.matches('^v([0-9]+|[a-z]+)(\\\\.[0-9]+)*$'))";
    assert_eq!(Expression::boolean(text, VARIABLES).unwrap().holds(&data), Ok(true));
    // Each place is right but for its end.
    let req = json!({"s": "a".repeat(2_000_000), "t": format!("{}b", "a".repeat(1_000_000))});
    let data = Data::default().with("req", &req).with("res", &json!({}));
    for text in [
        "req.s.indexOf(req.t) == -1",
        "req.s.indexOf(req.t, 1000) == -1",
        "req.s.lastIndexOf(req.t) == -1",
        "req.s.lastIndexOf(req.t, 1000000) == -1",
        "!req.s.contains(req.t)",
    ] {
        assert_eq!(Expression::boolean(text, VARIABLES).unwrap().holds(&data), Ok(true), "{text}");
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// The examples of cel-go's `ext.Strings()`, and text that is not ASCII.
#[test]
fn places_in_text_are_cel_gos() {
    for text in [
        "'hello mellow'.indexOf('') == 0",
        "'hello mellow'.indexOf('ello') == 1",
        "'hello mellow'.indexOf('jello') == -1",
        "'hello mellow'.indexOf('', 2) == 2",
        "'hello mellow'.indexOf('ello', 2) == 7",
        "'hello mellow'.lastIndexOf('') == 12",
        "'hello mellow'.lastIndexOf('ello') == 7",
        "'hello mellow'.lastIndexOf('jello') == -1",
        "'hello mellow'.lastIndexOf('ello', 6) == 1",
        "'t\u{e4}st \u{2713}t\u{e4}st'.indexOf('\u{e4}s', 2) == 7 && 't\u{e4}st'.indexOf('st') == 2",
        "'\u{e4}\u{e4}\u{e4}\u{e4}'.lastIndexOf('\u{e4}', 2) == 2 && '\u{e4}\u{e4}'.lastIndexOf('\u{e4}\u{e4}') == 0",
        "'a\u{2713}'.lastIndexOf('a', 0) == 0 && 'a'.lastIndexOf('ab') == -1",
    ] {
        assert_eq!(holds(text), Ok(true), "{text}");
    }
    for text in [
        "'hello mellow'.indexOf('ello', 20) == 1",
        "'hello mellow'.indexOf('ello', 12) == 1",
        "'hello mellow'.indexOf('', -1) == 1",
        "'hello mellow'.lastIndexOf('ello', -1) == 1",
        "'hello mellow'.lastIndexOf('ello', 12) == 1",
    ] {
        assert!(holds(text).unwrap_err().contains("index out of range: "), "{text}");
    }
}

#[test]
fn regular_expressions_are_gos() {
    for (text, expected) in [
        ("req.tag.matches('^\\\\d+\\\\.')", true),
        ("matches(req.tag, '1$') && !matches(req.tag, '^0')", true),
        ("'\u{661}'.matches('^\\\\d$') || '\u{e4}'.matches('^\\\\w$')", false),
        ("'a.b'.matches('^\\\\Qa.b\\\\E$')", true),
        ("req.tag.matches('^' + req.tag + '$')", true),
    ] {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
    for (text, message) in [
        (
            "req.tag.matches('[')",
            "failed to create CEL program: error parsing regexp: missing closing ]: `[`",
        ),
        (
            "req.tag.matches('a(?=b)')",
            "failed to create CEL program: error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
        ),
    ] {
        let error = Expression::boolean(text, VARIABLES).unwrap_err();
        assert_eq!(error, message, "as in Flux, before the first delivery");
    }
    let large = Expression::boolean("req.tag.matches('(\\\\pL{100}){10}')", VARIABLES).unwrap_err();
    assert!(large.starts_with("failed to create CEL program: error parsing regexp: "), "{large}");
    let of_data = holds("req.tag.matches('(' + req.tag)").unwrap_err();
    assert!(of_data.contains("error parsing regexp: missing closing ): `(1.0.1`"), "{of_data}");
}

#[test]
fn s21_an_expression_that_is_too_long_or_too_deep_is_refused() {
    let nested = |open: &str, close: &str, n: usize| format!("{}true{}", open.repeat(n), close.repeat(n));
    for text in [
        nested("(", ")", 2000),
        nested("!", "", 4000),
        nested("[", "]", 2000),
        format!("req{} == 1", ".a".repeat(2000)),
        format!("{}true", "true && ".repeat(500)),
        format!("{}true", "true ? true : ".repeat(280)),
        nested("-", "", 4000),
        format!("'{}' == ''", "x".repeat(5000)),
    ] {
        let shown: String = text.chars().take(20).collect();
        // What the parser balances into a shallow tree may well be evaluated.
        if let Ok(expression) = Expression::boolean(&text, VARIABLES) {
            assert!(expression.holds(&data()).is_ok(), "{shown}");
        }
    }
    assert!(Expression::boolean(&nested("(", ")", 2000), VARIABLES).is_err());
    assert!(Expression::boolean(&format!("req{} == 1", ".a".repeat(2000)), VARIABLES).is_err());
    assert!(Expression::boolean(&format!("'{}' == ''", "x".repeat(5000)), VARIABLES).is_err());
}
