//! A service of the catalogue, and what it does otherwise than the collection that the catalogue follows.

use std::collections::BTreeMap;

use constellation_services::prelude::*;

/// Something that a service of the catalogue does otherwise than the reference, and why.
///
/// The reference is the collection of services that this catalogue has its facts from: `docs/catalogue.md` lists every
/// difference, and a test compares each field of each service with it. A difference without a reason fails that test, and
/// so does a reason without a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, such as `privileged` or `environment.POSTGRES_PASSWORD`; `*` stands for any text.
    pub field: &'static str,
    /// Why it differs.
    pub reason: &'static str,
}

impl Difference {
    /// Whether it speaks of this field.
    pub fn covers(&self, field: &str) -> bool {
        matches(self.field, field)
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, rest)) => text.strip_prefix(before).is_some_and(|text| {
            // The rest may begin anywhere behind the star, also at the very end.
            (0..=text.len()).any(|at| text.get(at..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}

/// A service with its differences: what [`Differs::differs`] makes of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub(super) service: Service,
    pub(super) differences: Vec<Difference>,
}

impl Entry {
    /// One more difference.
    #[must_use]
    pub fn differs(mut self, field: &'static str, reason: &'static str) -> Self {
        self.differences.push(Difference { field, reason });
        self
    }
}

impl From<Service> for Entry {
    fn from(service: Service) -> Self {
        Self { service, differences: Vec::new() }
    }
}

/// Says of a service what it does otherwise than the reference, and why.
pub trait Differs {
    /// The first difference.
    fn differs(self, field: &'static str, reason: &'static str) -> Entry;
}

impl Differs for Service {
    fn differs(self, field: &'static str, reason: &'static str) -> Entry {
        Entry::from(self).differs(field, reason)
    }
}

/// A stack of the catalogue: its services, each with its differences.
#[derive(Clone, Debug, PartialEq)]
pub struct Chapter {
    stack: Stack,
    differences: BTreeMap<String, Vec<Difference>>,
}

impl Chapter {
    /// A stack without services yet, and what it is for.
    pub fn new(name: &str, about: &str) -> Self {
        Self { stack: Stack::new(name).about(about), differences: BTreeMap::new() }
    }

    /// One more service.
    #[must_use]
    pub fn service(mut self, entry: impl Into<Entry>) -> Self {
        let Entry { service, differences } = entry.into();
        self.differences.insert(service.name().to_owned(), differences);
        self.stack = self.stack.service(service);
        self
    }

    /// A network that it brings along.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.stack = self.stack.network(network);
        self
    }

    /// The stack, as `validate`, `render` and the tool take it.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack alone.
    pub fn into_stack(self) -> Stack {
        self.stack
    }

    /// What the service of this name does otherwise.
    pub fn differences(&self, service: &str) -> &[Difference] {
        self.differences.get(service).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let covers = |field, text| Difference { field, reason: "" }.covers(text);
        assert!(covers("privileged", "privileged"));
        assert!(!covers("privileged", "privileged.x"));
        assert!(covers("labels.*.regex", "labels.a.b.regex"));
        assert!(covers("environment.*", "environment."));
        assert!(!covers("labels.*.regex", "labels.a.b.regexes"));
    }
}
