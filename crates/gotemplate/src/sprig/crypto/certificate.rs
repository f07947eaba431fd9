//! X.509 certificates laid out as Go's `x509.CreateCertificate` lays them out.

use sha2::{Digest, Sha256};

use super::der::{self, Malformed, Reader, tag};
use super::key::PrivateKey;
use super::pem;
use crate::gofmt::quote;
use crate::sprig::args::{Answer, Args, print};
use crate::sprig::encodings::base64_decode;
use crate::sprig::surroundings::{fill_random, now};
use crate::sprig::time::{Duration, Time, Zone};
use crate::{Ctx, Error, Host, Kind, Str, TypeDesc, Value};

/// `sprig.certificate`: a certificate and its key, both PEM.
pub(super) static CERTIFICATE: TypeDesc = TypeDesc::host("sprig.certificate", Kind::Struct, &[]);

#[derive(Clone)]
struct Certificate {
    cert: Str,
    key: Str,
}

impl Host for Certificate {
    fn go_type(&self) -> crate::GoType {
        crate::GoType(&CERTIFICATE)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Cert", Value::Str(self.cert.clone())), ("Key", Value::Str(self.key.clone()))]
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        other.downcast_ref::<Self>().map(|other| self.cert == other.cert && self.key == other.key)
    }
}

/// What a new certificate says.
struct Template {
    common_name: Str,
    addresses: Vec<Vec<u8>>,
    dns_names: Vec<Str>,
    not_before: Time,
    not_after: Time,
    serial: [u8; 16],
    is_authority: bool,
}

/// Who signs: the name and key identifier that go into the new certificate.
struct Issuer<'k> {
    subject: Vec<u8>,
    key_id: Vec<u8>,
    public_info: Option<Vec<u8>>,
    key: &'k PrivateKey,
}

/// `genCA` and `genCAWithKey`.
pub(super) fn authority(ctx: &mut Ctx, args: &[Value], key: Option<usize>) -> Answer {
    let key = signee_key(ctx, args, key)?;
    let mut template = template(ctx, args, &Value::Nil, &Value::Nil, args.int(1)?)?;
    template.is_authority = true;
    self_signed_by(&template, &key)
}

/// `genSelfSignedCert` and `genSelfSignedCertWithKey`.
pub(super) fn self_signed(ctx: &mut Ctx, args: &[Value], key: Option<usize>) -> Answer {
    let key = signee_key(ctx, args, key)?;
    let template = template(ctx, args, args.any(1), args.any(2), args.int(3)?)?;
    self_signed_by(&template, &key)
}

/// `genSignedCert` and `genSignedCertWithKey`.
pub(super) fn signed(ctx: &mut Ctx, args: &[Value], key: Option<usize>) -> Answer {
    let key = signee_key(ctx, args, key)?;
    let authority: &Certificate =
        args.any(4).as_host().ok_or_else(|| Error::msg("the authority is not a certificate"))?;
    let block = pem::decode(&authority.cert).ok_or_else(|| Error::msg("unable to decode certificate"))?;
    let parsed = Parsed::from_der(&block.bytes).map_err(|Malformed| {
        Error::msg("error parsing certificate: decodedSignerCert.Bytes: x509: malformed certificate")
    })?;
    let signer = PrivateKey::from_pem(&authority.key)
        .map_err(|error| Error::msg(format!("error parsing private key: {error}")))?;
    let template = template(ctx, args, args.any(1), args.any(2), args.int(3)?)?;
    let issuer = Issuer {
        subject: parsed.subject.to_vec(),
        key_id: parsed.key_id.unwrap_or_default().to_vec(),
        public_info: Some(parsed.public_info.to_vec()),
        key: &signer,
    };
    create(&template, &key, &issuer)
}

/// `buildCustomCert`: takes both parts as they are once they have been read.
pub(super) fn build_custom(ctx: &mut Ctx, args: &[Value]) -> Answer {
    ctx.charge(args.text(0)?.len() + args.text(1)?.len())?;
    let cert = base64_decode(args.text(0)?).map_err(|_| Error::msg("unable to decode base64 certificate"))?;
    let key = base64_decode(args.text(1)?).map_err(|_| Error::msg("unable to decode base64 private key"))?;
    let block = pem::decode(&cert).ok_or_else(|| Error::msg("unable to decode certificate"))?;
    Parsed::from_der(&block.bytes).map_err(|Malformed| {
        Error::msg("error parsing certificate: decodedCert.Bytes: x509: malformed certificate")
    })?;
    PrivateKey::from_pem(&key).map_err(|error| Error::msg(format!("error parsing private key: {error}")))?;
    Ok(Value::host(Certificate { cert: cert.into(), key: key.into() }))
}

