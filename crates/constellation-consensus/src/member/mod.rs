//! Who belongs to the cluster: which nodes were let in, under which id, and which of them vote.
//!
//! [`MemberTable`] is replicated and knows no network and no time of its own; [`plan`](plan()) says which change of
//! votes comes next. An id is the place in the log at which the node was let in, so none is ever given out twice.

mod codec;
mod command;
mod seats;
mod settings;
mod table;

pub use self::{
    command::{AdmissionKey, MemberCommand, MemberOutcome, MemberRefusal},
    seats::{SeatMove, SeatPolicy, Standing, plan},
    settings::{ClusterSettings, InvalidSettings, Profile},
    table::{Member, MemberTable, Offer},
};
