//! Which files Flux leaves out of an artifact: its defaults, `.sourceignore` files and `spec.ignore`.
//!
//! A port of the matcher Flux uses (go-git's gitignore), with its quirks: a file below an excluded directory can
//! be taken back in, `**` stands only for whole path elements, and one pattern anywhere drops the defaults.
//! Not git's own rules; `.gitignore` plays no part.

use sha2::{Digest as _, Sha256};

/// Always left out.
const VCS: &[&str] = &[".git/", ".gitignore", ".gitmodules", ".gitattributes"];
/// Left out as long as nobody wrote a pattern.
const DEFAULTS: &[&str] = &[
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.png",
    "*.wmv",
    "*.flv",
    "*.tar.gz",
    "*.zip",
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    "**/.goreleaser.yml",
    "**/.sops.yaml",
    "**/.flux.yaml",
];
/// Go's scanner gives up at a line this long, and so does what follows it in the file.
const LONGEST_LINE: usize = 64 << 10;

/// The rules of one source. Later patterns win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRules {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// The directory whose `.sourceignore` it stands in.
    domain: Vec<String>,
    elements: Vec<String>,
    include: bool,
    directories_only: bool,
    is_path: bool,
}

impl IgnoreRules {
    /// Nothing is left out, not even `.gitignore`.
    pub fn none() -> Self {
        Self { patterns: Vec::new() }
    }

    /// Flux's rules for the `.sourceignore` files (directory and text, parents before children) and `spec.ignore`.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>, spec: Option<&str>) -> Self {
        let mut written = Vec::new();
        for (directory, text) in files {
            let domain: Vec<String> =
                directory.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            read(text, &domain, &mut written);
        }
        read(spec.unwrap_or_default(), &[], &mut written);
        let mut patterns: Vec<Pattern> = VCS.iter().map(|line| Pattern::parse(line, &[])).collect();
        if written.is_empty() {
            patterns.extend(DEFAULTS.iter().map(|line| Pattern::parse(line, &[])));
        }
        patterns.extend(written);
        Self { patterns }
    }

    /// Whether the file or directory at `path` (from the root, `/` between names) is left out.
    pub fn excludes(&self, path: &str, is_directory: bool) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        self.patterns
            .iter()
            .rev()
            .find(|pattern| pattern.matches(&path, is_directory))
            .is_some_and(|pattern| !pattern.include)
    }

    /// Two sources with equal digests leave out the same files.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for pattern in &self.patterns {
            hash.update(pattern.domain.join("/"));
            hash.update([0, u8::from(pattern.include), u8::from(pattern.directories_only)]);
            hash.update(pattern.elements.join("/"));
            hash.update([0xff]);
        }
        hex::encode(hash.finalize())
    }
}

fn read(text: &str, domain: &[String], patterns: &mut Vec<Pattern>) {
    for line in text.split('\n') {
        if line.len() >= LONGEST_LINE {
            break;
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        if !line.starts_with('#') && !line.trim().is_empty() {
            patterns.push(Pattern::parse(line, domain));
        }
    }
}

impl Pattern {
    fn parse(line: &str, domain: &[String]) -> Self {
        let (include, mut line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        if !line.ends_with("\\ ") {
            line = line.trim_end_matches(' ');
        }
        let (directories_only, line) = match line.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        Self {
            domain: domain.to_vec(),
            elements: line.split('/').map(str::to_owned).collect(),
            include,
            directories_only,
            is_path: line.contains('/'),
        }
    }

    fn matches(&self, path: &[&str], is_directory: bool) -> bool {
        if path.len() <= self.domain.len() || self.domain.iter().zip(path).any(|(want, have)| want != have) {
            return false;
        }
        let path = &path[self.domain.len()..];
        if self.is_path {
            self.matches_path(path, is_directory)
        } else {
            self.matches_name(path, is_directory)
        }
    }

    fn matches_name(&self, path: &[&str], is_directory: bool) -> bool {
        for (index, name) in path.iter().enumerate() {
            match glob(&self.elements[0], name) {
                None => return false,
                Some(false) => {}
                Some(true) => {
                    return !(self.directories_only && !is_directory && index == path.len() - 1);
                }
            }
        }
        false
    }

    fn matches_path(&self, mut path: &[&str], is_directory: bool) -> bool {
        let (mut matched, mut anywhere) = (false, false);
        for (index, element) in self.elements.iter().enumerate() {
            if element.is_empty() {
                anywhere = false;
                continue;
            }
            if element == "**" {
                if index == self.elements.len() - 1 {
                    break;
                }
                anywhere = true;
                continue;
            }
            if element.contains("**") {
                return false;
            }
            let Some((first, rest)) = path.split_first() else {
                return false;
            };
            if anywhere {
                anywhere = false;
                while let Some((name, rest)) = path.split_first() {
                    path = rest;
                    match glob(element, name) {
                        None => return false,
                        Some(true) => {
                            matched = true;
                            break;
                        }
                        Some(false) if path.is_empty() => matched = false,
                        Some(false) => {}
                    }
                }
            } else {
                if glob(element, first) != Some(true) {
                    return false;
                }
                matched = true;
                path = rest;
            }
        }
        matched && !(self.directories_only && !is_directory && path.is_empty())
    }
}

/// Go's `filepath.Match`; `None` where Go reports a malformed pattern. Takes time linear in pattern times name.
fn glob(pattern: &str, name: &str) -> Option<bool> {
    let mut pattern = pattern.as_bytes();
    let mut name = name.as_bytes();
    'chunks: while !pattern.is_empty() {
        let (star, chunk, rest) = next_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Some(!name.contains(&b'/'));
        }
        if let Some(left) = match_chunk(chunk, name)?
            && (left.is_empty() || !pattern.is_empty())
        {
            name = left;
            continue;
        }
        if star {
            for skip in 1..=name.len() {
                if name[skip - 1] == b'/' {
                    break;
                }
                if let Some(left) = match_chunk(chunk, &name[skip..])? {
                    if pattern.is_empty() && !left.is_empty() {
                        continue;
                    }
                    name = left;
                    continue 'chunks;
                }
            }
        }
        while !pattern.is_empty() {
            let (_, chunk, rest) = next_chunk(pattern);
            pattern = rest;
            match_chunk(chunk, b"")?;
        }
        return Some(false);
    }
    Some(name.is_empty())
}

