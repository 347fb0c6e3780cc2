//! One service as the engine is asked for it, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use constellation_docker::{
    ContainerSpec, Mount, MountKind, NetworkMode, PortBinding, Resources, RestartPolicy, Ulimit,
};

use super::{
    Context, DEFINITION_LABEL, FileToWrite, FolderToMake, Rendered, SecretGenerations, SecretToCopy,
    VolumeToMake, Why, definition_hash, labels, service_id, short_hash,
};
use crate::{
    Problem,
    config::Config,
    index::{Member, attachments},
    language::{
        Capabilities, Condition, CpuShares, Cpus, Kind, Logging, Reach, Restart, Service, Size, SizeUnits,
        VolumeKind,
    },
};

/// A fork bomb ends here, and hardly anything else does.
pub(super) const PIDS_DEFAULT: u64 = 4096;

/// Below `DATA_DIR`: what this tool writes for services.
const FILES_DIR: &str = "deploy/files";
/// Below `DATA_DIR`: the services' copies of secrets.
const SECRETS_DIR: &str = "deploy/secrets";

/// Collects the reasons as the fields are decided.
#[derive(Default)]
pub(super) struct Reasons(Vec<Why>);

/// The reason of everything that an operator wrote.
pub(super) const SAID: &str = "said in the definition";

impl Reasons {
    pub(super) fn say(&mut self, field: &str, value: impl Into<String>, why: impl Into<String>) {
        self.0.push(Why { field: field.to_owned(), value: value.into(), why: why.into() });
    }

    fn said_or<T: Clone>(
        &mut self,
        field: &str,
        said: Option<&T>,
        default: T,
        show: impl Fn(&T) -> String,
        why: &str,
    ) -> T {
        let (value, why) = match said {
            Some(value) => (value.clone(), SAID),
            None => (default, why),
        };
        self.say(field, show(&value), why);
        value
    }
}

pub(super) fn render(member: Member<'_>, context: &Context<'_>) -> Result<Rendered, Problem> {
    let service = member.service;
    let mut why = Reasons::default();
    let mut spec = ContainerSpec::new(service.container(), service.image.reference());
    why.say("image", service.image.reference(), SAID);
    spec.entrypoint.clone_from(&service.entrypoint);
    spec.command.clone_from(&service.command);
    for (field, command) in [("entrypoint", &service.entrypoint), ("command", &service.command)] {
        match command {
            Some(command) => why.say(field, format!("{command:?}"), SAID),
            None => why.say(field, "the image's", "nothing was said"),
        }
    }
    spec.user.clone_from(&service.user);
    spec.working_dir.clone_from(&service.workdir);
    spec.group_add.clone_from(&service.groups);
    spec.stop_signal.clone_from(&service.stop_signal);
    spec.stop_grace = service.stop_grace;
    for (name, value) in &service.env {
        let reason = value.from.as_ref().map_or_else(|| SAID.to_owned(), ToString::to_string);
        why.say(&format!("env.{name}"), &value.text, reason);
        spec.env.insert(name.clone(), value.text.clone());
    }
    network(member, context, &mut spec, &mut why);
    let material = material(member, context, &mut spec, &mut why);
    confinement(service, &mut spec, &mut why);
    limits(service, &mut spec, &mut why);
    life(service, &mut spec, &mut why);
    labels::add(member, context.config, &mut spec, &mut why);
    let (order, order_why) = super::order::order(service);
    why.say("update.order", order.to_string(), order_why);
    let shares = match &service.reach {
        Reach::Service(other) => Some((other, Condition::Started)),
        _ => None,
    };
    let definition = definition_hash(&spec);
    spec.labels.insert(DEFINITION_LABEL.to_owned(), definition.clone());
    let mut depends_on = BTreeMap::new();
    let mut elsewhere = BTreeSet::new();
    // Whose network it shares must be there first; what was said of it goes before that.
    let shares = shares.filter(|(other, _)| !service.depends_on.contains_key(*other));
    for (name, condition) in
        service.depends_on.iter().map(|(name, condition)| (name, *condition)).chain(shares)
    {
        // `validate` has refused unknown names.
        let Ok(other) = context.index.service(&member.stack.name, name) else { continue };
        let id = service_id(other)?;
        why.say("depends_on", format!("{id} is {condition:?}"), SAID);
        if context.index.is_here(other) {
            depends_on.insert(id, condition);
        } else {
            elsewhere.insert(id);
        }
    }
    Ok(Rendered {
        id: service_id(member)?,
        spec,
        definition,
        job: service.kind == Kind::Job,
        image: service.image.clone(),
        depends_on,
        elsewhere,
        files: material.files,
        secrets: material.secrets,
        folders: material.folders,
        volumes: material.volumes,
        order,
        update: service.update,
        why: why.0,
    })
}

