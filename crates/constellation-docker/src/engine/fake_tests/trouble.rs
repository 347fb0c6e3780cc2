//! Daemons that hang, lie, break off or are not there.

use std::time::Duration;

use serde_json::json;

use super::{FakeEngine, Reply, chain};
use crate::{
    container::ContainerId,
    engine::{DockerEndpoint, DockerEngine},
    error::{Retry, RuntimeError},
    runtime::{ContainerRuntime, ListFilter},
    spec::ContainerSpec,
};

/// One call through each of the two ways to the daemon.
async fn errors_of(engine: &DockerEngine) -> [RuntimeError; 2] {
    [
        engine.list(&ListFilter::default()).await.unwrap_err(),
        engine.start(&ContainerId::new("c1")).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_given_up() {
    let silent = |_: &str| Reply::BytesAndSilence(Vec::new());
    for fake in [FakeEngine::scripted(silent), FakeEngine::new(silent)] {
        let engine = fake.impatient_engine();
        let id = ContainerId::new("c1");
        let deeds = [
            engine.list(&ListFilter::default()).await.map(|_| ()),
            engine.inspect(&id).await.map(|_| ()),
            engine.create(&ContainerSpec::new("name", "image")).await.map(|_| ()),
            engine.start(&id).await,
            engine.stop(&id, Duration::ZERO).await.map(|_| ()),
            engine.restart(&id, Duration::ZERO).await,
            engine.kill(&id, "SIGTERM").await,
            engine.remove(&id, true).await,
            engine.logs(&id, 1).await.map(|_| ()),
            engine.events().await.map(|_| ()),
        ];
        for outcome in deeds {
            let error = outcome.unwrap_err();
            assert!(matches!(error, RuntimeError::TimedOut { .. }), "{error:?}");
            assert_eq!(error.retry(), Retry::Backoff);
        }
    }
}

#[tokio::test]
async fn an_answer_that_stops_half_way_is_given_up() {
    let fake = FakeEngine::new(|_| {
        Reply::BytesAndSilence(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"Id\":".to_vec())
    });
    let error = fake.impatient_engine().list(&ListFilter::default()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_means_that_the_daemon_went_away() {
    let fake = FakeEngine::new(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"Id\":".to_vec())
    });
    let error = fake.engine().list(&ListFilter::default()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_is_closed_without_an_answer_means_that_the_daemon_went_away() {
    let fake = FakeEngine::new(|_| Reply::Bytes(Vec::new()));
    for error in errors_of(&fake.engine()).await {
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn answers_that_are_not_what_was_asked_for_make_no_sense() {
    for body in ["", "{", "null", "{}", "\"text\"", "[{\"no\":\"Id\"}]", "[null]", "<html>hello</html>"] {
        let fake = FakeEngine::new(move |_| Reply::stream(body));
        let error = fake.engine().list(&ListFilter::default()).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Nonsense { .. }), "{body:?}: {error:?}");
    }
}

#[tokio::test]
async fn what_does_not_speak_http_makes_no_sense() {
    let fake = FakeEngine::scripted(|_| Reply::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()));
    for error in errors_of(&fake.engine()).await {
        assert!(matches!(error, RuntimeError::Nonsense { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_error_page_makes_no_sense_and_may_be_gone_later() {
    let page = b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n<html>oops</html>";
    let fake = FakeEngine::new(move |_| Reply::Bytes(page.to_vec()));
    for error in errors_of(&fake.engine()).await {
        assert!(matches!(error, RuntimeError::Nonsense { .. }), "{error:?}");
        assert!(chain(&error).contains("500"), "{}", chain(&error));
        assert_eq!(error.retry(), Retry::Backoff);
    }
}

#[tokio::test]
async fn the_words_of_the_daemon_reach_the_person() {
    let fake = FakeEngine::new(|_| Reply::error(500, "driver failed programming external connectivity\n"));
    for error in errors_of(&fake.engine()).await {
        let RuntimeError::Refused { message, .. } = &error else { panic!("{error:?}") };
        assert_eq!(message.trim_end(), "driver failed programming external connectivity");
    }
}

#[tokio::test]
async fn a_head_without_end_is_given_up_for_its_size() {
    let fake = FakeEngine::new(|_| {
        Reply::Endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
    });
    for error in errors_of(&fake.engine()).await {
        assert!(matches!(error, RuntimeError::Nonsense { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_given_up_for_its_size() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[";
    const SPACES: &[u8] = &[b' '; 1 << 20];
    let fake = FakeEngine::new(|_| Reply::Endless(HEAD, SPACES));
    let error = fake.engine().list(&ListFilter::default()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Nonsense { .. }), "{error:?}");
}

#[tokio::test]
async fn a_socket_that_is_not_there_comes_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let missing = DockerEndpoint::Unix(folder.path().join("d.sock"));
    for error in errors_of(&DockerEngine::connect(missing).unwrap()).await {
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error:?}");
        assert!(chain(&error).contains("systemctl start docker"), "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_comes_with_advice() {
    let mut fake = FakeEngine::new(|_| Reply::Json(200, json!([])));
    fake.stop().await;
    for error in errors_of(&fake.engine()).await {
        assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error:?}");
        assert!(chain(&error).contains("nobody listens"), "{}", chain(&error));
    }
}

#[test]
fn endpoints_are_read_and_shown_as_people_write_them() {
    let default = DockerEndpoint::default();
    assert_eq!(default.to_string(), "unix:///var/run/docker.sock");
    assert_eq!("unix:///var/run/docker.sock".parse(), Ok(default.clone()));
    assert_eq!("/var/run/docker.sock".parse(), Ok(default));
    for bad in ["", "docker.sock", "tcp://10.0.0.1:2375", "unix://docker.sock"] {
        assert!(bad.parse::<DockerEndpoint>().is_err(), "{bad}");
    }
}

#[test]
fn a_path_that_no_socket_can_have_is_refused_at_once() {
    let error =
        DockerEngine::connect(DockerEndpoint::Unix(format!("/{}", "x".repeat(200)).into())).unwrap_err();
    assert!(chain(&error).contains("at most 107 bytes"), "{}", chain(&error));
}
