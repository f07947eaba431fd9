//! `.helmignore`: which files of an unpacked chart are left out. Not gitignore: the first match
//! wins, and `!x` leaves out everything that does *not* match `x`.

use crate::gopath::{PatternError, match_path};
use crate::gostring;

/// Name of the file the rules are in.
pub(crate) const HELM_IGNORE: &str = ".helmignore";

/// A rule that cannot be used; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A pattern with `**`.
    #[error("double-star (**) syntax is not supported")]
    DoubleStar,
    /// A pattern that is malformed.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

#[derive(Debug, Clone)]
enum Scope {
    /// The whole path from the chart's root.
    Path,
    /// The last component only.
    Name,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: String,
    scope: Scope,
    negate: bool,
    directories_only: bool,
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let subject = match self.scope {
            Scope::Path => path,
            Scope::Name => gostring::base_name(path),
        };
        match_path(&self.pattern, subject).unwrap_or(false)
    }
}

/// The rules of one chart, for those who read its directory.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Reads the rules of a `.helmignore` file and adds Helm's own.
    ///
    /// # Errors
    /// With the first pattern that is malformed or uses `**`.
    pub fn parse(text: Option<&[u8]>) -> Result<Self, IgnoreError> {
        let mut rules = Self::default();
        let text = gostring::text(text.unwrap_or_default());
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        for line in text.lines() {
            rules.add(line)?;
        }
        rules.add("templates/.?*")?;
        Ok(rules)
    }

    fn add(&mut self, line: &str) -> Result<(), IgnoreError> {
        let line = gostring::trim_space(line);
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.contains("**") {
            return Err(IgnoreError::DoubleStar);
        }
        match_path(line, "abc")?;
        let (negate, rule) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (directories_only, rule) = rule.strip_suffix('/').map_or((false, rule), |rest| (true, rest));
        let (scope, pattern) = match rule.strip_prefix('/') {
            Some(rest) => (Scope::Path, rest),
            None if rule.contains('/') => (Scope::Path, rule),
            None => (Scope::Name, rule),
        };
        self.0.push(Rule { pattern: pattern.to_owned(), scope, negate, directories_only });
        Ok(())
    }

    /// Whether a path is left out. A directory that is left out takes all below it along.
    #[must_use]
    pub fn ignores(&self, path: &str, is_dir: bool) -> bool {
        for rule in &self.0 {
            if rule.negate {
                if (rule.directories_only && !is_dir) || !rule.matches(path) {
                    return true;
                }
            } else if (!rule.directories_only || is_dir) && rule.matches(path) {
                return true;
            }
        }
        false
    }

    /// Whether a file is left out, itself or through one of its directories.
    #[must_use]
    pub(crate) fn ignores_file(&self, path: &str) -> bool {
        path.match_indices('/').any(|(at, _)| self.ignores(&path[..at], true)) || self.ignores(path, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(rules: &str, path: &str) -> bool {
        Rules::parse(Some(rules.as_bytes())).unwrap().ignores_file(path)
    }

    #[test]
    fn rules_match_like_helm() {
        for (rules, path, expected) in [
            ("helm.txt", "helm.txt", true),
            ("helm.*", "sub/helm.txt", true),
            ("/helm.txt", "sub/helm.txt", false),
            ("sub/*.txt", "sub/a.txt", true),
            ("sub/*.txt", "sub/deep/a.txt", false),
            ("mydir/", "mydir/a/b", true),
            ("mydir/", "mydir", false),
            ("!helm.txt", "tiller.txt", true),
            ("!helm.txt", "helm.txt", false),
            ("# x\n\n*.md", "README.md", true),
            ("", "templates/.hidden", true),
            ("", "templates/_helpers.tpl", false),
            (".git/", ".git/config", true),
            ("a[ab]c", "abc", true),
        ] {
            assert_eq!(ignored(rules, path), expected, "{rules:?} on {path:?}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        assert_eq!(
            Rules::parse(Some(b"a/**")).unwrap_err().to_string(),
            "double-star (**) syntax is not supported"
        );
        assert_eq!(Rules::parse(Some(b"[a")).unwrap_err().to_string(), "syntax error in pattern");
    }
}
