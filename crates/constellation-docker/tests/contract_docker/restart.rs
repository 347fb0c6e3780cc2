//! The daemon may be stopped, exchanged and started again under us.

use std::{sync::Arc, time::Duration};

use constellation_docker::{
    ContainerEvent, ContainerRuntime, ContainerSpec, EventKind, ListFilter, NetworkMode, ResubscribeDelay,
    RuntimeError, events_forever,
};
use futures::{Stream, StreamExt};

use crate::{dockerd::PrivateDockerd, image};

async fn wait_for(
    events: &mut (impl Stream<Item = ContainerEvent> + Unpin),
    kind: EventKind,
) -> ContainerEvent {
    let wait = async {
        loop {
            let event = events.next().await.expect("these events have no end");
            if event.kind == kind {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("no event {kind:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_daemon_is_survived_and_told_as_missed_events() {
    if std::env::var("CONSTELLATION_E2E_DOCKERD").as_deref() != Ok("1") {
        println!("left out: set CONSTELLATION_E2E_DOCKERD=1 where we are root and may start a dockerd");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = PrivateDockerd::new(folder.path(), &[]);
    daemon.start().await;
    let engine = daemon.engine();
    engine.import_image("restart:1", image::busybox()).await.unwrap();
    let delay = ResubscribeDelay { first: Duration::from_millis(20), max: Duration::from_millis(200) };
    let mut events = events_forever(Arc::new(engine.clone()), delay);
    wait_for(&mut events, EventKind::Missed).await;

    let spec = |name: &str| {
        let mut spec = ContainerSpec::new(name, "restart:1").command(["/bin/true"]);
        spec.network_mode = NetworkMode::None;
        spec
    };
    let before = engine.create(&spec("before")).await.unwrap();
    assert_eq!(wait_for(&mut events, EventKind::Created).await.id, Some(before.clone()));

    daemon.stop();
    let error = engine.list(&ListFilter::default()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unreachable { .. }), "{error:?}");
    daemon.start().await;

    wait_for(&mut events, EventKind::Missed).await;
    let after = engine.create(&spec("after")).await.unwrap();
    assert_eq!(wait_for(&mut events, EventKind::Created).await.id, Some(after.clone()));
    let mut known: Vec<_> = engine
        .list(&ListFilter::default())
        .await
        .unwrap()
        .into_iter()
        .map(|container| container.id)
        .collect();
    known.sort();
    let mut expected = vec![before.clone(), after.clone()];
    expected.sort();
    assert_eq!(known, expected);
    for id in [before, after] {
        engine.remove(&id, true).await.unwrap();
    }
}
