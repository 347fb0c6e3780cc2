//! A small blocking HTTP/1.1 client: plain text over TCP or a unix socket, kept alive, every step with a limit.
//!
//! xtask asks only servers that it started itself, so redirects, TLS and compression have no place here.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

/// No answer that we ask for is larger.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A head above this is nonsense.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    keep: bool,
}

impl Response {
    /// The body as text; what is not UTF-8 is replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

trait Stream: Read + Write + Send {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// A connection that is opened when needed and kept.
pub(crate) struct Client {
    address: Address,
    host: String,
    limit: Duration,
    open: Option<BufReader<Box<dyn Stream>>>,
}

impl Client {
    /// A client of one server. `limit` bounds the connect, and each wait for bytes.
    pub(crate) fn new(address: Address, host: impl Into<String>, limit: Duration) -> Self {
        Self { address, host: host.into(), limit, open: None }
    }

    /// A client of a TCP server, with its address as `Host`.
    pub(crate) fn tcp(address: SocketAddr, limit: Duration) -> Self {
        Self::new(Address::Tcp(address), address.to_string(), limit)
    }

    /// `GET path`; a kept connection that turns out to be closed is opened again, once.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer in HTTP within the limit.
    pub(crate) fn get(&mut self, path: &str) -> Result<Response> {
        self.request("GET", path)
    }

    /// A request without a body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn request(&mut self, method: &str, path: &str) -> Result<Response> {
        self.send(method, path, "")
    }

    /// `POST path` with a body in JSON. Where a kept connection broke it may have been done twice.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn post(&mut self, path: &str, json: &str) -> Result<Response> {
        self.send("POST", path, json)
    }

    fn send(&mut self, method: &str, path: &str, json: &str) -> Result<Response> {
        let kept = self.open.is_some();
        match self.exchange(method, path, json) {
            Err(_) if kept => self.exchange(method, path, json),
            answered => answered,
        }
        .with_context(|| format!("{method} {}{path}", self.address))
    }

    fn exchange(&mut self, method: &str, path: &str, json: &str) -> Result<Response> {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => BufReader::new(self.connect()?),
        };
        let host = &self.host;
        let length = match (method, json.len()) {
            ("GET", 0) => String::new(),
            (_, 0) => "Content-Length: 0\r\n".to_owned(),
            (_, length) => format!("Content-Length: {length}\r\nContent-Type: application/json\r\n"),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}User-Agent: xtask\r\n\r\n");
        // In one piece: head and body apart would wait for each other's acknowledgement.
        stream.get_mut().write_all((head + json).as_bytes()).context("could not send the request")?;
        let response = read_response(&mut stream)?;
        if response.keep {
            self.open = Some(stream);
        }
        Ok(response)
    }

    fn connect(&self) -> Result<Box<dyn Stream>> {
        Ok(match &self.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, self.limit).context("could not connect")?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(self.limit))?;
                stream.set_write_timeout(Some(self.limit))?;
                Box::new(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).context("could not connect")?;
                stream.set_read_timeout(Some(self.limit))?;
                stream.set_write_timeout(Some(self.limit))?;
                Box::new(stream)
            }
        })
    }
}

fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    stream.take(HEAD_BYTES_MAX).read_line(&mut line).context("no answer")?;
    ensure!(line.ends_with('\n'), "the connection ended within the head of the answer");
    Ok(line.trim_end().to_owned())
}

fn read_response(stream: &mut impl BufRead) -> Result<Response> {
    let first = read_line(stream)?;
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("not an HTTP answer: {first:?}"))?;
    let (mut length, mut chunked, mut keep) = (None, false, first.starts_with("HTTP/1.1"));
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { bail!("not a header: {line:?}") };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse::<usize>().context("not a length")?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let body = if status == 204 || status == 304 {
        Vec::new()
    } else if chunked {
        read_chunks(stream)?
    } else if let Some(length) = length {
        ensure!(length <= BODY_BYTES_MAX, "an answer of {length} bytes is more than we take");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).context("the connection ended within the answer")?;
        body
    } else {
        keep = false;
        let mut body = Vec::new();
        stream.take(BODY_BYTES_MAX as u64).read_to_end(&mut body).context("the connection broke")?;
        body
    };
    Ok(Response { status, body, keep })
}

fn read_chunks(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let size = line.split(';').next().unwrap_or_default();
        let size =
            usize::from_str_radix(size.trim(), 16).with_context(|| format!("not a chunk: {line:?}"))?;
        ensure!(size <= BODY_BYTES_MAX && body.len() + size <= BODY_BYTES_MAX, "an endless answer");
        if size == 0 {
            while !read_line(stream)?.is_empty() {}
            return Ok(body);
        }
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..]).context("the connection ended within a chunk")?;
        ensure!(read_line(stream)?.is_empty(), "a chunk without its end");
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn read(text: &str) -> Result<Response> {
        read_response(&mut text.as_bytes())
    }

    #[test]
    fn an_answer_with_a_length_is_read() {
        let response = read("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, next").unwrap();
        assert_eq!((response.status, response.text().as_str(), response.keep), (200, "hello", true));
    }

    #[test]
    fn an_answer_in_chunks_is_joined() {
        let response =
            read("HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
        let response = response.unwrap();
        assert_eq!((response.status, response.text().as_str()), (503, "abcde"));
    }

    #[test]
    fn an_answer_without_a_length_ends_with_the_connection() {
        let response = read("HTTP/1.1 200 OK\r\n\r\nall of it").unwrap();
        assert_eq!((response.text().as_str(), response.keep), ("all of it", false));
    }

    #[test]
    fn truncated_and_foreign_answers_are_errors() {
        for text in ["", "HTTP/1.1 200", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n").is_err());
    }

    #[test]
    fn a_connection_is_kept_and_opened_again_when_the_server_closed_it() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::tcp(server.local_addr().unwrap(), Duration::from_secs(20));
        let answering = std::thread::spawn(move || {
            // Two answers on the first connection, then it closes; one on the second.
            for answers in [2, 1] {
                let mut stream = BufReader::new(server.accept().unwrap().0);
                for _ in 0..answers {
                    while !read_line(&mut stream).unwrap().is_empty() {}
                    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                }
            }
        });
        for _ in 0..3 {
            assert_eq!(client.get("/").unwrap().text(), "ok");
        }
        answering.join().unwrap();
    }
}
