//! Private keys: making them, reading and writing them as PEM, signing with them.

use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest, Sha256};

use super::der::{self, Malformed, Reader, tag};
use super::dsa::DsaKey;
use super::pem;
use crate::sprig::args::{Answer, Args, string};
use crate::sprig::surroundings::fill_random;
use crate::{Ctx, Error, Value};

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// What stands before a SHA-256 digest in an RSA signature.
const SHA256_PREFIX: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// An elliptic curve that Go knows by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    fn oid(self) -> &'static [u8] {
        match self {
            Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Curve::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Curve::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }

    /// `ecdsa-with-SHA256` and its longer siblings.
    fn signature_oid(self) -> &'static [u8] {
        match self {
            Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
            Curve::P384 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
            Curve::P521 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
        }
    }

    fn bytes(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }

    /// The public point of a secret, uncompressed; `None` when the number is not a secret key.
    fn public(self, secret: &[u8]) -> Option<Vec<u8>> {
        macro_rules! point {
            ($curve:ident) => {
                $curve::ecdsa::SigningKey::from_slice(secret)
                    .ok()?
                    .verifying_key()
                    .to_sec1_point(false)
                    .as_bytes()
                    .to_vec()
            };
        }
        Some(match self {
            Curve::P256 => point!(p256),
            Curve::P384 => point!(p384),
            Curve::P521 => point!(p521),
        })
    }

    /// Both numbers of a signature, one after the other.
    fn sign(self, secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        macro_rules! signature {
            ($curve:ident) => {{
                use $curve::ecdsa::signature::Signer;
                let key = $curve::ecdsa::SigningKey::from_slice(secret).ok()?;
                let signature: $curve::ecdsa::Signature = key.try_sign(message).ok()?;
                signature.to_bytes().to_vec()
            }};
        }
        Some(match self {
            Curve::P256 => signature!(p256),
            Curve::P384 => signature!(p384),
            Curve::P521 => signature!(p521),
        })
    }
}

/// A private key. Never shown but as the PEM text a template asks for.
pub(super) enum PrivateKey {
    Rsa(Box<RsaPrivateKey>),
    Ec(EcKey),
    Ed25519(ed25519_dalek::SigningKey),
    Dsa(Box<DsaKey>),
}

/// A key on one of the curves.
pub(super) struct EcKey {
    curve: Curve,
    secret: Vec<u8>,
    public: Vec<u8>,
}

/// Random bytes for the key generators. A missing source shows only afterwards: its error is kept.
struct Source<'c> {
    ctx: &'c mut Ctx,
    error: Option<Error>,
}

impl rsa::rand_core::TryRng for Source<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Self::Error> {
        if let Err(error) = fill_random(self.ctx, buffer) {
            self.error.get_or_insert(error);
        }
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for Source<'_> {}

/// `genPrivateKey`: a key of the named type as PEM.
pub(super) fn generate_pem(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let kind = args.text(0)?;
    let key = match kind.as_bytes() {
        b"" | b"rsa" => PrivateKey::generate_rsa(ctx, 4096)?,
        b"dsa" => {
            ctx.work(super::KEY_WORK)?;
            // Without a source of randomness the search for primes would not end.
            fill_random(ctx, &mut [0; 1])?;
            PrivateKey::Dsa(Box::new(DsaKey::generate(ctx)?))
        }
        b"ecdsa" => PrivateKey::generate_p256(ctx)?,
        b"ed25519" => {
            let mut secret = [0; 32];
            fill_random(ctx, &mut secret)?;
            PrivateKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(&secret))
        }
        other => return string([b"Unknown type ", other].concat()),
    };
    string(key.to_pem())
}

impl PrivateKey {
    /// A new RSA key with the usual exponent.
    pub(super) fn generate_rsa(ctx: &mut Ctx, bits: usize) -> Result<PrivateKey, Error> {
        ctx.work(super::KEY_WORK)?;
        // Without a source of randomness the search for primes would not end.
        fill_random(ctx, &mut [0; 1])?;
        let mut source = Source { ctx, error: None };
        let key = RsaPrivateKey::new(&mut source, bits);
        match source.error {
            Some(error) => Err(error),
            None => key
                .map(|key| PrivateKey::Rsa(Box::new(key)))
                .map_err(|error| Error::msg(format!("error generating rsa key: {error}"))),
        }
    }

    fn generate_p256(ctx: &mut Ctx) -> Result<PrivateKey, Error> {
        ctx.work(super::KEY_WORK / 100)?;
        loop {
            let mut secret = vec![0; 32];
            fill_random(ctx, &mut secret)?;
            // Almost every number is a key; the few that are not are drawn again.
            if let Some(public) = Curve::P256.public(&secret) {
                return Ok(PrivateKey::Ec(EcKey { curve: Curve::P256, secret, public }));
            }
        }
    }

