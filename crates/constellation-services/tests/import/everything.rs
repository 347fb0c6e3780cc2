//! The stack `every-thing`, made from a Compose file.
//!
//! - line 5: include: other files are not read: import each, or merge them with `docker compose config`
//! - line 151: networks.outside: it was made outside of this project: if it is Traefik's, services that are
//!   routed are on `PUBLICNET` here; if several stacks share it, put it under [networks] in the configuration
//!   file
//! - A service that says nothing of `restart` comes back here, also after the machine did. What is to run
//!   once is a `Service::job`.
//! - `.engine_caps()` keeps the capabilities that every container of Compose has. Without it a service has
//!   none: try that, or `.caps(STEP_DOWN)` for images that start as root and step down.
//! - Nothing inside may gain rights, as `sudo` does, unless `.new_privileges()` says so.
//! - Bound folders must be there: `cfg.volume("name")` in place of a path is made where it is missing.
//! - A secret is a file that only its owner reads, root unless `.owner(uid, gid)` says otherwise.
//! - A container has its service's name, without the project's before it.

use constellation_services::prelude::*;

/// What the Compose file describes.
pub fn stack(cfg: &Config) -> Stack {
    Stack::new("every-thing")
        .network(Network::new("default"))
        .network(
            Network::new("front")
                .option("com.docker.network.bridge.name", "br_front")
                .subnet("10.90.0.0/24")
                .gateway("10.90.0.1"),
        )
        .network(Network::new("outside").named("proxy"))
        .service(long_forms(cfg))
        .service(short_forms(cfg))
        .service(host_net())
        .service(tcp())
        .service(build_service())
}

