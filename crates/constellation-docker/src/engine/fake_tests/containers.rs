//! What the daemon's statuses mean for each deed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::{FakeEngine, Reply, version};
use crate::{
    container::ContainerId,
    error::RuntimeError,
    runtime::{ContainerRuntime, ListFilter, StopOutcome},
    spec::ContainerSpec,
};

fn id() -> ContainerId {
    ContainerId::new("c1")
}

#[tokio::test]
async fn what_is_so_already_is_ok() {
    let fake = FakeEngine::new(|_| Reply::empty(304));
    let engine = fake.engine();
    engine.start(&id()).await.unwrap();
    assert_eq!(engine.stop(&id(), Duration::from_secs(1)).await.unwrap(), StopOutcome::AlreadyStopped);
}

#[tokio::test]
async fn a_stop_names_its_grace_in_whole_seconds() {
    let fake = FakeEngine::new(|_| Reply::empty(204));
    let outcome = fake.engine().stop(&id(), Duration::from_millis(1200)).await.unwrap();
    assert_eq!(outcome, StopOutcome::Stopped);
    assert_eq!(fake.requests().last().unwrap(), "POST /v1.44/containers/c1/stop?t=2");
}

#[tokio::test]
async fn a_404_is_about_the_container_only_where_it_says_so() {
    let fake = FakeEngine::new(|_| Reply::error(404, "No such container: c1"));
    assert!(matches!(fake.engine().start(&id()).await, Err(RuntimeError::NotFound { .. })));
    assert!(matches!(fake.engine().inspect(&id()).await, Err(RuntimeError::NotFound { .. })));
    fake.engine().remove(&id(), false).await.unwrap();

    let fake = FakeEngine::new(|_| Reply::error(404, "network backend not found"));
    let error = fake.engine().start(&id()).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("network backend not found"), "{error}");
}

#[tokio::test]
async fn an_identity_that_cannot_be_one_is_never_asked_for() {
    let fake = FakeEngine::new(|_| Reply::empty(204));
    let engine = fake.engine();
    for odd in ["../images/json", "a b", "", "c1?force=1", "c1\r\nHost: x"] {
        let odd = ContainerId::new(odd);
        assert!(matches!(engine.inspect(&odd).await, Err(RuntimeError::NotFound { .. })));
        assert!(matches!(engine.kill(&odd, "SIGTERM").await, Err(RuntimeError::NotFound { .. })));
        engine.remove(&odd, true).await.unwrap();
    }
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn old_and_new_engines_say_in_their_own_words_that_it_runs() {
    for words in [
        "You cannot remove a running container c1. Stop the container before attempting removal or force remove",
        "cannot remove container \"web\": container is running: stop the container before removing or force remove",
        "You cannot remove a restarting container c1. Stop the container before attempting removal",
    ] {
        let fake = FakeEngine::new(move |_| Reply::error(409, words));
        let error = fake.engine().remove(&id(), false).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Running { .. }), "{words}: {error:?}");
    }
}

#[tokio::test]
async fn a_removal_that_is_under_way_is_waited_for() {
    let fake = FakeEngine::new(|request| match request {
        delete if delete.starts_with("DELETE") => {
            Reply::error(409, "removal of container c1 is already in progress")
        }
        _ => Reply::Json(200, json!({"StatusCode": 0})),
    });
    fake.engine().remove(&id(), true).await.unwrap();
    assert_eq!(fake.requests().last().unwrap(), "POST /v1.44/containers/c1/wait?condition=removed");
}

#[tokio::test]
async fn a_refused_creation_says_what_is_missing_or_taken() {
    let spec = ContainerSpec::new("web", "busybox:1");
    let create = async |status: u16, words: &'static str| {
        let fake = FakeEngine::new(move |_| Reply::error(status, words));
        fake.engine().create(&spec).await.unwrap_err()
    };
    let error =
        create(409, "Conflict. The container name \"/web\" is already in use by container \"x\"").await;
    assert!(matches!(&error, RuntimeError::NameTaken { name } if name == "web"), "{error:?}");
    let error = create(404, "No such image: busybox:1").await;
    assert!(matches!(&error, RuntimeError::ImageNotFound { image } if image == "busybox:1"), "{error:?}");
    let error = create(404, "network image-net not found").await;
    assert!(matches!(&error, RuntimeError::Refused { .. }), "{error:?}");
    let error = create(400, "invalid mount config: bind source path does not exist: /srv").await;
    assert!(error.to_string().contains("/srv"), "{error}");
}

#[tokio::test]
async fn a_creation_without_an_identity_makes_no_sense() {
    for answer in [json!({}), json!({"Id": ""}), json!({"Id": "../x"}), json!([])] {
        let fake = FakeEngine::new(move |_| Reply::Json(201, answer.clone()));
        let error = fake.engine().create(&ContainerSpec::new("web", "busybox:1")).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Nonsense { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_container_that_misses_a_network_is_taken_back() {
    let fake = FakeEngine::scripted(|request| match request {
        "GET /version" => version("1.41", "1.12"),
        create if create.contains("/containers/create") => {
            Reply::Json(201, json!({"Id": "c1", "Warnings": null}))
        }
        connect if connect.contains("/connect") => Reply::error(404, "network b not found"),
        _ => Reply::empty(204),
    });
    let mut spec = ContainerSpec::new("web", "busybox:1");
    spec.networks = [("a".to_owned(), vec![]), ("b".to_owned(), vec![])].into();
    let error = fake.engine().create(&spec).await.unwrap_err();
    assert!(error.to_string().contains("network b not found"), "{error}");
    let requests = fake.requests();
    assert_eq!(requests[2], "POST /v1.41/networks/b/connect");
    assert!(requests[3].starts_with("DELETE /v1.41/containers/c1?"), "{requests:?}");
}

#[tokio::test]
async fn a_list_believes_its_own_eyes_more_than_the_daemons_filter() {
    let fake = FakeEngine::new(|_| {
        Reply::Json(
            200,
            json!([
                {"Id": "2", "Names": ["/b"], "State": "running", "Labels": {"app": "web"}},
                {"Id": "1", "Names": ["/a"], "State": "running", "Labels": {"app": "web"}},
                {"Id": "3", "Names": ["/c"], "State": "running", "Labels": {"app": "website"}},
                {"Id": "4", "Names": ["/d"], "State": "paused", "Labels": {"app": "web"}},
            ]),
        )
    });
    let filter = ListFilter { labels: [("app".to_owned(), "web".to_owned())].into(), running_only: true };
    let names: Vec<String> =
        fake.engine().list(&filter).await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["a", "b"]);
    let request = fake.requests().pop().unwrap();
    assert_eq!(
        request,
        "GET /v1.44/containers/json?all=false&filters=%7B%22label%22%3A%5B%22app%3Dweb%22%5D%7D"
    );
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_disturb_each_other() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let fake = FakeEngine::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Reply::Json(200, json!([]))
    });
    let engine = fake.engine();
    let filter = ListFilter::default();
    for outcome in futures::future::join_all((0..50).map(|_| engine.list(&filter))).await {
        outcome.unwrap();
    }
    assert_eq!(served.load(Ordering::Relaxed), 50);
}
