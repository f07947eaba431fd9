//! Looks through a pack before libgit2 unpacks it, so that a bomb is refused by its own headers.
//!
//! Checks sizes only: checksums, object ids and deltas are libgit2's business when it indexes the pack.

use flate2::{Decompress, FlushDecompress, Status};

use super::error::GitErrorKind;

/// A pack is read piece by piece; this is where in it we are.
pub(crate) struct PackScanner {
    state: State,
    object_bytes: u64,
    left: u32,
    objects: u32,
    inflate: Decompress,
    scratch: Box<[u8; 32 << 10]>,
}

enum State {
    /// `PACK`, version, number of objects.
    Header(Vec<u8>),
    /// Type and size of an object.
    Entry { size: u64, shift: u32, kind: u8, started: bool },
    /// The distance to a delta's base.
    Offset { size: u64 },
    /// The id of a delta's base.
    Base { size: u64, left: u8 },
    /// Compressed data.
    Data { size: u64, delta: bool, head: Vec<u8> },
    /// The checksum and nothing after it.
    Trailer(u8),
}

const OFFSET_DELTA: u8 = 6;
const BASE_DELTA: u8 = 7;
/// A delta starts with two sizes of at most ten bytes each.
const DELTA_HEAD: usize = 20;

impl PackScanner {
    pub(crate) fn new(object_bytes: u64) -> Self {
        Self {
            state: State::Header(Vec::new()),
            object_bytes,
            left: 0,
            objects: 0,
            inflate: Decompress::new(true),
            scratch: Box::new([0; 32 << 10]),
        }
    }

