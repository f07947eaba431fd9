//! DSA keys of 2048 and 256 bits. Nobody signs with them here; charts can ask for one.

use num_bigint::BigUint;

use super::der;
use crate::sprig::surroundings::fill_random;
use crate::{Ctx, Error};

/// A DSA private key with its parameters.
#[derive(Clone)]
pub(super) struct DsaKey {
    pub(super) p: BigUint,
    pub(super) q: BigUint,
    pub(super) g: BigUint,
    pub(super) y: BigUint,
    pub(super) x: BigUint,
}

const P_BITS: u64 = 2048;
const Q_BITS: u64 = 256;

/// Rounds of the Miller-Rabin test, as Go's `dsa` takes.
const PRIME_ROUNDS: usize = 64;

impl DsaKey {
    /// Makes parameters and a key.
    pub(super) fn generate(ctx: &mut Ctx) -> Result<DsaKey, Error> {
        let one = BigUint::from(1_u8);
        let two = BigUint::from(2_u8);
        let (p, q) = loop {
            let mut q = random_bits(ctx, Q_BITS)?;
            q.set_bit(0, true);
            q.set_bit(Q_BITS - 1, true);
            if !is_prime(ctx, &q)? {
                continue;
            }
            if let Some(p) = find_p(ctx, &q)? {
                break (p, q);
            }
        };
        let exponent = (&p - &one) / &q;
        let mut h = two;
        let g = loop {
            let g = h.modpow(&exponent, &p);
            if g != one {
                break g;
            }
            h += &one;
        };
        let x = loop {
            let x = random_bits(ctx, Q_BITS)?;
            if x > BigUint::ZERO && x < q {
                break x;
            }
        };
        let y = g.modpow(&x, &p);
        Ok(DsaKey { p, q, g, y, x })
    }

    /// The form OpenSSL writes: version, p, q, g, y, x.
    pub(super) fn to_der(&self) -> Vec<u8> {
        let mut parts = vec![der::integer(&[])];
        parts.extend([&self.p, &self.q, &self.g, &self.y, &self.x].map(|n| der::integer(&n.to_bytes_be())));
        der::sequence(&parts)
    }

    /// Reads what [`to_der`](Self::to_der) writes.
    pub(super) fn from_der(bytes: &[u8]) -> Result<DsaKey, der::Malformed> {
        let mut fields = der::Reader(bytes).sequence()?;
        fields.integer()?;
        let mut number = || fields.integer().map(BigUint::from_bytes_be);
        Ok(DsaKey { p: number()?, q: number()?, g: number()?, y: number()?, x: number()? })
    }
}

fn random_bits(ctx: &mut Ctx, bits: u64) -> Result<BigUint, Error> {
    let mut bytes = vec![0; (bits / 8) as usize];
    fill_random(ctx, &mut bytes)?;
    Ok(BigUint::from_bytes_be(&bytes))
}

/// A prime of full length with `p - 1` divisible by `q`; `None` when the tries run out.
fn find_p(ctx: &mut Ctx, q: &BigUint) -> Result<Option<BigUint>, Error> {
    for _ in 0..4 * P_BITS {
        let mut p = random_bits(ctx, P_BITS)?;
        p.set_bit(0, true);
        p.set_bit(P_BITS - 1, true);
        let excess = &p % q;
        p = p + 1_u8 - excess;
        // `p` is odd only if the excess was odd; even ones fall through the division by two.
        if p.bits() == P_BITS && is_prime(ctx, &p)? {
            return Ok(Some(p));
        }
    }
    Ok(None)
}

/// Trial division by small primes, then Miller-Rabin with random bases.
fn is_prime(ctx: &mut Ctx, n: &BigUint) -> Result<bool, Error> {
    let one = BigUint::from(1_u8);
    if *n < BigUint::from(4_u8) {
        return Ok(*n > one);
    }
    for small in small_primes() {
        if (n % small) == BigUint::ZERO {
            return Ok(*n == BigUint::from(small));
        }
    }
    let minus_one = n - &one;
    let twos = minus_one.trailing_zeros().unwrap_or(0);
    let odd = &minus_one >> twos;
    for _ in 0..PRIME_ROUNDS {
        ctx.work(1000)?;
        let mut base = random_bits(ctx, n.bits().div_ceil(8) * 8)? % n;
        if base <= one {
            base = BigUint::from(2_u8);
        }
        let mut x = base.modpow(&odd, n);
        if x == one || x == minus_one {
            continue;
        }
        let mut composite = true;
        for _ in 1..twos {
            x = x.modpow(&BigUint::from(2_u8), n);
            if x == minus_one {
                composite = false;
                break;
            }
        }
        if composite {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The primes below 2000, which sort most candidates out.
fn small_primes() -> impl Iterator<Item = u32> {
    (2..2000_u32).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}
