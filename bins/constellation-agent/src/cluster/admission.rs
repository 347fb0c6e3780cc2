//! Who is let in: the question of a newcomer, put to the cluster.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use constellation_consensus::{
    ClusterCommand, LeaseHandle, Reply,
    member::{AdmissionKey, ClusterSettings, MemberCommand, MemberOutcome, MemberRefusal},
    raft::RaftId,
    transport::{
        Admission, CERTIFICATE_LIFETIME, ClusterCa, FoundingKey, JoinGrant, JoinMember, JoinProof,
        JoinRefusal, JoinRequest, PeerIdentity, RefusalKind,
    },
};
use constellation_core::{Clock, ClusterId, ClusterView, error_chain};
use constellation_security::{Keyring, read_secret};
use tokio::sync::watch;
use tracing::{debug, warn};
use zeroize::Zeroizing;

use super::{files::ClusterFiles, roster::told_address};

/// What the keys of founding nodes are derived for.
const FOUNDING: &[u8] = b"founding";

/// The keys with which nodes that share a gossip key found a cluster together.
pub(crate) fn founding_keys(keyring: &Keyring, cluster: &ClusterId) -> Vec<FoundingKey> {
    keyring.derived(FOUNDING).iter().map(|key| FoundingKey::derive(key.as_slice(), cluster)).collect()
}

/// Lets nodes in on behalf of the cluster.
pub(crate) struct Doorkeeper {
    pub(crate) cluster: ClusterId,
    pub(crate) epoch: u64,
    pub(crate) me: RaftId,
    pub(crate) authority: Option<ClusterCa>,
    pub(crate) settings: ClusterSettings,
    pub(crate) files: ClusterFiles,
    /// There from the moment on at which the service runs.
    pub(crate) handle: watch::Receiver<Option<LeaseHandle>>,
    pub(crate) view: watch::Receiver<Arc<ClusterView>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How many nodes found this cluster together; zero where none do.
    pub(crate) founders: usize,
    pub(crate) keyring: Option<std::path::PathBuf>,
}

fn refuse<T>(kind: RefusalKind, text: impl Into<String>) -> Result<T, JoinRefusal> {
    Err(JoinRefusal::new(kind, text))
}

impl Doorkeeper {
    fn handle(&self) -> Result<LeaseHandle, JoinRefusal> {
        self.handle
            .borrow()
            .clone()
            .ok_or_else(|| JoinRefusal::new(RefusalKind::NotHere, "this member only just starts"))
    }

    /// The member of the newcomer's name that it takes the place of, if that one is gone.
    fn replaces(&self, handle: &LeaseHandle, request: &JoinRequest) -> Result<Option<RaftId>, JoinRefusal> {
        let table = handle.roster();
        let table = table.borrow();
        let Some(id) = table.named(&request.node) else { return Ok(None) };
        let same = table.member(id).is_some_and(|member| member.request == request.digest());
        let live = told_address(&self.view.borrow(), &request.node, id).is_some();
        if !same && (live || id == self.me) {
            let text = format!(
                "the member `{}` is there and well: give the new node another name, or stop that one first",
                request.node
            );
            return refuse(RefusalKind::NameTaken, text);
        }
        Ok(Some(id))
    }

    fn gossip_keys(&self) -> Option<Zeroizing<String>> {
        let text = read_secret(self.keyring.as_ref()?);
        match text {
            Ok(text) => String::from_utf8(text.to_vec()).ok().map(|text| Zeroizing::new(text + "\n")),
            Err(error) => {
                warn!(error = error_chain(&error), "a new member is not given the gossip keys");
                None
            }
        }
    }
}

