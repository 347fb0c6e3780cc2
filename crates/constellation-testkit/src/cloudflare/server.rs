//! The simulator: zones, tokens, faults, and a place to listen.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use constellation_core::{Clock, Moment};
use constellation_tasks::{Early, Supervisor, SystemClock};

use super::{
    fault::Fault,
    routes,
    zone::{Limits, StoredRecord, Zone},
};

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Read and write the zones' records.
    Edit,
    /// Read them.
    Read,
    /// Nothing of DNS.
    None,
}

/// An API token.
#[derive(Clone, Debug)]
pub struct Token {
    /// `active`, `disabled` or `expired`.
    pub status: String,
    /// What it may do.
    pub rights: Rights,
    /// With which zones, by name.
    pub zones: Vec<String>,
}

pub(super) struct State {
    pub(super) zones: Vec<Zone>,
    pub(super) before: Vec<Zone>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) faults: VecDeque<Fault>,
    pub(super) requests: Vec<Moment>,
    pub(super) asked: u64,
    pub(super) written: u64,
    pub(super) changed: Option<Moment>,
    /// How far its calendar is ahead, in seconds.
    pub(super) skew: i64,
}

/// A simulated Cloudflare.
#[derive(Clone)]
pub struct Simulator {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
}

/// The token that a new simulator takes.
const TOKEN: &str = "simulated-token";

impl Simulator {
    /// One with these zones and the token [`Simulator::token`], which may edit all of them.
    pub fn new(zones: &[&str], limits: Limits) -> Self {
        let all = (1..).zip(zones).map(|(number, name)| Zone::new(number, name, limits)).collect::<Vec<_>>();
        let token = Token {
            status: "active".to_owned(),
            rights: Rights::Edit,
            zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        };
        let state = State {
            before: all.clone(),
            zones: all,
            tokens: [(TOKEN.to_owned(), token)].into(),
            faults: VecDeque::new(),
            requests: Vec::new(),
            asked: 0,
            written: 0,
            changed: None,
            skew: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), clock: Arc::new(SystemClock::start()), limits }
    }

    /// The token that it takes.
    pub const fn token() -> &'static str {
        TOKEN
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes or changes a token.
    pub fn set_token(&self, text: &str, token: Token) {
        self.with(|state| drop(state.tokens.insert(text.to_owned(), token)));
    }

    /// What goes wrong with the next requests, in order.
    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| state.faults.extend(faults));
    }

    /// Puts its calendar ahead by so many seconds, or back: the `Date` of every answer is off by that much.
    pub fn skew_clock(&self, seconds: i64) {
        self.with(|state| state.skew = seconds);
    }

    /// What stands in the `Date` of an answer.
    pub(super) fn date(&self) -> SystemTime {
        let skew = self.with(|state| state.skew);
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(self.clock.wall().0);
        let off = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { now - off } else { now + off }
    }

    /// The records of a zone, without a request.
    pub fn records(&self, zone: &str) -> Vec<StoredRecord> {
        let of = |state: &mut State| {
            state.zones.iter().find(|known| known.name == zone).map(|zone| zone.records.clone())
        };
        self.with(of).unwrap_or_default()
    }

    /// Makes a record as somebody else does.
    ///
    /// # Errors
    /// With Cloudflare's number and words where it does not take it.
    pub fn create(&self, zone: &str, record: StoredRecord) -> Result<StoredRecord, (u32, String)> {
        self.with(|state| {
            let found = state.zones.iter_mut().find(|known| known.name == zone);
            found.map_or_else(|| Err((7003, "there is no such zone".to_owned())), |zone| zone.create(record))
        })
    }

    /// Changes the records of a zone behind everybody's back.
    pub fn edit(&self, zone: &str, edit: impl FnOnce(&mut Vec<StoredRecord>)) {
        self.with(|state| {
            if let Some(zone) = state.zones.iter_mut().find(|known| known.name == zone) {
                edit(&mut zone.records);
            }
        });
    }

    /// How many requests came, and how many of them changed something.
    pub fn counts(&self) -> (u64, u64) {
        self.with(|state| (state.asked, state.written))
    }

    /// Listens, and answers until the supervisor drains. Gives the base of the API, with its slash.
    ///
    /// # Errors
    /// When the address is not free.
    pub async fn listen(&self, at: SocketAddr, supervisor: &Supervisor) -> std::io::Result<String> {
        let listener = tokio::net::TcpListener::bind(at).await?;
        let base = format!("http://{}/client/v4/", listener.local_addr()?);
        let (router, shutdown) = (routes::router(self.clone()), supervisor.shutdown());
        supervisor.spawn("cloudflare simulator", Early::Fatal, async move {
            let serving = axum::serve(listener, router);
            tokio::select! {
                served = async { serving.await } => drop(served),
                () = shutdown.cancelled() => {}
            }
        });
        Ok(base)
    }

    /// How many requests are left in the window, and when there are more.
    pub(super) fn charge(&self) -> Result<(usize, u64), u64> {
        let now = self.clock.now();
        let window = Duration::from_secs(300);
        self.with(|state| {
            state.requests.retain(|at| now.since(*at) < window);
            state.asked += 1;
            let until =
                state.requests.first().map_or(window, |first| window.saturating_sub(now.since(*first)));
            if state.requests.len() >= self.limits.requests_max {
                return Err(until.as_secs().max(1));
            }
            state.requests.push(now);
            Ok((self.limits.requests_max - state.requests.len(), until.as_secs()))
        })
    }
}
