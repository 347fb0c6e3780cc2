//! How long and how much: every bound of this back end in one place.

use std::time::Duration;

/// Time limits of the calls. The product uses [`Limits::default`]; only tests shorten them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Reading what the daemon has in memory. A healthy one takes milliseconds; its locks may be held for seconds
    /// while it starts many containers.
    pub(super) query: Duration,
    /// Making, starting, killing or removing something: disk and kernel work that a loaded machine stretches.
    pub(super) change: Duration,
    /// What a stop may take beyond its grace: the daemon itself waits up to 10 s for a killed process.
    pub(super) stop_margin: Duration,
    /// Reading logs, which may be many megabytes.
    pub(super) logs: Duration,
    /// The longest silence within a pull or an import. Their whole length depends on the image and the line.
    pub(super) transfer_silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query: Duration::from_secs(5),
            change: Duration::from_secs(30),
            stop_margin: Duration::from_secs(10),
            logs: Duration::from_secs(15),
            transfer_silence: Duration::from_secs(120),
        }
    }
}

/// The most that an answer may hold. `list` gives about 2 KiB per container; 32 MiB are 16,000 of them.
pub(super) const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The most that one event or one line of progress may hold. An event repeats all labels of its container.
pub(super) const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
