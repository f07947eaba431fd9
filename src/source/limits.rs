//! What a source may cost us at most. The other end is not ours, so everything it sends is bounded.

/// Upper bounds of one room; the defaults suit an agent with a few hundred sources.
#[derive(Clone, Debug)]
pub struct SourceLimits {
    /// Bytes of one pack on the wire. Flux has no bound; 2 GiB is the largest repository it is known to serve.
    pub pack_bytes: u64,
    /// Inflated bytes of one git object: stops zlib and delta bombs before they are unpacked.
    pub object_bytes: u64,
    /// References a server may advertise to us.
    pub references: usize,
    /// Files one tree walk may return or archive.
    pub files: usize,
    /// Bytes of one file that is read into memory.
    pub file_bytes: u64,
    /// Bytes of all files one tree walk may return.
    pub tree_bytes: u64,
    /// Bytes of one artifact, unpacked: archives are streamed, so this may exceed memory.
    pub artifact_bytes: u64,
    /// Submodules of one checkout, over all levels.
    pub submodules: usize,
    /// libgit2 and tar calls that may run at once: they block a thread each.
    pub blocking: usize,
    /// Artifacts kept per object, as Flux's `--artifact-retention-records`.
    pub artifact_records: usize,
    /// Which addresses a URL may lead to.
    pub addresses: AddressPolicy,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            pack_bytes: 2 << 30,
            object_bytes: 512 << 20,
            references: 1_000_000,
            files: 100_000,
            file_bytes: 32 << 20,
            tree_bytes: 256 << 20,
            artifact_bytes: 2 << 30,
            submodules: 64,
            blocking: 4,
            artifact_records: 2,
            addresses: AddressPolicy::Any,
        }
    }
}

/// Which network addresses a source's URL may lead to, checked on the address that is then connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Any: Flux's behaviour.
    #[default]
    Any,
    /// No loopback, link-local (where clouds keep their metadata), unspecified or multicast address.
    NoLocal,
}

impl AddressPolicy {
    /// Whether a connection to `address` is allowed.
    pub fn allows(self, address: std::net::IpAddr) -> bool {
        match self {
            AddressPolicy::Any => true,
            AddressPolicy::NoLocal => match address.to_canonical() {
                std::net::IpAddr::V4(v4) => {
                    !(v4.is_loopback()
                        || v4.is_link_local()
                        || v4.is_unspecified()
                        || v4.is_multicast()
                        || v4.is_broadcast())
                }
                std::net::IpAddr::V6(v6) => {
                    !(v6.is_loopback()
                        || v6.is_unicast_link_local()
                        || v6.is_unspecified()
                        || v6.is_multicast()
                        || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254])
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_metadata_and_loopback_addresses_are_refused_on_request() {
        for (address, allowed) in [
            ("169.254.169.254", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("::ffff:169.254.169.254", false),
            ("fe80::1", false),
            ("fd00:ec2::254", false),
            ("0.0.0.0", false),
            ("10.0.0.7", true),
            ("140.82.121.4", true),
            ("2606:50c0:8000::153", true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(AddressPolicy::NoLocal.allows(address), allowed, "{address}");
            assert!(AddressPolicy::Any.allows(address));
        }
    }
}
