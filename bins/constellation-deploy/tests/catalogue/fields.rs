//! A service as fields with names, from the reference and from our definition, so that both can be laid side by side.

use std::{collections::BTreeMap, time::Duration};

use constellation_deploy::catalogue::Chapter;
use constellation_docker::{ContainerSpec, MountKind, NetworkMode, RestartPolicy};
use constellation_services::{Desired, Rendered};

use crate::labels;

/// Fields by name. `None` is a text that the reference leaves to whoever writes it.
pub(crate) type Fields = BTreeMap<String, Option<String>>;

/// The engine gives these to everyone, so having one of them is no difference.
const ENGINE_CAPS: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What the fields are read with.
pub(crate) struct Context<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) chapter: &'a Chapter,
    /// The domain, and the node's own.
    pub(crate) suffixes: &'a [String],
}

/// Writes fields down under their names.
#[derive(Default)]
pub(crate) struct Sheet(pub(crate) Fields);

impl Sheet {
    pub(crate) fn say(&mut self, field: impl Into<String>, value: impl Into<String>) {
        self.0.insert(field.into(), Some(value.into()));
    }

    pub(crate) fn say_if(&mut self, field: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.say(field, value.to_string());
        }
    }

    pub(crate) fn list(&mut self, field: &str, values: &[String]) {
        if !values.is_empty() {
            self.say(field, values.join(", "));
        }
    }

    /// Words, so that nobody confuses two with one.
    pub(crate) fn words(&mut self, field: &str, words: &[String]) {
        if !words.is_empty() {
            self.say(field, format!("{words:?}"));
        }
    }

    /// A command that is nothing but `--flag=value` is one field a flag, in lower case; where one stands twice, the last counts.
    pub(crate) fn command(&mut self, words: &[String]) {
        if words.is_empty() || !words.iter().all(|word| word.starts_with("--")) {
            return self.words("command", words);
        }
        for word in words {
            let (flag, value) = word.split_once('=').unwrap_or((word, "true"));
            self.say(format!("command.{}", flag.trim_start_matches('-').to_lowercase()), value);
        }
    }

    pub(crate) fn image(&mut self, reference: &str) {
        let slash = reference.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match reference[slash..].find(':') {
            Some(at) => (&reference[..slash + at], &reference[slash + at + 1..]),
            None => (reference, "latest"),
        };
        self.say("image.name", name);
        self.say("image.tag", tag);
    }

    pub(crate) fn labels(&mut self, labels: &Fields, service: &str, suffixes: &[String]) {
        for (key, value) in labels::meaning(labels, service, suffixes) {
            self.0.insert(format!("labels.{key}"), value);
        }
    }

    pub(crate) fn caps(&mut self, caps: &[String]) {
        let beyond: Vec<String> =
            caps.iter().filter(|cap| !ENGINE_CAPS.contains(&cap.as_str())).cloned().collect();
        self.list("cap_add", &sorted(beyond));
    }
}

pub(crate) fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort();
    items.dedup();
    items
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// Our definition, as it is rendered.
pub(crate) fn ours(rendered: &Rendered, context: &Context<'_>) -> Fields {
    let mut sheet = Sheet::default();
    let spec = &rendered.spec;
    sheet.image(&spec.image);
    let service = context.chapter.stack().get(rendered.id.name()).unwrap();
    let as_json = serde_json::to_value(service).unwrap();
    if let Some(build) = as_json.pointer("/image/build").filter(|build| !build.is_null()) {
        let folder = build.pointer("/source/folder").and_then(serde_json::Value::as_str);
        sheet.say("build.context", folder.unwrap_or("the definition itself"));
        sheet.say("build.dockerfile", build["dockerfile"].as_str().unwrap());
    }
    sheet.say("container_name", &spec.name);
    sheet.say_if("hostname", spec.hostname.as_ref());
    network(spec, context, &mut sheet);
    mounts(rendered, &mut sheet);
    for (name, value) in spec.env.iter().filter(|(_, value)| !value.is_empty()) {
        sheet.say(format!("environment.{name}"), value);
    }
    sheet.words("entrypoint", spec.entrypoint.as_deref().unwrap_or_default());
    sheet.command(spec.command.as_deref().unwrap_or_default());
    sheet.say_if("user", spec.user.as_ref());
    sheet.say_if("working_dir", spec.working_dir.as_ref());
    if let Some(check) = &spec.health {
        sheet.words("healthcheck.test", &check.command);
        sheet.say("healthcheck.interval", seconds(check.interval));
        sheet.say("healthcheck.timeout", seconds(check.timeout));
        sheet.say("healthcheck.retries", check.retries.to_string());
        sheet.say("healthcheck.start_period", seconds(check.start_period));
    }
    let labels = spec.labels.iter().filter(|(key, _)| {
        // Whose the container is says the tool, and no definition.
        !["constellation.stack", "constellation.service", "constellation.definition"].contains(&key.as_str())
    });
    let labels = labels.map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    sheet.labels(&labels, service.name(), context.suffixes);
    let waits = as_json["depends_on"].as_object().unwrap();
    for (name, condition) in waits {
        let name = name.rsplit('/').next().unwrap();
        sheet.say(format!("depends_on.{name}"), condition.as_str().unwrap());
    }
    sheet.say(
        "restart",
        match spec.restart {
            RestartPolicy::No => "no".to_owned(),
            RestartPolicy::Always => "always".to_owned(),
            RestartPolicy::UnlessStopped => "unless-stopped".to_owned(),
            RestartPolicy::OnFailure(times) => format!("on-failure:{times}"),
        },
    );
    rights(spec, &mut sheet);
    sheet.0
}

