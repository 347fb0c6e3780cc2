//! One frame to one member and out: what the notary does with an obituary, when the worker that kept the connections is
//! the one that died.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout;

use super::{
    codec::Packet,
    config::TransportConfig,
    dialer::connect,
    error::LinkError,
    identity::PeerIdentity,
    link::{LinkReader, LinkWriter},
    tls::TlsIdentity,
};
use crate::Frame;

/// Sends one frame to a member and waits until the member has taken it.
///
/// `Ok` means that it was handed to the member's Raft task. The whole takes no longer than `within`.
pub async fn announce(
    config: &TransportConfig,
    identity: &TlsIdentity,
    address: SocketAddr,
    to: &PeerIdentity,
    frame: Frame,
    within: Duration,
) -> Result<(), LinkError> {
    let announced = async {
        let (reader, writer) = tokio::io::split(connect(config, identity, address, to).await?);
        let (mut reader, mut writer) = (LinkReader::new(reader), LinkWriter::new(writer));
        writer.packet(&Packet::Frame(frame), within).await?;
        writer.packet(&Packet::Ping(0), within).await?;
        let answer = reader.next(within).await?;
        writer.close(within).await;
        match answer {
            Packet::Pong(0) => Ok(()),
            Packet::Refused(why) => Err(LinkError::TurnedAway { why }),
            _ => Err(LinkError::Garbled { why: "an answer to nothing".to_owned() }),
        }
    };
    timeout(within, announced).await.map_err(|_| LinkError::Silent { what: "the announcement" })?
}
