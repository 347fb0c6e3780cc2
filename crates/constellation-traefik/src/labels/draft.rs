//! Sorts labels by what they are about, before any value is looked at.

use std::collections::BTreeMap;

use constellation_core::RouteName;

use super::{
    NAME_BYTES_MAX, ROUTERS_MAX, VALUE_BYTES_MAX,
    problem::{LabelProblemKind, Problems},
    value,
};

/// One label's value, with the label for messages and its last part in the case in which it was written.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) label: String,
    pub(super) last: String,
    pub(super) value: String,
}

/// The fields of one router or service, by their path in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) fields: BTreeMap<String, Field>,
}

impl Draft {
    /// Whether what it says could be meant to keep somebody out: see the rule in the module's description.
    pub(super) fn may_guard(&self) -> bool {
        const HARMLESS: [&str; 6] = ["rule", "entrypoints", "service", "priority", "tls", "tls.certresolver"];
        self.fields.keys().any(|path| !HARMLESS.contains(&path.split('[').next().unwrap_or(path)))
    }

    /// Whether this router leads to a service of the container itself.
    pub(super) fn needs_own_service(&self) -> bool {
        self.fields.get("service").is_none_or(|field| !field.value.contains('@'))
    }

    /// A list, written with commas or as `name[0]`, `name[1]`…
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let mut items = self.fields.get(name).map(|field| value::list(&field.value)).unwrap_or_default();
        let mut indexed: Vec<(usize, &str)> = self
            .fields
            .iter()
            .filter_map(|(path, field)| {
                let index = path.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
                Some((index.parse().ok()?, field.value.trim()))
            })
            .collect();
        indexed.sort_by_key(|(index, _)| *index);
        items.extend(indexed.into_iter().map(|(_, item)| item.to_owned()));
        items
    }
}

/// All labels that matter here.
#[derive(Clone, Debug, Default)]
pub(super) struct Drafts {
    pub(super) enable: Option<Field>,
    /// By name in lower case: names that differ in case alone are one.
    routers: BTreeMap<String, (RouteName, Draft)>,
    services: BTreeMap<String, (RouteName, Draft)>,
    middlewares: BTreeMap<String, (RouteName, Draft)>,
    pub(super) tcp: L4Drafts,
    pub(super) udp: L4Drafts,
    /// Our own labels, by their name after `constellation.`.
    pub(super) own: BTreeMap<String, Field>,
    /// Which role a TCP service leads to, by its name in lower case; that of all others under none.
    pub(super) roles: BTreeMap<Option<String>, Field>,
    /// Whether a router was dropped before its fields were looked at.
    pub(super) router_dropped: bool,
}

/// Routers, services and middlewares below HTTP.
#[derive(Clone, Debug, Default)]
pub(super) struct L4Drafts {
    pub(super) routers: BTreeMap<String, (RouteName, Draft)>,
    pub(super) services: BTreeMap<String, (RouteName, Draft)>,
    pub(super) middlewares: BTreeMap<String, (RouteName, Draft)>,
}

impl L4Drafts {
    fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.services.is_empty()
    }
}

impl Drafts {
    /// Whether the labels are about TCP or UDP and say nothing of HTTP: then no HTTP service is made for them.
    pub(super) fn only_l4(&self) -> bool {
        let http = self.routers.is_empty() && self.services.is_empty() && self.middlewares.is_empty();
        http && !(self.tcp.is_empty() && self.udp.is_empty())
    }

    pub(super) fn middlewares(&self) -> impl Iterator<Item = (&RouteName, &Draft)> {
        self.middlewares.values().map(|(name, draft)| (name, draft))
    }

