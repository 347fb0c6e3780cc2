//! Unsend: e-mail over AWS SES, and its database.

use constellation_services::prelude::*;

use super::{
    Chapter, Differs, Entry,
    common::{Postgres, REDIS_PASSWORD, gzip, node_domain, redis_address, service, versioned},
    from_files,
};

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("unsend", "e-mail over AWS SES").service(postgres(cfg)).service(unsend(cfg))
}

const PASSWORD: &str = "unsend-postgres-password.txt";

fn postgres(cfg: &Config) -> Entry {
    Postgres {
        name: "unsend-postgres",
        image: versioned(cfg, "docker.io/postgres", "UNSEND_POSTGRES_TAG", "16.13-alpine"),
        user: "postgres".into(),
        database: "unsend".into(),
        password: PASSWORD,
        data: cfg.volume("unsend/postgres"),
    }
    .service()
    .about("database for Unsend")
    .health(
        Health::shell("pg_isready -U $POSTGRES_USER -d $POSTGRES_DB")
            .every(secs(5))
            .timeout(secs(20))
            .retries(10)
            .start_period(secs(30)),
    )
    .differs("networks", "a database belongs where only its program reaches it")
    .differs("*POSTGRES_PASSWORD*", "a default that everybody knows: a file holds it")
    .differs("secrets.*", "the password, which was a variable")
    .differs("stop_grace", "it writes its checkpoint before it ends")
}

fn unsend(cfg: &Config) -> Entry {
    let url = cfg.var("UNSEND_URL", format!("https://{}", cfg.fqdn("unsend")));
    let mut service = service("unsend", versioned(cfg, "docker.io/unsend/unsend", "UNSEND_TAG", "latest"))
        .about("e-mail sending platform over AWS SES")
        .env("API_RATE_LIMIT", cfg.var("API_RATE_LIMIT", "1"))
        .env("AWS_DEFAULT_REGION", cfg.var("AWS_DEFAULT_REGION", "us-east-1"))
        .envs(cfg.optional("AWS_ACCESS_KEY").map(|key| ("AWS_ACCESS_KEY", key)))
        .env("HOSTNAME", "0.0.0.0")
        .env("NEXTAUTH_URL", &url)
        .env("NEXT_PUBLIC_IS_CLOUD", cfg.var("NEXT_PUBLIC_IS_CLOUD", "false"));
    let mut secrets = from_files()
        .address(PASSWORD, "DATABASE_URL", "postgresql://postgres:{}@unsend-postgres:5432/unsend")
        .address(REDIS_PASSWORD, "REDIS_URL", redis_address(cfg))
        .key("unsend-nextauth-secret.txt", "NEXTAUTH_SECRET")
        .key("unsend-aws-secret-key.txt", "AWS_SECRET_KEY");
    if let Some(id) = cfg.optional("UNSEND_GITHUB_ID") {
        service = service.env("GITHUB_ID", id);
        secrets = secrets.key("unsend-github-secret.txt", "GITHUB_SECRET");
    }
    let name = cfg.var("UNSEND_FQDN", format!("unsend.{}", node_domain(cfg)));
    service
        .with(secrets.then(&["sh", "start.sh"]))
        .route(Route::http(3000).host(cfg.host("unsend")).middleware("gzip").own_login())
        .middleware(gzip())
        .health(
            Health::shell("wget -qO- http://unsend:3000 > /dev/null 2>&1 || exit 1")
                .every(secs(5))
                .timeout(secs(2))
                .retries(10)
                .start_period(secs(30)),
        )
        .depends_on("unsend-postgres", Healthy)
        .depends_on("redis", Healthy)
        .uptime(Uptime::http().name(name.as_str()).url(url.as_str()).every(secs(5)))
        .differs("entrypoint", "makes its settings of the secrets, and starts the image's own `start.sh`")
        .differs(
            "environment.DATABASE_URL*",
            "a password that everybody knows: made of the secret when it starts",
        )
        .differs("environment.REDIS_URL*", "read from a variable named REDIS_HOST, and without the password")
        .differs(
            "environment.NEXTAUTH_SECRET*",
            "empty by default, which lets anybody forge a session: a file holds it",
        )
        .differs("environment.NEXTAUTH_URL", "it does not start without")
        .differs("environment.AWS_SECRET_KEY*", "in plain text: a file holds it")
        .differs(
            "environment.GITHUB_SECRET*",
            "in plain text: a file holds it, where UNSEND_GITHUB_ID is set",
        )
        .differs("secrets.*", "what was in plain text")
}
