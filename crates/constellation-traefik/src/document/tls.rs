//! What the document says about TLS.

use serde::{Deserialize, Serialize};

/// Certificates that Traefik is given inline. They are never gossiped and never written to disk: each node adds its own when it
/// answers its own Traefik.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// The certificates; Traefik picks by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<InlineCertificate>,
}

impl TlsSection {
    /// Whether it says nothing.
    pub const fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }
}

/// A certificate with its key, both in PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InlineCertificate {
    /// The chain, the server's own certificate first.
    pub cert_file: String,
    /// The key: secret.
    pub key_file: String,
}

impl std::fmt::Debug for InlineCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InlineCertificate").field("cert_file", &self.cert_file).finish_non_exhaustive()
    }
}
