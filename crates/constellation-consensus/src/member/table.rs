//! The replicated table of members.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use constellation_core::{NodeName, WallTime};

use super::{
    command::{AdmissionKey, MemberCommand, MemberOutcome, MemberRefusal},
    settings::Profile,
};
use crate::{raft::RaftId, transport::JoinSecretDigest};

/// Tokens that may be open, or remembered as used, at once.
pub(super) const OFFERS_BOUND: usize = 256;
/// A few hundred machines is what this is for; each costs every leader a connection.
pub(super) const MEMBERS_BOUND: usize = 1024;
/// Removed members that are remembered, so that their certificates, which are still good, open no door. Who removed more
/// than this replaced every machine of a large cluster several times over.
pub(super) const REMOVED_BOUND: usize = 4096;

/// A node that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub node: NodeName,
    /// Where the others reach its Raft port.
    pub address: SocketAddr,
    /// The hash of the request for a certificate with which it came; zero for the founder.
    pub request: [u8; 32],
}

/// A join token that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Until when it is good.
    pub expires: WallTime,
    /// Where it was made.
    pub by: NodeName,
    /// Whether whoever joins by it is given the authority's key.
    pub authority: bool,
    /// Whom it let in.
    pub used: Option<RaftId>,
    /// The name of that one, for people.
    pub used_by: Option<NodeName>,
}

/// Who belongs to the cluster, and who may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberTable {
    pub(super) members: BTreeMap<RaftId, Member>,
    pub(super) removed: VecDeque<RaftId>,
    pub(super) offers: BTreeMap<JoinSecretDigest, Offer>,
    pub(super) pace: Option<Profile>,
    /// How many were ever let in, the founder included.
    pub(super) ever: u64,
}

impl MemberTable {
    /// A cluster of nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// The table of a cluster that one node founds.
    pub fn founded_by(id: RaftId, node: NodeName, address: SocketAddr) -> Self {
        let member = Member { node, address, request: [0; 32] };
        Self { members: [(id, member)].into(), ever: 1, ..Self::default() }
    }

