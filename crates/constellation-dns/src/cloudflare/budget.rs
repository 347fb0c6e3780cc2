//! How often may be asked. Cloudflare counts 1,200 requests in five minutes over everything that a user does, the dashboard
//! included, and locks all of it out for as long when that is passed: half of it is for people.
//! <https://developers.cloudflare.com/fundamentals/api/reference/limits/>

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use constellation_core::Moment;
use rand::Rng as _;
use reqwest::header::HeaderMap;

/// Half of what is allowed in the window.
const CAPACITY: u32 = 600;
const WINDOW: Duration = Duration::from_secs(300);
/// A 429 that does not say for how long.
const UNSAID: Duration = Duration::from_secs(60);
/// The longest that a header may tell us to wait.
const WAIT_MAX: Duration = Duration::from_secs(600);

#[derive(Debug)]
struct State {
    tokens: f64,
    at: Moment,
    closed_until: Moment,
}

/// Requests that may still be made, on our own clock.
#[derive(Debug)]
pub struct Budget(Mutex<State>);

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

impl Budget {
    /// A full one.
    pub const fn new() -> Self {
        Self(Mutex::new(State { tokens: CAPACITY as f64, at: Moment::START, closed_until: Moment::START }))
    }

    fn with<T>(&self, now: Moment, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.since(state.at).as_secs_f64() * f64::from(CAPACITY) / WINDOW.as_secs_f64();
        state.tokens = (state.tokens + gained).min(f64::from(CAPACITY));
        state.at = state.at.max(now);
        work(&mut state)
    }

    /// Takes one, or says how long there will be none.
    pub fn take(&self, now: Moment) -> Result<(), Duration> {
        self.with(now, |state| {
            let closed = state.closed_until.since(now);
            if !closed.is_zero() {
                return Err(closed);
            }
            if state.tokens < 1.0 {
                let seconds = (1.0 - state.tokens) * WINDOW.as_secs_f64() / f64::from(CAPACITY);
                return Err(Duration::from_secs_f64(seconds).max(Duration::from_millis(1)));
            }
            state.tokens -= 1.0;
            Ok(())
        })
    }

    /// How many are left.
    pub fn left(&self, now: Moment) -> u32 {
        let left = self.with(now, |state| if state.closed_until > now { 0.0 } else { state.tokens });
        (0..=CAPACITY).rev().find(|whole| f64::from(*whole) <= left).unwrap_or(0)
    }

    /// Hears what is left of everybody's budget: `Ratelimit: "default";r=50;t=30`. Half of what is left is not ours.
    /// <https://developers.cloudflare.com/changelog/2025-09-03-rate-limiting-improvement/>
    pub(super) fn hear(&self, headers: &HeaderMap, now: Moment) {
        let Some(text) = headers.get("ratelimit").and_then(|value| value.to_str().ok()) else { return };
        let number = |field: &str| -> Option<u32> {
            text.split(';').find_map(|part| part.trim().strip_prefix(field)?.parse().ok())
        };
        let Some(left) = number("r=") else { return };
        self.with(now, |state| {
            state.tokens = state.tokens.min(f64::from(left.div_ceil(2)));
            if left == 0 {
                let wait = number("t=").map_or(UNSAID, |seconds| Duration::from_secs(seconds.into()));
                state.closed_until = state.closed_until.max(now + wait.min(WAIT_MAX));
            }
        });
    }

    /// A 429 came: for how long nothing is asked. A little more than was said, and not the same for everybody.
    pub(super) fn refused(&self, headers: &HeaderMap, now: Moment) -> Duration {
        let said = headers
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let wait = said.map_or(UNSAID, Duration::from_secs).clamp(Duration::from_secs(1), WAIT_MAX);
        let wait = wait.mul_f64(rand::rng().random_range(1.0..=1.1));
        self.with(now, |state| state.closed_until = state.closed_until.max(now + wait));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn half_of_the_allowance_is_spent_and_comes_back() {
        let budget = Budget::new();
        assert_eq!((0..1000).filter(|_| budget.take(at(0)).is_ok()).count(), 600);
        let wait = budget.take(at(0)).unwrap_err();
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        assert_eq!((0..1000).filter(|_| budget.take(at(150)).is_ok()).count(), 300);
        assert_eq!((0..5000).filter(|_| budget.take(at(100_000)).is_ok()).count(), 600);
    }

    #[test]
    fn what_the_headers_say_is_believed() {
        let budget = Budget::new();
        budget.hear(&headers(&[("ratelimit", "\"default\";r=9;t=30")]), at(0));
        assert_eq!(budget.left(at(0)), 5);
        budget.hear(&headers(&[("ratelimit", "\"default\";r=0;t=30")]), at(0));
        assert!(budget.take(at(29)).is_err() && budget.take(at(31)).is_ok());
        budget.hear(&headers(&[("ratelimit", "nonsense")]), at(31));
    }

    #[test]
    fn a_refusal_closes_for_as_long_as_it_says_and_a_little_more() {
        let budget = Budget::new();
        let wait = budget.refused(&headers(&[("retry-after", "20")]), at(0));
        assert!((20..=22).contains(&wait.as_secs()), "{wait:?}");
        assert!(budget.take(at(19)).is_err() && budget.take(at(23)).is_ok());
        let far = budget.refused(&headers(&[("retry-after", "99999999")]), at(23));
        assert!(far <= Duration::from_secs(660), "{far:?}");
        assert!(budget.refused(&headers(&[]), at(23)) >= UNSAID);
    }
}
