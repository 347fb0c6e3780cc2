//! Commands and the table as bytes: in the log, on the network and in snapshots.
//!
//! A name or number that this version does not know is an error, never a guess: members that read one command
//! differently would have different tables.

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, NodeName};
use prost::Message as _;

use super::{
    command::{AskId, Command},
    table::{Change, DEAD_BOUND, Deed, HISTORY_BOUND, LeaseTable, Record, Tenure},
};
use crate::{malformed::Malformed, mutation::Broken};

#[derive(Clone, PartialEq, prost::Message)]
struct HolderBytes {
    #[prost(string, tag = "1")]
    node: String,
    #[prost(bytes = "vec", tag = "2")]
    boot: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum Verb {
    Unknown = 0,
    Acquire = 1,
    Renew = 2,
    Release = 3,
    Expire = 4,
    Bury = 5,
}

/// One flat message: absent fields cost nothing, and every verb needs at most these.
#[derive(Clone, PartialEq, prost::Message)]
struct CommandBytes {
    #[prost(enumeration = "Verb", tag = "1")]
    verb: i32,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(message, optional, tag = "3")]
    holder: Option<HolderBytes>,
    #[prost(uint64, tag = "4")]
    ask: u64,
    #[prost(uint64, tag = "5")]
    token: u64,
    #[prost(string, optional, tag = "6")]
    heir: Option<String>,
    #[prost(uint64, tag = "7")]
    as_of: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RecordBytes {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(message, optional, tag = "2")]
    holder: Option<HolderBytes>,
    #[prost(uint64, tag = "3")]
    ask: u64,
    #[prost(string, optional, tag = "4")]
    reserved: Option<String>,
    #[prost(uint64, tag = "5")]
    token: u64,
    #[prost(uint64, tag = "6")]
    changed: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ChangeBytes {
    #[prost(uint64, tag = "1")]
    index: u64,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(uint64, tag = "3")]
    token: u64,
    #[prost(int32, tag = "4")]
    deed: i32,
    #[prost(string, tag = "5")]
    node: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TableBytes {
    #[prost(message, repeated, tag = "1")]
    records: Vec<RecordBytes>,
    #[prost(message, repeated, tag = "2")]
    dead: Vec<HolderBytes>,
    #[prost(message, repeated, tag = "3")]
    history: Vec<ChangeBytes>,
}

fn kind_number(kind: LeaseKind) -> i32 {
    match kind {
        LeaseKind::LbLeader => 1,
        LeaseKind::DnsWriter => 2,
    }
}

fn kind(number: i32) -> Result<LeaseKind, Malformed> {
    match number {
        1 => Ok(LeaseKind::LbLeader),
        2 => Ok(LeaseKind::DnsWriter),
        _ => Err(Malformed::new("a lease's kind", format!("number {number} is unknown to this version"))),
    }
}

fn deed_number(deed: Deed) -> i32 {
    match deed {
        Deed::Granted => 1,
        Deed::Released => 2,
        Deed::HandedOver => 3,
        Deed::Expired => 4,
        Deed::Buried => 5,
    }
}

fn deed(number: i32) -> Result<Deed, Malformed> {
    match number {
        1 => Ok(Deed::Granted),
        2 => Ok(Deed::Released),
        3 => Ok(Deed::HandedOver),
        4 => Ok(Deed::Expired),
        5 => Ok(Deed::Buried),
        _ => Err(Malformed::new("a lease's history", format!("deed {number} is unknown to this version"))),
    }
}

fn name(text: &str) -> Result<NodeName, Malformed> {
    text.parse().map_err(|error: constellation_core::id::InvalidName| {
        Malformed::new("a node's name", error.to_string())
    })
}

fn holder_bytes(holder: &LeaseHolder) -> HolderBytes {
    HolderBytes { node: holder.node.to_string(), boot: holder.boot.to_be_bytes().to_vec() }
}

fn holder(bytes: Option<HolderBytes>) -> Result<LeaseHolder, Malformed> {
    let bytes = bytes.ok_or_else(|| Malformed::new("a lease's holder", "it is missing"))?;
    let boot: [u8; 16] = bytes
        .boot
        .try_into()
        .map_err(|_| Malformed::new("a lease's holder", "its boot id is not of 16 bytes"))?;
    Ok(LeaseHolder { node: name(&bytes.node)?, boot: u128::from_be_bytes(boot) })
}

impl Command {
    /// The command as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = match self {
            Self::Acquire { kind, holder, ask } => CommandBytes {
                verb: Verb::Acquire.into(),
                kind: kind_number(*kind),
                holder: Some(holder_bytes(holder)),
                ask: ask.0,
                ..CommandBytes::default()
            },
            Self::Renew { kind, holder, ask, token } => CommandBytes {
                verb: Verb::Renew.into(),
                kind: kind_number(*kind),
                holder: Some(holder_bytes(holder)),
                ask: ask.0,
                token: token.0,
                ..CommandBytes::default()
            },
            Self::Release { kind, holder, token, heir } => CommandBytes {
                verb: Verb::Release.into(),
                kind: kind_number(*kind),
                holder: Some(holder_bytes(holder)),
                token: token.0,
                heir: heir.as_ref().map(ToString::to_string),
                ..CommandBytes::default()
            },
            Self::Expire { kind, token, as_of } => CommandBytes {
                verb: Verb::Expire.into(),
                kind: kind_number(*kind),
                token: token.0,
                as_of: *as_of,
                ..CommandBytes::default()
            },
            Self::Bury { holder } => CommandBytes {
                verb: Verb::Bury.into(),
                holder: Some(holder_bytes(holder)),
                ..CommandBytes::default()
            },
        };
        bytes.encode_to_vec()
    }

    /// The command that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = CommandBytes::decode(bytes)
            .map_err(|error| Malformed::new("a lease command", error.to_string()))?;
        let token = FencingToken(bytes.token);
        let ask = AskId(bytes.ask);
        match bytes.verb() {
            Verb::Acquire => {
                Ok(Self::Acquire { kind: kind(bytes.kind)?, holder: holder(bytes.holder)?, ask })
            }
            Verb::Renew => {
                Ok(Self::Renew { kind: kind(bytes.kind)?, holder: holder(bytes.holder)?, ask, token })
            }
            Verb::Release => Ok(Self::Release {
                kind: kind(bytes.kind)?,
                holder: holder(bytes.holder)?,
                token,
                heir: bytes.heir.as_deref().map(name).transpose()?,
            }),
            Verb::Expire => Ok(Self::Expire { kind: kind(bytes.kind)?, token, as_of: bytes.as_of }),
            Verb::Bury => Ok(Self::Bury { holder: holder(bytes.holder)? }),
            Verb::Unknown => {
                let why = format!("verb {} is unknown to this version", bytes.verb);
                Err(Malformed::new("a lease command", why))
            }
        }
    }
}

