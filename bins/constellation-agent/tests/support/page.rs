//! What serves the page: an instance that an agent runs, with a WebSocket at `/socket`.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use tungstenite::{Message, Utf8Bytes};

use super::pause;

const PAGE: &str = include_str!("page.html");
/// No head of a browser is longer, after what the proxy adds to it.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long a head may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until it is killed.
pub(crate) fn serve(address: &str, name: &str) {
    let listener = TcpListener::bind(address).unwrap();
    for stream in listener.incoming() {
        let (stream, name) = (stream.unwrap(), name.to_owned());
        // Whoever goes away early has no answer to wait for.
        std::thread::spawn(move || drop(answer(stream, &name)));
    }
}

fn answer(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = peek_head(&stream)?;
    if head.starts_with("GET /socket ") {
        stream.set_read_timeout(None)?;
        return socket(stream, name);
    }
    // Bytes that were not read would make the close a reset.
    stream.read_exact(&mut vec![0; head.len()])?;
    let (status, body) = if head.starts_with("GET / ") { ("200 OK", PAGE) } else { ("404 Not Found", "") };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nX-Instance: {name}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// The head of the request, which stays to be read by whoever speaks its protocol.
fn peek_head(stream: &TcpStream) -> io::Result<String> {
    let mut bytes = vec![0; HEAD_BYTES_MAX];
    let mut before = 0;
    loop {
        let count = stream.peek(&mut bytes)?;
        if let Some(end) = bytes[..count].windows(4).position(|it| it == b"\r\n\r\n") {
            return Ok(String::from_utf8_lossy(&bytes[..end + 4]).into_owned());
        }
        if count == 0 || count == HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The rest is on its way.
        if count == before {
            pause();
        }
        before = count;
    }
}

/// Answers each message with this instance's name and the number of the message on this very connection.
fn socket(stream: TcpStream, name: &str) -> io::Result<()> {
    let broken = |error| io::Error::other(format!("{error:?}"));
    let mut socket = tungstenite::accept(stream).map_err(|error| io::Error::other(error.to_string()))?;
    let mut count = 0_u64;
    loop {
        match socket.read().map_err(broken)? {
            Message::Text(_) => {
                count += 1;
                let text = Utf8Bytes::from(format!("{name} {count}"));
                socket.send(Message::Text(text)).map_err(broken)?;
            }
            Message::Close(_) => return Ok(()),
            _ => {}
        }
    }
}
