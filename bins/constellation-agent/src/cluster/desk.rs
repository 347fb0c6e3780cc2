//! What the API answers about leases and members.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use constellation_api::{
    Cluster, ClusterRefusal, LeaseChange, Leases, RaftStatus,
    cluster::{Committed, Note, TokenMade, TokenRequest},
};
use constellation_consensus::{
    ClusterCommand, NOTE_BYTES_MAX, Reply,
    member::{MemberCommand, MemberOutcome},
    raft::{Lost, RaftId},
    transport::{JoinSecret, JoinToken},
};
use constellation_core::{
    Clock, ClusterId, LeaseHolder, LeaseKind, LeaseStatus, NodeFacts, NodeName, WallTime, error_chain,
};
use tokio::{sync::watch, time::timeout};

use super::{files::ClusterFiles, part::Part, report, rescue};

/// How long a question of the whole cluster may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest life of a token.
const TOKEN_LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Members that a token names; the first that answers will do.
const TOKEN_ADDRESSES: usize = 5;

/// Answers for the cluster.
pub(crate) struct Desk {
    pub(crate) node: NodeName,
    pub(crate) cluster: ClusterId,
    pub(crate) boot: u128,
    pub(crate) part: watch::Receiver<Option<Part>>,
    /// Why there is no part, and what would help.
    pub(crate) why_not: watch::Receiver<String>,
    pub(crate) facts: watch::Sender<NodeFacts>,
    pub(crate) view: watch::Receiver<Arc<constellation_core::ClusterView>>,
    pub(crate) files: ClusterFiles,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keyring: Option<PathBuf>,
}

fn lost(what: &str, lost: Lost) -> ClusterRefusal {
    ClusterRefusal::Unavailable(format!("{what}: {lost}"))
}

impl Desk {
    fn part(&self) -> Result<Part, ClusterRefusal> {
        self.part.borrow().clone().ok_or_else(|| ClusterRefusal::Conflict(self.why_not.borrow().clone()))
    }

    /// The node of a member, as the table has it.
    fn name_of(part: &Part, id: RaftId) -> Option<NodeName> {
        part.handle.roster().borrow().member(id).map(|member| member.node.clone())
    }

    fn leader(part: &Part) -> Option<NodeName> {
        let leader = part.handle.role().borrow().leader?;
        Self::name_of(part, leader)
    }

    async fn member_command(part: &Part, command: MemberCommand) -> Result<MemberOutcome, ClusterRefusal> {
        let proposed = async {
            // A person who asks right after a start, or during an election, is not sent away.
            let _ = part.handle.role().wait_for(|role| role.leader.is_some()).await;
            part.handle.propose(ClusterCommand::Member(command)).await
        };
        match timeout(PATIENCE, proposed).await.unwrap_or(Err(Lost::NoLeader)) {
            Ok((_, Reply::Member { outcome: MemberOutcome::Refused(refusal), .. })) => {
                Err(ClusterRefusal::Conflict(refusal.to_string()))
            }
            Ok((_, Reply::Member { outcome, .. })) => Ok(outcome),
            Ok(_) => Err(ClusterRefusal::Unavailable("the cluster answered something else".to_owned())),
            Err(why) => Err(lost("the cluster did not agree", why)),
        }
    }

    fn named(part: &Part, node: &NodeName) -> Result<RaftId, ClusterRefusal> {
        let table = part.handle.roster();
        let table = table.borrow();
        table.named(node).ok_or_else(|| {
            let all: Vec<&str> = table.members().map(|(_, member)| member.node.as_str()).collect();
            ClusterRefusal::Conflict(format!("the cluster has no member `{node}`; it has {}", all.join(", ")))
        })
    }

    /// The rung of the degradation ladder that leases know of: a member without a leader.
    pub(crate) fn without_quorum(&self) -> bool {
        let part = self.part.borrow();
        part.as_ref().is_some_and(|part| part.handle.role().borrow().leader.is_none())
    }

    /// This node's part, in a line.
    pub(crate) fn summary(&self) -> String {
        let part = self.part.borrow();
        let Some(part) = part.as_ref() else { return format!("none: {}", *self.why_not.borrow()) };
        let leader =
            Self::leader(part).map_or("no leader".to_owned(), |leader| format!("{leader} leads Raft"));
        let held: Vec<String> = [LeaseKind::LbLeader, LeaseKind::DnsWriter]
            .into_iter()
            .map(|lease| match part.handle.table().borrow().record(lease).holder() {
                Some(holder) => format!("{lease} {}", holder.node),
                None => format!("{lease} nobody"),
            })
            .collect();
        format!("{}; {leader}; epoch {}", held.join(", "), part.identity.epoch)
    }

