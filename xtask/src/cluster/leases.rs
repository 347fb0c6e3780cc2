//! What a node says of leases and of Raft, over its API socket.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde::{Deserialize, de::DeserializeOwned};

use super::node::Node;
use crate::{
    clock::BootTime,
    http::{Address, Client},
    procfs,
};

/// An agent that does not answer on its own socket within this is in trouble.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The agent waits for the other node to lead; who asks again soon is not held up by a request that was lost.
const LEAD_LIMIT: Duration = Duration::from_secs(1);

/// `GET /v1/leases`, as far as a judge of the promise needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LeasesAnswer {
    pub(crate) node: String,
    /// Whether the node belongs to a cluster that keeps leases; all that follows is empty where it does not.
    #[serde(default)]
    pub(crate) member: bool,
    #[serde(default)]
    pub(crate) boot: String,
    #[serde(default)]
    pub(crate) applied: u64,
    #[serde(default)]
    pub(crate) leader: Option<String>,
    #[serde(default)]
    pub(crate) worker_pid: i32,
    #[serde(default, rename = "as_of_boottime_ns")]
    pub(crate) as_of: BootTime,
    #[serde(default)]
    pub(crate) leases: Vec<LeaseView>,
}

/// One lease, as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct LeaseView {
    pub(crate) lease: String,
    #[serde(default)]
    pub(crate) holder: Option<String>,
    #[serde(default)]
    pub(crate) holder_boot: Option<String>,
    #[serde(default)]
    pub(crate) token: u64,
    /// Whether the node that was asked may act under it at that moment.
    #[serde(default)]
    pub(crate) may_act: bool,
}

/// `GET /v1/raft`, as far as it is needed.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct RaftAnswer {
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) voters: Vec<String>,
    #[serde(default)]
    pub(crate) commit: u64,
}

/// What a node remembers of the entries that changed a lease.
#[derive(Deserialize)]
struct PastAnswer {
    #[serde(default)]
    history: Vec<DeedView>,
}

/// One of them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DeedView {
    pub(crate) index: u64,
    pub(crate) lease: String,
    pub(crate) token: u64,
    pub(crate) deed: String,
    #[serde(default)]
    pub(crate) node: Option<String>,
}

#[derive(Deserialize)]
struct Committed {
    index: u64,
}

/// Reads an answer that must be a 200.
fn read<T: DeserializeOwned>(client: &mut Client, path: &str) -> Result<T> {
    let response = client.get(path)?;
    ensure!(response.status == 200, "GET {path} answered {}: {}", response.status, response.text().trim());
    serde_json::from_slice(&response.body).with_context(|| format!("could not read GET {path}"))
}

impl LeasesAnswer {
    /// Asks once more on a kept connection.
    ///
    /// # Errors
    /// When no proper answer comes.
    pub(crate) fn ask(client: &mut Client) -> Result<Self> {
        read(client, "/v1/leases")
    }

    /// What it says of one lease.
    pub(crate) fn lease(&self, lease: &str) -> Option<&LeaseView> {
        self.leases.iter().find(|view| view.lease == lease)
    }
}

impl Node {
    /// A client of its API.
    pub(crate) fn api(&self, limit: Duration) -> Client {
        Client::new(Address::Unix(self.socket.clone()), "agent", limit)
    }

    /// The path of its API socket, for another program's client.
    pub(crate) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// What it says of the leases.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn leases(&self) -> Result<LeasesAnswer> {
        LeasesAnswer::ask(&mut self.api(ANSWER_LIMIT))
    }

    /// What it remembers of the entries that changed a lease.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn deeds(&self) -> Result<Vec<DeedView>> {
        Ok(read::<PastAnswer>(&mut self.api(ANSWER_LIMIT), "/v1/leases")?.history)
    }

    /// What it says of Raft.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn raft(&self) -> Result<RaftAnswer> {
        read(&mut self.api(ANSWER_LIMIT), "/v1/raft")
    }

    /// Asks it to see to it that `node` leads Raft.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) fn transfer_lead(&self, node: &str) -> Result<()> {
        let body = serde_json::json!({ "node": node }).to_string();
        self.post_within(LEAD_LIMIT, "/v1/raft/transfer", &body)
    }

    /// Asks it to hold no lease, or to want them again.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) fn cordon(&self, cordoned: bool) -> Result<()> {
        self.post(if cordoned { "/v1/cordon" } else { "/v1/uncordon" }, "")
    }

    fn post(&self, path: &str, json: &str) -> Result<()> {
        self.post_within(ANSWER_LIMIT, path, json)
    }

    fn post_within(&self, limit: Duration, path: &str, json: &str) -> Result<()> {
        let response = self.api(limit).post(path, json)?;
        ensure!(
            (200..300).contains(&response.status),
            "POST {path} answered {}: {}",
            response.status,
            response.text().trim()
        );
        Ok(())
    }

    /// A signal to its worker and not to the worker's parent.
    ///
    /// # Errors
    /// When it has none.
    pub(crate) fn signal_worker(&self, pid: i32, signal: Signal) -> Result<()> {
        let done = procfs::signal_marked(pid, &self.mark(), signal);
        ensure!(done, "the worker of {} is said to be process {pid}, which is not one of ours", self.name);
        Ok(())
    }
}

/// Commits one value through the agent behind `client`, and says at which index it was.
///
/// # Errors
/// When it was not committed, or nobody knows.
pub(crate) fn commit(client: &mut Client, value: &str) -> Result<u64> {
    let body = serde_json::json!({ "value": value }).to_string();
    let response = client.post("/v1/raft/commit", &body)?;
    ensure!(response.status == 200, "a commit was answered {}: {}", response.status, response.text().trim());
    let committed: Committed = serde_json::from_slice(&response.body).context("could not read the index")?;
    Ok(committed.index)
}
