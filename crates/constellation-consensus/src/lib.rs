//! Leases by Raft: at most one live process believes that it holds a lease.
//!
//! > Whatever crashes, pauses, is cut off, lost or delayed: at any instant at most one live process believes that it holds
//! > a lease, as long as the clocks of any two machines *run* at rates within the configured bound.
//!
//! In reading order: [`clock`] keeps two clocks apart; [`lease`] has the table that is agreed on, the keeper that asks and
//! the judge that takes away; [`member`] has who belongs to the cluster, and who of them votes; [`raft`] is one order of commands on every member. [`Replica`] puts these together as one
//! plain value, which decides everything about a node. [`LeaseService`] runs it on tokio, with [`storage`] for its disk
//! and [`transport`] for its network, and [`LeaseHandle`] speaks for it.
//!
//! Why the promise holds:
//!
//! 1. A lease changes hands only in the table, by one order of commands that a majority keeps. A holder is never replaced,
//!    only freed: by its own release, by an expiry, or by proof that its process is dead.
//! 2. A holder counts from when it *sent* the question that was granted, and for less than the TTL by what two clocks may
//!    run apart. The leader counts the whole TTL from when it *saw* the grant, which is later. So the holder has stopped
//!    before the leader ends its tenure.
//! 3. An expiry names the last renewal that the leader saw, and is void if another came in between.
//! 4. Who lets go stops acting before it says so, and takes no answer to an earlier question back up.
//! 5. A reader compares the end of the tenure with its own clock right before each effect, so that a process which stood
//!    still does not act on what was true before.
//! 6. Every grant has a token, the place of its command in the log, which only rises: for what no clock can see, such as a
//!    virtual machine that was paused, the receiver of an effect can refuse a token below one that it has seen.
//!
//! The simulation in `constellation-testkit` attacks this, and breaks each rule on purpose to see that it would notice.
//!
//! Nothing here knows what a lease is for, which node is the better one, or how members are found: it is told.

pub mod clock;
#[cfg(test)]
mod corpus;
mod frame;
pub mod lease;
mod machine;
mod malformed;
pub mod member;
#[cfg_attr(
    not(feature = "mutations"),
    allow(dead_code, unreachable_pub, reason = "only a simulation breaks rules")
)]
mod mutation;
pub mod raft;
pub mod rebuild;
mod replica;
mod service;
pub mod storage;
pub mod transport;

#[cfg(feature = "mutations")]
pub use self::mutation::Mutation;
pub use self::{
    frame::{Body, Frame, Obituary, Transport},
    machine::{ClusterCommand, ClusterMachine, NOTE_BYTES_MAX, Reply},
    malformed::Malformed,
    replica::{Effect, Event, Identity, Replica},
    service::{LeaseClocks, LeaseHandle, LeaseService, MachineClocks, ServiceConfig, ServiceError, Standing},
};
