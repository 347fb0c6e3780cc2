//! Agreeing on a version, and agreeing anew.

use serde_json::json;

use super::{FakeEngine, Reply, version};
use crate::{
    container::ContainerId,
    error::RuntimeError,
    runtime::{ContainerRuntime, ListFilter},
};

#[tokio::test]
async fn the_agreed_version_stands_in_every_path_and_is_asked_for_once() {
    let fake = FakeEngine::scripted(|request| match request {
        "GET /version" => version("1.52", "1.44"),
        start if start.ends_with("/start") => Reply::empty(204),
        _ => Reply::Json(200, json!([])),
    });
    let engine = fake.engine();
    engine.list(&ListFilter::default()).await.unwrap();
    engine.start(&ContainerId::new("c1")).await.unwrap();
    let expected = ["GET /version", "GET /v1.44/containers/json?all=true", "POST /v1.44/containers/c1/start"];
    assert_eq!(fake.requests(), expected);
}

#[tokio::test]
async fn a_daemon_that_is_too_old_or_too_new_is_refused_before_anything_is_asked_of_it() {
    for (newest, oldest) in [("1.39", "1.12"), ("1.60", "1.45")] {
        let fake = FakeEngine::scripted(move |_| version(newest, oldest));
        let engine = fake.engine();
        for error in [
            engine.list(&ListFilter::default()).await.unwrap_err(),
            engine.start(&ContainerId::new("c1")).await.unwrap_err(),
            engine.info().await.unwrap_err(),
        ] {
            assert!(matches!(error, RuntimeError::UnsupportedVersion { .. }), "{error:?}");
        }
        assert!(fake.requests().iter().all(|request| request == "GET /version"));
    }
}

#[tokio::test]
async fn a_daemon_that_was_downgraded_under_us_is_asked_again_and_the_call_succeeds() {
    let refusing = |request: &str| match request {
        "GET /version" => version("1.41", "1.12"),
        new if new.contains("/v1.44/") => {
            Reply::error(400, "client version 1.44 is too new. Maximum supported API version is 1.41")
        }
        start if start.ends_with("/start") => Reply::empty(204),
        _ => Reply::Json(200, json!([])),
    };
    let mut fake = FakeEngine::new(|_| Reply::Json(200, json!([])));
    let engine = fake.engine();
    engine.list(&ListFilter::default()).await.unwrap();
    fake.exchange(refusing).await;
    engine.list(&ListFilter::default()).await.unwrap();

    let mut fake = FakeEngine::new(|_| Reply::Json(200, json!([])));
    let engine = fake.engine();
    engine.list(&ListFilter::default()).await.unwrap();
    fake.exchange(refusing).await;
    engine.start(&ContainerId::new("c1")).await.unwrap();
    let last = fake.requests().split_off(2);
    let expected = ["POST /v1.44/containers/c1/start", "GET /version", "POST /v1.41/containers/c1/start"];
    assert_eq!(last, expected);
}

#[tokio::test]
async fn a_daemon_that_refuses_every_version_is_not_asked_for_ever() {
    let fake = FakeEngine::new(|_| Reply::error(400, "client version 1.44 is too old"));
    let error = fake.engine().list(&ListFilter::default()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Refused { .. }), "{error:?}");
    assert_eq!(fake.requests().len(), 4);
}

#[tokio::test]
async fn after_the_daemon_was_away_its_version_is_asked_for_again() {
    let mut fake = FakeEngine::new(|_| Reply::Json(200, json!([])));
    let engine = fake.engine();
    engine.list(&ListFilter::default()).await.unwrap();
    fake.stop().await;
    engine.list(&ListFilter::default()).await.unwrap_err();
    fake.exchange(|request| match request {
        "GET /version" => version("1.42", "1.12"),
        _ => Reply::Json(200, json!([])),
    })
    .await;
    engine.list(&ListFilter::default()).await.unwrap();
    assert_eq!(fake.requests().last().unwrap(), "GET /v1.42/containers/json?all=true");
}

#[tokio::test]
async fn info_tells_engine_and_api() {
    let fake = FakeEngine::new(|_| Reply::empty(404));
    let info = fake.engine().info().await.unwrap();
    assert_eq!((info.kind.as_str(), info.version.as_str()), ("docker", "99.0, API 1.44"));
    assert_eq!(info.endpoint, format!("unix://{}", fake.socket().display()));
}