fn network(member: Member<'_>, context: &Context<'_>, spec: &mut ContainerSpec, why: &mut Reasons) {
    let service = member.service;
    let (attachments, reason) = attachments(service);
    spec.network_mode = match &service.reach {
        Reach::Host => NetworkMode::Host,
        Reach::None => NetworkMode::None,
        Reach::Service(other) => {
            let other = context.index.service(&member.stack.name, other);
            NetworkMode::Container(
                other.map_or_else(|_| String::new(), |other| other.service.container().to_owned()),
            )
        }
        Reach::Derived | Reach::Networks(_) => NetworkMode::Networks,
    };
    if spec.network_mode != NetworkMode::Networks {
        why.say("network_mode", format!("{:?}", spec.network_mode), SAID);
    }
    for attach in &attachments {
        let Some(known) = context.index.network(&member.stack.name, &attach.network) else { continue };
        // By its service's name it is found whatever its container is called, also while it is being replaced.
        let mut aliases = vec![service.name.clone()];
        aliases.extend(attach.aliases.iter().filter(|alias| **alias != service.name).cloned());
        why.say("networks", format!("{} (as {})", known.engine_name, aliases.join(", ")), reason);
        spec.networks.insert(known.engine_name, aliases);
    }
    if !matches!(spec.network_mode, NetworkMode::Host | NetworkMode::Container(_)) {
        let hostname = why.said_or(
            "hostname",
            service.hostname.as_ref(),
            service.name.clone(),
            Clone::clone,
            "the service's name",
        );
        spec.hostname = Some(hostname);
    }
    for port in &service.ports {
        let shown = format!("{}:{} -> {}", port.host_ip, port.host_port, port.container);
        why.say("ports", shown, SAID);
        spec.ports.push(PortBinding {
            container: port.container,
            host_ip: port.host_ip,
            host_port: Some(port.host_port),
        });
    }
    let published = service.ports.iter().map(|port| port.container);
    let mut exposed: Vec<_> = service.exposed.iter().copied().chain(published).collect();
    exposed.extend(service.routes.iter().map(|route| match route {
        crate::language::AnyRoute::Udp(route) => constellation_docker::Port::udp(route.port),
        other => constellation_docker::Port::tcp(other.port()),
    }));
    exposed.sort_unstable();
    exposed.dedup();
    spec.exposed = exposed;
    spec.dns.clone_from(&service.dns);
    spec.extra_hosts =
        service.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
}

#[derive(Default)]
struct Material {
    files: Vec<FileToWrite>,
    secrets: Vec<SecretToCopy>,
    folders: Vec<FolderToMake>,
    volumes: Vec<VolumeToMake>,
}

/// The folder of one service below one of ours. Names of stacks and services hold no `/`.
fn own_folder(data_dir: &Path, below: &str, member: Member<'_>) -> PathBuf {
    data_dir.join(below).join(&member.stack.name).join(&member.service.name)
}

