//! The inside of a datagram.

use super::envelope::ENVELOPE_BYTES;

/// The largest datagram, in bytes. IPv6 and Tailscale promise 1,280 bytes per packet, of which IPv6 and UDP take 48;
/// the rest is room for one more tunnel.
pub(super) const DATAGRAM_BYTES_MAX: usize = 1200;

const HEAD: usize = 1 + 3 * 8;
const FRAGMENT_HEAD: usize = 4 + 2 + 2;

/// How many bytes of a message one datagram carries.
pub(super) const FRAGMENT_BYTES: usize = DATAGRAM_BYTES_MAX - ENVELOPE_BYTES - HEAD - FRAGMENT_HEAD;

/// The largest message, in bytes. chitchat keeps to 65,507, but where the digest of a very large cluster alone comes near
/// that, its arithmetic no longer bounds the answer; such a message must still get through, or the cluster falls apart.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// How many fragments a message has at most.
pub(super) const FRAGMENTS_MAX: usize = MESSAGE_BYTES_MAX.div_ceil(FRAGMENT_BYTES);

/// A random number that one run of one node's gossip goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Session(pub(super) u64);

impl Session {
    /// Of a peer that was not met yet.
    pub(super) const UNKNOWN: Self = Self(0);

    pub(super) fn random() -> Self {
        Self(rand::random_range(1..=u64::MAX))
    }
}

/// One part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    /// Which message of this sender's.
    pub(super) message: u32,
    /// Which part, from 0.
    pub(super) index: u16,
    /// Of how many.
    pub(super) count: u16,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// "Who is there?"
    Probe,
    /// "I am, in this session", to whoever sent the datagram with this counter.
    Hello { answers: u64 },
    /// Part of a message.
    Data(Fragment<'a>),
}

/// What a datagram says, once opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Who speaks.
    pub(super) sender: Session,
    /// Rises with each datagram of this sender's.
    pub(super) counter: u64,
    /// Who is meant.
    pub(super) receiver: Session,
    pub(super) body: Body<'a>,
}

impl<'a> Frame<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DATAGRAM_BYTES_MAX);
        bytes.push(match self.body {
            Body::Probe => 0,
            Body::Hello { .. } => 1,
            Body::Data(_) => 2,
        });
        for number in [self.sender.0, self.counter, self.receiver.0] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        match self.body {
            Body::Probe => {}
            Body::Hello { answers } => bytes.extend_from_slice(&answers.to_be_bytes()),
            Body::Data(fragment) => {
                bytes.extend_from_slice(&fragment.message.to_be_bytes());
                bytes.extend_from_slice(&fragment.index.to_be_bytes());
                bytes.extend_from_slice(&fragment.count.to_be_bytes());
                bytes.extend_from_slice(fragment.bytes);
            }
        }
        bytes
    }

    /// Reads a frame; `None` for what is not one, or breaks a bound.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (sender, rest) = number(rest)?;
        let (counter, rest) = number(rest)?;
        let (receiver, rest) = number(rest)?;
        let body = match kind {
            0 if rest.is_empty() => Body::Probe,
            1 => match number(rest)? {
                (answers, []) => Body::Hello { answers },
                _ => return None,
            },
            2 => Body::Data(Fragment::decode(rest)?),
            _ => return None,
        };
        (sender != 0).then_some(Self { sender: Session(sender), counter, receiver: Session(receiver), body })
    }
}

impl<'a> Fragment<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (message, rest) = bytes.split_first_chunk::<4>()?;
        let (index, rest) = rest.split_first_chunk::<2>()?;
        let (count, bytes) = rest.split_first_chunk::<2>()?;
        let (index, count) = (u16::from_be_bytes(*index), u16::from_be_bytes(*count));
        let whole = index < count && usize::from(count) <= FRAGMENTS_MAX && bytes.len() <= FRAGMENT_BYTES;
        // All parts but the last are full, so that the size of the whole is known to be within its bound.
        let full = index + 1 == count || bytes.len() == FRAGMENT_BYTES;
        (whole && full).then_some(Self { message: u32::from_be_bytes(*message), index, count, bytes })
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic_and_what_it_takes_encodes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 0u8..4,
        ) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = kind; }
            if let Some(frame) = Frame::decode(&bytes) { prop_assert_eq!(frame.encode(), bytes); }
        }

        #[test]
        fn a_frame_survives_its_encoding(
            sender in 1u64.., counter: u64, receiver: u64, answers: u64, message: u32, index in 0u16..3, last in 0usize..=FRAGMENT_BYTES,
        ) {
            let bytes = vec![7; if index == 2 { last } else { FRAGMENT_BYTES }];
            for body in [Body::Probe, Body::Hello { answers }, Body::Data(Fragment { message, index, count: 3, bytes: &bytes })] {
                let frame = Frame { sender: Session(sender), counter, receiver: Session(receiver), body };
                let encoded = frame.encode();
                prop_assert_eq!(Frame::decode(&encoded), Some(frame));
                prop_assert!(encoded.len() + ENVELOPE_BYTES <= DATAGRAM_BYTES_MAX);
            }
        }
    }
}