/// The key in the argument of that index, or a new one.
fn signee_key(ctx: &mut Ctx, args: &[Value], index: Option<usize>) -> Result<PrivateKey, Error> {
    match index {
        Some(index) => PrivateKey::from_pem(args.text(index)?)
            .map_err(|error| Error::msg(format!("parsing private key: {error}"))),
        None => PrivateKey::generate_rsa(ctx, 2048),
    }
}

fn template(
    ctx: &mut Ctx,
    args: &[Value],
    addresses: &Value,
    dns_names: &Value,
    days: i64,
) -> Result<Template, Error> {
    let mut parsed_addresses = Vec::new();
    for address in addresses.elements().unwrap_or_default() {
        let Value::Str(text) = &address else {
            let shown = print(ctx, &address)?;
            let shown = String::from_utf8_lossy(&shown);
            return Err(Error::msg(format!("error parsing ip: {shown} is not a string")));
        };
        let parsed = text.to_str().and_then(parse_address);
        parsed_addresses.push(parsed.ok_or_else(|| Error::msg(format!("error parsing ip: {text}")))?);
    }
    let mut parsed_names = Vec::new();
    for name in dns_names.elements().unwrap_or_default() {
        let Value::Str(text) = &name else {
            let shown = print(ctx, &name)?;
            let shown = String::from_utf8_lossy(&shown);
            return Err(Error::msg(format!("error processing alternate dns name: {shown} is not a string")));
        };
        parsed_names.push(text.clone());
    }
    let mut serial = [0; 16];
    fill_random(ctx, &mut serial)?;
    let not_before = now(ctx)?.in_zone(Zone::Utc);
    let lifetime = Duration(Duration::HOUR.0.wrapping_mul(24).wrapping_mul(days));
    Ok(Template {
        common_name: args.text(0)?.clone(),
        addresses: parsed_addresses,
        dns_names: parsed_names,
        not_after: not_before.add(lifetime),
        not_before,
        serial,
        is_authority: false,
    })
}

/// The 4 or 16 bytes of an address; IPv4 in IPv6 counts as IPv4, as in Go.
fn parse_address(text: &str) -> Option<Vec<u8>> {
    Some(match text.parse::<std::net::IpAddr>().ok()?.to_canonical() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    })
}

fn self_signed_by(template: &Template, key: &PrivateKey) -> Answer {
    let issuer = Issuer { subject: name(&template.common_name), key_id: Vec::new(), public_info: None, key };
    create(template, key, &issuer)
}

/// Lays out, signs and encodes a certificate for `key`.
fn create(template: &Template, key: &PrivateKey, issuer: &Issuer<'_>) -> Answer {
    let failed = |reason: String| Error::msg(format!("error creating certificate: {reason}"));
    let algorithm = issuer
        .key
        .signature_algorithm()
        .ok_or_else(|| failed("x509: certificate private key does not implement crypto.Signer".to_owned()))?;
    let public_info = key
        .public_info()
        .ok_or_else(|| failed("x509: unsupported public key type: *dsa.PublicKey".to_owned()))?;
    let subject = name(&template.common_name);
    // A self-signed certificate names no other key.
    let authority_id = if issuer.subject == subject { &[][..] } else { &issuer.key_id };
    let content = der::sequence(&[
        der::wrap(tag::explicit(0), &der::integer(&[2])),
        der::integer(&template.serial),
        algorithm.clone(),
        issuer.subject.clone(),
        der::sequence(&[
            time(&template.not_before).map_err(failed)?,
            time(&template.not_after).map_err(failed)?,
        ]),
        subject,
        public_info,
        extensions(template, key, authority_id).map_err(failed)?,
    ]);
    if issuer.public_info.is_some() && issuer.public_info != issuer.key.public_info() {
        return Err(failed("x509: provided PrivateKey doesn't match parent's PublicKey".to_owned()));
    }
    let signature = issuer
        .key
        .sign(&content)
        .ok_or_else(|| failed("x509: the key cannot sign this certificate".to_owned()))?;
    let certificate = der::sequence(&[content, algorithm, der::bit_string(&signature)]);
    Ok(Value::host(Certificate {
        cert: pem::encode("CERTIFICATE", &certificate).into(),
        key: key.to_pem().into(),
    }))
}

