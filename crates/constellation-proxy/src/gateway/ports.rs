//! Which port of the mesh address belongs to which endpoint. Pure: it opens nothing.

use std::collections::{BTreeMap, BTreeSet};

use constellation_core::{InstanceId, Protocol, ServiceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An endpoint that needs a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The service; it decides which port is preferred.
    pub service: ServiceId,
    /// The port inside the container.
    pub port: u16,
    /// Its protocol. One port of the mesh address is never given to both.
    pub protocol: Protocol,
    /// The instance.
    pub instance: InstanceId,
}

/// The ports that the gateway may use, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl Default for PortRange {
    /// 40000 to 44999: above the registered services, below Linux's ephemeral ports of a tuned machine, and outside
    /// Kubernetes' node ports.
    fn default() -> Self {
        Self { first: 40_000, last: 44_999 }
    }
}

impl std::str::FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (first, last) = text.split_once('-')?;
            let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first > 0 && first <= last).then_some(Self { first, last })
        };
        parse().ok_or_else(|| format!("`{text}` is not a range of ports: write `40000-44999`"))
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl PortRange {
    /// How many ports there are.
    pub const fn len(self) -> u32 {
        (self.last - self.first) as u32 + 1
    }

    /// Never: a range has at least one port.
    pub const fn is_empty(self) -> bool {
        false
    }

    const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Every port once, beginning with the one that the seed prefers.
    fn starting_at_preferred(self, seed: u64) -> impl Iterator<Item = u16> {
        let count = u64::from(self.len());
        let start = seed % count;
        // The sum is below 2 * 65536 and the remainder below the range's length, so the cast keeps every bit.
        (0..count).map(move |step| self.first + u16::try_from((start + step) % count).unwrap_or(0))
    }
}

/// Every port of the range is in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no port of {range} is left for port {} of {}: widen the range (--gateway-ports) or run fewer routed services here",
    claim.port, claim.service
)]
pub struct PortsExhausted {
    /// The range.
    pub range: PortRange,
    /// Who came away empty-handed.
    pub claim: Claim,
}

/// One assignment. The slot tells apart several instances of one service on one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Slot {
    service: ServiceId,
    port: u16,
    slot: u32,
    #[serde(default)]
    protocol: Protocol,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Assignment {
    #[serde(flatten)]
    slot: Slot,
    listen: u16,
}

/// The memory of which endpoint has which port.
///
/// A slot keeps its port when its instance goes, for the one that replaces it; only when the range is full are ports
/// of empty slots taken back.
#[derive(Clone, Debug)]
pub struct PortBook {
    range: PortRange,
    ports: BTreeMap<Slot, u16>,
    holders: BTreeMap<Slot, InstanceId>,
    /// Ports that another program of this machine has.
    taken: BTreeSet<u16>,
}

impl PortBook {
    /// An empty book.
    pub const fn new(range: PortRange) -> Self {
        Self { range, ports: BTreeMap::new(), holders: BTreeMap::new(), taken: BTreeSet::new() }
    }

    /// The book as [`PortBook::to_json`] wrote it. Assignments outside the range are forgotten.
    pub fn from_json(range: PortRange, json: &[u8]) -> Result<Self, serde_json::Error> {
        let assignments: Vec<Assignment> = serde_json::from_slice(json)?;
        let mut book = Self::new(range);
        let mut used = BTreeSet::new();
        for Assignment { slot, listen } in assignments {
            if range.contains(listen) && used.insert(listen) {
                book.ports.insert(slot, listen);
            }
        }
        Ok(book)
    }

