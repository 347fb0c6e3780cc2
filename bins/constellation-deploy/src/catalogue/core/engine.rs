//! Ways to the container engine, from the narrowest to the widest, and what people look at it with.

use constellation_services::prelude::*;

use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, docker_socket, runs_as_operator, service, time_zone, versioned},
};

/// What `docker-socket-proxy` and its descendant take a yes for.
const YES: &str = "1";
const NO: &str = "0";

pub(super) fn dockerproxy_ro(cfg: &Config) -> Entry {
    Service::new(
        "dockerproxy-ro",
        versioned(cfg, "docker.io/tecnativa/docker-socket-proxy", "DOCKER_SOCKET_PROXY_TAG", "v0.4.2"),
    )
    .about("filtered read access to the Docker API")
    .envs([("CONTAINERS", YES), ("EVENTS", YES), ("INFO", YES)])
    .env("DISABLE_IPV6", cfg.var("DISABLE_IPV6", NO))
    .env("TZ", time_zone(cfg))
    .with(runs_as_operator(cfg))
    .volume(docker_socket(cfg).read_only())
    .network(DEFAULT_NET)
    .health(
        Health::shell("wget -qO- http://127.0.0.1:2375/_ping > /dev/null 2>&1 || exit 1")
            .every(secs(30))
            .timeout(secs(10))
            .retries(3)
            .start_period(secs(10)),
    )
    .allow(Lint::DockerSocket, "it is the proxy that keeps everybody else away from the socket")
    .differs("privileged", "a proxy needs no rights: it opens one socket, which root may")
    .differs("userns_mode", "it is about a privileged container, which this one no longer is")
    .differs("volumes./var/run/docker.sock", "it passes requests on, and changes no file")
}

pub(super) fn dockerproxy_rw(cfg: &Config) -> Entry {
    let allowed = [
        "ALLOW_RESTARTS",
        "ALLOW_START",
        "ALLOW_STOP",
        "CONFIGS",
        "CONTAINERS",
        "DISTRIBUTION",
        "EVENTS",
        "IMAGES",
        "INFO",
        "NETWORKS",
        "NODES",
        "PING",
        "POST",
        "SERVICES",
        "SYSTEM",
        "TASKS",
        "VERSION",
        "VOLUMES",
    ];
    let refused = ["AUTH", "BUILD", "COMMIT", "EXEC", "PLUGINS", "SECRETS", "SESSION", "SWARM"];
    service("dockerproxy-rw", versioned(cfg, "lscr.io/linuxserver/socket-proxy", "SOCKET_PROXY_TAG", "3.2.10"))
        .about("write access to the Docker API for programs of this machine")
        .envs(allowed.map(|section| (section, YES)))
        .envs(refused.map(|section| (section, NO)))
        .env("DISABLE_IPV6", cfg.var("DISABLE_IPV6", NO))
        .env("LOG_LEVEL", "info")
        .env("TZ", time_zone(cfg))
        .with(runs_as_operator(cfg))
        .volume(docker_socket(cfg))
        .volume(tmpfs(16.mib()).at("/run"))
        .network(DEFAULT_NET)
        .publish(localhost(2375))
        .health(Health::cmd(["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:2375/_ping"]))
        .caps(STEP_DOWN)
        .allow(
            Lint::DockerSocket,
            "it is the way to the socket for programs that must change containers; only this machine and `default` reach it",
        )
        .differs("privileged", "a proxy needs no rights: it opens one socket, which root may")
        .differs("networks", "whoever reached it on `backend` was root on the host")
        .differs(
            "environment.*",
            "commands in other containers, builds, secrets, plugins and the swarm: nobody here asks for them",
        )
        .differs("volumes./run", "its web server keeps its pid there, which goes with it")
        .differs("healthcheck*", "there was none")
}