    /// What a person should know of.
    pub(crate) fn problems(&self) -> Vec<String> {
        let part = self.part.borrow();
        let Some(part) = part.as_ref() else { return Vec::new() };
        let mut problems = Vec::new();
        if part.handle.role().borrow().leader.is_none() {
            problems.push(
                "there is no leader: a majority of the voters is out of reach, so leases run out and none is given".to_owned(),
            );
        }
        let table = part.handle.roster();
        let table = table.borrow();
        for (id, peer) in part.transport.peers() {
            let Some(error) = peer.last_error.filter(|_| !peer.connected) else { continue };
            let name = table.member(id).map_or(id.to_string(), |member| member.node.to_string());
            if error.contains("removed from the cluster") || error.contains("new epoch") {
                problems.push(format!("{name} turns this node away: {error}"));
            }
        }
        if table.members().next().is_some() && table.member(RaftId(part.identity.owner.id)).is_none() {
            problems.push(
                "this node was removed from the cluster: stop it, or let it join again with `constellation-agent join --start-over`"
                    .to_owned(),
            );
        }
        let left = part.certificate_expires.0.saturating_sub(self.clock.wall().0) / (24 * 3600 * 1000);
        if left < 30 {
            problems.push(format!(
                "this node's certificate is believed for {left} more days: join again with `constellation-agent join --start-over`"
            ));
        }
        problems
    }

    fn addresses(part: &Part, own: std::net::SocketAddr) -> Vec<std::net::SocketAddr> {
        let mut addresses = vec![own];
        let table = part.handle.roster();
        let me = RaftId(part.identity.owner.id);
        let voters: BTreeSet<u64> = part.handle.members().borrow().voters.iter().copied().collect();
        let mut others: Vec<_> = table
            .borrow()
            .members()
            .filter(|(id, _)| *id != me)
            .map(|(id, member)| (!voters.contains(&id.0), member.address))
            .collect();
        others.sort_unstable();
        addresses.extend(others.into_iter().map(|(_, address)| address));
        addresses.truncate(TOKEN_ADDRESSES);
        addresses
    }
}

#[async_trait]
impl Cluster for Desk {
    async fn leases(&self, fresh: bool) -> Result<Leases, ClusterRefusal> {
        let part = self.part.borrow().clone();
        let mut leases = Leases {
            node: self.node.clone(),
            member: part.is_some(),
            cluster: self.cluster.clone(),
            epoch: 0,
            boot: format!("{:032x}", self.boot),
            applied: 0,
            leader: None,
            worker_pid: std::process::id(),
            as_of_boottime_ns: 0,
            leases: vec![],
            history: vec![],
        };
        let Some(part) = part else {
            return if fresh {
                Err(ClusterRefusal::Conflict(self.why_not.borrow().clone()))
            } else {
                Ok(leases)
            };
        };
        if fresh {
            timeout(PATIENCE, part.handle.read())
                .await
                .unwrap_or(Err(Lost::Unknown))
                .map_err(|why| lost("what the cluster has agreed on by now cannot be known", why))?;
        }
        leases.epoch = part.identity.epoch;
        leases.applied = part.handle.standing().await.applied;
        leases.leader = Self::leader(&part);
        let table = part.handle.table().borrow().clone();
        leases.history = table
            .history()
            .map(|change| LeaseChange {
                index: change.index,
                lease: change.kind,
                token: change.token.0,
                deed: report::deed(change.deed).to_owned(),
                node: change.node.clone(),
            })
            .collect();
        let kinds = [LeaseKind::LbLeader, LeaseKind::DnsWriter];
        let statuses = kinds.map(|kind| part.handle.status(kind));
        // The clock is read while no status can change. Else a lease that is let go between the two, and taken by another
        // node within that time, would look as if both had it.
        let held: Vec<watch::Ref<'_, LeaseStatus>> = statuses.iter().map(watch::Receiver::borrow).collect();
        let now = part.handle.now();
        leases.as_of_boottime_ns = u64::try_from(now.0.since_start().as_nanos()).unwrap_or(u64::MAX);
        let process = LeaseHolder { node: self.node.clone(), boot: self.boot };
        leases.leases = kinds
            .iter()
            .zip(&held)
            .map(|(kind, status)| report::row(&table, *kind, &process, status, now))
            .collect();
        Ok(leases)
    }

    async fn raft(&self) -> RaftStatus {
        let part = self.part.borrow().clone();
        let view = Arc::clone(&self.view.borrow());
        match part {
            Some(part) => report::raft(&self.node, &self.cluster, &part, &view).await,
            None => report::outsider(&self.node, &self.cluster, self.why_not.borrow().clone()),
        }
    }

