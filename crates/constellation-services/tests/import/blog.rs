//! The stack `blog`, made from a Compose file.
//!
//! - `.engine_caps()` keeps the capabilities that every container of Compose has. Without it a service has
//!   none: try that, or `.caps(STEP_DOWN)` for images that start as root and step down.
//! - Nothing inside may gain rights, as `sudo` does, unless `.new_privileges()` says so.
//! - Bound folders must be there: `cfg.volume("name")` in place of a path is made where it is missing.
//! - A secret is a file that only its owner reads, root unless `.owner(uid, gid)` says otherwise.
//! - A container has its service's name, without the project's before it.

use constellation_services::prelude::*;

/// The folder of the Compose file: its relative paths begin here.
const HERE: &str = "/srv/blog";

/// What the Compose file describes.
pub fn stack(cfg: &Config) -> Stack {
    Stack::new("blog")
        .network(Network::new("default"))
        .service(db(cfg))
        .service(migrate(cfg))
        .service(web(cfg))
}

fn db(cfg: &Config) -> Service {
    Service::new("db", "postgres:16.4-alpine")
        // line 16, `secrets`: copy ./secrets/db_password.txt to db_password.txt below SECRETS_PATH, mode 0600
        .secret(secret("db_password.txt").env_file("POSTGRES_PASSWORD_FILE"))
        .env("POSTGRES_USER", "blog")
        .env("POSTGRES_DB", cfg.var("DB_NAME", "blog"))
        .volume(named("db-data").at("/var/lib/postgresql/data"))
        .network("default")
        .health(Health::shell("pg_isready -U blog").every(secs(5)).retries(5))
        .restart(Restart::UnlessStopped)
        .logging(Logging::driver("json-file").option("max-size", "10m").option("max-file", "3"))
        .engine_caps()
}

fn migrate(cfg: &Config) -> Service {
    Service::job("migrate", format!("ghcr.io/example/blog:{}", cfg.var("BLOG_VERSION", "1.4.0")))
        .command(["blog", "migrate", "--to", "latest schema"])
        .network("default")
        .depends_on("db", Healthy)
        .engine_caps()
}

fn web(cfg: &Config) -> Service {
    Service::new("web", format!("ghcr.io/example/blog:{}", cfg.var("BLOG_VERSION", "1.4.0")))
        .user("1000:1000")
        .env("DATABASE_URL", format!("postgres://blog@db/{}", cfg.var("DB_NAME", "blog")))
        .env("PORT", 8080)
        .with(pass_on(cfg, "LOG_LEVEL"))
        .volume(bind(format!("{HERE}/uploads")).at("/srv/uploads"))
        .volume(bind(format!("{HERE}/nginx.conf")).at("/etc/nginx/nginx.conf").read_only())
        .volume(tmpfs(64.mib()).at("/tmp"))
        .network("default")
        .route(
            Route::http(8080)
                .named("blog")
                .host(cfg.fqdn("blog"))
                .host(cfg.fqdn("www"))
                .entry_point("websecure")
                .middleware("gzip")
                .cert_resolver("letsencrypt"),
        )
        .middleware(Middleware::new("gzip", "compress"))
        .depends_on("migrate", Completed)
        .restart(Restart::UnlessStopped)
        .logging(Logging::driver("json-file").option("max-size", "10m").option("max-file", "3"))
        .memory(256.mib())
        .cpus(0.5.cores())
        .engine_caps()
        // line 56, `stdin_open`: nobody sits before it
}

/// Sets a variable where the configuration has it, and leaves it out otherwise.
fn pass_on(cfg: &Config, name: impl Into<String>) -> impl FnOnce(Service) -> Service {
    let name = name.into();
    let value = cfg.optional(&name);
    move |service| match value {
        Some(value) => service.env(name, value),
        None => service,
    }
}
