//! What every service of the catalogue does otherwise than the reference, said once.

use super::Difference;

/// Differences that hold wherever they occur.
pub const EVERYWHERE: &[Difference] = &[
    Difference {
        field: "image.tag",
        reason: "without a full version the tag means another program tomorrow, and a database may not start on its old \
                 files: each has a version, which a variable changes",
    },
    Difference { field: "cap_drop", reason: "every capability is dropped that the service does not ask for" },
    Difference { field: "security_opt", reason: "no process inside may gain rights, as by `sudo`" },
    Difference { field: "pids", reason: "a fork bomb ends at 4096 processes" },
    Difference { field: "logging", reason: "output is rotated: three files of 10 MiB" },
    Difference {
        field: "labels.constellation.heal",
        reason: "what has a health check is restarted by the agent when it fails",
    },
    Difference {
        field: "labels.deunhealth.restart.on.unhealthy",
        reason: "there is no such container; `constellation.heal` says the same to the agent, where there is a health check \
                 to act on",
    },
    Difference {
        field: "labels.traefik.http.middlewares.*-redirect.redirectregex.regex",
        reason: "a dot of the domain matched any character",
    },
    Difference {
        field: "depends_on.warp-nat-gateway",
        reason: "what leaves through WARP waits until there is a way out, where nothing waited for the gateway's health",
    },
    Difference {
        field: "environment.PGID",
        reason: "one variable has one default: the reference had three groups for it",
    },
    Difference {
        field: "depends_on.warp-nat-gateway",
        reason: "what leaves through WARP reaches nobody before the gateway is well",
    },
];