    pub(super) fn sort(labels: &BTreeMap<String, String>, problems: &mut Problems) -> Self {
        let mut drafts = Self::default();
        for (label, value) in labels {
            let lower = label.to_ascii_lowercase();
            let ours = lower.starts_with("constellation.");
            if !ours && !lower.starts_with("traefik.") {
                continue;
            }
            if label.len() > NAME_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
                let text = format!(
                    "names are read up to {NAME_BYTES_MAX} bytes and values up to {VALUE_BYTES_MAX}; it is left out"
                );
                problems.push(label, LabelProblemKind::TooMuch, text);
                drafts.file(label, &lower, None, problems);
            } else {
                drafts.file(label, &lower, Some(value), problems);
            }
        }
        drafts
    }

    pub(super) fn routers(&self) -> impl Iterator<Item = (&RouteName, &Draft)> {
        self.routers.values().map(|(name, draft)| (name, draft))
    }

    pub(super) fn services(&self) -> impl Iterator<Item = (&RouteName, &Draft)> {
        self.services.values().map(|(name, draft)| (name, draft))
    }

    /// Whether the generated routes are switched off.
    pub(super) fn generated_off(&self, problems: &mut Problems) -> bool {
        let Some(field) = self.own.get("generated-routes") else { return false };
        match value::boolean(&field.value) {
            Ok(on) => !on,
            Err(reason) => {
                problems.invalid(&field.label, format!("{reason}; no routes are generated"));
                true
            }
        }
    }

    /// Says of our own labels about HTTP services that there is none.
    pub(super) fn own_about_nothing(&self, problems: &mut Problems) {
        for (name, field) in &self.own {
            // Routes that are not to be generated are not.
            if name != "generated-routes" {
                problems.invalid(
                    &field.label,
                    "it is about HTTP services, and there is none; it changes nothing",
                );
            }
        }
    }

    /// Files a label under what it is about; without a value it was too long to be read.
    fn file(&mut self, label: &str, lower: &str, value: Option<&str>, problems: &mut Problems) {
        let parts: Vec<&str> = lower.split('.').collect();
        let last = label.rsplit('.').next().unwrap_or(label).to_owned();
        let field = Field { label: label.to_owned(), last, value: value.unwrap_or_default().to_owned() };
        // A field that no router has: one that misses its longest field might miss its guard, so it is left out.
        let path = |rest: &[&str]| if value.is_some() { rest.join(".") } else { "(too long)".to_owned() };
        match parts.as_slice() {
            ["constellation", name @ ("response-timeout" | "failover" | "generated-routes" | "proxy")] => {
                self.own.insert((*name).to_owned(), field);
            }
            ["constellation", "route-role"] => drop(self.roles.insert(None, field)),
            ["constellation", "route-role", service] => {
                self.roles.insert(Some((*service).to_owned()), field);
            }
            // The rest of our labels belongs to others (healing, naming), as does what only Traefik's own Docker
            // provider needs: we reach a container through its node, not through a network that both share.
            ["constellation", ..] | ["traefik", "docker", ..] => {}
            ["traefik", "enable"] => self.enable = Some(field),
            ["traefik", "http", "routers", _, rest @ ..] if !rest.is_empty() => {
                self.router_dropped |=
                    !Self::collect(&mut self.routers, "router", path(rest), field, problems);
            }
            ["traefik", "http", "services", _, "loadbalancer", rest @ ..] if !rest.is_empty() => {
                Self::collect(&mut self.services, "service", path(rest), field, problems);
            }
            ["traefik", "http", "middlewares", _, rest @ ..] if !rest.is_empty() => {
                Self::collect(&mut self.middlewares, "middleware", path(rest), field, problems);
            }
            ["traefik", "tcp", "routers", _, rest @ ..] if !rest.is_empty() => {
                Self::collect(&mut self.tcp.routers, "TCP router", path(rest), field, problems);
            }
            ["traefik", "tcp", "services", _, "loadbalancer", rest @ ..] if !rest.is_empty() => {
                Self::collect(&mut self.tcp.services, "TCP service", path(rest), field, problems);
            }
            ["traefik", "tcp", "middlewares", _, rest @ ..] if !rest.is_empty() => {
                Self::collect(&mut self.tcp.middlewares, "TCP middleware", path(rest), field, problems);
            }
            ["traefik", "udp", "routers", _, rest @ ..] if !rest.is_empty() => {
                Self::collect(&mut self.udp.routers, "UDP router", path(rest), field, problems);
            }
            ["traefik", "udp", "services", _, "loadbalancer", rest @ ..] if !rest.is_empty() => {
                Self::collect(&mut self.udp.services, "UDP service", path(rest), field, problems);
            }
            ["traefik", "tls", rest @ ..] => problems.push(label, LabelProblemKind::Unknown, about_tls(rest)),
            _ => {
                problems.push(
                    label,
                    LabelProblemKind::Unknown,
                    "nobody knows this label; it changes nothing",
                );
            }
        }
    }

    /// Whether there was a place for it.
    fn collect(
        drafts: &mut BTreeMap<String, (RouteName, Draft)>,
        what: &str,
        path: String,
        field: Field,
        problems: &mut Problems,
    ) -> bool {
        let label = field.label.clone();
        let written = label.split('.').nth(3).unwrap_or_default();
        let name: RouteName = match written.parse() {
            Ok(name) => name,
            Err(error) => {
                problems.invalid(&label, format!("{error}; the {what} is left out"));
                return false;
            }
        };
        let key = written.to_ascii_lowercase();
        if !drafts.contains_key(&key) && drafts.len() >= ROUTERS_MAX {
            let text = format!("a container may have {ROUTERS_MAX} {what}s; this one is left out");
            problems.push(&label, LabelProblemKind::TooMuch, text);
            return false;
        }
        drafts.entry(key).or_insert_with(|| (name, Draft::default())).1.fields.insert(path, field);
        true
    }
}

/// Where that belongs which is about TLS and no router's. Of containers Traefik reads a generated certificate of its default store, and
/// nothing else.
fn about_tls(rest: &[&str]) -> &'static str {
    match rest {
        ["stores", "default", "defaultgeneratedcert", ..] => {
            "it is not read of labels yet; write it for Traefik's file provider, or a router's tls.domains; it changes nothing"
        }
        ["options", ..] => {
            "Traefik does not read TLS options of labels either: define them in its file provider and name them at the router, as in \
             tls.options=NAME@file; it changes nothing"
        }
        _ => {
            "Traefik does not read it of labels either: certificates and stores are its file provider's, or the agent's \
             --tls-certificates; it changes nothing"
        }
    }
}
