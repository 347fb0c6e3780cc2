//! The keyring that seals gossip, and secret files that nobody else may read.
