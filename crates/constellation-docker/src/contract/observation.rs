//! Events, lists, what comes back from a specification, logs, ports.

use std::{net::IpAddr, time::Duration};

use tokio::net::TcpStream;

use super::bench::{Bench, GRACE, Kept, Seen, promised};
use crate::{
    container::{Container, ContainerId},
    event::EventKind,
    runtime::{LogLine, LogStream},
    spec::{Port, Protocol},
};

pub(super) async fn events_tell_a_life_in_its_order(bench: &Bench<'_>) -> Kept {
    let mut watch = bench.watch().await?;
    let id = bench.create_and_start("life", bench.world.sleeper()).await?;
    bench.until_ready(&id).await?;
    bench.runtime().stop(&id, GRACE).await?;
    bench.runtime().remove(&id, false).await?;
    for kind in [EventKind::Created, EventKind::Started, EventKind::Died, EventKind::Removed] {
        watch.until(&id, kind).await?;
    }
    Ok(())
}

pub(super) async fn a_list_is_filtered_by_labels_and_state_and_sorted_by_name(bench: &Bench<'_>) -> Kept {
    let labelled =
        |value: &str| bench.world.sleeper().label("contract.list", value).label("contract.other", "x");
    let second = bench.create_and_start("list-b", labelled("yes")).await?;
    let first = bench.create("list-a", labelled("yes")).await?;
    bench.create("list-c", labelled("yes and more")).await?;
    bench.until_running(&second).await?;

    let mut filter = bench.filter();
    filter.labels.insert("contract.list".to_owned(), "yes".to_owned());
    let found = bench.runtime().list(&filter).await?;
    let ids: Vec<&ContainerId> = found.iter().map(|it| &it.id).collect();
    promised!(ids == [&first, &second], "the label let {ids:?} through instead of {first} and {second}");
    promised!(found[0].name == bench.name("list-a"), "the name is `{}`", found[0].name);
    promised!(
        found[0].labels.get("contract.other").is_some_and(|it| it == "x"),
        "the labels are {:?}",
        found[0].labels
    );

    filter.running_only = true;
    let ids: Vec<ContainerId> = bench.runtime().list(&filter).await?.into_iter().map(|it| it.id).collect();
    promised!(ids == [second.clone()], "of those that run the list has {ids:?}");

    filter.labels.insert("contract.other".to_owned(), "y".to_owned());
    let none = bench.runtime().list(&filter).await?;
    promised!(none.is_empty(), "a label with another value let {} through", none.len());
    Ok(())
}

pub(super) async fn labels_image_and_ports_come_back_as_they_were_given(bench: &Bench<'_>) -> Kept {
    const RULE: &str = "Host(`a.example.com`) && PathPrefix(`/x y`), \"ä\" = {1}";
    let spec = bench.world.sleeper().label("traefik.http.routers.r.rule", RULE).label("empty", "");
    let spec = spec.expose(Port::udp(5353)).expose(Port::tcp(18080)).expose(Port::tcp(18079));
    let image = spec.image.clone();
    let id = bench.create("round-trip", spec).await?;
    let it = bench.inspect(&id).await?;
    let label = |key: &str| it.labels.get(key).map(String::as_str);
    promised!(label("traefik.http.routers.r.rule") == Some(RULE), "the labels are {:?}", it.labels);
    promised!(label("empty") == Some(""), "the empty label is {:?}", label("empty"));
    promised!(it.name == bench.name("round-trip"), "the name is `{}`", it.name);
    promised!(it.image == image, "the image is `{}`", it.image);
    let expected = [Port::tcp(18079), Port::tcp(18080), Port::udp(5353)];
    let is_complete =
        it.exposed.len() == expected.len() && expected.iter().all(|port| it.exposed.contains(port));
    promised!(is_complete, "the ports are {:?}", it.exposed);
    let lowest = it.lowest_port(Protocol::Tcp);
    promised!(lowest == Some(Port::tcp(18079)), "the lowest port is {lowest:?}");
    Ok(())
}

