//! Deliberately broken rules. A simulation that does not catch each of them proves nothing about the rules themselves.

/// One rule, broken. Only a simulation can ask for one: the constructors that take it exist under the feature
/// `mutations` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// A holder counts the whole TTL, without the margin for clocks that run apart.
    NoDriftMargin,
    /// A holder counts from when the answer came instead of from when it asked.
    CountsFromAnswer,
    /// A holder takes any grant for the answer to its newest ask.
    AnyAnswerIsTheLatest,
    /// A holder goes on until it is told that it lost the lease.
    HoldsUntilTold,
    /// A holder releases first and stops acting when the release is confirmed.
    ReleasesBeforeStopping,
    /// Who wants a lease back while its release is on its way takes an answer to an earlier question for it.
    TakesBackAfterRelease,
    /// A new process of the same node takes over what its predecessor held.
    IgnoresBootId,
    /// A holder counts on the clock that stands still while the machine sleeps.
    HolderClockStandsStill,
    /// A grant takes the number of the last one instead of its own place in the log.
    ReusesTokens,
    /// An expiry is good whatever happened to the lease since it was proposed.
    ExpiryIgnoresRenewal,
    /// A new leader expires what it finds at once.
    NewLeaderSkipsTtl,
    /// A refused connection is taken for a death.
    RefusedMeansDead,
    /// Silence is taken for a death.
    SilenceMeansDead,
    /// A read is answered without asking the leader.
    ReadsWithoutLeader,
    /// An answer leaves before the disk has what it speaks of.
    AcksBeforeSync,
    /// The vote and term are not kept.
    ForgetsVote,
    /// A member that lost its disk comes back under its old id.
    ReturnsWithoutDisk,
}

impl Mutation {
    /// Every mutation, in the order of the enum.
    pub const ALL: [Self; 17] = [
        Self::NoDriftMargin,
        Self::CountsFromAnswer,
        Self::AnyAnswerIsTheLatest,
        Self::HoldsUntilTold,
        Self::ReleasesBeforeStopping,
        Self::TakesBackAfterRelease,
        Self::IgnoresBootId,
        Self::HolderClockStandsStill,
        Self::ReusesTokens,
        Self::ExpiryIgnoresRenewal,
        Self::NewLeaderSkipsTtl,
        Self::RefusedMeansDead,
        Self::SilenceMeansDead,
        Self::ReadsWithoutLeader,
        Self::AcksBeforeSync,
        Self::ForgetsVote,
        Self::ReturnsWithoutDisk,
    ];
}

/// Which rule is broken here: in a program always none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) Option<Mutation>);

impl Broken {
    pub(crate) fn is(self, mutation: Mutation) -> bool {
        self.0 == Some(mutation)
    }
}
