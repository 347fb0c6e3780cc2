//! The table and its commands as bytes.

use std::net::SocketAddr;

use constellation_core::{NodeName, WallTime};
use prost::Message as _;

use super::{
    command::{AdmissionKey, MemberCommand},
    settings::Profile,
    table::{MEMBERS_BOUND, Member, MemberTable, OFFERS_BOUND, Offer, REMOVED_BOUND},
};
use crate::{malformed::Malformed, raft::RaftId, transport::JoinSecretDigest};

#[derive(Clone, PartialEq, prost::Message)]
struct CommandBytes {
    #[prost(oneof = "Verb", tags = "1, 2, 3, 4, 5, 6")]
    verb: Option<Verb>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Verb {
    #[prost(message, tag = "1")]
    Offer(OfferBytes),
    #[prost(message, tag = "2")]
    Admit(AdmitBytes),
    #[prost(message, tag = "3")]
    Locate(MemberBytes),
    #[prost(uint64, tag = "4")]
    Remove(u64),
    #[prost(uint64, tag = "5")]
    Lead(u64),
    /// 1: lan, 2: wan.
    #[prost(uint32, tag = "6")]
    Pace(u32),
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfferBytes {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(uint64, tag = "2")]
    expires: u64,
    #[prost(string, tag = "3")]
    by: String,
    #[prost(uint64, tag = "4")]
    used: u64,
    #[prost(string, optional, tag = "5")]
    used_by: Option<String>,
    #[prost(bool, tag = "6")]
    authority: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AdmitBytes {
    /// Empty for the shared key.
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(string, tag = "2")]
    node: String,
    #[prost(string, tag = "3")]
    address: String,
    #[prost(bytes = "vec", tag = "4")]
    request: Vec<u8>,
    #[prost(uint64, tag = "5")]
    at: u64,
    #[prost(uint64, tag = "6")]
    replaces: u64,
    /// How many found the cluster by a shared key.
    #[prost(uint32, tag = "7")]
    founders: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MemberBytes {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    node: String,
    #[prost(string, tag = "3")]
    address: String,
    #[prost(bytes = "vec", tag = "4")]
    request: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TableBytes {
    #[prost(message, repeated, tag = "1")]
    members: Vec<MemberBytes>,
    #[prost(uint64, repeated, tag = "2")]
    removed: Vec<u64>,
    #[prost(message, repeated, tag = "3")]
    offers: Vec<OfferBytes>,
    #[prost(uint32, tag = "4")]
    pace: u32,
    #[prost(uint64, tag = "5")]
    ever: u64,
}

fn malformed(why: impl Into<String>) -> Malformed {
    Malformed::new("the cluster's members", why)
}

fn node(text: &str) -> Result<NodeName, Malformed> {
    text.parse().map_err(|error: constellation_core::id::InvalidName| malformed(error.to_string()))
}

fn address(text: &str) -> Result<SocketAddr, Malformed> {
    text.parse().map_err(|_| malformed("an address is none"))
}

fn hash(bytes: Vec<u8>) -> Result<[u8; 32], Malformed> {
    bytes.try_into().map_err(|_| malformed("a hash is not of 32 bytes"))
}

fn id(number: u64) -> Result<RaftId, Malformed> {
    if number == 0 { Err(malformed("zero is nobody's id")) } else { Ok(RaftId(number)) }
}

fn some_id(number: u64) -> Option<RaftId> {
    (number > 0).then_some(RaftId(number))
}

fn pace_number(pace: Option<Profile>) -> u32 {
    match pace {
        None => 0,
        Some(Profile::Lan) => 1,
        Some(Profile::Wan) => 2,
    }
}

fn pace(number: u32) -> Result<Option<Profile>, Malformed> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(Profile::Lan)),
        2 => Ok(Some(Profile::Wan)),
        _ => Err(malformed("a pace is unknown to this version")),
    }
}

impl MemberCommand {
    /// The command as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let verb = match self {
            Self::Offer { secret, expires, by, authority } => Verb::Offer(OfferBytes {
                secret: secret.0.to_vec(),
                expires: expires.0,
                by: by.to_string(),
                used: 0,
                used_by: None,
                authority: *authority,
            }),
            Self::Admit { key, node, address, request, at, replaces } => Verb::Admit(AdmitBytes {
                secret: match key {
                    AdmissionKey::Secret(secret) => secret.0.to_vec(),
                    AdmissionKey::SharedKey { .. } => vec![],
                },
                founders: match key {
                    AdmissionKey::Secret(_) => 0,
                    AdmissionKey::SharedKey { founders } => u32::from(*founders),
                },
                node: node.to_string(),
                address: address.to_string(),
                request: request.to_vec(),
                at: at.0,
                replaces: replaces.map_or(0, |id| id.0),
            }),
            Self::Locate { id, address } => {
                Verb::Locate(MemberBytes { id: id.0, address: address.to_string(), ..MemberBytes::default() })
            }
            Self::Remove { id } => Verb::Remove(id.0),
            Self::Lead { id } => Verb::Lead(id.0),
            Self::Pace(pace) => Verb::Pace(pace_number(Some(*pace))),
        };
        CommandBytes { verb: Some(verb) }.encode_to_vec()
    }

    /// The command that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = CommandBytes::decode(bytes).map_err(|error| malformed(error.to_string()))?;
        match bytes.verb.ok_or_else(|| malformed("a command of a later version"))? {
            Verb::Offer(offer) => Ok(Self::Offer {
                secret: JoinSecretDigest(hash(offer.secret)?),
                expires: WallTime(offer.expires),
                by: node(&offer.by)?,
                authority: offer.authority,
            }),
            Verb::Admit(admit) => Ok(Self::Admit {
                key: if admit.secret.is_empty() {
                    let founders = u16::try_from(admit.founders);
                    AdmissionKey::SharedKey {
                        founders: founders.map_err(|_| malformed("too many founders"))?,
                    }
                } else {
                    AdmissionKey::Secret(JoinSecretDigest(hash(admit.secret)?))
                },
                node: node(&admit.node)?,
                address: address(&admit.address)?,
                request: hash(admit.request)?,
                at: WallTime(admit.at),
                replaces: some_id(admit.replaces),
            }),
            Verb::Locate(member) => {
                Ok(Self::Locate { id: id(member.id)?, address: address(&member.address)? })
            }
            Verb::Remove(number) => Ok(Self::Remove { id: id(number)? }),
            Verb::Lead(number) => Ok(Self::Lead { id: id(number)? }),
            Verb::Pace(number) => pace(number)?.map(Self::Pace).ok_or_else(|| malformed("a pace is none")),
        }
    }
}

