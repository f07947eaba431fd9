//! Generated templates: functions over literals and values of all types, right and wrong.

use serde_json::{Value, json};

use super::{Question, Seeded, conformance};

/// What a function wants: `s` text, `i` integer, `f` number, `b` boolean, `l` list, `d` dict, `a` anything.
/// Functions that answer at random, by the clock or by the machine are left out.
const FUNCTIONS: &[(&str, &str)] = &[
    ("abbrev", "is"),
    ("abbrevboth", "iis"),
    ("add", "ff"),
    ("add1", "f"),
    ("add1f", "f"),
    ("addf", "ff"),
    ("adler32sum", "s"),
    ("all", "aa"),
    ("and", "aa"),
    ("any", "aa"),
    ("append", "la"),
    ("atoi", "s"),
    ("b32dec", "s"),
    ("b32enc", "s"),
    ("b64dec", "s"),
    ("b64enc", "s"),
    ("base", "s"),
    ("camelcase", "s"),
    ("cat", "aa"),
    ("ceil", "f"),
    ("chunk", "il"),
    ("clean", "s"),
    ("coalesce", "aaa"),
    ("compact", "l"),
    ("concat", "ll"),
    ("contains", "ss"),
    ("deepCopy", "a"),
    ("deepEqual", "aa"),
    ("default", "aa"),
    ("dict", "sasa"),
    ("dig", "sad"),
    ("dir", "s"),
    ("div", "ff"),
    ("divf", "ff"),
    ("duration", "s"),
    ("durationRound", "s"),
    ("empty", "a"),
    ("eq", "aa"),
    ("ext", "s"),
    ("fail", "s"),
    ("first", "l"),
    ("float64", "a"),
    ("floor", "f"),
    ("fromJson", "s"),
    ("fromJsonArray", "s"),
    ("fromToml", "s"),
    ("fromYaml", "s"),
    ("fromYamlArray", "s"),
    ("ge", "ff"),
    ("get", "ds"),
    ("gt", "ff"),
    ("has", "al"),
    ("hasKey", "ds"),
    ("hasPrefix", "ss"),
    ("hasSuffix", "ss"),
    ("html", "a"),
    ("indent", "is"),
    ("index", "ls"),
    ("index", "ds"),
    ("initial", "l"),
    ("initials", "s"),
    ("int", "a"),
    ("int64", "a"),
    ("isAbs", "s"),
    ("join", "sl"),
    ("js", "a"),
    ("kebabcase", "s"),
    ("kindIs", "sa"),
    ("kindOf", "a"),
    ("last", "l"),
    ("le", "ff"),
    ("len", "l"),
    ("len", "s"),
    ("list", "aa"),
    ("lower", "s"),
    ("lt", "ff"),
    ("max", "ff"),
    ("maxf", "ff"),
    ("merge", "dd"),
    ("mergeOverwrite", "dd"),
    ("min", "ff"),
    ("minf", "ff"),
    ("mod", "ff"),
    ("mul", "ff"),
    ("mulf", "ff"),
    ("mustAppend", "la"),
    ("mustCompact", "l"),
    ("mustHas", "al"),
    ("mustToJson", "a"),
    ("mustUniq", "l"),
    ("mustWithout", "la"),
    ("ne", "aa"),
    ("nindent", "is"),
    ("nospace", "s"),
    ("not", "a"),
    ("omit", "ds"),
    ("or", "aa"),
    ("osBase", "s"),
    ("osExt", "s"),
    ("pick", "ds"),
    ("pluck", "sd"),
    ("plural", "ssi"),
    ("prepend", "la"),
    ("print", "aa"),
    ("printf", "Fa"),
    ("printf", "Faa"),
    ("println", "aa"),
    ("quote", "aa"),
    ("quote", "a"),
    ("regexFind", "Rs"),
    ("regexFindAll", "Rsi"),
    ("regexMatch", "Rs"),
    ("regexQuoteMeta", "s"),
    ("regexReplaceAll", "Rss"),
    ("regexReplaceAllLiteral", "Rss"),
    ("regexSplit", "Rsi"),
    ("repeat", "is"),
    ("replace", "sss"),
    ("required", "sa"),
    ("rest", "l"),
    ("reverse", "l"),
    ("round", "fi"),
    ("semver", "V"),
    ("semverCompare", "CV"),
    ("seq", "i"),
    ("sha1sum", "s"),
    ("sha256sum", "s"),
    ("slice", "lii"),
    ("slice", "sii"),
    ("snakecase", "s"),
    ("sortAlpha", "l"),
    ("split", "ss"),
    ("splitList", "ss"),
    ("splitn", "sis"),
    ("squote", "a"),
    ("sub", "ff"),
    ("subf", "ff"),
    ("substr", "iis"),
    ("swapcase", "s"),
    ("ternary", "aab"),
    ("title", "s"),
    ("toDecimal", "s"),
    ("toJson", "a"),
    ("toPrettyJson", "a"),
    ("toRawJson", "a"),
    ("toString", "a"),
    ("toStrings", "l"),
    ("toToml", "d"),
    ("toYaml", "a"),
    ("toYamlPretty", "a"),
    ("trim", "s"),
    ("trimAll", "ss"),
    ("trimPrefix", "ss"),
    ("trimSuffix", "ss"),
    ("trunc", "is"),
    ("tuple", "aa"),
    ("typeIs", "sa"),
    ("typeIsLike", "sa"),
    ("typeOf", "a"),
    ("uniq", "l"),
    ("until", "i"),
    ("untilStep", "iii"),
    ("untitle", "s"),
    ("upper", "s"),
    ("urlParse", "s"),
    ("urlquery", "s"),
    ("without", "la"),
    ("wrap", "is"),
    ("wrapWith", "iss"),
    ("tpl", "Td"),
    ("set", "dsa"),
    ("unset", "ds"),
];