    /// What must survive a restart.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let assignments: Vec<Assignment> =
            self.ports.iter().map(|(slot, &listen)| Assignment { slot: slot.clone(), listen }).collect();
        serde_json::to_vec(&assignments)
    }

    /// Lets go of the slots of every instance that claims nothing any more.
    pub fn release_all_but(&mut self, claims: &BTreeSet<Claim>) {
        self.holders.retain(|slot, instance| {
            claims.contains(&Claim {
                service: slot.service.clone(),
                port: slot.port,
                protocol: slot.protocol,
                instance: instance.clone(),
            })
        });
    }

    /// The port of a claim: the one it has, else the first free slot of its service and port.
    pub fn assign(&mut self, claim: &Claim) -> Result<u16, PortsExhausted> {
        let slot = self.slot_of(claim);
        let port = match self.ports.get(&slot) {
            Some(&port) if !self.taken.contains(&port) => port,
            _ => self
                .choose(&slot)
                .ok_or_else(|| PortsExhausted { range: self.range, claim: claim.clone() })?,
        };
        self.ports.insert(slot.clone(), port);
        self.holders.insert(slot, claim.instance.clone());
        Ok(port)
    }

    /// Notes that a port cannot be listened on because something else has it; the next [`PortBook::assign`] of its
    /// holder chooses another.
    pub fn mark_taken(&mut self, port: u16) {
        self.taken.insert(port);
    }

    fn slot_of(&self, claim: &Claim) -> Slot {
        let numbered =
            |slot| Slot { service: claim.service.clone(), port: claim.port, slot, protocol: claim.protocol };
        let slots = (0..).map(numbered);
        let mut first_free = None;
        for slot in slots {
            match self.holders.get(&slot) {
                Some(holder) if *holder == claim.instance => return slot,
                Some(_) => {}
                None if first_free.is_none() => first_free = Some(slot),
                // Slots are filled from the lowest, but a lower one may have been freed below a holder.
                None if !self.ports.contains_key(&slot) => break,
                None => {}
            }
        }
        first_free.unwrap_or_else(|| numbered(0))
    }

    fn choose(&mut self, slot: &Slot) -> Option<u16> {
        let protocol = if slot.protocol == Protocol::Udp { "udp:" } else { "" };
        let digest = Sha256::digest(format!("{protocol}{}:{}:{}", slot.service, slot.port, slot.slot));
        let seed = digest.iter().take(8).fold(0u64, |seed, &byte| seed << 8 | u64::from(byte));
        let used: BTreeSet<u16> = self.ports.values().copied().collect();
        let free = |port: &u16| !used.contains(port) && !self.taken.contains(port);
        if let Some(port) = self.range.starting_at_preferred(seed).find(free) {
            return Some(port);
        }
        let empty = self
            .ports
            .iter()
            .find(|(slot, port)| !self.holders.contains_key(slot) && !self.taken.contains(port));
        let (abandoned, port) = empty.map(|(slot, &port)| (slot.clone(), port))?;
        self.ports.remove(&abandoned);
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(service: &str, port: u16, instance: &str) -> Claim {
        let (service, instance) = (service.parse().unwrap(), instance.parse().unwrap());
        Claim { service, port, protocol: Protocol::Tcp, instance }
    }

    #[test]
    fn a_replaced_instance_takes_over_the_port() {
        let mut book = PortBook::new(PortRange::default());
        let port = book.assign(&claim("web", 80, "old")).unwrap();
        book.release_all_but(&BTreeSet::new());
        assert_eq!(book.assign(&claim("web", 80, "new")).unwrap(), port);
    }

    #[test]
    fn two_nodes_without_memory_choose_the_same_port() {
        let choose = || PortBook::new(PortRange::default()).assign(&claim("web", 80, "a")).unwrap();
        assert_eq!(choose(), choose());
    }

    #[test]
    fn the_port_survives_a_restart_also_where_it_was_not_the_preferred_one() {
        let range = PortRange::default();
        let mut book = PortBook::new(range);
        let preferred = book.assign(&claim("web", 80, "a")).unwrap();
        book.mark_taken(preferred);
        let second = book.assign(&claim("web", 80, "a")).unwrap();
        assert_ne!(second, preferred);
        let mut reborn = PortBook::from_json(range, &book.to_json().unwrap()).unwrap();
        assert_eq!(reborn.assign(&claim("web", 80, "b")).unwrap(), second);
    }

    #[test]
    fn a_port_for_datagrams_is_another_and_what_was_written_before_there_were_any_is_read() {
        let range = PortRange::default();
        let old = br#"[{"service":"dns","port":53,"slot":0,"listen":40123}]"#;
        let mut book = PortBook::from_json(range, old).unwrap();
        let tcp = claim("dns", 53, "a");
        assert_eq!(book.assign(&tcp).unwrap(), 40_123);
        let udp = Claim { protocol: Protocol::Udp, ..tcp };
        let listen = book.assign(&udp).unwrap();
        assert_ne!(listen, 40_123);
        let mut reborn = PortBook::from_json(range, &book.to_json().unwrap()).unwrap();
        assert_eq!(reborn.assign(&udp).unwrap(), listen);
    }

    #[test]
    fn a_full_range_gives_the_ports_of_the_departed_to_the_living() {
        let mut book = PortBook::new("50000-50001".parse().unwrap());
        let (a, b) = (claim("a", 80, "a"), claim("b", 80, "b"));
        let first = book.assign(&a).unwrap();
        book.assign(&b).unwrap();
        assert!(book.assign(&claim("c", 80, "c")).is_err());
        book.release_all_but(&[b].into());
        assert_eq!(book.assign(&claim("c", 80, "c")).unwrap(), first);
    }

    #[test]
    fn a_range_is_written_as_first_and_last() {
        assert_eq!("40000-44999".parse(), Ok(PortRange::default()));
        for bad in ["", "1", "2-1", "0-5", "1-70000", "a-b"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
    }

    fn any_claim() -> impl Strategy<Value = Claim> {
        ("[ab]", prop_oneof![Just(80u16), Just(81)], "[a-f]").prop_map(|(s, port, i)| claim(&s, port, &i))
    }

    proptest! {
        #[test]
        fn no_two_claims_ever_share_a_port_and_each_keeps_its_own(
            rounds in proptest::collection::vec(proptest::collection::btree_set(any_claim(), 0..10), 1..12),
            taken in proptest::collection::vec(50_000u16..50_040, 0..6),
        ) {
            let mut book = PortBook::new("50000-50039".parse().unwrap());
            let mut previous: BTreeMap<Claim, u16> = BTreeMap::new();
            for port in taken { book.mark_taken(port); }
            for claims in rounds {
                book.release_all_but(&claims);
                let now: BTreeMap<Claim, u16> =
                    claims.iter().map(|claim| (claim.clone(), book.assign(claim).unwrap())).collect();
                let distinct: BTreeSet<u16> = now.values().copied().collect();
                prop_assert_eq!(distinct.len(), now.len());
                for (claim, port) in &now {
                    if let Some(before) = previous.get(claim) { prop_assert_eq!(port, before); }
                }
                previous = now;
            }
        }
    }
}
