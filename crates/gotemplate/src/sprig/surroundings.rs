//! What functions need from outside the templates: the time, random bytes, the local time zone.

use std::cell::RefCell;

use super::time::{LocalZone, Time, Zone};
use crate::{Ctx, Error};

/// Fills a buffer with random bytes.
pub type FillRandom = Box<dyn FnMut(&mut [u8])>;

/// The outside world of one render; hand it to [`Ctx::set_extension`]. Without it the functions that
/// need a clock or random numbers fail.
pub struct Surroundings {
    now: Box<dyn Fn() -> Time>,
    fill_random: RefCell<FillRandom>,
    local_zone: LocalZone,
}

impl Surroundings {
    /// Surroundings with this clock and this source of random bytes, in UTC. Keys and certificates are
    /// made of these bytes: outside tests they must come from a cryptographic generator.
    pub fn new(
        now: impl Fn() -> Time + 'static,
        fill_random: impl FnMut(&mut [u8]) + 'static,
    ) -> Surroundings {
        Surroundings {
            now: Box::new(now),
            fill_random: RefCell::new(Box::new(fill_random)),
            local_zone: LocalZone::default(),
        }
    }

    /// The same with another local time zone.
    #[must_use]
    pub fn with_local_zone(mut self, zone: LocalZone) -> Surroundings {
        self.local_zone = zone;
        self
    }
}

/// The local zone; UTC unless the render says otherwise.
pub(super) fn local_zone(ctx: &Ctx) -> LocalZone {
    ctx.extension::<Surroundings>().map(|outside| outside.local_zone.clone()).unwrap_or_default()
}

/// The current time in the local zone.
pub(super) fn now(ctx: &Ctx) -> Result<Time, Error> {
    let outside =
        ctx.extension::<Surroundings>().ok_or_else(|| Error::msg("no clock was given to this render"))?;
    Ok((outside.now)().in_zone(Zone::Local(outside.local_zone.clone())))
}

/// Fills `buffer` with random bytes.
pub(super) fn fill_random(ctx: &Ctx, buffer: &mut [u8]) -> Result<(), Error> {
    let outside = ctx
        .extension::<Surroundings>()
        .ok_or_else(|| Error::msg("no source of random bytes was given to this render"))?;
    (outside.fill_random.borrow_mut())(buffer);
    Ok(())
}

/// A uniformly random number below `bound`, which must not be zero.
pub(super) fn random_below(ctx: &Ctx, bound: u64) -> Result<u64, Error> {
    // Numbers of the last, incomplete round are thrown away so that none is favoured.
    let limit = u64::MAX - (u64::MAX % bound + 1) % bound;
    loop {
        let mut bytes = [0; 8];
        fill_random(ctx, &mut bytes)?;
        let number = u64::from_le_bytes(bytes);
        if number <= limit {
            return Ok(number % bound);
        }
    }
}
