//! Pages for people who keep media: files, requests, invitations, a start page and a status page.

use constellation_services::prelude::*;

use super::{
    Chapter, Differs, Entry,
    common::{NGINX_AUTH, answers, time_zone, versioned},
    rclone,
};

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new(
        "elfhosted",
        "pages for people who keep media: files, requests, invitations, start and status",
    )
    .service(filebrowser(cfg))
    .service(gatus(cfg))
    .service(homer(cfg))
    .service(rclonefm(cfg))
    .service(rcloneui(cfg))
    .service(riven(cfg))
    .service(riven_frontend(cfg))
    .service(traefik_forward_auth(cfg))
    .service(wizarr(cfg))
    .service(zurg(cfg))
}

/// What ElfHosted builds has only a moving tag for those who do not build it: it is fetched anew with every `apply`.
fn built_by_elfhosted(cfg: &Config, name: &str) -> Image {
    image(versioned(cfg, &format!("ghcr.io/elfhosted/{name}"), "ELFHOSTED_TAG", "latest")).pull(Pull::Always)
}

fn tile(cfg: &Config, service: &str, group: &str, title: &str, icon: &str, line: &str) -> Homepage {
    Homepage::new(group, title).icon(icon).description(line).href(format!("https://{}", cfg.fqdn(service)))
}

fn filebrowser(cfg: &Config) -> Entry {
    // The image runs as this user.
    let ours = |folder: &str| bind(cfg.volume(folder)).owned_by(1000, 1000);
    Service::new("filebrowser", versioned(cfg, "filebrowser/filebrowser", "FILEBROWSER_TAG", "v2.44.0"))
        .about("web file manager")
        .env("TZ", time_zone(cfg))
        .env("FB_PORT", 8080)
        .env("FB_ROOT", "/storage")
        .env("FB_DATABASE", "/data/filebrowser.db")
        .volume(ours("filebrowser/data").at("/data"))
        .volume(ours("filebrowser/config").at("/config"))
        .volume(ours("backup").at("/storage/backup"))
        // What rclone caches. Its credentials are a secret, and not in there.
        .volume(ours("rclone").at("/storage/rclone"))
        .volume(ours("symlinks").at("/storage/symlinks"))
        .volume(ours("logs").at("/storage/logs"))
        .route(Route::http(8080).host(cfg.host("filebrowser")).auth(NGINX_AUTH))
        .health(answers(8080, "").every(secs(10)).timeout(secs(5)).start_period(secs(30)))
        .homepage(tile(
            cfg,
            "filebrowser",
            "File Management",
            "Filebrowser",
            "filebrowser.png",
            "Files in the browser",
        ))
        .differs("environment.FB_PORT", "the image listens on 80: its route and its health test asked 8080")
        .differs("environment.FB_ROOT", "it showed the empty folder of the image, and not what is mounted")
        .differs("environment.FB_DATABASE", "its users and passwords were in the container, and gone with it")
        .differs("labels.*.middlewares", "what it shows is nobody's business but the operator's")
        .differs("healthcheck.timeout", "1 s calls a busy disk a death")
}

fn gatus(cfg: &Config) -> Entry {
    Service::new("gatus", versioned(cfg, "ghcr.io/twin/gatus", "GATUS_TAG", "v5.35.0"))
        .about("status page")
        .env("GATUS_CONFIG_PATH", "/config/config.yaml")
        .env("SMTP_FROM", cfg.var("GATUS_SMTP_FROM", ""))
        .env("SMTP_PORT", cfg.port("GATUS_SMTP_PORT", 587))
        .volume(bind(cfg.volume("gatus/config")).at("/config"))
        .route(
            Route::http(8080)
                .host(cfg.host("gatus"))
                .health("/health")
                .public("a status page is for everybody"),
        )
        .homepage(tile(cfg, "gatus", "Monitoring", "Gatus", "gatus.png", "What works and what does not"))
        .allow(
            Lint::NoHealthCheck,
            "its image holds the program and nothing to ask it with; Traefik asks instead",
        )
        .differs("image.name", "its maker publishes it under his new name")
        .differs("environment.GATUS_CONFIG_PATH", "it was the path on the host, which is not there inside")
        .differs("healthcheck*", "there is no shell and no wget in the image: the test failed for ever")
        .differs("labels.*.healthcheck.path", "Traefik asks in place of the engine")
}

