//! Just enough DER for keys and certificates.

/// Tags of the universal types and of the context-specific ones in use.
pub(super) mod tag {
    pub(in super::super) const BOOLEAN: u8 = 0x01;
    pub(in super::super) const INTEGER: u8 = 0x02;
    pub(in super::super) const BIT_STRING: u8 = 0x03;
    pub(in super::super) const OCTET_STRING: u8 = 0x04;
    pub(in super::super) const NULL: u8 = 0x05;
    pub(in super::super) const OID: u8 = 0x06;
    pub(in super::super) const UTF8_STRING: u8 = 0x0c;
    pub(in super::super) const PRINTABLE_STRING: u8 = 0x13;
    pub(in super::super) const UTC_TIME: u8 = 0x17;
    pub(in super::super) const GENERALIZED_TIME: u8 = 0x18;
    pub(in super::super) const SEQUENCE: u8 = 0x30;
    pub(in super::super) const SET: u8 = 0x31;
    /// `[n]`, primitive.
    pub(in super::super) const fn implicit(number: u8) -> u8 {
        0x80 | number
    }
    /// `[n]`, constructed.
    pub(in super::super) const fn explicit(number: u8) -> u8 {
        0xa0 | number
    }
}

/// A value with its tag and length in front.
pub(super) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(0)..];
        out.push(0x80 | significant.len() as u8);
        out.extend_from_slice(significant);
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of encoded values.
pub(super) fn sequence<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    let content: Vec<u8> = parts.iter().flat_map(|part| part.as_ref().iter().copied()).collect();
    wrap(tag::SEQUENCE, &content)
}

/// A positive whole number given by its bytes, most significant first.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let mut content = bytes[first..].to_vec();
    if content.first().is_none_or(|byte| byte & 0x80 != 0) {
        content.insert(0, 0);
    }
    wrap(tag::INTEGER, &content)
}

/// A bit string of whole bytes.
pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut content = vec![0];
    content.extend_from_slice(bytes);
    wrap(tag::BIT_STRING, &content)
}

/// Something is not as DER wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// One value read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'d> {
    pub(super) tag: u8,
    pub(super) content: &'d [u8],
    /// Tag and length included.
    pub(super) raw: &'d [u8],
}

/// Reads values one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'d>(pub(super) &'d [u8]);

impl<'d> Reader<'d> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value, whatever it is.
    pub(super) fn next(&mut self) -> Result<Element<'d>, Malformed> {
        let [tag, first, rest @ ..] = self.0 else {
            return Err(Malformed);
        };
        let (length, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 || rest.len() < count || rest[0] == 0 {
                return Err(Malformed);
            }
            let length = rest[..count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            if length < 0x80 {
                return Err(Malformed);
            }
            (length, &rest[count..])
        };
        if rest.len() < length {
            return Err(Malformed);
        }
        let header = self.0.len() - rest.len();
        let element = Element { tag: *tag, content: &rest[..length], raw: &self.0[..header + length] };
        self.0 = &rest[length..];
        Ok(element)
    }

    /// The next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'d>, Malformed> {
        self.next().and_then(|element| if element.tag == tag { Ok(element) } else { Err(Malformed) })
    }

    /// The next value if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'d>>, Malformed> {
        if self.0.first() == Some(&tag) { self.next().map(Some) } else { Ok(None) }
    }

    /// The bytes of a whole number that is not negative, without leading zeros.
    pub(super) fn integer(&mut self) -> Result<&'d [u8], Malformed> {
        let content = self.expect(tag::INTEGER)?.content;
        if content.first().is_none_or(|byte| byte & 0x80 != 0) {
            return Err(Malformed);
        }
        let first = content.iter().position(|byte| *byte != 0).unwrap_or(content.len());
        Ok(&content[first..])
    }

    /// The contents of a sequence.
    pub(super) fn sequence(&mut self) -> Result<Reader<'d>, Malformed> {
        self.expect(tag::SEQUENCE).map(|element| Reader(element.content))
    }
}