    /// The key as PEM, in the format that sprig chooses for its type.
    pub(super) fn to_pem(&self) -> String {
        match self {
            PrivateKey::Rsa(key) => pem::encode("RSA PRIVATE KEY", &rsa_to_der(key)),
            PrivateKey::Dsa(key) => pem::encode("DSA PRIVATE KEY", &key.to_der()),
            PrivateKey::Ec(key) => pem::encode(
                "EC PRIVATE KEY",
                &der::sequence(&[
                    der::integer(&[1]),
                    der::wrap(tag::OCTET_STRING, &key.secret),
                    der::wrap(tag::explicit(0), &der::wrap(tag::OID, key.curve.oid())),
                    der::wrap(tag::explicit(1), &der::bit_string(&key.public)),
                ]),
            ),
            PrivateKey::Ed25519(key) => pem::encode(
                "PRIVATE KEY",
                &der::sequence(&[
                    der::integer(&[]),
                    der::sequence(&[der::wrap(tag::OID, ED25519)]),
                    der::wrap(tag::OCTET_STRING, &der::wrap(tag::OCTET_STRING, &key.to_bytes())),
                ]),
            ),
        }
    }

    /// Reads a key from PEM, with sprig's errors.
    pub(super) fn from_pem(text: &[u8]) -> Result<PrivateKey, String> {
        const MALFORMED: &str = "asn1: structure error: malformed private key";
        let block = pem::decode(text).ok_or("no PEM data in input")?;
        if block.label == "PRIVATE KEY" {
            return pkcs8_from_der(&block.bytes)
                .map_err(|Malformed| format!("decoding PEM as PKCS#8: {MALFORMED}"));
        }
        let Some(kind) = block.label.strip_suffix(" PRIVATE KEY") else {
            return Err(format!("no private key data in PEM block of type {}", block.label));
        };
        match kind {
            "RSA" => rsa_from_der(&block.bytes)
                .map_err(|Malformed| format!("parsing RSA private key from PEM: {MALFORMED}")),
            "EC" => ec_from_der(&block.bytes, None)
                .map_err(|Malformed| format!("parsing EC private key from PEM: {MALFORMED}")),
            "DSA" => DsaKey::from_der(&block.bytes)
                .map(|key| PrivateKey::Dsa(Box::new(key)))
                .map_err(|Malformed| format!("parsing DSA private key from PEM: {MALFORMED}")),
            _ => Err(format!("invalid private key type {kind}")),
        }
    }

    /// The algorithm that certificates signed with this key name; `None` when it cannot sign any.
    pub(super) fn signature_algorithm(&self) -> Option<Vec<u8>> {
        Some(match self {
            PrivateKey::Rsa(_) => {
                der::sequence(&[der::wrap(tag::OID, SHA256_WITH_RSA), der::wrap(tag::NULL, &[])])
            }
            PrivateKey::Ec(key) => der::sequence(&[der::wrap(tag::OID, key.curve.signature_oid())]),
            PrivateKey::Ed25519(_) => der::sequence(&[der::wrap(tag::OID, ED25519)]),
            PrivateKey::Dsa(_) => return None,
        })
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            PrivateKey::Rsa(key) => {
                let digest = Sha256::digest(message);
                let info = [SHA256_PREFIX, &digest[..]].concat();
                key.sign(Pkcs1v15Sign::new_unprefixed(), &info).ok()
            }
            PrivateKey::Ec(key) => {
                let numbers = key.curve.sign(&key.secret, message)?;
                let (r, s) = numbers.split_at(numbers.len() / 2);
                Some(der::sequence(&[der::integer(r), der::integer(s)]))
            }
            PrivateKey::Ed25519(key) => {
                use ed25519_dalek::Signer;
                Some(key.sign(message).to_bytes().to_vec())
            }
            PrivateKey::Dsa(_) => None,
        }
    }

    /// The bits of the public key, as they stand in a certificate.
    pub(super) fn public_bits(&self) -> Vec<u8> {
        match self {
            PrivateKey::Rsa(key) => der::sequence(&[integer(key.n().as_ref()), integer(key.e())]),
            PrivateKey::Ec(key) => key.public.clone(),
            PrivateKey::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
            PrivateKey::Dsa(key) => der::integer(&key.y.to_bytes_be()),
        }
    }

    /// The public key with its algorithm; `None` for DSA, which Go puts into no certificate.
    pub(super) fn public_info(&self) -> Option<Vec<u8>> {
        let algorithm = match self {
            PrivateKey::Rsa(_) => {
                der::sequence(&[der::wrap(tag::OID, RSA_ENCRYPTION), der::wrap(tag::NULL, &[])])
            }
            PrivateKey::Ec(key) => {
                der::sequence(&[der::wrap(tag::OID, EC_PUBLIC_KEY), der::wrap(tag::OID, key.curve.oid())])
            }
            PrivateKey::Ed25519(_) => der::sequence(&[der::wrap(tag::OID, ED25519)]),
            PrivateKey::Dsa(_) => return None,
        };
        Some(der::sequence(&[algorithm, der::bit_string(&self.public_bits())]))
    }
}

