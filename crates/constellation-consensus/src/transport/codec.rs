//! How messages lie on a stream: a length of four bytes, a kind of one, the body. There is no checksum: TLS has one.

use prost::{
    Message,
    bytes::{Buf, BufMut, Bytes, BytesMut},
};

use crate::Frame;

/// The largest message, without its length: room for Raft's largest append (1 MiB) and for a snapshot of a cluster's
/// leases, many times over.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// The longest text of a refusal that is sent or believed.
pub(super) const REASON_CHARS_MAX: usize = 200;
const LENGTH_BYTES: usize = 4;

const FRAME: u8 = 0;
const PING: u8 = 1;
const PONG: u8 = 2;
const REFUSED: u8 = 3;

/// What is said on a connection.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are frames")]
pub(super) enum Packet {
    /// Something for the other member.
    Frame(Frame),
    /// Are you there? The number comes back.
    Ping(u64),
    /// I am, and all that came before your ping has arrived.
    Pong(u64),
    /// I do not talk to you, and this is why. The connection ends after it.
    Refused(String),
}

/// A frame is larger than any that is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {bytes} bytes is larger than the {FRAME_BYTES_MAX} that it may have")]
pub(super) struct TooLarge {
    pub(super) bytes: usize,
}

/// What came is not in our form, and nothing after it can be trusted to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Garbled {
    #[error("a message of {0} bytes is larger than the {FRAME_BYTES_MAX} that it may have")]
    TooLarge(usize),
    #[error("a message is empty")]
    Empty,
    #[error("a message is of the unknown kind {0}")]
    Kind(u8),
    #[error("a message of kind {kind} is not in its form: {why}")]
    Body { kind: u8, why: String },
}

impl Packet {
    /// The bytes on the stream.
    pub(super) fn encode(&self) -> Result<Bytes, TooLarge> {
        match self {
            Self::Frame(frame) => encode_frame(frame),
            Self::Ping(number) => Ok(small(PING, &number.to_le_bytes())),
            Self::Pong(number) => Ok(small(PONG, &number.to_le_bytes())),
            Self::Refused(why) => {
                let why: String = why.chars().take(REASON_CHARS_MAX).collect();
                Ok(small(REFUSED, why.as_bytes()))
            }
        }
    }

    fn decode(kind: u8, mut body: Bytes) -> Result<Self, Garbled> {
        let garbled = |why: &str| Garbled::Body { kind, why: why.to_owned() };
        match kind {
            FRAME => Frame::decode(body).map(Self::Frame).map_err(|error| garbled(&error.to_string())),
            PING | PONG if body.len() != 8 => Err(garbled("it is not a number")),
            PING => Ok(Self::Ping(body.get_u64_le())),
            PONG => Ok(Self::Pong(body.get_u64_le())),
            REFUSED => {
                let why = std::str::from_utf8(&body).map_err(|_| garbled("it is not text"))?;
                Ok(Self::Refused(plain_text(why, REASON_CHARS_MAX)))
            }
            kind => Err(Garbled::Kind(kind)),
        }
    }
}

/// What another machine writes goes into our log: printable, and not more than it may say.
pub(super) fn plain_text(text: &str, chars_max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(chars_max).collect()
}

/// The bytes of a frame on the stream.
pub(super) fn encode_frame(frame: &Frame) -> Result<Bytes, TooLarge> {
    let bytes = frame.encoded_len() + 1;
    if bytes > FRAME_BYTES_MAX {
        return Err(TooLarge { bytes });
    }
    let mut encoded = BytesMut::with_capacity(LENGTH_BYTES + bytes);
    put_head(&mut encoded, bytes, FRAME);
    frame.encode(&mut encoded).map_err(|_| TooLarge { bytes })?;
    Ok(encoded.freeze())
}

fn small(kind: u8, body: &[u8]) -> Bytes {
    let mut encoded = BytesMut::with_capacity(LENGTH_BYTES + 1 + body.len());
    put_head(&mut encoded, body.len() + 1, kind);
    encoded.put_slice(body);
    encoded.freeze()
}

fn put_head(to: &mut BytesMut, bytes: usize, kind: u8) {
    // Bounded above by the callers, far below 4 GiB.
    to.put_u32_le(u32::try_from(bytes).unwrap_or(u32::MAX));
    to.put_u8(kind);
}

