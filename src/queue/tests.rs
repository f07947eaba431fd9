//! The store as the other rooms see it.
