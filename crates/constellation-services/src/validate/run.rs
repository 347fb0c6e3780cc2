//! Health, limits, lifecycle, placement and updates.

use std::time::Duration;

use super::{About, shown};
use crate::{
    config::Config,
    language::{AnyRoute, Capabilities, Kind, Order, Placement, Restart, Size},
    place,
};

/// The engine refuses less.
const MEMORY_MIN_BYTES: u64 = 6 << 20;

pub(super) fn check(config: &Config, about: &mut About<'_, '_>) {
    health(about);
    limits(about);
    lifecycle(about);
    placement(config, about);
    dashboards(config, about);
    super::names::check_derived(config, about);
}

fn health(about: &mut About<'_, '_>) {
    let Some(health) = &about.member.service.health else { return };
    let check = health.to_check();
    if check.command.first().is_none_or(String::is_empty) {
        about.wrong("health", "the check has no command", "name a program");
    }
    if check.retries == 0 {
        about.wrong("health", "zero failures would make it unhealthy", "use `.retries(1)` or more");
    }
    for (word, time) in [("every", check.interval), ("timeout", check.timeout)] {
        if time < Duration::from_millis(1) {
            about.wrong("health", format!("`{word}` is zero"), "give it a time such as `secs(5)`");
        }
    }
    let longest = Duration::from_secs(24 * 3600);
    if [check.interval, check.timeout, check.start_period].into_iter().any(|time| time > longest) {
        about.wrong("health", "a time is longer than a day", "check its unit");
    }
}

fn limits(about: &mut About<'_, '_>) {
    let limits = &about.member.service.limits;
    let sizes =
        [("memory", limits.memory), ("memory_reservation", limits.memory_reservation), ("shm", limits.shm)];
    for (field, size) in sizes {
        let Some(bytes) = size.map(Size::as_bytes) else { continue };
        if bytes < MEMORY_MIN_BYTES || i64::try_from(bytes).is_err() {
            let what = format!("{bytes} bytes cannot be");
            about.wrong(field, what, "write at least `6.mib()`, or leave it out for no limit");
        }
    }
    if let (Some(reserved), Some(limit)) = (limits.memory_reservation, limits.memory)
        && reserved > limit
    {
        let what = format!("{reserved} are reserved of a limit of {limit}");
        about.wrong("memory_reservation", what, "reserve less, or raise the limit");
    }
    if limits.cpus.is_some_and(|cpus| !(1..=10_000_000).contains(&cpus.as_millis())) {
        about.wrong(
            "cpus",
            "that is no amount of CPU time",
            "write for example `0.5.cores()`, or leave it out",
        );
    }
    if limits.cpu_shares.is_some_and(|shares| !(2..=262_144).contains(&shares.as_number())) {
        about.wrong("cpu_shares", "the kernel takes 2 to 262144", "1024 is what everyone has");
    }
    if limits.pids.is_some_and(|pids| pids == 0 || i64::try_from(pids).is_err()) {
        about.wrong("pids", "that is no number of processes", "write for example `.pids(200)`");
    }
    for (name, (soft, hard)) in &limits.ulimits {
        if soft > hard && *hard != -1 {
            let what = format!("of {} the soft limit {soft} is above the hard one {hard}", shown(name));
            about.wrong("ulimits", what, "swap them");
        }
    }
}

