//! An open-loop load: requests leave on the clock, whatever became of those before, as visitors do.
//!
//! A closed loop would wait while the system is slow and then report how few requests were slow.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, TrySendError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{Document, node::PROVIDER_PORT};
use crate::{
    clock,
    http::{Address, Client},
};

/// A visitor gives up after this.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// Requests that wait for a worker. Workers cover the rate times the limit, so this only smooths.
const JOBS_BOUND: usize = 64;
/// A worker only waits; it needs little stack.
const STACK_BYTES: usize = 256 * 1024;

/// How requests reach the service.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// Through these Traefiks in turn.
    Traefik(Vec<SocketAddr>),
    /// As a visitor comes whose name server told several addresses: to each in turn, and to the next where one does not answer.
    Addresses(Vec<SocketAddr>),
    /// Straight to a server that the provider at one of these addresses names; where it refuses, to the next.
    Direct(Vec<IpAddr>),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// The node that answered, or why nobody did.
    pub(crate) answer: Result<String, String>,
}

/// The requests of one phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    pub(crate) slowest: Duration,
}

/// A running load. Ends when dropped.
pub(crate) struct Load {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Sends `per_second` requests for `host` until told to stop.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub(crate) fn start(route: &Route, host: &str, per_second: u32) -> Result<Self> {
        let mut load = Self { samples: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        let (sender, jobs) = mpsc::sync_channel::<(u64, Instant)>(JOBS_BOUND);
        let jobs = Arc::new(Mutex::new(jobs));
        // Each worker may hang for the whole limit.
        for _ in 0..u64::from(per_second) * (REQUEST_LIMIT.as_secs() + 1) {
            let (route, host, jobs) = (route.clone(), host.to_owned(), Arc::clone(&jobs));
            let samples = Arc::clone(&load.samples);
            load.spawn(move || work(&route, &host, &jobs, &samples))?;
        }
        let (stop, samples) = (Arc::clone(&load.stop), Arc::clone(&load.samples));
        load.spawn(move || {
            let start = clock::now();
            for number in 0.. {
                let due = start + Duration::from_secs(1) * number / per_second;
                std::thread::sleep(due.saturating_duration_since(clock::now()));
                if stop.load(Ordering::SeqCst) {
                    return; // the sender goes, and with it the workers
                }
                match sender.try_send((u64::from(number), due)) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => note(&samples, due, Err("the load fell behind".to_owned())),
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
        })?;
        Ok(load)
    }

    fn spawn(&mut self, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(body);
        self.threads.push(thread.context("could not start a thread of the load")?);
        Ok(())
    }

    /// Stops sending, waits for the last answers, and returns every request in the order of sending.
    pub(crate) fn finish(mut self) -> Vec<Sample> {
        self.end();
        let mut samples = std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner));
        samples.sort_by_key(|sample| sample.sent);
        samples
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Report {
    /// The requests that were sent in `[from, to)`.
    pub(crate) fn of(samples: &[Sample], from: Instant, to: Instant) -> Self {
        let within = samples.iter().filter(|sample| sample.sent >= from && sample.sent < to);
        within.fold(Self::default(), |report, sample| Self {
            requests: report.requests + 1,
            failed: report.failed + usize::from(sample.answer.is_err()),
            slowest: report.slowest.max(sample.took),
        })
    }
}

fn note(samples: &Mutex<Vec<Sample>>, sent: Instant, answer: Result<String, String>) {
    let took = clock::now() - sent;
    samples.lock().unwrap_or_else(PoisonError::into_inner).push(Sample { sent, took, answer });
}

fn work(route: &Route, host: &str, jobs: &Mutex<Receiver<(u64, Instant)>>, samples: &Mutex<Vec<Sample>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, due)) = job else { return };
        let answer = request(route, host, number).map_err(|error| format!("{error:#}"));
        note(samples, due, answer);
    }
}

/// One visitor's request; says which node answered.
///
/// # Errors
/// When no 200 with a name came.
pub(crate) fn request(route: &Route, host: &str, number: u64) -> Result<String> {
    match route {
        Route::Traefik(entries) => ask(nth(entries, number).context("no entry")?, host),
        Route::Addresses(entries) => first_that_answers(entries, host, number, "no address"),
        Route::Direct(agents) => {
            let agent = nth(agents, number).context("no agent")?;
            let mut provider = Client::tcp(SocketAddr::new(agent, PROVIDER_PORT), REQUEST_LIMIT);
            let servers: Vec<SocketAddr> =
                Document::parse(&provider.get("/api/dynamic")?.body)?.servers().into_iter().collect();
            first_that_answers(&servers, host, number, "the document names no server")
        }
    }
}

fn first_that_answers(servers: &[SocketAddr], host: &str, number: u64, none: &'static str) -> Result<String> {
    let turn = usize::try_from(number).unwrap_or(0);
    let mut last = anyhow::anyhow!(none);
    for offset in 0..servers.len() {
        match ask(servers[(turn + offset) % servers.len()], host) {
            Ok(name) => return Ok(name),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn nth<T: Copy>(list: &[T], number: u64) -> Option<T> {
    let length = u64::try_from(list.len()).ok()?;
    list.get(usize::try_from(number.checked_rem(length)?).ok()?).copied()
}

fn ask(server: SocketAddr, host: &str) -> Result<String> {
    let start = clock::now();
    let response = Client::new(Address::Tcp(server), host, REQUEST_LIMIT).get("/")?;
    let took = clock::now() - start;
    if took > REQUEST_LIMIT {
        bail!("answered after {took:?}");
    }
    if response.status != 200 {
        bail!("{server} answered {}: {}", response.status, response.text().trim());
    }
    let text = response.text();
    let name = text.lines().find_map(|line| line.strip_prefix("Name: "));
    Ok(name.context("the answer names nobody")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_counts_what_was_sent_within_it() {
        let start = clock::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let sample = |sent: u64, took: u64, fine: bool| Sample {
            sent: at(sent),
            took: Duration::from_millis(took),
            answer: if fine { Ok("n1".to_owned()) } else { Err("refused".to_owned()) },
        };
        let samples = [sample(0, 1, false), sample(10, 5, true), sample(20, 90, false), sample(30, 1, true)];
        let report = Report::of(&samples, at(10), at(30));
        assert_eq!(report, Report { requests: 2, failed: 1, slowest: Duration::from_millis(90) });
    }

    #[test]
    fn a_load_that_reaches_nobody_counts_failures_and_ends() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let load = Load::start(&Route::Traefik(vec![nobody]), "x", 100).unwrap();
        let samples = Arc::clone(&load.samples);
        let some = || Ok((samples.lock().unwrap().len() > 3).then_some(()));
        clock::wait_for("some requests", Duration::from_secs(20), Duration::from_millis(5), some).unwrap();
        assert!(load.finish().iter().all(|sample| sample.answer.is_err()));
    }
}