fn homer(cfg: &Config) -> Entry {
    Service::new("homer", versioned(cfg, "b4bz/homer", "HOMER_TAG", "v24.12.1"))
        .about("static dashboard")
        .env("TZ", time_zone(cfg))
        .volume(bind(cfg.volume("homer/config")).owned_by(1000, 1000).at("/www/assets"))
        .route(Route::http(8080).host(cfg.host("homer")).auth(NGINX_AUTH))
        .health(answers(8080, "").every(secs(10)).timeout(secs(5)).start_period(secs(30)))
        .homepage(tile(cfg, "homer", "Dashboards", "Homer", "homer.png", "A static start page"))
        .differs("labels.*.middlewares", "it has no login, and lists what there is to attack")
        .differs("healthcheck.timeout", "1 s calls a busy disk a death")
}

/// Two pages of the same daemon, each with remotes of its own.
fn rclone_page(cfg: &Config, name: &str, port: u16) -> Service {
    Service::new(name, rclone::image(cfg))
        .env("TZ", time_zone(cfg))
        .with(rclone::daemon(cfg, port, &[]))
        .volume(bind(cfg.volume(&format!("{name}/config"))).at("/config"))
        .route(Route::http(port).host(cfg.host(name)).auth(NGINX_AUTH))
        .health(
            rclone::asks_for_its_password(port)
                .every(secs(30))
                .timeout(secs(10))
                .retries(3)
                .start_period(secs(30)),
        )
}

const ONE_IMAGE: &str = "the same image as that of `rclone` in `stremio`, by the same name";
const NO_COMMAND: &str = "without a command the image prints its help and ends, for ever";
const NO_PASSWORD: &str = "whoever reaches the API has every remote: it asks for a password";
const ASKED: &str =
    "the container had ended before anybody asked it; now an answer without a password is a failure";

fn rclonefm(cfg: &Config) -> Entry {
    rclone_page(cfg, "rclonefm", 8080)
        .about("rclone file manager")
        .volume(bind(cfg.volume("rclonefm/data")).at("/data"))
        .homepage(tile(cfg, "rclonefm", "Cloud", "RcloneFM", "rclone.png", "Files of rclone's remotes"))
        .differs("image.name", ONE_IMAGE)
        .differs("command", NO_COMMAND)
        .differs("entrypoint", NO_PASSWORD)
        .differs("environment.RCLONE_RC_*", NO_PASSWORD)
        .differs("secrets.*", NO_PASSWORD)
        .differs("labels.*.middlewares", NO_PASSWORD)
        .differs("healthcheck.test", ASKED)
}

fn rcloneui(cfg: &Config) -> Entry {
    rclone_page(cfg, "rcloneui", 5572)
        .about("rclone web page")
        .homepage(tile(cfg, "rcloneui", "Cloud", "RcloneUI", "rclone.png", "rclone's own page"))
        .differs("image.name", ONE_IMAGE)
        .differs("command", NO_COMMAND)
        .differs("entrypoint", NO_PASSWORD)
        .differs("environment.RCLONE_RC_*", NO_PASSWORD)
        .differs("secrets.*", NO_PASSWORD)
        .differs("labels.*.middlewares", NO_PASSWORD)
        .differs("healthcheck.test", ASKED)
}