pub(super) fn dozzle(cfg: &Config) -> Entry {
    let port = cfg.port("DOZZLE_PORT", 8080);
    let headers = [
        ("DOZZLE_AUTH_HEADER_EMAIL", "DOZZLE_AUTH_EMAIL"),
        ("DOZZLE_AUTH_HEADER_NAME", "DOZZLE_AUTH_HEADER_NAME"),
        ("DOZZLE_AUTH_HEADER_USER", "DOZZLE_AUTH_USER"),
        ("DOZZLE_FILTER", "DOZZLE_FILTER"),
        ("DOZZLE_HOSTNAME", "DOZZLE_HOSTNAME"),
    ];
    service("dozzle", versioned(cfg, "docker.io/amir20/dozzle", "DOZZLE_TAG", "v8.14.9"))
        .about("live container logs UI")
        .env("DOZZLE_REMOTE_HOST", "tcp://dockerproxy-ro:2375")
        .env("DOZZLE_ADDR", format!(":{port}"))
        .env("DOZZLE_AUTH_PROVIDER", cfg.var("DOZZLE_AUTH_PROVIDER", "none"))
        .env("DOZZLE_BASE", cfg.var("DOZZLE_BASE", "/"))
        .env("DOZZLE_ENABLE_ACTIONS", cfg.var("DOZZLE_ENABLE_ACTIONS", "false"))
        .env("DOZZLE_LEVEL", cfg.var("DOZZLE_LEVEL", "info"))
        .env("DOZZLE_NO_ANALYTICS", cfg.var("DOZZLE_NO_ANALYTICS", "true"))
        .envs(headers.into_iter().filter_map(|(name, variable)| Some((name, cfg.optional(variable)?))))
        .networks([BACKEND, DEFAULT_NET, PUBLICNET])
        .route(Route::http(port).auth(NGINX_AUTH))
        .health(Health::cmd(["/dozzle", "healthcheck"]).every(secs(30)))
        .depends_on("dockerproxy-ro", Healthy)
        .homepage(
            Homepage::new("System Monitoring", "Dozzle")
                .icon("dozzle.png")
                .description("What containers write, as they write it"),
        )
        .uptime(Uptime::http().every(secs(60)))
        .differs("healthcheck*", "there was none; the program brings one")
}

pub(super) fn portainer(cfg: &Config) -> Entry {
    service("portainer", versioned(cfg, "docker.io/portainer/portainer-ce", "PORTAINER_TAG", "2.39.5"))
        .about("Docker management UI")
        .volume(docker_socket(cfg))
        .volume(bind(cfg.volume("portainer/data")).at("/data"))
        .expose(8000)
        .publish(localhost(9443))
        .route(Route::http(9000).auth(NGINX_AUTH))
        .uptime(Uptime::http().every(secs(60)))
        .allow(
            Lint::DockerSocket,
            "to manage containers is all that it is for; its page asks twice who is there",
        )
        .into()
}

