//! A zone in memory that fails as it is told to: for tests, and for trying things out.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    owner::Marker,
    plan::{Change, carry_out},
    provider::{DnsError, DnsProvider, Usage},
    record::{Found, RecordId},
    rules::Rules,
};

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused for having come too often.
    TooOften(Duration),
    /// It never arrives.
    Lost,
    /// It is done, and the answer never arrives.
    AnswerLost,
    /// A list ends before its end, and that is noticed.
    CutShort,
    /// A list is as it was before the last change.
    Stale,
    /// It is refused for good.
    Denied,
}

#[derive(Debug, Default)]
struct State {
    records: Vec<Found>,
    before: Vec<Found>,
    faults: VecDeque<Fault>,
    made: u64,
}

/// A zone in memory.
#[derive(Debug)]
pub struct SimulatedZone {
    rules: Rules,
    state: Mutex<State>,
    requests: AtomicU64,
}

impl SimulatedZone {
    /// A zone with these records and a provider's rules.
    pub fn new(rules: Rules, records: Vec<Found>) -> Self {
        let state = State { before: records.clone(), records, ..State::default() };
        Self { rules, state: Mutex::new(state), requests: AtomicU64::new(0) }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The records, without a request.
    pub fn look(&self) -> Vec<Found> {
        self.with(|state| state.records.clone())
    }

    /// Changes the records behind everybody's back, as a person at the provider's console does.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<Found>)) {
        self.with(|state| {
            state.before = state.records.clone();
            edit(&mut state.records);
        });
    }

    /// What goes wrong with the next requests, in order.
    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| state.faults.extend(faults));
    }

    fn failed(&self, fault: Fault, deed: &str) -> DnsError {
        let source = || "the simulation says so".into();
        match fault {
            Fault::TooOften(wait) => DnsError::RateLimited { place: self.place(), wait },
            Fault::AnswerLost => DnsError::Unknown { deed: deed.to_owned(), source: source() },
            Fault::CutShort => {
                DnsError::Incomplete { place: self.place(), why: "the simulation says so".to_owned() }
            }
            Fault::Denied => DnsError::Denied {
                place: self.place(),
                said: "the simulation says so".to_owned(),
                advice: "tell the simulation otherwise",
            },
            Fault::Lost | Fault::Stale => DnsError::Unreachable { deed: deed.to_owned(), source: source() },
        }
    }
}

#[async_trait]
impl DnsProvider for SimulatedZone {
    fn place(&self) -> String {
        "a simulated zone".to_owned()
    }

    fn rules(&self) -> Rules {
        self.rules
    }

    async fn records(&self) -> Result<Vec<Found>, DnsError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (fault, now, before) =
            self.with(|state| (state.faults.pop_front(), state.records.clone(), state.before.clone()));
        match fault {
            None => Ok(now),
            Some(Fault::Stale) => Ok(before),
            Some(fault) => Err(self.failed(fault, "read the records")),
        }
    }

    async fn apply(&self, batch: &[Change], marker: &Marker) -> Result<(), DnsError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = self.with(|state| state.faults.pop_front());
        match fault {
            Some(fault) if !matches!(fault, Fault::AnswerLost | Fault::Stale) => {
                return Err(self.failed(fault, "write records"));
            }
            _ => {}
        }
        self.with(|state| {
            let mut records = state.records.clone();
            let mut made = state.made;
            for change in batch {
                crate::zone_file::refuse_impossible(&records, change)?;
                carry_out(&mut records, change, marker, || {
                    made += 1;
                    RecordId(format!("made-{made}"))
                });
            }
            (state.before, state.records, state.made) = (std::mem::take(&mut state.records), records, made);
            Ok::<(), DnsError>(())
        })?;
        match fault {
            Some(Fault::AnswerLost) => Err(self.failed(Fault::AnswerLost, "write records")),
            _ => Ok(()),
        }
    }

    fn usage(&self) -> Usage {
        Usage { requests: self.requests.load(Ordering::Relaxed), left: None }
    }
}
