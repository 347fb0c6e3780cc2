//! Somebody who looks at a provider all the time, so that a state of a few milliseconds is seen and dated.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::Document;
use crate::{clock, http::Client};

/// An agent that is down is asked again at once; one that hangs is given up on after this.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// From `at` on, the document held servers at these addresses.
#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    servers: BTreeSet<IpAddr>,
}

/// Polls one provider on a kept connection and remembers each change. Ends when dropped.
pub(crate) struct DocumentWatch {
    history: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DocumentWatch {
    /// Asks the provider at `address` every `pause`.
    pub(crate) fn start(address: SocketAddr, pause: Duration) -> Self {
        let history = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (history, stop) = (Arc::clone(&history), Arc::clone(&stop));
            std::thread::spawn(move || poll(address, pause, &history, &stop))
        };
        Self { history, stop, thread: Some(thread) }
    }

    /// When, at or after `since`, the document was first seen without (`present = false`) or with a server at
    /// `address`.
    pub(crate) fn first(&self, address: IpAddr, present: bool, since: Instant) -> Option<Instant> {
        first(&lock(&self.history), address, present, since)
    }
}

impl Drop for DocumentWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn first(history: &[Seen], address: IpAddr, present: bool, since: Instant) -> Option<Instant> {
    let before = history.iter().rev().find(|seen| seen.at <= since);
    if before.is_some_and(|seen| seen.servers.contains(&address) == present) {
        return Some(since);
    }
    let later = history.iter().filter(|seen| seen.at > since);
    later.into_iter().find(|seen| seen.servers.contains(&address) == present).map(|seen| seen.at)
}

fn lock(history: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    // A list that is only pushed to is whole, whoever panicked.
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

fn poll(address: SocketAddr, pause: Duration, history: &Mutex<Vec<Seen>>, stop: &AtomicBool) {
    let mut client = Client::tcp(address, ANSWER_LIMIT);
    let mut last_body = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        // What an agent that is down would say is not known, so nothing is noted.
        if let Ok(response) = client.get("/api/dynamic")
            && response.status == 200
            && response.body != last_body
            && let Ok(document) = Document::parse(&response.body)
        {
            lock(history).push(Seen { at: clock::now(), servers: document.nodes() });
            last_body = response.body;
        }
        std::thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_moment_of_a_state_is_found_even_if_it_was_short() {
        let start = clock::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let seen =
            |millis, servers: &[IpAddr]| Seen { at: at(millis), servers: servers.iter().copied().collect() };
        let history = [seen(0, &[a, b]), seen(100, &[a]), seen(130, &[a, b])];
        assert_eq!(first(&history, b, false, at(50)), Some(at(100)));
        assert_eq!(first(&history, b, true, at(100)), Some(at(130)));
        assert_eq!(first(&history, b, true, at(50)), Some(at(50)), "it was there already");
        assert_eq!(first(&history, b, false, at(140)), None);
        assert_eq!(first(&[], a, true, at(0)), None);
    }
}
