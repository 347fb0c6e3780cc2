//! What the API says of leases and members, put together from what a member has.

use std::collections::BTreeSet;

use constellation_api::{LeaseRow, RaftMember, RaftStatus};
use constellation_consensus::{
    clock::HolderMoment,
    lease::{Deed, LeaseTable, Tenure},
    raft::RaftId,
};
use constellation_core::{ClusterId, ClusterView, LeaseHolder, LeaseKind, LeaseStatus, NodeName};

use super::{part::Part, roster::told_address};

/// One lease. While `process` may act under it the row speaks of that grant: the table was looked at a moment earlier, and may
/// not have it yet.
pub(super) fn row(
    table: &LeaseTable,
    lease: LeaseKind,
    process: &LeaseHolder,
    status: &LeaseStatus,
    now: HolderMoment,
) -> LeaseRow {
    let record = table.record(lease);
    let own = status.may_act(now.0);
    let holder = if own.is_some() { Some(process) } else { record.holder() };
    let mine = matches!(status, LeaseStatus::Held { .. });
    let remaining = match status {
        LeaseStatus::Held { until, .. } if now.0 < *until => Some(until.since(now.0)),
        _ => None,
    };
    LeaseRow {
        lease,
        holder: holder.map(|holder| holder.node.clone()),
        holder_boot: holder.map(|holder| format!("{:032x}", holder.boot)),
        reserved_for: match &record.tenure {
            Tenure::Reserved(node) if own.is_none() => Some(node.clone()),
            Tenure::Reserved(_) | Tenure::Held { .. } | Tenure::Free => None,
        },
        token: own.unwrap_or(record.token).0,
        mine: mine && holder == Some(process),
        may_act: own.is_some(),
        remaining_ms: remaining.and_then(|remaining| u64::try_from(remaining.as_millis()).ok()),
    }
}

/// What happened, as the API names it.
pub(super) fn deed(deed: Deed) -> &'static str {
    match deed {
        Deed::Granted => "granted",
        Deed::Released => "released",
        Deed::HandedOver => "handed-over",
        Deed::Expired => "expired",
        Deed::Buried => "buried",
    }
}

/// The answer of a node that is no member.
pub(super) fn outsider(node: &NodeName, cluster: &ClusterId, why_not: String) -> RaftStatus {
    RaftStatus {
        node: node.clone(),
        member: false,
        id: 0,
        cluster: cluster.clone(),
        epoch: 0,
        term: 0,
        role: "outsider".to_owned(),
        leader: None,
        commit: 0,
        applied: 0,
        profile: "lan".to_owned(),
        ttl_ms: 0,
        voters: vec![],
        learners: vec![],
        signs: false,
        certificate_expires: None,
        members: vec![],
        why_not: Some(why_not),
    }
}

/// The answer of a member.
pub(super) async fn raft(
    node: &NodeName,
    cluster: &ClusterId,
    part: &Part,
    view: &ClusterView,
) -> RaftStatus {
    let mut status = outsider(node, cluster, String::new());
    status.why_not = None;
    let log = part.handle.standing().await;
    let (role, conf) = (*part.handle.role().borrow(), part.handle.members().borrow().clone());
    let table = part.handle.roster().borrow().clone();
    let me = RaftId(part.identity.owner.id);
    let seat = |id: RaftId| {
        let voters = conf.voters.iter().chain(&conf.voters_outgoing);
        if voters.copied().any(|voter| voter == id.0) {
            "voter"
        } else if conf.learners.iter().chain(&conf.learners_next).any(|learner| *learner == id.0) {
            "learner"
        } else {
            "none"
        }
    };
    let name = |id: RaftId| table.member(id).map(|member| member.node.clone());
    status.member = true;
    status.id = me.0;
    status.epoch = part.identity.epoch;
    status.term = role.term;
    status.role = match seat(me) {
        _ if role.leads => "leader",
        "voter" => "follower",
        "learner" => "learner",
        _ if log.applied == 0 => "waiting",
        _ => "outsider",
    }
    .to_owned();
    status.leader = role.leader.and_then(name);
    status.commit = log.committed;
    status.applied = log.applied;
    status.profile = table.pace().unwrap_or(part.settings.profile).as_str().to_owned();
    status.ttl_ms = u64::try_from(part.settings.ttl.as_millis()).unwrap_or(u64::MAX);
    status.voters = conf.voters.iter().filter_map(|id| name(RaftId(*id))).collect();
    status.learners = conf.learners.iter().filter_map(|id| name(RaftId(*id))).collect();
    status.signs = part.signs;
    status.certificate_expires = Some(part.certificate_expires.0);
    let peers = part.transport.peers();
    let mut ids: BTreeSet<RaftId> = table.members().map(|(id, _)| id).collect();
    ids.extend(conf.voters.iter().chain(&conf.learners).copied().map(RaftId));
    status.members = ids
        .into_iter()
        .map(|id| {
            let peer = peers.get(&id);
            let member = table.member(id);
            let address = member
                .map(|member| told_address(view, &member.node, id).unwrap_or(member.address).to_string());
            RaftMember {
                id: id.0,
                node: name(id),
                address,
                seat: seat(id).to_owned(),
                connected: id == me || peer.is_some_and(|peer| peer.connected),
                round_trip_ms: peer
                    .and_then(|peer| peer.round_trip)
                    .map(|trip| (trip.as_secs_f64() * 1e6).round() / 1e3),
                matched: log.progress.get(&id).copied(),
                last_error: peer.filter(|peer| !peer.connected).and_then(|peer| peer.last_error.clone()),
            }
        })
        .collect();
    status
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use constellation_consensus::lease::{AskId, Command};
    use constellation_core::{FencingToken, Moment};

    use super::*;

    fn process(node: &str) -> LeaseHolder {
        LeaseHolder { node: node.parse().unwrap(), boot: 7 }
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_grant_that_the_table_has_not_seen_yet_is_told_as_a_whole() {
        let kind = LeaseKind::DnsWriter;
        let mut table = LeaseTable::new();
        table.apply(5, &Command::Acquire { kind, holder: process("a"), ask: AskId(1) });
        let status = LeaseStatus::Held { token: FencingToken(9), until: at(3) };
        let new = row(&table, kind, &process("b"), &status, HolderMoment(at(1)));
        assert_eq!((new.holder.unwrap().as_str(), new.token, new.mine, new.may_act), ("b", 9, true, true));
        let over = row(&table, kind, &process("b"), &status, HolderMoment(at(3)));
        assert_eq!(
            (over.holder.unwrap().as_str(), over.token, over.mine, over.may_act),
            ("a", 5, false, false)
        );
    }
}
