//! The blast-radius governor: a large change for the worse is held back while it looks as if *we* were the ones cut off.
//!
//! A node that lost sight of its peers cannot tell "they are all dead" from "my link is down". Acting on the first
//! reading takes a site down for the sake of the second. So what would remove most of something waits until enough
//! peers are in sight again.

/// What this node sees of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Peers that were seen and did not say that they leave.
    pub peers_known: usize,
    /// How many of these are in sight now.
    pub peers_live: usize,
}

impl Evidence {
    /// Whether most of the known peers are out of sight. A node that knows none is alone, not cut off.
    pub const fn looks_cut_off(self) -> bool {
        self.peers_live * 2 < self.peers_known
    }
}

/// Which changes are too large to make on doubtful evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Governor {
    /// Removing more than this part of what there is, in hundredths, counts as large.
    pub large_percent: u8,
}

impl Default for Governor {
    /// Half: "most" of what there is.
    fn default() -> Self {
        Self { large_percent: 50 }
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Make the change.
    Apply,
    /// Keep what there was, and look again when the evidence changes.
    Hold {
        /// How much would go.
        removed: usize,
        /// Of how much.
        of: usize,
        /// On what evidence.
        evidence: Evidence,
    },
}

impl Governor {
    /// Judges a change that removes `removed` of `of` things.
    pub const fn judge(&self, removed: usize, of: usize, evidence: Evidence) -> Verdict {
        let large = removed * 100 > of * self.large_percent as usize;
        if large && evidence.looks_cut_off() {
            Verdict::Hold { removed, of, evidence }
        } else {
            Verdict::Apply
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sees(peers_live: usize, peers_known: usize) -> Evidence {
        Evidence { peers_known, peers_live }
    }

    #[test]
    fn losing_most_routes_while_most_peers_are_out_of_sight_is_held_back() {
        assert!(matches!(Governor::default().judge(9, 10, sees(1, 4)), Verdict::Hold { .. }));
    }

    #[test]
    fn losing_most_routes_while_the_peers_are_there_is_the_operators_wish() {
        assert_eq!(Governor::default().judge(10, 10, sees(2, 4)), Verdict::Apply);
    }

    #[test]
    fn losing_a_few_routes_is_never_held_back() {
        assert_eq!(Governor::default().judge(5, 10, sees(0, 4)), Verdict::Apply);
    }

    #[test]
    fn a_node_that_never_had_peers_is_not_cut_off() {
        assert_eq!(Governor::default().judge(10, 10, sees(0, 0)), Verdict::Apply);
    }
}
