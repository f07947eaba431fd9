//! Plain webhooks: the event as Flux posts it, with an HMAC over the body if asked for.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::{Client, Notification, SendError, Target, wire_event};

/// `sha256=<hex>` of the body, keyed with the provider's token.
pub(super) fn signature(key: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

pub(super) async fn send(
    client: &Client,
    target: &Target,
    notification: &Notification,
    signed: bool,
) -> Result<(), SendError> {
    let event = wire_event(notification);
    let body = serde_json::to_vec(&event).map_err(|error| SendError {
        message: format!("failed to encode event: {error}"),
        retryable: false,
        retry_after: None,
    })?;
    let mut headers = vec![("gotk-component".to_owned(), notification.event.reporting_controller.clone())];
    if signed {
        let Some(key) = &target.token else {
            return Err(SendError {
                message: "failed to sign event: the provider's secret has no key `token`".to_owned(),
                retryable: false,
                retry_after: None,
            });
        };
        headers.push(("X-Signature".to_owned(), signature(key.expose_secret().as_bytes(), &body)));
    }
    client.post(target, target.address.expose_secret(), body, &headers).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256() {
        // The vector of GitHub's documentation.
        assert_eq!(
            signature(b"It's a Secret to Everybody", b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }
}
