//! How two nodes show each other that they know one key, without saying anything that is of use elsewhere.

use std::fmt;

use constellation_core::ClusterId;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What both ends draw from their TLS connection (RFC 5705). Two connections never have the same, so whoever sits in the
/// middle of two cannot pass a proof on.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-constellation-founding";
const BLOCK_BYTES: usize = 64;
const DERIVATION: &[u8; BLOCK_BYTES] = &padded(b"constellation founding key/1");

/// Which end shows it: no proof can be played back to whom it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    Newcomer,
    Member,
}

/// What nodes found a cluster with: made from the gossip key, and of no use in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundingKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for FoundingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FoundingKey(..)")
    }
}

impl FoundingKey {
    /// The key that follows from the bytes of a shared one, for one cluster.
    ///
    /// Each end shows enough for somebody to try out guesses, so the shared key must be a random one, not a password.
    pub fn derive(shared: &[u8], cluster: &ClusterId) -> Self {
        let extracted = Hmac::<Sha256>::new(DERIVATION.into()).chain_update(shared).finalize().into_bytes();
        let extracted = Zeroizing::new(extracted.into());
        let derived = keyed(&extracted).chain_update(cluster.as_str()).finalize().into_bytes();
        Self(Zeroizing::new(derived.into()))
    }

    /// Proof of knowing the key, on one connection, for one message.
    pub(super) fn prove(&self, speaker: Speaker, on: &Exported, nonce: &[u8; 32], body: &[u8]) -> [u8; 32] {
        self.mac(speaker, on, nonce, body).finalize().into_bytes().into()
    }

    /// Whether a proof is one.
    pub(super) fn believes(
        &self,
        speaker: Speaker,
        on: &Exported,
        nonce: &[u8; 32],
        body: &[u8],
        proof: &[u8; 32],
    ) -> bool {
        // In constant time.
        self.mac(speaker, on, nonce, body).verify(proof.into()).is_ok()
    }

    /// All but the last part are of fixed length, so no two messages are written alike.
    fn mac(&self, speaker: Speaker, on: &Exported, nonce: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
        let speaker = match speaker {
            Speaker::Newcomer => [1],
            Speaker::Member => [2],
        };
        keyed(&self.0).chain_update(speaker).chain_update(*on.0).chain_update(nonce).chain_update(body)
    }
}

/// What both ends of one TLS connection know, and nobody else.
pub(super) struct Exported(Zeroizing<[u8; 32]>);

impl Exported {
    pub(super) fn of_server(connection: &rustls::ServerConnection) -> Result<Self, rustls::Error> {
        connection
            .export_keying_material([0; 32], EXPORTER_LABEL, None)
            .map(|bytes| Self(Zeroizing::new(bytes)))
    }

    pub(super) fn of_client(connection: &rustls::ClientConnection) -> Result<Self, rustls::Error> {
        connection
            .export_keying_material([0; 32], EXPORTER_LABEL, None)
            .map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

/// A key that is shorter than a block is one with zeros behind it: that is how HMAC is defined, and needs no error.
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let block = Zeroizing::new(padded(key));
    Hmac::new((&*block).into())
}

const fn padded(key: &[u8]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let (head, _) = block.split_at_mut(key.len());
    head.copy_from_slice(key);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(shared: &[u8], cluster: &str) -> FoundingKey {
        FoundingKey::derive(shared, &cluster.parse().unwrap())
    }

    fn on(connection: u8) -> Exported {
        Exported(Zeroizing::new([connection; 32]))
    }

    #[test]
    fn a_proof_counts_for_one_key_one_connection_one_direction_and_one_message() {
        let ours = key(&[7; 32], "home");
        let proof = ours.prove(Speaker::Newcomer, &on(1), &[5; 32], b"words");
        assert!(ours.believes(Speaker::Newcomer, &on(1), &[5; 32], b"words", &proof));
        assert!(!ours.believes(Speaker::Member, &on(1), &[5; 32], b"words", &proof));
        assert!(!ours.believes(Speaker::Newcomer, &on(2), &[5; 32], b"words", &proof));
        assert!(!ours.believes(Speaker::Newcomer, &on(1), &[6; 32], b"words", &proof));
        assert!(!ours.believes(Speaker::Newcomer, &on(1), &[5; 32], b"other words", &proof));
        for other in [key(&[8; 32], "home"), key(&[7; 32], "away"), key(&[7; 31], "home")] {
            assert!(!other.believes(Speaker::Newcomer, &on(1), &[5; 32], b"words", &proof));
        }
        for bit in 0..256 {
            let mut changed = proof;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!ours.believes(Speaker::Newcomer, &on(1), &[5; 32], b"words", &changed));
        }
    }

    #[test]
    fn the_mac_is_the_hmac_of_rfc_4231() {
        // Test case 1, whose key has 20 bytes: with the zeros that we put behind it, it is the same key.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let mac = keyed(&key).chain_update(b"Hi There").finalize().into_bytes();
        let mac: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", key(&[7; 32], "home")), "FoundingKey(..)");
    }
}
