//! What the demo tells the person in front of it.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::cluster::{Cluster, DOMAIN, PROVIDER_PORT, SERVICE, TRAEFIK_API_PORT, WEB_PORT};

/// Where everything is and what to try.
///
/// # Errors
/// When a node cannot be asked for its processes.
pub(super) fn text(cluster: &Cluster) -> Result<String> {
    let mut text = String::from(
        "\nThree nodes run. Each has an agent, a service `whoami`, and gossip sealed by a fresh key.\n\n",
    );
    let mut line = |words: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{words}");
    };
    for node in &cluster.nodes {
        line(format!("  {}  provider   http://{}/api/dynamic", node.name, node.at(PROVIDER_PORT)));
        if node.has_traefik() {
            line(format!("      dashboard  http://{}/dashboard/", node.at(TRAEFIK_API_PORT)));
        }
        if node.has_traefik() || node.has_proxy() {
            line(format!("      web        http://{}", node.at(WEB_PORT)));
        }
        line(format!("      command    {}", node.command("status")));
    }
    let first = cluster.nodes.first().context("a cluster without nodes")?;
    let last = cluster.nodes.last().context("a cluster without nodes")?;
    if first.has_traefik() {
        let web = first.at(WEB_PORT);
        line("\nEach node answers in turn, whichever Traefik is asked:".to_owned());
        line(format!("  curl -H 'Host: {SERVICE}.{DOMAIN}' http://{web}/"));
        line(format!(
            "  curl -H 'Host: {SERVICE}.{}.{DOMAIN}' http://{web}/     # always {}",
            last.name, last.name
        ));
    } else if first.has_proxy() {
        let web = first.at(WEB_PORT);
        line("\nEach agent serves HTTP itself: what its own node runs first, and what others run when that is gone:".to_owned());
        line(format!("  curl -H 'Host: {SERVICE}.{DOMAIN}' http://{web}/"));
        line(format!(
            "  curl -H 'Host: {SERVICE}.{}.{DOMAIN}' http://{web}/     # always {}",
            last.name, last.name
        ));
        line(format!(
            "  {}     # why a request goes where it goes",
            first.command(&format!("explain {SERVICE}.{DOMAIN}"))
        ));
    } else {
        line(format!("\nWithout Traefik, this is what it would be given by {}:", first.name));
        line(first.document()?.pretty());
    }
    if first.has_traefik() {
        let asked = format!("explain {SERVICE}.{DOMAIN}");
        line(format!("  {}     # why a request goes where it goes", first.command(&asked)));
    }
    line("\nBreak something and ask again:".to_owned());
    let pid = last.service()?.and_then(|process| process.pid).context("the service does not run")?;
    line(format!("  kill -9 {pid}     # the service of {}: it is back within a second", last.name));
    if let Some(pid) = last.agent_pid() {
        line(format!(
            "  kill -9 -- -{pid}     # its agent, worker and parent: the others drop it; it is started again after 5 s",
        ));
    }
    line(format!("  {}", first.command("members")));
    super::leases::guide(cluster)?.into_iter().for_each(&mut line);
    if let Some(zone) = &cluster.zone {
        line("\nThe zone, at a simulated Cloudflare; the apex follows the holder of `lb-leader`:".to_owned());
        zone.records()?.iter().for_each(|record| line(format!("  {}", record.line())));
        line(format!("  curl {}", zone.url()));
        line(format!("  {}", first.command("dns status")));
    }
    line("\nCtrl-C ends everything.".to_owned());
    Ok(text)
}
