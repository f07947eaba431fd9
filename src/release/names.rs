//! Release names as Helm and Flux form them.

use sha2::{Digest, Sha256};

/// The longest name a Helm release may have.
const MAX_RELEASE_NAME: usize = 53;

/// Flux's release name: unchanged up to 53 characters, else the first 40, a dash and 12 hex digits of its SHA-256
/// (see fluxcd/helm-controller `internal/release/name.go`).
pub fn shorten(name: &str) -> String {
    if name.len() <= MAX_RELEASE_NAME {
        return name.to_owned();
    }
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    let head: String = name.chars().take(40).collect();
    format!("{head}-{}", &digest[..12])
}

/// How messages name one release: `<namespace>/<name>.v<revision>`.
pub fn full_name(namespace: &str, name: &str, revision: i64) -> String {
    format!("{namespace}/{name}.v{revision}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_hashed() {
        assert_eq!(shorten("app-member1-app"), "app-member1-app");
        assert_eq!(shorten(&"a".repeat(53)), "a".repeat(53));
        let long = shorten(&"a".repeat(54));
        assert_eq!(long.len(), 53);
        assert!(long.starts_with(&format!("{}-", "a".repeat(40))), "{long}");
        assert_ne!(long, shorten(&"a".repeat(55)));
    }
}