#[async_trait]
impl Admission for Doorkeeper {
    async fn admit(&self, request: JoinRequest, from: SocketAddr) -> Result<JoinGrant, JoinRefusal> {
        let Some(authority) = &self.authority else {
            let text = format!(
                "this member cannot sign certificates: {} is not here; ask one that has it",
                self.files.authority_path().display()
            );
            return refuse(RefusalKind::NotHere, text);
        };
        let handle = self.handle()?;
        let member = |id| PeerIdentity { cluster: self.cluster.clone(), node: request.node.clone(), id };
        let issue = |id| {
            let now = self.clock.wall();
            authority.issue(&request.certificate_request, &member(id), now, CERTIFICATE_LIFETIME)
        };
        // Looked at before the token is used up.
        if let Err(error) = issue(RaftId(1)) {
            return refuse(RefusalKind::Malformed, error_chain(&error));
        }
        let key = match request.proof {
            JoinProof::Secret(secret) => AdmissionKey::Secret(secret),
            JoinProof::SharedKey => {
                AdmissionKey::SharedKey { founders: u16::try_from(self.founders).unwrap_or(u16::MAX) }
            }
        };
        let command = MemberCommand::Admit {
            key,
            node: request.node.clone(),
            address: request.address,
            request: request.digest(),
            at: self.clock.wall(),
            replaces: self.replaces(&handle, &request)?,
        };
        let id = match handle.propose(ClusterCommand::Member(command)).await {
            Ok((_, Reply::Member { outcome: MemberOutcome::Admitted(id), .. })) => id,
            Ok((_, Reply::Member { outcome: MemberOutcome::Refused(refusal), .. })) => {
                let kind = match &refusal {
                    MemberRefusal::UnknownSecret => RefusalKind::SecretUnknown,
                    MemberRefusal::UsedSecret(_) => RefusalKind::SecretUsed,
                    MemberRefusal::Expired => RefusalKind::SecretExpired,
                    MemberRefusal::NameTaken(_) => RefusalKind::NameTaken,
                    MemberRefusal::FoundingClosed(_) => RefusalKind::FoundingClosed,
                    _ => RefusalKind::Other,
                };
                return refuse(kind, refusal.to_string());
            }
            Ok(_) => return refuse(RefusalKind::Other, "the cluster answered something else"),
            Err(lost) => {
                let text = format!("the cluster cannot agree on anything now: {lost}");
                return refuse(RefusalKind::NoQuorum, text);
            }
        };
        let certificate =
            issue(id).map_err(|error| JoinRefusal::new(RefusalKind::Other, error_chain(&error)))?;
        let table = handle.roster().borrow().clone();
        let signs = match request.proof {
            JoinProof::Secret(secret) => table.offer_of(secret).is_some_and(|offer| offer.authority),
            JoinProof::SharedKey => true,
        };
        debug!(node = %request.node, %id, address = %request.address, %from, agent = request.agent_version, "a node was let in");
        Ok(JoinGrant {
            id,
            epoch: self.epoch,
            certificate,
            trusted: vec![authority.certificate().clone()],
            authority_pem: signs.then(|| authority.to_pem()),
            gossip_keys: self.gossip_keys(),
            settings: self.settings.encode(),
            members: table
                .members()
                .map(|(id, member)| JoinMember {
                    id,
                    node: member.node.clone(),
                    address: Some(member.address),
                })
                .collect(),
        })
    }

    fn founding_keys(&self) -> Vec<FoundingKey> {
        // Also when they are complete: the last one may ask again, because its answer was lost, and the table knows it again.
        let founders = u64::try_from(self.founders).unwrap_or(u64::MAX);
        let open = founders > 0
            && self
                .handle
                .borrow()
                .as_ref()
                .is_some_and(|handle| handle.roster().borrow().ever() <= founders);
        if !open {
            return Vec::new();
        }
        match self.keyring.as_deref().map(Keyring::read) {
            Some(Ok(keyring)) => founding_keys(&keyring, &self.cluster),
            Some(Err(error)) => {
                warn!(error = error_chain(&error), "nodes cannot found the cluster with the gossip keys");
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}