fn network(spec: &ContainerSpec, context: &Context<'_>, sheet: &mut Sheet) {
    match &spec.network_mode {
        NetworkMode::Networks => {}
        NetworkMode::Host => sheet.say("network_mode", "host"),
        NetworkMode::None => sheet.say("network_mode", "none"),
        NetworkMode::Container(other) => sheet.say("network_mode", format!("container:{other}")),
    }
    let key = |name: &String| {
        let known = context.desired.networks.iter().find(|network| network.spec.name == *name);
        known.unwrap().key.clone()
    };
    sheet.list("networks", &sorted(spec.networks.keys().map(key).collect()));
    for (network, aliases) in &spec.networks {
        for alias in aliases.iter().skip(1) {
            sheet.say(format!("networks.{}.aliases.{alias}", key(network)), "yes");
        }
    }
    sheet.list("expose", &sorted(spec.exposed.iter().map(ToString::to_string).collect()));
    let ports = spec
        .ports
        .iter()
        .map(|port| format!("{}:{}->{}", port.host_ip, port.host_port.unwrap_or_default(), port.container));
    sheet.list("ports", &sorted(ports.collect()));
    sheet.list("dns", &spec.dns.iter().map(ToString::to_string).collect::<Vec<_>>());
    sheet.list("extra_hosts", &sorted(spec.extra_hosts.clone()));
}

fn mounts(rendered: &Rendered, sheet: &mut Sheet) {
    for mount in &rendered.spec.mounts {
        let target = &mount.target;
        let source = match &mount.kind {
            MountKind::Bind { source } => source.clone(),
            MountKind::Volume { name } => {
                let stack = rendered.id.stack().unwrap_or_default();
                format!("volume {}", name.strip_prefix(&format!("{stack}_")).unwrap_or(name))
            }
            MountKind::Tmpfs { .. } => "tmpfs".to_owned(),
        };
        let secret = rendered.secrets.iter().find(|secret| secret.copy.to_string_lossy() == *source);
        let file = rendered.files.iter().find(|file| file.path.to_string_lossy() == *source);
        if let Some(secret) = secret {
            sheet.say(
                format!("secrets.{target}"),
                format!("{} (mode {:04o})", secret.source.display(), secret.mode),
            );
        } else if let Some(file) = file {
            sheet.say(format!("configs.{target}"), format!("mode {:04o}", file.mode));
        } else {
            let read_only = if mount.read_only { " (read-only)" } else { "" };
            sheet.say(format!("volumes.{target}"), format!("{source}{read_only}"));
        }
    }
}

fn rights(spec: &ContainerSpec, sheet: &mut Sheet) {
    let yes = |yes: bool| yes.then_some("yes");
    sheet.say_if("privileged", yes(spec.privileged));
    sheet.caps(&spec.cap_add);
    sheet.list("cap_drop", &spec.cap_drop);
    sheet.list("security_opt", &spec.security_opt);
    sheet.list("devices", &sorted(spec.devices.clone()));
    sheet.list("groups", &spec.group_add);
    for (name, value) in &spec.sysctls {
        sheet.say(format!("sysctls.{name}"), value);
    }
    sheet.say_if("read_only_root", yes(spec.read_only_root));
    sheet.say_if("init", yes(spec.init));
    sheet.say_if("stop_signal", spec.stop_signal.as_ref());
    sheet.say_if("stop_grace", spec.stop_grace.map(seconds));
    sheet.say_if("logging", spec.logging.as_ref().map(|(driver, options)| format!("{driver} {options:?}")));
    let resources = &spec.resources;
    sheet.say_if("pids", resources.pids);
    sheet.say_if("resources.memory_limit", resources.memory_bytes);
    sheet.say_if("resources.memory_reservation", resources.memory_reservation_bytes);
    sheet.say_if("resources.cpus", resources.cpu_millis.map(|millis| format!("{millis} m")));
    sheet.say_if("resources.cpu_shares", resources.cpu_shares);
    sheet.say_if("resources.shm", resources.shm_bytes);
    for limit in &resources.ulimits {
        sheet.say(format!("resources.{}", limit.name), limit.hard.to_string());
    }
}
