//! How a node asks to join: at one address after the other, a few times, and what it makes of the answers.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::{ClusterId, NodeName, error_chain};
use constellation_tasks::{Backoff, Schedule};
use rustls::{
    AlertDescription, ClientConfig,
    pki_types::{ServerName, UnixTime},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    super::{
        error::LinkError,
        identity::PeerIdentity,
        newcomer::{Belief, is_about_time},
        pki::NodeKey,
        token::{JoinSecret, JoinToken},
    },
    check::{Joined, Wrong, check},
    codec::{self, ANSWER_BYTES_MAX, Answer, Ask, Question, Shown},
    error::JoinError,
    founding::{Exported, FoundingKey, Speaker},
    message::{JoinRefusal, RefusalKind},
    stream,
};

/// Who wants to join.
#[derive(Debug)]
pub struct JoinAsk {
    /// What it is to be called.
    pub node: NodeName,
    /// Where the others will reach it: its Raft port, on the mesh address.
    pub address: SocketAddr,
    /// The version that it runs, for people.
    pub agent_version: String,
    /// The key that it has made for itself. Asking again with the same key is the same question, as long as it is open.
    pub key: NodeKey,
}

/// How long a node tries to join.
#[derive(Clone, Copy, Debug)]
pub struct JoinPatience {
    /// How long a connection, with its handshake, may take to come about.
    pub connect: Duration,
    /// How long the answer may take: longer than the members give themselves.
    pub answer: Duration,
    /// How often all addresses are tried.
    pub rounds: u32,
    /// How long to wait between two rounds.
    pub between: Schedule,
}

impl Default for JoinPatience {
    /// Outlasts an election and a restart of the members.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(25),
            rounds: 6,
            between: Schedule::new(Duration::from_millis(500), Duration::from_secs(4)),
        }
    }
}

/// Joins the cluster that a token was made for.
///
/// The secret is told only to members that the token's authority certifies. `Ok` is checked: a certificate by this
/// authority, for this key, this node and the id that was given.
pub async fn join(token: &JoinToken, ask: &JoinAsk, patience: &JoinPatience) -> Result<Joined, JoinError> {
    let belief = Belief::Pinned(token.authority);
    let newcomer = Newcomer::new(&token.cluster, belief, Proof::Secret(&token.secret), ask, patience)?;
    newcomer.go_round(&token.addresses).await
}

/// Joins a cluster that is being founded by nodes that share a key.
///
/// `Ok` is checked as for [`join()`], and that whoever granted it knows the key as well.
pub async fn join_founder(
    addresses: &[SocketAddr],
    cluster: &ClusterId,
    key: &FoundingKey,
    ask: &JoinAsk,
    patience: &JoinPatience,
) -> Result<Joined, JoinError> {
    let belief = Belief::Unproven(cluster.clone());
    Newcomer::new(cluster, belief, Proof::Founding(key), ask, patience)?.go_round(addresses).await
}

#[derive(Clone, Copy)]
enum Proof<'a> {
    Secret(&'a JoinSecret),
    Founding(&'a FoundingKey),
}

struct Newcomer<'a> {
    cluster: &'a ClusterId,
    ask: &'a JoinAsk,
    /// The ask as it travels: always the same bytes.
    encoded: Vec<u8>,
    proof: Proof<'a>,
    belief: Belief,
    tls: Arc<ClientConfig>,
    patience: &'a JoinPatience,
}

/// What came of asking at one address.
enum Failed {
    /// Nobody, or nothing that makes sense.
    Link(LinkError),
    Refused(JoinRefusal),
    WrongAuthority,
    Time(String),
    Unproven,
    WrongGrant(String),
}

impl<'a> Newcomer<'a> {
    fn new(
        cluster: &'a ClusterId,
        belief: Belief,
        proof: Proof<'a>,
        ask: &'a JoinAsk,
        patience: &'a JoinPatience,
    ) -> Result<Self, JoinError> {
        let prepare = |source| JoinError::Prepare { source };
        let encoded = Ask {
            cluster: cluster.clone(),
            node: ask.node.clone(),
            address: ask.address,
            certificate_request: ask.key.request().map_err(prepare)?,
            agent_version: ask.agent_version.clone(),
        }
        .encode();
        let tls = Arc::new(belief.clone().client_config().map_err(prepare)?);
        Ok(Self { cluster, ask, encoded, proof, belief, tls, patience })
    }

