#![allow(clippy::unwrap_used, reason = "a test may")]

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;

/// Two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Bytes in which a lost, doubled or swapped one shows.
fn bytes(count: usize, seed: usize) -> Vec<u8> {
    (0..count).map(|at| u8::try_from((at * 31 + at / 251 + seed) % 251).unwrap()).collect()
}

/// Says all of it in such pieces, then that this was all; and hears everything that the other says.
async fn converse(stream: &mut TcpStream, pieces: &[usize], seed: usize) -> Vec<u8> {
    let said = bytes(pieces.iter().sum(), seed);
    let (mut from, mut to) = stream.split();
    let say = async {
        let mut rest = said.as_slice();
        for piece in pieces {
            let (now, later) = rest.split_at(*piece);
            to.write_all(now).await.unwrap();
            rest = later;
            tokio::task::yield_now().await;
        }
        to.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let ((), count) = tokio::join!(say, from.read_to_end(&mut heard));
    count.unwrap();
    heard
}

/// What each of two clients heard that speak through `both_ways`.
async fn through(pipes: &Pipes, one: &[usize], other: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let ((mut client, mut near), (mut far, mut server)) = tokio::join!(pair(), pair());
    let (by_client, by_server, forwarded) = tokio::join!(
        converse(&mut client, one, 1),
        converse(&mut server, other, 2),
        both_ways(&mut near, &mut far, pipes)
    );
    forwarded.unwrap();
    (by_client, by_server)
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    let piece = prop_oneof![4 => 1_usize..2_000, 1 => 2_000_usize..400_000];
    proptest::collection::vec(piece, 0..8)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Copied only, by a pipe from the first byte on, and beginning with the one in the midst of the other.
    #[test]
    fn everything_arrives_byte_for_byte_however_it_is_moved(
        one in pieces(), other in pieces(), after in prop_oneof![Just(0), Just(u64::MAX), 1_u64..300_000],
    ) {
        let pipes = Pipes { after, ..Pipes::default() };
        let (by_client, by_server) = runtime().block_on(through(&pipes, &one, &other));
        prop_assert!(by_server == bytes(one.iter().sum(), 1), "the server heard {} bytes", by_server.len());
        prop_assert!(by_client == bytes(other.iter().sum(), 2), "the client heard {} bytes", by_client.len());
    }
}

#[tokio::test]
async fn without_a_free_pipe_a_bulky_connection_is_copied() {
    let pipes = Pipes { after: 0, free: Semaphore::new(0) };
    let (by_client, by_server) = through(&pipes, &[300_000], &[300_000]).await;
    assert!(by_client == bytes(300_000, 2) && by_server == bytes(300_000, 1));
}

#[tokio::test]
async fn a_bulky_direction_holds_a_pipe_and_gives_it_back() {
    let pipes = Pipes::default();
    let ((mut client, mut near), (mut far, mut server)) = tokio::join!(pair(), pair());
    let talk = async {
        let said = bytes(200_000, 1);
        let mut heard = vec![0; said.len()];
        let (said_all, heard_all) = tokio::join!(client.write_all(&said), server.read_exact(&mut heard));
        said_all.unwrap();
        heard_all.unwrap();
        assert!(heard == said);
        assert_eq!(
            pipes.free.available_permits(),
            PIPES_MAX - 1,
            "one direction was bulky, the other silent"
        );
        drop((client, server));
    };
    let ((), forwarded) = tokio::join!(talk, both_ways(&mut near, &mut far, &pipes));
    forwarded.unwrap();
    assert_eq!(pipes.free.available_permits(), PIPES_MAX);
}

#[tokio::test]
async fn a_client_that_breaks_off_ends_the_other_side_in_the_midst_of_a_bulky_answer() {
    let pipes = Pipes { after: 0, ..Pipes::default() };
    let ((mut client, mut near), (mut far, mut server)) = tokio::join!(pair(), pair());
    let ask = async {
        let mut some = vec![0; 100_000];
        client.read_exact(&mut some).await.unwrap();
        // Unread bytes make the kernel reset the connection.
        drop(client);
    };
    let answer = async {
        let piece = vec![7; 64 * 1024];
        while server.write_all(&piece).await.is_ok() {}
    };
    let forwarding = async {
        let ended = both_ways(&mut near, &mut far, &pipes).await;
        drop((near, far));
        ended
    };
    let ((), (), ended) = tokio::join!(ask, answer, forwarding);
    assert!(ended.is_err());
}