const TEXTS: &[&str] = &[
    "",
    "a",
    "abc",
    "Hello World",
    "foo-bar_baz",
    " padded ",
    "a,b,c",
    "ünïcödé",
    "日本語",
    "1",
    "1.5",
    "-3",
    "0x1f",
    "010",
    "true",
    "null",
    "~",
    "yes",
    "1e3",
    "2024-01-02",
    "a: 1",
    "- a\n- b",
    "{\"a\": [1, 2.50, null]}",
    "[1, \"x\"]",
    "k: |\n  x\n  y\n",
    "x = 1\n[t]\ny = \"z\"",
    "a\tb",
    "line\nbreak\n",
    "trailing: ",
    "#c",
    "'q'",
    "\"dq\"",
    "&a",
    "*b",
    "%",
    "a/b/../c.tar.gz",
    "/abs/p",
    "http://u:p@h:80/p?q=1#f",
    "1h30m",
    "2d",
    "aGVsbG8=",
    "MFRGG===",
    "{{ .a }}",
    "<b>&'\"",
    "\u{feff}bom",
    "e\u{301}",
    "🎉",
    "9223372036854775808",
    "1_000",
    ".inf",
    "0o17",
    "12:30:45",
    "!!str x",
    "a b  c   d",
    "the quick brown fox jumps over the lazy dog",
    "? x",
    "- ",
    ": ",
    "a #b",
    "[",
    "{",
    "}",
    "|",
    ">",
    "@",
    "`",
];

const FORMATS: &[&str] = &[
    "%v",
    "%d",
    "%s",
    "%q",
    "%x",
    "%5d|",
    "%-5s|",
    "%05.1f",
    "%+v",
    "%#v",
    "%T",
    "%t",
    "%e",
    "%g",
    "%c",
    "%U",
    "%%",
    "%",
    "%!",
    "%[1]v %[1]T",
    "%6.2f",
    "% d",
    "%o",
    "%b",
    "%X",
    "% x",
    "%08b",
    "%*d",
    "%.3s",
    "%#x",
    "%v %v",
];

const PATTERNS: &[&str] = &[
    "a",
    "[a-z]+",
    "(\\w+)-(\\w+)",
    "^\\s*",
    "b*",
    "",
    "(",
    "[",
    "a{2,1}",
    "\\d{1,3}",
    "(?i)HELLO",
    "(?P<n>o)",
    ".",
    "$",
    "\\b",
    "[^a]",
    "x|y|",
    "(a|b)*c",
    "\\pL",
    "\\z",
    "(?s).+",
    "a**",
    "\\1",
];

const VERSIONS: &[&str] = &[
    "1.2.3",
    "v1.2.3",
    "1.2",
    "1",
    "1.2.3-alpha.1+b5",
    "1.2.3.4",
    "",
    "x",
    "01.2.3",
    "1.33.0-gke.5",
    "0.0.0",
    "2.0.0-rc.1",
];

const CONSTRAINTS: &[&str] = &[
    ">=1.2",
    "^1.2.3",
    "~1.2",
    "1.x",
    "*",
    ">1 <2",
    "1 - 2",
    "!=1.2.3",
    ">=1.2.3-0",
    "^0.0",
    "",
    ">",
    "1.2 || 2",
    "~>1",
    "=>1",
    "^1.2.3-alpha",
    ">= 1.2, < 3",
];

