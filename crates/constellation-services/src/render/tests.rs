use constellation_docker::{NetworkMode, Port, RestartPolicy};

use super::*;
use crate::prelude::*;

fn rendered(service: Service) -> Rendered {
    rendered_with(&Config::example(), service)
}

#[track_caller]
fn rendered_with(config: &Config, service: Service) -> Rendered {
    let stack = Stack::new("blog").service(service);
    render(&[stack], config, &SecretGenerations::default()).unwrap().services.remove(0)
}

fn web() -> Service {
    Service::new("web", "example/web:1.0")
}

fn labels(service: Service) -> BTreeMap<String, String> {
    rendered(service).spec.labels
}

#[test]
fn a_plain_service_is_confined_and_its_log_bounded() {
    let spec = rendered(web()).spec;
    assert_eq!((spec.name.as_str(), spec.image.as_str()), ("web", "example/web:1.0"));
    assert_eq!(spec.cap_drop, ["ALL"]);
    assert_eq!(spec.security_opt, ["no-new-privileges:true"]);
    assert_eq!(spec.restart, RestartPolicy::Always);
    assert_eq!(spec.resources.pids, Some(4096));
    let (driver, options) = spec.logging.unwrap();
    assert_eq!((driver.as_str(), options["max-size"].as_str()), ("json-file", "10485760"));
    assert_eq!(spec.networks.keys().collect::<Vec<_>>(), ["infra_backend"]);
    assert_eq!(spec.networks["infra_backend"], ["web"]);
}

#[test]
fn a_routed_service_is_on_publicnet_and_one_with_anonymous_egress_only_there() {
    let networks = |service: Service| rendered(service).spec.networks.into_keys().collect::<Vec<_>>();
    assert_eq!(networks(web().route(Route::http(80))), ["infra_backend", "infra_publicnet"]);
    assert_eq!(networks(web().route(Route::http(80)).egress(Egress::Warp)), ["warp-nat-net"]);
    assert_eq!(networks(web().network(PUBLICNET)), ["infra_publicnet"]);
    assert_eq!(networks(web().host_network()), Vec::<String>::new());
}

#[test]
fn a_route_becomes_labels_with_both_hosts() {
    let labels = labels(web().route(Route::http(8080)));
    assert_eq!(labels["traefik.enable"], "true");
    assert_eq!(
        labels["traefik.http.routers.web.rule"],
        "Host(`web.example.org`) || Host(`web.n1.example.org`)"
    );
    assert_eq!(labels["traefik.http.services.web.loadbalancer.server.port"], "8080");
    assert_eq!(labels["constellation.service"], "blog/web");
    assert_eq!(labels["constellation.stack"], "blog");
}

#[test]
fn paths_narrow_hosts_and_middlewares_keep_their_order() {
    let route = Route::http(80)
        .host("a.example.org")
        .path("/x")
        .path("/y")
        .middleware("gzip")
        .auth("sso@file")
        .entry_point("websecure")
        .priority(7)
        .cert_resolver("letsencrypt");
    let labels = labels(web().route(route).middleware(Middleware::compress("gzip")));
    let of = |field: &str| labels[&format!("traefik.http.routers.web.{field}")].as_str();
    assert_eq!(of("rule"), "(Host(`a.example.org`)) && (PathPrefix(`/x`) || PathPrefix(`/y`))");
    assert_eq!(of("middlewares"), "gzip@docker,sso@file");
    assert_eq!((of("entrypoints"), of("priority")), ("websecure", "7"));
    assert_eq!((of("tls"), of("tls.certresolver")), ("true", "letsencrypt"));
    assert_eq!(labels["traefik.http.middlewares.gzip.compress"], "true");
}

#[test]
fn an_alias_is_redirected_to_the_canonical_host_with_its_path() {
    let config = Config::example();
    let route = Route::http(80).host(config.host("blog")).redirect_from(config.host("www"));
    let labels = labels(web().route(route));
    assert_eq!(
        labels["traefik.http.routers.www-redirect.rule"],
        "Host(`www.example.org`) || Host(`www.n1.example.org`)"
    );
    assert_eq!(labels["traefik.http.routers.www-redirect.middlewares"], "www-redirect@docker");
    let of = |field: &str| {
        labels[&format!("traefik.http.middlewares.www-redirect.redirectRegex.{field}")].as_str()
    };
    assert_eq!(of("regex"), r"^https?://www\.((?:example\.org|n1\.example\.org))(.*)$");
    assert_eq!(of("replacement"), "https://blog.$1$2");
    let route = Route::http(80).host("example.org").redirect_from("www.example.org");
    let labels = self::labels(web().route(route));
    let of = |field: &str| {
        labels[&format!("traefik.http.middlewares.web-redirect-1.redirectRegex.{field}")].as_str()
    };
    assert_eq!(
        (of("regex"), of("replacement")),
        (r"^https?://(?:www\.example\.org)(.*)$", "https://example.org$1")
    );
}