fn integer(number: &BoxedUint) -> Vec<u8> {
    der::integer(&number.to_be_bytes())
}

/// PKCS #1: version, n, e, d, p, q, d mod (p-1), d mod (q-1), 1/q mod p.
fn rsa_to_der(key: &RsaPrivateKey) -> Vec<u8> {
    let number = |bytes: &BoxedUint| num_bigint::BigUint::from_bytes_be(&bytes.to_be_bytes());
    let primes: Vec<_> = key.primes().iter().map(number).collect();
    let mut parts = vec![der::integer(&[]), integer(key.n().as_ref()), integer(key.e()), integer(key.d())];
    if let [p, q] = primes.as_slice() {
        let d = number(key.d());
        let inverse = q.modinv(p).unwrap_or_default();
        let derived = [p.clone(), q.clone(), &d % (p - 1_u8), &d % (q - 1_u8), inverse];
        parts.extend(derived.iter().map(|n| der::integer(&n.to_bytes_be())));
    }
    der::sequence(&parts)
}

fn rsa_from_der(bytes: &[u8]) -> Result<PrivateKey, Malformed> {
    let mut fields = Reader(bytes).sequence()?;
    if !fields.integer()?.is_empty() {
        return Err(Malformed);
    }
    let mut number = || fields.integer().map(BoxedUint::from_be_slice_vartime);
    let (n, e, d, p, q) = (number()?, number()?, number()?, number()?, number()?);
    let key = RsaPrivateKey::from_components(n, e, d, vec![p, q]).map_err(|_| Malformed)?;
    Ok(PrivateKey::Rsa(Box::new(key)))
}

/// SEC 1; the curve is given inside, or outside when PKCS #8 is around it.
fn ec_from_der(bytes: &[u8], curve: Option<Curve>) -> Result<PrivateKey, Malformed> {
    let mut fields = Reader(bytes).sequence()?;
    if fields.integer()? != [1] {
        return Err(Malformed);
    }
    let secret = fields.expect(tag::OCTET_STRING)?.content;
    let named = match fields.optional(tag::explicit(0))? {
        Some(parameters) => Some(curve_of(Reader(parameters.content).expect(tag::OID)?.content)?),
        None => None,
    };
    let curve = curve.or(named).ok_or(Malformed)?;
    // Some writers leave leading zeros out, some add them.
    let significant = &secret[secret.iter().position(|byte| *byte != 0).unwrap_or(secret.len())..];
    let missing = curve.bytes().checked_sub(significant.len()).ok_or(Malformed)?;
    let mut padded = vec![0; missing];
    padded.extend_from_slice(significant);
    let public = curve.public(&padded).ok_or(Malformed)?;
    Ok(PrivateKey::Ec(EcKey { curve, secret: padded, public }))
}

fn curve_of(oid: &[u8]) -> Result<Curve, Malformed> {
    Curve::ALL.into_iter().find(|curve| curve.oid() == oid).ok_or(Malformed)
}

fn pkcs8_from_der(bytes: &[u8]) -> Result<PrivateKey, Malformed> {
    let mut fields = Reader(bytes).sequence()?;
    fields.integer()?;
    let mut algorithm = fields.sequence()?;
    let oid = algorithm.expect(tag::OID)?.content;
    let key = fields.expect(tag::OCTET_STRING)?.content;
    match oid {
        RSA_ENCRYPTION => rsa_from_der(key),
        EC_PUBLIC_KEY => {
            let curve = curve_of(algorithm.expect(tag::OID)?.content)?;
            ec_from_der(key, Some(curve))
        }
        ED25519 => {
            let seed = Reader(key).expect(tag::OCTET_STRING)?.content;
            let seed = seed.try_into().map_err(|_| Malformed)?;
            Ok(PrivateKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(seed)))
        }
        _ => Err(Malformed),
    }
}
