//! When trouble is over: every lease is held, all nodes know by whom, and all of them vote.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    clock,
    cluster::{Cluster, LeasesAnswer, Node, leases::RaftAnswer},
};

/// From the end of the last fault to peace. A paused or killed node has to start, to be heard of, to catch up, and at worst
/// the leases last a whole TTL under a new leader; the rest is for a machine that builds something beside.
pub(crate) const PEACE_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(15);

/// Whether all nodes agree; else what is missing.
pub(crate) fn agreement(answers: &[LeasesAnswer], committed: u64) -> Result<(), String> {
    let Some(first) = answers.first() else { return Err("nobody answers".to_owned()) };
    for answer in answers {
        if !answer.member {
            return Err(format!("{} is no member", answer.node));
        }
        if answer.leader.is_none() || answer.leader != first.leader {
            return Err(format!(
                "{} sees {:?} lead, {} {:?}",
                first.node, first.leader, answer.node, answer.leader
            ));
        }
        if answer.applied < committed {
            return Err(format!("{} has applied {} of {committed} entries", answer.node, answer.applied));
        }
    }
    if first.leases.is_empty() {
        return Err(format!("{} knows of no lease", first.node));
    }
    for lease in first.leases.iter().map(|view| view.lease.as_str()) {
        agree_on(lease, first, answers)?;
    }
    Ok(())
}

fn agree_on(lease: &str, first: &LeasesAnswer, answers: &[LeasesAnswer]) -> Result<(), String> {
    let known = first.lease(lease).map(|view| (&view.holder, &view.holder_boot, view.token));
    let Some((Some(holder), boot, _)) = known else { return Err(format!("nobody holds {lease}")) };
    for answer in answers {
        let view = answer.lease(lease);
        if view.map(|view| (&view.holder, &view.holder_boot, view.token)) != known {
            return Err(format!("{} and {} differ on who holds {lease}", first.node, answer.node));
        }
        let holds = answer.node == *holder && Some(&answer.boot) == boot.as_ref();
        if view.is_some_and(|view| view.may_act) != holds {
            let may = if holds { "may not act" } else { "may act" };
            return Err(format!("{holder} holds {lease}, and {} {may}", answer.node));
        }
    }
    Ok(())
}

/// Whether every node votes, as every node sees it; else what is missing. A cluster that was founded a moment ago has one
/// voter, and cannot lose it.
fn all_vote(answers: &[RaftAnswer]) -> Result<(), String> {
    for answer in answers {
        for other in answers {
            if !answer.voters.contains(&other.node) {
                return Err(format!("{} does not vote, as {} sees it", other.node, answer.node));
            }
        }
    }
    Ok(())
}

fn look(cluster: &Cluster, committed: u64) -> Result<Result<(), String>> {
    let leases: Vec<LeasesAnswer> = cluster.nodes.iter().map(Node::leases).collect::<Result<_>>()?;
    let raft: Vec<RaftAnswer> = cluster.nodes.iter().map(Node::raft).collect::<Result<_>>()?;
    Ok(agreement(&leases, committed).and_then(|()| all_vote(&raft)))
}

/// Waits until all nodes of the cluster agree, and says how long that took.
///
/// # Errors
/// When they do not within `limit`: what was missing last.
pub(crate) fn wait(cluster: &Cluster, committed: u64, limit: Duration, since: Instant) -> Result<Duration> {
    let mut missing = String::new();
    let peace = clock::wait_for("peace", limit, PAUSE, || {
        let found = look(cluster, committed).unwrap_or_else(|error| Err(format!("{error:#}")));
        Ok(found.map_err(|why| missing = why).ok())
    });
    peace.map_err(|error| if missing.is_empty() { error } else { error.context(missing) })?;
    Ok(clock::now() - since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::BootTime, cluster::leases::LeaseView};

    /// Three nodes that agree on `a` as the holder.
    fn peaceful() -> Vec<LeasesAnswer> {
        let answer = |node: &str| LeasesAnswer {
            node: node.to_owned(),
            member: true,
            boot: "1".to_owned(),
            applied: 9,
            leader: Some("b".to_owned()),
            worker_pid: 1,
            as_of: BootTime::default(),
            leases: vec![LeaseView {
                lease: "lb".to_owned(),
                holder: Some("a".to_owned()),
                holder_boot: Some("1".to_owned()),
                token: 5,
                may_act: node == "a",
            }],
        };
        ["a", "b", "c"].map(answer).to_vec()
    }

    fn broken(change: impl FnOnce(&mut Vec<LeasesAnswer>)) -> String {
        let mut answers = peaceful();
        change(&mut answers);
        agreement(&answers, 9).unwrap_err()
    }

    #[test]
    fn nodes_that_agree_on_a_holder_who_may_act_are_at_peace() {
        assert_eq!(agreement(&peaceful(), 9), Ok(()));
    }

    #[test]
    fn a_node_that_does_not_vote_yet_is_no_peace() {
        let answer = |node: &str, voters: &[&str]| RaftAnswer {
            node: node.to_owned(),
            voters: voters.iter().map(|voter| (*voter).to_owned()).collect(),
            ..RaftAnswer::default()
        };
        assert_eq!(all_vote(&[answer("a", &["a", "b"]), answer("b", &["b", "a"])]), Ok(()));
        let missing = all_vote(&[answer("a", &["a", "b"]), answer("b", &["a"])]);
        assert_eq!(missing, Err("b does not vote, as b sees it".to_owned()));
    }

    #[test]
    fn whatever_is_missing_is_named() {
        assert_eq!(broken(Vec::clear), "nobody answers");
        assert_eq!(broken(|answers| answers[1].member = false), "b is no member");
        assert!(broken(|answers| answers[2].leader = None).contains("lead"));
        assert!(broken(|answers| answers[2].applied = 8).starts_with("c has applied 8 of 9"));
        assert_eq!(
            broken(|answers| answers.iter_mut().for_each(|a| a.leases[0].holder = None)),
            "nobody holds lb"
        );
        assert!(broken(|answers| answers[2].leases[0].token = 4).contains("a and c differ"));
        assert_eq!(broken(|answers| answers[0].leases[0].may_act = false), "a holds lb, and a may not act");
        assert_eq!(broken(|answers| answers[1].leases[0].may_act = true), "a holds lb, and b may act");
        assert_eq!(broken(|answers| answers[0].boot = "2".to_owned()), "a holds lb, and a may act");
        assert!(broken(|answers| answers.iter_mut().for_each(|a| a.leases.clear())).contains("no lease"));
    }
}