fn lifecycle(about: &mut About<'_, '_>) {
    let service = about.member.service;
    if service.kind == Kind::Job {
        if matches!(service.restart, Some(Restart::Always | Restart::UnlessStopped)) {
            let what = "a job that is always started again never completes";
            about.wrong("restart", what, "leave it out, or use `Restart::OnFailure(n)`");
        }
        if service.is_routed() {
            about.wrong("routes", "a job ends, so nothing can be routed to it", "make it a `Service::new`");
        }
        if service.quorum {
            about.wrong("quorum", "a job does not vote", "leave it out");
        }
    }
    if service.privileged && service.capabilities != Capabilities::default() {
        about.wrong("caps", "`privileged` has every capability already", "leave one of the two out");
    }
    if let Some(device) = service.devices.iter().find(|device| !device.starts_with("/dev/")) {
        about.wrong("devices", format!("{} is not a device", shown(device)), "write its path below /dev");
    }
    if let Some(user) = &service.user
        && (user.is_empty() || user.chars().any(|c| c.is_whitespace() || c.is_control()))
    {
        about.wrong(
            "user",
            format!("{} cannot be a user", shown(user)),
            "write `user`, `user:group` or numbers",
        );
    }
    if let Some(dir) = &service.workdir
        && !dir.starts_with('/')
    {
        about.wrong("workdir", format!("{} is not an absolute path", shown(dir)), "begin it with `/`");
    }
    if service.entrypoint.as_ref().is_some_and(|command| command.first().is_none_or(String::is_empty)) {
        about.wrong("entrypoint", "it is empty", "name a program, or leave it out for the image's own");
    }
    let words = service.entrypoint.iter().chain(&service.command).flatten();
    if words.into_iter().any(|word| word.contains('\0')) {
        about.wrong("command", "a word holds a NUL", "remove it");
    }
    let update = &service.update;
    if update.parallelism == Some(0) {
        about.wrong("update", "a parallelism of 0 replaces nothing", "write 1 or more");
    }
    if update.order == Some(Order::StartFirst) {
        if !service.ports.is_empty() {
            let what = "start-first needs the port of the host twice";
            about.wrong(
                "update",
                what,
                "use `Update::stop_first()`, or route it instead of publishing a port",
            );
        }
        if service.kind == Kind::Job {
            about.wrong("update", "a job runs once at a time", "leave the order out");
        }
    }
    for (lint, reason) in service.allowed() {
        if reason.trim().is_empty() {
            about.wrong(
                "allow",
                format!("`{lint}` is allowed without a reason"),
                "say why: a reader will want to know",
            );
        }
    }
}

fn placement(config: &Config, about: &mut About<'_, '_>) {
    let service = about.member.service;
    let nodes = config.nodes();
    let known = nodes.len();
    match &service.placement {
        Placement::EveryNode => {}
        Placement::On(node) => {
            if config.node().is_empty() {
                let what = format!("it belongs on {}, and this node has no name", shown(node));
                about.wrong("placement", what, "set TS_HOSTNAME");
            } else if !nodes.contains_key(node) && known > 1 {
                let what = format!("there is no node {}", shown(node));
                about.wrong(
                    "placement",
                    what,
                    "check the name, or add it under [nodes] in the configuration file",
                );
            }
        }
        Placement::Replicas(0) => {
            about.wrong("placement", "no replicas at all", "leave the service out, or write 1 or more");
        }
        Placement::Replicas(count) => {
            let fitting = place::eligible(service, &nodes).len();
            if usize::from(*count) > fitting {
                let what = format!("{count} replicas need as many nodes, and {fitting} are known that fit");
                about.wrong("placement", what, "list the nodes under [nodes] in the configuration file");
            }
        }
    }
    if service.quorum {
        let count = match &service.placement {
            Placement::EveryNode => place::eligible(service, &nodes).len(),
            Placement::On(_) => 1,
            Placement::Replicas(count) => usize::from(*count),
        };
        if count > 0 && count.is_multiple_of(2) {
            let what = format!(
                "{count} voters: an even number survives no more than one less, and splits in two halves"
            );
            about.wrong("placement", what, "use `replicas(3)` or another odd number");
        }
    }
}

fn dashboards(config: &Config, about: &mut About<'_, '_>) {
    let service = about.member.service;
    let has_url = crate::render::first_url(service, config).is_some();
    let has_http = service.routes.iter().any(|route| matches!(route, AnyRoute::Http(_)));
    let advice =
        if has_http { "its route has no host: say the address" } else { "it is not routed: say the address" };
    if let Some(monitor) = &service.uptime {
        if monitor.url.is_none() && !has_url {
            about.wrong("uptime", "there is nothing to ask", format!("{advice} with `.url(…)`"));
        }
        if monitor.interval.as_secs() == 0 {
            about.wrong("uptime", "it would ask without a pause", "write for example `.every(secs(60))`");
        }
    }
    if service.metrics.as_ref().is_some_and(|metrics| metrics.port == 0 || !metrics.path.starts_with('/')) {
        about.wrong("metrics", "that is no place of metrics", "write a port and a path that begins with `/`");
    }
}