    async fn transfer(&self, to: &NodeName) -> Result<(), ClusterRefusal> {
        let part = self.part()?;
        let id = Self::named(&part, to)?;
        if !part.handle.members().borrow().voters.contains(&id.0) {
            return Err(ClusterRefusal::Conflict(format!("{to} does not vote, so it cannot lead")));
        }
        let mut role = part.handle.role();
        Self::member_command(&part, MemberCommand::Lead { id }).await?;
        let leads = role.wait_for(|role| role.leader == Some(id));
        match timeout(PATIENCE, leads).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ClusterRefusal::Unavailable(format!(
                "{to} did not take the lead within {PATIENCE:?}: is it up, and has it caught up (`raft status`)?"
            ))),
        }
    }

    async fn remove(&self, node: &NodeName) -> Result<(), ClusterRefusal> {
        let part = self.part()?;
        let id = Self::named(&part, node)?;
        Self::member_command(&part, MemberCommand::Remove { id }).await?;
        let mut members = part.handle.members();
        let unseated = members.wait_for(|conf| {
            ![&conf.voters, &conf.voters_outgoing, &conf.learners].into_iter().any(|ids| ids.contains(&id.0))
        });
        if timeout(PATIENCE, unseated).await.is_err() {
            return Err(ClusterRefusal::Unavailable(format!(
                "{node} is removed and still has its seat: it is taken as soon as a majority of the voters before and after \
                 is in sight"
            )));
        }
        Ok(())
    }

    async fn token(&self, request: TokenRequest) -> Result<TokenMade, ClusterRefusal> {
        let part = self.part()?;
        if !part.signs {
            return Err(ClusterRefusal::Conflict(format!(
                "this node cannot let others in: it has no {}; make the token on a node that has it",
                self.files.authority_path().display()
            )));
        }
        let life = Duration::from_secs(request.expires_seconds).clamp(Duration::from_secs(1), TOKEN_LIFE_MAX);
        let secret = JoinSecret::generate();
        let expires = WallTime(self.clock.wall().0 + u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let offer = MemberCommand::Offer {
            secret: secret.digest(),
            expires,
            by: self.node.clone(),
            authority: request.authority,
        };
        Self::member_command(&part, offer).await?;
        let authority = self
            .files
            .authority()
            .map_err(|error| ClusterRefusal::Conflict(format!("{error:#}")))?
            .ok_or_else(|| ClusterRefusal::Conflict("the cluster's authority is gone".to_owned()))?;
        let token = JoinToken {
            cluster: self.cluster.clone(),
            authority: authority.fingerprint(),
            addresses: Self::addresses(&part, part.transport.local_addr()),
            secret,
        };
        Ok(TokenMade { token: token.encode().to_string() })
    }

    async fn commit(&self, note: Note) -> Result<Committed, ClusterRefusal> {
        let part = self.part()?;
        if note.value.len() > NOTE_BYTES_MAX {
            let text =
                format!("a note has at most {NOTE_BYTES_MAX} bytes, and this one {}", note.value.len());
            return Err(ClusterRefusal::Conflict(text));
        }
        let command = ClusterCommand::Note(note.value.into_bytes());
        let proposed = timeout(PATIENCE, part.handle.propose(command)).await.unwrap_or(Err(Lost::Unknown));
        proposed.map(|(index, _)| Committed { index }).map_err(|why| lost("it was not committed", why))
    }

    async fn backup(&self) -> Result<Vec<u8>, ClusterRefusal> {
        let part = self.part()?;
        // Without a majority what this node has may be all that is left, so it is given all the same, and says so.
        let confirmed = timeout(PATIENCE, part.handle.read()).await.is_ok_and(|read| read.is_ok());
        let state = part.handle.state().await.ok_or_else(|| {
            ClusterRefusal::Unavailable("this node's part in the cluster has ended".to_owned())
        })?;
        let (files, identity, taken) = (self.files.clone(), part.identity.clone(), self.clock.wall());
        let keyring = self.keyring.clone();
        let made = tokio::task::spawn_blocking(move || {
            rescue::backup(&files, &identity, state, confirmed, taken, keyring.as_deref())
        });
        match made.await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(ClusterRefusal::Unavailable(format!("{error:#}"))),
            Err(error) => Err(ClusterRefusal::Unavailable(error_chain(&error))),
        }
    }

    async fn cordon(&self, cordoned: bool) -> Result<(), ClusterRefusal> {
        let files = self.files.clone();
        let kept = tokio::task::spawn_blocking(move || files.set_cordoned(cordoned)).await;
        match kept {
            Ok(Ok(())) => {
                self.facts.send_modify(|facts| facts.cordoned = cordoned);
                Ok(())
            }
            Ok(Err(error)) => Err(ClusterRefusal::Unavailable(format!("{error:#}"))),
            Err(error) => Err(ClusterRefusal::Unavailable(error_chain(&error))),
        }
    }
}
