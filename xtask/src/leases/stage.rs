//! The cluster of one scenario, and the hand that breaks and mends it.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::{
    cluster::{Cluster, Network, Place, Plan},
    mounts::SmallDisk,
    network::{Namespaces, Wall},
};

/// Well above what an agent's data takes, and soon full.
const DISK_MEGABYTES: u32 = 24;
/// An agent that was asked to end may take 15 s to drain.
const DRAIN_LIMIT: Duration = Duration::from_secs(17);

/// What there is to start with.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) agent: PathBuf,
    pub(crate) nodes: u8,
    /// Node 1 is `127.0.0.<base + 1>` where there are no namespaces.
    pub(crate) base: u8,
    pub(crate) namespaces: Option<Arc<Namespaces>>,
    /// Where small disks are mounted, for filling one.
    pub(crate) disks: Option<PathBuf>,
}

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    KillWorker,
    KillNode,
    PauseWorker,
    PauseNode,
    /// Neither hears nor is heard.
    CutOff,
    /// Is not heard.
    Mute,
    /// Does not hear.
    Deaf,
    /// Refuses the others, and is refused by them.
    Refused,
    FillDisk,
    Stop,
}

/// A cluster under attack. Dropping it mends what was broken and ends everything.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    namespaces: Option<Arc<Namespaces>>,
    disks: Vec<SmallDisk>,
    paused: BTreeSet<usize>,
    down: BTreeSet<usize>,
    filled: BTreeSet<usize>,
}

impl Stage {
    /// Starts the nodes.
    ///
    /// # Errors
    /// When something does not start.
    pub(crate) fn set(ground: &Ground, place: Place) -> Result<Self> {
        let network = ground
            .namespaces
            .as_ref()
            .map_or(Network::Loopback { base: ground.base }, |all| Network::Namespaces(Arc::clone(all)));
        let mut disks = Vec::new();
        if let Some(folder) = &ground.disks {
            for number in 1..=ground.nodes {
                disks.push(SmallDisk::mount(&folder.join(format!("n{number}")), DISK_MEGABYTES)?);
            }
        }
        let plan = Plan {
            proxy: false,
            agent: ground.agent.clone(),
            traefik: None,
            size: ground.nodes,
            network,
            data: disks.iter().map(|disk| disk.folder().join("data")).collect(),
            leases: true,
            cloudflare: None,
        };
        let cluster = Cluster::start(&plan, place)?;
        let namespaces = ground.namespaces.clone();
        Ok(Self {
            cluster,
            namespaces,
            disks,
            paused: BTreeSet::new(),
            down: BTreeSet::new(),
            filled: BTreeSet::new(),
        })
    }

    /// How many nodes nothing was done to.
    pub(crate) fn whole(&self, struck: &BTreeSet<usize>) -> usize {
        self.cluster.nodes.len().saturating_sub(struck.len())
    }

    /// Strikes a node; `worker` is the process id of its worker as it was last said to be.
    ///
    /// # Errors
    /// When that cannot be done, or when an agent does not end in time though it was asked to.
    pub(crate) fn strike(&mut self, index: usize, blow: Blow, worker: i32) -> Result<()> {
        let node = self.cluster.nodes.get_mut(index).context("there is no such node")?;
        match blow {
            Blow::KillWorker => node.signal_worker(worker, Signal::KILL)?,
            Blow::PauseWorker => {
                self.paused.insert(index);
                node.signal_worker(worker, Signal::STOP)?;
            }
            Blow::PauseNode => {
                self.paused.insert(index);
                node.signal_agent(Signal::STOP);
            }
            Blow::KillNode => {
                self.down.insert(index);
                node.kill_agent();
            }
            Blow::Stop => {
                self.down.insert(index);
                let stopped = node.stop_agent(DRAIN_LIMIT);
                ensure!(stopped, "the agent of {} did not end within {DRAIN_LIMIT:?} of SIGTERM", node.name);
            }
            Blow::FillDisk => {
                self.filled.insert(index);
                self.disks.get(index).context("the nodes have no small disks")?.fill()?;
            }
            Blow::CutOff => self.cut(index, Wall::Silent, true, true)?,
            Blow::Mute => self.cut(index, Wall::Silent, true, false)?,
            Blow::Deaf => self.cut(index, Wall::Silent, false, true)?,
            Blow::Refused => self.cut(index, Wall::Refusing, true, true)?,
        }
        Ok(())
    }

    fn cut(&self, index: usize, wall: Wall, mute: bool, deaf: bool) -> Result<()> {
        let namespaces = self.namespaces.as_ref().context("the nodes have no network namespaces")?;
        let numbers: Vec<u8> = self.cluster.nodes.iter().map(crate::cluster::Node::number).collect();
        let victim = *numbers.get(index).context("there is no such node")?;
        if deaf {
            namespaces.block(victim, &numbers, wall)?;
        }
        if mute {
            for other in numbers.iter().filter(|other| **other != victim) {
                namespaces.block(*other, &[victim], wall)?;
            }
        }
        Ok(())
    }

    /// Mends everything: the network, disks, stopped processes, and nodes that are down are started.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(crate) fn heal(&mut self) -> Result<()> {
        self.resume();
        if let Some(namespaces) = &self.namespaces {
            namespaces.heal()?;
        }
        for index in std::mem::take(&mut self.filled) {
            if let Some(disk) = self.disks.get(index) {
                disk.free()?;
            }
        }
        for index in std::mem::take(&mut self.down) {
            if let Some(node) = self.cluster.nodes.get_mut(index) {
                node.start_agent()?;
            }
        }
        Ok(())
    }

    /// Ends an agent at once and starts it again, so that its parent has no earlier deaths to be patient about.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start_over(&mut self, index: usize) -> Result<()> {
        let node = self.cluster.nodes.get_mut(index).context("there is no such node")?;
        node.kill_agent();
        node.start_agent()
    }

    /// Starts agents that ended by themselves, and says which and how.
    ///
    /// # Errors
    /// When one cannot be started.
    pub(crate) fn pick_up(&mut self) -> Result<Vec<String>> {
        let mut fallen = Vec::new();
        for (index, how) in self.cluster.fallen() {
            let node = &mut self.cluster.nodes[index];
            fallen.push(format!("the agent of {} ended by itself ({how})", node.name));
            node.start_agent()?;
        }
        Ok(fallen)
    }

    /// Lets stopped processes go on; nobody could end them in order otherwise.
    pub(crate) fn resume(&mut self) {
        for index in std::mem::take(&mut self.paused) {
            if let Some(node) = self.cluster.nodes.get(index) {
                node.signal_agent(Signal::CONT);
            }
        }
    }
}

impl Blow {
    /// In a log line.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::KillWorker => "kill -9 of the worker of",
            Self::KillNode => "kill -9 of",
            Self::PauseWorker => "SIGSTOP of the worker of",
            Self::PauseNode => "SIGSTOP of",
            Self::CutOff => "cut off:",
            Self::Mute => "not heard by the others any more:",
            Self::Deaf => "does not hear the others any more:",
            Self::Refused => "refuses and is refused by the others:",
            Self::FillDisk => "disk full:",
            Self::Stop => "SIGTERM to",
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.resume();
    }
}
