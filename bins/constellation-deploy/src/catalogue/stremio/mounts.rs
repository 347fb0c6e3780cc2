//! Remotes of rclone as folders.

use constellation_services::prelude::*;

use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, service, versioned},
    rclone as daemon,
    variables::from_files,
};

const NO_PASSWORD: &str = "whoever reaches the API has every remote: it asks for a password";

pub(super) fn rclone(cfg: &Config) -> Entry {
    let port = cfg.port("RCLONE_PORT", 5572);
    let settings = ["--log-level=INFO", "--config=/config/rclone/rclone.conf", "--cache-dir=/.cache/rclone"];
    service("rclone", daemon::image(cfg))
        .about("mounts remotes of rclone; `rclone.conf` is the secret file that it was set up with")
        .with(daemon::daemon(cfg, port, &settings))
        .secret(secret("rclone.conf").at("/config/rclone/rclone.conf"))
        .volume(bind("/etc/fuse.conf").file().at("/etc/fuse.conf").read_only())
        .volume(bind("/etc/group").file().at("/etc/group").read_only())
        .volume(bind("/etc/passwd").file().at("/etc/passwd").read_only())
        .volume(bind("/mnt/remote").at("/mnt/remote").shared_with_host())
        .volume(bind(cfg.volume("rclone/.cache")).at("/.cache"))
        .volume(bind(cfg.volume("rclone/config/rclone")).at("/config/rclone"))
        .volume(bind(cfg.volume("rclonefm/js")).at("/var/lib/rclonefm/js"))
        .device("/dev/fuse")
        .caps(&[Cap::SysAdmin])
        // The engine's profile forbids mounts, whatever the capabilities say.
        .security_opt("apparmor=unconfined")
        .route(Route::http(port).host(cfg.host("rclone")).auth(NGINX_AUTH))
        .health(
            daemon::asks_for_its_password(port)
                .every(secs(5))
                .timeout(secs(3))
                .retries(2)
                .start_period(secs(15)),
        )
        .cpus(1.cores())
        .memory(1.gib())
        .memory_reservation(60.mib())
        .homepage(
            Homepage::new("Cloud", "Rclone").icon("rclone.png").description("Remotes as folders").weight(0),
        )
        .uptime(Uptime::http())
        .allow(Lint::StrongCapability, "a mount needs it, and mounting is what it is for")
        .differs(
            "volumes./hostfs",
            "it could change every file of the machine; its mounts go below /mnt/remote",
        )
        .differs("command", NO_PASSWORD)
        .differs("entrypoint", NO_PASSWORD)
        .differs("environment.RCLONE_RC_*", NO_PASSWORD)
        .differs("secrets.*", "its settings hold the credentials of every remote, so they are a secret")
        .differs("configs.*", "its settings are a secret, and /etc/fuse.conf is the machine's own file")
        .differs("volumes./etc/fuse.conf", "the machine's own file")
        .differs(
            "healthcheck.test",
            "/mnt/remote is always a mount, so it never failed; now an answer without a password does",
        )
}

/// The image's program says that it failed, and ends as if it had not.
const MOUNT_ALL: &str = "import sys, rclone_initializer as job; sys.exit(0 if job.initialize() else 1)";

pub(super) fn rclone_init(cfg: &Config) -> Entry {
    let mounts = include_str!("rclone-mounts.json").replace("{remote}", &cfg.var("RCLONE_REMOTE", "remote"));
    let name = "ghcr.io/coanghel/rclone-docker-automount/rclone-init";
    Service::job("rclone-init", versioned(cfg, name, "RCLONE_INIT_TAG", "latest"))
        .about("has rclone mount its remotes")
        .extra_host("host.docker.internal", "host-gateway")
        .with(from_files().key(daemon::PASSWORD, "RCLONE_PASSWORD").then(&["python", "-c", MOUNT_ALL]))
        .env("RCLONE_CONFIG_PATH", "/config/rclone/rclone.conf")
        .env("RCLONE_PORT", cfg.port("RCLONE_PORT", 5572))
        .env("RCLONE_USERNAME", daemon::user(cfg))
        .config(config_file("/app/mounts.json", mounts).mode(0o400))
        .volume(bind("/mnt/remote").at("/mnt/remote").follows_host())
        .depends_on("rclone", Healthy)
        .differs("restart", "it is a job: it ends when the remotes are mounted, and says whether they are")
        .differs("entrypoint", "it is a job: it ends when the remotes are mounted, and says whether they are")
        .differs("healthcheck*", "a job is over, and not healthy")
        .differs("environment.RCLONE_USERNAME", NO_PASSWORD)
        .differs("environment.RCLONE_PASSWORD_FILE", NO_PASSWORD)
        .differs("secrets.*", NO_PASSWORD)
}
