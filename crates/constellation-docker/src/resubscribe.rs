//! Events without end: subscribes again whenever the stream breaks.

use std::{error::Error, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};

use crate::{
    error::RuntimeError,
    event::{ContainerEvent, EventKind, EventStream},
    runtime::ContainerRuntime,
};

/// How long to wait between attempts to subscribe: `first`, doubled each time, at most `max`.
///
/// There is no jitter: each agent has a runtime of its own, so nobody else comes back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResubscribeDelay {
    /// After the first failure.
    pub first: Duration,
    /// After many.
    pub max: Duration,
}

impl Default for ResubscribeDelay {
    /// 100 ms to 5 s: a daemon is back half a second after its restart, and one that is stopped for good costs one
    /// failed connection every five seconds.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), max: Duration::from_secs(5) }
    }
}

/// Subscribes, and again when the stream breaks, for ever.
///
/// [`EventKind::Missed`] comes each time that a subscription begins to hold, the first included: who looks at every
/// container then, and at one container upon each later event, misses nothing. Dropping the stream ends it. What
/// failed is logged, once per breakdown; that the runtime is away is for the consumer's own calls to say.
pub fn events_forever(
    runtime: Arc<dyn ContainerRuntime>,
    delay: ResubscribeDelay,
) -> impl Stream<Item = ContainerEvent> + Send + Unpin {
    let forever = Forever { runtime, delay, wait: None, stream: None };
    Box::pin(futures::stream::unfold(forever, |mut forever| async {
        let event = forever.next().await;
        Some((event, forever))
    }))
}

struct Forever {
    runtime: Arc<dyn ContainerRuntime>,
    delay: ResubscribeDelay,
    /// What to wait before the next attempt; `None` while all is well.
    wait: Option<Duration>,
    stream: Option<EventStream>,
}

impl Forever {
    async fn next(&mut self) -> ContainerEvent {
        loop {
            let Some(stream) = &mut self.stream else {
                if self.subscribe().await {
                    return ContainerEvent { id: None, kind: EventKind::Missed };
                }
                continue;
            };
            match stream.next().await {
                Some(Ok(event)) => {
                    // Only an event proves that the subscription works: one that breaks at once, again and again,
                    // must not turn into a busy loop.
                    self.wait = None;
                    return event;
                }
                Some(Err(error)) => self.lost(Some(&error)),
                None => self.lost(None),
            }
        }
    }

    async fn subscribe(&mut self) -> bool {
        if let Some(wait) = self.wait {
            tokio::time::sleep(wait).await;
        }
        match self.runtime.events().await {
            Ok(stream) => {
                self.stream = Some(stream);
                true
            }
            Err(error) => {
                self.lost(Some(&error));
                false
            }
        }
    }

    fn lost(&mut self, error: Option<&RuntimeError>) {
        let cause = error.map_or_else(|| "the stream ended".to_owned(), with_causes);
        match self.wait {
            None => tracing::warn!(%cause, "lost the container runtime's events, subscribing again"),
            Some(_) => tracing::debug!(%cause, "still without the container runtime's events"),
        }
        self.stream = None;
        self.wait = Some(match self.wait {
            None => self.delay.first,
            Some(wait) => wait.saturating_mul(2).min(self.delay.max),
        });
    }
}

/// An error and why it came to it, on one line.
fn with_causes(error: &RuntimeError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[path = "resubscribe_tests.rs"]
mod tests;