fn next_chunk(mut pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let mut star = false;
    while let [b'*', rest @ ..] = pattern {
        pattern = rest;
        star = true;
    }
    let (mut in_class, mut at) = (false, 0);
    while at < pattern.len() {
        match pattern[at] {
            b'\\' if at + 1 < pattern.len() => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => break,
            _ => {}
        }
        at += 1;
    }
    (star, &pattern[..at], &pattern[at..])
}

/// Outer `None`: malformed. Inner `None`: no match. Else what is left of `name`.
fn match_chunk<'n>(mut chunk: &[u8], mut name: &'n [u8]) -> Option<Option<&'n [u8]>> {
    let mut failed = false;
    while let [first, rest @ ..] = chunk {
        failed |= name.is_empty();
        match first {
            b'[' => {
                let mut character = 0;
                if !failed {
                    let (decoded, length) = decode(name);
                    character = decoded;
                    name = &name[length..];
                }
                chunk = rest;
                let negated = chunk.first() == Some(&b'^');
                if negated {
                    chunk = &chunk[1..];
                }
                let (mut matched, mut ranges) = (false, 0);
                loop {
                    if chunk.first() == Some(&b']') && ranges > 0 {
                        chunk = &chunk[1..];
                        break;
                    }
                    let (low, after) = class_end(chunk)?;
                    chunk = after;
                    let mut high = low;
                    if chunk.first() == Some(&b'-') {
                        (high, chunk) = class_end(&chunk[1..])?;
                    }
                    matched |= low <= character && character <= high;
                    ranges += 1;
                }
                failed |= matched == negated;
            }
            b'?' => {
                if !failed {
                    failed |= name[0] == b'/';
                    name = &name[decode(name).1..];
                }
                chunk = rest;
            }
            literal => {
                let (literal, after) = match literal {
                    b'\\' => rest.split_first()?,
                    other => (other, rest),
                };
                if !failed {
                    failed |= *literal != name[0];
                    name = &name[1..];
                }
                chunk = after;
            }
        }
    }
    Some(if failed { None } else { Some(name) })
}

fn class_end(chunk: &[u8]) -> Option<(u32, &[u8])> {
    let mut chunk = match chunk.first()? {
        b'-' | b']' => return None,
        _ => chunk,
    };
    if chunk[0] == b'\\' {
        chunk = &chunk[1..];
    }
    if chunk.is_empty() {
        return None;
    }
    let (character, length) = decode(chunk);
    if character == u32::from('\u{fffd}') && length == 1 {
        return None;
    }
    let rest = &chunk[length..];
    if rest.is_empty() { None } else { Some((character, rest)) }
}

