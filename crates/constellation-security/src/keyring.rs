//! Several keys at once, so that they can be changed without stopping anything.
//!
//! To change a key: add the new one *below* the old on every machine and reload; move it to the top everywhere and
//! reload; remove the old one and reload. At every step each machine can open what any other seals.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{AeadInPlace, Tag},
};
use rand::RngCore;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::key::{KEY_BYTES, Key, KeyId};

/// How many keys a ring holds at most. A change needs two; more than a few are forgotten ones.
pub const KEYS_MAX: usize = 8;

/// The form of what is sealed. Another number means another form, which this version does not open.
const VERSION: u8 = 1;
const ID: usize = 4;
const NONCE: usize = 24;
const TAG: usize = 16;
const HEAD: usize = 1 + ID + NONCE;

/// How many bytes sealing adds: version, key id, nonce and tag.
pub const SEAL_OVERHEAD: usize = HEAD + TAG;

/// A keyring needs a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a keyring needs at least one key")]
pub struct EmptyKeyring;

/// Why something sealed stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// It is not of the form that [`Keyring::seal`] makes.
    #[error("it is not something that a keyring of this version sealed")]
    NotSealed,
    /// It names a key that the ring does not hold.
    #[error("it was sealed with the key {key}, which this keyring does not hold")]
    UnknownKey {
        /// Which key.
        key: KeyId,
    },
    /// It names a key of the ring, but it was changed on the way, or sealed for another purpose.
    #[error("it was changed on the way, or it was sealed for something else")]
    Forged,
}

/// Keys, of which the first seals and every one opens: XChaCha20-Poly1305 with a random nonce.
///
/// What is sealed carries, in clear, a version byte and the [`KeyId`]. The alternative, trying every key, would save
/// four bytes; the id makes "we do not hold this key" a different answer from "this was tampered with", which is the
/// first thing a person wants to know, and costs a stranger's garbage no decryption at all.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<(KeyId, Key)>,
}

