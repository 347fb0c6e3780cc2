//! Whether a request may be sent again, and how often all of them together may. Pure.

use std::sync::atomic::{AtomicI64, Ordering};

use hyper::{HeaderMap, Method, header::HeaderName};

/// The client says with it that repeating its request does no harm.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a backend may have seen of a request that it did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing: there was no connection, or it was closed before the first byte.
    Nothing,
    /// Perhaps all of it.
    Perhaps,
}

/// Whether it does no harm when a request arrives twice (RFC 9110, 9.2.2).
pub fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    let by_method = matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    by_method || headers.contains_key(IDEMPOTENCY_KEY)
}

/// Whether a request that a backend failed may be given to another: never with a body that is gone, otherwise when
/// it is idempotent or nothing of it was sent.
pub const fn may_repeat(idempotent: bool, sent: Sent, body_is_whole: bool) -> bool {
    body_is_whole && (idempotent || matches!(sent, Sent::Nothing))
}

/// What a request adds to the budget, in thousandths of a repetition.
const DEPOSIT: i64 = 200;
/// One repetition.
const PRICE: i64 = 1000;
/// The most that is saved: a hundred repetitions.
const SAVINGS_MAX: i64 = 100 * PRICE;

/// How many repetitions a service has left. One request in five may be repeated in the long run, and a hundred at once: a
/// service that is down whole must not be asked several times as often because of it.
#[derive(Debug)]
pub struct RetryBudget(AtomicI64);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicI64::new(SAVINGS_MAX))
    }
}

impl RetryBudget {
    /// A request came.
    pub fn deposit(&self) {
        // Two threads may both add the last bit; the bound is one of a hundred, not an exact one.
        if self.0.load(Ordering::Relaxed) < SAVINGS_MAX {
            self.0.fetch_add(DEPOSIT, Ordering::Relaxed);
        }
    }

    /// Takes one repetition, where one is left.
    pub fn withdraw(&self) -> bool {
        let enough = |saved: i64| (saved >= PRICE).then_some(saved - PRICE);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_key() -> HeaderMap {
        HeaderMap::from_iter([(IDEMPOTENCY_KEY, "4711".parse().unwrap())])
    }

    #[test]
    fn methods_that_do_no_harm_twice_are_repeated_and_post_only_with_a_key() {
        let none = HeaderMap::new();
        for (method, headers, expected) in [
            (Method::GET, &none, true),
            (Method::PUT, &none, true),
            (Method::DELETE, &none, true),
            (Method::POST, &none, false),
            (Method::PATCH, &none, false),
            (Method::CONNECT, &none, false),
            (Method::POST, &with_key(), true),
        ] {
            assert_eq!(is_idempotent(&method, headers), expected, "{method}");
        }
    }

    #[test]
    fn a_body_that_is_gone_is_never_sent_empty_in_its_place() {
        assert!(!may_repeat(true, Sent::Perhaps, false));
        assert!(!may_repeat(true, Sent::Nothing, false));
    }

    #[test]
    fn what_nobody_received_may_be_sent_whatever_it_is() {
        assert!(may_repeat(false, Sent::Nothing, true));
        assert!(!may_repeat(false, Sent::Perhaps, true));
        assert!(may_repeat(true, Sent::Perhaps, true));
    }

    #[test]
    fn a_service_that_is_down_is_asked_a_fifth_more_often_and_not_several_times() {
        let budget = RetryBudget::default();
        let repeated = (0..10_000)
            .filter(|_| {
                budget.deposit();
                budget.withdraw()
            })
            .count();
        assert!((2000..=2100).contains(&repeated), "{repeated}");
    }
}