    /// Reads on.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), GitErrorKind> {
        while !bytes.is_empty() {
            let used = self.step(bytes)?;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// How many objects the pack holds.
    pub(crate) fn objects(&self) -> u32 {
        self.objects
    }

    /// Whether the pack ended where it should.
    pub(crate) fn finish(&self) -> Result<(), GitErrorKind> {
        match self.state {
            State::Trailer(0) => Ok(()),
            _ => Err(corrupt("the pack is cut off")),
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, GitErrorKind> {
        match &mut self.state {
            State::Header(head) => {
                let take = (12 - head.len()).min(bytes.len());
                head.extend_from_slice(&bytes[..take]);
                if let Ok(header) = <[u8; 12]>::try_from(head.as_slice()) {
                    let [b'P', b'A', b'C', b'K', v0, v1, v2, v3, n0, n1, n2, n3] = header else {
                        return Err(corrupt("no pack"));
                    };
                    if !matches!(u32::from_be_bytes([v0, v1, v2, v3]), 2 | 3) {
                        return Err(corrupt("a pack of an unknown version"));
                    }
                    self.left = u32::from_be_bytes([n0, n1, n2, n3]);
                    self.objects = self.left;
                    self.next_entry();
                }
                Ok(take)
            }
            State::Entry { size, shift, kind, started } => {
                let byte = bytes[0];
                if *started {
                    if *shift > 57 {
                        return Err(corrupt("an object with an impossible size"));
                    }
                    *size |= u64::from(byte & 0x7f) << *shift;
                    *shift += 7;
                } else {
                    *started = true;
                    *kind = (byte >> 4) & 7;
                    *size = u64::from(byte & 15);
                    *shift = 4;
                }
                if byte & 0x80 == 0 {
                    let (size, kind) = (*size, *kind);
                    self.check(size)?;
                    self.state = match kind {
                        1..=4 => State::Data { size, delta: false, head: Vec::new() },
                        OFFSET_DELTA => State::Offset { size },
                        BASE_DELTA => State::Base { size, left: 20 },
                        _ => return Err(corrupt("an object of an unknown type")),
                    };
                    self.inflate.reset(true);
                }
                Ok(1)
            }
            State::Offset { size } => {
                if bytes[0] & 0x80 == 0 {
                    self.state = State::Data { size: *size, delta: true, head: Vec::new() };
                }
                Ok(1)
            }
            State::Base { size, left } => {
                let take = usize::from(*left).min(bytes.len());
                *left -= take as u8;
                if *left == 0 {
                    self.state = State::Data { size: *size, delta: true, head: Vec::new() };
                }
                Ok(take)
            }
            State::Data { .. } => self.inflate(bytes),
            State::Trailer(left) => {
                if *left == 0 {
                    return Err(corrupt("data after the pack"));
                }
                let take = usize::from(*left).min(bytes.len());
                *left -= take as u8;
                Ok(take)
            }
        }
    }

    fn inflate(&mut self, bytes: &[u8]) -> Result<usize, GitErrorKind> {
        let State::Data { size, delta, head } = &mut self.state else {
            return Ok(0);
        };
        let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(bytes, self.scratch.as_mut_slice(), FlushDecompress::None)
            .map_err(|_| corrupt("an object that does not inflate"))?;
        let used = (self.inflate.total_in() - in_before) as usize;
        let made = (self.inflate.total_out() - out_before) as usize;
        if self.inflate.total_out() > *size {
            return Err(corrupt("an object larger than its header says"));
        }
        if *delta && head.len() < DELTA_HEAD {
            let take = (DELTA_HEAD - head.len()).min(made);
            head.extend_from_slice(&self.scratch[..take]);
        }
        match status {
            Status::StreamEnd => {
                if self.inflate.total_out() != *size {
                    return Err(corrupt("an object smaller than its header says"));
                }
                let result = if *delta { delta_result(head) } else { Some(0) };
                let Some(result) = result else {
                    return Err(corrupt("a delta without sizes"));
                };
                self.check(result)?;
                self.left -= 1;
                self.next_entry();
            }
            Status::Ok | Status::BufError => {
                if used == 0 && made == 0 {
                    return Err(corrupt("an object that does not inflate"));
                }
            }
        }
        Ok(used)
    }

    fn next_entry(&mut self) {
        self.state = match self.left {
            0 => State::Trailer(20),
            _ => State::Entry { size: 0, shift: 0, kind: 0, started: false },
        };
    }

    fn check(&self, size: u64) -> Result<(), GitErrorKind> {
        match size > self.object_bytes {
            true => Err(GitErrorKind::TooLarge { what: "an object".into(), limit: self.object_bytes }),
            false => Ok(()),
        }
    }
}

/// The size a delta builds: the second of the two numbers it starts with.
fn delta_result(head: &[u8]) -> Option<u64> {
    let mut bytes = head.iter();
    let mut number = || {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = bytes.next()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    number()?;
    number()
}

fn corrupt(why: &str) -> GitErrorKind {
    GitErrorKind::Corrupt(why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn pack(entries: &[(u8, u64, &[u8], Vec<u8>)]) -> Vec<u8> {
        let mut out = b"PACK\0\0\0\x02".to_vec();
        out.extend_from_slice(&(entries.len() as u32).to_be_bytes());
        for (kind, size, base, data) in entries {
            let mut size = *size;
            let mut byte = (kind << 4) | (size & 15) as u8;
            size >>= 4;
            while size > 0 {
                out.push(byte | 0x80);
                byte = (size & 0x7f) as u8;
                size >>= 7;
            }
            out.push(byte);
            out.extend_from_slice(base);
            out.extend_from_slice(data);
        }
        out.extend_from_slice(&[0; 20]);
        out
    }

    fn scan(bytes: &[u8], step: usize) -> Result<(), GitErrorKind> {
        let mut scanner = PackScanner::new(1 << 20);
        for piece in bytes.chunks(step) {
            scanner.feed(piece)?;
        }
        scanner.finish()
    }

    #[test]
    fn a_sound_pack_passes_in_pieces_of_any_size() {
        let delta = [5, 5, 0x90, 5];
        let sound = pack(&[
            (3, 5, b"", deflated(b"hello")),
            (3, 0, b"", deflated(b"")),
            (1, 70_000, b"", deflated(&vec![b'x'; 70_000])),
            (6, 4, &[0x81, 0x02], deflated(&delta)),
            (7, 4, &[7; 20], deflated(&delta)),
        ]);
        for step in [1, 2, 7, 4096, usize::MAX] {
            scan(&sound, step).unwrap();
        }
    }

    #[test]
    fn h75_bombs_and_broken_packs_are_refused_by_their_headers() {
        let declared = pack(&[(3, 1 << 40, b"", deflated(b"x"))]);
        assert!(matches!(scan(&declared, 64), Err(GitErrorKind::TooLarge { .. })));
        let lying = pack(&[(3, 10, b"", deflated(&vec![0; 1 << 20]))]);
        assert!(matches!(scan(&lying, 64), Err(GitErrorKind::Corrupt(_))));
        // a delta that builds 1 TiB out of copies
        let bomb = [1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0x90, 1];
        let bomb = pack(&[(7, bomb.len() as u64, &[7; 20], deflated(&bomb))]);
        assert!(matches!(scan(&bomb, 64), Err(GitErrorKind::TooLarge { .. })));
        let sound = pack(&[(3, 5, b"", deflated(b"hello"))]);
        assert!(scan(&sound[..sound.len() - 1], 64).is_err(), "truncated");
        assert!(scan(&[sound.as_slice(), b"x"].concat(), 64).is_err(), "longer");
        assert!(scan(b"PACKxxxxxxxxxxxxx", 64).is_err(), "version");
        assert!(scan(&pack(&[(5, 1, b"", deflated(b"x"))]), 64).is_err(), "type");
        assert!(scan(&pack(&[(3, 1, b"", b"not zlib at all".to_vec())]), 64).is_err(), "zlib");
    }
}
