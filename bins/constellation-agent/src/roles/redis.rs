//! What a Redis says when it is asked which part it has.

use std::{io, net::SocketAddr};

use constellation_core::Role;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// `ROLE` in Redis's protocol.
const ASK: &[u8] = b"*1\r\n$4\r\nROLE\r\n";
/// What is read of an answer, at most. Its first word says it, and a primary lists its replicas after that.
const ANSWER_BYTES_MAX: usize = 512;

/// It did not say which part it has.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsaid {
    #[error("it could not be asked at {address}")]
    Asked { address: SocketAddr, source: io::Error },
    #[error("it refuses to say: {answer}; `ROLE` must be allowed without a password")]
    Refused { answer: String },
    #[error("it does not answer as a Redis does")]
    Foreign,
}

/// Asks it.
pub(super) async fn ask(address: SocketAddr) -> Result<Role, Unsaid> {
    let failed = |source| Unsaid::Asked { address, source };
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.write_all(ASK).await.map_err(failed)?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
    loop {
        let mut part = [0; ANSWER_BYTES_MAX];
        let count = stream.read(&mut part).await.map_err(failed)?;
        answer.extend_from_slice(part.get(..count).unwrap_or_default());
        match read(&answer) {
            Some(said) => return said,
            None if count == 0 || answer.len() >= ANSWER_BYTES_MAX => return Err(Unsaid::Foreign),
            None => {}
        }
    }
}

/// Reads the beginning of an answer; `None` while more has to come.
fn read(answer: &[u8]) -> Option<Result<Role, Unsaid>> {
    let mut lines = answer.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\r\n"));
    let first = lines.next()?;
    if let Some(refusal) = first.strip_prefix(b"-") {
        let answer = String::from_utf8_lossy(refusal).chars().filter(|c| !c.is_control()).take(120).collect();
        return Some(Err(Unsaid::Refused { answer }));
    }
    if !first.starts_with(b"*") {
        return Some(Err(Unsaid::Foreign));
    }
    lines.next()?;
    Some(match lines.next()? {
        b"master\r\n" => Ok(Role::Primary),
        b"slave\r\n" => Ok(Role::Replica),
        // A sentinel, which holds no data.
        _ => Err(Unsaid::Foreign),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &str) -> Option<Result<Role, String>> {
        read(answer.as_bytes()).map(|said| said.map_err(|error| error.to_string()))
    }

    #[test]
    fn the_first_word_of_an_answer_says_the_role_once_it_is_whole() {
        assert_eq!(said("*3\r\n$6\r\nmaster\r\n:3129659\r\n*0\r\n"), Some(Ok(Role::Primary)));
        assert_eq!(said("*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n"), Some(Ok(Role::Replica)));
        let whole = "*5\r\n$5\r\nslave\r\n";
        for end in 0..whole.len() {
            assert_eq!(said(&whole[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_redis_that_wants_a_password_is_quoted() {
        let said = said("-NOAUTH Authentication required.\r\n").unwrap().unwrap_err();
        assert!(said.contains("NOAUTH") && said.contains("without a password"), "{said}");
    }

    #[test]
    fn who_is_no_redis_that_holds_data_has_no_role() {
        for answer in ["HTTP/1.1 400 Bad Request\r\n", "*2\r\n$8\r\nsentinel\r\n", "\r\n", "+OK\r\n"] {
            assert!(matches!(said(answer), Some(Err(_))), "{answer}");
        }
    }
}
