//! The step of each service: from what was found of it to what it should be.

use std::collections::{BTreeMap, BTreeSet};

use constellation_core::ServiceId;
use constellation_docker::{ContainerId, NetworkMode, RunState};

use super::{
    Actual, Deed, FieldChange, Found, Plan, PlanOptions, Role, ServiceStep,
    diff::{between, drift, observed},
};
use crate::{
    problem::Problem,
    render::{Desired, Rendered},
};

/// The services that the plan is about: those that were asked for, and what they wait for.
pub(super) fn chosen(desired: &Desired, actual: &Actual, options: &PlanOptions) -> BTreeSet<ServiceId> {
    let all = desired.services.iter().map(|service| service.id.clone());
    let Some(only) = &options.only else {
        return all.chain(actual.ours.iter().map(|found| found.service.clone())).collect();
    };
    let mut chosen = only.clone();
    let mut open: Vec<ServiceId> = only.iter().cloned().collect();
    while let Some(id) = open.pop() {
        let Some(service) = desired.services.iter().find(|service| service.id == id) else { continue };
        for other in service.depends_on.keys() {
            if chosen.insert(other.clone()) {
                open.push(other.clone());
            }
        }
    }
    chosen
}

pub(super) fn plan(
    desired: &Desired,
    actual: &Actual,
    chosen: &BTreeSet<ServiceId>,
    doomed: &BTreeSet<ServiceId>,
    plan: &mut Plan,
) {
    let waves = waves(desired);
    let recreated: BTreeSet<&String> =
        plan.networks.iter().filter(|step| step.deed == Deed::Recreate).map(|step| &step.name).collect();
    let mut steps = Vec::new();
    let stays = |id: &ServiceId| chosen.contains(id) && !doomed.contains(id);
    for service in desired.services.iter().filter(|service| stays(&service.id)) {
        let found = Group::of(&service.id, actual);
        let wave = waves.get(&service.id).copied().unwrap_or_default();
        if found.settled().is_none()
            && let Some(id) = actual.foreign.get(&service.spec.name)
        {
            plan.blockers.push(Problem::new(
                service.id.to_string(),
                "container_name",
                format!(
                    "a container `{}` ({}) is there that this tool did not make",
                    service.spec.name,
                    id.short()
                ),
                format!("take it over with `adopt {}`, or remove it", service.id),
            ));
            continue;
        }
        let on_recreated = service.spec.networks.keys().any(|network| recreated.contains(network));
        match step(service, &found, wave, on_recreated, actual) {
            Some(step) => steps.push(step),
            None => plan.unchanged.push(service.id.clone()),
        }
    }
    follow_networks(desired, actual, &mut steps, plan);
    let wanted: BTreeSet<&ServiceId> = desired.services.iter().map(|service| &service.id).collect();
    let goes = |id: &ServiceId| {
        // A stack that nobody here defines is somebody else's.
        let is_known = id.stack().is_some_and(|stack| desired.stacks.contains(stack));
        doomed.contains(id) || (!wanted.contains(id) && chosen.contains(id) && is_known)
    };
    let gone: BTreeSet<&ServiceId> =
        actual.ours.iter().map(|found| &found.service).filter(|id| goes(id)).collect();
    let mut gone: Vec<&ServiceId> = gone.into_iter().collect();
    // What others wait for goes last.
    let last = |id: &ServiceId| LAST_WAVE - waves.get(id).copied().unwrap_or_default();
    gone.sort_by_key(|id| last(id));
    steps.sort_by(|a, b| (a.wave, &a.service).cmp(&(b.wave, &b.service)));
    steps.extend(gone.into_iter().filter_map(|id| remove(id, last(id), doomed.contains(id), actual)));
    plan.services = steps;
}

