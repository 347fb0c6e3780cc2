//! The daemon's events as hints: which container, and what kind of thing happened.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use containers_api::conn::{self, hyper::Body};
use futures::StreamExt;
use serde_json::Value;

use super::{
    documents::Documents,
    fault,
    link::{Link, Request},
    text::query,
};
use crate::{
    container::ContainerId,
    error::RuntimeError,
    event::{ContainerEvent, EventKind, EventStream},
};

const DEED: &str = "report events";

/// Only what becomes an [`EventKind`]. Above all not the `exec_*` events: each health check causes three of them.
const FILTERS: &str = r#"{"type":["container","network"],"event":["create","start","die","pause","unpause","health_status","rename","update","destroy","connect","disconnect"]}"#;

/// Subscribes. The daemon answers a moment before it listens, so it is also asked for what happened since just
/// before the request: a few events may come that are older than the subscription, none is lost.
pub(super) async fn subscribe(link: &Arc<Link>) -> Result<EventStream, RuntimeError> {
    let since = since(SystemTime::now());
    let path = format!("/events{}", query(&[("since", &since), ("filters", FILTERS)]));
    let request = Request::get(path, DEED, link.limits.query);
    let body = link.open(request).await.map_err(|failure| failure.into_error(DEED))?;
    let subscription = Subscription {
        link: Arc::clone(link),
        body,
        documents: Documents::default(),
        ready: VecDeque::new(),
        end: End::NotYet,
    };
    Ok(Box::pin(futures::stream::unfold(subscription, |mut subscription| async {
        let item = subscription.next().await?;
        Some((item, subscription))
    })))
}

/// A moment as the daemon takes it. It runs on this machine, so it has the same clock.
fn since(now: SystemTime) -> String {
    let elapsed = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("{}.{:09}", elapsed.as_secs(), elapsed.subsec_nanos())
}

struct Subscription {
    link: Arc<Link>,
    body: Body,
    documents: Documents,
    /// Decoded and not yet taken: at most what one chunk of the body holds.
    ready: VecDeque<ContainerEvent>,
    /// Why there are no more; said once, after the events that came before it.
    end: End,
}

enum End {
    NotYet,
    Failed(RuntimeError),
    Said,
}

impl Subscription {
    async fn next(&mut self) -> Option<Result<ContainerEvent, RuntimeError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            match std::mem::replace(&mut self.end, End::Said) {
                End::Said => return None,
                End::Failed(error) => return Some(Err(error)),
                End::NotYet => self.end = End::NotYet,
            }
            if let Err(error) = self.fill().await {
                // Another daemon, of another version, may answer next time.
                self.link.forget();
                self.end = End::Failed(error);
            }
        }
    }

    async fn fill(&mut self) -> Result<(), RuntimeError> {
        let chunk = match self.body.next().await {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => {
                return Err(fault::transport(self.link.endpoint(), DEED, conn::Error::Hyper(error)));
            }
            None if self.documents.is_incomplete() => {
                return Err(fault::unreachable_at(
                    self.link.endpoint(),
                    "the stream of events ended within an event",
                ));
            }
            None => return Err(fault::unreachable_at(self.link.endpoint(), "the stream of events ended")),
        };
        self.documents.push(&chunk);
        while let Some(document) = self.documents.next().map_err(|error| fault::nonsense(DEED, error))? {
            self.ready.extend(decode(&document));
        }
        Ok(())
    }
}

/// Decodes one event; `None` for what is no business of ours.
fn decode(document: &Value) -> Option<ContainerEvent> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let actor = &document["Actor"];
    let action = text(&document["Action"]);
    // `health_status: unhealthy`, `exec_start: sh -c ...`
    let action = action.split(':').next().unwrap_or_default();
    let (kind, id) = match (document["Type"].as_str()?, action) {
        ("container", action) => (container_kind(action)?, text(&actor["ID"])),
        ("network", "connect" | "disconnect") => {
            (EventKind::Changed, text(&actor["Attributes"]["container"]))
        }
        _ => return None,
    };
    (!id.is_empty()).then(|| ContainerEvent { id: Some(ContainerId::new(id)), kind })
}

fn container_kind(action: &str) -> Option<EventKind> {
    Some(match action {
        "create" => EventKind::Created,
        "start" => EventKind::Started,
        "die" => EventKind::Died,
        "pause" | "unpause" => EventKind::Paused,
        "health_status" => EventKind::Health,
        "rename" | "update" => EventKind::Changed,
        "destroy" => EventKind::Removed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind_of(document: &Value) -> Option<(String, EventKind)> {
        decode(document).map(|event| (event.id.unwrap().to_string(), event.kind))
    }

    #[test]
    fn the_filter_is_json() {
        let filters: Value = serde_json::from_str(FILTERS).unwrap();
        assert_eq!(filters["type"], json!(["container", "network"]));
    }

    #[test]
    fn every_action_becomes_its_kind() {
        for (action, kind) in [
            ("create", Some(EventKind::Created)),
            ("start", Some(EventKind::Started)),
            ("die", Some(EventKind::Died)),
            ("pause", Some(EventKind::Paused)),
            ("unpause", Some(EventKind::Paused)),
            ("health_status: healthy", Some(EventKind::Health)),
            ("health_status", Some(EventKind::Health)),
            ("rename", Some(EventKind::Changed)),
            ("update", Some(EventKind::Changed)),
            ("destroy", Some(EventKind::Removed)),
            ("exec_start: sh -c true", None),
            ("top", None),
        ] {
            let document = json!({"Type": "container", "Action": action, "Actor": {"ID": "c1"}});
            assert_eq!(kind_of(&document), kind.map(|kind| ("c1".to_owned(), kind)), "{action}");
        }
    }

    #[test]
    fn a_network_event_is_about_the_container_that_joins_or_leaves() {
        let document = json!({"Type": "network", "Action": "connect",
            "Actor": {"ID": "n1", "Attributes": {"container": "c1", "name": "backend"}}});
        assert_eq!(kind_of(&document), Some(("c1".to_owned(), EventKind::Changed)));
    }

    #[test]
    fn events_of_an_unknown_shape_are_left_alone() {
        for document in [
            json!({}),
            json!({"Type": 7, "Action": "start"}),
            json!({"Type": "container"}),
            json!({"Type": "container", "Action": "start"}),
            json!({"Type": "network", "Action": "create", "Actor": {"ID": "n1"}}),
            json!([1, 2]),
        ] {
            assert_eq!(kind_of(&document), None, "{document}");
        }
    }

    #[test]
    fn since_has_nine_digits_of_fraction() {
        assert_eq!(since(UNIX_EPOCH + Duration::new(5, 42)), "5.000000042");
    }
}
