//! Network namespaces: one a node, joined by a bridge, so that a node can be cut off as by a pulled cable or a firewall.
//!
//! The bridge has a namespace of its own. So the host's firewall and its other networks see nothing of it, and what is
//! left behind by a run that was killed is found by name and removed by the next.

mod rules;

use std::{
    io::Write as _,
    net::Ipv4Addr,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::thread::LinkNameSpaceType;

pub(crate) use self::rules::Wall;
use crate::{
    interrupt::Cleaning,
    tools::{apt, find_program, is_root},
};

/// `ip` and `nft` answer at once, but on a machine that builds something they may have to wait for a core.
const LIMIT: Duration = Duration::from_secs(30);
/// Nobody else's in a namespace of its own.
const SUBNET: [u8; 3] = [10, 77, 0];
const NAMESPACES: &str = "/run/netns";

/// Namespaces `1..=size` and their bridge. Dropping it removes them.
pub(crate) struct Namespaces {
    prefix: String,
    size: u8,
    ip: PathBuf,
    nft: PathBuf,
    nsenter: PathBuf,
}

impl Namespaces {
    /// Makes them, after removing what an earlier run of the same `owner` left. `owner` is a folder that one run holds.
    ///
    /// # Errors
    /// When this machine does not allow it; the message says what is missing.
    pub(crate) fn up(owner: &Path, size: u8) -> Result<Self> {
        if !is_root() {
            bail!("network namespaces need root");
        }
        let mut missing = Vec::new();
        for (program, package) in [("ip", "iproute2"), ("nft", "nftables"), ("nsenter", "util-linux")] {
            if find_program(program).is_none() {
                missing.push(package);
            }
        }
        if !missing.is_empty() {
            apt::install(&missing, "network namespaces")?;
        }
        let program = |name: &str| find_program(name).with_context(|| format!("there is no `{name}`"));
        let namespaces = Self {
            prefix: prefix(owner),
            size,
            ip: program("ip")?,
            nft: program("nft")?,
            nsenter: program("nsenter")?,
        };
        namespaces.sweep();
        namespaces.build().context("could not make network namespaces")?;
        Ok(namespaces)
    }

    /// The address of node `number`.
    pub(crate) fn address(number: u8) -> Ipv4Addr {
        let [a, b, c] = SUBNET;
        Ipv4Addr::new(a, b, c, number)
    }

    /// A command that runs `program` in the namespace of node `number`. It becomes the program: its process id is the
    /// program's.
    pub(crate) fn command(&self, number: u8, program: &Path) -> Command {
        // Not `ip netns exec`: that mounts a new /sys, without the control groups.
        let mut command = Command::new(&self.nsenter);
        command.arg(format!("--net={NAMESPACES}/{}", self.name(number))).arg("--").arg(program);
        command
    }

    /// Moves the calling thread, and whatever it starts from then on, to where node `number` is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn enter(&self, number: u8) -> Result<()> {
        let path = Path::new(NAMESPACES).join(self.name(number));
        let there = std::fs::File::open(&path).with_context(|| format!("there is no {}", path.display()))?;
        rustix::thread::move_into_link_name_space(there.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("could not enter {}", path.display()))
    }

    /// From now on node `at` receives nothing of `from`, in the way of `wall`.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub(crate) fn block(&self, at: u8, from: &[u8], wall: Wall) -> Result<()> {
        let from: Vec<Ipv4Addr> =
            from.iter().filter(|other| **other != at).map(|other| Self::address(*other)).collect();
        if from.is_empty() {
            return Ok(());
        }
        self.feed(self.nft_at(at), &rules::block(&from, wall))
    }

    /// Everybody receives everybody again.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub(crate) fn heal(&self) -> Result<()> {
        (1..=self.size).try_for_each(|number| self.feed(self.nft_at(number), rules::HEAL))
    }

    fn build(&self) -> Result<()> {
        let bridge = self.name(0);
        let names: Vec<String> = (1..=self.size).map(|number| self.name(number)).collect();
        let add: String =
            [&bridge].into_iter().chain(&names).map(|name| format!("netns add {name}\n")).collect();
        self.feed(self.batch(None), &add)?;
        self.feed(self.batch(Some(&bridge)), &rules::bridge(&names))?;
        for (number, name) in (1..=self.size).zip(&names) {
            self.feed(self.batch(Some(name)), &rules::node(number, self.size))?;
            self.feed(self.nft_at(number), rules::WALLS)?;
        }
        Ok(())
    }

    /// Removes whatever bears our prefix. What cannot be removed is said.
    fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(NAMESPACES) else { return };
        for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            if name.starts_with(&self.prefix)
                && let Err(error) = self.feed(self.batch(None), &format!("netns del {name}\n"))
            {
                complain!("could not remove the network namespace {name}: {error:#}");
            }
        }
    }

    fn name(&self, number: u8) -> String {
        format!("{}{number}", self.prefix)
    }

    fn batch(&self, namespace: Option<&str>) -> Command {
        let mut command = Command::new(&self.ip);
        if let Some(namespace) = namespace {
            command.args(["-n", namespace]);
        }
        command.args(["-batch", "-"]);
        command
    }

    fn nft_at(&self, number: u8) -> Command {
        let mut command = self.command(number, &self.nft);
        command.args(["-f", "-"]);
        command
    }

    fn feed(&self, mut command: Command, text: &str) -> Result<()> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", command.get_program().display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that gave up earlier says why on its standard error.
            let _ = stdin.write_all(text.as_bytes());
        }
        let ended =
            crate::clock::wait_for("an answer", LIMIT, Duration::from_millis(1), || Ok(child.try_wait()?));
        let Ok(status) = ended else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("{} did not end within {LIMIT:?}", command.get_program().display());
        };
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut stderr, &mut said);
        }
        ensure!(status.success(), "{} refused {text:?}: {}", command.get_program().display(), said.trim());
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let _cleaning = Cleaning::begin();
        self.sweep();
    }
}

/// A name that only this owner uses, and uses each time. The kernel's limit is no concern: interfaces are not named so.
fn prefix(owner: &Path) -> String {
    // FNV-1a: the names need only differ between two checkouts of one machine.
    let hash = owner.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("cst{:08x}-", hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_names_of_its_own_and_keeps_them() {
        let (a, b) = (prefix(Path::new("target/a")), prefix(Path::new("target/b")));
        assert_ne!(a, b);
        assert_eq!(a, prefix(Path::new("target/a")));
    }

    #[test]
    fn nodes_have_addresses_from_one_on() {
        assert_eq!(Namespaces::address(3).to_string(), "10.77.0.3");
    }
}
