//! Traefik itself. Its routes come from three sides: the agent (all nodes), labels of this node's containers, and files.

use constellation_services::prelude::*;

use super::{
    CLOUDFLARE, CROWDSEC_KEY,
    dynamic::{self, has_crowdsec},
};
use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, service, versioned},
};

/// Names of Traefik's middlewares on its entry point.
fn entry_middlewares(cfg: &Config) -> String {
    let mut names = vec![cfg.var("TRAEFIK_ERROR_PAGES_MIDDLEWARE", "error-pages@file")];
    if has_crowdsec(cfg) {
        names.push(cfg.var("TRAEFIK_CROWDSEC_MIDDLEWARE", "crowdsec@file"));
    }
    names.push(cfg.var("TRAEFIK_STRIP_WWW_MIDDLEWARE", "strip-www@file"));
    names.iter().map(Var::as_str).collect::<Vec<_>>().join(",")
}

fn certificates(cfg: &Config) -> Vec<String> {
    let acme = format!("--certificatesResolvers.{}.acme", resolver(cfg));
    vec![
        format!(
            "{acme}.caServer={}",
            cfg.var("TRAEFIK_CA_SERVER", "https://acme-v02.api.letsencrypt.org/directory")
        ),
        format!("{acme}.dnsChallenge={}", cfg.var("TRAEFIK_DNS_CHALLENGE", "true")),
        format!("{acme}.dnsChallenge.provider=cloudflare"),
        format!("{acme}.dnsChallenge.resolvers={}", cfg.var("TRAEFIK_DNS_RESOLVERS", "1.1.1.1,1.0.0.1")),
        format!("{acme}.email={}", cfg.var("ACME_RESOLVER_EMAIL", "")),
        format!("{acme}.httpChallenge={}", cfg.var("TRAEFIK_HTTP_CHALLENGE", "false")),
        format!("{acme}.httpChallenge.entryPoint=web"),
        format!("{acme}.tlsChallenge={}", cfg.var("TRAEFIK_TLS_CHALLENGE", "false")),
        format!("{acme}.storage=/certs/acme.json"),
    ]
}

fn resolver(cfg: &Config) -> Var {
    cfg.var("TRAEFIK_CERT_RESOLVER", "letsencrypt")
}

/// Ports inside.
struct Ports {
    web: u16,
    websecure: u16,
}

fn entry_points(cfg: &Config, ports: &Ports) -> Vec<String> {
    let domain = cfg.domain();
    let wildcard = cfg.host("*").names().join(",");
    let trusted = CLOUDFLARE.join(",");
    vec![
        format!("--entryPoints.web.address=:{}", ports.web),
        "--entryPoints.web.http.redirections.entryPoint.scheme=https".to_owned(),
        "--entryPoints.web.http.redirections.entryPoint.to=websecure".to_owned(),
        format!("--entryPoints.web.forwardedHeaders.trustedIPs={trusted}"),
        format!("--entryPoints.websecure.address=:{}", ports.websecure),
        "--entryPoints.websecure.http.encodeQuerySemiColons=true".to_owned(),
        format!("--entryPoints.websecure.http.middlewares={}", entry_middlewares(cfg)),
        "--entryPoints.websecure.http.tls=true".to_owned(),
        format!("--entryPoints.websecure.http.tls.certResolver={}", resolver(cfg)),
        format!("--entryPoints.websecure.http.tls.domains[0].main={domain}"),
        format!("--entryPoints.websecure.http.tls.domains[0].sans=www.{domain},{wildcard}"),
        format!("--entryPoints.websecure.forwardedHeaders.trustedIPs={trusted}"),
        "--entryPoints.websecure.http2.maxConcurrentStreams=100".to_owned(),
        "--entryPoints.websecure.http3".to_owned(),
    ]
}

fn providers(cfg: &Config, engine: &str) -> Vec<String> {
    let names = ["{{ normalize .ContainerName }}", "{{ normalize .Name }}"];
    let hosts: Vec<String> = cfg
        .apex()
        .names()
        .iter()
        .flat_map(|suffix| names.map(|name| format!("Host(`{name}.{suffix}`)")))
        .collect();
    let agent =
        format!("http://host.docker.internal:{}/api/dynamic", cfg.port("TRAEFIK_HTTP_PROVIDER_PORT", 8081));
    vec![
        // The figures of docs/routes.md: a change is live in well under half a second.
        format!("--providers.http.endpoint={}", cfg.var("TRAEFIK_HTTP_PROVIDER", agent)),
        "--providers.http.pollInterval=250ms".to_owned(),
        "--providers.providersThrottleDuration=100ms".to_owned(),
        "--providers.docker=true".to_owned(),
        format!("--providers.docker.endpoint={engine}"),
        format!("--providers.docker.network={}", cfg.network(PUBLICNET)),
        format!("--providers.docker.defaultRule={}", hosts.join(" || ")),
        "--providers.docker.exposedByDefault=false".to_owned(),
        "--providers.file.directory=/traefik/dynamic/".to_owned(),
        "--providers.file.watch=true".to_owned(),
    ]
}

const FIXED: &[&str] = &[
    "--accessLog=true",
    "--accessLog.bufferingSize=0",
    "--accessLog.fields.headers.defaultMode=drop",
    "--accessLog.fields.headers.names.User-Agent=keep",
    "--accessLog.fields.names.StartUTC=drop",
    "--accessLog.filePath=/var/log/traefik/traefik.log",
    "--accessLog.filters.statusCodes=100-999",
    "--accessLog.format=json",
    "--metrics.prometheus.buckets=0.1,0.3,1.2,5.0",
    "--api=true",
    "--api.dashboard=true",
    "--api.disableDashboardAd=true",
    "--global.checkNewVersion=true",
    "--global.sendAnonymousUsage=false",
    "--log.level=INFO",
    "--ping=true",
];