/// Takes messages off the bytes of a stream, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Where bytes of the stream go. It grows with what has arrived, never with what was announced.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        // Reading needs room; one TLS record is at most 16 KiB.
        self.buffer.reserve(16 << 10);
        &mut self.buffer
    }

    /// The next message, when all of it is there. After an error the stream is of no more use.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, Garbled> {
        let Some(head) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*head)).unwrap_or(usize::MAX);
        if length == 0 {
            return Err(Garbled::Empty);
        }
        if length > FRAME_BYTES_MAX {
            return Err(Garbled::TooLarge(length));
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let mut message = self.buffer.split_to(length).freeze();
        let kind = message.get_u8();
        Packet::decode(kind, message).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Body, Obituary,
        raft::proto::{self, Entry},
    };

    fn frame() -> impl Strategy<Value = Frame> {
        let entry = (any::<u64>(), any::<u64>(), any::<Vec<u8>>()).prop_map(|(term, index, data)| Entry {
            term,
            index,
            data: data.into(),
            ..Entry::default()
        });
        let raft = (any::<u64>(), prop::collection::vec(entry, 0..4)).prop_map(|(term, entries)| {
            Body::Raft(proto::Message { term, entries, ..proto::Message::default() })
        });
        let obituary = (any::<String>(), any::<Vec<u8>>(), any::<bool>())
            .prop_map(|(node, boot, returned)| Body::Obituary(Obituary { node, boot, returned }));
        (any::<u64>(), any::<u64>(), any::<u64>(), prop::option::of(prop_oneof![raft, obituary]))
            .prop_map(|(epoch, from, to, body)| Frame { epoch, from, to, body })
    }

    fn packet() -> impl Strategy<Value = Packet> {
        prop_oneof![
            4 => frame().prop_map(Packet::Frame),
            1 => any::<u64>().prop_map(Packet::Ping),
            1 => any::<u64>().prop_map(Packet::Pong),
            1 => "[ -~]{0,200}".prop_map(Packet::Refused),
        ]
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_stream_is_cut(packets in prop::collection::vec(packet(), 0..8), cuts in prop::collection::vec(1usize..200, 1..40)) {
            let stream: Vec<u8> = packets.iter().flat_map(|packet| packet.encode().unwrap().to_vec()).collect();
            let (mut decoder, mut found, mut rest) = (Decoder::default(), Vec::new(), stream.as_slice());
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.buffer().put_slice(now);
                while let Some(packet) = decoder.next().unwrap() { found.push(packet); }
                rest = later;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(found, packets);
        }

        #[test]
        fn garbage_is_refused_or_read_and_never_panics(stream: Vec<u8>) {
            let mut decoder = Decoder::default();
            decoder.buffer().put_slice(&stream);
            while let Ok(Some(_)) = decoder.next() {}
        }

        #[test]
        fn a_changed_byte_never_panics(packet in packet(), at in any::<prop::sample::Index>(), to: u8) {
            let mut stream = packet.encode().unwrap().to_vec();
            let at = at.index(stream.len());
            stream[at] = to;
            let mut decoder = Decoder::default();
            decoder.buffer().put_slice(&stream);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }

    #[test]
    fn what_was_announced_takes_no_room_before_it_is_there() {
        let mut decoder = Decoder::default();
        decoder.buffer().put_u32_le(u32::try_from(FRAME_BYTES_MAX).unwrap());
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.buffer().capacity() < 64 << 10);
    }

    #[test]
    fn an_oversized_announcement_is_refused_at_once() {
        for length in [u32::MAX, u32::try_from(FRAME_BYTES_MAX + 1).unwrap()] {
            let mut decoder = Decoder::default();
            decoder.buffer().put_u32_le(length);
            assert!(matches!(decoder.next(), Err(Garbled::TooLarge(_))));
        }
    }

    #[test]
    fn the_largest_frame_travels_and_one_byte_more_does_not() {
        let with = |bytes: usize| {
            let message = proto::Message { context: vec![0; bytes].into(), ..proto::Message::default() };
            Frame { body: Some(Body::Raft(message)), ..Frame::default() }
        };
        let overhead = with(FRAME_BYTES_MAX).encoded_len() - FRAME_BYTES_MAX;
        let largest = with(FRAME_BYTES_MAX - overhead - 1);
        let mut decoder = Decoder::default();
        decoder.buffer().put_slice(&encode_frame(&largest).unwrap());
        assert_eq!(decoder.next(), Ok(Some(Packet::Frame(largest))));
        assert!(encode_frame(&with(FRAME_BYTES_MAX - overhead)).is_err());
    }

    #[test]
    fn a_refusal_cannot_write_lines_into_our_log() {
        let mut decoder = Decoder::default();
        decoder.buffer().put_slice(&Packet::Refused("no\n\x1b[31mFATAL".to_owned()).encode().unwrap());
        assert_eq!(decoder.next(), Ok(Some(Packet::Refused("no  [31mFATAL".to_owned()))));
    }
}
