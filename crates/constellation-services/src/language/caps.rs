//! Linux capabilities. Everything is dropped that a service does not ask for.

use serde::Serialize;

macro_rules! caps {
    ($($(#[$doc:meta])* $name:ident = $kernel:literal,)*) => {
        /// A capability, without its `CAP_`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Cap { $($(#[$doc])* #[serde(rename = $kernel)] $name,)* }

        impl Cap {
            /// As the engine takes it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $kernel,)* }
            }

            /// All that there are.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

caps! {
    /// Change owners of files.
    Chown = "CHOWN",
    /// Pass over permissions of files.
    DacOverride = "DAC_OVERRIDE",
    /// Pass over read permissions of files.
    DacReadSearch = "DAC_READ_SEARCH",
    /// Change modes of files of others.
    Fowner = "FOWNER",
    /// Keep set-user-id bits.
    Fsetid = "FSETID",
    /// Signal processes of others.
    Kill = "KILL",
    /// Become another group.
    Setgid = "SETGID",
    /// Become another user.
    Setuid = "SETUID",
    /// Hand capabilities on.
    Setpcap = "SETPCAP",
    /// Listen below port 1024.
    NetBindService = "NET_BIND_SERVICE",
    /// Configure networks.
    NetAdmin = "NET_ADMIN",
    /// Raw sockets, such as ping's.
    NetRaw = "NET_RAW",
    /// Lock memory.
    IpcLock = "IPC_LOCK",
    /// Pass over permissions of System V objects.
    IpcOwner = "IPC_OWNER",
    /// Load kernel modules.
    SysModule = "SYS_MODULE",
    /// Raw access to ports and memory.
    SysRawio = "SYS_RAWIO",
    /// Change the root directory.
    SysChroot = "SYS_CHROOT",
    /// Trace processes.
    SysPtrace = "SYS_PTRACE",
    /// Process accounting.
    SysPacct = "SYS_PACCT",
    /// Nearly everything: mounts, namespaces, quotas.
    SysAdmin = "SYS_ADMIN",
    /// Reboot.
    SysBoot = "SYS_BOOT",
    /// Raise priorities.
    SysNice = "SYS_NICE",
    /// Pass over resource limits.
    SysResource = "SYS_RESOURCE",
    /// Set the clock.
    SysTime = "SYS_TIME",
    /// Configure terminals.
    SysTtyConfig = "SYS_TTY_CONFIG",
    /// Make device files.
    Mknod = "MKNOD",
    /// Leases on files.
    Lease = "LEASE",
    /// Write the audit log.
    AuditWrite = "AUDIT_WRITE",
    /// Configure the audit log.
    AuditControl = "AUDIT_CONTROL",
    /// Read the audit log.
    AuditRead = "AUDIT_READ",
    /// Set capabilities of files.
    Setfcap = "SETFCAP",
    /// Pass over mandatory access control.
    MacOverride = "MAC_OVERRIDE",
    /// Configure mandatory access control.
    MacAdmin = "MAC_ADMIN",
    /// Read the kernel's log.
    Syslog = "SYSLOG",
    /// Wake the machine.
    WakeAlarm = "WAKE_ALARM",
    /// Keep the machine awake.
    BlockSuspend = "BLOCK_SUSPEND",
    /// Performance counters.
    Perfmon = "PERFMON",
    /// BPF programs.
    Bpf = "BPF",
    /// Checkpoint and restore.
    CheckpointRestore = "CHECKPOINT_RESTORE",
    /// Make file and directory flags immutable.
    LinuxImmutable = "LINUX_IMMUTABLE",
    /// Broadcast and multicast.
    NetBroadcast = "NET_BROADCAST",
}

/// What an entry point needs that starts as root, makes the data folder its own and steps down to a user, as most
/// official images do (Postgres, MariaDB, Redis, MongoDB, ...).
pub const STEP_DOWN: &[Cap] = &[Cap::Chown, Cap::DacOverride, Cap::Fowner, Cap::Setgid, Cap::Setuid];

/// Which capabilities a service keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Capabilities {
    /// Only these.
    Only(Vec<Cap>),
    /// Those that the engine gives to everyone, and these.
    EngineDefaultsAnd(Vec<Cap>),
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}
