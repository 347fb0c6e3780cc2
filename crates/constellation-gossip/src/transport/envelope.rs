//! The outside of a datagram: form, cluster, and the seal.

use constellation_core::ClusterId;
use constellation_security::{KeyringHandle, SEAL_OVERHEAD, Unopened};
use sha2::{Digest, Sha256};

use super::traffic::Reason;

const PLAIN: u8 = 0xc4;
const SEALED: u8 = 0xc5;
const MARK: usize = 8;

/// How many bytes the envelope adds to what it holds.
pub(super) const ENVELOPE_BYTES: usize = 1 + MARK + SEAL_OVERHEAD;

/// What protects gossip.
#[derive(Clone, Debug)]
pub enum GossipSecurity {
    /// Every datagram is sealed with the ring's first key and opened with any of them.
    Sealed(KeyringHandle),
    /// Nothing: whoever can send a datagram to a node can say anything in the name of any other. For a network
    /// that is private by other means, and only where somebody asked for it in so many words.
    Insecure,
}

/// Seals datagrams for one cluster and opens them.
///
/// The mark, eight bytes of a hash of the cluster's name, stands outside the seal: it tells "another cluster" from
/// "tampered with" for the person who looks. The promise is made by the name in the associated data.
#[derive(Debug)]
pub(super) struct Envelope {
    security: GossipSecurity,
    mark: [u8; MARK],
    purpose: Vec<u8>,
}

impl Envelope {
    pub(super) fn new(cluster: &ClusterId, security: GossipSecurity) -> Self {
        let purpose = format!("constellation gossip/1 {cluster}").into_bytes();
        let mut mark = [0; MARK];
        mark.copy_from_slice(&Sha256::digest(&purpose)[..MARK]);
        Self { security, mark, purpose }
    }

    pub(super) fn seal(&self, content: &[u8]) -> Vec<u8> {
        let (form, body) = match &self.security {
            GossipSecurity::Sealed(ring) => (SEALED, ring.current().seal(&self.purpose, content)),
            GossipSecurity::Insecure => (PLAIN, content.to_vec()),
        };
        let mut datagram = Vec::with_capacity(1 + MARK + body.len());
        datagram.push(form);
        datagram.extend_from_slice(&self.mark);
        datagram.extend_from_slice(&body);
        datagram
    }

    pub(super) fn open(&self, datagram: &[u8]) -> Result<Vec<u8>, Reason> {
        let Some((head, body)) = datagram.split_at_checked(1 + MARK) else { return Err(Reason::Garbage) };
        if !matches!(head[0], PLAIN | SEALED) {
            return Err(Reason::Garbage);
        }
        if head[1..] != self.mark {
            return Err(Reason::OtherCluster);
        }
        match (&self.security, head[0]) {
            (GossipSecurity::Sealed(ring), SEALED) => match ring.current().open(&self.purpose, body) {
                Ok((content, _)) => Ok(content),
                Err(Unopened::NotSealed) => Err(Reason::Garbage),
                Err(Unopened::UnknownKey { .. }) => Err(Reason::WrongKey),
                Err(Unopened::Forged) => Err(Reason::Forged),
            },
            (GossipSecurity::Sealed(_), _) => Err(Reason::Unsealed),
            (GossipSecurity::Insecure, SEALED) => Err(Reason::WrongKey),
            (GossipSecurity::Insecure, _) => Ok(body.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use constellation_security::{Key, Keyring};

    use super::*;

    fn sealed(key: &Key, cluster: &str) -> Envelope {
        let ring = KeyringHandle::new(Keyring::new([key.clone()]).unwrap());
        Envelope::new(&cluster.parse().unwrap(), GossipSecurity::Sealed(ring))
    }

    #[test]
    fn each_way_of_not_belonging_has_its_name() {
        let key = Key::generate();
        let us = sealed(&key, "home");
        let plain = Envelope::new(&"home".parse().unwrap(), GossipSecurity::Insecure);
        assert_eq!(us.open(&us.seal(b"x")), Ok(b"x".to_vec()));
        assert_eq!(us.open(&sealed(&key, "work").seal(b"x")), Err(Reason::OtherCluster));
        assert_eq!(us.open(&sealed(&Key::generate(), "home").seal(b"x")), Err(Reason::WrongKey));
        assert_eq!(us.open(&plain.seal(b"x")), Err(Reason::Unsealed));
        assert_eq!(plain.open(&us.seal(b"x")), Err(Reason::WrongKey));
        assert_eq!(us.open(b"GET / HTTP/1.1"), Err(Reason::Garbage));
        assert_eq!(us.open(b""), Err(Reason::Garbage));
    }

    #[test]
    fn a_mark_that_was_rewritten_opens_nothing_of_another_cluster() {
        let key = Key::generate();
        let (us, them) = (sealed(&key, "home"), sealed(&key, "work"));
        let mut datagram = them.seal(b"x");
        datagram[1..=MARK].copy_from_slice(&us.mark);
        assert_eq!(us.open(&datagram), Err(Reason::Forged));
    }

    #[test]
    fn a_cluster_without_keys_still_keeps_to_itself() {
        let insecure = |name: &str| Envelope::new(&name.parse().unwrap(), GossipSecurity::Insecure);
        assert_eq!(insecure("home").open(&insecure("home").seal(b"x")), Ok(b"x".to_vec()));
        assert_eq!(insecure("home").open(&insecure("work").seal(b"x")), Err(Reason::OtherCluster));
    }
}
