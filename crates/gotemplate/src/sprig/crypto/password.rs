//! `derivePassword`: the Master Password algorithm.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::sprig::args::{Answer, Args, string};
use crate::{Ctx, Error, Value};

const SEED: &[u8] = b"com.lyndir.masterpassword";

/// The shapes of each type of password; a letter names a set of characters.
fn templates(kind: &[u8]) -> Option<&'static [&'static str]> {
    Some(match kind {
        b"maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        b"long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        b"medium" => &["CvcnoCvc", "CvcCvcno"],
        b"short" => &["Cvcn"],
        b"basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        b"pin" => &["nnnn"],
        _ => return None,
    })
}

fn characters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// `derivePassword counter type password user site`.
pub(super) fn derive(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let Value::Uint(counter, _) = args.any(0) else {
        return Err(Error::msg("the counter is not an unsigned integer"));
    };
    let (kind, password, user, site) = (args.text(1)?, args.text(2)?, args.text(3)?, args.text(4)?);
    let Some(templates) = templates(kind) else {
        return string([b"cannot find password template ", kind.as_bytes()].concat());
    };
    ctx.work(super::PASSWORD_WORK)?;
    let length = |text: &[u8]| (text.len() as u32).to_be_bytes();

    let salt = [SEED, &length(user), user].concat();
    let mut key = [0; 64];
    let failed = |error: &dyn std::fmt::Display| format!("failed to derive password: {error}");
    let params = match scrypt::Params::new(15, 8, 2) {
        Ok(params) => params,
        Err(error) => return string(failed(&error)),
    };
    if let Err(error) = scrypt::scrypt(password, &salt, &params, &mut key) {
        return string(failed(&error));
    }

    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| Error::msg(error.to_string()))?;
    mac.update(&[SEED, &length(site), site, &(*counter as u32).to_be_bytes()].concat());
    let seed = mac.finalize().into_bytes();

    let template = templates[usize::from(seed[0]) % templates.len()];
    let derived: Vec<u8> = template
        .bytes()
        .zip(&seed[1..])
        .map(|(class, byte)| {
            let characters = characters(class);
            characters[usize::from(*byte) % characters.len()]
        })
        .collect();
    string(derived)
}