fn riven(cfg: &Config) -> Entry {
    Service::new("riven", built_by_elfhosted(cfg, "riven"))
        .about("media request automation")
        .env("TZ", time_zone(cfg))
        .volume(bind(cfg.volume("riven/data")).at("/data"))
        .volume(bind(cfg.volume("riven/config")).at("/config"))
        .route(Route::http(8080).host(cfg.host("riven")).own_login())
        .health(answers(8080, "").start_period(mins(1)))
        .homepage(tile(cfg, "riven", "Media Management", "Riven", "riven.png", "Finds what was asked for"))
        .engine_caps()
        .into()
}

fn riven_frontend(cfg: &Config) -> Entry {
    let line = "Ask for films and series";
    Service::new("riven-frontend", built_by_elfhosted(cfg, "riven-frontend"))
        .about("page of riven")
        .env("TZ", time_zone(cfg))
        .route(Route::http(3000).host(cfg.host("riven-frontend")).auth(NGINX_AUTH))
        .health(answers(3000, "").start_period(mins(1)))
        .homepage(tile(cfg, "riven-frontend", "Media Management", "Riven Frontend", "riven.png", line))
        .engine_caps()
        .differs("labels.*.middlewares", "not every version of it asks who is there")
}

fn traefik_forward_auth(cfg: &Config) -> Entry {
    Service::new(
        "traefik-forward-auth",
        versioned(cfg, "thomseddy/traefik-forward-auth", "TRAEFIK_FORWARD_AUTH_TAG", "2"),
    )
    .about(
        "login with OAuth for Traefik; its settings, with the provider's id and secret, are one secret file",
    )
    .env("TZ", time_zone(cfg))
    .env("AUTH_HOST", cfg.fqdn("traefik-forward-auth"))
    .env("COOKIE_DOMAIN", cfg.domain())
    .secret(secret("traefik-forward-auth.ini").env_file("CONFIG"))
    .route(Route::http(4181).host(cfg.host("traefik-forward-auth")).own_login())
    .allow(Lint::NoHealthCheck, "its image holds the program and nothing to ask it with")
    .differs("environment.AUTH_HOST", "it was unconfigured: people come back from the provider to this host")
    .differs("environment.COOKIE_DOMAIN", "it was unconfigured: one login holds for the whole domain")
    .differs("environment.CONFIG", "it was unconfigured: without a secret it does not start")
    .differs("secrets.*", "it was unconfigured: without a secret it does not start")
    .differs("healthcheck*", "there is no shell and no wget in the image: the test failed for ever")
}

fn wizarr(cfg: &Config) -> Entry {
    Service::new("wizarr", built_by_elfhosted(cfg, "wizarr"))
        .about("invitations to media servers")
        .env("TZ", time_zone(cfg))
        .volume(bind(cfg.volume("wizarr/data")).at("/data/database"))
        .route(Route::http(5690).host(cfg.host("wizarr")).own_login())
        .health(answers(5690, "").start_period(mins(1)))
        .homepage(tile(cfg, "wizarr", "Media Management", "Wizarr", "wizarr.png", "Invite people to watch"))
        .caps(STEP_DOWN)
        .differs("volumes.*", "the image has its program in /data: a folder mounted there would hide it")
}

fn zurg(cfg: &Config) -> Entry {
    Service::new("zurg", built_by_elfhosted(cfg, "zurg-rc"))
        .about("Real-Debrid as WebDAV")
        .env("TZ", time_zone(cfg))
        .volume(bind(cfg.volume("zurg/data")).at("/data"))
        .volume(bind(cfg.volume("zurg/config")).at("/config"))
        .route(Route::http(9999).host(cfg.host("zurg")).auth(NGINX_AUTH))
        .health(answers(9999, "/dav").start_period(mins(1)))
        .homepage(tile(
            cfg,
            "zurg",
            "Media Streaming",
            "Zurg",
            "zurg.png",
            "A Real-Debrid account as a folder",
        ))
        .engine_caps()
        .differs("labels.*.middlewares", "it has no login, and the account's files behind it")
}
