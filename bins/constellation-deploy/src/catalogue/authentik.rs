//! Single sign-on: authentik's server, its worker and its database.

use constellation_services::prelude::*;

use super::{
    Chapter, Differs, Entry,
    common::{Postgres, REDIS_PASSWORD, gzip, service, versioned},
};

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("authentik", "single sign-on for the other services")
        .service(postgresql(cfg))
        .service(server(cfg))
        .service(worker(cfg))
}

const POSTGRES_PASSWORD: &str = "authentik-postgresql-password.txt";

fn postgresql(cfg: &Config) -> Entry {
    Postgres {
        name: "authentik-postgresql",
        image: versioned(cfg, "docker.io/postgres", "AUTHENTIK_POSTGRES_TAG", "16.13-alpine"),
        user: "authentik".into(),
        database: "authentik".into(),
        password: POSTGRES_PASSWORD,
        data: cfg.volume("authentik/postgresql"),
    }
    .service()
    .about("database for authentik")
    .health(
        Health::shell("pg_isready -d $POSTGRES_DB -U $POSTGRES_USER")
            .every(secs(10))
            .timeout(secs(10))
            .retries(15)
            .start_period(secs(30)),
    )
    .differs("networks", "a database belongs where only its program reaches it")
    .differs("*POSTGRES_PASSWORD*", "a default that everybody knows: a file holds it")
    .differs("secrets.*", "the password, which was a variable")
    .differs("healthcheck.interval", "every 2 s was more work than an idle database has")
    .differs("stop_grace", "it writes its checkpoint before it ends")
}

/// What the server and the worker have in common. `file://` is authentik's own way of reading a setting from a file.
fn authentik(cfg: &Config, name: &str) -> Service {
    // The image's user.
    let of_authentik = |file: &str| secret(file).owner(1000, 1000);
    let address = cfg.optional("AUTHENTIK_EMAIL");
    let addresses = ["AUTHENTIK_BOOTSTRAP_EMAIL", "AUTHENTIK_EMAIL__FROM", "AUTHENTIK_EMAIL__USERNAME"];
    let addresses = addresses.into_iter().filter_map(|name| Some((name, address.clone()?)));
    service(name, versioned(cfg, "ghcr.io/goauthentik/server", "AUTHENTIK_TAG", "2025.8.3"))
        .envs(addresses)
        .envs([
            ("AUTHENTIK_EMAIL__HOST", "smtp.gmail.com"),
            ("AUTHENTIK_EMAIL__PORT", "587"),
            ("AUTHENTIK_EMAIL__TIMEOUT", "10"),
            ("AUTHENTIK_EMAIL__USE_SSL", "false"),
            ("AUTHENTIK_EMAIL__USE_TLS", "true"),
            ("AUTHENTIK_ERROR_REPORTING__ENABLED", "true"),
            ("AUTHENTIK_POSTGRESQL__HOST", "authentik-postgresql"),
            ("AUTHENTIK_POSTGRESQL__NAME", "authentik"),
            ("AUTHENTIK_POSTGRESQL__USER", "authentik"),
            ("AUTHENTIK_REDIS__HOST", "redis"),
        ])
        .secret(of_authentik("authentik-secret-key.txt").env_as("AUTHENTIK_SECRET_KEY", "file://{}"))
        .secret(
            of_authentik("gmail-app-password.txt")
                .optional()
                .env_as("AUTHENTIK_EMAIL__PASSWORD", "file://{}"),
        )
        .secret(of_authentik(POSTGRES_PASSWORD).env_as("AUTHENTIK_POSTGRESQL__PASSWORD", "file://{}"))
        .secret(of_authentik(REDIS_PASSWORD).env_as("AUTHENTIK_REDIS__PASSWORD", "file://{}"))
        .volume(bind(cfg.volume("authentik/media")).owned_by(1000, 1000).at("/media"))
        .volume(bind(cfg.volume("authentik/custom-templates")).owned_by(1000, 1000).at("/templates"))
        .depends_on("authentik-postgresql", Healthy)
        .depends_on("redis", Healthy)
}

/// What both do otherwise.
fn corrected(service: Service) -> Entry {
    service
        .differs(
            "environment.AUTHENTIK_*PASSWORD",
            "the path itself became the password: `file://` makes authentik read the file",
        )
        .differs("environment.AUTHENTIK_SECRET_KEY", "the path itself became the key: `file://` makes authentik read it")
        .differs(
            "environment.AUTHENTIK_BOOTSTRAP_*",
            "authentik reads AUTHENTIK_BOOTSTRAP_EMAIL, with one underscore; its bootstrap password cannot come from a file, \
             and the first visitor of /if/flow/initial-setup/ chooses one",
        )
        .differs("environment.AUTHENTIK_EMAIL__*", "somebody's own address: AUTHENTIK_EMAIL")
        .differs(
            "secrets.*",
            "the passwords of the database and of Redis, which were plain or missing; the host's own password is not needed",
        )
}

fn server(cfg: &Config) -> Entry {
    let service = authentik(cfg, "authentik")
        .about("authentik server (SSO)")
        .command(["server"])
        .route(
            Route::http(9000)
                .redirect_from(cfg.host("authentik-server"))
                .redirect_from(cfg.host("authentikserver"))
                .middleware("gzip")
                .own_login(),
        )
        .middleware(gzip())
        .health(
            Health::shell(
                "python3 -c 'import socket; s=socket.socket(); s.settimeout(5); s.connect((\"127.0.0.1\", 9000)); s.close()' || exit 1",
            )
            .every(secs(30))
            .timeout(secs(10))
            .retries(10)
            .start_period(secs(60)),
        )
        .uptime(Uptime::http().every(secs(60)));
    corrected(service)
}

fn worker(cfg: &Config) -> Entry {
    let service = authentik(cfg, "authentik-worker")
        .about("authentik background worker")
        .command(["worker"])
        .volume(bind(cfg.volume("authentik/certs")).owned_by(1000, 1000).at("/certs"))
        .network(BACKEND)
        .health(Health::cmd(["ak", "healthcheck"]).every(secs(30)).timeout(secs(10)).start_period(secs(60)));
    corrected(service)
        .differs("networks", "nobody asks it anything: it is not routed")
        .differs(
            "volumes./var/run/docker.sock",
            "it was root on the host, for outposts that it would start; the built-in one needs none",
        )
        .differs("healthcheck*", "there was none; the program brings one")
}