#[test]
fn tcp_and_udp_routes_have_labels_of_their_own() {
    let config = Config::example();
    let service = Service::new("db", "x:1.0")
        .route(Route::tcp(27017).sni(config.host("db")).entry_point("mongo").tls())
        .route(Route::udp(53).named("dns").entry_point("dns"));
    let labels = labels(service.clone());
    assert_eq!(
        labels["traefik.tcp.routers.db.rule"],
        "HostSNI(`db.example.org`) || HostSNI(`db.n1.example.org`)"
    );
    assert_eq!(labels["traefik.tcp.routers.db.tls"], "true");
    assert_eq!(labels["traefik.tcp.services.db.loadbalancer.server.port"], "27017");
    assert_eq!(labels["traefik.udp.routers.dns.entrypoints"], "dns");
    assert_eq!(labels["traefik.udp.services.dns.loadbalancer.server.port"], "53");
    assert_eq!(
        rendered(service).spec.exposed,
        [Port::udp(53), Port::tcp(27017)]
            .map(|port| port)
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_secret_is_a_read_only_file_and_its_variable_only_says_where() {
    let key = secret("key.txt").env_file("KEY_FILE").env_as("KEY_URL", "file://{}").owner(70, 70);
    let rendered = rendered(web().secret(key));
    assert_eq!(rendered.spec.env["KEY_FILE"], "/run/secrets/key");
    assert_eq!(rendered.spec.env["KEY_URL"], "file:///run/secrets/key");
    let copy = &rendered.secrets[0];
    assert_eq!(copy.source.to_str(), Some("/opt/constellation/secrets/key.txt"));
    assert_eq!(copy.copy.to_str(), Some("/opt/constellation/data/deploy/secrets/blog/web/key.txt.1"));
    assert_eq!((copy.mode, copy.owner), (0o400, Some((70, 70))));
    assert!(rendered.spec.mounts[0].read_only);
}

#[test]
fn a_rotated_secret_changes_the_definition_and_its_old_copy_keeps_its_place() {
    let stack = || [Stack::new("blog").service(web().secret(secret("key.txt")))];
    let generation = |number| SecretGenerations([(("blog/web".into(), "key.txt".into()), number)].into());
    let of = |number| render(&stack(), &Config::example(), &generation(number)).unwrap().services.remove(0);
    assert_ne!(of(1).definition, of(2).definition);
    assert_ne!(of(1).secrets[0].copy, of(2).secrets[0].copy);
}

#[test]
fn a_changed_configuration_file_changes_the_definition() {
    let of = |content: &str| rendered(web().config(config_file("/etc/app.toml", content)));
    assert_ne!(of("a = 1").definition, of("a = 2").definition);
    assert_eq!(of("a = 1"), of("a = 1"));
    let rendered = of("a = 1");
    assert_eq!(rendered.files[0].content, b"a = 1");
    let source = rendered.files[0].path.to_string_lossy().into_owned();
    assert!(source.starts_with("/opt/constellation/data/deploy/files/blog/web/app.toml-"), "{source}");
}

#[test]
fn rendering_is_deterministic_whatever_the_order_of_words() {
    let a =
        web().env("A", "1").env("B", "2").label("x", "1").label("y", "2").network(BACKEND).network(PUBLICNET);
    let b =
        web().label("y", "2").network(PUBLICNET).env("B", "2").label("x", "1").network(BACKEND).env("A", "1");
    assert_eq!(rendered(a).definition, rendered(b).definition);
}

#[test]
fn folders_below_the_volumes_path_are_made_and_others_are_not() {
    let config = Config::example();
    let service = web()
        .volume(bind(config.volume("web/data")).owned_by(1, 2).at("/data"))
        .volume(bind(config.volume("web/settings.ini")).file().at("/settings.ini"))
        .volume(bind("/etc/passwd").at("/etc/passwd").read_only())
        .volume(named("cache").at("/cache"))
        .volume(tmpfs(1.mib()).at("/tmp"));
    let rendered = rendered(service);
    let folders: Vec<_> = rendered.folders.iter().map(|folder| folder.path.to_str().unwrap()).collect();
    assert_eq!(folders, ["/opt/constellation/volumes/web/data"]);
    assert_eq!(rendered.volumes[0].name, "blog_cache");
}

#[test]
fn the_new_one_starts_first_only_where_two_can_stand_side_by_side() {
    let order = |service: Service| rendered(service).order;
    let healthy = || web().health(Health::cmd(["true"]));
    assert_eq!(order(healthy()), Order::StartFirst);
    assert_eq!(order(web()), Order::StopFirst);
    assert_eq!(order(healthy().publish(localhost(80))), Order::StopFirst);
    assert_eq!(order(healthy().volume(named("data").at("/data"))), Order::StopFirst);
    assert_eq!(order(healthy().volume(named("data").at("/data").read_only())), Order::StartFirst);
    assert_eq!(
        order(healthy().volume(named("data").at("/data")).update(Update::start_first())),
        Order::StartFirst
    );
}

#[test]
fn healing_follows_from_a_health_check_unless_said() {
    let heal = |service: Service| labels(service).get("constellation.heal").cloned();
    assert_eq!(heal(web()), None);
    assert_eq!(heal(web().health(Health::cmd(["true"]))).as_deref(), Some("restart"));
    assert_eq!(heal(web().health(Health::cmd(["true"])).heal(Heal::None)).as_deref(), Some("none"));
}

#[test]
fn dashboards_follow_the_first_routed_host() {
    let service = web()
        .route(Route::http(80).host("blog.example.org"))
        .homepage(Homepage::new("Media", "Blog").widget("type", "x"))
        .uptime(Uptime::http())
        .metrics(9100, "/metrics");
    let labels = labels(service);
    assert_eq!(labels["homepage.href"], "https://blog.example.org/");
    assert_eq!(labels["homepage.widget.type"], "x");
    assert_eq!(labels["kuma.web.http.url"], "https://blog.example.org");
    assert_eq!(labels["kuma.web.http.name"], "web.n1.example.org");
    assert_eq!(labels["kuma.web.http.interval"], "60");
    assert_eq!(labels["prometheus.io/port"], "9100");
}

#[test]
fn every_value_has_a_reason_and_a_variable_names_itself() {
    let config = Config::from_parts([("DOMAIN", "example.org"), ("LEVEL", "debug")]);
    let service =
        web().env("LOG_LEVEL", config.var("LEVEL", "info")).env("REGION", config.var("REGION", "eu"));
    let rendered = rendered_with(&config, service);
    let why = |field: &str| rendered.why.iter().find(|why| why.field == field).unwrap().why.as_str();
    assert_eq!(why("env.LOG_LEVEL"), "variable LEVEL (environment)");
    assert_eq!(why("env.REGION"), "variable REGION (default)");
    assert!(why("networks").contains("not routed"));
    assert!(why("update.order").contains("health check"));
}

#[test]
fn a_job_does_not_come_back_and_a_shared_network_is_another_container_s() {
    let rendered = rendered(Service::job("migrate", "x:1.0"));
    assert!(rendered.job);
    assert_eq!(rendered.spec.restart, RestartPolicy::No);
    let stack = Stack::new("vpn")
        .service(Service::new("gateway", "x:1.0").container_name("the-gateway"))
        .service(Service::new("client", "x:1.0").network_of("gateway"));
    let desired = render(&[stack], &Config::example(), &SecretGenerations::default()).unwrap();
    let client = &desired.services[1].spec;
    assert_eq!(client.network_mode, NetworkMode::Container("the-gateway".to_owned()));
    assert_eq!(client.hostname, None);
}

#[test]
fn only_networks_in_use_are_asked_for_with_all_their_settings() {
    let stack = Stack::new("s").service(Service::new("x", "x:1.0").egress(Egress::Warp));
    let desired = render(&[stack], &Config::example(), &SecretGenerations::default()).unwrap();
    let [network] = desired.networks.as_slice() else { panic!("{:?}", desired.networks) };
    assert_eq!(network.spec.name, "warp-nat-net");
    assert_eq!(network.spec.subnet.as_deref(), Some("10.0.2.0/24"));
    assert_eq!(network.spec.gateway.as_deref(), Some("10.0.2.1"));
    assert_eq!(network.spec.options["com.docker.network.bridge.name"], "br_warp-nat-net");
    assert_eq!(network.spec.options["com.docker.network.bridge.enable_ip_masquerade"], "false");
}
