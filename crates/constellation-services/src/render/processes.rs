//! The same services as supervised processes: what only a container can keep is left out where the language put it there
//! by itself, and stays where somebody asked for it, so that the runtime refuses it by name.

use constellation_docker::{MountKind, NetworkMode};

use super::{DEFINITION_LABEL, Desired, Rendered, container::PIDS_DEFAULT, definition_hash};
use crate::problem::{Problem, Problems};

/// Renders for a runtime without containers.
pub(crate) fn for_processes(mut desired: Desired) -> Result<Desired, Problems> {
    let mut problems = Vec::new();
    for service in &mut desired.services {
        if service.spec.command.is_none() && service.spec.entrypoint.is_none() {
            let what = "a process has no image to take its command from";
            problems.push(Problem::new(service.id.to_string(), "command", what, "say it with `command`"));
        }
        adapt(service);
    }
    desired.networks.clear();
    if problems.is_empty() { Ok(desired) } else { Err(Problems(problems)) }
}

fn adapt(service: &mut Rendered) {
    let spec = &mut service.spec;
    // All processes share the host's network: names of networks mean nothing there.
    if spec.network_mode == NetworkMode::Networks {
        spec.networks.clear();
    }
    if spec.cap_add.is_empty() && spec.cap_drop == ["ALL"] {
        spec.cap_drop.clear();
    }
    spec.security_opt.retain(|option| option != "no-new-privileges:true");
    if spec.resources.pids == Some(PIDS_DEFAULT) {
        spec.resources.pids = None;
    }
    // A process reads the service's own copy of a secret where it is; its variables say so.
    for secret in &service.secrets {
        let copy = secret.copy.to_string_lossy().into_owned();
        let is_copy = |kind: &MountKind| matches!(kind, MountKind::Bind { source } if *source == copy);
        let Some(position) = spec.mounts.iter().position(|mount| is_copy(&mount.kind)) else { continue };
        let inside = spec.mounts.remove(position).target;
        for value in spec.env.values_mut().filter(|value| value.contains(&inside)) {
            *value = value.replace(&inside, &copy);
        }
    }
    service.definition = definition_hash(spec);
    spec.labels.insert(DEFINITION_LABEL.to_owned(), service.definition.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        prelude::*,
        render::{SecretGenerations, render},
    };

    fn rendered(service: Service) -> Result<Desired, Problems> {
        let stack = Stack::new("s").service(service);
        for_processes(render(&[stack], &Config::example(), &SecretGenerations::default()).unwrap())
    }

    #[test]
    fn what_the_language_adds_for_containers_is_left_out_and_what_was_asked_for_stays() {
        let service = Service::new("web", "x:1.0")
            .command(["serve"])
            .secret(secret("key.txt").env_file("KEY_FILE"))
            .memory(64.mib());
        let desired = rendered(service).unwrap();
        let spec = &desired.services[0].spec;
        assert!(spec.networks.is_empty() && spec.cap_drop.is_empty() && spec.security_opt.is_empty());
        assert_eq!(spec.resources.pids, None);
        assert_eq!(spec.env["KEY_FILE"], "/opt/constellation/data/deploy/secrets/s/web/key.txt.1");
        assert!(spec.mounts.is_empty());
        assert_eq!(spec.resources.memory_bytes, Some(64 << 20), "the runtime refuses it by name");
    }

    #[test]
    fn a_process_needs_a_command() {
        let problems = rendered(Service::new("web", "x:1.0")).unwrap_err();
        assert_eq!(problems.0[0].field, "command");
    }
}
