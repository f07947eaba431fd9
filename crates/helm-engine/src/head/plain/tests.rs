use super::*;

/// Written as most charts are.
const PLAIN: &str = r#"# Source: x
apiVersion: apps/v1
kind: "Deployment"
metadata:
  name: web   # a comment
  namespace: 'it''s'
  labels:
    app: web
    on-call: "a \"b\" \n"

  annotations:
    helm.sh/hook: pre-install,post-upgrade
    'helm.sh/hook-weight': "-5"
    empty:
spec:
  replicas: 1
  'ü': é — ü
  ratio: -1.5
  args:
  - --port=80
  - name: x
    value: http://a:80/#b
  -
    key: y
  - - a
    - b
  own:
    line
  empty:
    {}
  list:
    -
      'own # line'
    - "a: b"
    - [a, "b", 'c']  # words
    - {}
  script: |-

    #!/bin/sh
      echo "a: b"
	tab
   not
  last: >+
     text

     more
emptied: []
nothing: ~
"#;

fn agrees(doc: &str) -> bool {
    let Some(head) = read(doc) else { return false };
    match Head::parse_fully(doc) {
        Ok(full) => assert_eq!(head, full, "{doc}"),
        Err(error) => panic!("{error} in\n{doc}"),
    }
    true
}

#[test]
fn plain_documents_are_read_as_the_parser_reads_them() {
    let sound = PLAIN.replace("\ttab\n   not\n", "    more\n");
    assert!(agrees(&sound));
    let head = read(&sound).unwrap();
    assert_eq!(
        (head.api_version.as_str(), head.kind.as_str(), head.name.as_str()),
        ("apps/v1", "Deployment", "web")
    );
    let annotations: Vec<_> = head.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(annotations, ["empty=", "helm.sh/hook=pre-install,post-upgrade", "helm.sh/hook-weight=-5"]);
    for doc in [
        "kind: A",
        "kind: A\nmetadata: {}\n",
        "kind: A\nmetadata:\n",
        "metadata:\n  annotations:\n    a:\n    b: c\n",
        "a:\n- b\n- c:\n  - d\n  e: f\ng: h\n",
        "a:\n  - |\n   x\n  - y\nb: c\n",
        "a: |\n  x\n\n\n",
        "a: b\n\n  # indented comment\nc: d",
        "metadata:\n  annotations:\n    {}\n  name:\n    web\nkind:\n  'A'\n",
        "a:\n- b\n-\n  |\n  c\n",
        "# first\n  a: b\n  c: d\n",
        "a: -x\nb: +y\nc: 2001-01-01\nd: 0x10\n",
    ] {
        assert!(agrees(doc), "{doc}");
    }
}

#[test]
fn what_is_not_plain_is_left_to_the_parser() {
    for doc in [
        "",
        "# nothing\n",
        PLAIN,
        "- a",
        "a",
        "a: b: c",
        "a: b\n  c",
        "a: b\n  c: d",
        "a: b\n c: d\n",
        "  a: b\nc: d\n",
        "a:\n  - b\n  c: d\n",
        "a: - b",
        "a:\n  b\n  c",
        "a:\n  b\n   c",
        "a:\n  {}: b",
        "a:\nb",
        "a:\n- b\n  c: d",
        "metadata:\n  a",
        "metadata:\n  name:\n    1",
        "a: &x b",
        "a: *x",
        "a: !x b",
        "a: .inf",
        "a: -.INF",
        "a: @b",
        "a: 'b",
        "a: \"b\n  c\"",
        "a: \"\\q\"",
        "a: 'b' c",
        "a: {b: c}",
        "a: [b, [c]]",
        "a: [b\n  , c]",
        "a: |2\n   x",
        "a: |\nb: c",
        "a: |\n     \n  x\n",
        "a:\tb",
        "a: b\tc",
        "a: b\r\n",
        "a: b\u{2028}c: d",
        "a: \u{85}",
        "~: a",
        "null: a",
        "1: a",
        "<<: a",
        "? a",
        "a : b",
        "%a: b",
        "--- a",
        "...",
        "kind: 1",
        "kind: yes",
        "kind: [a]",
        "kind:\n  a: b",
        "kind: a\nKind: b",
        "metadata: a",
        "metadata:\n- a",
        "metadata:\n  name: 1.10",
        "metadata:\n  annotations:\n    a: 1",
        "metadata:\n  annotations:\n    yes: a",
        "metadata:\n  annotations:\n    a: [b]",
        "\u{212a}ind: a",
    ] {
        assert_eq!(read(doc), None, "{doc}");
    }
    assert_eq!(read(&format!("{}: a", "x".repeat(1025))), None);
    let nested: String = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(read(&nested), None);
}

#[test]
fn documents_with_random_faults_are_never_taken_for_others() {
    const FAULTS: &[&str] = &[
        " ",
        "  ",
        "\n",
        "\n\n",
        "-",
        "- ",
        ":",
        ": ",
        "#",
        " #",
        "'",
        "\"",
        "\\",
        "|",
        ">",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a",
        "*a",
        "!",
        "\t",
        "a",
        "1",
        "~",
        "? ",
        "a: b\n",
        "- a\n",
        "---\n",
        "kind: x\n",
        "  ",
        "    ",
        "\u{a0}",
        ".inf",
        "<<: ",
        "|2",
        "null",
        "yes",
    ];
    let sound = PLAIN.replace("\ttab\n   not\n", "    more\n");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let (mut accepted, rounds) = (0, 20_000);
    for _ in 0..rounds {
        let mut doc = sound.clone();
        for _ in 0..=random(3) {
            let boundary = |mut at: usize| {
                while !doc.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let from = boundary(random(doc.len() + 1));
            let to = boundary((from + random(4)).min(doc.len())).max(from);
            doc.replace_range(from..to, FAULTS[random(FAULTS.len())]);
        }
        accepted += usize::from(agrees(&doc));
    }
    // Both ways were taken often.
    assert!((rounds / 10..rounds * 9 / 10).contains(&accepted), "{accepted}");
}
