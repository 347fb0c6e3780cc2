//! What goes wrong, when it is ordered.

use serde::{Deserialize, Serialize};

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It is answered with 429, and `Retry-After` with so many seconds.
    TooManyRequests(u64),
    /// It is answered with this status and a page for people, and nothing is done.
    Status(u16),
    /// The connection breaks before anything is done.
    Broken,
    /// It is done, and the connection breaks before the answer.
    BrokenAfterwards,
    /// It is done, and no answer comes for a minute.
    SilentAfterwards,
    /// A list lacks its last records and says how many there should be.
    TruncatedPage,
    /// A list is as it was before the last change.
    StaleList,
    /// Of a batch only the first half is done, and the answer is an error. The real one rolls back: this is worse than it.
    HalfABatch,
}
