//! What the notice board is made of.

use constellation_services::prelude::*;

const REDIS: &str = "docker.io/library/redis:7.4.1-alpine";

/// The user that the official image of Redis steps down to.
pub(crate) const REDIS_USER: (u32, u32) = (999, 1000);

/// The whole stack.
pub(crate) fn noticeboard(cfg: &Config) -> Stack {
    Stack::new("noticeboard")
        .about("Notices, kept in Redis and shown as a page")
        // Nobody but these three reaches the store, and the store reaches nobody.
        .network(Network::new("inside").internal())
        .service(store())
        .service(publish(cfg))
        .service(web(cfg))
}

/// The password as each of them reads it: a file of its own user.
fn password() -> Secret {
    secret("store-password.txt").owner(REDIS_USER.0, REDIS_USER.1)
}

/// The password goes into a file in memory that only Redis reads, and is neither a variable nor a word of the command line.
/// `exec`, so that Redis itself hears the signal that asks it to end, and saves.
const START: &str = r#"
    umask 077
    { cat /etc/store.conf; printf 'requirepass "%s"\n' "$(cat /run/secrets/store-password)"; } > /tmp/store.conf
    exec redis-server /tmp/store.conf
"#;

const STORE_CONF: &str = "\
dir /data
appendonly yes
maxmemory 64mb
maxmemory-policy noeviction
";

fn store() -> Service {
    Service::new("store", REDIS)
        .about("Keeps the notices")
        .command(["/bin/sh", "-c", START])
        .user(format!("{}:{}", REDIS_USER.0, REDIS_USER.1))
        .secret(password())
        .config(config_file("/etc/store.conf", STORE_CONF))
        .volume(named("notices").at("/data"))
        .volume(tmpfs(1.mib()).at("/tmp"))
        .network("inside")
        .health(
            Health::shell(
                r#"REDISCLI_AUTH="$(cat /run/secrets/store-password)" redis-cli ping | grep -q PONG"#,
            )
            .every(secs(5)),
        )
        .read_only_root()
        .memory(128.mib())
        .cpus(1.cores())
}

/// Writes the page once for every change of its definition, which is what a job is.
const PUBLISH: &str = r#"
    set -e
    REDISCLI_AUTH="$(cat /run/secrets/store-password)"; export REDISCLI_AUTH
    ask() { redis-cli -h store "$@"; }
    test "$(ask exists notices)" = 1 || ask rpush notices "$FIRST_NOTICE" > /dev/null
    { echo "<!doctype html><title>Notices</title><ul>"
      ask --raw lrange notices 0 -1 | sed 's/&/\&amp;/g; s/</\&lt;/g; s/^/<li>/'
      echo "</ul>"; } > /page/index.html
    echo "wrote $(ask llen notices) notices"
"#;

fn publish(cfg: &Config) -> Service {
    Service::job("publish", REDIS)
        .about("Writes the page from what is in the store")
        .command(["/bin/sh", "-c", PUBLISH])
        .user(format!("{}:{}", REDIS_USER.0, REDIS_USER.1))
        .env("FIRST_NOTICE", cfg.var("FIRST_NOTICE", "Welcome"))
        .secret(password())
        .volume(page(cfg))
        .network("inside")
        .depends_on("store", Healthy)
        .memory(32.mib())
}

fn web(cfg: &Config) -> Service {
    Service::new("web", "docker.io/library/busybox:1.36.1")
        .about("Shows the page")
        .command(["/bin/httpd", "-f", "-p", "8080", "-h", "/page"])
        // It does not listen to the signal, and has nothing to finish.
        .stop_grace(secs(1))
        .user("65534:65534")
        .volume(page(cfg).read_only())
        .networks([BACKEND, PUBLICNET])
        .route(Route::http(8080).host(cfg.host("notices")).public("a notice board is for everybody"))
        .health(Health::http(8080, "/").every(secs(5)))
        .depends_on("publish", Completed)
        .read_only_root()
        .memory(32.mib())
        .cpus(0.5.cores())
}

/// The folder that the job writes and the web server reads.
fn page(cfg: &Config) -> Volume {
    bind(cfg.volume("noticeboard/page")).owned_by(REDIS_USER.0, REDIS_USER.1).at("/page")
}
