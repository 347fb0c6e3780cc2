use super::*;
use crate::prelude::*;

/// A service that no lint finds anything about.
fn clean() -> Service {
    Service::new("app", "example/app:1.2").health(Health::cmd(["true"])).memory(64.mib()).cpus(0.5.cores())
}

fn findings(service: Service) -> Vec<(Lint, Severity)> {
    let stack = Stack::new("s").service(service);
    let findings = lint(&[stack], &Config::example());
    findings
        .iter()
        .filter(|finding| finding.allowed.is_none())
        .map(|finding| (finding.lint, finding.severity))
        .collect()
}

#[test]
fn a_careful_service_is_left_in_peace() {
    assert_eq!(findings(clean()), []);
}

#[test]
fn each_risk_is_found_by_its_name() {
    use Severity::{Error, Note, Warning};
    let socket = || bind("/var/run/docker.sock").file().at("/var/run/docker.sock");
    let routed = |route: HttpRoute| clean().route(route);
    let image = |name: &str| Service { image: name.into(), ..clean() };
    let cases = [
        (clean().privileged(), Lint::Privileged, Error),
        (clean().volume(socket()), Lint::DockerSocket, Error),
        (clean().volume(socket().read_only()), Lint::DockerSocket, Warning),
        (clean().volume(bind("/var/run").at("/var/run").read_only()), Lint::DockerSocket, Warning),
        (clean().volume(bind("/").at("/host")), Lint::HostRoot, Error),
        (clean().volume(bind("/").at("/host").read_only()), Lint::HostRoot, Warning),
        (clean().caps(&[Cap::NetAdmin]), Lint::StrongCapability, Warning),
        (clean().engine_caps(), Lint::EngineCapabilities, Note),
        (clean().host_network(), Lint::HostNetwork, Warning),
        (clean().publish(all_interfaces(443)), Lint::AllInterfaces, Error),
        (clean().publish(localhost(8090)), Lint::AgentPort, Warning),
        (routed(Route::http(80)), Lint::NoAuthentication, Warning),
        (routed(Route::http(80).to("api@internal")), Lint::NoAuthentication, Error),
        (image("docker.io/amir20/dozzle:v8.5.1").route(Route::http(80)), Lint::NoAuthentication, Error),
        (image("docker.io/postgres:16.4").networks([BACKEND, PUBLICNET]), Lint::PublicDatabase, Error),
        (image("redis:7"), Lint::FloatingTag, Warning),
        (clean().env("DB_PASSWORD", "hunter2"), Lint::PlainSecret, Error),
        (clean().env("DATABASE_URL", "postgres://u:p@db/x"), Lint::PlainSecret, Error),
        (clean().command(["serve", "--api-key=abc"]), Lint::PlainSecret, Error),
        (clean().command(["redis-server", "--requirepass", "abc"]), Lint::PlainSecret, Error),
        (clean().health(Health::shell("apk add curl && curl x")), Lint::StrangeHealthCheck, Warning),
        (clean().health(Health::shell("curl x || true")), Lint::StrangeHealthCheck, Warning),
        (Service { health: None, ..clean() }, Lint::NoHealthCheck, Warning),
        (clean().allow(Lint::Privileged, "because"), Lint::UnusedAllow, Note),
    ];
    for (service, lint, severity) in cases {
        assert_eq!(findings(service.clone()), [(lint, severity)], "{service:?}");
    }
    let unlimited = Service::new("app", "example/app:1.2").health(Health::cmd(["true"]));
    assert_eq!(findings(unlimited), [(Lint::NoMemoryLimit, Warning), (Lint::NoCpuLimit, Note)]);
}

#[test]
fn what_only_looks_like_a_secret_is_none() {
    let quiet = clean()
        .env("DB_PASSWORD_FILE", "/run/secrets/x")
        .env("DB_PASSWORD", "")
        .env("SECRET_KEY", "file:///run/secrets/key")
        .env("TOKEN_LIFETIME", "3600")
        .env("USE_TOKEN", "true")
        .env("URL", "http://user@host/x:y@z")
        .command(["--token-file=/run/secrets/x", "--keyspace=a"]);
    assert_eq!(findings(quiet), []);
}

#[test]
fn a_value_of_the_operator_s_own_is_a_warning_and_a_default_an_error() {
    let config = Config::from_parts([("DOMAIN", "example.org"), ("A_PASSWORD", "x")]);
    let service = clean()
        .env("A_PASSWORD", config.var("A_PASSWORD", ""))
        .env("B_PASSWORD", config.var("B_PASSWORD", "b"));
    let found = lint(&[Stack::new("s").service(service)], &config);
    let severities: Vec<Severity> = found.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning], "{found:?}");
}

#[test]
fn an_answer_keeps_the_finding_and_its_reason() {
    let service = clean().privileged().allow(Lint::Privileged, "it loads modules");
    let found = lint(&[Stack::new("s").service(service)], &Config::example());
    assert_eq!(found[0].allowed.as_deref(), Some("it loads modules"));
}

#[test]
fn routes_that_say_who_may_are_left_in_peace() {
    for route in [
        Route::http(80).auth("sso@file"),
        Route::http(80).own_login(),
        Route::http(80).public("everybody reads it"),
    ] {
        assert_eq!(findings(clean().route(route)), []);
    }
}

#[test]
fn two_defaults_of_one_variable_are_a_contradiction() {
    let config = Config::example();
    config.var("PGID", "1");
    config.var("PGID", "2");
    assert_eq!(lint(&[], &config)[0].lint, Lint::ContradictingDefaults);
}
