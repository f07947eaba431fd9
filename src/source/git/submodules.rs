//! `.gitmodules`: which repositories belong where. Pure.

use std::collections::BTreeMap;

use super::error::{GitErrorKind, shown};
use super::names;

/// One submodule as declared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Submodule {
    pub(crate) path: String,
    pub(crate) url: String,
}

/// Reads the file: sections `[submodule "name"]` with `path` and `url`; everything else in it is of no use here.
pub(crate) fn parse(text: &str) -> Result<Vec<Submodule>, GitErrorKind> {
    let mut sections: Vec<BTreeMap<String, String>> = Vec::new();
    let mut within = false;
    for line in text.lines().map(|line| line.trim_matches([' ', '\t'])) {
        if line.starts_with('[') {
            within = line.to_ascii_lowercase().starts_with("[submodule \"");
            if within {
                sections.push(BTreeMap::new());
            }
            continue;
        }
        if !within || line.starts_with(['#', ';']) {
            continue;
        }
        if let (Some((key, value)), Some(section)) = (line.split_once('='), sections.last_mut()) {
            section.insert(key.trim().to_ascii_lowercase(), unquoted(value.trim_matches([' ', '\t'])));
        }
    }
    let mut found = Vec::new();
    for mut section in sections {
        let (Some(path), Some(url)) = (section.remove("path"), section.remove("url")) else { continue };
        if path.chars().any(char::is_control) || path.starts_with(['-', '/']) {
            return Err(GitErrorKind::ForbiddenPath(shown(&path, 200)));
        }
        let path = names::elements(&path)?.join("/");
        if path.is_empty() {
            return Err(GitErrorKind::ForbiddenPath("/".into()));
        }
        found.push(Submodule { path, url });
    }
    Ok(found)
}

/// A value of git's configuration: quotes removed, escapes read.
fn unquoted(value: &str) -> String {
    let mut out = String::new();
    let mut characters = value.chars();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            '#' | ';' if !quoted => break,
            other => out.push(other),
        }
    }
    if value.ends_with('"') { out } else { out.trim_end_matches([' ', '\t']).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_as_git_writes_them() {
        let text = "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib.git\n\tbranch = x\n[other]\n\tpath = no\n[Submodule \"b\"]\n  url = \"https://h/b\" ; c\n  path=b\n";
        let found = parse(text).unwrap();
        assert_eq!(
            found,
            [
                Submodule { path: "vendor/lib".into(), url: "../lib.git".into() },
                Submodule { path: "b".into(), url: "https://h/b".into() },
            ]
        );
    }

    #[test]
    fn s32_submodule_paths_that_leave_or_confuse_are_refused() {
        for path in ["../x", ".git/hooks", ".GIT", "\"a\\nb\"", "a\rb", "-x", "/etc", "a/../../b", "."] {
            let text = format!("[submodule \"x\"]\n\tpath = {path}\n\turl = ../x\n");
            assert!(parse(&text).is_err(), "{path:?}");
        }
    }
}