/// The values all templates see.
fn values() -> Value {
    json!({
        "s": "text", "e": "", "n": 42, "z": 0, "f": 1.5, "big": 12345678901.0_f64, "t": true, "u": null, "neg": -7,
        "l": ["b", "a", 3, null, true], "nums": [3, 1, 2.5], "strs": ["x", "y", "x", ""], "el": [], "ed": {},
        "d": {"a": 1, "b": {"c": "deep", "l": [1, {"x": "y"}]}, "10": "ten", "y": "no", "n": null},
        "ml": "line one\nline two\n", "num": "12", "q": "it's \"quoted\"", "long": "lorem ipsum dolor sit amet ".repeat(6),
    })
}

const PATHS: &[&str] = &[
    ".Values.s",
    ".Values.e",
    ".Values.n",
    ".Values.z",
    ".Values.f",
    ".Values.big",
    ".Values.t",
    ".Values.u",
    ".Values.neg",
    ".Values.l",
    ".Values.nums",
    ".Values.strs",
    ".Values.el",
    ".Values.ed",
    ".Values.d",
    ".Values.d.b",
    ".Values.d.b.l",
    ".Values.ml",
    ".Values.num",
    ".Values.q",
    ".Values.long",
    ".Values.missing",
    ".Values.d.missing",
    ".Values.s.x",
    ".Release.Name",
    ".Release",
    ".Chart.Name",
    ".Chart.Version",
    ".Template.Name",
    ".Capabilities.KubeVersion.Minor",
    "$.Values.n",
    "$x",
    "$y",
];

pub(crate) fn question(random: &mut Seeded) -> Question {
    let template = template(random);
    let request = json!({ "template": template, "values": values() });
    let asked = request.clone();
    Question { kept: request.clone(), request, here: Box::new(move || conformance::eval(&asked)) }
}

fn template(random: &mut Seeded) -> String {
    let mut text = String::from("{{ $x := 3 }}{{ $y := list 1 \"a\" }}");
    for _ in 0..=random.below(3) {
        let (left, right) = (random.pick(&["{{ ", "{{ ", "{{- "]), random.pick(&[" }}", " }}", " -}}"]));
        match random.below(12) {
            0 => text.push_str(&format!(
                "{left}if {}{right}yes{{{{ else }}}}no{{{{ end }}}}",
                pipeline(random, 2)
            )),
            1 => text.push_str(&format!(
                "{left}with {}{right}[{{{{ . }}}}]{{{{ else }}}}none{{{{ end }}}}",
                pipeline(random, 2)
            )),
            2 => text.push_str(&format!(
                "{left}range $i, $v := {}{right}{{{{ $i }}}}={{{{ $v }}}},{{{{ else }}}}empty{{{{ end }}}}",
                pipeline(random, 1)
            )),
            3 => text.push_str(&format!("{left}$x = {}{right}", pipeline(random, 2))),
            4 => text.push_str(&format!(
                "{left}range {}{right}<{{{{ . | toJson }}}}>{{{{ end }}}}",
                pipeline(random, 2)
            )),
            _ => text.push_str(&format!("<{left}{}{right}>\n", pipeline(random, 3))),
        }
    }
    text
}

fn pipeline(random: &mut Seeded, depth: usize) -> String {
    let mut text = call(random, depth);
    while random.chance(30) {
        let (name, wants) = FUNCTIONS[random.below(FUNCTIONS.len())];
        text.push_str(" | ");
        text.push_str(name);
        let most = wants.len().saturating_sub(1);
        for want in wants.bytes().take(most) {
            text.push(' ');
            text.push_str(&argument(random, want, depth.saturating_sub(1)));
        }
    }
    text
}

fn call(random: &mut Seeded, depth: usize) -> String {
    if depth == 0 || random.chance(15) {
        return argument(random, b'a', 0);
    }
    let (name, wants) = FUNCTIONS[random.below(FUNCTIONS.len())];
    let mut text = name.to_owned();
    for want in wants.bytes() {
        text.push(' ');
        text.push_str(&argument(random, want, depth - 1));
    }
    if random.chance(3) {
        text.push_str(" 1");
    }
    text
}

/// A call that gives what is wanted, most of the time.
fn call_for(random: &mut Seeded, want: u8, depth: usize) -> String {
    for _ in 0..50 {
        let (name, wants) = FUNCTIONS[random.below(FUNCTIONS.len())];
        if want == b'a' || gives(name) == want {
            let arguments: Vec<String> =
                wants.bytes().map(|want| argument(random, want, depth - 1)).collect();
            return format!("{name} {}", arguments.join(" "));
        }
    }
    argument(random, want, 0)
}

