//! Networks as settings name them: `10.0.0.0/8`, or one address.

use std::net::IpAddr;

/// All addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no network\nhint: write an address, or an address and a prefix length, for example `10.0.0.0/8`"
)]
pub struct ParseNetworkError(pub String);

impl std::str::FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseNetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| refuse())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(most);
        if prefix > most {
            return Err(refuse());
        }
        Ok(Self { address, prefix })
    }
}

impl Network {
    /// Whether the address is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        fn bits(address: IpAddr) -> (u128, u32) {
            match address.to_canonical() {
                IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
                IpAddr::V6(address) => (u128::from(address), 128),
            }
        }
        let ((own, width), (other, other_width)) = (bits(self.address), bits(address));
        let shift = width.saturating_sub(u32::from(self.prefix));
        width == other_width && own.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_they_say() {
        let net = |text: &str| text.parse::<Network>().unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(net("192.168.1.0/24").contains(ip("192.168.1.255")));
        assert!(!net("192.168.1.0/24").contains(ip("192.168.2.0")));
        assert!(net("0.0.0.0/0").contains(ip("8.8.8.8")));
        assert!(!net("0.0.0.0/0").contains(ip("::8")));
        assert!(net("10.0.0.0/8").contains(ip("::ffff:10.1.1.1")));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x/8", "::/129"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
