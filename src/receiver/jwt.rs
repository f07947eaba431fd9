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

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use ring::rand::SystemRandom;
    use ring::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair};
    use serde_json::json;

    use super::*;

    /// Every algorithm, with the kind of key it is for.
    const KNOWN: &[(&str, &str)] = &[
        ("RS256", "RSA"),
        ("RS384", "RSA"),
        ("RS512", "RSA"),
        ("PS256", "RSA"),
        ("PS384", "RSA"),
        ("PS512", "RSA"),
        ("ES256", "P-256"),
        ("ES384", "P-384"),
        ("EdDSA", "Ed25519"),
    ];
    /// Names that a token may make up.
    const UNKNOWN: &[&str] = &[
        "none", "None", "HS256", "HS384", "HS512", "ES512", "ES256K", "rs256", "eddsa", "RSA1_5", "sha256",
        "",
    ];

    /// An issuer with a key of each kind.
    struct Issuer {
        random: SystemRandom,
        rsa: RsaKeyPair,
        ed25519: Ed25519KeyPair,
        p256: Vec<u8>,
        p384: Vec<u8>,
    }

    impl Issuer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let pem = include_str!("../../tests/support/issuer.pem");
            let pem: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
            let ec = |algorithm| EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap().as_ref().to_vec();
            Self {
                rsa: RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap(),
                ed25519: Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap(),
                p256: ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
                p384: ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
                random,
            }
        }

        fn ec(&self, pkcs8: &[u8], algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &self.random).unwrap()
        }

        fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
            let rsa = |padding: &'static dyn signature::RsaEncoding| {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa.sign(padding, &self.random, text, &mut signature).unwrap();
                signature
            };
            let ec = |pkcs8: &[u8], algorithm| {
                self.ec(pkcs8, algorithm).sign(&self.random, text).unwrap().as_ref().to_vec()
            };
            match algorithm {
                "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
                "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
                "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
                "PS256" => rsa(&signature::RSA_PSS_SHA256),
                "PS384" => rsa(&signature::RSA_PSS_SHA384),
                "PS512" => rsa(&signature::RSA_PSS_SHA512),
                "ES256" => ec(&self.p256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
                "ES256 in DER" => ec(&self.p256, &signature::ECDSA_P256_SHA256_ASN1_SIGNING),
                "ES384" => ec(&self.p384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
                "EdDSA" => self.ed25519.sign(text).as_ref().to_vec(),
                other => panic!("nobody signs by {other}"),
            }
        }

        /// The public half of a kind of key, as an issuer shows it.
        fn jwk(&self, kind: &str) -> Value {
            let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let ec = |pkcs8: &[u8], algorithm, curve: &str| {
                let key = self.ec(pkcs8, algorithm);
                let point = key.public_key().as_ref()[1..].to_vec();
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "kid": curve, "x": part(x), "y": part(y)})
            };
            match kind {
                "RSA" => {
                    let key: RsaPublicKeyComponents<Vec<u8>> = self.rsa.public_key().into();
                    json!({"kty": "RSA", "kid": "RSA", "n": part(&key.n), "e": part(&key.e)})
                }
                "P-256" => ec(&self.p256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING, kind),
                "P-384" => ec(&self.p384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING, kind),
                "Ed25519" => json!({"kty": "OKP", "crv": kind, "kid": kind,
                    "x": part(self.ed25519.public_key().as_ref())}),
                other => panic!("there is no key of kind {other}"),
            }
        }
    }

    fn keys(keys: &[Value]) -> KeySet {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    /// A token with this head; `sign` makes the signature of what is signed.
    fn token(head: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Token {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(head), part(&json!({"sub": "x"})));
        let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
        Token::read(format!("Bearer {signed}.{signature}").as_bytes()).unwrap()
    }

    /// An issuer that says it uses whatever the token names, so that nothing but the key decides.
    fn proves(token: &Token, keys: &KeySet) -> bool {
        token.is_signed_by(keys, std::slice::from_ref(&token.algorithm)).is_ok()
    }

    #[test]
    fn h25_each_algorithm_proves_by_its_own_name_and_key_and_by_no_other() {
        let issuer = Issuer::new();
        let kinds = ["RSA", "P-256", "P-384", "Ed25519"];
        for (signed_by, its_kind) in KNOWN {
            for claimed in KNOWN.iter().map(|(name, _)| name).chain(UNKNOWN) {
                let token = token(&json!({ "alg": claimed }), |text| issuer.sign(signed_by, text));
                for kind in kinds {
                    let expected = claimed == signed_by && kind == *its_kind;
                    let shown = format!("signed by {signed_by}, claimed {claimed}, key {kind}");
                    assert_eq!(proves(&token, &keys(&[issuer.jwk(kind)])), expected, "{shown}");
                }
                // Beside the others a key is found, and is no more than it is alone.
                let all = keys(&kinds.map(|kind| issuer.jwk(kind)));
                assert_eq!(proves(&token, &all), claimed == signed_by, "{signed_by} as {claimed}");
                assert!(token.is_signed_by(&all, &[]).is_err(), "an algorithm that the issuer does not use");
            }
        }
    }

    #[test]
    fn h25_a_public_key_is_no_shared_secret() {
        use hmac::{Hmac, KeyInit, Mac};
        let issuer = Issuer::new();
        for kind in ["RSA", "P-256", "P-384", "Ed25519"] {
            let jwk = issuer.jwk(kind);
            let mut secrets = vec![Vec::new(), jwk.to_string().into_bytes()];
            for text in ["n", "e", "x", "y"].iter().filter_map(|field| jwk[field].as_str()) {
                secrets.extend([text.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(text).unwrap()]);
            }
            for secret in secrets {
                for claimed in ["HS256", "RS256", "ES256", "EdDSA"] {
                    let token = token(&json!({ "alg": claimed, "kid": kind }), |text| {
                        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&secret).unwrap();
                        mac.update(text);
                        mac.finalize().into_bytes().to_vec()
                    });
                    assert!(!proves(&token, &keys(std::slice::from_ref(&jwk))), "{kind} {claimed}");
                }
            }
        }
    }

    #[test]
    fn h25_no_signature_proves_nothing_whatever_it_is_called() {
        let issuer = Issuer::new();
        let all = keys(&["RSA", "P-256", "P-384", "Ed25519"].map(|kind| issuer.jwk(kind)));
        for claimed in KNOWN.iter().map(|(name, _)| name).chain(UNKNOWN) {
            for length in [0, 1, 64, 96, 256] {
                let token = token(&json!({ "alg": claimed }), |_| vec![0; length]);
                assert!(!proves(&token, &all), "{claimed}, {length} zeros");
            }
        }
    }

    #[test]
    fn a_key_is_for_what_the_issuer_says_it_is_for() {
        let issuer = Issuer::new();
        for (algorithm, kind) in KNOWN {
            let signed = |head: &Value| token(head, |text| issuer.sign(algorithm, text));
            let with = |field: &str, value: &str| {
                let mut jwk = issuer.jwk(kind);
                jwk[field] = value.into();
                jwk
            };
            let (named, unnamed) =
                (signed(&json!({"alg": algorithm, "kid": kind})), signed(&json!({ "alg": algorithm })));
            assert!(proves(&named, &keys(&[with("alg", algorithm)])), "{algorithm}");
            assert!(proves(&named, &keys(&[with("use", "sig")])), "{algorithm}");
            assert!(!proves(&named, &keys(&[with("alg", "HS256")])), "{algorithm}");
            assert!(!proves(&named, &keys(&[with("kid", "another")])), "{algorithm}");
            assert!(proves(&unnamed, &keys(&[with("kid", "another")])), "{algorithm}");
            let of_another = Issuer::new().jwk(kind);
            if *kind != "RSA" {
                assert!(!proves(&unnamed, &keys(&[of_another])), "{algorithm}");
            }
            // Kept for encryption, hence not shown at all.
            let shown = json!({ "keys": [with("use", "enc")] });
            assert!(KeySet::read(shown.to_string().as_bytes()).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn keys_that_are_none_prove_nothing() {
        let issuer = Issuer::new();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let es256 = |key: Value| {
            proves(&token(&json!({"alg": "ES256"}), |text| issuer.sign("ES256", text)), &keys(&[key]))
        };
        let good = issuer.jwk("P-256");
        assert!(es256(good.clone()));
        for (field, value) in [
            ("x", part(&[0; 32])),
            ("x", part(&[1; 31])),
            ("x", part(&[1; 33])),
            ("y", part(&[0xff; 32])),
            ("y", String::new()),
        ] {
            let mut bad = good.clone();
            bad[field] = value.as_str().into();
            assert!(!es256(bad), "{field} {value}");
        }
        // JSON web signatures are of fixed length; the same numbers in DER are none.
        let der = token(&json!({"alg": "ES256"}), |text| issuer.sign("ES256 in DER", text));
        assert!(!proves(&der, &keys(&[good])));
        // A key that is too short to be trusted.
        let rs256 = token(&json!({"alg": "RS256"}), |text| issuer.sign("RS256", text));
        let short = json!({"kty": "RSA", "n": part(&[0xc1; 128]), "e": "AQAB"});
        assert!(!proves(&rs256, &keys(&[short])));
        for unknown in [
            json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "EC", "crv": "P-256", "x": "AA"}),
            json!({"kty": "RSA", "n": "not base64!", "e": "AQAB"}),
            json!({}),
            json!(7),
        ] {
            assert!(KeySet::read(json!({"keys": [unknown]}).to_string().as_bytes()).is_err(), "{unknown}");
        }
    }
}