/// What kind of value a function gives.
fn gives(name: &str) -> u8 {
    match name {
        "all" | "any" | "contains" | "deepEqual" | "empty" | "eq" | "ge" | "gt" | "has" | "hasKey"
        | "hasPrefix" | "hasSuffix" | "isAbs" | "kindIs" | "le" | "lt" | "mustHas" | "ne" | "not"
        | "regexMatch" | "semverCompare" | "typeIs" | "typeIsLike" => b'b',
        "append" | "chunk" | "compact" | "concat" | "fromJsonArray" | "fromYamlArray" | "initial"
        | "list" | "mustAppend" | "mustCompact" | "mustUniq" | "mustWithout" | "pluck" | "prepend"
        | "regexFindAll" | "regexSplit" | "rest" | "reverse" | "sortAlpha" | "splitList" | "toStrings"
        | "tuple" | "uniq" | "until" | "untilStep" | "without" => b'l',
        "dict" | "fromJson" | "fromToml" | "fromYaml" | "merge" | "mergeOverwrite" | "omit" | "pick"
        | "set" | "split" | "splitn" | "unset" | "urlParse" => b'd',
        "int" | "len" => b'i',
        "add" | "add1" | "add1f" | "addf" | "atoi" | "ceil" | "div" | "divf" | "float64" | "floor"
        | "int64" | "max" | "maxf" | "min" | "minf" | "mod" | "mul" | "mulf" | "round" | "sub" | "subf"
        | "toDecimal" => b'f',
        "coalesce" | "default" | "deepCopy" | "dig" | "first" | "get" | "index" | "last" | "required"
        | "semver" | "ternary" | "fail" | "and" | "or" | "slice" => b'a',
        _ => b's',
    }
}

fn argument(random: &mut Seeded, want: u8, depth: usize) -> String {
    if random.chance(8) {
        return (random.pick(PATHS)).to_owned();
    }
    if depth > 0 && random.chance(30) {
        return format!("({})", call_for(random, want, depth));
    }
    let want = if random.chance(2) { b"sifblda"[random.below(7)] } else { want };
    match want {
        b's' if random.chance(25) => {
            (random.pick(&[".Values.s", ".Values.ml", ".Values.q", ".Values.long", ".Values.e"])).to_owned()
        }
        b's' => quoted(random.pick(TEXTS)),
        b'F' => quoted(random.pick(FORMATS)),
        b'R' => quoted(random.pick(PATTERNS)),
        b'V' => quoted(random.pick(VERSIONS)),
        b'C' => quoted(random.pick(CONSTRAINTS)),
        b'T' => quoted(random.pick(&[
            "{{ . }}",
            "{{ .a }}",
            "{{ .b.c }}x",
            "{{",
            "plain",
            "{{ fail \"f\" }}",
            "{{ toYaml . }}",
        ])),
        b'i' => random.pick(&["0", "1", "2", "3", "5", "-1", "10", "80"]).to_string(),
        b'f' => random
            .pick(&[
                "0",
                "1",
                "-3",
                "2.5",
                "1e3",
                "0.1",
                "7",
                ".Values.n",
                ".Values.f",
                "3.999",
                "1e-7",
                "123456789",
                "\"12\"",
                "-0.5",
            ])
            .to_string(),
        b'b' => random.pick(&["true", "false", ".Values.t", ".Values.u"]).to_string(),
        b'l' => random
            .pick(&[
                ".Values.l",
                ".Values.nums",
                ".Values.strs",
                ".Values.el",
                "(list 1 2 3)",
                "(list \"b\" \"a\" \"c\")",
                "(list)",
                "$y",
                "(splitList \",\" \"a,b\")",
                "(until 4)",
                "(list nil 0 \"\" 1.5)",
            ])
            .to_string(),
        b'd' => random
            .pick(&[
                ".Values.d",
                ".Values.ed",
                ".Values.d.b",
                "(dict \"a\" 1 \"b\" \"x\")",
                "(dict)",
                "(dict \"a\" (dict \"b\" 2))",
            ])
            .to_string(),
        _ => match random.below(8) {
            0 => quoted(random.pick(TEXTS)),
            1 => argument(random, b'f', 0),
            2 => argument(random, b'l', 0),
            3 => argument(random, b'd', 0),
            4 => argument(random, b'b', 0),
            5 => argument(random, b'i', 0),
            _ => (random.pick(PATHS)).to_owned(),
        },
    }
}

fn quoted(text: &str) -> String {
    // JSON's escapes are Go's, but for those of `/`, which it does not write.
    Value::from(text).to_string()
}
