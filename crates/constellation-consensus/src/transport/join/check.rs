//! What a newcomer checks before it believes a grant.

use std::fmt;

use rustls::pki_types::{CertificateDer, UnixTime};
use zeroize::Zeroizing;

use super::{
    super::{
        identity::PeerIdentity,
        newcomer::{is_about_time, verify_member},
        pki::{ClusterCa, NodeCredentials, NodeKey},
        tls::TlsIdentity,
    },
    message::{JoinGrant, JoinMember},
};
use crate::raft::RaftId;

/// All that a node needs to run as a member, checked.
pub struct Joined {
    /// Its id in Raft.
    pub id: RaftId,
    /// The epoch of the cluster.
    pub epoch: u64,
    /// Its credentials: for [`NodeCredentials::to_pem`] and a secret file.
    pub credentials: NodeCredentials,
    /// The cluster's authority, where the node shall be able to take others in.
    pub authority: Option<ClusterCa>,
    /// The keys of the gossip, as in their file.
    pub gossip_keys: Option<Zeroizing<String>>,
    /// What else the members agree on.
    pub settings: Vec<u8>,
    /// The members to begin with.
    pub members: Vec<JoinMember>,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("id", &self.id)
            .field("epoch", &self.epoch)
            .field("credentials", &self.credentials)
            .field("authority", &self.authority)
            .field("gossip_keys", &self.gossip_keys.is_some())
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a grant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It would be good at another time.
    Time(String),
    /// It is not what was asked for.
    Grant(String),
}

/// Checks that a grant gives what was asked for: a certificate by this authority, for this member and its key.
pub(super) fn check(
    grant: JoinGrant,
    key: &NodeKey,
    expected: &PeerIdentity,
    authority: &CertificateDer<'static>,
    now: UnixTime,
) -> Result<Joined, Wrong> {
    let wrong = |why: String| Wrong::Grant(why);
    if !grant.trusted.contains(authority) {
        return Err(wrong("the authority that was met is not among those that members believe".to_owned()));
    }
    verify_member(&grant.certificate, expected, authority, now).map_err(|error| {
        if is_about_time(&error) {
            return Wrong::Time(error.to_string());
        }
        Wrong::Grant(format!("the certificate is not the authority's, for {expected}: {error}"))
    })?;
    // Members show the first of those that they believe as that of their certificate.
    let others = grant.trusted.iter().filter(|other| *other != authority);
    let trusted = std::iter::once(authority).chain(others).cloned().collect();
    let credentials =
        NodeCredentials::new(key, grant.certificate, trusted).map_err(|error| wrong(error.to_string()))?;
    if credentials.identity() != expected {
        return Err(wrong(format!(
            "the certificate is for {} and not for {expected}",
            credentials.identity()
        )));
    }
    TlsIdentity::new(&credentials).map_err(|error| wrong(constellation_core::error_chain(&error)))?;
    let own_authority = grant
        .authority_pem
        .map(|pem| ClusterCa::from_pem(pem.as_bytes()))
        .transpose()
        .map_err(|error| wrong(error.to_string()))?;
    if let Some(own) = &own_authority
        && (own.cluster() != &expected.cluster || !credentials.trusted().contains(own.certificate()))
    {
        return Err(wrong("the authority's key is of another authority than members believe".to_owned()));
    }
    Ok(Joined {
        id: grant.id,
        epoch: grant.epoch,
        credentials,
        authority: own_authority,
        gossip_keys: grant.gossip_keys,
        settings: grant.settings,
        members: grant.members,
    })
}