pub(super) async fn variables_reach_the_process(bench: &Bench<'_>) -> Kept {
    let spec = bench.world.printer().env("CONTRACT_VALUE", "a 'b' \"c\" $d = ä");
    let id = bench.create_and_start("variables", spec).await?;
    let lines = printed(bench, &id, 100).await?;
    let value = lines.iter().find(|line| line.text.starts_with("value="));
    promised!(value.is_some_and(|line| line.text == "value=a 'b' \"c\" $d = ä"), "it printed {value:?}");
    Ok(())
}

pub(super) async fn logs_keep_streams_apart_and_order_within(bench: &Bench<'_>) -> Kept {
    let id = bench.create("logs", bench.world.printer()).await?;
    let before = bench.runtime().logs(&id, 10).await?;
    promised!(before.is_empty(), "what never ran has printed {before:?}");
    bench.runtime().start(&id).await?;
    let lines = printed(bench, &id, 100).await?;
    for (stream, word) in [(LogStream::Stdout, "out"), (LogStream::Stderr, "err")] {
        let texts: Vec<&str> =
            lines.iter().filter(|line| line.stream == stream).map(|line| line.text.as_str()).collect();
        let mut expected: Vec<String> = (1..=5).map(|i| format!("{word} {i}")).collect();
        if stream == LogStream::Stdout {
            expected.push("value=".to_owned());
        }
        promised!(texts == expected, "{stream:?} has {texts:?}");
    }
    Ok(())
}

pub(super) async fn logs_give_the_last_lines(bench: &Bench<'_>) -> Kept {
    let id = bench.create_and_start("tail", bench.world.printer()).await?;
    let all = printed(bench, &id, 100).await?;
    let tail = bench.runtime().logs(&id, 3).await?;
    promised!(tail.len() == 3, "of {} lines the last three are {tail:?}", all.len());
    // Which stream's line came first nobody can know: they are two pipes.
    for stream in [LogStream::Stdout, LogStream::Stderr] {
        let of = |lines: &[LogLine]| -> Vec<String> {
            lines.iter().filter(|line| line.stream == stream).map(|line| line.text.clone()).collect()
        };
        promised!(of(&all).ends_with(&of(&tail)), "{stream:?} ends with {:?}, not {:?}", of(&all), of(&tail));
    }
    let none = bench.runtime().logs(&id, 0).await?;
    promised!(none.is_empty(), "no lines are {none:?}");
    Ok(())
}

/// The lines of a printer that is done. They may follow its end by a moment.
async fn printed(bench: &Bench<'_>, id: &ContainerId, tail: usize) -> Result<Vec<LogLine>, Seen> {
    const ALL: usize = 11;
    bench.until_exited(id).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..200 {
        ticks.tick().await;
        let lines = bench.runtime().logs(id, tail).await?;
        if lines.len() >= ALL {
            return Ok(lines);
        }
    }
    let lines = bench.runtime().logs(id, tail).await?;
    Err(Seen::Other(format!("instead of {ALL} lines it printed {lines:?}")))
}

pub(super) async fn a_published_port_can_be_reached(bench: &Bench<'_>) -> Kept {
    let id = bench.create_and_start("listener", bench.world.listener()).await?;
    let it = bench.until_running(&id).await?;
    let port =
        it.lowest_port(Protocol::Tcp).ok_or_else(|| Seen::Other("it exposes no TCP port".to_owned()))?;
    let published = it.published.iter().find(|published| published.container == port);
    let published =
        published.ok_or_else(|| Seen::Other(format!("{port} is not among {:?}", it.published)))?;
    let host =
        if published.host_ip.is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { published.host_ip };
    // The process may need a moment to listen.
    let mut last = None;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..600 {
        ticks.tick().await;
        match TcpStream::connect((host, published.host_port)).await {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(Seen::Other(format!(
        "{host}:{} cannot be reached: {last:?}; it is {:?}",
        published.host_port,
        state(&it)
    )))
}

fn state(container: &Container) -> String {
    format!("{:?} on {:?}", container.state.run, container.networks)
}

pub(super) async fn the_runtime_names_itself(bench: &Bench<'_>) -> Kept {
    let info = bench.runtime().info().await?;
    let is_complete = !info.kind.is_empty() && !info.endpoint.is_empty() && !info.version.is_empty();
    promised!(is_complete, "it says {info:?}");
    Ok(())
}