/// A name of one part, the common name, or of none.
fn name(common_name: &Str) -> Vec<u8> {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    if common_name.is_empty() {
        return der::sequence::<&[u8]>(&[]);
    }
    let is_printable = |byte: &u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte);
    let string = if common_name.iter().all(is_printable) { tag::PRINTABLE_STRING } else { tag::UTF8_STRING };
    let attribute = der::sequence(&[der::wrap(tag::OID, COMMON_NAME), der::wrap(string, common_name)]);
    der::sequence(&[der::wrap(tag::SET, &attribute)])
}

/// Two digits of the year until 2049, four from then on.
fn time(time: &Time) -> Result<Vec<u8>, String> {
    let year = time.date().0;
    match year {
        1950..=2049 => Ok(der::wrap(tag::UTC_TIME, &time.format(b"060102150405Z"))),
        0..=9999 => Ok(der::wrap(tag::GENERALIZED_TIME, &time.format(b"20060102150405Z"))),
        _ => Err("asn1: structure error: cannot represent time as GeneralizedTime".to_owned()),
    }
}

fn extensions(template: &Template, key: &PrivateKey, authority_id: &[u8]) -> Result<Vec<u8>, String> {
    const KEY_USAGE: u8 = 15;
    const BASIC_CONSTRAINTS: u8 = 19;
    const EXTENDED_KEY_USAGE: u8 = 37;
    const SUBJECT_KEY_ID: u8 = 14;
    const AUTHORITY_KEY_ID: u8 = 35;
    const ALTERNATIVE_NAMES: u8 = 17;
    const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
    // Digital signature and key encipherment; an authority signs certificates too.
    let usage = if template.is_authority { [2, 0xa4] } else { [5, 0xa0] };
    let authority = if template.is_authority {
        der::sequence(&[der::wrap(tag::BOOLEAN, &[0xff])])
    } else {
        der::sequence::<&[u8]>(&[])
    };
    let mut all = vec![
        extension(KEY_USAGE, true, &der::wrap(tag::BIT_STRING, &usage)),
        extension(
            EXTENDED_KEY_USAGE,
            false,
            &der::sequence(&[der::wrap(tag::OID, SERVER_AUTH), der::wrap(tag::OID, CLIENT_AUTH)]),
        ),
        extension(BASIC_CONSTRAINTS, true, &authority),
    ];
    if template.is_authority {
        // Go 1.25 and later take the first 160 bits of SHA-256.
        let digest = Sha256::digest(key.public_bits());
        all.push(extension(SUBJECT_KEY_ID, false, &der::wrap(tag::OCTET_STRING, &digest[..20])));
    }
    if !authority_id.is_empty() {
        let id = der::sequence(&[der::wrap(tag::implicit(0), authority_id)]);
        all.push(extension(AUTHORITY_KEY_ID, false, &id));
    }
    if !template.dns_names.is_empty() || !template.addresses.is_empty() {
        let mut names = Vec::new();
        for dns_name in &template.dns_names {
            if !dns_name.is_ascii() {
                return Err(format!("x509: {} cannot be encoded as an IA5String", quote(dns_name)));
            }
            names.push(der::wrap(tag::implicit(2), dns_name));
        }
        names.extend(template.addresses.iter().map(|address| der::wrap(tag::implicit(7), address)));
        let critical = template.common_name.is_empty();
        all.push(extension(ALTERNATIVE_NAMES, critical, &der::sequence(&names)));
    }
    Ok(der::wrap(tag::explicit(3), &der::sequence(&all)))
}

/// An extension of the `id-ce` family.
fn extension(number: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::wrap(tag::OID, &[0x55, 0x1d, number])];
    if critical {
        parts.push(der::wrap(tag::BOOLEAN, &[0xff]));
    }
    parts.push(der::wrap(tag::OCTET_STRING, value));
    der::sequence(&parts)
}

