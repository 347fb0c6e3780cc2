//! Databases that several stacks share.

use constellation_services::prelude::*;

use super::DATA;
use crate::catalogue::{
    Differs, Entry,
    common::{REDIS_PASSWORD, service, versioned},
};

const TLS: &str = "the server speaks no TLS: Traefik ends it, and speaks plain TCP to the server";

/// The password comes on standard input, which `redis-server -` reads as its configuration: neither the command line nor
/// the environment shows it. The image's entry point steps down to the user `redis` when it starts the server.
fn redis_command(port: u16) -> String {
    format!(
        "exec docker-entrypoint.sh redis-server - --appendonly yes --save 60 1 --bind 0.0.0.0 --port {port} <<END\n\
         requirepass \"$(cat /run/secrets/redis-password)\"\nEND\n"
    )
}

pub(super) fn redis(cfg: &Config) -> Entry {
    let port = cfg.port("REDIS_PORT", 6379);
    let ping = format!(
        "REDISCLI_AUTH=\"$(cat /run/secrets/redis-password)\" redis-cli -p {port} ping | grep -q PONG"
    );
    service("redis", versioned(cfg, "docker.io/redis", "REDIS_TAG", "8.2.2-alpine"))
        .about("cache and queue store")
        .env("REDIS_DATABASE", cfg.var("REDIS_DATABASE", "0"))
        .env("REDIS_HOST", cfg.var("REDIS_HOSTNAME", "redis"))
        .env("REDIS_PORT", port)
        .env("REDIS_USERNAME", cfg.var("REDIS_USERNAME", "default"))
        .secret(secret(REDIS_PASSWORD))
        .command(["sh".to_owned(), "-c".to_owned(), redis_command(port)])
        .volume(bind(cfg.volume("redis")).at("/data"))
        .publish(localhost(port))
        .networks([BACKEND, DATA])
        .route(Route::tcp(port).sni(cfg.host("redis")).tls())
        .health(Health::shell(ping).every(secs(10)).timeout(secs(5)))
        // For a load balancer that joins the nodes' servers on layer 4.
        .label("osvc.l4.enable", "true")
        .label("osvc.l4.port", port.to_string())
        .label("osvc.l4.check", "redis")
        .caps(STEP_DOWN)
        .stop_grace(mins(1))
        .memory(4.gib())
        .memory_reservation(200.mib())
        .cpus(0.5.cores())
        .differs("privileged", "one sysctl is all that it wanted: set `vm.overcommit_memory=1` on the host")
        .differs(
            "networks",
            "a database belongs where its programs reach it; Traefik reaches it through the agent",
        )
        .differs(
            "ports",
            "published on all interfaces, with a password that everybody knows: now on this machine only",
        )
        .differs(
            "command",
            "line breaks cut it into pieces: the server started without password and without persistence",
        )
        .differs("environment.REDIS_PASSWORD", "in plain text, `redis` by default: a file holds it")
        .differs("secrets.*", "the password, which was a variable")
        .differs("healthcheck.test", "it passed when the password was wrong")
        .differs("healthcheck.start_period", "a large file takes a while to load")
        .differs("labels.traefik.tcp.*.tls*", TLS)
        .differs("stop_grace", "it writes its last snapshot before it ends")
}

pub(super) fn mongodb(cfg: &Config) -> Entry {
    let service = service("mongodb", versioned(cfg, "docker.io/mongo", "MONGODB_TAG", "8.0.20"))
        .about("document database")
        .hostname(cfg.var("MONGODB_HOSTNAME", "mongodb"))
        .env("MONGO_INITDB_ROOT_USERNAME", cfg.var("MONGODB_ROOT_USERNAME", "root"))
        // Its entry point steps down before it reads the password: 999 is the image's user `mongodb`.
        .secret(
            secret("mongodb-root-password.txt").owner(999, 999).env_file("MONGO_INITDB_ROOT_PASSWORD_FILE"),
        )
        .volume(bind(cfg.volume("mongodb/data")).at("/data/db"))
        .networks([BACKEND, DATA])
        .route(Route::tcp(27017).sni(cfg.host("mongodb")).tls())
        .health(
            Health::shell(
                "mongosh 127.0.0.1:27017/test --quiet --eval 'db.runCommand(\"ping\").ok' > /dev/null 2>&1 || exit 1",
            )
            .every(secs(10))
            .timeout(secs(10))
            .retries(5)
            .start_period(secs(40)),
        )
        .caps(STEP_DOWN)
        .stop_grace(mins(1));
    // A member of a replica set answers no writes until somebody has made the set, so this is asked for.
    let service = match cfg.optional("MONGODB_REPLICA_SET") {
        None => service,
        Some(set) => service
            // The server refuses a key that others can read.
            .secret(secret("mongodb-keyfile.txt").owner(999, 999))
            .command([
                "--replSet",
                set.as_str(),
                "--keyFile",
                "/run/secrets/mongodb-keyfile",
                "--bind_ip_all",
            ]),
    };
    service
        .differs(
            "networks",
            "a database belongs where its programs reach it; Traefik reaches it through the agent",
        )
        .differs("environment.MONGO_*", "whoever reached it was let in")
        .differs("secrets.*", "the password of its first user")
        .differs("labels.traefik.tcp.*.tls*", TLS)
        .differs("stop_grace", "it writes its checkpoint before it ends")
}
