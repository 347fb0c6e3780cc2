//! Taking the two streams of a container apart again.
//!
//! Without a terminal the daemon frames what it sends: stream number, three zero bytes, length (big endian), data.
//! With one there is a single raw stream. docker-api's decoder panics at a stream number that it does not know.

use std::collections::VecDeque;

use crate::runtime::{LogLine, LogStream};

/// Longer lines are cut (the promise of [`LogLine`]).
const LINE_BYTES_MAX: usize = 16 * 1024;

/// What all lines together may hold; the oldest go first.
const TOTAL_BYTES_MAX: usize = 16 * 1024 * 1024;

const HEADER_BYTES: usize = 8;

/// Collects the last lines of a log as its bytes come in.
#[derive(Debug)]
pub(super) struct LogCollector {
    framing: Framing,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    lines: VecDeque<LogLine>,
    held_bytes: usize,
    tail: usize,
}

#[derive(Debug)]
enum Framing {
    /// A terminal: everything is output.
    Raw,
    Header {
        bytes: [u8; HEADER_BYTES],
        have: usize,
    },
    Data {
        stream: LogStream,
        left: usize,
    },
}

/// The stream is not framed as the daemon frames it.
#[derive(Debug, thiserror::Error)]
#[error("a log frame that begins with the byte {0}")]
pub(super) struct BadFrame(u8);

impl LogCollector {
    pub(super) fn new(has_terminal: bool, tail: usize) -> Self {
        let framing = if has_terminal { Framing::Raw } else { Framing::new_header() };
        Self { framing, stdout: Vec::new(), stderr: Vec::new(), lines: VecDeque::new(), held_bytes: 0, tail }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), BadFrame> {
        while !bytes.is_empty() {
            match &mut self.framing {
                Framing::Raw => {
                    self.text(LogStream::Stdout, bytes);
                    return Ok(());
                }
                Framing::Header { bytes: header, have } => {
                    let taken = bytes.len().min(HEADER_BYTES - *have);
                    header[*have..*have + taken].copy_from_slice(&bytes[..taken]);
                    *have += taken;
                    bytes = &bytes[taken..];
                    if *have == HEADER_BYTES {
                        let [kind, _, _, _, length @ ..] = *header;
                        let stream = match kind {
                            0 | 1 => LogStream::Stdout, // 0 is the echo of standard input
                            2 => LogStream::Stderr,
                            other => return Err(BadFrame(other)),
                        };
                        let left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                        self.framing =
                            if left == 0 { Framing::new_header() } else { Framing::Data { stream, left } };
                    }
                }
                Framing::Data { stream, left } => {
                    let stream = *stream;
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    let is_done = *left == 0;
                    let (data, rest) = bytes.split_at(taken);
                    self.text(stream, data);
                    bytes = rest;
                    if is_done {
                        self.framing = Framing::new_header();
                    }
                }
            }
        }
        Ok(())
    }

    /// The lines, oldest first; what has no line end yet is the last line of its stream.
    pub(super) fn finish(mut self) -> Vec<LogLine> {
        for (stream, rest) in [
            (LogStream::Stdout, std::mem::take(&mut self.stdout)),
            (LogStream::Stderr, std::mem::take(&mut self.stderr)),
        ] {
            if !rest.is_empty() {
                self.line(stream, &rest);
            }
        }
        self.lines.into()
    }

    fn text(&mut self, stream: LogStream, mut data: &[u8]) {
        loop {
            let end = data.iter().position(|byte| *byte == b'\n');
            let part = &data[..end.unwrap_or(data.len())];
            let pending = self.pending(stream);
            let room = (LINE_BYTES_MAX + 1).saturating_sub(pending.len());
            pending.extend_from_slice(&part[..part.len().min(room)]);
            let Some(end) = end else { return };
            let line = std::mem::take(pending);
            self.line(stream, &line);
            data = &data[end + 1..];
        }
    }

    fn pending(&mut self, stream: LogStream) -> &mut Vec<u8> {
        match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        }
    }

    fn line(&mut self, stream: LogStream, bytes: &[u8]) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let bytes = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.held_bytes += text.len();
        self.lines.push_back(LogLine { stream, text });
        while self.lines.len() > self.tail || self.held_bytes > TOTAL_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.held_bytes -= oldest.text.len();
        }
    }
}

impl Framing {
    const fn new_header() -> Self {
        Self::Header { bytes: [0; HEADER_BYTES], have: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(stream: u8, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(data);
        frame
    }

    fn collect(has_terminal: bool, tail: usize, chunks: &[&[u8]]) -> Vec<(LogStream, String)> {
        let mut collector = LogCollector::new(has_terminal, tail);
        for chunk in chunks {
            collector.push(chunk).unwrap();
        }
        collector.finish().into_iter().map(|line| (line.stream, line.text)).collect()
    }

    #[test]
    fn frames_are_taken_apart_by_stream_and_line() {
        let bytes =
            [frame(1, b"one\ntw"), frame(2, b"oops\n"), frame(1, b""), frame(1, b"o\r\nlast")].concat();
        let lines = collect(false, 10, &[&bytes]);
        let (out, err) = (LogStream::Stdout, LogStream::Stderr);
        let expected = [(out, "one"), (err, "oops"), (out, "two"), (out, "last")];
        assert_eq!(lines, expected.map(|(stream, text)| (stream, text.to_owned())));
    }

    #[test]
    fn a_terminal_is_not_framed() {
        let lines = collect(true, 10, &[b"\x01\x02 one\r\n", b"two"]);
        assert_eq!(lines, [(LogStream::Stdout, "\x01\x02 one".into()), (LogStream::Stdout, "two".into())]);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        assert_eq!(collect(true, 2, &[b"a\nb\nc\n"]).len(), 2);
        assert_eq!(collect(true, 2, &[b"a\nb\nc\n"])[1].1, "c");
        assert!(collect(true, 0, &[b"a\nb"]).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let long = [vec![b'x'; LINE_BYTES_MAX * 3], b"\nnext\n".to_vec()].concat();
        let lines = collect(true, 10, &[&long]);
        assert_eq!(lines[0].1.len(), LINE_BYTES_MAX);
        assert_eq!(lines[1].1, "next");
    }

    #[test]
    fn a_stream_number_that_does_not_exist_is_an_error() {
        let mut collector = LogCollector::new(false, 10);
        assert!(collector.push(b"HTTP/1.1 200 OK").is_err());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(
            texts in prop::collection::vec((1_u8..=2, "[a-z\n]{0,20}"), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|(stream, text)| frame(*stream, text.as_bytes())).collect();
            let mut positions: Vec<usize> =
                cuts.iter().map(|cut| if bytes.is_empty() { 0 } else { cut.index(bytes.len()) }).collect();
            positions.extend([0, bytes.len()]);
            positions.sort_unstable();
            let chunks: Vec<&[u8]> = positions.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(collect(false, 100, &chunks), collect(false, 100, &[&bytes]));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), terminal: bool) {
            let mut collector = LogCollector::new(terminal, 5);
            let _ = collector.push(&bytes);
            prop_assert!(collector.finish().len() <= 5);
        }
    }
}