fn long_forms(cfg: &Config) -> Service {
    let image = build(cfg.root("src").as_str())
        .dockerfile("Dockerfile.prod")
        .arg("VERSION", String::from(cfg.required("VERSION", "say which")))
        .tagged("registry.example.org/long:1.2.3");
    Service::new("long-forms", image)
        // line 12, `build.args`: an argument without a value came from the shell: say it
        // line 13, `build.target`: the language has no word for it: left out
        .entrypoint(["/bin/app", "--serve"])
        .command(["--color".to_owned(), String::from(cfg.var("COLOR", "never"))])
        .workdir("/srv")
        .user("app")
        .group("5")
        .group("video")
        .container_name("long")
        .hostname("long.example.org")
        // line 43, `secrets`: its value came from the variable API_TOKEN: write it to token.txt below
        // SECRETS_PATH, mode 0600
        .secret(secret("token.txt").at("api-token").mode(0o440).owner(33, 33))
        .config(config_file("/etc/app/app.toml", format!(r#"listen = "0.0.0.0:80"
domain = "{}"
"#, cfg.domain())).mode(0o400))
        // line 46, `configs`: bound as it is: with `config_file` its content stands here, and a change is a
        // new service
        .volume(bind(cfg.root("motd.txt")).file().at("/motd").read_only())
        // line 35, `volumes.bind.propagation`: the language has no word for it: left out
        // line 35, `volumes`: a path with `..` is refused: write it out
        .volume(bind("../shared").at("/shared").read_only())
        // line 36, `volumes.volume`: the language has no word for it: left out
        .volume(named("kept").at("/kept"))
        .volume(tmpfs(16.mib()).at("/scratch"))
        // line 38, `volumes`: the language knows bound paths, named volumes and memory: left out
        // line 40, `networks.front.ipv4_address`: the engine chooses addresses here: others find it by its
        // name
        .network(attach("front").alias("app").alias("www"))
        .network("outside")
        .dns([1, 1, 1, 1])
        .extra_host("printer", "10.0.0.9")
        .extra_host("gateway", "host-gateway")
        .publish(localhost(8080).to(80))
        .publish(all_interfaces(53).udp())
        .label("com.example.note", "kept as it is")
        // line 74, `labels`: it says whose the container is, and the tool writes it: left out
        // line 70, `healthcheck.start_interval`: the language has no word for it: left out
        .health(Health::cmd(["wget", "-qO-", "http://127.0.0.1:80/"]).start_period(mins(2)))
        .depends_on("short-forms", Started)
        .stop_signal("SIGINT")
        .stop_grace(secs(90))
        .init()
        .logging(Logging::driver("journald"))
        .memory_reservation(64.mib())
        .shm(128.mib())
        .cpu_shares(512.shares())
        .pids(200)
        .memory(1536.mib())
        .cpus(2.cores())
        .pids(300)
        .memory_reservation(128.mib())
        // line 66, `deploy.resources.reservations.cpus`: the language has no word for it: left out
        // line 62, `deploy.replicas`: a node runs one of it: `.placement(replicas(n))` puts it on n nodes
        .update(Update::start_first().monitor(secs(30)))
        .nofile(65535)
        .ulimit("nproc", 100, 200)
        .caps(&[Cap::NetAdmin, Cap::SysTime])
        .read_only_root()
        .device("/dev/dri")
        // line 53, `devices`: a device is at the same path inside and outside here: left out
        .sysctl("net.core.somaxconn", "1024")
        .security_opt("apparmor=unconfined")
        // line 75, `profiles`: Compose started it only with one of these profiles: it is always part of the
        // stack here
        // line 76, `tty`: nobody sits before it
        // line 77, `env_file`: write its variables with `.env(…)`, those that are secret with `.secret(…)`,
        // or put them under [variables] in the configuration file and ask `cfg`
}

fn short_forms(cfg: &Config) -> Service {
    Service::new("short-forms", String::from(cfg.var("IMAGE", "nginx:1.27.0")))
        .volume(bind("/var/run/docker.sock").file().at("/var/run/docker.sock").read_only())
        // line 94, `volumes`: `z` is left out
        // line 94, `volumes`: `driver` of the volume is left out: make it by hand before
        // line 94, `volumes`: `driver_opts` of the volume is left out: make it by hand before
        .volume(named("data").at("/data"))
        .volume(shared_volume("all-shared").at("/shared"))
        // line 96, `volumes`: it had no name, and would be another one each time: it has one here
        .volume(named("short-forms-anonymous").at("/anonymous"))
        .volume(bind(String::from(cfg.var("MEDIA", "/srv/media"))).at("/media"))
        .network("default")
        .network("front")
        .extra_host("a.example.org", "10.0.0.1")
        .extra_host("b.example.org", "10.0.0.2")
        // line 85, `ports`: on every address of the host, as Compose has it: `localhost` where only this
        // machine needs it
        .publish(all_interfaces(80))
        // line 86, `ports`: on every address of the host, as Compose has it: `localhost` where only this
        // machine needs it
        .publish(all_interfaces(cfg.port("HTTP_PORT", 8081)).to(80))
        .with(|service| (5000..=5003).fold(service, |service, port| service.publish(localhost(port).to(port + 1000))))
        .publish(on_address([0x0_u16, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x1], 9000).udp())
        // line 89, `ports`: the engine chose the port of the host: declared only; `publish` it where that
        // port matters
        .expose(3000)
        // line 90, `ports`: neither TCP nor UDP: left out
        .expose(7000)
        .expose_udp(7001)
        .route(
            Route::http(80)
                .named("admin")
                .rule(r#"HostRegexp(`^adm[a-z]+\.example\.org$`)"#)
                .scheme(Scheme::Https)
                .health_check(HttpHealthCheck { path: "/up".to_owned(), interval: Some(secs(10)), ..Default::default() })
                .sticky_cookie(StickyCookie { name: Some("seat".to_owned()), ..Default::default() }),
        )
        .route(
            Route::http(80)
                .named("api")
                .host("api.example.org")
                .path("/v1")
                .auth("authelia")
                .middleware("limit")
                .priority(10)
                .scheme(Scheme::Https)
                .health_check(HttpHealthCheck { path: "/up".to_owned(), interval: Some(secs(10)), ..Default::default() })
                .sticky_cookie(StickyCookie { name: Some("seat".to_owned()), ..Default::default() }),
        )
        .middleware(Middleware::new("authelia", "forwardAuth").set("address", "http://authelia:9091/verify"))
        .middleware(Middleware::new("limit", "rateLimit").set("average", "100").set("burst", "50"))
        .health(Health::shell("curl -f http://localhost/ || exit 1").timeout(secs(3)))
        .restart(Restart::OnFailure(3))
        .caps(&[
            Cap::Chown,
            Cap::DacOverride,
            Cap::Fowner,
            Cap::Fsetid,
            Cap::Kill,
            Cap::Setgid,
            Cap::Setuid,
            Cap::Setpcap,
            Cap::NetBindService,
            Cap::SysChroot,
            Cap::AuditWrite,
            Cap::Setfcap,
        ])
        .sysctl("net.ipv4.ip_forward", "1")
}

fn host_net() -> Service {
    Service::new("host-net", "prom/node-exporter:v1.8.2")
        .volume(bind("/").at("/host").read_only())
        .host_network()
        // line 124, `ports`: in the host's own network every port is the host's: declared only
        .expose(9100)
        .privileged()
        // line 121, `pid`: the language gives every service its own
}

fn tcp() -> Service {
    Service::new("tcp", "redis:7.4")
        .command(["redis-server", "--save", "", "--requirepass", "$ecret"])
        .network_of("short-forms")
        // line 134, `labels`: it names no port: its routes stay labels, which work as they are
        .label("traefik.enable", "true")
        .label("traefik.http.routers.tcp.rule", "Host(`tcp.example.org`)")
        .label("traefik.http.routers.tcp.tls.domains[0].main", "example.org")
        .label("traefik.tcp.routers.tcp.rule", "HostSNI(`*`)")
        // line 138, `depends_on.long-forms`: it is not restarted together with the other: left out
        .depends_on("long-forms", Healthy)
        // line 139, `depends_on`: the file has no service `absent`: left out
        .restart(Restart::Never)
        .engine_caps()
}

fn build_service() -> Service {
    Service::new("build", "busybox:1.36.1")
        .command(["echo", "build is a word of the prelude, and so is this name"])
        .no_network()
        .engine_caps()
}
