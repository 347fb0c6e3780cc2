//! What measures: addresses from outside, containers, and the machine.

use constellation_services::prelude::*;

use super::{NO_TEST, NOBODY_COMES, OWN_SETTINGS};
use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, answers, service, versioned},
};

pub(super) fn blackbox_exporter(cfg: &Config) -> Entry {
    let settings = cfg.var("BLACKBOX_INTERNAL_CONFIG_PATH", "/etc/blackbox_exporter/config.yml");
    service(
        "blackbox-exporter",
        versioned(cfg, "docker.io/prom/blackbox-exporter", "BLACKBOX_EXPORTER_TAG", "v0.27.0"),
    )
    .about("asks addresses as a visitor would")
    .command([format!("--config.file={settings}")])
    .config(config_file(settings, include_str!("blackbox.yml")))
    .health(answers(9115, "/-/healthy"))
    .metrics(9115, "/metrics")
    .differs("networks", NOBODY_COMES)
    .differs("configs.*", OWN_SETTINGS)
    .differs("healthcheck*", NO_TEST)
}

pub(super) fn cadvisor(cfg: &Config) -> Entry {
    const QUIET: &str = "cpu_topology,disk,memory_numa,tcp,udp,percpu,sched,process,hugetlb,referenced_memory,resctrl,cpuset,\
                         advtcp";
    let flag = |flag: &str, variable: &str, default: &str| format!("--{flag}={}", cfg.var(variable, default));
    Service::new("cadvisor", versioned(cfg, "gcr.io/cadvisor/cadvisor", "CADVISOR_TAG", "v0.55.1"))
        .about("metrics of containers")
        .command([
            flag("housekeeping_interval", "CADVISOR_HOUSEKEEPING_INTERVAL", "30s"),
            flag("docker_only", "CADVISOR_DOCKER_ONLY", "true"),
            flag("disable_metrics", "CADVISOR_DISABLE_METRICS", QUIET),
            flag("store_container_labels", "CADVISOR_STORE_CONTAINER_LABELS", "false"),
        ])
        .volume(bind("/").at("/rootfs").read_only())
        .volume(bind("/var/run").at("/var/run").read_only())
        .volume(bind("/sys").at("/sys").read_only())
        .volume(bind("/var/lib/docker/").at("/var/lib/docker").read_only())
        .volume(bind("/dev/disk/").at("/dev/disk").read_only())
        // It tells of processes that were killed for want of memory from the kernel's log.
        .device("/dev/kmsg")
        .caps(&[Cap::DacReadSearch, Cap::Syslog])
        .route(Route::http(8080).host(cfg.host("cadvisor")).auth(NGINX_AUTH))
        .health(answers(8080, "/metrics").start_period(secs(30)))
        .metrics(8080, "/metrics")
        .homepage(
            Homepage::new("Monitoring", "cAdvisor")
                .icon("https://raw.githubusercontent.com/google/cadvisor/master/logo.png")
                .description("What containers use"),
        )
        .uptime(Uptime::http())
        .allow(Lint::HostRoot, "it measures the file systems of the host, and reads only")
        .allow(Lint::DockerSocket, "it asks the engine which containers there are")
        .allow(Lint::StrongCapability, "it reads folders of every user below /var/lib/docker")
        .differs("privileged", "it reads folders of others and the kernel's log, and needs no more than that")
        .differs("cap_add", "it reads folders of others and the kernel's log, and needs no more than that")
        .differs("healthcheck.test", "it would have installed packages")
        .differs("labels.prometheus.io/path", "a path begins with `/`")
}

/// The collectors that are on, and what they leave out. `^`, `$` and `|` are the exporter's own: there is no shell.
const NODE_EXPORTER: &[&str] = &[
    "--path.procfs=/host/proc",
    "--path.rootfs=/rootfs",
    "--path.sysfs=/host/sys",
    "--collector.cpu.info",
    r"--collector.diskstats.device-exclude=^(ram|loop|fd|(h|s|v)d[a-z]|nvme\d+n\d+p)\d+$",
    "--collector.filesystem.mount-points-exclude=^/(sys|proc|dev|host|etc)($|/)",
    "--collector.interrupts",
    "--collector.processes",
    "--collector.systemd",
    "--collector.systemd.unit-include=.*",
    r"--collector.systemd.unit-exclude=.+\.(automount|device|mount|scope|slice)",
    "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|\
     hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$",
];

pub(super) fn node_exporter(cfg: &Config) -> Entry {
    const BUS: &str = "/var/run/dbus/system_bus_socket";
    Service::new(
        "node_exporter",
        versioned(cfg, "docker.io/prom/node-exporter", "NODE_EXPORTER_TAG", "v1.9.1"),
    )
    .about("metrics of the machine")
    .command(NODE_EXPORTER.iter().copied())
    .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={BUS}"))
    .volume(bind("/proc").at("/host/proc").read_only())
    .volume(bind("/sys").at("/host/sys").read_only())
    .volume(bind("/").at("/rootfs").read_only())
    .volume(bind("/run/dbus/system_bus_socket").file().at(BUS).read_only())
    .volume(bind("/etc/machine-id").file().at("/etc/machine-id").read_only())
    .volume(bind("/run/udev/data").at("/run/udev/data").read_only())
    .health(answers(9100, "/"))
    .metrics(9100, "/metrics")
    .allow(Lint::HostRoot, "it measures the file systems of the host, and reads only")
    .differs("healthcheck*", NO_TEST)
    .differs("labels.prometheus.io/path", "a path begins with `/`")
}
