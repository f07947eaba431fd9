//! JSON web tokens and the keys that sign them. Only signatures with public keys count: neither `none` nor a shared
//! secret is known here, so a token cannot choose them.
//!
//! Pure: where keys come from is `keys`'s business, and what claims must say that of the sender's file.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::json::Few;
use super::proof::Refused;
use crate::model::Timestamp;

/// Tokens have a kilobyte or two.
const LONGEST: usize = 16 << 10;
/// How far the issuer's clock may be ahead.
const LEEWAY_SECONDS: f64 = 300.0;
const PREFIX: &str = "Bearer ";

/// A token as it came, with nothing proved yet.
#[derive(Debug)]
pub(super) struct Token {
    algorithm: String,
    key: Option<String>,
    claims: Map<String, Value>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; none are.
    crit: Option<Value>,
}

impl Token {
    /// Takes apart the value of an `Authorization` header.
    pub(super) fn read(value: &[u8]) -> Result<Self, Refused> {
        let bad = Refused::Bad("the bearer token is no JSON web token");
        if value.len() > LONGEST {
            return Err(Refused::Bad("the bearer token is too long"));
        }
        let text = std::str::from_utf8(value).map_err(|_| bad)?;
        let text = text.strip_prefix(PREFIX).ok_or(Refused::Missing("authorization: Bearer"))?.trim();
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad);
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| bad);
        let head: Header = serde_json::from_slice(&decode(header)?).map_err(|_| bad)?;
        if head.crit.is_some() {
            return Err(Refused::Bad("the token demands extensions that are not known"));
        }
        Ok(Self {
            algorithm: head.alg,
            key: head.kid,
            claims: serde_json::from_slice(&decode(payload)?).map_err(|_| bad)?,
            signed: text.as_bytes()[..header.len() + 1 + payload.len()].to_vec(),
            signature: decode(signature)?,
        })
    }

    /// What it says. Nothing of it is true before [`Token::is_signed_by`].
    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    pub(super) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }

    /// A claim that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// Who it says has issued it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// Whether it was made for this audience.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one == audience),
            _ => false,
        }
    }

    /// Whether it is of this time: it must end, and must have begun.
    pub(super) fn is_of(&self, now: Timestamp) -> Result<(), Refused> {
        let seconds = |name: &str| self.claims.get(name).map(|value| value.as_f64().ok_or(()));
        #[expect(clippy::cast_precision_loss, reason = "seconds of this era are exact in a double")]
        let now = now.as_second() as f64;
        let malformed = |()| Refused::Bad("a time in the token is no number");
        let expires = seconds("exp").ok_or(Refused::Bad("the token never expires"))?.map_err(malformed)?;
        if now >= expires {
            return Err(Refused::Bad("the token has expired"));
        }
        for begins in ["nbf", "iat"] {
            if let Some(begins) = seconds(begins)
                && begins.map_err(malformed)? > now + LEEWAY_SECONDS
            {
                return Err(Refused::Bad("the token is of the future, or one of the two clocks is wrong"));
            }
        }
        Ok(())
    }

    /// Whether one of the keys has signed it, by an algorithm that its issuer uses.
    pub(super) fn is_signed_by(&self, keys: &KeySet, algorithms: &[String]) -> Result<(), Refused> {
        if !algorithms.contains(&self.algorithm) {
            return Err(Refused::Bad("the token is signed by an algorithm that its issuer does not use"));
        }
        let mut candidates = keys.0.iter().filter(|key| key.may_have_signed(self)).peekable();
        if candidates.peek().is_none() {
            return Err(UNKNOWN_KEY);
        }
        if candidates.any(|key| key.verify(&self.algorithm, &self.signed, &self.signature)) {
            Ok(())
        } else {
            Err(Refused::Bad("the token's signature does not hold"))
        }
    }
}

/// The issuer may have changed its keys since they were fetched.
pub(super) const UNKNOWN_KEY: Refused =
    Refused::Bad("the token is signed with a key that its issuer does not show");

/// The keys of an issuer that are of use here.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct WireSet {
    keys: Few<Value>,
}

#[derive(Deserialize)]
struct WireKey {
    kty: String,
    r#use: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWKS document. Keys of kinds that are not known here are left out, as the standard asks.
    pub(super) fn read(document: &[u8]) -> Result<Self, String> {
        let set: WireSet =
            serde_json::from_slice(document).map_err(|error| format!("it is no set of keys: {error}"))?;
        let keys: Vec<Key> =
            set.keys.into_iter().filter_map(|value| Key::read(serde_json::from_value(value).ok()?)).collect();
        if keys.is_empty() { Err("it holds no key that could be used".to_owned()) } else { Ok(Self(keys)) }
    }
}

impl Key {
    fn read(wire: WireKey) -> Option<Self> {
        if wire.r#use.as_deref().is_some_and(|word| word != "sig") {
            return None;
        }
        let bytes = |field: &Option<String>| URL_SAFE_NO_PAD.decode(field.as_deref()?).ok();
        let point = || {
            let (x, y) = (bytes(&wire.x)?, bytes(&wire.y)?);
            Some([&[4_u8][..], &x, &y].concat())
        };
        let material = match (wire.kty.as_str(), wire.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: bytes(&wire.n)?, e: bytes(&wire.e)? },
            ("EC", Some("P-256")) => Material::P256(point()?),
            ("EC", Some("P-384")) => Material::P384(point()?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&wire.x)?),
            _ => return None,
        };
        Some(Self { id: wire.kid, algorithm: wire.alg, material })
    }

    /// A token that names its key is not tried with others.
    fn may_have_signed(&self, token: &Token) -> bool {
        token.key.as_deref().is_none_or(|id| self.id.as_deref() == Some(id))
            && self.algorithm.as_deref().is_none_or(|algorithm| algorithm == token.algorithm)
    }

    /// The kind of key decides what may be verified with it, not the token alone.
    fn verify(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Rsa { n, e }, _) => rsa(algorithm).is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }),
            (Material::P256(point), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            (Material::P384(point), "ES384") => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(signed, signature).is_ok()
            }
            (Material::Ed25519(key), "EdDSA") => {
                UnparsedPublicKey::new(&ED25519, key).verify(signed, signature).is_ok()
            }
            (Material::P256(_) | Material::P384(_) | Material::Ed25519(_), _) => false,
        }
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    match algorithm {
        "RS256" => Some(&RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Some(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&RSA_PKCS1_2048_8192_SHA512),
        "PS256" => Some(&RSA_PSS_2048_8192_SHA256),
        "PS384" => Some(&RSA_PSS_2048_8192_SHA384),
        "PS512" => Some(&RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}
