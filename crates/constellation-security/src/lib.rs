//! What keeps strangers out: the keyring that seals gossip, secret files that nobody else may read, certificates.
//!
//! In reading order: a [`Key`] is 32 random bytes; a [`Keyring`] holds several, seals with the first and opens with
//! any; a [`KeyringHandle`] lets a running process swap its ring; [`read_secret`] and [`write_secret`] keep what must
//! stay secret in files that are refused when others could read them; [`certificates`] are for servers, from files.
//!
//! Nothing here knows what is sealed, how it travels, or what a secret is for. There are no passwords: keys are
//! random bytes from the machine's generator.

pub mod certificates;
mod key;
mod key_file;
mod keyring;
mod secret_file;

pub use self::{
    key::{InvalidKey, KEY_BYTES, Key, KeyId},
    key_file::{InvalidKeyFile, LineProblem},
    keyring::{EmptyKeyring, KEYS_MAX, Keyring, KeyringHandle, SEAL_OVERHEAD, Unopened},
    secret_file::{Replace, SECRET_BYTES_MAX, SecretError, read_secret, read_secret_up_to, write_secret},
};
