//! Text from outside on its way into a log line, a note or a terminal.

/// So much of it is enough to recognise it.
const SHOWN: usize = 120;

/// Control characters escaped (a terminal would obey them), and cut.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(SHOWN));
    for (n, c) in text.chars().enumerate() {
        if n == SHOWN {
            clean.push('…');
            break;
        }
        // Direction marks and their like reorder what is read around them.
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if hidden { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

/// Headers worth keeping with a delivery. A list of what may be kept, because nobody can list what may not.
pub(super) fn kept_headers(headers: &http::HeaderMap) -> Vec<(String, String)> {
    const KEPT: &[&str] = &[
        "content-type",
        "content-length",
        "user-agent",
        "idempotency-key",
        "webhook-id",
        "webhook-timestamp",
        "x-event-key",
        "x-hook-uuid",
        "x-request-id",
        "x-request-uuid",
        "x-attempt-number",
    ];
    const KEPT_FAMILIES: &[&str] = &["x-github-", "x-gitlab-", "x-gitea-", "x-forgejo-", "x-gogs-", "ce-"];
    const SECRET: &[&str] = &["token", "signature", "secret", "auth"];
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            KEPT.contains(&name)
                || KEPT_FAMILIES.iter().any(|family| name.starts_with(family))
                    && !SECRET.iter().any(|word| name.contains(word))
        })
        .map(|(name, value)| (name.as_str().to_owned(), clean(&String::from_utf8_lossy(value.as_bytes()))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h30_nothing_a_terminal_would_obey_gets_through() {
        assert_eq!(clean("\x1b[31mpush\r\n\u{202e}x"), "\\u{1b}[31mpush\\r\\n\\u{202e}x");
        assert_eq!(clean("Push Hook ü"), "Push Hook ü");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn no_credential_is_kept() {
        let mut headers = http::HeaderMap::new();
        for name in [
            "authorization",
            "cookie",
            "x-gitlab-token",
            "x-hub-signature",
            "x-hub-signature-256",
            "x-signature",
            "webhook-signature",
            "x-gitea-signature",
            "x-gogs-signature",
            "x-forgejo-signature",
            "x-api-key",
        ] {
            headers.insert(name, "secret".parse().unwrap());
        }
        headers.insert("x-github-event", "push".parse().unwrap());
        assert_eq!(kept_headers(&headers), [("x-github-event".to_owned(), "push".to_owned())]);
    }
}
