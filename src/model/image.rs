//! The grammar of tags and digests, as all registries have it.
//!
//! Names of images are no matter of one grammar: objects, registries and their reports each write them their own way.

/// The longest tag.
const LONGEST_TAG: usize = 128;

/// Whether a text is a tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    bytes.len() <= LONGEST_TAG
        && bytes.first().is_some_and(word)
        && bytes.iter().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// Whether a text is a whole digest of an algorithm that registries are known to use.
pub fn is_digest(text: &str) -> bool {
    let lengths = [("sha256", 64), ("sha512", 128)];
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        lengths.contains(&(algorithm, hex.len()))
            && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h87_only_the_grammar_of_tags_counts() {
        for good in ["1.0.0", "v1", "01.2.3", "_x", "v1-2_3", "latest", "1.2.3_b", &"a".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in [
            "",
            "1.0.0\nevil",
            "1.2.3+b",
            ".x",
            "-x",
            "1/2",
            "../x",
            "a b",
            "a:b",
            "%2e",
            "a\u{202e}",
            "\u{661}.0.0",
            "x\0",
            &"a".repeat(129),
        ] {
            assert!(!is_tag(bad), "{bad:?}");
        }
    }

    #[test]
    fn only_whole_digests_count() {
        let hex = "ab".repeat(32);
        for bad in [
            "",
            "sha256:",
            "sha256:ab12",
            &hex,
            "md5:ab",
            &format!("sha256:{}", hex.to_uppercase()),
            &format!("sha256:{hex}a"),
            &format!("sha512:{hex}"),
            &format!("SHA256:{hex}"),
            &format!("sha256:{}g", &hex[1..]),
            &format!("sha256:sha256:{}", &hex[7..]),
        ] {
            assert!(!is_digest(bad), "{bad}");
        }
        assert!(is_digest(&format!("sha256:{hex}")));
        assert!(is_digest(&format!("sha512:{hex}{hex}")));
    }
}
