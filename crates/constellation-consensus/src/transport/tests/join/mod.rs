//! Nodes that join, and others that would like to.

mod answers;
mod codec;
mod founders;
mod grants;
mod strangers;
mod tokens;

use std::{collections::VecDeque, sync::Mutex};

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{
    super::{
        CERTIFICATE_LIFETIME, Fingerprint, FoundingKey, JoinAsk, JoinError, JoinGrant, JoinMember,
        JoinPatience, JoinProof, JoinRefusal, JoinRequest, JoinSecret, JoinToken, Joined, NodeKey,
        RefusalKind, join, join_founder,
    },
    *,
};

const GOSSIP_KEY: [u8; 32] = [42; 32];
const NEW_ID: u64 = 9;

type Spoil = fn(&ClusterCa, &mut JoinGrant);

/// What the cluster does with one question; when nothing is left, it grants.
enum Deed {
    Grant,
    Refuse(RefusalKind, &'static str),
    /// Grants, and something is wrong with it.
    Spoil(Spoil),
    /// Does not come to a decision.
    Hang,
}

/// A cluster that decides as written down.
struct Script {
    ca: ClusterCa,
    founding_keys: Vec<FoundingKey>,
    deeds: Mutex<VecDeque<Deed>>,
    heard: Mutex<Vec<JoinRequest>>,
}

impl Script {
    fn new(ca: &ClusterCa, deeds: impl IntoIterator<Item = Deed>) -> Arc<Self> {
        Self::with_keys(ca, Vec::new(), deeds)
    }

    fn with_keys(
        ca: &ClusterCa,
        founding_keys: Vec<FoundingKey>,
        deeds: impl IntoIterator<Item = Deed>,
    ) -> Arc<Self> {
        let ca = ClusterCa::from_pem(ca.to_pem().as_bytes()).unwrap();
        let deeds = Mutex::new(deeds.into_iter().collect());
        Arc::new(Self { ca, founding_keys, deeds, heard: Mutex::default() })
    }

    fn heard(&self) -> Vec<JoinRequest> {
        self.heard.lock().unwrap().clone()
    }

    fn grant(&self, request: &JoinRequest) -> JoinGrant {
        let member = PeerIdentity {
            cluster: self.ca.cluster().clone(),
            node: request.node.clone(),
            id: RaftId(NEW_ID),
        };
        let asked = &request.certificate_request;
        JoinGrant {
            id: member.id,
            epoch: EPOCH,
            certificate: self.ca.issue(asked, &member, now(), CERTIFICATE_LIFETIME).unwrap(),
            trusted: vec![self.ca.certificate().clone()],
            authority_pem: Some(self.ca.to_pem()),
            gossip_keys: Some(Zeroizing::new("a gossip key".to_owned())),
            settings: b"settings".to_vec(),
            members: vec![JoinMember { id: RaftId(1), node: super::member(1).node, address: None }],
        }
    }
}

#[async_trait]
impl Admission for Script {
    async fn admit(&self, request: JoinRequest, _from: SocketAddr) -> Result<JoinGrant, JoinRefusal> {
        let deed = self.deeds.lock().unwrap().pop_front().unwrap_or(Deed::Grant);
        let mut grant = self.grant(&request);
        self.heard.lock().unwrap().push(request);
        match deed {
            Deed::Grant => {}
            Deed::Refuse(kind, text) => return Err(JoinRefusal::new(kind, text)),
            Deed::Spoil(spoil) => spoil(&self.ca, &mut grant),
            Deed::Hang => std::future::pending().await,
        }
        Ok(grant)
    }

    fn founding_keys(&self) -> Vec<FoundingKey> {
        self.founding_keys.clone()
    }
}

/// A member that lets nodes join as the script says.
async fn admitting(ca: &ClusterCa, script: &Arc<Script>, config: TransportConfig) -> Member {
    let admission: Arc<dyn Admission> = Arc::clone(script) as _;
    Member::start_admitting(1, tls(ca, 1), config, Some(admission)).await
}

fn token(ca: &ClusterCa, addresses: &[SocketAddr]) -> JoinToken {
    JoinToken {
        cluster: ca.cluster().clone(),
        authority: ca.fingerprint(),
        addresses: addresses.to_vec(),
        secret: JoinSecret::generate(),
    }
}

fn ask() -> JoinAsk {
    JoinAsk {
        node: member(NEW_ID).node,
        address: "192.0.2.9:8300".parse().unwrap(),
        agent_version: "0.1.0".to_owned(),
        key: NodeKey::generate().unwrap(),
    }
}

/// Tries often, and does not wait for long.
fn patience() -> JoinPatience {
    JoinPatience {
        connect: PATIENCE,
        answer: PATIENCE,
        rounds: 3,
        between: Schedule::new(Duration::from_millis(5), Duration::from_millis(50)),
    }
}

fn founding_key(shared: &[u8]) -> FoundingKey {
    FoundingKey::derive(shared, &"home".parse().unwrap())
}

async fn found(addresses: &[SocketAddr], key: &FoundingKey, ask: &JoinAsk) -> Result<Joined, JoinError> {
    join_founder(addresses, &"home".parse().unwrap(), key, ask, &patience()).await
}

/// That a node which has joined is heard by the members as what it is now.
async fn speaks_as_member(joined: &Joined, to: &mut Member) {
    let identity = Arc::new(TlsIdentity::new(&joined.credentials).unwrap());
    let new = Member::start(joined.id.0, identity, config()).await;
    new.knows(to.id, to.address()).await;
    new.send(to.id, 4);
    let (from, frame) = to.frame().await;
    assert_eq!((&from, number(&frame)), (joined.credentials.identity(), 4));
    new.stop().await;
}