/// Where a service's copy of a secret is. Flat: a file in a folder of the secrets path gets no folder there.
pub(crate) fn secret_copy(config: &Config, member: Member<'_>, file: &str, generation: u32) -> PathBuf {
    let name = format!("{}.{generation}", file.replace('/', "__"));
    own_folder(&config.data_dir(), SECRETS_DIR, member).join(name)
}

fn material(
    member: Member<'_>,
    context: &Context<'_>,
    spec: &mut ContainerSpec,
    why: &mut Reasons,
) -> Material {
    let service = member.service;
    let mut material = Material::default();
    let data_dir = context.config.data_dir();
    for volume in &service.volumes {
        let kind = match &volume.kind {
            VolumeKind::Bind { source, file, owner } => {
                if source.ours && !file {
                    material.folders.push(FolderToMake { path: source.as_str().into(), owner: *owner });
                }
                MountKind::Bind { source: source.as_str().to_owned() }
            }
            VolumeKind::Named { name, shared } => {
                let stack = (!shared).then(|| member.stack.name.clone());
                let name = stack.as_ref().map_or_else(|| name.clone(), |stack| format!("{stack}_{name}"));
                material.volumes.push(VolumeToMake { name: name.clone(), stack });
                MountKind::Volume { name }
            }
            VolumeKind::Tmpfs { size } => MountKind::Tmpfs { size_bytes: size.map(Size::as_bytes) },
        };
        let mut mount = Mount::new(kind, volume.target.clone(), volume.read_only);
        mount.propagation = volume.propagation;
        spec.mounts.push(mount);
        why.say("volumes", volume.target.clone(), SAID);
    }
    for config in &service.configs {
        let mut identity = config.content.clone();
        identity.extend_from_slice(format!("\0{:o}\0{:?}", config.mode, config.owner).as_bytes());
        let hash = short_hash(&identity);
        let name = config.target.rsplit('/').next().unwrap_or("file");
        let path = own_folder(&data_dir, FILES_DIR, member).join(format!("{name}-{hash}"));
        spec.mounts.push(read_only_file(&path, config.target.clone()));
        why.say("configs", config.target.clone(), format!("content with hash {hash}, in the definition"));
        material.files.push(FileToWrite {
            path,
            content: config.content.clone(),
            mode: config.mode,
            owner: config.owner,
        });
    }
    for secret in &service.secrets {
        let target = secret.target();
        let generation = context.generations.of(&member.id(), &secret.file);
        if generation == SecretGenerations::LEFT_OUT {
            why.say(
                "secrets",
                format!("{target} is left out"),
                format!("there is no {}, and it is optional", secret.file),
            );
            continue;
        }
        let copy = secret_copy(context.config, member, &secret.file, generation);
        spec.mounts.push(read_only_file(&copy, target.clone()));
        for env in &secret.env {
            let value = env.pattern.replace("{}", &target);
            why.say(
                &format!("env.{}", env.variable),
                value.clone(),
                format!("the place of secret {}", secret.file),
            );
            spec.env.insert(env.variable.clone(), value);
        }
        why.say(
            "secrets",
            format!("{target} (mode {:04o})", secret.mode),
            format!("a copy of {}", secret.file),
        );
        material.secrets.push(SecretToCopy {
            source: context.config.secrets_path().join(&secret.file),
            copy,
            mode: secret.mode,
            owner: secret.owner,
        });
    }
    spec.mounts.sort_by(|a, b| a.target.cmp(&b.target));
    material
}

fn read_only_file(path: &Path, target: String) -> Mount {
    let source = path.to_string_lossy().into_owned();
    Mount::new(MountKind::Bind { source }, target, true)
}