pub(super) fn traefik(cfg: &Config) -> Entry {
    let engine = cfg.var("TRAEFIK_DOCKER_HOST", "tcp://dockerproxy-ro:2375");
    let ports =
        Ports { web: cfg.port("TRAEFIK_WEB_PORT", 80), websecure: cfg.port("TRAEFIK_WEBSECURE_PORT", 443) };
    let mut command: Vec<String> = FIXED.iter().map(|&word| word.to_owned()).collect();
    command.extend(certificates(cfg));
    command.extend(entry_points(cfg, &ports));
    command.extend(providers(cfg, &engine));
    if has_crowdsec(cfg) {
        let plugin = "github.com/maxlerebourg/crowdsec-bouncer-traefik-plugin";
        command.push(format!("--experimental.plugins.bouncer.modulename={plugin}"));
        command.push("--experimental.plugins.bouncer.version=v1.4.6".to_owned());
    }
    let service = service("traefik", versioned(cfg, "docker.io/traefik", "TRAEFIK_TAG", "v3.7.5"))
        .about("the way in: routes requests from outside to the services of all nodes")
        .command(command)
        .envs(cfg.optional("CLOUDFLARE_EMAIL").map(|address| ("CLOUDFLARE_EMAIL", address)))
        .envs(cfg.optional("CLOUDFLARE_ZONE_ID").map(|zone| ("CLOUDFLARE_ZONE_ID", zone)))
        .envs(cfg.optional("ACME_RESOLVER_EMAIL").map(|address| ("LETS_ENCRYPT_EMAIL", address)))
        .envs(cfg.optional("DOCKER_API_VERSION_OVERRIDE").map(|version| ("DOCKER_API_VERSION", version)))
        .env("DOCKER_HOST", &engine)
        .secret(secret("cf-api-key.txt").at("cloudflare-api-key").env_file("CLOUDFLARE_API_KEY_FILE"))
        .config(config_file("/traefik/dynamic/core.yaml", dynamic::core(cfg)))
        .volume(bind(cfg.volume("traefik/dynamic")).at("/traefik/dynamic"))
        .volume(bind(cfg.volume("traefik/certs")).at("/certs"))
        .volume(bind(cfg.volume("traefik/plugins-local")).at("/plugins-local"))
        .volume(bind(cfg.volume("traefik/logs")).at("/var/log/traefik"))
        .networks([DEFAULT_NET, NGINX_NET, PUBLICNET])
        .publish(all_interfaces(80).to(ports.web))
        .publish(all_interfaces(443).to(ports.websecure))
        .publish(all_interfaces(443).to(ports.websecure).udp())
        .route(Route::http(8080).to("api@internal").auth(NGINX_AUTH))
        .health(
            Health::shell("traefik healthcheck --ping")
                .every(secs(10))
                .timeout(secs(3))
                .retries(3)
                .start_period(secs(10)),
        )
        .depends_on("dockerproxy-ro", Healthy)
        .depends_on("crowdsec", Started)
        .homepage(
            Homepage::new("Infrastructure", "Traefik")
                .icon("traefik.png")
                .href(format!("https://{}/dashboard", cfg.fqdn("traefik")))
                .description("Who is routed where"),
        )
        .uptime(Uptime::http().url(format!("https://{}/dashboard", cfg.fqdn("traefik"))).every(secs(20)))
        .caps(&[Cap::NetBindService])
        .allow(Lint::AllInterfaces, "it is the way in from outside");
    let service = match has_crowdsec(cfg) {
        true => service.secret(secret(CROWDSEC_KEY)),
        false => service,
    };
    service
        .differs("cap_add", "it configures no network: ports below 1024 are all that it asks for")
        .differs("volumes./var/run/docker.sock", "the socket takes writes, however it is mounted: it asks the read-only proxy")
        .differs("command.providers.docker.endpoint", "the read-only proxy, as above")
        .differs("environment.DOCKER_HOST", "the read-only proxy, as above")
        .differs("environment.DOCKER_API_VERSION", "1.52 is refused by engines before 29; it agrees on a version by itself")
        .differs(
            "command.providers.http.*",
            "nothing polled the agent; tell that to listen there (`PROVIDER_LISTEN`, on the gateway's address of the network)",
        )
        .differs("command.providers.providersthrottleduration", "a change of routes is live at once")
        .differs("configs./traefik/dynamic/core.yaml", "the entry point named middlewares that no file defined")
        .differs(
            "command.experimental.plugins.*",
            "the guard's plugin had no version, and one that cannot be fetched takes every route with it: it is there with \
             TRAEFIK_CROWDSEC_ENABLED=true; nothing used the other one",
        )
        .differs("command.entrypoints.websecure.http.middlewares", "without CrowdSec's, which is there when it is enabled")
        .differs("command.api.insecure", "everybody on its networks could read and change nothing, but read all")
        .differs("command.api.debug", "nobody debugs it here")
        .differs("labels.traefik.http.routers.traefik.middlewares", "the dashboard asked nobody who they are")
        .differs("labels.homepage.widget.*", "it needs the API without a login, on every network of Traefik's")
        .differs("command.serverstransport.insecureskipverify", "every certificate of a service was believed")
        .differs("ports", "TRAEFIK_WEB_PORT and TRAEFIK_WEBSECURE_PORT are ports inside, and were not published")
        .differs("expose", "as above")
}
