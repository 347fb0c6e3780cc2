//! The tool on the definitions of the suite, as an operator's own crate has it. Variables turn its knobs: which services
//! there are, which version they have, which of them is sick.

#[path = "../../../../../examples/noticeboard/src/board.rs"]
mod board;

use std::process::ExitCode;

use constellation_services::prelude::*;

fn main() -> ExitCode {
    constellation_services::cli(|cfg| match cfg.var("SCENARIO", "ten").as_str() {
        "pair" => vec![pair(cfg)],
        "bad" => vec![bad(cfg)],
        "noticeboard" => vec![board::noticeboard(cfg)],
        _ => vec![ten(cfg)],
    })
}

/// What the containers of one test are named after.
fn run(cfg: &Config) -> String {
    cfg.required("RUN", "the suite sets it").to_string()
}

/// A service that the actor plays, with its own container name, as there are several tests on one engine.
fn actor(cfg: &Config, name: &str, part: &[&str]) -> Service {
    shaped(Service::new(name, ours(cfg)), cfg, name, part)
}

fn ours(cfg: &Config) -> Image {
    image(cfg.required("ACTOR", "the suite sets it").as_str()).pull(Pull::Never)
}

fn shaped(service: Service, cfg: &Config, name: &str, part: &[&str]) -> Service {
    played(service, cfg, name, part).container_name(format!("{}-{name}", run(cfg)))
}

/// A service that the actor plays, and the knobs of its name.
fn played(service: Service, cfg: &Config, name: &str, part: &[&str]) -> Service {
    let version = cfg.var("VERSION", "1");
    let upper = name.to_uppercase();
    let sick = cfg.var(&format!("{upper}_SICK"), "0");
    let part = if cfg.flag(&format!("{upper}_CRASHES"), false) { &["crash"] } else { part };
    let command = ["/bin/actor"].iter().chain(part).copied().collect::<Vec<_>>();
    service
        .command(command)
        .env("NAME", name)
        .env("VERSION", cfg.var(&format!("{upper}_VERSION"), version))
        .env("SICK", sick)
        // It is the first process of its container and does not look at signals.
        .stop_signal("SIGKILL")
        .update(Update::default().monitor(millis(200)))
        .memory(64.mib())
}

fn web(cfg: &Config, name: &str) -> Service {
    actor(cfg, name, &["web"]).health(asked())
}

fn asked() -> Health {
    Health::cmd(["/bin/actor", "get", "/health"])
        .every(millis(250))
        .timeout(secs(2))
        .retries(3)
        .start_period(secs(1))
}

/// Ten services and a job: dependencies, secrets, configuration files, two networks, a published port, each order of
/// replacement, and Redis.
fn ten(cfg: &Config) -> Stack {
    let store =
        Service::new("store", image(cfg.required("REDIS", "the suite sets it").as_str()).pull(Pull::Never))
            .container_name(format!("{}-store", run(cfg)))
            .command(["/usr/bin/redis-server", "/etc/redis.conf"])
            .config(config_file("/etc/redis.conf", "include /run/secrets/store-auth\nsave \"\"\ndir /tmp\n"))
            .secret(secret("store-auth.txt"))
            .volume(tmpfs(16.mib()).at("/tmp"))
            .network("inside")
            .health(Health::cmd(["/usr/bin/redis-cli", "ping"]).every(millis(250)).start_period(secs(1)))
            .update(Update::stop_first().monitor(millis(200)))
            .memory(64.mib());
    let migrate = Service::job("migrate", ours(cfg));
    let migrate = shaped(migrate, cfg, "migrate", &["job", "reach=store:6379", "exit=0"])
        .network("inside")
        .depends_on("store", Healthy);
    let api = web(cfg, "api")
        .networks(["inside", "front"])
        .secret(secret("token.txt").env_file("TOKEN_FILE").mode(0o400))
        .config(config_file(
            "/etc/api.toml",
            format!("level = {:?}\n", cfg.var("API_LEVEL", "info").as_str()),
        ))
        .depends_on("migrate", Completed)
        .depends_on("store", Healthy);
    let front = web(cfg, "web")
        .network("front")
        .depends_on("api", Healthy)
        .update(Update::start_first().monitor(millis(200)));
    let gate = web(cfg, "gate")
        .network("front")
        .publish(localhost(cfg.port("GATE_PORT", 18080)).to(8080))
        .depends_on("web", Started);
    let slow = web(cfg, "slow")
        .network("front")
        .env("SLOW_MS", 1200)
        .update(Update::start_first().monitor(millis(200)));
    let flaky = web(cfg, "flaky").network("front").env("FLAKY", 2);
    let worker = actor(cfg, "worker", &["sleep"]).network("inside").depends_on("store", Started);
    let cron = actor(cfg, "cron", &["sleep"]).network("inside").volume(named("state").at("/state"));
    let cache = web(cfg, "cache").network("inside").volume(bind(cfg.volume("cache")).at("/cache"));
    let mail = actor(cfg, "mail", &["sleep"]).network(attach("front").alias("smtp"));
    let all = [store, migrate, api, front, gate, slow, flaky, worker, cron, cache, mail];
    let without = cfg.var("WITHOUT", "");
    Stack::new(run(cfg))
        .network(Network::new("inside").internal())
        .network(Network::new("front"))
        .services(all.into_iter().filter(|service| service.name() != without.as_str()))
}

/// Two services, for tests that are about one. Each is named after the run, and so is its container.
fn pair(cfg: &Config) -> Stack {
    let name = |short: &str| format!("{}-{short}", run(cfg));
    let named = |short: &str| {
        let service = Service::new(name(short), ours(cfg)).network("front").health(asked());
        played(service, cfg, short, &["web"])
    };
    let web = named("web")
        .env("SLOW_MS", cfg.number("WEB_SLOW_MS", 0))
        .update(Update::start_first().monitor(millis(200)));
    let gate = named("gate")
        .publish(localhost(cfg.port("GATE_PORT", 18080)).to(8080))
        .depends_on(name("web"), Healthy);
    let without = name(&cfg.var("WITHOUT", "nothing"));
    let all = [web, gate].into_iter().filter(|service| service.name() != without);
    Stack::new(run(cfg)).network(Network::new("front")).services(all)
}

/// One service with something wrong about it.
fn bad(cfg: &Config) -> Stack {
    let plain = || actor(cfg, "web", &["web"]).network("front");
    let service = match cfg.var("BAD", "").as_str() {
        "secret" => plain().secret(secret("absent.txt")),
        "mode" => plain().secret(secret("open.txt")),
        "network" => plain().network("lan"),
        "image" => Service::new("web", image("constellation-e2e/no-such-image:1").pull(Pull::Never))
            .container_name(format!("{}-web", run(cfg)))
            .network("front"),
        "registry" => Service::new("web", "127.0.0.1:1/no-such-image:1")
            .container_name(format!("{}-web", run(cfg)))
            .network("front"),
        "port" => plain().publish(localhost(cfg.port("GATE_PORT", 18080)).to(8080)),
        "label" => plain().label("note", "x\ntraefik.enable=true"),
        "slash" => Service::new("a/web", ours(cfg)),
        "folder" => plain().volume(bind(cfg.root("absent")).at("/data")),
        "entrypoint" => plain().command(["/bin/absent"]),
        "config" => plain().config(config_file("/etc/big.conf", "x".repeat(1 << 20))),
        _ => plain(),
    };
    Stack::new(run(cfg)).network(Network::new("front")).service(service)
}
