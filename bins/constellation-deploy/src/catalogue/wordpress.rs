//! A WordPress and its database.

use constellation_services::prelude::*;

use super::{
    Chapter, Differs, Entry,
    common::{gzip, node_domain, service, versioned},
};

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("wordpress", "a WordPress site with its database")
        .service(mariadb(cfg))
        .service(wordpress(cfg))
}

const PASSWORD: &str = "wordpress-db-password.txt";

fn mariadb(cfg: &Config) -> Entry {
    service("mariadb", versioned(cfg, "docker.io/mariadb", "MARIADB_TAG", "11.4"))
        .about("database for WordPress")
        .env("MYSQL_DATABASE", cfg.var("WORDPRESS_DB_NAME", "wordpress"))
        .env("MYSQL_USER", cfg.var("WORDPRESS_DB_USER", "wordpress"))
        .secret(secret(PASSWORD).env_file("MYSQL_PASSWORD_FILE"))
        .secret(secret("wordpress-db-root-password.txt").env_file("MYSQL_ROOT_PASSWORD_FILE"))
        .volume(bind(cfg.volume("wordpress/mariadb-data")).at("/var/lib/mysql"))
        // Without further checks: those log in, as a user that only newer data folders have.
        .health(Health::cmd(["healthcheck.sh", "--connect"]).start_period(mins(1)))
        .caps(STEP_DOWN)
        .stop_grace(mins(1))
        .differs("networks", "a database belongs where only its program reaches it")
        .differs(
            "environment.MYSQL_USER",
            "empty by default, which makes no user: WordPress could not log in",
        )
        .differs(
            "*MYSQL_*PASSWORD*",
            "empty by default, and in the environment otherwise: two files hold them",
        )
        .differs("secrets.*", "the passwords, which were variables")
        .differs("healthcheck*", "there was none; the image brings one that knows when the database is ready")
        .differs("stop_grace", "it writes out its pages before it ends")
}

fn wordpress(cfg: &Config) -> Entry {
    let uptime = Uptime::http()
        .name(cfg.var("WORDPRESS_FQDN", format!("wordpress.{}", node_domain(cfg))).as_str())
        .url(cfg.var("WORDPRESS_URL", format!("https://{}", cfg.fqdn("wordpress"))).as_str())
        .every(secs(10));
    service("wordpress", versioned(cfg, "docker.io/wordpress", "WORDPRESS_TAG", "6.8"))
        .about("WordPress site")
        .env("WORDPRESS_DB_HOST", "mariadb:3306")
        .env("WORDPRESS_DB_NAME", cfg.var("WORDPRESS_DB_NAME", "wordpress"))
        .env("WORDPRESS_DB_USER", cfg.var("WORDPRESS_DB_USER", "wordpress"))
        // Apache's children run as www-data (33) and read it with every request.
        .secret(secret(PASSWORD).owner(33, 33).env_file("WORDPRESS_DB_PASSWORD_FILE"))
        .volume(bind(cfg.volume("wordpress/wordpress-files")).at("/var/www/html"))
        .route(Route::http(80).host(cfg.host("wordpress")).path("/").middleware("gzip").own_login())
        .middleware(gzip())
        .health(
            Health::shell("curl -f http://127.0.0.1:80 > /dev/null 2>&1 || exit 1")
                .every(secs(10))
                .timeout(secs(10))
                .retries(10)
                .start_period(secs(30)),
        )
        .depends_on("mariadb", Healthy)
        .uptime(uptime)
        .caps(STEP_DOWN)
        .caps(&[Cap::NetBindService])
        .differs("environment.WORDPRESS_DB_USER", "as in the database: empty by default")
        .differs("environment.WORDPRESS_DB_PASSWORD*", "a file holds it")
        .differs("secrets.*", "the password, which was a variable")
        .differs("healthcheck.interval", "every 2 s was a page rendered for nobody")
}