impl LeaseTable {
    /// The table as bytes; the same table gives the same bytes on every member.
    pub fn encode(&self) -> Vec<u8> {
        let record = |(lease, record): (LeaseKind, &Record)| {
            let (holder, ask, reserved) = match &record.tenure {
                Tenure::Free => (None, 0, None),
                Tenure::Held { holder, ask } => (Some(holder_bytes(holder)), ask.0, None),
                Tenure::Reserved(heir) => (None, 0, Some(heir.to_string())),
            };
            let (token, changed) = (record.token.0, record.changed);
            RecordBytes { kind: kind_number(lease), holder, ask, reserved, token, changed }
        };
        let change = |change: &Change| ChangeBytes {
            index: change.index,
            kind: kind_number(change.kind),
            token: change.token.0,
            deed: deed_number(change.deed),
            node: change.node.to_string(),
        };
        let bytes = TableBytes {
            records: self.records().map(record).collect(),
            dead: self.dead.iter().map(holder_bytes).collect(),
            history: self.history.iter().map(change).collect(),
        };
        bytes.encode_to_vec()
    }

    /// The table that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = TableBytes::decode(bytes)
            .map_err(|error| Malformed::new("the lease table", error.to_string()))?;
        if bytes.dead.len() > DEAD_BOUND || bytes.history.len() > HISTORY_BOUND {
            return Err(Malformed::new("the lease table", "it remembers more than it may"));
        }
        let leases = bytes.records.len();
        let record = |bytes: RecordBytes| {
            let tenure = match (bytes.holder, bytes.reserved) {
                (None, None) => Tenure::Free,
                (Some(held), None) => Tenure::Held { holder: holder(Some(held))?, ask: AskId(bytes.ask) },
                (None, Some(heir)) => Tenure::Reserved(name(&heir)?),
                (Some(_), Some(_)) => {
                    return Err(Malformed::new("the lease table", "a lease is both held and reserved"));
                }
            };
            let token = FencingToken(bytes.token);
            Ok((kind(bytes.kind)?, Record { tenure, token, changed: bytes.changed }))
        };
        let change = |bytes: ChangeBytes| {
            Ok(Change {
                index: bytes.index,
                kind: kind(bytes.kind)?,
                token: FencingToken(bytes.token),
                deed: deed(bytes.deed)?,
                node: name(&bytes.node)?,
            })
        };
        let table = Self {
            records: bytes.records.into_iter().map(record).collect::<Result<_, _>>()?,
            dead: bytes.dead.into_iter().map(|dead| holder(Some(dead))).collect::<Result<_, _>>()?,
            history: bytes.history.into_iter().map(change).collect::<Result<_, Malformed>>()?,
            broken: Broken::default(),
        };
        if table.records.len() < leases {
            return Err(Malformed::new("the lease table", "a lease is there twice"));
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holders() -> impl Strategy<Value = LeaseHolder> {
        ("[a-c]", 1_u128..4).prop_map(|(node, boot)| LeaseHolder { node: node.parse().unwrap(), boot })
    }

    fn commands() -> impl Strategy<Value = Command> {
        let lease = prop_oneof![Just(LeaseKind::LbLeader), Just(LeaseKind::DnsWriter)];
        let token = (0_u64..40).prop_map(FencingToken);
        let ask = (0_u64..40).prop_map(AskId);
        let heir = proptest::option::of("[a-c]".prop_map(|node: String| node.parse().unwrap()));
        (0..5, lease, holders(), ask, token, heir, 0_u64..40).prop_map(
            |(verb, kind, holder, ask, token, heir, as_of)| match verb {
                0 => Command::Acquire { kind, holder, ask },
                1 => Command::Renew { kind, holder, ask, token },
                2 => Command::Release { kind, holder, token, heir },
                3 => Command::Expire { kind, token, as_of },
                _ => Command::Bury { holder },
            },
        )
    }

    proptest! {
        #[test]
        fn a_command_reads_back_as_it_was_written(command in commands()) {
            prop_assert_eq!(Command::decode(&command.encode()).unwrap(), command);
        }

        #[test]
        fn any_bytes_are_a_command_and_a_table_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Command::decode(&bytes);
            let _ = LeaseTable::decode(&bytes);
        }

        #[test]
        fn tokens_only_rise_and_a_snapshot_anywhere_changes_nothing(
            history in proptest::collection::vec(commands(), 1..60), cut in 0_usize..60,
        ) {
            let mut whole = LeaseTable::new();
            let mut resumed = LeaseTable::new();
            for (place, command) in history.iter().enumerate() {
                let index = u64::try_from(place).unwrap() + 2;
                if place == cut {
                    resumed = LeaseTable::decode(&resumed.encode()).unwrap();
                }
                let before = whole.clone();
                prop_assert_eq!(whole.apply(index, command), resumed.apply(index, command));
                for (lease, record) in whole.records() {
                    let was = before.record(lease);
                    prop_assert!(record.token >= was.token);
                    let handed_on = record.holder().is_some() && record.holder() != was.holder();
                    prop_assert!(!handed_on || record.token > was.token, "a new holder, an old token");
                    prop_assert!(!handed_on || was.holder().is_none(), "taken from a holder");
                }
            }
            prop_assert_eq!(whole.encode(), resumed.encode());
        }
    }
}
