//! What really happened in a simulation, counted: that a fault was drawn says little, that it hit says more.

macro_rules! hits {
    ($($name:ident => $label:literal,)+) => {
        /// Something that is meant to happen in a campaign.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Hit {
            $(#[doc = $label] $name,)+
        }

        impl Hit {
            /// All of them, in the order of the enum.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$name),+];

            /// What it is, for people.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

hits! {
    Nodes3 => "clusters of 3 nodes",
    Nodes4 => "clusters of 4 nodes",
    Nodes5 => "clusters of 5 nodes",
    Nodes6 => "clusters of 6 nodes",
    Nodes7 => "clusters of 7 nodes",
    ProductionLog => "clusters on the production log",
    Sent => "messages sent",
    Lost => "messages lost",
    Doubled => "messages that arrived twice",
    Overtook => "messages that overtook an earlier one",
    Straggled => "messages delayed up to tenfold",
    Vanished => "messages that vanished at a cut",
    Rejected => "messages that a firewall rejected",
    HeldBack => "messages held back for an ambush",
    CutOneWay => "cuts in one direction",
    CutBothWays => "cuts in both directions",
    RefusedAlive => "refused connections to a live process, told",
    SilentAlive => "silences of a live process, told",
    BadWeather => "spells of bad weather",
    Crashed => "crashes",
    CrashedLeading => "crashes of Raft's leader",
    CrashedHolding => "crashes of a lease's holder",
    CrashedAfterDeed => "crashes right after a vote, a victory, a grant, a release or a write",
    CrashedTogether => "crashes of all processes at once",
    SameBoot => "restarts under the same boot id",
    NewBoot => "restarts under a new boot id",
    Told => "deaths told to a process",
    ToldOfLeader => "deaths of its Raft leader told to a process",
    ToldLate => "deaths told after the successor came up",
    WritesLost => "writes lost in a crash",
    WritesSurvived => "unanswered writes that survived a crash",
    WritesTorn => "writes of the production log torn in the middle",
    DiskFailed => "processes ended by a failing disk",
    DiskLost => "disks lost for good",
    SlowWrite => "writes that took more than 100 ms",
    Paused => "pauses",
    PausedLong => "pauses longer than a TTL",
    PausedLongHolding => "pauses of a holder longer than a TTL",
    Slept => "suspends",
    SleptLong => "suspends longer than a TTL",
    SleptLongHolding => "suspends of a holder longer than a TTL",
    DriftChanged => "clocks that changed their rate",
    DriftAtBound => "clocks that began to run at the bound",
    Starved => "holders heard again just before their end",
    Flinched => "holders that want it no more, and back a moment later",
    Drained => "drains",
    Elected => "leaders elected",
    StoodIn => "leaders elected after a leader's death was told",
    Transferred => "leads handed over on request",
    MembersChanged => "changes of members",
    Checkpoint => "checkpoints",
    Installed => "snapshots installed",
    Granted => "leases granted",
    Renewed => "leases renewed",
    Released => "leases released",
    HandedOver => "leases handed over",
    Expired => "leases expired",
    Buried => "leases taken from the dead",
    Unanswered => "questions without an answer",
    AnsweredTwice => "questions answered more than once",
    Explained => "operations in linearizable histories",
    Read => "reads answered",
    Noted => "notes of clients answered",
}

/// How often each of them happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    counts: [u64; Hit::ALL.len()],
    /// In how many of the runs that were added up.
    runs: [u64; Hit::ALL.len()],
}

impl Default for Coverage {
    fn default() -> Self {
        Self { counts: [0; Hit::ALL.len()], runs: [0; Hit::ALL.len()] }
    }
}

impl Coverage {
    pub(super) fn hit(&mut self, hit: Hit) {
        self.add(hit, 1);
    }

    pub(super) fn add(&mut self, hit: Hit, times: u64) {
        self.counts[hit as usize] += times;
    }

    /// How often it happened.
    pub fn count(&self, hit: Hit) -> u64 {
        self.counts[hit as usize]
    }

    /// In how many runs it happened.
    pub fn runs(&self, hit: Hit) -> u64 {
        self.runs[hit as usize]
    }

    /// Adds what happened in one more run.
    pub fn add_run(&mut self, run: &Self) {
        for hit in Hit::ALL {
            let times = run.count(hit);
            self.add(hit, times);
            self.runs[hit as usize] += u64::from(times > 0);
        }
    }

    /// What never happened.
    pub fn holes(&self) -> Vec<Hit> {
        Hit::ALL.into_iter().filter(|hit| self.count(*hit) == 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_added_up_and_what_never_happened_is_a_hole() {
        let mut run = Coverage::default();
        run.add(Hit::Lost, 3);
        let mut all = Coverage::default();
        all.add_run(&run);
        all.add_run(&run);
        assert_eq!((all.count(Hit::Lost), all.runs(Hit::Lost)), (6, 2));
        assert!(all.holes().contains(&Hit::Doubled) && !all.holes().contains(&Hit::Lost));
        assert_eq!(all.holes().len(), Hit::ALL.len() - 1);
    }
}