    async fn go_round(&self, addresses: &[SocketAddr]) -> Result<Joined, JoinError> {
        let mut failures = BTreeMap::new();
        let mut backoff = Backoff::new(self.patience.between);
        for round in 0..self.patience.rounds.max(1) {
            if round > 0 {
                tokio::time::sleep(backoff.failed()).await;
            }
            for address in addresses {
                match self.knock(*address).await {
                    Ok(joined) => return Ok(joined),
                    Err(failed) if self.settles(&failed) => return Err(self.error(*address, failed)),
                    Err(failed) => drop(failures.insert(*address, failed)),
                }
            }
            if !failures.values().any(may_pass) {
                break;
            }
        }
        Err(self.verdict(addresses, failures))
    }

    /// Whether nobody else needs to be asked: a member of the right cluster has said what all of them would.
    fn settles(&self, failed: &Failed) -> bool {
        // Who has not proved to be a member settles nothing.
        let proved = matches!(self.belief, Belief::Pinned(_));
        proved
            && match failed {
                Failed::Refused(refusal) => !refusal.kind.may_pass(),
                Failed::WrongGrant(_) => true,
                _ => false,
            }
    }

    async fn knock(&self, address: SocketAddr) -> Result<Joined, Failed> {
        let connected = timeout(self.patience.connect, self.connect(address)).await;
        let mut stream =
            connected.map_err(|_| Failed::Link(LinkError::Silent { what: "the connection" }))??;
        let answered = timeout(self.patience.answer, self.question(&mut stream)).await;
        answered.map_err(|_| Failed::Link(LinkError::Silent { what: "an answer" }))?
    }