impl Keyring {
    /// A ring of these keys, [`KEYS_MAX`] at most; the first seals.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Result<Self, EmptyKeyring> {
        let keys: Vec<_> = keys.into_iter().take(KEYS_MAX).map(|key| (key.id(), key)).collect();
        if keys.is_empty() { Err(EmptyKeyring) } else { Ok(Self { keys }) }
    }

    /// The names of its keys; the first seals.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = KeyId> {
        self.keys.iter().map(|(id, _)| *id)
    }

    /// For each key another one, which only whoever has it can make, and from which it cannot be found: for showing to
    /// others that one has it. Different purposes give different keys.
    pub fn derived(&self, purpose: &[u8]) -> Vec<Zeroizing<[u8; KEY_BYTES]>> {
        let derive = |(_, key): &(KeyId, Key)| {
            // Keys are 32 random bytes, so one hash under its own name is enough; the lengths keep the parts apart.
            let hash = Sha256::new()
                .chain_update(b"constellation derived key/1")
                .chain_update(key.bytes())
                .chain_update(purpose)
                .finalize();
            Zeroizing::new(hash.into())
        };
        self.keys.iter().map(derive).collect()
    }

    /// Seals `plaintext`, bound to `purpose`: it opens only for the same purpose (the "associated data").
    pub fn seal(&self, purpose: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let Some((id, key)) = self.keys.first() else { return Vec::new() }; // `new` refuses an empty ring
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let mut sealed = Vec::with_capacity(SEAL_OVERHEAD + plaintext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&id.bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let cipher = XChaCha20Poly1305::new(key.bytes().into());
        match cipher.encrypt_in_place_detached(XNonce::from_slice(&nonce), purpose, &mut sealed[HEAD..]) {
            Ok(tag) => sealed.extend_from_slice(&tag),
            // It fails only above 256 GiB, which nobody has in memory. Rather nothing than plaintext.
            Err(_) => sealed.clear(),
        }
        sealed
    }

    /// Opens what a ring with one of these keys sealed for the same purpose, and says which key it was.
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<(Vec<u8>, KeyId), Unopened> {
        if sealed.len() < SEAL_OVERHEAD || sealed[0] != VERSION {
            return Err(Unopened::NotSealed);
        }
        let (head, rest) = sealed.split_at(HEAD);
        let (body, tag) = rest.split_at(rest.len() - TAG);
        let id: [u8; ID] = head[1..=ID].try_into().map_err(|_| Unopened::NotSealed)?;
        let id = KeyId::from_bytes(id);
        // Two keys with one id are possible, one time in four thousand million: each of them is tried.
        let mut candidates = self.keys.iter().filter(|(other, _)| *other == id).peekable();
        if candidates.peek().is_none() {
            return Err(Unopened::UnknownKey { key: id });
        }
        for (_, key) in candidates {
            let mut plaintext = body.to_vec();
            let cipher = XChaCha20Poly1305::new(key.bytes().into());
            let nonce = XNonce::from_slice(&head[1 + ID..]);
            let tag = Tag::<XChaCha20Poly1305>::from_slice(tag);
            if cipher.decrypt_in_place_detached(nonce, purpose, &mut plaintext, tag).is_ok() {
                return Ok((plaintext, id));
            }
        }
        Err(Unopened::Forged)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// A ring that can be swapped while others use it. Clones share it.
#[derive(Clone, Debug)]
pub struct KeyringHandle(Arc<RwLock<Arc<Keyring>>>);

impl KeyringHandle {
    /// A handle to this ring.
    pub fn new(ring: Keyring) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(ring))))
    }

    /// The ring as it is now.
    pub fn current(&self) -> Arc<Keyring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another ring from now on.
    pub fn replace(&self, ring: Keyring) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(keys: &[&Key]) -> Keyring {
        Keyring::new(keys.iter().map(|key| (*key).clone())).unwrap()
    }

    #[test]
    fn keys_change_step_by_step_and_every_step_is_understood() {
        let (old, new) = (Key::generate(), Key::generate());
        let steps = [ring(&[&old]), ring(&[&old, &new]), ring(&[&new, &old]), ring(&[&new])];
        for pair in steps.windows(2) {
            for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let sealed = from.seal(b"p", b"hello");
                let (opened, key) = to.open(b"p", &sealed).unwrap();
                assert_eq!((opened.as_slice(), Some(key)), (b"hello".as_slice(), from.ids().next()));
            }
        }
    }

    #[test]
    fn a_derived_key_is_the_same_for_whoever_has_the_key_and_differs_by_purpose() {
        let (a, b) = (Key::generate(), Key::generate());
        assert_eq!(ring(&[&a]).derived(b"p"), ring(&[&a]).derived(b"p"));
        assert_ne!(ring(&[&a]).derived(b"p"), ring(&[&a]).derived(b"q"));
        assert_ne!(ring(&[&a]).derived(b"p"), ring(&[&b]).derived(b"p"));
        assert_eq!(ring(&[&a, &b]).derived(b"p").len(), 2);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let (ours, theirs) = (Key::generate(), Key::generate());
        let sealed = ring(&[&theirs]).seal(b"p", b"hello");
        assert_eq!(ring(&[&ours]).open(b"p", &sealed), Err(Unopened::UnknownKey { key: theirs.id() }));
    }

    #[test]
    fn what_was_sealed_for_one_purpose_does_not_open_for_another() {
        let ring = ring(&[&Key::generate()]);
        assert_eq!(ring.open(b"b", &ring.seal(b"a", b"hello")), Err(Unopened::Forged));
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let ring = ring(&[&Key::generate()]);
        assert_ne!(ring.seal(b"p", b"hello"), ring.seal(b"p", b"hello"));
    }

    #[test]
    fn a_swapped_ring_is_used_from_then_on() {
        let (old, new) = (Key::generate(), Key::generate());
        let handle = KeyringHandle::new(ring(&[&old]));
        let user = handle.clone();
        handle.replace(ring(&[&new]));
        assert_eq!(user.current().ids().collect::<Vec<_>>(), [new.id()]);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_to_the_same(text in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let ring = ring(&[&Key::generate()]);
            let sealed = ring.seal(b"p", &text);
            prop_assert_eq!(sealed.len(), text.len() + SEAL_OVERHEAD);
            prop_assert_eq!(ring.open(b"p", &sealed).unwrap().0, text);
        }

        #[test]
        fn one_flipped_bit_anywhere_keeps_it_closed(bit in 0usize..(SEAL_OVERHEAD + 5) * 8) {
            let ring = ring(&[&Key::generate()]);
            let mut sealed = ring.seal(b"p", b"hello");
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(ring.open(b"p", &sealed).is_err());
        }

        #[test]
        fn garbage_and_truncated_texts_stay_closed(garbage in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..50) {
            let ring = ring(&[&Key::generate()]);
            prop_assert!(ring.open(b"p", &garbage).is_err());
            let sealed = ring.seal(b"p", b"hello");
            prop_assert!(ring.open(b"p", &sealed[..cut.min(sealed.len() - 1)]).is_err());
        }
    }
}
