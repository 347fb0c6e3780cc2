//! What it may use and do.

use crate::language::{
    caps::{Cap, Capabilities},
    service::Service,
    units::{CpuShares, Cpus, Size},
};

/// What it may use and do.
impl Service {
    /// The most memory; the kernel ends what takes more.
    #[must_use]
    pub fn memory(mut self, limit: Size) -> Self {
        self.limits.memory = Some(limit);
        self
    }

    /// Memory that it gets back to when memory is short.
    #[must_use]
    pub fn memory_reservation(mut self, size: Size) -> Self {
        self.limits.memory_reservation = Some(size);
        self
    }

    /// The most CPU time.
    #[must_use]
    pub fn cpus(mut self, limit: Cpus) -> Self {
        self.limits.cpus = Some(limit);
        self
    }

    /// Its share of the CPU when that is short.
    #[must_use]
    pub fn cpu_shares(mut self, shares: CpuShares) -> Self {
        self.limits.cpu_shares = Some(shares);
        self
    }

    /// The most processes and threads.
    #[must_use]
    pub fn pids(mut self, limit: u64) -> Self {
        self.limits.pids = Some(limit);
        self
    }

    /// The size of `/dev/shm`.
    #[must_use]
    pub fn shm(mut self, size: Size) -> Self {
        self.limits.shm = Some(size);
        self
    }

    /// The most open files.
    #[must_use]
    pub fn nofile(self, limit: u32) -> Self {
        self.ulimit("nofile", limit.into(), limit.into())
    }

    /// A limit of the kernel: what applies, and how far the service may raise it.
    #[must_use]
    pub fn ulimit(mut self, name: impl Into<String>, soft: i64, hard: i64) -> Self {
        self.limits.ulimits.insert(name.into(), (soft, hard));
        self
    }

    /// Asks for capabilities; all others are dropped. [`STEP_DOWN`](crate::language::STEP_DOWN) is what most official images need.
    #[must_use]
    pub fn caps(mut self, more: &[Cap]) -> Self {
        let (Capabilities::Only(caps) | Capabilities::EngineDefaultsAnd(caps)) = &mut self.capabilities;
        caps.extend_from_slice(more);
        caps.sort_unstable();
        caps.dedup();
        self
    }

    /// Keeps the fourteen capabilities that the engine gives to everyone. For images of which nobody knows what they need.
    #[must_use]
    pub fn engine_caps(mut self) -> Self {
        if let Capabilities::Only(caps) = self.capabilities {
            self.capabilities = Capabilities::EngineDefaultsAnd(caps);
        }
        self
    }

    /// Its processes may gain privileges, as `sudo` does.
    #[must_use]
    pub fn new_privileges(mut self) -> Self {
        self.new_privileges = true;
        self
    }

    /// Every capability and every device of the host.
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.privileged = true;
        self
    }

    /// A device of the host, at the same path.
    #[must_use]
    pub fn device(mut self, path: impl Into<String>) -> Self {
        self.devices.push(path.into());
        self
    }

    /// A kernel parameter of its own namespaces.
    #[must_use]
    pub fn sysctl(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.sysctls.insert(name.into(), value.into());
        self
    }

    /// A security option beside `no-new-privileges`, such as `apparmor=unconfined`.
    #[must_use]
    pub fn security_opt(mut self, option: impl Into<String>) -> Self {
        self.security_opts.push(option.into());
        self
    }

    /// A small init of the engine reaps its zombies. Images that bring their own (s6) refuse to run below it.
    #[must_use]
    pub fn init(mut self) -> Self {
        self.init = true;
        self
    }
}
