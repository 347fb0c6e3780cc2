//! Where people work: editors in the browser, and a service of one project.

use constellation_services::prelude::*;

use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, docker_socket, node_domain, runs_as_operator, service, time_zone, versioned},
};

pub(super) fn code_server(cfg: &Config) -> Entry {
    let workspace = cfg.var("CODESERVER_DEFAULT_WORKSPACE", "/workspace");
    let sudo = cfg.optional("CODESERVER_SUDO_PASSWORD_HASH");
    let service = service(
        "code-server",
        versioned(cfg, "lscr.io/linuxserver/code-server", "CODESERVER_TAG", "4.105.1"),
    )
    .about("VS Code in the browser")
    .env("DEFAULT_WORKSPACE", &workspace)
    .env("PWA_APPNAME", format!("code-server.{}", node_domain(cfg)))
    .env("TZ", time_zone(cfg))
    .envs(cfg.optional("CODESERVER_HASHED_PASSWORD").map(|hash| ("HASHED_PASSWORD", hash)))
    .with(runs_as_operator(cfg))
    .volume(bind(cfg.volume("code-server/dev/config")).at("/config"))
    .volume(bind(cfg.root("")).at(workspace.as_str()))
    .route(Route::http(8443).redirect_from(cfg.host("codeserver")).auth(NGINX_AUTH))
    .health(Health::cmd(["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8443/healthz"]).every(secs(30)))
    .homepage(
        Homepage::new("Infrastructure", "Code Dev")
            .icon("code-server.png")
            .description("An editor with a terminal, in the browser"),
    )
    .uptime(Uptime::http().every(secs(60)))
    .caps(STEP_DOWN)
    .caps(&[Cap::Kill])
    .memory(4.gib())
    .memory_reservation(200.mib())
    .cpus(2.cores());
    let service = match sudo {
        // `sudo` gains rights, which is what `no-new-privileges` refuses.
        Some(hash) => service.env("SUDO_PASSWORD_HASH", hash).new_privileges(),
        None => service,
    };
    service
        .differs("volumes./var/run/docker.sock", "whoever had the editor was root on the host")
        .differs("environment.PGID", "one default for each variable: three services had three groups")
        .differs("healthcheck*", "there was none; the program answers `/healthz`")
}

pub(super) fn session_manager(cfg: &Config) -> Entry {
    let port = cfg.port("SESSION_MANAGER_PORT", 8080);
    let sources = cfg.root("projects/kotor/kotorscript-session-manager");
    let source = |name: &str, target: &str| bind(sources.join(name)).file().at(target).read_only();
    let extensions = cfg.volume("extensions");
    let aliases = ["hololsp", "holoscripter", "kotorscript", "kotorscripter", "kscript", "tslscript"];
    let route = aliases
        .into_iter()
        .fold(Route::http(port).named("holoscript").host(cfg.host("holoscript")), |route, alias| {
            route.redirect_from(cfg.host(alias))
        });
    let image = build_from(
        "ARG BASE\nFROM ${BASE}\n\
         RUN apk add --no-cache docker-cli py3-pip python3 unzip zip && pip install --no-cache-dir --break-system-packages \
         --root-user-action=ignore docker fastapi httpx jinja2 python-multipart uvicorn websockets\n",
    )
    .arg("BASE", versioned(cfg, "docker.io/library/alpine", "ALPINE_TAG", "3.22"))
    .tagged(cfg.own_image("session-manager"));
    service("session-manager", image)
        .about("starts per-user code-server sessions on demand")
        .env("DEFAULT_WORKSPACE", "/workspace")
        .env("DOMAIN", cfg.domain())
        .env("EXT_PATH", extensions.join("holo-lsp-1.0.0.vsix").as_str())
        .env("INACTIVITY_TIMEOUT", "3600")
        .env("SESSION_MANAGER_PORT", port)
        .command(["python3", "/session_manager.py"])
        .volume(docker_socket(cfg))
        .volume(bind(&extensions).at(extensions.as_str()))
        .volume(source("index.html", "/tmp/templates/index.html"))
        .volume(source("waiting.html", "/tmp/templates/waiting.html"))
        .volume(source("session_manager.py", "/session_manager.py"))
        .route(route.public("everybody may try the language server; a session lives an hour"))
        .health(
            Health::shell(format!("wget -qO- http://127.0.0.1:{port}/health > /dev/null 2>&1 || exit 1"))
                .every(secs(30))
                .timeout(secs(10))
                .start_period(secs(30)),
        )
        .engine_caps()
        .allow(Lint::DockerSocket, "it starts a container for each session, which is all that it is for")
        .differs("configs.*", "the operator's own sources: mounted from where they are")
        .differs("volumes.*", "the operator's own sources: mounted from where they are")
        .differs("image.name", "it installed its packages at each start: an image of its own has them")
        .differs("build.*", "an image of its own, made from the definition")
        .differs("command", "its packages are in the image")
        .differs(
            "healthcheck.test",
            "one variable for the port: the program read another than the label and the test",
        )
        .differs(
            "labels.traefik.http.services.holoscript.loadbalancer.server.port",
            "one variable for the port, as above",
        )
        .differs("expose", "one variable for the port, as above")
}

pub(super) fn telemetry_auth(cfg: &Config) -> Entry {
    Service::new(
        "telemetry-auth",
        versioned(cfg, "bolabaden/kotormodsync-telemetry-auth", "TELEMETRY_AUTH_TAG", "latest"),
    )
    .about("HMAC check service for telemetry uploads")
    .env("AUTH_SERVICE_PORT", "8080")
    .env("LOG_LEVEL", cfg.var("LOG_LEVEL", "info"))
    .env("MAX_TIMESTAMP_DRIFT", cfg.var("MAX_TIMESTAMP_DRIFT", "300"))
    .env("REQUIRE_AUTH", cfg.var("REQUIRE_AUTH", "true"))
    .secret(secret("signing_secret.txt").env_file("KOTORMODSYNC_SECRET_FILE"))
    .user("0:0")
    .publish(localhost(8080))
    .health(
        Health::shell("wget --no-verbose --tries=1 --spider http://127.0.0.1:8080/health || exit 1")
            .every(secs(10))
            .timeout(secs(3))
            .retries(5)
            .start_period(secs(30)),
    )
    .restart(Restart::UnlessStopped)
    .differs("container_name", "it was left from a test")
    .differs("ports", "open on every interface, though only programs of this machine ask it")
    .differs("secrets.*", "everybody could read it (mode 0444), and the service is root")
}
