//! Ports of the host: each has one owner.

use std::net::IpAddr;

use super::{About, Found};
use crate::{index::Index, language::Publish};

pub(super) fn check(about: &mut About<'_, '_>) {
    let service = about.member.service;
    for port in &service.ports {
        if port.host_port == 0 || port.container.number == 0 {
            about.wrong("ports", "port 0 means nothing here", "write a number from 1 to 65535");
        }
    }
    if service.exposed.iter().any(|port| port.number == 0) {
        about.wrong("expose", "port 0 means nothing here", "write a number from 1 to 65535");
    }
}

/// Ports that two services of this node ask for.
pub(super) fn check_clashes(index: &Index<'_>, found: &mut Found) {
    let mut taken: Vec<(Publish, String)> = Vec::new();
    for member in index.members_here() {
        for port in &member.service.ports {
            if let Some((_, owner)) = taken.iter().find(|(other, _)| clash(other, port)) {
                let protocol = port.container.to_string().rsplit('/').next().unwrap_or_default().to_owned();
                let what =
                    format!("{}:{}/{protocol} of the host is taken by {owner}", port.host_ip, port.host_port);
                found.add(member.id(), "ports", what, "publish it on another port or address");
            }
            taken.push((*port, member.id()));
        }
    }
}

fn clash(a: &Publish, b: &Publish) -> bool {
    let same_family =
        matches!((a.host_ip, b.host_ip), (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)));
    // `::` takes IPv4 as well where the kernel's default stands.
    let overlaps = a.host_ip == b.host_ip
        || (same_family && (a.is_everywhere() || b.is_everywhere()))
        || [a, b].iter().any(|port| port.host_ip == IpAddr::from([0_u16; 8]));
    a.host_port == b.host_port && a.container.protocol == b.container.protocol && overlaps
}
