//! Somebody on the line between two members, who can do what they like with the bytes and has no key.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::sync::CancellationToken;

use super::*;

/// What happens to a record of TLS, once.
#[derive(Clone, Copy, Debug)]
enum Mischief {
    /// It comes after the next one.
    Late,
    Twice,
    /// One bit of it is another.
    Changed,
    Lost,
    /// Its first half comes, and then nothing ever again.
    Cut,
    /// Something that never was one of them comes before it.
    Forged,
}

/// The next record, with its head.
async fn record(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut record = vec![0; 5];
    from.read_exact(&mut record).await?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    from.read_exact(&mut record[5..]).await?;
    Ok(record)
}

/// Passes on what one end says, but for one record after the sign was given. Returns when the line is dead.
async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mischief: Mischief,
    sign: CancellationToken,
) -> std::io::Result<()> {
    let mut done = false;
    loop {
        let mut record = record(&mut from).await?;
        if done || !sign.is_cancelled() {
            to.write_all(&record).await?;
            continue;
        }
        done = true;
        match mischief {
            Mischief::Late => {
                to.write_all(&self::record(&mut from).await?).await?;
                to.write_all(&record).await?;
            }
            Mischief::Twice => {
                to.write_all(&record).await?;
                to.write_all(&record).await?;
            }
            Mischief::Changed => {
                *record.last_mut().unwrap() ^= 1;
                to.write_all(&record).await?;
            }
            Mischief::Lost => {}
            Mischief::Cut => {
                to.write_all(&record[..record.len() / 2]).await?;
                return Ok(());
            }
            Mischief::Forged => {
                let forged = [&[23, 3, 3, 0, 64][..], &[0x5a; 64], &record].concat();
                to.write_all(&forged).await?;
            }
        }
    }
}

#[tokio::test]
async fn whoever_changes_what_is_on_the_line_ends_the_connection_and_nothing_is_delivered_twice_late_or_changed()
 {
    let ca = authority();
    let mischiefs =
        [Mischief::Late, Mischief::Twice, Mischief::Changed, Mischief::Lost, Mischief::Cut, Mischief::Forged];
    for mischief in mischiefs {
        let a = Member::start(1, tls(&ca, 1), config()).await;
        let mut b = Member::start(2, tls(&ca, 2), config()).await;
        let line = TcpListener::bind("127.0.0.1:0").await.unwrap();
        a.knows(2, line.local_addr().unwrap()).await;
        let (from_a, _) = line.accept().await.unwrap();
        let (a_read, mut a_write) = from_a.into_split();
        let (mut b_read, b_write) = TcpStream::connect(b.address()).await.unwrap().into_split();
        let sign = CancellationToken::new();
        let forth = pass_on(a_read, b_write, mischief, sign.clone());
        let back = tokio::io::copy(&mut b_read, &mut a_write);
        let mut delivered = Vec::new();
        let story = async {
            // It says something all the time, and the sign comes when that is heard.
            let mut next = 0;
            let mut pace = tokio::time::interval(Duration::from_millis(2));
            let why = loop {
                tokio::select! {
                    (_, frame) = b.frame() => {
                        delivered.push(number(&frame));
                        if delivered.len() == 5 { sign.cancel(); }
                    }
                    _ = pace.tick() => {
                        a.send(2, next);
                        next += 1;
                        let status = a.transport.peers().remove(&RaftId(2));
                        if let Some(why) = status.and_then(|status| status.last_error) { break why; }
                    }
                }
            };
            (why, next)
        };
        let busy_line = async {
            let _ = tokio::join!(forth, back);
            std::future::pending::<()>().await;
        };
        let (why, next) = tokio::select! {
            told = tokio::time::timeout(PATIENCE, story) => {
                told.unwrap_or_else(|_| panic!("{mischief:?} goes unnoticed"))
            }
            () = busy_line => unreachable!(),
        };
        // Where nothing is said any more, nobody says so either.
        let silent = matches!(mischief, Mischief::Cut) && why.contains("whether it is there");
        assert!(silent || why.contains("the connection ended"), "{mischief:?}: {why}");
        // On an honest line it goes on, and what was kept for it comes as it was said.
        a.knows(2, b.address()).await;
        a.connected(2).await;
        a.send(2, next);
        while delivered.last() != Some(&next) {
            delivered.push(b.number().await);
        }
        assert!(delivered.len() >= 5 && delivered.is_sorted_by(|a, b| a < b), "{mischief:?}: {delivered:?}");
        a.stop().await;
        b.stop().await;
    }
}
