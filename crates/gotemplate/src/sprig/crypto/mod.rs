//! Hashes, passwords, keys and certificates.

mod aes;
mod bcrypt;
mod certificate;
mod der;
mod dsa;
mod key;
mod password;
mod pem;
mod random;

use sha2::Digest;

use super::args::{Answer, Args, string};
use crate::types::{INT, LIST, STRING, UINT32};
use crate::{Ctx, Error, Func, GoType, Value};
use certificate::CERTIFICATE;

const C: GoType = GoType(&CERTIFICATE);

/// The functions of sprig around cryptography and randomness.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("sha1sum", &[STRING], STRING, hash::<sha1::Sha1>),
    Func::new("sha256sum", &[STRING], STRING, hash::<sha2::Sha256>),
    Func::new("sha512sum", &[STRING], STRING, hash::<sha2::Sha512>),
    Func::new("adler32sum", &[STRING], STRING, |ctx, args| {
        charge_hash(ctx, args)?;
        string(adler32(args.text(0)?).to_string())
    }),
    Func::new("bcrypt", &[STRING], STRING, |ctx, args| string(bcrypt::hash(ctx, args.text(0)?)?)),
    Func::new("htpasswd", &[STRING, STRING], STRING, |ctx, args| {
        let user = args.text(0)?;
        if user.contains(&b':') {
            return string([b"invalid username: ", user.as_bytes()].concat());
        }
        let hash = bcrypt::hash(ctx, args.text(1)?)?;
        string([user.as_bytes(), b":", hash.as_bytes()].concat())
    }),
    Func::new("derivePassword", &[UINT32, STRING, STRING, STRING, STRING], STRING, password::derive),
    Func::new("encryptAES", &[STRING, STRING], STRING, aes::encrypt),
    Func::new("decryptAES", &[STRING, STRING], STRING, aes::decrypt),
    Func::new("randBytes", &[INT], STRING, random::bytes),
    Func::new("randAlphaNum", &[INT], STRING, random::alphanumeric),
    Func::new("randAlpha", &[INT], STRING, random::alphabetic),
    Func::new("randNumeric", &[INT], STRING, random::numeric),
    Func::new("randAscii", &[INT], STRING, random::ascii),
    Func::new("shuffle", &[STRING], STRING, random::shuffle),
    Func::new("uuidv4", &[], STRING, random::uuid),
    Func::new("genPrivateKey", &[STRING], STRING, key::generate_pem),
    Func::new("buildCustomCert", &[STRING, STRING], C, certificate::build_custom),
    Func::new("genCA", &[STRING, INT], C, |ctx, args| certificate::authority(ctx, args, None)),
    Func::new("genCAWithKey", &[STRING, INT, STRING], C, |ctx, args| {
        certificate::authority(ctx, args, Some(2))
    }),
    Func::new("genSelfSignedCert", &[STRING, LIST, LIST, INT], C, |ctx, args| {
        certificate::self_signed(ctx, args, None)
    }),
    Func::new("genSelfSignedCertWithKey", &[STRING, LIST, LIST, INT, STRING], C, |ctx, args| {
        certificate::self_signed(ctx, args, Some(4))
    }),
    Func::new("genSignedCert", &[STRING, LIST, LIST, INT, C], C, |ctx, args| {
        certificate::signed(ctx, args, None)
    }),
    Func::new("genSignedCertWithKey", &[STRING, LIST, LIST, INT, C, STRING], C, |ctx, args| {
        certificate::signed(ctx, args, Some(5))
    }),
];

/// Steps that making a key costs: a chart may make many.
const KEY_WORK: u64 = 1_000_000;

/// Steps that a deliberately slow password function costs.
const PASSWORD_WORK: u64 = 1_000_000;

fn charge_hash(ctx: &mut Ctx, args: &[Value]) -> Result<(), Error> {
    ctx.work(args.text(0)?.len() as u64 / 64)
}

fn hash<D: Digest>(ctx: &mut Ctx, args: &[Value]) -> Answer {
    charge_hash(ctx, args)?;
    string(hex(&D::digest(args.text(0)?.as_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    // So many bytes can be added before a sum overflows.
    for chunk in bytes.chunks(5552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65_521;
        b %= 65_521;
    }
    b << 16 | a
}