/// What a signer's certificate says that its certificates repeat.
struct Parsed<'d> {
    subject: &'d [u8],
    public_info: &'d [u8],
    key_id: Option<&'d [u8]>,
}

impl<'d> Parsed<'d> {
    fn from_der(bytes: &'d [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader(bytes);
        let mut certificate = outer.sequence()?;
        let mut content = certificate.sequence()?;
        certificate.sequence()?;
        certificate.expect(tag::BIT_STRING)?;
        if !outer.is_empty() || !certificate.is_empty() {
            return Err(Malformed);
        }
        content.optional(tag::explicit(0))?;
        content.expect(tag::INTEGER)?;
        content.sequence()?;
        content.sequence()?;
        let mut validity = content.sequence()?;
        for _ in 0..2 {
            if !matches!(validity.next()?.tag, tag::UTC_TIME | tag::GENERALIZED_TIME) {
                return Err(Malformed);
            }
        }
        let subject = content.expect(tag::SEQUENCE)?.raw;
        let public_info = content.expect(tag::SEQUENCE)?.raw;
        content.optional(tag::implicit(1))?;
        content.optional(tag::implicit(2))?;
        let mut key_id = None;
        if let Some(extensions) = content.optional(tag::explicit(3))? {
            let mut extensions = Reader(extensions.content).sequence()?;
            while !extensions.is_empty() {
                let mut extension = extensions.sequence()?;
                let oid = extension.expect(tag::OID)?.content;
                extension.optional(tag::BOOLEAN)?;
                let value = extension.expect(tag::OCTET_STRING)?.content;
                if oid == [0x55, 0x1d, 14] {
                    key_id = Some(Reader(value).expect(tag::OCTET_STRING)?.content);
                }
            }
        }
        Ok(Self { subject, public_info, key_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::sprig::Surroundings;

    /// The key whose seed is 32 times the byte 7.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH
-----END PRIVATE KEY-----
";

    fn fixed() -> Ctx {
        let mut ctx = Ctx::new(Limits::default());
        let now = || Time::from_unix(1_700_000_000, 0, Zone::Utc);
        ctx.set_extension(Surroundings::new(now, |buffer| buffer.fill(0x5a)));
        ctx
    }

    fn cert(value: &Value) -> &str {
        value.as_host::<Certificate>().unwrap().cert.to_str().unwrap()
    }

    #[test]
    fn certificates_are_gos_byte_for_byte() {
        let mut ctx = fixed();
        let arguments = [Value::str("my-ca"), Value::int(365), Value::str(KEY)];
        let ca = authority(&mut ctx, &arguments, Some(2)).unwrap();
        assert_eq!(cert(&ca), include_str!("testdata/ca.pem"));
        let arguments = [
            Value::str("*.example.com"),
            Value::list(vec![Value::str("10.0.0.1"), Value::str("::1")]),
            Value::list(vec![Value::str("a.b")]),
            Value::int(20_000),
            ca.clone(),
            Value::str(KEY),
        ];
        let leaf = signed(&mut ctx, &arguments, Some(5)).unwrap();
        assert_eq!(cert(&leaf), include_str!("testdata/leaf.pem"));
        let encoded = |text: &str| Value::str(crate::sprig::base64_encode(text.as_bytes()));
        let custom = build_custom(&mut ctx, &[encoded(cert(&leaf)), encoded(KEY)]).unwrap();
        assert_eq!(cert(&custom), cert(&leaf));
    }

    #[test]
    fn a_signer_must_be_the_authority() {
        let mut ctx = fixed();
        let arguments = [Value::str("ca"), Value::int(1), Value::str(KEY)];
        let ca = authority(&mut ctx, &arguments, Some(2)).unwrap();
        let other = super::super::key::generate_pem(&mut ctx, &[Value::str("ecdsa")]).unwrap();
        let mixed = Certificate { cert: cert(&ca).into(), key: other.as_str().unwrap().clone() };
        let nil = Value::Nil;
        let arguments =
            [Value::str("x"), nil.clone(), nil, Value::int(1), Value::host(mixed), Value::str(KEY)];
        let error = signed(&mut ctx, &arguments, Some(5)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "error creating certificate: x509: provided PrivateKey doesn't match parent's PublicKey"
        );
    }
}
