//! At which addresses the world reaches this machine: asked of several services that do not know each other, and believed
//! where most of them agree.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// How long a service may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_MAX: usize = 4096;

/// Services that answer with the address of whoever asks, run by different people. Each has a name for either family.
pub const SERVICES_V4: [&str; 3] =
    ["https://1.1.1.1/cdn-cgi/trace", "https://api4.ipify.org", "https://ipv4.icanhazip.com"];
/// The same over IPv6.
pub const SERVICES_V6: [&str; 3] =
    ["https://[2606:4700:4700::1111]/cdn-cgi/trace", "https://api6.ipify.org", "https://ipv6.icanhazip.com"];

/// Whether the public Internet may be told of an address. Private, shared (CGNAT, which Tailscale uses as well), loopback,
/// link-local, documentation, benchmark and multicast addresses are none of its business.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>, `iana-ipv6-special-registry`.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(_) => false,
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is given out, and of that not everything.
    let [a, b, ..] = address.segments();
    let given_out = (0x2000..0x4000).contains(&a);
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    // 2001::/23 is for protocols (Teredo, ORCHID, benchmarks), 2002::/16 is 6to4.
    given_out && !documentation && !(a == 0x2001 && b < 0x0200) && a != 0x2002
}

/// Reads what a service said: an address alone, or `ip=` on a line of its own.
pub fn read_answer(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("ip="));
    line.unwrap_or(text).trim().parse().ok()
}

/// The address that most of `asked` services named, if they named one that may be told.
pub fn majority(asked: usize, answers: &[IpAddr]) -> Option<IpAddr> {
    let mut votes: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for answer in answers {
        *votes.entry(*answer).or_default() += 1;
    }
    let (address, most) = votes.into_iter().max_by_key(|(_, votes)| *votes)?;
    (most * 2 > asked && is_public(address)).then_some(address)
}

/// Asks services, all at once. `None` where they do not agree or do not answer: then nothing is known, which is no reason to
/// change anything.
pub async fn detect(services: &[String]) -> Option<IpAddr> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .ok()?;
    let answers = futures::future::join_all(services.iter().map(|service| ask(&client, service))).await;
    majority(services.len(), &answers.into_iter().flatten().collect::<Vec<_>>())
}

async fn ask(client: &reqwest::Client, service: &str) -> Option<IpAddr> {
    let mut response = client.get(service).send().await.ok()?.error_for_status().ok()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX {
            return None;
        }
    }
    read_answer(&String::from_utf8_lossy(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_the_world_cannot_reach_is_not_told_to_it() {
        for bad in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.7",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.1.1",
            "0.0.0.0",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd7a:115c:a1e0::1",
            "2001:db8::1",
            "ff02::1",
            "::ffff:8.8.8.8",
            "2002::1",
            "3fff::1",
            "2001::1",
        ] {
            assert!(!is_public(ip(bad)), "{bad}");
        }
        for good in
            ["8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a01:4f8::1"]
        {
            assert!(is_public(ip(good)), "{good}");
        }
    }

    #[test]
    fn a_majority_of_those_asked_decides_and_not_of_those_that_answered() {
        let (a, b) = (ip("8.8.8.8"), ip("9.9.9.9"));
        assert_eq!(majority(3, &[a, a, b]), Some(a));
        assert_eq!(majority(3, &[a, b]), None);
        assert_eq!(majority(3, &[a]), None);
        assert_eq!(majority(3, &[]), None);
        let carrier = ip("100.64.1.1");
        assert_eq!(majority(3, &[carrier, carrier, carrier]), None);
    }

    #[test]
    fn answers_come_alone_or_on_a_line() {
        assert_eq!(read_answer("8.8.8.8\n"), Some(ip("8.8.8.8")));
        assert_eq!(read_answer("fl=1\nh=x\nip=2606:4700::1\nts=2\n"), Some(ip("2606:4700::1")));
        assert_eq!(read_answer("<html>"), None);
    }
}
