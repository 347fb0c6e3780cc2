//! Deliberately broken rules. A simulation that does not catch each of them proves nothing about the rules themselves.

macro_rules! mutations {
    ($($name:ident => $explanation:literal,)+) => {
        /// One rule, broken. Only a simulation can ask for one: the constructors that take it exist under the feature
        /// `mutations` alone.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutation {
            $(#[doc = $explanation] $name,)+
        }

        impl Mutation {
            /// Every mutation, in the order of the enum.
            pub const ALL: [Self; [$($explanation),+].len()] = [$(Self::$name),+];

            /// What it does wrong.
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$name => $explanation,)+
                }
            }
        }
    };
}

mutations! {
    NoDriftMargin => "A holder counts the whole TTL, without the margin for clocks that run apart.",
    CountsFromAnswer => "A holder counts from when the answer came instead of from when it asked.",
    AnyAnswerIsTheLatest => "A holder takes any grant for the answer to its newest ask.",
    HoldsUntilTold => "A holder goes on until it is told that it lost the lease.",
    ReleasesBeforeStopping => "A holder releases first and stops acting when the release is confirmed.",
    TakesBackAfterRelease => "Who wants a lease back while its release is on its way takes an answer to an earlier question for it.",
    IgnoresBootId => "A new process of the same node takes over what its predecessor held.",
    HolderClockStandsStill => "A holder counts on the clock that stands still while the machine sleeps.",
    ReusesTokens => "A grant takes the number of the last one instead of its own place in the log.",
    ReleaseIgnoresToken => "A release is good under any token of its holder, also under one that it has no more.",
    RevivesByRenewal => "A renewal brings back what was taken away, as long as nobody else has it.",
    RestartRepeatsAsks => "A new process numbers its questions from the beginning, also where its predecessor had the same boot id.",
    ExpiryIgnoresRenewal => "An expiry is good whatever happened to the lease since it was proposed.",
    NewLeaderSkipsTtl => "A new leader expires what it finds at once.",
    NeverExpires => "Nobody takes a lease away from whom nothing is heard.",
    RefusedMeansDead => "A refused connection is taken for a death.",
    SilenceMeansDead => "Silence is taken for a death.",
    ReadsWithoutLeader => "A read is answered without asking the leader.",
    AcksBeforeSync => "An answer leaves before the disk has what it speaks of.",
    AsksForNoSync => "What must have reached the platter is written, and not synced.",
    ForgetsVote => "The vote is not kept.",
    NeverCheckpoints => "The log is never cut.",
    SnapshotForgetsTheDead => "Who takes over a snapshot does not take over who is known to be dead.",
    ReturnsWithoutDisk => "A member that lost its disk comes back under its old id.",
}

/// Which rule is broken here: in a program always none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) Option<Mutation>);

impl Broken {
    pub(crate) fn is(self, mutation: Mutation) -> bool {
        self.0 == Some(mutation)
    }
}
