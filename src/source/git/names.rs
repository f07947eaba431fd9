//! Which names may stand in a git tree that we read, and how a configured path becomes a list of them.

use super::error::{GitErrorKind, shown};

/// Refuses names that would mean something else on some file system: `.git` in all its spellings, `..`, slashes.
pub(crate) fn check(name: &str) -> Result<(), GitErrorKind> {
    let refused = name.is_empty()
        || name == "."
        || name == ".."
        || name.contains(['/', '\0'])
        || name.len() > 4096
        || is_dot_git(name);
    match refused {
        true => Err(GitErrorKind::ForbiddenPath(shown(name, 100))),
        false => Ok(()),
    }
}

/// `.git` as HFS+ (ignorable characters, case) and NTFS (short name, trailing dots, streams) would read it.
fn is_dot_git(name: &str) -> bool {
    let visible: String = name
        .chars()
        .filter(|character| {
            !matches!(character,
                '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        })
        .flat_map(char::to_lowercase)
        .collect();
    visible.split('\\').any(|part| {
        let part = part.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']);
        part == ".git" || part == "git~1"
    })
}

/// The names of a path written in an object: `./charts//app/` is `charts`, `app`. Leaving the root is refused.
pub(crate) fn elements(path: &str) -> Result<Vec<String>, GitErrorKind> {
    let refuse = || GitErrorKind::ForbiddenPath(shown(path, 200));
    let mut names: Vec<String> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop().ok_or_else(refuse)?;
            }
            name => {
                check(name).map_err(|_| refuse())?;
                names.push(name.to_owned());
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h71_names_that_mean_the_git_directory_somewhere_are_refused() {
        for name in [
            ".git",
            ".GIT",
            ".Git",
            "git~1",
            "GIT~1",
            ".git ",
            ".git.",
            ".git . .",
            ".g\u{200c}it",
            ".git::$INDEX_ALLOCATION",
            "a\\.git",
            "..",
            ".",
            "",
            "a/b",
            "a\0b",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
        for name in [".gitignore", ".github", "git", "git~2", "...", ".git-x", "a b", "ü"] {
            assert!(check(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn h47_configured_paths_stay_inside() {
        assert_eq!(elements("./charts//app/").unwrap(), ["charts", "app"]);
        assert_eq!(elements("/charts/x/../app").unwrap(), ["charts", "app"]);
        assert!(elements("").unwrap().is_empty());
        for path in ["..", "a/../../b", ".git/config", "a/\0"] {
            assert!(elements(path).is_err(), "{path:?}");
        }
    }
}
