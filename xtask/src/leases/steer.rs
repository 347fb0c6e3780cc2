//! Choosing who leads Raft, so that a measurement can say which case it measured.

use std::time::Duration;

use anyhow::Result;

use crate::{
    clock,
    cluster::{Cluster, LeasesAnswer},
    interrupt,
};

/// Raft's lead moves within a round trip, or the request was lost: then it is asked for again.
const LIMIT: Duration = Duration::from_secs(20);
/// A transfer that was lost is asked for again after this.
const PAUSE: Duration = Duration::from_millis(300);

impl Cluster {
    /// Moves Raft's lead to the holder of the leases, or away from it. False if it did not move in time.
    ///
    /// # Errors
    /// When a person interrupts.
    pub(crate) fn make_holder_lead(&self, wanted: bool) -> Result<bool> {
        let moved = clock::wait_for("Raft's lead", LIMIT, PAUSE, || {
            let answers: Vec<LeasesAnswer> =
                self.nodes.iter().filter_map(|node| node.leases().ok()).collect();
            let known = answers.first().and_then(|answer| {
                Some((answer.leader.as_deref()?, answer.leases.first()?.holder.as_deref()?))
            });
            let Some((leader, holder)) = known else { return Ok(None) };
            if (leader == holder) == wanted {
                return Ok(Some(()));
            }
            let heir = self.nodes.iter().find(|node| (node.name == holder) == wanted);
            let now = self.nodes.iter().find(|node| node.name == leader);
            if let (Some(heir), Some(now)) = (heir, now) {
                // It may have lost the lead by now; then the next look finds that.
                let _ = now.transfer_lead(&heir.name);
            }
            Ok(None)
        });
        interrupt::check()?;
        Ok(moved.is_ok())
    }
}
