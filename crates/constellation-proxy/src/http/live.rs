//! What is known of backends beyond one table: shared by all threads, and kept when tables change.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use constellation_core::{InstanceId, Moment};

use super::{
    breaker::{Breaker, BreakerConfig, BreakerState, Gate},
    repeat::RetryBudget,
    table::{Backend, Name, Table},
};

/// The share of a new reading in the running mean, as a power of two: an eighth.
const LATENCY_SHIFT: u32 = 3;
/// After how long without an answer a reading is believed half. Of two backends the faster one is asked while there is little to do,
/// so only by this the other gets to show that it has become faster.
const LATENCY_HALF_LIFE: Duration = Duration::from_secs(2);

/// One backend of one service.
#[derive(Debug)]
pub(super) struct LiveBackend {
    outstanding: AtomicU32,
    latency: AtomicU32,
    /// When the last answer came, in milliseconds after the start.
    heard: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    /// Whether the breaker has anything to remember; most never do, and are not locked for it.
    troubled: AtomicBool,
    breaker: Mutex<Breaker>,
}

impl LiveBackend {
    fn new(config: BreakerConfig) -> Self {
        Self {
            outstanding: AtomicU32::new(0),
            latency: AtomicU32::new(0),
            heard: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            troubled: AtomicBool::new(false),
            breaker: Mutex::new(Breaker::new(config)),
        }
    }

    pub(super) fn gate(&self, now: Moment) -> Gate {
        if self.troubled.load(Ordering::Acquire) { self.lock().gate(now) } else { Gate::Closed }
    }

    pub(super) fn outstanding(&self) -> u32 {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// The running mean in microseconds, as it was read; 0 before the first answer.
    pub(super) fn latency(&self) -> u32 {
        self.latency.load(Ordering::Relaxed)
    }

    /// What the next request may take to be answered: the mean, which counts less the older it is, and at last as nothing known.
    pub(super) fn expected_latency(&self, now: Moment) -> u32 {
        let age = millis(now).saturating_sub(self.heard.load(Ordering::Relaxed));
        let halvings = u128::from(age) / LATENCY_HALF_LIFE.as_millis();
        u32::try_from(halvings).ok().and_then(|halvings| self.latency().checked_shr(halvings)).unwrap_or(0)
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn breaker(&self, now: Moment) -> BreakerState {
        self.lock().state(now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One answer came. Two threads may each lose the other's reading; the mean does not mind.
    fn answered(&self, began: Moment, now: Moment) {
        let new = u32::try_from(now.since(began).as_micros()).unwrap_or(u32::MAX).max(1);
        let old = self.latency();
        let mean = if old == 0 { new } else { old - (old >> LATENCY_SHIFT) + (new >> LATENCY_SHIFT) };
        self.latency.store(mean.max(1), Ordering::Relaxed);
        self.heard.store(millis(now), Ordering::Relaxed);
        if self.troubled.load(Ordering::Acquire) {
            self.lock().succeeded();
            self.troubled.store(false, Ordering::Release);
        }
    }

    fn failed(&self, probe: bool, now: Moment) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut breaker = self.lock();
        breaker.failed(probe, now);
        self.troubled.store(!breaker.is_calm(), Ordering::Release);
    }
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.since_start().as_millis()).unwrap_or(u64::MAX)
}

/// A request that is on its way to a backend, or whose answer is. Counts as outstanding until it is dropped; dropped without a
/// word it tells the breaker nothing.
#[derive(Debug)]
pub(super) struct OnTheWay {
    backend: Arc<LiveBackend>,
    probe: bool,
    told: bool,
}

impl OnTheWay {
    pub(super) fn to(backend: &Arc<LiveBackend>, now: Moment) -> Self {
        backend.outstanding.fetch_add(1, Ordering::Relaxed);
        backend.requests.fetch_add(1, Ordering::Relaxed);
        let probe = backend.troubled.load(Ordering::Acquire) && backend.lock().enter(now);
        Self { backend: Arc::clone(backend), probe, told: false }
    }

    pub(super) fn answered(&mut self, began: Moment, now: Moment) {
        self.told = true;
        self.backend.answered(began, now);
    }

    pub(super) fn failed(&mut self, now: Moment) {
        self.told = true;
        self.backend.failed(self.probe, now);
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.backend.outstanding.fetch_sub(1, Ordering::Relaxed);
        if self.probe && !self.told {
            self.backend.lock().abandoned();
        }
    }
}

/// Which backend of which service.
type Key = (Name, InstanceId, SocketAddr);

/// What is known, by service and backend. What a table no longer names is forgotten with it.
#[derive(Debug)]
pub(super) struct Registry {
    config: BreakerConfig,
    backends: HashMap<Key, Arc<LiveBackend>>,
    budgets: HashMap<Name, Arc<RetryBudget>>,
}

impl Registry {
    pub(super) fn new(config: BreakerConfig) -> Self {
        Self { config, backends: HashMap::new(), budgets: HashMap::new() }
    }

    pub(super) fn backend(&mut self, service: &Name, backend: &Backend) -> Arc<LiveBackend> {
        let key = (Name::clone(service), backend.instance.clone(), backend.address);
        let fresh = || Arc::new(LiveBackend::new(self.config));
        Arc::clone(self.backends.entry(key).or_insert_with(fresh))
    }

    pub(super) fn budget(&mut self, service: &Name) -> Arc<RetryBudget> {
        Arc::clone(self.budgets.entry(Name::clone(service)).or_default())
    }

    /// Forgets what a table does not name.
    pub(super) fn keep_only(&mut self, table: &Table) {
        let named: std::collections::HashSet<(&str, &InstanceId, SocketAddr)> = table
            .services
            .iter()
            .flat_map(|service| service.backends.iter().map(|it| (&*service.name, &it.instance, it.address)))
            .collect();
        self.backends
            .retain(|(service, instance, address), _| named.contains(&(service, instance, *address)));
        self.budgets.retain(|name, _| table.services.binary_search_by(|it| it.name.cmp(name)).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::choose::{Candidate, choose},
        *,
    };

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_reading_counts_half_after_each_half_life_and_then_as_unknown() {
        let backend = LiveBackend::new(BreakerConfig::default());
        backend.answered(at(1000), at(1008));
        assert_eq!(backend.expected_latency(at(1008)), 8000);
        assert_eq!(backend.expected_latency(at(3008)), 4000);
        assert_eq!(backend.expected_latency(at(5008)), 2000);
        assert_eq!(backend.expected_latency(at(600_000)), 0);
        assert_eq!(backend.latency(), 8000);
    }

    #[test]
    fn the_slower_of_two_is_asked_now_and_then_also_when_there_is_little_to_do() {
        let backends = [1, 8].map(|took| (took, Arc::new(LiveBackend::new(BreakerConfig::default()))));
        let mut asked = [0; 2];
        for number in 0..6000 {
            let now = at(number * 10);
            let candidates = backends.each_ref().map(|(_, backend)| Candidate {
                rank: 0,
                gate: backend.gate(now),
                tried: false,
                outstanding: backend.outstanding(),
                latency: backend.expected_latency(now),
            });
            let chosen = choose(&candidates, number).unwrap();
            asked[chosen] += 1;
            let (took, backend) = &backends[chosen];
            OnTheWay::to(backend, now).answered(now, now + Duration::from_millis(*took));
        }
        // In a minute, in which the faster one is asked all the other times.
        assert!((5..60).contains(&asked[1]), "{asked:?}");
    }
}