/// Who shares the network of a container that is made anew is made anew, too: its network would be gone.
fn follow_networks(desired: &Desired, actual: &Actual, steps: &mut Vec<ServiceStep>, plan: &mut Plan) {
    let anew: BTreeSet<String> = steps
        .iter()
        .filter(|step| matches!(step.deed, Deed::Create | Deed::Recreate))
        .map(|step| step.container.clone())
        .collect();
    for service in &desired.services {
        let NetworkMode::Container(other) = &service.spec.network_mode else { continue };
        if !anew.contains(other) {
            continue;
        }
        let reason = "the container whose network it shares is made anew".to_owned();
        let Some(position) = plan.unchanged.iter().position(|id| *id == service.id) else {
            if let Some(step) =
                steps.iter_mut().find(|step| step.service == service.id && step.deed == Deed::Change)
            {
                step.deed = Deed::Recreate;
                step.reason = reason;
                step.order = Some(service.order);
            }
            continue;
        };
        let Some(current) = Group::of(&service.id, actual).current else { continue };
        plan.unchanged.remove(position);
        steps.push(ServiceStep {
            service: service.id.clone(),
            container: service.spec.name.clone(),
            deed: Deed::Recreate,
            reason,
            changes: Vec::new(),
            current: Some(current.id.clone()),
            leftovers: Vec::new(),
            restore: None,
            from: Some(current.definition.clone()),
            to: Some(service.definition.clone()),
            order: Some(service.order),
            wave: waves(desired).get(&service.id).copied().unwrap_or_default(),
        });
    }
}

/// The wave of what nothing else waits for when it goes: after all that is made.
const LAST_WAVE: usize = usize::MAX;

/// What was found of one service, and how an interrupted replacement is put in order.
struct Group<'a> {
    current: Option<&'a Found>,
    old: Option<&'a Found>,
    leftovers: Vec<&'a Found>,
}

impl<'a> Group<'a> {
    fn of(id: &ServiceId, actual: &'a Actual) -> Self {
        let mut group = Self { current: None, old: None, leftovers: Vec::new() };
        for found in actual.ours.iter().filter(|found| found.service == *id) {
            match found.role {
                Role::Current if group.current.is_none() => group.current = Some(found),
                Role::Old if group.old.is_none() => group.old = Some(found),
                _ => group.leftovers.push(found),
            }
        }
        group
    }

    /// The container that counts: the current one, or the one that was put aside for a new one that never came.
    fn settled(&self) -> Option<&'a Found> {
        self.current.or(self.old)
    }
}

fn step(
    service: &Rendered,
    group: &Group<'_>,
    wave: usize,
    on_recreated_network: bool,
    actual: &Actual,
) -> Option<ServiceStep> {
    let mut step = ServiceStep {
        service: service.id.clone(),
        container: service.spec.name.clone(),
        deed: Deed::Create,
        reason: "there is none".to_owned(),
        changes: Vec::new(),
        current: None,
        leftovers: group.leftovers.iter().map(|found| found.id.clone()).collect(),
        restore: None,
        from: None,
        to: Some(service.definition.clone()),
        order: None,
        wave,
    };
    let base = match (group.current, group.old) {
        (None, None) => return Some(step),
        (None, Some(old)) => {
            // It had to make room for one that was never made.
            step.restore = Some(old.id.clone());
            old
        }
        (Some(current), Some(old)) if current.definition == service.definition => {
            step.deed = Deed::Finish;
            step.reason = "it was replaced, and nobody has seen yet that the new one works".to_owned();
            step.current = Some(current.id.clone());
            step.from = Some(old.definition.clone());
            step.restore = Some(old.id.clone());
            step.order = Some(service.order);
            return Some(step);
        }
        (Some(current), Some(old)) => {
            // Nobody has seen that it works, and it is not wanted any more: the one before it did work.
            step.leftovers.push(current.id.clone());
            step.restore = Some(old.id.clone());
            old
        }
        (Some(current), None) => current,
    };
    step.current = Some(base.id.clone());
    step.from = Some(base.definition.clone());
    let untidy = !step.leftovers.is_empty() || step.restore.is_some();
    let verdict = judge(service, base, on_recreated_network, actual);
    match verdict {
        Some((deed, reason, changes)) => {
            step.deed = deed;
            step.reason = reason;
            step.changes = changes;
            step.order = (deed == Deed::Recreate).then_some(service.order);
            Some(step)
        }
        None if untidy => {
            step.deed = Deed::Change;
            step.reason = "an interrupted run left something behind".to_owned();
            Some(step)
        }
        None => None,
    }
}

type Verdict = Option<(Deed, String, Vec<FieldChange>)>;

