use super::{GoRegex, quote_meta};

fn error(pattern: &str) -> String {
    GoRegex::new(pattern.as_bytes()).unwrap_err().to_string()
}

fn replace(pattern: &str, text: &str, replacement: &str) -> String {
    let regex = GoRegex::new(pattern.as_bytes()).unwrap();
    String::from_utf8(regex.replace_all(text.as_bytes(), replacement.as_bytes())).unwrap()
}

#[test]
fn errors_read_as_in_go() {
    for (pattern, expected) in [
        ("[", "missing closing ]: `[`"),
        ("a[b-", "missing closing ]: `[b-`"),
        ("(", "missing closing ): `(`"),
        ("a)", "unexpected ): `a)`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{2}{3}?", "invalid nested repetition operator: `{2}{3}?`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("(a{100}){100}", "invalid repeat count: `{100}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"\x{", r"invalid escape sequence: `\x{`"),
        (r"\x4", r"invalid escape sequence: `\x4`"),
        (r"\p", r"invalid character class range: `\p`"),
        (r"\x{zz}", r"invalid escape sequence: `\x{z`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"a\", "trailing backslash at end of expression: ``"),
        ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("(?P<n!>a)", "invalid named capture: `(?P<n!>`"),
        (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("[b-a]", "invalid character class range: `b-a`"),
    ] {
        assert_eq!(error(pattern), format!("error parsing regexp: {expected}"));
    }
    let nested = format!("{}{}", "(".repeat(1001), ")".repeat(1001));
    assert!(error(&nested).contains("expression nests too deeply"));
    let nested = format!("{}a{}", "(".repeat(999), ")".repeat(999));
    assert!(GoRegex::new(nested.as_bytes()).unwrap().is_match(b"a"));
}

#[test]
fn classes_are_ascii_and_folding_is_unicode() {
    let matches =
        |pattern: &str, text: &str| GoRegex::new(pattern.as_bytes()).unwrap().is_match(text.as_bytes());
    assert!(!matches(r"\d|\w", "٣é"));
    assert!(matches(r"(?i)\w", "ſ"));
    assert!(!matches(r"(?i)\W", "ſ"));
    assert!(matches(r"(?i)É", "é"));
    assert!(!matches(r"\s", "\u{b}") && matches(r"[[:space:]]", "\u{b}"));
    assert!(matches(r"\Qa.b\E+$", "a.bb"));
    assert!(matches(r"a\z", "ba") && !matches(r"a$", "a\n") && matches(r"(?m)a$", "a\n"));
    assert!(matches(r"\p{greek}\pL\P{^Lu}", "αbC"));
    assert!(matches(r"^.\x{ff}\101\x41$", "xÿAA"));
    assert!(matches(r"^[]a-]+$", "]a-") && matches("^{,2}a{,2}$", "{,2}a{,2}"));
}

#[test]
fn replaces_and_splits_as_go_does() {
    assert_eq!(replace("a(x*)b", "-ab-axxb-", "${1}W"), "-W-xxW-");
    assert_eq!(replace("a(x*)b", "-ab-axxb-", "$1W"), "---");
    assert_eq!(replace("(?P<n>a)|(?P<n>b)", "ab", "<$n>"), "<a><b>");
    assert_eq!(replace("x*", "abxc", "-"), "-a-b-c-");
    assert_eq!(replace("a", "a$", "$$ $"), "$ $$");
    let split = |pattern: &str, text: &str, limit| {
        GoRegex::new(pattern.as_bytes())
            .unwrap()
            .split(text.as_bytes(), limit)
            .into_iter()
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(split("a*", "abaabaccadaaae", 5), ["", "b", "b", "c", "cadaaae"]);
    assert_eq!(split("", "", -1), Vec::<String>::new());
    assert_eq!(split("x", "", -1), [""]);
    assert_eq!(quote_meta(b"a.b$"), br"a\.b\$");
}

#[test]
fn invalid_bytes_are_single_runes() {
    let regex = GoRegex::new(b"^a.(.)b").unwrap();
    let groups = regex.captures(b"a\xff\xe2b").unwrap();
    assert_eq!(groups[1], Some(b"\xe2".as_slice()));
    let regex = GoRegex::new("\u{fffd}".as_bytes()).unwrap();
    assert_eq!(regex.replace_all(b"\xff\xef\xbf\xbd.", b"x$0"), b"x\xffx\xef\xbf\xbd.");
}
