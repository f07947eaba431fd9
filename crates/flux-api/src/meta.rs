//! `metadata`, and the names Kubernetes accepts.

use std::collections::BTreeMap;

use crate::macros::api;
use crate::time::Time;

api! {
    /// The part of `metadata` that sluice reads and writes.
    ObjectMeta {
        /// Unique within kind and namespace.
        name: String,
        /// Where the object lives.
        namespace: String,
        /// Increases with every change of `spec`.
        generation: i64,
        /// Changes with every write; opaque.
        resource_version: String,
        /// Never reused, even when an object of the same name is made again.
        uid: String,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Annotations.
        annotations: BTreeMap<String, String>,
        /// When the object first appeared.
        creation_timestamp: Option<Time>,
        /// When deletion was asked for; finalizers run from then on.
        deletion_timestamp: Option<Time>,
        /// Who wants to clean up before the object goes.
        finalizers: Vec<String>,
    }
}

impl ObjectMeta {
    /// One annotation's value.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

/// Why `name` is no DNS-1123 subdomain (object names), in Kubernetes' words; `None` when it is one.
pub fn subdomain_problem(name: &str) -> Option<&'static str> {
    if name.len() > 253 {
        return Some("must be no more than 253 characters");
    }
    if name.split('.').all(is_label) {
        return None;
    }
    Some(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    )
}

/// Why `name` is no DNS-1123 label (namespaces), in Kubernetes' words; `None` when it is one.
pub fn label_problem(name: &str) -> Option<&'static str> {
    if name.len() > 63 {
        return Some("must be no more than 63 characters");
    }
    if is_label(name) {
        return None;
    }
    Some(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    )
}

fn is_label(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => {
            alphanumeric(first)
                && alphanumeric(last)
                && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
        }
        _ => false,
    }
}

/// Why `path` cannot name a directory or file inside an artifact; `None` when it can.
///
/// A leading `/` is the artifact's root, as Flux's secure join has it. What would climb above the root is refused
/// (Flux quietly stays at the root instead).
pub fn path_problem(path: &str) -> Option<&'static str> {
    if path.contains('\0') {
        return Some("must not contain a NUL character");
    }
    if path.contains(['*', '?']) {
        return Some("patterns are not expanded, name one directory");
    }
    let mut depth = 0i32;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return Some("must not lead out of the source's root");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h44_names() {
        for good in ["a", "git-repo", "a.b-c.d", "0", &"x".repeat(253)] {
            assert_eq!(subdomain_problem(good), None, "{good}");
        }
        for bad in ["", "A", "../x", "a/b", "-a", "a-", "a..b", ".a", "a_b", "ä", "a\n", &"x".repeat(300)] {
            assert!(subdomain_problem(bad).is_some(), "{bad}");
        }
        assert_eq!(label_problem("gitops-project"), None);
        for bad in ["a.b", "", "A", &"x".repeat(64)] {
            assert!(label_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn h47_paths() {
        for good in
            ["", ".", "./", "/", "./a/b", "a/../b", "/clusters/x", "a b", "..a", "a..b/c", "./helm-chart"]
        {
            assert_eq!(path_problem(good), None, "{good}");
        }
        for bad in ["..", "../../etc", "./../x", "a/../../b", "/../etc", "apps/*", "a?", "a\0b"] {
            assert!(path_problem(bad).is_some(), "{bad}");
        }
    }
}
