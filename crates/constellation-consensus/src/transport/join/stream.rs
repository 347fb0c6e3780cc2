//! One message off a stream, and what became of it where there is none.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

use super::{super::error::LinkError, codec::LENGTH_BYTES};

/// Takes one message off a stream: kind and body. How long that may take is for the caller to say.
pub(in super::super) async fn read<R>(
    stream: &mut R,
    bytes_max: usize,
) -> Result<Zeroizing<Vec<u8>>, LinkError>
where
    R: AsyncRead + Unpin,
{
    let garbled = |why: String| LinkError::Garbled { why };
    let mut length = [0; LENGTH_BYTES];
    let first = stream.read(&mut length).await.map_err(|error| ended(error, "its length"))?;
    if first == 0 {
        return Err(LinkError::Ended { source: None });
    }
    stream.read_exact(&mut length[first..]).await.map_err(|error| ended(error, "its length"))?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length == 0 {
        return Err(garbled("a message is empty".to_owned()));
    }
    if length > bytes_max {
        let why = format!("a message of {length} bytes is larger than the {bytes_max} that it may have");
        return Err(garbled(why));
    }
    let mut message = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut message).await.map_err(|error| ended(error, "its end"))?;
    Ok(message)
}

fn ended(error: io::Error, what: &str) -> LinkError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return LinkError::Garbled { why: format!("a message was cut short before {what}") };
    }
    LinkError::Ended { source: Some(error) }
}
