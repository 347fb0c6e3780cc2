//! The first write that succeeds through one of several nodes.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{clock::BootTime, interrupt};

/// A fresh try goes to every node this often, whatever became of those before.
const EVERY: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(30);

/// Tries `write` at each of `nodes` again and again, each try on its own, and says when the first had succeeded.
///
/// # Errors
/// When none does.
pub(super) fn success<N: Clone + Send + 'static>(
    nodes: &[N],
    write: impl Fn(&N) -> bool + Send + Sync + 'static,
) -> Result<BootTime> {
    let write = Arc::new(write);
    let start = BootTime::now();
    let (sender, done) = mpsc::channel();
    while BootTime::now().since(start) < LIMIT {
        interrupt::check()?;
        for node in nodes {
            let (write, node, sender) = (Arc::clone(&write), node.clone(), sender.clone());
            std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
                if write(&node) {
                    // Whoever came first is waited for; the others find nobody.
                    let _ = sender.send(BootTime::now());
                }
            })?;
        }
        if let Ok(at) = done.recv_timeout(EVERY) {
            return Ok(done.try_iter().fold(at, BootTime::min));
        }
    }
    bail!("no write succeeded within {LIMIT:?}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn the_first_success_ends_the_tries() {
        let tries = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&tries);
        let start = BootTime::now();
        let at = success(&[1, 2], move |_| counted.fetch_add(1, Ordering::SeqCst) >= 3).unwrap();
        assert!(at > start && tries.load(Ordering::SeqCst) >= 4);
    }
}
