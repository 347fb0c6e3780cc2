//! Events, logs and progress: streams that break, and streams that lie.

use futures::StreamExt;
use serde_json::json;

use super::{FakeEngine, Reply, streamed};
use crate::{
    container::ContainerId,
    engine::RegistryAuth,
    error::RuntimeError,
    event::{ContainerEvent, EventKind, EventStream},
    runtime::ContainerRuntime,
};

const START: &str = "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"c1\"}}\n";

fn started() -> ContainerEvent {
    ContainerEvent { id: Some(ContainerId::new("c1")), kind: EventKind::Started }
}

async fn subscribe(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (FakeEngine, EventStream) {
    let fake = FakeEngine::new(move |_| reply());
    let stream = fake.engine().events().await.unwrap();
    (fake, stream)
}

#[tokio::test]
async fn a_subscription_asks_for_what_happened_since_just_before_it() {
    let (fake, _stream) = subscribe(|| Reply::stream("")).await;
    let request = fake.requests().pop().unwrap();
    assert!(request.starts_with("GET /v1.44/events?since=1"), "{request}");
    assert!(request.contains("&filters=%7B%22type%22"), "{request}");
}

#[tokio::test]
async fn events_come_one_by_one_while_the_stream_stays_open() {
    let body = format!("{START}{{\"Type\":\"image\",\"Action\":\"pull\"}}\n{START}");
    let (_fake, mut stream) = subscribe(move || Reply::BytesAndSilence(streamed(&body))).await;
    assert_eq!(stream.next().await.unwrap().unwrap(), started());
    assert_eq!(stream.next().await.unwrap().unwrap(), started());
}

#[tokio::test]
async fn a_stream_that_ends_or_breaks_off_says_so_once_and_then_is_over() {
    for rest in ["", "{\"Type\":\"conta"] {
        let (_fake, mut stream) = subscribe(move || Reply::stream(format!("{START}{rest}"))).await;
        assert_eq!(stream.next().await.unwrap().unwrap(), started());
        let error = stream.next().await.unwrap().unwrap_err();
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error:?}");
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn an_event_before_garbage_is_not_lost() {
    let (_fake, mut stream) = subscribe(|| Reply::stream(format!("{START}<html>"))).await;
    assert_eq!(stream.next().await.unwrap().unwrap(), started());
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, RuntimeError::Nonsense { .. }), "{error:?}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_an_error_at_once() {
    let fake = FakeEngine::new(|_| Reply::error(500, "not now"));
    assert!(matches!(fake.engine().events().await.err(), Some(RuntimeError::Refused { .. })));
}

#[tokio::test]
async fn logs_follow_the_terminal_of_the_container() {
    for (has_terminal, body) in
        [(false, b"\x01\0\0\0\0\0\0\x06hello\n".to_vec()), (true, b"hello\r\n".to_vec())]
    {
        let fake = FakeEngine::new(move |request| {
            if request.contains("/logs") {
                Reply::stream(&body)
            } else {
                Reply::Json(200, json!({"Id": "c1", "Config": {"Tty": has_terminal}}))
            }
        });
        let lines = fake.engine().logs(&ContainerId::new("c1"), 20_000).await.unwrap();
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["hello"]);
        let request = fake.requests().pop().unwrap();
        assert!(request.ends_with("tail=10000"), "{request}");
    }
}

#[tokio::test]
async fn logs_that_are_not_framed_make_no_sense() {
    let fake = FakeEngine::new(|request| {
        if request.contains("/logs") {
            Reply::stream("plain text")
        } else {
            Reply::Json(200, json!({"Id": "c1"}))
        }
    });
    let error = fake.engine().logs(&ContainerId::new("c1"), 1).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Nonsense { .. }), "{error:?}");
}

#[tokio::test]
async fn a_pull_tells_its_steps_and_believes_no_status_before_its_end() {
    let body = "{\"status\":\"Pulling\",\"id\":\"1\"}\r\n{\"status\":\"Downloading\",\"id\":\"layer\",\
                \"progressDetail\":{\"current\":1,\"total\":2}}\r\n";
    let fake = FakeEngine::new(move |_| Reply::stream(body));
    let mut steps = Vec::new();
    fake.engine().pull_image("ghcr.io/a/b:2", None, |step| steps.push(step.status)).await.unwrap();
    assert_eq!(steps, ["Pulling", "Downloading"]);
    let request = fake.requests().pop().unwrap();
    assert_eq!(request, "POST /v1.44/images/create?fromImage=ghcr.io%2Fa%2Fb&tag=2");

    let failing = format!("{body}{{\"errorDetail\":{{\"message\":\"no space left on device\"}}}}\r\n");
    let fake = FakeEngine::new(move |_| Reply::stream(&failing));
    let error = fake.engine().pull_image("a", None, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("no space left on device"), "{error}");
}

#[tokio::test]
async fn a_pull_that_falls_silent_or_is_cut_off_or_denied_is_an_error() {
    let fake = FakeEngine::new(|_| Reply::BytesAndSilence(streamed("{\"status\":\"Pulling\"}\r\n")));
    let error = fake.impatient_engine().pull_image("a", None, |_| {}).await.unwrap_err();
    assert!(matches!(error, RuntimeError::TimedOut { .. }), "{error:?}");

    let fake = FakeEngine::new(|_| Reply::stream("{\"status\":\"Pul"));
    let error = fake.engine().pull_image("a", None, |_| {}).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error:?}");

    let fake = FakeEngine::new(|_| Reply::error(404, "pull access denied for a"));
    let auth = RegistryAuth { username: "u".into(), password: "p".into(), server: "s".into() };
    let error = fake.engine().pull_image("a", Some(&auth), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("pull access denied"), "{error}");

    let error = fake.engine().pull_image("../a", None, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("not an image reference"), "{error}");
}