fn judge(service: &Rendered, there: &Found, on_recreated_network: bool, actual: &Actual) -> Verdict {
    if there.definition != service.definition {
        let changes = match &there.known {
            Some(known) => between(known, &service.spec),
            None => observed(&there.spec, &service.spec),
        };
        let reason = if there.known.is_some() {
            "its definition changed"
        } else {
            "its definition changed; the old one is not known here any more, so this compares with the engine's words"
        };
        return Some((Deed::Recreate, reason.to_owned(), changes));
    }
    if on_recreated_network {
        return Some((Deed::Recreate, "a network that it is on is made anew".to_owned(), Vec::new()));
    }
    let changes = if actual.has_networks { drift(&there.spec, &service.spec) } else { Vec::new() };
    if !changes.is_empty() {
        return Some((Deed::Recreate, "somebody changed the container".to_owned(), changes));
    }
    if let Some(id) = actual.images.get(&service.spec.image)
        && !there.image_id.is_empty()
        && *id != there.image_id
    {
        let change =
            FieldChange { field: "image".into(), from: Some(short(&there.image_id)), to: Some(short(id)) };
        return Some((Deed::Recreate, "its image is another one now".to_owned(), vec![change]));
    }
    state(service, there)
}

/// The same container, in another state than it should be in.
fn state(service: &Rendered, there: &Found) -> Verdict {
    let run = there.state.run;
    let shown = |run: RunState| format!("{run:?}").to_lowercase();
    let change =
        |to: &str| FieldChange { field: "state".into(), from: Some(shown(run)), to: Some(to.to_owned()) };
    if service.job {
        return match (run, there.state.exit_code) {
            (RunState::Exited, Some(0)) | (RunState::Running | RunState::Restarting, _) => None,
            (RunState::Created, _) => {
                Some((Deed::Change, "it was made and never started".to_owned(), vec![change("completed")]))
            }
            (_, code) => {
                let code = code.map_or_else(|| "an unknown code".to_owned(), |code| code.to_string());
                let reason = format!("it ended with {code}, so it did not complete");
                Some((Deed::Recreate, reason, vec![change("completed")]))
            }
        };
    }
    match run {
        RunState::Running | RunState::Restarting => None,
        RunState::Dead | RunState::Removing => Some((
            Deed::Recreate,
            "the engine could not start or remove it".to_owned(),
            vec![change("running")],
        )),
        // A paused container cannot be started, and whoever paused it may have looked at it in the meantime.
        RunState::Paused => {
            Some((Deed::Recreate, "somebody paused the container".to_owned(), vec![change("running")]))
        }
        RunState::Created | RunState::Exited => {
            Some((Deed::Change, "it does not run".to_owned(), vec![change("running")]))
        }
    }
}

fn remove(id: &ServiceId, wave: usize, asked: bool, actual: &Actual) -> Option<ServiceStep> {
    let group = Group::of(id, actual);
    let there = group.settled().or_else(|| group.leftovers.first().copied())?;
    let others = [group.current, group.old].into_iter().flatten().chain(group.leftovers.iter().copied());
    let leftovers: Vec<ContainerId> =
        others.filter(|found| found.id != there.id).map(|found| found.id.clone()).collect();
    Some(ServiceStep {
        service: id.clone(),
        container: there.name.clone(),
        deed: Deed::Remove,
        reason: if asked { "as asked" } else { "it is not defined any more, or not for this node" }
            .to_owned(),
        changes: Vec::new(),
        current: Some(there.id.clone()),
        leftovers,
        restore: None,
        from: Some(there.definition.clone()),
        to: None,
        order: None,
        wave,
    })
}

/// The wave of each service: one more than the highest of what it waits for.
fn waves(desired: &Desired) -> BTreeMap<ServiceId, usize> {
    let mut waves: BTreeMap<ServiceId, usize> = BTreeMap::new();
    // `validate` has refused circles; the bound makes that an assumption that cannot hang.
    for _ in 0..=desired.services.len() {
        let mut moved = false;
        for service in &desired.services {
            let before = service.depends_on.keys().filter_map(|other| waves.get(other)).max();
            let wave = before.map_or(0, |wave| wave + 1);
            moved |= waves.insert(service.id.clone(), wave) != Some(wave);
        }
        if !moved {
            break;
        }
    }
    waves
}

fn short(image_id: &str) -> String {
    image_id.trim_start_matches("sha256:").chars().take(12).collect()
}