fn confinement(service: &Service, spec: &mut ContainerSpec, why: &mut Reasons) {
    spec.privileged = service.privileged;
    spec.read_only_root = service.read_only_root;
    spec.init = service.init;
    spec.devices.clone_from(&service.devices);
    spec.sysctls.clone_from(&service.sysctls);
    let (Capabilities::Only(caps) | Capabilities::EngineDefaultsAnd(caps)) = &service.capabilities;
    spec.cap_add = caps.iter().map(|cap| cap.as_str().to_owned()).collect();
    let kept = spec.cap_add.join(", ");
    if service.privileged {
        why.say("privileged", "every capability and device", SAID);
    } else if matches!(service.capabilities, Capabilities::Only(_)) {
        spec.cap_drop = vec!["ALL".to_owned()];
        let reason = "every capability that it does not ask for is dropped";
        why.say("caps", if kept.is_empty() { "none".to_owned() } else { kept }, reason);
    } else {
        why.say("caps", format!("the engine's fourteen, and: {kept}"), SAID);
    }
    if service.new_privileges {
        why.say("new_privileges", "allowed", SAID);
    } else {
        spec.security_opt.push("no-new-privileges:true".to_owned());
        why.say("new_privileges", "refused", "nothing inside may gain rights unless the service asks for it");
    }
    spec.security_opt.extend(service.security_opts.iter().cloned());
}

fn limits(service: &Service, spec: &mut ContainerSpec, why: &mut Reasons) {
    let limits = &service.limits;
    let pids =
        why.said_or("pids", limits.pids.as_ref(), PIDS_DEFAULT, ToString::to_string, "stops a fork bomb");
    for (field, value) in [
        ("memory", limits.memory.map(|size| size.to_string())),
        ("memory_reservation", limits.memory_reservation.map(|size| size.to_string())),
        ("cpus", limits.cpus.map(|cpus| cpus.to_string())),
        ("cpu_shares", limits.cpu_shares.map(|shares| shares.as_number().to_string())),
        ("shm", limits.shm.map(|size| size.to_string())),
    ] {
        if let Some(value) = value {
            why.say(field, value, SAID);
        }
    }
    spec.resources = Resources {
        memory_bytes: limits.memory.map(Size::as_bytes),
        memory_reservation_bytes: limits.memory_reservation.map(Size::as_bytes),
        cpu_millis: limits.cpus.map(Cpus::as_millis),
        cpu_shares: limits.cpu_shares.map(CpuShares::as_number),
        pids: Some(pids),
        shm_bytes: limits.shm.map(Size::as_bytes),
        ulimits: limits
            .ulimits
            .iter()
            .map(|(name, (soft, hard))| Ulimit { name: name.clone(), soft: *soft, hard: *hard })
            .collect(),
    };
}

fn life(service: &Service, spec: &mut ContainerSpec, why: &mut Reasons) {
    if let Some(health) = &service.health {
        let check = health.to_check();
        let shown = format!(
            "{:?} every {:?}, {:?} each, {} times, {:?} at first",
            check.command, check.interval, check.timeout, check.retries, check.start_period
        );
        why.say("health", shown, "said in the definition; numbers that it leaves out are the language's");
        spec.health = Some(check);
    }
    let (default, reason) = match service.kind {
        Kind::Service => (Restart::Always, "a service comes back, also after the machine did"),
        Kind::Job => (Restart::Never, "a job runs once"),
    };
    let restart =
        why.said_or("restart", service.restart.as_ref(), default, |restart| format!("{restart:?}"), reason);
    spec.restart = match restart {
        Restart::Never => RestartPolicy::No,
        Restart::Always => RestartPolicy::Always,
        Restart::UnlessStopped => RestartPolicy::UnlessStopped,
        Restart::OnFailure(times) => RestartPolicy::OnFailure(times),
    };
    let logging = why.said_or(
        "logging",
        service.logging.as_ref(),
        Logging::json(10.mib(), 3),
        |logging| format!("{} {:?}", logging.driver, logging.options),
        "the engine alone would let a log fill the disk",
    );
    spec.logging = Some((logging.driver, logging.options));
}