    /// The members, by id.
    pub fn members(&self) -> impl Iterator<Item = (RaftId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// One member.
    pub fn member(&self, id: RaftId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// The member of a name.
    pub fn named(&self, node: &NodeName) -> Option<RaftId> {
        self.members.iter().find(|(_, member)| member.node == *node).map(|(id, _)| *id)
    }

    /// How many nodes were ever let in, the founder included.
    pub fn ever(&self) -> u64 {
        self.ever
    }

    /// Raft's pace, where it was found to need another than the cluster was founded with.
    pub fn pace(&self) -> Option<Profile> {
        self.pace
    }

    /// Ids that were removed, the oldest first.
    pub fn removed(&self) -> impl Iterator<Item = RaftId> {
        self.removed.iter().copied()
    }

    /// One join token that was made.
    pub fn offer_of(&self, secret: JoinSecretDigest) -> Option<&Offer> {
        self.offers.get(&secret)
    }

    /// Join tokens that were made and are still remembered.
    pub fn offers(&self) -> impl Iterator<Item = (&JoinSecretDigest, &Offer)> {
        self.offers.iter()
    }

    /// Applies the command at `index` of the log. Indices rise from call to call.
    pub fn apply(&mut self, index: u64, command: &MemberCommand) -> MemberOutcome {
        match command {
            MemberCommand::Offer { secret, expires, by, authority } => {
                let offer = Offer {
                    expires: *expires,
                    by: by.clone(),
                    authority: *authority,
                    used: None,
                    used_by: None,
                };
                self.offer(*secret, offer)
            }
            MemberCommand::Admit { .. } => self.admit(index, command),
            MemberCommand::Locate { id, address } => match self.members.get_mut(id) {
                Some(member) => {
                    member.address = *address;
                    MemberOutcome::Done
                }
                None => MemberOutcome::Refused(MemberRefusal::NoSuchMember),
            },
            MemberCommand::Remove { id } => self.remove(*id),
            MemberCommand::Lead { id } if self.members.contains_key(id) => MemberOutcome::Done,
            MemberCommand::Lead { .. } => MemberOutcome::Refused(MemberRefusal::NoSuchMember),
            MemberCommand::Pace(pace) => {
                self.pace = Some(*pace);
                MemberOutcome::Done
            }
        }
    }

    /// Forgets every other member and every token: what is left of a cluster that is rebuilt from one survivor.
    pub fn keep_only(&mut self, survivor: RaftId) {
        let gone: Vec<RaftId> = self.members.keys().filter(|id| **id != survivor).copied().collect();
        for id in gone {
            self.members.remove(&id);
            self.forget(id);
        }
        self.offers.clear();
    }

    /// The founder of a restored cluster takes the place of everybody.
    pub fn restored_to(&mut self, id: RaftId, node: NodeName, address: SocketAddr) {
        self.keep_only(RaftId(0));
        self.members.insert(id, Member { node, address, request: [0; 32] });
    }

    fn offer(&mut self, secret: JoinSecretDigest, new: Offer) -> MemberOutcome {
        if !self.offers.contains_key(&secret) && self.offers.len() >= OFFERS_BOUND {
            // Whoever makes a token says what time it is: those that ended long before it are of no more use, used or not.
            let oldest = self.offers.iter().min_by_key(|(_, offer)| (offer.used.is_none(), offer.expires));
            let Some((oldest, offer)) = oldest.map(|(secret, offer)| (*secret, offer.clone())) else {
                return MemberOutcome::Refused(MemberRefusal::TooManyOffers(OFFERS_BOUND));
            };
            if offer.used.is_none() && offer.expires >= new.expires {
                return MemberOutcome::Refused(MemberRefusal::TooManyOffers(OFFERS_BOUND));
            }
            self.offers.remove(&oldest);
        }
        self.offers.insert(secret, new);
        MemberOutcome::Done
    }

    fn admit(&mut self, index: u64, command: &MemberCommand) -> MemberOutcome {
        let MemberCommand::Admit { key, node, address, request, at, replaces } = command else {
            return MemberOutcome::Done;
        };
        let refused = MemberOutcome::Refused;
        // Asked again: the answer was lost on its way. The request names its key, so nobody else can ask this.
        if let Some(id) = self.named(node)
            && self.members.get(&id).is_some_and(|member| member.request == *request)
        {
            return MemberOutcome::Admitted(id);
        }
        if let AdmissionKey::SharedKey { founders } = key
            && self.ever >= u64::from(*founders)
        {
            return refused(MemberRefusal::FoundingClosed(*founders));
        }
        if let AdmissionKey::Secret(secret) = key {
            match self.offers.get(secret) {
                None => return refused(MemberRefusal::UnknownSecret),
                Some(Offer { used: Some(_), used_by, .. }) => {
                    let by = used_by.clone().unwrap_or_else(|| node.clone());
                    return refused(MemberRefusal::UsedSecret(by));
                }
                Some(offer) if offer.expires <= *at => return refused(MemberRefusal::Expired),
                Some(_) => {}
            }
        }
        match self.named(node) {
            Some(id) if *replaces == Some(id) => {
                self.members.remove(&id);
                self.forget(id);
            }
            Some(_) => return refused(MemberRefusal::NameTaken(node.clone())),
            None if self.members.len() >= MEMBERS_BOUND => {
                return refused(MemberRefusal::TooManyMembers(MEMBERS_BOUND));
            }
            None => {}
        }
        let id = RaftId(index);
        self.ever += 1;
        if let AdmissionKey::Secret(secret) = key
            && let Some(offer) = self.offers.get_mut(secret)
        {
            offer.used = Some(id);
            offer.used_by = Some(node.clone());
        }
        self.members.insert(id, Member { node: node.clone(), address: *address, request: *request });
        MemberOutcome::Admitted(id)
    }

    fn remove(&mut self, id: RaftId) -> MemberOutcome {
        if !self.members.contains_key(&id) {
            return MemberOutcome::Refused(MemberRefusal::NoSuchMember);
        }
        if self.members.len() == 1 {
            return MemberOutcome::Refused(MemberRefusal::LastMember);
        }
        self.members.remove(&id);
        self.forget(id);
        MemberOutcome::Done
    }

    fn forget(&mut self, id: RaftId) {
        if self.removed.len() >= REMOVED_BOUND {
            self.removed.pop_front();
        }
        self.removed.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: JoinSecretDigest = JoinSecretDigest([7; 32]);

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn founded() -> MemberTable {
        let mut table = MemberTable::founded_by(RaftId(1), node("a"), address(1));
        let offer =
            MemberCommand::Offer { secret: SECRET, expires: WallTime(100), by: node("a"), authority: true };
        assert_eq!(table.apply(2, &offer), MemberOutcome::Done);
        table
    }

    fn admit(name: &str, request: u8, at: u64) -> MemberCommand {
        MemberCommand::Admit {
            key: AdmissionKey::Secret(SECRET),
            node: node(name),
            address: address(2),
            request: [request; 32],
            at: WallTime(at),
            replaces: None,
        }
    }

    #[test]
    fn a_token_lets_one_node_in_under_the_place_of_its_admission() {
        let mut table = founded();
        assert_eq!(table.apply(5, &admit("b", 1, 10)), MemberOutcome::Admitted(RaftId(5)));
        let used = MemberOutcome::Refused(MemberRefusal::UsedSecret(node("b")));
        assert_eq!(table.apply(6, &admit("c", 2, 10)), used);
        assert_eq!(table.members().count(), 2);
    }

    #[test]
    fn whoever_asks_again_because_the_answer_was_lost_gets_the_same_id() {
        let mut table = founded();
        table.apply(5, &admit("b", 1, 10));
        assert_eq!(table.apply(6, &admit("b", 1, 500)), MemberOutcome::Admitted(RaftId(5)));
        let another_key = MemberOutcome::Refused(MemberRefusal::UsedSecret(node("b")));
        assert_eq!(table.apply(7, &admit("b", 2, 10)), another_key);
    }

    #[test]
    fn an_old_or_unknown_token_and_a_taken_name_are_refused() {
        let mut table = founded();
        let refused = |refusal| MemberOutcome::Refused(refusal);
        assert_eq!(table.apply(5, &admit("b", 1, 100)), refused(MemberRefusal::Expired));
        assert_eq!(table.apply(6, &admit("a", 1, 10)), refused(MemberRefusal::NameTaken(node("a"))));
        let mut other = MemberTable::founded_by(RaftId(1), node("a"), address(1));
        assert_eq!(other.apply(5, &admit("b", 1, 10)), refused(MemberRefusal::UnknownSecret));
    }

    #[test]
    fn a_node_that_lost_its_disk_comes_back_under_a_new_id_and_its_old_one_stays_out() {
        let mut table = founded();
        table.apply(5, &admit("b", 1, 10));
        table.apply(
            6,
            &MemberCommand::Offer { secret: SECRET, expires: WallTime(100), by: node("a"), authority: true },
        );
        let MemberCommand::Admit { key, node, address, request: _, at, .. } = admit("b", 2, 10) else {
            unreachable!()
        };
        let again =
            MemberCommand::Admit { key, node, address, request: [2; 32], at, replaces: Some(RaftId(5)) };
        assert_eq!(table.apply(9, &again), MemberOutcome::Admitted(RaftId(9)));
        assert_eq!(table.removed().collect::<Vec<_>>(), [RaftId(5)]);
        assert_eq!(table.member(RaftId(5)), None);
    }

    #[test]
    fn founders_come_by_their_key_until_they_are_complete_and_never_again() {
        let mut table = MemberTable::founded_by(RaftId(1), node("a"), address(1));
        let by_key = |name: &str, request: u8| MemberCommand::Admit {
            key: AdmissionKey::SharedKey { founders: 2 },
            node: node(name),
            address: address(2),
            request: [request; 32],
            at: WallTime(0),
            replaces: None,
        };
        assert_eq!(table.apply(5, &by_key("b", 1)), MemberOutcome::Admitted(RaftId(5)));
        assert_eq!(table.apply(6, &by_key("b", 1)), MemberOutcome::Admitted(RaftId(5)), "asked again");
        let closed = MemberOutcome::Refused(MemberRefusal::FoundingClosed(2));
        assert_eq!(table.apply(7, &by_key("c", 2)), closed);
        table.apply(8, &MemberCommand::Remove { id: RaftId(5) });
        assert_eq!(table.apply(9, &by_key("c", 2)), closed, "a removal opens nothing");
    }

    #[test]
    fn the_last_member_is_never_removed() {
        let mut table = founded();
        let last = MemberOutcome::Refused(MemberRefusal::LastMember);
        assert_eq!(table.apply(5, &MemberCommand::Remove { id: RaftId(1) }), last);
        let unknown = MemberOutcome::Refused(MemberRefusal::NoSuchMember);
        assert_eq!(table.apply(6, &MemberCommand::Remove { id: RaftId(3) }), unknown);
    }

    #[test]
    fn tokens_that_were_used_or_are_over_make_room_for_new_ones() {
        let mut table = founded();
        for number in 0..OFFERS_BOUND + 10 {
            let mut secret = [0; 32];
            secret[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let offer = MemberCommand::Offer {
                secret: JoinSecretDigest(secret),
                expires: WallTime(101 + number as u64),
                by: node("a"),
                authority: false,
            };
            assert_eq!(table.apply(10 + number as u64, &offer), MemberOutcome::Done, "{number}");
        }
        assert_eq!(table.offers().count(), OFFERS_BOUND);
    }
}
