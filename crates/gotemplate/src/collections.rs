//! Hash maps with a hash that is quick on short names, seeded anew in each process: keys come out of charts.

/// A hash map.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
