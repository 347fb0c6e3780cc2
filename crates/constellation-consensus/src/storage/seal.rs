//! Each value on disk carries a checksum of itself, of its place and of its owner.

use sha2::{Digest, Sha256};

use super::identity::DataOwner;

/// Bytes that a seal adds to a value: 64 bits of SHA-256. It is there against rot, torn writes and files that were mixed
/// up, not against an attacker, who could write whole files.
pub(super) const SEAL_BYTES: usize = 8;

/// Makes and checks the checksums of one owner's values.
///
/// The owner is part of what is summed, so a value that was copied from another node's log does not verify; so is the
/// place, so two values that were swapped do not verify either.
#[derive(Clone, Debug)]
pub(super) struct Sealer {
    /// The hash over the owner, continued for each value.
    prefix: Sha256,
}

impl Sealer {
    pub(super) fn new(owner: &DataOwner) -> Self {
        let mut prefix = Sha256::new();
        prefix.update(b"constellation raft value\0");
        for text in [owner.cluster.as_str(), owner.node.as_str()] {
            prefix.update(text.as_bytes());
            prefix.update([0]);
        }
        prefix.update(owner.id.to_le_bytes());
        Self { prefix }
    }

    /// The value with its seal in front.
    pub(super) fn seal(&self, table: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(SEAL_BYTES + value.len());
        sealed.extend_from_slice(&self.digest(table, key, value));
        sealed.extend_from_slice(value);
        sealed
    }

    /// The value behind the seal, if the seal is of this value, at this place, of this owner.
    pub(super) fn open<'a>(&self, table: &str, key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
        let (seal, value) = sealed.split_at_checked(SEAL_BYTES)?;
        (self.digest(table, key, value) == seal).then_some(value)
    }

    fn digest(&self, table: &str, key: &[u8], value: &[u8]) -> [u8; SEAL_BYTES] {
        let mut hash = self.prefix.clone();
        for part in [table.as_bytes(), key] {
            // Lengths first, so that no two lists of parts have one text.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        hash.update(value);
        let digest: [u8; 32] = hash.finalize().into();
        let mut short = [0; SEAL_BYTES];
        short.copy_from_slice(&digest[..SEAL_BYTES]);
        short
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer(node: &str, id: u64) -> Sealer {
        Sealer::new(&DataOwner { cluster: "home".parse().unwrap(), node: node.parse().unwrap(), id })
    }

    #[test]
    fn a_value_opens_only_for_its_owner_at_its_place() {
        let sealed = sealer("a", 1).seal("entries", b"7", b"value");
        assert_eq!(sealer("a", 1).open("entries", b"7", &sealed), Some(&b"value"[..]));
        assert_eq!(sealer("a", 1).open("entries", b"8", &sealed), None);
        assert_eq!(sealer("a", 1).open("meta", b"7", &sealed), None);
        assert_eq!(sealer("b", 1).open("entries", b"7", &sealed), None);
        assert_eq!(sealer("a", 2).open("entries", b"7", &sealed), None);
    }

    proptest! {
        #[test]
        fn a_changed_bit_or_a_cut_is_seen(value in prop::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let sealer = sealer("a", 1);
            let sealed = sealer.seal("entries", b"7", &value);
            let at = at.index(sealed.len());
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            prop_assert_eq!(sealer.open("entries", b"7", &changed), None);
            prop_assert_eq!(sealer.open("entries", b"7", &sealed[..at]), None);
        }
    }
}