/// Go's `utf8.DecodeRune`: a broken sequence is one byte of `U+FFFD`.
fn decode(bytes: &[u8]) -> (u32, usize) {
    let valid = bytes
        .utf8_chunks()
        .next()
        .and_then(|chunk| chunk.valid().chars().next())
        .map(|character| (u32::from(character), character.len_utf8()));
    valid.unwrap_or((0xfffd, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `.sourceignore` files, `spec.ignore`, what is left out, what stays.
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );

    #[test]
    fn rules_decide_as_fluxs_own_package_does() {
        // the answers are those of fluxcd/pkg/sourceignore v0.22.0; a path that ends in `/` is a directory
        let cases: &[Case] = &[
            (
                &[],
                "",
                &[
                    "a/pic.png",
                    "dist.tar.gz",
                    ".git/config",
                    ".gitignore",
                    "a/.gitignore",
                    ".gitattributes",
                    ".github/workflows/ci.yaml",
                    "a/.github/x",
                    ".travis.yml",
                    "b/.travis.yml",
                    ".goreleaser.yml",
                    "a/b/.goreleaser.yml",
                    "a/.sops.yaml",
                ],
                &["app.yaml", "zip", "A.PNG"],
            ),
            (
                &[],
                "*.md",
                &["readme.md", "a/readme.md", ".git/config", ".gitignore"],
                &["pic.png", ".github/x"],
            ),
            (&[], "!.gitignore", &[], &[".gitignore", "pic.png"]),
            (
                &[],
                "/*\n!/deploy/",
                &["src/main.go", "readme.md", "deployment/x", "deploy"],
                &["deploy/", "deploy/app.yaml", "deploy/a/b.yaml"],
            ),
            (&[], "/*\n!/clusters/prod", &["clusters/", "clusters/dev/a.yaml"], &["clusters/prod/a.yaml"]),
            (
                &[],
                "build/\n!build/keep.yaml",
                &["build/", "build/x.yaml", "a/build/x", "a/build/keep.yaml"],
                &["build", "build/keep.yaml"],
            ),
            (&[], "**/test", &["test", "a/test", "a/b/test/x"], &["atest"]),
            (&[], "a/**", &["a/", "a/b", "a/b/c"], &["b/a/c"]),
            (&[], "a/**/c", &["a/c", "a/b/c", "a/b/d/c"], &["a/b/d"]),
            (&[], "a**b/c", &[], &["axb/c"]),
            (&[], "# note\n  \n\\#x", &["#x"], &["# note"]),
            (&[], "a\\ \nb  ", &["a ", "b"], &["a"]),
            (&[], "[ab].yaml\n[^c].md\n[", &["a.yaml", "d.md"], &["c.yaml", "c.md", "["]),
            (&[], "/x.yaml", &["x.yaml"], &["a/x.yaml"]),
            (&[], "a/x.yaml", &["a/x.yaml"], &["b/a/x.yaml"]),
            (
                &[("charts", "/x.yaml\n!keep.md")],
                "*.md",
                &["charts/x.yaml", "charts/keep.md"],
                &["x.yaml", "charts/a/x.yaml"],
            ),
            (
                &[("", "*.md"), ("charts", "!keep.md")],
                "",
                &["keep.md"],
                &["charts/keep.md", "charts/a/keep.md", "pic.png"],
            ),
            (&[("a", "x"), ("a/b", "!x")], "", &["a/x", "a/c/x"], &["a/b/x", "x"]),
        ];
        for (files, spec, excluded, kept) in cases {
            let rules = IgnoreRules::new(files.iter().copied(), Some(spec));
            for (paths, expected) in [(excluded, true), (kept, false)] {
                for path in *paths {
                    let got = rules.excludes(path.trim_end_matches('/'), path.ends_with('/'));
                    assert_eq!(got, expected, "{path:?} with {files:?} and {spec:?}");
                }
            }
        }
    }

    #[test]
    fn h67_pathological_patterns_take_linear_time() {
        let pattern = "*a".repeat(2000);
        let rules = IgnoreRules::new([], Some(&pattern));
        assert!(!rules.excludes(&"a".repeat(1999), false));
        assert!(rules.excludes(&"a".repeat(2000), false));
        let deep = format!("{}x", "**/a/".repeat(500));
        assert!(!IgnoreRules::new([], Some(&deep)).excludes(&"a/".repeat(400), false));
    }

    #[test]
    fn nothing_is_left_out_without_rules() {
        assert!(!IgnoreRules::none().excludes(".git/config", false));
        assert_ne!(IgnoreRules::none().digest(), IgnoreRules::new([], None).digest());
        assert_ne!(
            IgnoreRules::new([("a", "x")], None).digest(),
            IgnoreRules::new([("b", "x")], None).digest()
        );
    }
}