impl MemberTable {
    /// The table as bytes; the same table gives the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        let members = self.members.iter().map(|(id, member)| MemberBytes {
            id: id.0,
            node: member.node.to_string(),
            address: member.address.to_string(),
            request: member.request.to_vec(),
        });
        let offers = self.offers.iter().map(|(secret, offer)| OfferBytes {
            secret: secret.0.to_vec(),
            expires: offer.expires.0,
            by: offer.by.to_string(),
            used: offer.used.map_or(0, |id| id.0),
            used_by: offer.used_by.as_ref().map(ToString::to_string),
            authority: offer.authority,
        });
        let bytes = TableBytes {
            members: members.collect(),
            removed: self.removed.iter().map(|id| id.0).collect(),
            offers: offers.collect(),
            pace: pace_number(self.pace),
            ever: self.ever,
        };
        bytes.encode_to_vec()
    }

    /// The table that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = TableBytes::decode(bytes).map_err(|error| malformed(error.to_string()))?;
        if bytes.members.len() > MEMBERS_BOUND
            || bytes.removed.len() > REMOVED_BOUND
            || bytes.offers.len() > OFFERS_BOUND
        {
            return Err(malformed("there are more than there may be"));
        }
        let mut table = Self { pace: pace(bytes.pace)?, ever: bytes.ever, ..Self::new() };
        for member in bytes.members {
            let known = Member {
                node: node(&member.node)?,
                address: address(&member.address)?,
                request: hash(member.request)?,
            };
            if table.named(&known.node).is_some() || table.members.insert(id(member.id)?, known).is_some() {
                return Err(malformed("one is there twice"));
            }
        }
        for number in bytes.removed {
            table.removed.push_back(id(number)?);
        }
        for offer in bytes.offers {
            let known = Offer {
                expires: WallTime(offer.expires),
                by: node(&offer.by)?,
                authority: offer.authority,
                used: some_id(offer.used),
                used_by: offer.used_by.as_deref().map(node).transpose()?,
            };
            table.offers.insert(JoinSecretDigest(hash(offer.secret)?), known);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = NodeName> {
        "[a-z][a-z0-9]{0,8}".prop_map(|text| text.parse().unwrap())
    }

    fn place() -> impl Strategy<Value = SocketAddr> {
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from)
    }

    fn command() -> impl Strategy<Value = MemberCommand> {
        let secret = any::<[u8; 32]>().prop_map(JoinSecretDigest);
        let key = prop_oneof![
            secret.clone().prop_map(AdmissionKey::Secret),
            any::<u16>().prop_map(|founders| AdmissionKey::SharedKey { founders })
        ];
        prop_oneof![
            (secret, any::<u64>(), name(), any::<bool>()).prop_map(|(secret, expires, by, authority)| {
                MemberCommand::Offer { secret, expires: WallTime(expires), by, authority }
            }),
            (key, name(), place(), any::<[u8; 32]>(), any::<u64>(), 0_u64..9).prop_map(
                |(key, node, address, request, at, replaces)| MemberCommand::Admit {
                    key,
                    node,
                    address,
                    request,
                    at: WallTime(at),
                    replaces: some_id(replaces),
                }
            ),
            (1_u64..9, place()).prop_map(|(id, address)| MemberCommand::Locate { id: RaftId(id), address }),
            (1_u64..9).prop_map(|id| MemberCommand::Remove { id: RaftId(id) }),
            (1_u64..9).prop_map(|id| MemberCommand::Lead { id: RaftId(id) }),
            any::<bool>()
                .prop_map(|wan| { MemberCommand::Pace(if wan { Profile::Wan } else { Profile::Lan }) }),
        ]
    }

    proptest! {
        #[test]
        fn a_command_is_read_as_it_was_written(command in command()) {
            prop_assert_eq!(MemberCommand::decode(&command.encode()).unwrap(), command);
        }

        #[test]
        fn a_table_is_read_as_it_was_written(commands in prop::collection::vec(command(), 0..40)) {
            let mut table = MemberTable::founded_by(RaftId(1), "f".parse().unwrap(), SocketAddr::from(([192, 0, 2, 1], 1)));
            for (index, command) in (2..).zip(&commands) {
                table.apply(index, command);
            }
            prop_assert_eq!(MemberTable::decode(&table.encode()).unwrap(), table);
        }

        #[test]
        fn any_bytes_are_a_command_and_a_table_or_an_error(bytes: Vec<u8>) {
            let _ = MemberCommand::decode(&bytes);
            let _ = MemberTable::decode(&bytes);
        }
    }
}
