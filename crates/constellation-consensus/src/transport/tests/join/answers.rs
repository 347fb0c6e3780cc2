//! Members whose answers make no sense, or never come.

use tokio::{io::AsyncWriteExt, net::TcpListener};
use tokio_rustls::TlsAcceptor;

use super::{super::super::join::testing::read, *};

/// A member that gives the same answer to every question, and then closes the connection, or not.
async fn answering(ca: &ClusterCa, answer: Vec<u8>, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, identity) = (listener.local_addr().unwrap(), tls(ca, 1));
    in_background(async move {
        let acceptor = TlsAcceptor::from(Arc::clone(&identity.join));
        let mut held = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            read(&mut stream, 16 << 10).await.unwrap();
            let _ = stream.write_all(&answer).await;
            let _ = stream.flush().await;
            if closes {
                let _ = stream.shutdown().await;
            } else {
                held.push(stream);
            }
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_as_good_as_none() {
    let ca = authority();
    let framed = |body: &[u8]| [&u32::try_from(body.len()).unwrap().to_le_bytes()[..], body].concat();
    for (answer, why) in [
        (Vec::new(), "the connection ended"),
        (vec![9, 0], "cut short"),
        (framed(&[65, 1, 2, 3])[..6].to_vec(), "cut short"),
        (framed(b""), "is empty"),
        (u32::MAX.to_le_bytes().to_vec(), "larger than the 1048576"),
        (framed(&[64, 8, 1]), "kind 64 has no place here"),
        (framed(&[0, 8, 1]), "kind 0 has no place here"),
        (framed(&[65, 0xff]), "decode"),
        (framed(&[66, 0xff]), "decode"),
    ] {
        let address = answering(&ca, answer, true).await;
        let error = join(&token(&ca, &[address]), &ask(), &patience()).await.unwrap_err();
        assert!(matches!(error, JoinError::NobodyAnswered { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error} should say {why}");
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_not_waited_for_for_ever() {
    let ca = authority();
    let hasty = JoinPatience { answer: Duration::from_millis(50), rounds: 2, ..patience() };
    for answer in [Vec::new(), vec![100, 0, 0, 0, 65]] {
        let address = answering(&ca, answer, false).await;
        let error = join(&token(&ca, &[address]), &ask(), &hasty).await.unwrap_err().to_string();
        assert!(error.contains("nothing came of an answer in time"), "{error}");
    }
    // Nor is somebody who does not even shake hands.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hasty = JoinPatience { connect: Duration::from_millis(50), ..hasty };
    let address = mute.local_addr().unwrap();
    let error = join(&token(&ca, &[address]), &ask(), &hasty).await.unwrap_err().to_string();
    assert!(error.contains("nothing came of the connection in time"), "{error}");
}
