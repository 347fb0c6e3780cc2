//! Where a member listens to those that want to join: little room, little time, one question each.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::error_chain;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;
use tracing::{debug, error, info, warn};
use zeroize::Zeroizing;

use super::{
    super::{
        config::TransportConfig,
        error::LinkError,
        identity::PeerIdentity,
        link::linger,
        places::{Place, Places},
    },
    codec::{
        self, ANSWER_BYTES_MAX, Answer, Ask, LENGTH_BYTES, Question, REQUEST_BYTES_MAX, Shown, Unreadable,
    },
    founding::{Exported, FoundingKey, Speaker},
    message::{Admission, JoinProof, JoinRefusal, JoinRequest, RefusalKind},
    stream,
};

/// The way in for newcomers.
pub(in super::super) struct JoinDoor {
    admission: Arc<dyn Admission>,
    places: Places,
    /// How long a newcomer may take for its part.
    question_timeout: Duration,
    /// How long the cluster may take for its part.
    answer_timeout: Duration,
}

/// A question that was read, and whom the answer has to convince.
struct Asked {
    request: JoinRequest,
    convince: Option<(FoundingKey, Exported, [u8; 32])>,
}

impl JoinDoor {
    pub(in super::super) fn new(admission: Arc<dyn Admission>, config: &TransportConfig) -> Self {
        Self {
            admission,
            places: Places::new(config.joins_max, config.joins_per_address_max),
            question_timeout: config.handshake_timeout,
            answer_timeout: config.join_timeout,
        }
    }

    /// Hears one question and answers it. `handshake` is the place that the newcomer has had until now.
    pub(in super::super) async fn serve(
        &self,
        mut stream: TlsStream<TcpStream>,
        from: SocketAddr,
        own: &PeerIdentity,
        handshake: Place,
    ) {
        // Its place among the joining lasts to the end; that in the handshake ends where it has one.
        let place = self.places.enter(from.ip());
        let answer = if place.is_some() {
            drop(handshake);
            match timeout(self.question_timeout, self.hear(&mut stream, own)).await {
                Ok(Ok(Ok(asked))) => self.decide(asked, from).await,
                Ok(Ok(Err(refusal))) => {
                    debug!(%from, why = refusal.text, "could not hear a question to join");
                    Err(refusal)
                }
                Ok(Err(error)) => return debug!(%from, why = error_chain(&error), "nobody asked to join"),
                Err(_) => return debug!(%from, "nothing came of a question to join in time"),
            }
        } else {
            debug!(%from, "too many want to join at once");
            Err(JoinRefusal::new(RefusalKind::Busy, "too many nodes want to join here at once"))
        };
        let granted = answer.is_ok();
        let bytes = answer.unwrap_or_else(|refusal| Answer::Refused(refusal).encode());
        let sent = timeout(self.answer_timeout, async {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        });
        match sent.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(()) => linger(stream, self.question_timeout).await,
            Err(error) if granted => {
                warn!(%from, %error, "a node was admitted, and the answer did not reach it; it has to ask again");
            }
            Err(error) => debug!(%from, %error, "an answer did not reach who wanted to join"),
        }
    }

    /// Reads the question and checks what can be checked here.
    async fn hear(
        &self,
        stream: &mut TlsStream<TcpStream>,
        own: &PeerIdentity,
    ) -> Result<Result<Asked, JoinRefusal>, LinkError> {
        let message = match stream::read(stream, REQUEST_BYTES_MAX).await {
            Ok(message) => message,
            Err(LinkError::Garbled { why }) => return Ok(Err(malformed(why))),
            Err(error) => return Err(error),
        };
        let exported = Exported::of_server(stream.get_ref().1)
            .map_err(|error| LinkError::Handshake { source: std::io::Error::other(error) })?;
        Ok(self.understand(&message, exported, own))
    }

    fn understand(&self, message: &[u8], on: Exported, own: &PeerIdentity) -> Result<Asked, JoinRefusal> {
        let question = Question::decode(message).map_err(unreadable)?;
        let ask = Ask::decode(&question.ask).map_err(unreadable)?;
        if ask.cluster != own.cluster {
            let text = format!("this is a member of the cluster `{}`, not of `{}`", own.cluster, ask.cluster);
            return Err(JoinRefusal::new(RefusalKind::OtherCluster, text));
        }
        let (proof, convince) = match question.shown {
            Shown::Secret(secret) => (JoinProof::Secret(secret.digest()), None),
            Shown::Founding { nonce, mac } => {
                let key =
                    self.shared(|key| key.believes(Speaker::Newcomer, &on, &nonce, &question.ask, &mac))?;
                (JoinProof::SharedKey, Some((key, on, nonce)))
            }
        };
        let request = JoinRequest {
            proof,
            node: ask.node,
            address: ask.address,
            certificate_request: ask.certificate_request,
            agent_version: ask.agent_version,
        };
        Ok(Asked { request, convince })
    }

    /// The key that the newcomer has shown to know.
    fn shared(&self, shows: impl Fn(&FoundingKey) -> bool) -> Result<FoundingKey, JoinRefusal> {
        let keys = self.admission.founding_keys();
        if keys.is_empty() {
            let text = "nodes cannot found this cluster together (any more): join it with a token";
            return Err(JoinRefusal::new(RefusalKind::FoundingClosed, text));
        }
        let known = keys.into_iter().find(shows);
        known.ok_or_else(|| {
            let text = "the proof is not of a gossip key of this cluster, or was made for another connection";
            JoinRefusal::new(RefusalKind::KeyUnknown, text)
        })
    }

    async fn decide(&self, asked: Asked, from: SocketAddr) -> Result<Zeroizing<Vec<u8>>, JoinRefusal> {
        let node = asked.request.node.clone();
        let admitted = timeout(self.answer_timeout, self.admission.admit(asked.request, from)).await;
        let admitted = admitted.unwrap_or_else(|_| {
            let text = "the members did not agree in time: a majority of the voters has to run";
            Err(JoinRefusal::new(RefusalKind::NoQuorum, text))
        });
        let grant = admitted.inspect_err(|refusal| match refusal.kind {
            // Anybody may ask; who comes with what was a secret of ours once is worth a look.
            RefusalKind::SecretUsed | RefusalKind::SecretExpired | RefusalKind::NameTaken => {
                info!(%node, %from, why = refusal.text, "a node may not join");
            }
            _ => debug!(%node, %from, why = refusal.text, "a node may not join"),
        })?;
        let id = grant.id;
        let grant = codec::encode_grant(&grant);
        let mac = asked.convince.map(|(key, on, nonce)| key.prove(Speaker::Member, &on, &nonce, &grant));
        let bytes = Answer::Granted { grant, mac }.encode();
        if bytes.len() > LENGTH_BYTES + ANSWER_BYTES_MAX {
            error!(%node, bytes = bytes.len(), "what a new member needs is larger than can be sent");
            let text = "what a new member needs is larger than can be sent: see the log of this member";
            return Err(JoinRefusal::new(RefusalKind::Other, text));
        }
        info!(%node, %id, %from, "a node joins");
        Ok(bytes)
    }
}

fn malformed(why: String) -> JoinRefusal {
    JoinRefusal::new(RefusalKind::Malformed, why)
}

fn unreadable(error: Unreadable) -> JoinRefusal {
    match error {
        Unreadable::Version(_) => JoinRefusal::new(RefusalKind::OtherVersion, error.to_string()),
        Unreadable::Form(why) => malformed(why),
    }
}
