//! What services stand on: networks and volumes, before any of them begins.

use std::collections::{BTreeMap, BTreeSet};

use constellation_docker::{ContainerId, RuntimeError};

use super::{Apply, ApplyError, event::Happening};
use crate::{
    plan::{Actual, Deed, Plan},
    problem::Problem,
    render::{Desired, STACK_LABEL},
};

impl Apply<'_> {
    /// A network can only be made anew when everything on it is part of the run.
    pub(super) async fn look_at_networks(&self, actual: &Actual, plan: &Plan) -> Result<(), ApplyError> {
        for step in plan.networks.iter().filter(|step| step.deed == Deed::Recreate) {
            let members = self.host.network_members(&step.name).await.map_err(ApplyError::Ground)?;
            let problems = in_the_way(&step.name, &members, actual, plan);
            if !problems.is_empty() {
                return Err(ApplyError::Blocked(problems));
            }
        }
        Ok(())
    }

    /// Makes networks and volumes.
    pub(super) async fn ground(
        &self,
        desired: &Desired,
        actual: &Actual,
        plan: &Plan,
    ) -> Result<(), RuntimeError> {
        for step in &plan.networks {
            let Some(network) = desired.networks.iter().find(|network| network.spec.name == step.name) else {
                continue;
            };
            if step.deed == Deed::Recreate {
                for found in actual.ours.iter().filter(|found| found.spec.networks.contains_key(&step.name)) {
                    match self.host.leave_network(&step.name, &found.id).await {
                        Ok(()) | Err(RuntimeError::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                self.host.remove_network(&step.name).await?;
            }
            self.host.create_network(&network.spec).await?;
            self.watcher.tell(Happening::Made { what: format!("network {}", step.name) });
        }
        for name in &plan.volumes {
            let volume = desired
                .services
                .iter()
                .flat_map(|service| &service.volumes)
                .find(|volume| volume.name == *name);
            let stack = volume.and_then(|volume| volume.stack.clone());
            let labels: BTreeMap<String, String> =
                stack.into_iter().map(|stack| (STACK_LABEL.to_owned(), stack)).collect();
            self.host.create_volume(name, &labels).await?;
            self.watcher.tell(Happening::Made { what: format!("volume {name}") });
        }
        Ok(())
    }
}

/// Who is on a network and not part of the plan: it would be off the network for good.
fn in_the_way(network: &str, members: &BTreeSet<ContainerId>, actual: &Actual, plan: &Plan) -> Vec<Problem> {
    let steps = plan.services.iter();
    let touched: BTreeSet<&ContainerId> =
        steps.flat_map(|step| step.current.iter().chain(&step.leftovers).chain(&step.restore)).collect();
    let (mut strangers, mut left_out) = (Vec::new(), Vec::new());
    for id in members.iter().filter(|id| !touched.contains(id)) {
        match actual.ours.iter().find(|found| found.id == *id) {
            Some(found) => left_out.push(found.service.to_string()),
            None => strangers.push(id.short().to_owned()),
        }
    }
    let problem =
        |what: String, advice: String| Problem::new(format!("network {network}"), "members", what, advice);
    let mut problems = Vec::new();
    if !strangers.is_empty() {
        let what = format!("containers that this tool did not make are on it: {}", strangers.join(", "));
        problems.push(problem(what, format!("take them off (`docker network disconnect {network} …`)")));
    }
    if !left_out.is_empty() {
        let what = format!("services that this run leaves as they are, are on it: {}", left_out.join(", "));
        problems.push(problem(what, "name them as well, or apply without naming services".to_owned()));
    }
    problems
}

#[cfg(test)]
mod tests {
    use constellation_docker::{ContainerSpec, ContainerState, HealthReport, RunState};

    use super::*;
    use crate::plan::{Found, Role, ServiceStep};

    fn found(service: &str) -> Found {
        Found {
            id: ContainerId::new(format!("id-{service}")),
            name: service.to_owned(),
            role: Role::Current,
            service: format!("s/{service}").parse().unwrap(),
            definition: String::new(),
            spec: ContainerSpec::new(service, "x:1"),
            known: None,
            state: ContainerState {
                run: RunState::Running,
                health: HealthReport::None,
                pid: None,
                exit_code: None,
                oom_killed: false,
                started_at_ms: None,
                finished_at_ms: None,
                restarts: 0,
            },
            image_id: String::new(),
        }
    }

    fn replaces(service: &str) -> ServiceStep {
        ServiceStep {
            service: format!("s/{service}").parse().unwrap(),
            container: service.to_owned(),
            deed: Deed::Recreate,
            reason: String::new(),
            changes: Vec::new(),
            current: Some(ContainerId::new(format!("id-{service}"))),
            leftovers: Vec::new(),
            restore: None,
            from: None,
            to: None,
            order: None,
            wave: 0,
        }
    }

    #[test]
    fn whoever_is_on_a_network_and_not_part_of_the_run_is_named_by_what_it_is() {
        let actual = Actual { ours: vec![found("web"), found("db")], ..Actual::default() };
        let members: BTreeSet<_> = ["id-web", "id-db", "id-other"].map(ContainerId::new).into();
        let plan = |services: &[&str]| Plan {
            services: services.iter().map(|service| replaces(service)).collect(),
            ..Plan::default()
        };
        let said = |services: &[&str]| {
            let problems = in_the_way("front", &members, &actual, &plan(services));
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let web_alone = said(&["web"]);
        assert_eq!(web_alone.len(), 2, "{web_alone:?}");
        assert!(web_alone[0].contains("did not make are on it: id-other"), "{web_alone:?}");
        assert!(web_alone[1].contains("are on it: s/db"), "{web_alone:?}");
        assert_eq!(said(&["web", "db"]).len(), 1);
        let ours: BTreeSet<_> = ["id-web", "id-db"].map(ContainerId::new).into();
        assert_eq!(in_the_way("front", &ours, &actual, &plan(&["web", "db"])), []);
    }
}
