//! Commits with fsync, by the same client program for both, in turns.

use anyhow::{Context as _, Result, ensure};

use super::{
    etcd::Etcd,
    figures::Figure,
    h2load::{H2load, Load, Target},
    idle,
};
use crate::{cluster::Node, leases::Stage, workspace::Workspace};

const VALUE_BYTES: u8 = 255;
const ROUNDS: usize = 3;
/// Clients and requests of a round.
const SHAPES: [(u32, u32); 2] = [(1, 2_000), (64, 20_000)];

#[derive(Clone, Debug, Default)]
struct Side {
    rates: Vec<f64>,
    latencies: Vec<f64>,
}

impl Side {
    fn add(&mut self, load: Load) {
        self.rates.push(load.per_second);
        self.latencies.extend(load.latencies);
    }
}

/// Measures through the leader of each.
///
/// # Errors
/// When a commit fails, or was answered without having been made.
pub(super) fn measure(workspace: &Workspace, stage: &Stage, etcd: Option<&Etcd>) -> Result<Vec<Figure>> {
    let h2load = H2load::prepare(&workspace.target("bench-h2load"))?;
    let mut figures = Vec::new();
    for (clients, requests) in SHAPES {
        say!("  commits of 256 bytes, {clients} clients: {ROUNDS} rounds of {requests}, in turns");
        let (mut ours, mut theirs) = (Side::default(), Side::default());
        for _ in 0..ROUNDS {
            ours.add(our_round(&h2load, stage, clients, requests)?);
            if let Some(etcd) = etcd {
                theirs.add(etcd_round(&h2load, etcd, clients, requests)?);
            }
        }
        let (latency, rate) = match clients {
            1 => ("p50 at most etcd's", ""),
            _ => ("", "at least etcd's"),
        };
        let name = format!("commit of 256 B, {clients} client{}", if clients == 1 { "" } else { "s" });
        figures.push(Figure {
            name: name.clone(),
            unit: "ms",
            ours: ours.latencies,
            etcd: theirs.latencies,
            target: latency,
        });
        figures.push(Figure { name, unit: "1/s", ours: ours.rates, etcd: theirs.rates, target: rate });
    }
    let made: u32 = SHAPES.iter().map(|(_, requests)| requests * u32::try_from(ROUNDS).unwrap_or(0)).sum();
    figures.push(idle::disk(stage, etcd, &format!("after {made} commits")));
    Ok(figures)
}

fn our_round(h2load: &H2load, stage: &Stage, clients: u32, requests: u32) -> Result<Load> {
    let nodes = &stage.cluster.nodes;
    let leader = |node: &&Node| node.raft().is_ok_and(|raft| raft.role == "leader");
    let leader = nodes.iter().find(leader).context("nobody leads Raft")?;
    let value = "v".repeat(usize::from(VALUE_BYTES) + 1);
    let body = serde_json::json!({ "value": value }).to_string();
    let before = leader.raft()?.commit;
    let load = h2load.run(&Target::Agent(leader.socket().to_owned()), body.as_bytes(), clients, requests)?;
    let made = leader.raft()?.commit - before;
    ensure!(made >= u64::from(requests), "{requests} commits were answered, and {made} made");
    Ok(load)
}

fn etcd_round(h2load: &H2load, etcd: &Etcd, clients: u32, requests: u32) -> Result<Load> {
    let leader = etcd.settled()?;
    let before = Etcd::revision(leader).context("etcd does not say its revision")?;
    let url = format!("{}/etcdserverpb.KV/Put", Etcd::client_url(leader));
    let load = h2load.run(&Target::Grpc(url), &put_request(), clients, requests)?;
    let made = Etcd::revision(leader).context("etcd does not say its revision")? - before;
    // gRPC answers 200 in any case; the revision tells.
    ensure!(made >= u64::from(requests), "etcd answered {requests} puts and made {made}");
    Ok(load)
}

/// A gRPC frame with `PutRequest { key: "bench", value: 256 bytes }`.
fn put_request() -> Vec<u8> {
    let mut message = b"\x0a\x05bench\x12\x80\x02".to_vec();
    message.extend(std::iter::repeat_n(b'v', usize::from(VALUE_BYTES) + 1));
    let length = u32::try_from(message.len()).unwrap_or(0).to_be_bytes();
    [&[0][..], &length, &message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_says_its_length() {
        let frame = put_request();
        assert_eq!(frame.len(), 5 + 7 + 3 + 256);
        assert_eq!(frame[..5], [0, 0, 0, 1, 10]);
    }
}
