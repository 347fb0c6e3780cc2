//! One symmetric key.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::RngCore;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The length of a key: what XChaCha20-Poly1305 takes.
pub const KEY_BYTES: usize = 32;

/// A text was not a key. It never repeats the text, which may well be a key with one letter missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The text is not base64.
    #[error("it is not base64 (`A-Z a-z 0-9 + /`, with `=` at the end)")]
    NotBase64,
    /// The text is base64 of some other length.
    #[error("it holds {bytes} bytes where a key has {KEY_BYTES}")]
    Length {
        /// How many bytes it holds.
        bytes: usize,
    },
}

/// 32 secret bytes, wiped from memory when dropped. Its text form is base64; `Debug` shows only its [`KeyId`].
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    /// A fresh key from the machine's random generator.
    pub fn generate() -> Self {
        let mut bytes = [0; KEY_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The key that is made of these bytes.
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key as base64, for a key file. Wiped when dropped.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }

    /// The name by which the key may be spoken of.
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new().chain_update(b"constellation key id/1").chain_update(self.0).finalize();
        let mut id = [0; 4];
        id.copy_from_slice(&digest[..4]);
        KeyId(id)
    }

    pub(crate) const fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let decoded = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| InvalidKey::NotBase64)?);
        let mut bytes = [0; KEY_BYTES];
        if decoded.len() != KEY_BYTES {
            return Err(InvalidKey::Length { bytes: decoded.len() });
        }
        bytes.copy_from_slice(&decoded);
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

/// The first four bytes of a hash of a key: enough to tell keys apart in logs and on the wire, and of no use to
/// somebody who looks for the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    pub(crate) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form() {
        let key = Key::generate();
        assert_eq!(key.to_base64().parse::<Key>().unwrap(), key);
    }

    #[test]
    fn two_generated_keys_differ() {
        assert_ne!(Key::generate(), Key::generate());
    }

    #[test]
    fn neither_debug_nor_errors_show_the_key() {
        let key = Key::generate();
        let text = key.to_base64();
        assert!(!format!("{key:?}").contains(&text[..8]));
        let error = text[..40].parse::<Key>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&text[..8]));
    }

    #[test]
    fn a_key_of_another_length_is_refused_with_its_length() {
        assert_eq!(STANDARD.encode([7; 16]).parse::<Key>(), Err(InvalidKey::Length { bytes: 16 }));
        assert_eq!("not base64!".parse::<Key>(), Err(InvalidKey::NotBase64));
    }
}
