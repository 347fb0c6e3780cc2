//! A client that writes bytes and reads answers, byte by byte.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::PATIENCE;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer: its status, its head, its body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A field of the head.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The other side may have ended it; then the answer tells.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("an answer, and not the end")
    }

    /// The next answer; `None` where the connection ends without one.
    pub(crate) async fn try_answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer()).await.expect("an answer in time")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        if status == 100 {
            return Box::pin(self.read_answer()).await;
        }
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.field("content-length").map(|text| text.parse::<usize>().unwrap());
        if matches!(status, 101 | 204 | 304) {
            return Some(answer);
        }
        answer.body = match length {
            Some(length) => self.take(length).await,
            None if answer.field("transfer-encoding").is_some() => self.chunks().await,
            None => self.rest().await,
        };
        Some(answer)
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|it| it == b"\r\n\r\n") {
                let head = self.buffer.drain(..at + 4).collect::<Vec<u8>>();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|count| count > 0)
    }

    /// As many bytes, or as many as there are before the end.
    pub(crate) async fn take(&mut self, count: usize) -> String {
        while self.buffer.len() < count && self.more().await {}
        let end = count.min(self.buffer.len());
        String::from_utf8_lossy(&self.buffer.drain(..end).collect::<Vec<u8>>()).into_owned()
    }

    /// The body of a chunked answer, put together; an end in its middle ends it with `<broken>`.
    async fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let Some(line) = self.line().await else { return body + "<broken>" };
            let size = usize::from_str_radix(line.trim().split(';').next().unwrap(), 16).unwrap();
            if size == 0 {
                // Trailers, up to an empty line.
                while self.line().await.is_some_and(|line| line != "\r\n") {}
                return body;
            }
            let chunk = self.take(size).await;
            let whole = chunk.len() == size;
            body.push_str(&chunk);
            if !whole {
                return body + "<broken>";
            }
            self.take(2).await;
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|it| it == b"\r\n") {
                let line = self.buffer.drain(..at + 2).collect::<Vec<u8>>();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Everything to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// Whether the proxy ends the connection, in time.
    pub(crate) async fn ends(&mut self) -> bool {
        tokio::time::timeout(PATIENCE, self.rest()).await.is_ok()
    }
}
