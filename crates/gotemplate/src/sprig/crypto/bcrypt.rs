//! bcrypt as golang.org/x/crypto has it: version 2a, cost 10.

use blowfish::Blowfish;

use crate::sprig::surroundings::fill_random;
use crate::{Ctx, Error};

const COST: u32 = 10;

/// bcrypt's own order of the base64 alphabet.
const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Hashes a password with a random salt. Too long a password gives the error's text instead.
pub(super) fn hash(ctx: &mut Ctx, password: &[u8]) -> Result<String, Error> {
    if password.len() > 72 {
        return Ok(
            "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".to_owned()
        );
    }
    ctx.work(super::PASSWORD_WORK)?;
    let mut salt = [0; 16];
    fill_random(ctx, &mut salt)?;
    Ok(hash_with_salt(password, &salt))
}

fn hash_with_salt(password: &[u8], salt: &[u8; 16]) -> String {
    let mut key = password.to_vec();
    key.push(0);
    let mut cipher: Blowfish = Blowfish::bc_init_state();
    cipher.salted_expand_key(salt, &key);
    for _ in 0..1 << COST {
        cipher.bc_expand_key(&key);
        cipher.bc_expand_key(salt);
    }
    let mut hash = Vec::with_capacity(24);
    for block in b"OrpheanBeholderScryDoubt".chunks(8) {
        let word = |bytes: &[u8]| bytes.iter().fold(0, |word: u32, byte| word << 8 | u32::from(*byte));
        let mut pair = [word(&block[..4]), word(&block[4..])];
        for _ in 0..64 {
            pair = cipher.bc_encrypt(pair);
        }
        hash.extend(pair.iter().flat_map(|word| word.to_be_bytes()));
    }
    // The last byte is left out, by a mistake of the first implementation that all others keep.
    format!("$2a${COST:02}${}{}", encode(salt), encode(&hash[..23]))
}

fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let value = (0..3)
            .fold(0, |value: u32, index| value << 8 | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for index in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(value >> (18 - 6 * index)) as usize & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_golang_does() {
        // Salt and hash of the tests of golang.org/x/crypto/bcrypt.
        let mut salt = [0; 16];
        let (mut bits, mut count, mut filled) = (0_u32, 0, 0);
        for c in b"XajjQvNhvvRt5GSeFk1xFe" {
            bits = bits << 6 | ALPHABET.iter().position(|a| a == c).unwrap() as u32;
            count += 6;
            if count >= 8 && filled < 16 {
                count -= 8;
                salt[filled] = (bits >> count) as u8;
                filled += 1;
            }
        }
        assert_eq!(
            hash_with_salt(b"allmine", &salt),
            "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga"
        );
    }
}
