//! What services of several stacks have in common. An operator's own definitions may use it as well.

use constellation_services::prelude::*;

/// The socket of the engine. Whoever has it is root on the host, so who gets it answers for it.
pub fn docker_socket(cfg: &Config) -> Volume {
    bind(cfg.var("DOCKER_SOCKET", "/var/run/docker.sock").as_str()).file().at("/var/run/docker.sock")
}

/// A service like most of the catalogue's: `host.docker.internal` leads to the host.
pub fn service(name: &str, image: impl Into<Image>) -> Service {
    Service::new(name, image).extra_host("host.docker.internal", "host-gateway")
}

/// An image in a version that a variable changes.
pub fn versioned(cfg: &Config, name: &str, variable: &str, version: &str) -> String {
    format!("{name}:{}", cfg.var(variable, version))
}

/// The time zone, where the program reads one.
pub fn time_zone(cfg: &Config) -> Var {
    cfg.var("TZ", "America/Chicago")
}

/// Who programs run as that step down by themselves, as the images of linuxserver.io do. One default for each variable:
/// the reference had three groups.
pub fn runs_as_operator(cfg: &Config) -> impl FnOnce(Service) -> Service {
    let (uid, gid, mask) = (cfg.var("PUID", "1001"), cfg.var("PGID", "999"), cfg.var("UMASK", "002"));
    move |service| service.env("PUID", uid).env("PGID", gid).env("UMASK", mask)
}

/// A PostgreSQL of its own for one program: user, database, and a password that only a file holds.
pub struct Postgres<'a> {
    /// The service's name, by which the program reaches it.
    pub name: &'a str,
    /// Which PostgreSQL.
    pub image: String,
    /// The user that the program is.
    pub user: EnvValue,
    /// The database that is made for it.
    pub database: EnvValue,
    /// The file below the secrets path.
    pub password: &'a str,
    /// Where its data is.
    pub data: HostPath,
}

impl Postgres<'_> {
    /// The service, to which a health check is still to be added.
    pub fn service(self) -> Service {
        service(self.name, self.image)
            .env("POSTGRES_USER", self.user)
            .env("POSTGRES_DB", self.database)
            .secret(secret(self.password).env_file("POSTGRES_PASSWORD_FILE"))
            .volume(bind(self.data).at("/var/lib/postgresql/data"))
            .caps(STEP_DOWN)
            // It writes its checkpoint before it ends.
            .stop_grace(mins(1))
    }
}

/// A route for people, in the words of the catalogue: asked who they are by the nginx of `coolify-proxy`.
pub const NGINX_AUTH: &str = "nginx-auth@file";

/// Compresses answers. Several services define it, so that each works without the others.
pub fn gzip() -> Middleware {
    Middleware::compress("gzip")
}

/// The password of the shared Redis.
pub const REDIS_PASSWORD: &str = "redis-password.txt";

/// Asks for a page with the image's `wget`, every half minute, as most of the reference's health tests do.
pub fn answers(port: u16, path: &str) -> Health {
    Health::shell(format!("wget --no-verbose --tries=1 --spider http://127.0.0.1:{port}{path} || exit 1"))
        .every(secs(30))
        .timeout(secs(10))
        .retries(3)
}

/// Where the shared Redis is.
pub fn redis_host(cfg: &Config) -> Var {
    cfg.var("REDIS_HOSTNAME", "redis")
}

/// Where it listens.
pub fn redis_port(cfg: &Config) -> u16 {
    cfg.port("REDIS_PORT", 6379)
}

/// Its address, with `{}` for the password: see [`FromFiles::address`](super::FromFiles::address).
pub fn redis_address(cfg: &Config) -> String {
    format!("redis://:{{}}@{}:{}", redis_host(cfg), redis_port(cfg))
}

/// `<node>.<domain>`, and the domain alone where the node has no name.
pub fn node_domain(cfg: &Config) -> String {
    match cfg.node() {
        "" => cfg.domain().to_owned(),
        node => format!("{node}.{}", cfg.domain()),
    }
}
