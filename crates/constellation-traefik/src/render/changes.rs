//! Which services differ from one view to the next.

use std::collections::BTreeSet;

use constellation_core::{
    ClusterView, Instance, ServiceId,
    view::{Member, NodeView},
};

/// The services of which anything is different that is rendered. What a node says is compared only where it has said something
/// new.
pub(super) fn changed(before: &ClusterView, after: &ClusterView) -> BTreeSet<ServiceId> {
    let mut changed = BTreeSet::new();
    for member in after.members() {
        match before.member(&member.node.name) {
            Some(known) => compare(known, member, &mut changed),
            None => all_of(&member.node, &mut changed),
        }
    }
    for gone in before.members().filter(|member| after.member(&member.node.name).is_none()) {
        all_of(&gone.node, &mut changed);
    }
    changed
}

fn all_of(node: &NodeView, changed: &mut BTreeSet<ServiceId>) {
    node.instances.values().for_each(|instance| mark(instance, changed));
}

fn mark(instance: &Instance, changed: &mut BTreeSet<ServiceId>) {
    if instance.routes.is_some() && !changed.contains(&instance.service) {
        changed.insert(instance.service.clone());
    }
}

fn compare(before: &Member, after: &Member, changed: &mut BTreeSet<ServiceId>) {
    let (old, new) = (&*before.node, &*after.node);
    if std::ptr::eq(old, new) && before.live == after.live {
        return;
    }
    // What a node says of itself holds for all that runs there.
    if before.live != after.live || old.facts != new.facts {
        all_of(old, changed);
        all_of(new, changed);
        return;
    }
    for instance in old.instances.values().filter(|instance| !new.instances.contains_key(&instance.id)) {
        mark(instance, changed);
    }
    for instance in new.instances.values() {
        match old.instances.get(&instance.id) {
            // Its routes come by themselves, perhaps later than it does.
            Some(known)
                if known == instance
                    && old.routes_of(known).is_some() == new.routes_of(instance).is_some() => {}
            known => {
                known.into_iter().for_each(|known| mark(known, changed));
                mark(instance, changed);
            }
        }
    }
}