    async fn connect(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, Failed> {
        let connect = |source| Failed::Link(LinkError::Connect { address, source });
        let stream = TcpStream::connect(address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        // Members are known by their certificate, whatever address they are met at.
        let name = ServerName::IpAddress(address.ip().into());
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(handshake)
    }

    async fn question(&self, stream: &mut TlsStream<TcpStream>) -> Result<Joined, Failed> {
        let lost = |source| Failed::Link(LinkError::Ended { source: Some(source) });
        let garbled = |why: String| Failed::Link(LinkError::Garbled { why });
        let connection = stream.get_ref().1;
        let on = Exported::of_client(connection).map_err(|error| lost(io::Error::other(error)))?;
        let authority =
            connection.peer_certificates().and_then(|shown| self.belief.authority(shown.get(1..)?));
        let authority = authority.cloned().ok_or(Failed::WrongAuthority)?.into_owned();

        let nonce: [u8; 32] = rand::random();
        let shown = match self.proof {
            Proof::Secret(secret) => Shown::Secret(secret.clone()),
            Proof::Founding(key) => {
                Shown::Founding { nonce, mac: key.prove(Speaker::Newcomer, &on, &nonce, &self.encoded) }
            }
        };
        let question = Question { ask: self.encoded.clone(), shown };
        stream.write_all(&question.encode()).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;

        let message = stream::read(stream, ANSWER_BYTES_MAX).await.map_err(Failed::Link)?;
        let (grant, mac) = match Answer::decode(&message).map_err(|error| garbled(error.to_string()))? {
            Answer::Refused(refusal) => return Err(Failed::Refused(refusal)),
            Answer::Granted { grant, mac } => (grant, mac),
        };
        if let Proof::Founding(key) = self.proof {
            let believed = mac.is_some_and(|mac| key.believes(Speaker::Member, &on, &nonce, &grant, &mac));
            if !believed {
                return Err(Failed::Unproven);
            }
        }
        let grant = codec::decode_grant(&grant).map_err(|error| Failed::WrongGrant(error.to_string()))?;
        let expected =
            PeerIdentity { cluster: self.cluster.clone(), node: self.ask.node.clone(), id: grant.id };
        check(grant, &self.ask.key, &expected, &authority, UnixTime::now()).map_err(|wrong| match wrong {
            Wrong::Time(why) => Failed::Time(why),
            Wrong::Grant(why) => Failed::WrongGrant(why),
        })
    }

    /// What to say when nobody has taken the node in: the most telling of what was met.
    fn verdict(&self, addresses: &[SocketAddr], mut failures: BTreeMap<SocketAddr, Failed>) -> JoinError {
        let tried = addresses.iter().filter_map(|at| Some((*at, failures.get(at)?.to_string()))).collect();
        if failures.values().any(|failed| matches!(failed, Failed::Refused(no) if no.kind.may_pass())) {
            return JoinError::NotNow { tried };
        }
        let telling = addresses.iter().find(|at| !matches!(failures.get(at), None | Some(Failed::Link(_))));
        match telling.and_then(|at| Some((*at, failures.remove(at)?))) {
            Some((at, failed)) => self.error(at, failed),
            None => JoinError::NobodyAnswered { tried },
        }
    }

    fn error(&self, address: SocketAddr, failed: Failed) -> JoinError {
        let refusal = match failed {
            Failed::Link(_) => {
                return JoinError::NobodyAnswered { tried: vec![(address, failed.to_string())] };
            }
            Failed::WrongAuthority => {
                return match self.belief {
                    Belief::Pinned(_) => JoinError::WrongAuthority { address },
                    Belief::Unproven(_) => JoinError::OtherCluster {
                        cluster: self.cluster.clone(),
                        address,
                        text: "its certificate is not one of that cluster".to_owned(),
                    },
                };
            }
            Failed::Time(why) => return JoinError::Clock { address, why },
            Failed::Unproven => return JoinError::Unproven { address },
            Failed::WrongGrant(why) => return JoinError::WrongGrant { address, why },
            Failed::Refused(refusal) => refusal,
        };
        let text = refusal.text;
        match refusal.kind {
            RefusalKind::SecretUnknown => JoinError::SecretUnknown { address, text },
            RefusalKind::SecretUsed => JoinError::SecretUsed { address, text },
            RefusalKind::SecretExpired => JoinError::SecretExpired { address, text },
            RefusalKind::NameTaken => JoinError::NameTaken { node: self.ask.node.clone(), address, text },
            RefusalKind::NoQuorum | RefusalKind::NotHere | RefusalKind::Busy => {
                JoinError::NotNow { tried: vec![(address, text)] }
            }
            RefusalKind::OtherVersion => JoinError::OtherVersion { address, text },
            RefusalKind::OtherCluster => {
                JoinError::OtherCluster { cluster: self.cluster.clone(), address, text }
            }
            RefusalKind::KeyUnknown => JoinError::KeyUnknown { address, text },
            RefusalKind::FoundingClosed => JoinError::FoundingClosed { address, text },
            RefusalKind::Malformed | RefusalKind::Other => JoinError::Refused { address, text },
        }
    }
}

/// Whether asking there again may bring something else.
fn may_pass(failed: &Failed) -> bool {
    match failed {
        Failed::Link(_) => true,
        Failed::Refused(refusal) => refusal.kind.may_pass(),
        Failed::WrongAuthority | Failed::Time(_) | Failed::Unproven | Failed::WrongGrant(_) => false,
    }
}

fn handshake(source: io::Error) -> Failed {
    let tls = source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(error) if is_about_time(error) => Failed::Time(error.to_string()),
        Some(rustls::Error::InvalidCertificate(_)) => Failed::WrongAuthority,
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            Failed::Link(LinkError::TurnedAway { why: "nodes cannot join there (yet)".to_owned() })
        }
        _ => Failed::Link(LinkError::Handshake { source }),
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(error) => f.write_str(&error_chain(error)),
            Self::Refused(refusal) => f.write_str(&refusal.text),
            Self::WrongAuthority => f.write_str("it is of another cluster"),
            Self::Time(why) | Self::WrongGrant(why) => f.write_str(why),
            Self::Unproven => f.write_str("it did not show that it knows the gossip key"),
        }
    }
}
