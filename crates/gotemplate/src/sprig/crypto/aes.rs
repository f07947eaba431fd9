//! AES-256 in CBC mode with the password, cut or padded with zeros, as key.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::sprig::args::{Answer, Args, string};
use crate::sprig::encodings::{base64_decode, base64_encode, base64_error};
use crate::sprig::surroundings::fill_random;
use crate::{Ctx, Error, Value};

const BLOCK: usize = 16;

fn cipher(password: &[u8]) -> Aes256 {
    let mut key = [0; 32];
    let length = password.len().min(32);
    key[..length].copy_from_slice(&password[..length]);
    Aes256::new(&Array::from(key))
}

/// `encryptAES password text`: a random block first, then the text; all in base64.
pub(super) fn encrypt(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let (cipher, text) = (cipher(args.text(0)?), args.text(1)?);
    if text.is_empty() {
        return string("");
    }
    ctx.charge(text.len().saturating_mul(2))?;
    let mut previous = [0; BLOCK];
    fill_random(ctx, &mut previous)?;
    let mut out = previous.to_vec();
    let padding = BLOCK - text.len() % BLOCK;
    let mut padded = text.to_vec();
    padded.resize(text.len() + padding, padding as u8);
    for chunk in padded.chunks(BLOCK) {
        for (byte, plain) in previous.iter_mut().zip(chunk) {
            *byte ^= plain;
        }
        let mut block = Array::from(previous);
        cipher.encrypt_block(&mut block);
        previous = block.into();
        out.extend_from_slice(&previous);
    }
    string(base64_encode(&out))
}

/// `decryptAES password base64`. What is no such text ends in the panics of Go's slices.
pub(super) fn decrypt(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let (cipher, encoded) = (cipher(args.text(0)?), args.text(1)?);
    if encoded.is_empty() {
        return string("");
    }
    ctx.charge(encoded.len())?;
    let bytes = base64_decode(encoded).map_err(|offset| Error::msg(base64_error(offset)))?;
    // Go cuts the first block out of the decoding buffer, which may be longer than what was decoded.
    let capacity = encoded.len() / 4 * 3;
    if capacity < BLOCK {
        let text = format!("runtime error: slice bounds out of range [:{BLOCK}] with capacity {capacity}");
        return Err(Error::msg(text));
    }
    if bytes.len() < BLOCK {
        let text = format!("runtime error: slice bounds out of range [{BLOCK}:{}]", bytes.len());
        return Err(Error::msg(text));
    }
    let (mut previous, encrypted) = bytes.split_at(BLOCK);
    if encrypted.len() % BLOCK != 0 {
        return Err(Error::msg("crypto/cipher: input not full blocks"));
    }
    let mut out = Vec::with_capacity(encrypted.len());
    for chunk in encrypted.chunks(BLOCK) {
        let mut plain = [0; BLOCK];
        plain.copy_from_slice(chunk);
        let mut block = Array::from(plain);
        cipher.decrypt_block(&mut block);
        out.extend(block.iter().zip(previous).map(|(byte, mask)| byte ^ mask));
        previous = chunk;
    }
    let Some(padding) = out.last().copied().map(usize::from) else {
        return Err(Error::msg("runtime error: index out of range [-1]"));
    };
    let Some(length) = out.len().checked_sub(padding) else {
        let end = out.len() as i64 - padding as i64;
        return Err(Error::msg(format!("runtime error: slice bounds out of range [:{end}]")));
    };
    string(&out[..length])
}
