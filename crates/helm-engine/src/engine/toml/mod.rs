//! TOML for `toToml` and `fromToml`, as `BurntSushi/toml` v1.6 reads and writes it.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;