/// What the reference's template said, line by line: counts, then each container, else the plain log.
const WATCHTOWER_REPORT: &str = "\
{{- if .Report -}}
{{- with .Report -}}
{{len .Scanned}} looked at, {{len .Updated}} updated, {{len .Failed}} failed
{{- range .Updated}}
- {{.Name}} ({{.ImageName}}): {{.CurrentImageID.ShortID}} is now {{.LatestImageID.ShortID}}
{{- end -}}
{{- range .Skipped}}
- {{.Name}} ({{.ImageName}}): {{.State}}, {{.Error}}
{{- end -}}
{{- range .Failed}}
- {{.Name}} ({{.ImageName}}): {{.State}}, {{.Error}}
{{- end -}}
{{- end -}}
{{- else -}}
{{range .Entries -}}{{.Message}}{{\"\\n\"}}{{- end -}}
{{- end -}}";

pub(super) fn watchtower(cfg: &Config) -> Entry {
    let defaults = [
        ("WATCHTOWER_CLEANUP", "true"),
        ("WATCHTOWER_DEBUG", "true"),
        ("WATCHTOWER_HTTP_API_METRICS", "false"),
        ("WATCHTOWER_HTTP_API_PERIODIC_POLLS", "false"),
        ("WATCHTOWER_HTTP_API_UPDATE", "false"),
        ("WATCHTOWER_INCLUDE_RESTARTING", "true"),
        ("WATCHTOWER_INCLUDE_STOPPED", "true"),
        ("WATCHTOWER_LABEL_ENABLE", "true"),
        ("WATCHTOWER_LABEL_TAKE_PRECEDENCE", "true"),
        ("WATCHTOWER_LOG_FORMAT", "Auto"),
        ("WATCHTOWER_LOG_LEVEL", "debug"),
        ("WATCHTOWER_MONITOR_ONLY", "false"),
        ("WATCHTOWER_NOTIFICATION_REPORT", "true"),
        ("WATCHTOWER_NO_PULL", "false"),
        ("WATCHTOWER_NO_RESTART", "false"),
        ("WATCHTOWER_NO_STARTUP_MESSAGE", "false"),
        ("WATCHTOWER_REMOVE_VOLUMES", "false"),
        ("WATCHTOWER_REVIVE_STOPPED", "false"),
        ("WATCHTOWER_ROLLING_RESTART", "false"),
        ("WATCHTOWER_RUN_ONCE", "false"),
        ("WATCHTOWER_SCHEDULE", "0 0 6 * * *"),
        ("WATCHTOWER_TIMEOUT", "10s"),
        ("WATCHTOWER_TRACE", "false"),
        ("WATCHTOWER_WARN_ON_HEAD_FAILURE", "auto"),
        ("DOCKER_API_VERSION", "1.44"),
        ("DOCKER_HOST", "unix:///var/run/docker.sock"),
        ("DOCKER_TLS_VERIFY", "false"),
        ("NO_COLOR", "false"),
    ];
    let unset = [
        "WATCHTOWER_DISABLE_CONTAINERS",
        "WATCHTOWER_HTTP_API_TOKEN",
        "WATCHTOWER_NOTIFICATION_URL",
        "WATCHTOWER_PORCELAIN",
        "WATCHTOWER_SCOPE",
    ];
    service("watchtower", versioned(cfg, "docker.io/containrrr/watchtower", "WATCHTOWER_TAG", "1.7.1"))
        .about("automatic image updates of the containers that ask for them")
        .envs(defaults.map(|(name, default)| (name, cfg.var(name, default))))
        .envs(unset.into_iter().filter_map(|name| Some((name, cfg.optional(name)?))))
        .env("WATCHTOWER_NOTIFICATION_TEMPLATE", WATCHTOWER_REPORT)
        .env("TZ", time_zone(cfg))
        .secret(secret("watchtower-config.json").at("/config.json"))
        .volume(docker_socket(cfg))
        .network(BACKEND)
        .health(Health::cmd(["/watchtower", "--health-check"]).every(secs(30)))
        .allow(Lint::DockerSocket, "it replaces containers, which is all that it is for")
        .differs(
            "environment.WATCHTOWER_LABEL_ENABLE",
            "it replaced every container behind the definitions' back: only those that say \
             `com.centurylinklabs.watchtower.enable=true` now",
        )
        .differs("environment.WATCHTOWER_POLL_INTERVAL", "there was a schedule as well, and only one of the two is possible")
        .differs(
            "environment.REPO_*",
            "an account and a password of the host in plain text: the registry's login is the file `/config.json`",
        )
        .differs("environment.DOCKER_API_VERSION", "engines from 29 on refuse 1.24; 1.44 is the oldest that they take")
        .differs("configs./config.json", "it holds a login, so it is a secret; its source was a bare name")
        .differs("secrets./config.json", "the registry's login")
        .differs("healthcheck*", "there was none; the program brings one")
}
