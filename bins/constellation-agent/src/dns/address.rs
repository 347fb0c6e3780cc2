//! Finds the addresses at which the world reaches this machine, and tells the others.

use std::{net::IpAddr, time::Duration};

use constellation_core::NodeFacts;
use constellation_dns::public_address::{SERVICES_V4, SERVICES_V6, detect};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Addresses of machines change seldom, and the services that are asked are other people's.
const EVERY: Duration = Duration::from_secs(600);
/// While nothing is known yet.
const SOON: Duration = Duration::from_secs(30);

pub(super) async fn keep(facts: watch::Sender<NodeFacts>, shutdown: CancellationToken) {
    let (v4, v6) = (SERVICES_V4.map(str::to_owned), SERVICES_V6.map(str::to_owned));
    loop {
        let found = tokio::select! {
            () = shutdown.cancelled() => return,
            found = async { futures::join!(detect(&v4), detect(&v6)) } => found,
        };
        let before = facts.borrow().public.clone();
        let after = merged(&before, found.0, found.1);
        if after != before {
            info!(addresses = ?after, "the public addresses of this machine");
            facts.send_modify(|facts| facts.public.clone_from(&after));
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(if after.is_empty() { SOON } else { EVERY }) => {}
        }
    }
}

/// Of each family what was found now, else what was known: a failed look changes nothing.
fn merged(before: &[IpAddr], v4: Option<IpAddr>, v6: Option<IpAddr>) -> Vec<IpAddr> {
    let known = |is_v4: bool| before.iter().copied().find(|address| address.is_ipv4() == is_v4);
    let v4 = v4.filter(IpAddr::is_ipv4).or_else(|| known(true));
    let v6 = v6.filter(IpAddr::is_ipv6).or_else(|| known(false));
    v4.into_iter().chain(v6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_look_changes_nothing_and_an_address_of_the_wrong_family_counts_for_nothing() {
        let [a, b, six]: [IpAddr; 3] =
            ["8.8.8.8", "9.9.9.9", "2606:4700::1"].map(|text| text.parse().unwrap());
        assert_eq!(merged(&[a, six], None, None), [a, six]);
        assert_eq!(merged(&[a, six], Some(b), None), [b, six]);
        assert_eq!(merged(&[a], Some(six), None), [a]);
        assert_eq!(merged(&[], None, None), [] as [IpAddr; 0]);
    }
}
