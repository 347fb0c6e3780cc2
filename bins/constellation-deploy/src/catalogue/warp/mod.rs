//! Egress through Cloudflare WARP for services that must not show the host's address.

use constellation_services::prelude::*;

use super::{
    Chapter, Differs, Entry,
    common::{docker_socket, service, versioned},
    from_files,
};

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("warp", "egress through Cloudflare WARP")
        .service(net_init(cfg))
        .service(gateway(cfg))
        .service(router(cfg))
        .service(ip_checker(cfg))
}

const GATEWAY: &str = "warp-nat-gateway";

/// The trace page of Cloudflare says how one came there.
fn warp_is_on() -> Health {
    let script = "if curl -s https://cloudflare.com/cdn-cgi/trace | grep -qE '^warp=on|warp=plus$'; then echo \
                  \\\"Cloudflare WARP is active.\\\" && exit 0; else echo \\\"Cloudflare WARP is not active.\\\" && exit 1; fi";
    Health::shell(format!("sh -c \"{script}\""))
        .every(secs(15))
        .timeout(secs(10))
        .retries(10)
        .start_period(secs(60))
}

fn subnet(cfg: &Config) -> Var {
    cfg.var("WARP_NAT_NET_SUBNET", "10.0.2.0/24")
}

fn host_address(cfg: &Config) -> Var {
    cfg.var("WARP_NAT_NET_GATEWAY", "10.0.2.1")
}

fn net_init(cfg: &Config) -> Entry {
    let create = format!(
        "docker network inspect {net} >/dev/null 2>&1 || docker network create --driver bridge --attachable --subnet {subnet} \
         --gateway {gateway} -o com.docker.network.bridge.name=br_{net} -o com.docker.network.bridge.enable_ip_masquerade=false \
         {net}",
        net = cfg.network(WARP_NAT_NET),
        subnet = subnet(cfg),
        gateway = host_address(cfg),
    );
    Service::job("warp-net-init", versioned(cfg, "docker", "DOCKER_CLI_TAG", "28.5.1-cli"))
        .about(
            "one-shot creation of the WARP Docker network, for machines that this tool does not look after",
        )
        .command(["sh".to_owned(), "-c".to_owned(), create])
        .volume(docker_socket(cfg).read_only())
        .no_network()
        .allow(Lint::DockerSocket, "it makes a network, once, and ends")
        .differs("hostname", "in the host\'s network it had none of its own")
        .differs(
            "network_mode",
            "it speaks to the socket alone: the host's network gave it more than it needs",
        )
}

fn gateway(cfg: &Config) -> Entry {
    service(GATEWAY, versioned(cfg, "docker.io/caomingjun/warp", "WARP_TAG", "2026.6.880.0-2.12.0"))
        .about("Cloudflare WARP client used as NAT gateway, also SOCKS5")
        .env("BETA_FIX_HOST_CONNECTIVITY", "false")
        .env("GOST_ARGS", format!("-L :{}", cfg.var("GOST_SOCKS5_PORT", "1080")))
        .env("WARP_ENABLE_NAT", "false")
        .env("WARP_SLEEP", "2")
        // 1000 is the image's user `warp`.
        .with(
            from_files()
                .optional_keys([("warp-license-key.txt", "WARP_LICENSE_KEY")])
                .owner(1000, 1000)
                .then(&["/entrypoint.sh"]),
        )
        .volume(named("warp-config-data").at("/var/lib/cloudflare-warp"))
        .network(WARP_NAT_NET)
        .device("/dev/net/tun")
        .sysctl("net.ipv4.conf.all.src_valid_mark", "1")
        .sysctl("net.ipv4.ip_forward", "1")
        .sysctl("net.ipv6.conf.all.disable_ipv6", "0")
        .health(warp_is_on())
        .depends_on("warp-net-init", Completed)
        // Its user starts the daemons with `sudo`.
        .new_privileges()
        .engine_caps()
        .caps(&[Cap::NetAdmin])
        .allow(Lint::StrongCapability, "it makes a tunnel, in its own network namespace")
        .differs(
            "entrypoint",
            "the image reads the licence from a variable only, which is made of the file where it starts",
        )
        .differs(
            "devices",
            "wanted in the reference, which had no field for it: without the tunnel's device it ends",
        )
        .differs("sysctls.*", "wanted in the reference, which had no field for them: it forwards for others")
}

fn router(cfg: &Config) -> Entry {
    let names = [
        ("CONT_VETH_IP", "169.254.100.2"),
        ("HOST_VETH_IP", "169.254.100.1"),
        ("RETRY_SETUP_AFTER", "12"),
        ("ROUTER_CONTAINER_NAME", "warp_router"),
        ("ROUTING_TABLE", "warp-nat-routing"),
        ("SLEEP_INTERVAL", "5"),
        ("VETH_HOST", "veth-warp"),
        ("WARP_CONTAINER_NAME", GATEWAY),
    ];
    let image = build_from(
        "ARG BASE\nFROM ${BASE}\nRUN apk add --no-cache bash docker-cli iproute2 iptables util-linux-misc\n\
         COPY warp-monitor.sh warp-nat-setup.sh /usr/local/bin/\n",
    )
    .arg("BASE", versioned(cfg, "docker.io/library/alpine", "ALPINE_TAG", "3.22"))
    .file("warp-monitor.sh", include_str!("warp-monitor.sh"))
    .file("warp-nat-setup.sh", include_str!("warp-nat-setup.sh"))
    .tagged(cfg.own_image("warp-router"));
    Service::new("warp_router", image)
        .about("sets host policy routing from the WARP network into the gateway and repairs it")
        .envs(names.map(|(name, default)| (name, cfg.var(name, default))))
        .env("DOCKER_NETWORK_NAME", cfg.var("DOCKER_NETWORK_NAME", WARP_NAT_NET))
        .env("WARP_NAT_NET_GATEWAY", host_address(cfg))
        .env("WARP_NAT_NET_SUBNET", subnet(cfg))
        .command(["/bin/bash", "/usr/local/bin/warp-monitor.sh"])
        .volume(docker_socket(cfg).read_only())
        .volume(bind("/proc").at("/host/proc").read_only())
        .host_network()
        .health(
            Health::cmd(["test", "-e", "/run/warp-router/ok"])
                .every(secs(30))
                .timeout(secs(10))
                .retries(3)
                .start_period(secs(20)),
        )
        .depends_on(GATEWAY, Started)
        .caps(&[Cap::NetAdmin, Cap::NetRaw, Cap::SysAdmin, Cap::SysPtrace])
        .allow(Lint::HostNetwork, "the host's routes are what it sets")
        .allow(
            Lint::DockerSocket,
            "it asks where the gateway is; the proxy is on a network, and this is in the host's",
        )
        .allow(
            Lint::StrongCapability,
            "it enters the gateway's network namespace, and sets routes and rules of the host",
        )
        .differs("privileged", "four capabilities are what it takes to enter one namespace and to set routes")
        .differs("cap_add", "as above")
        .differs(
            "build.*",
            "from a folder that nobody wrote: its Dockerfile and scripts stand in the definition",
        )
        .differs("volumes./etc/iproute2/rt_tables", "some systems have no such file; its own names the table")
        .differs("volumes./proc", "read-only and beside its own: it looks for one namespace")
        .differs("volumes./host/proc", "as above")
        .differs("volumes./var/run/docker.sock", "it asks only")
        .differs(
            "healthcheck.test",
            "it started a container for each check: the checker tells, and the monitor writes it down",
        )
}

fn ip_checker(cfg: &Config) -> Entry {
    Service::new("ip-checker-warp", versioned(cfg, "docker.io/curlimages/curl", "CURL_TAG", "8.11.1"))
        .about("prints the egress IP from inside the WARP network")
        .command([
            "/bin/sh",
            "-c",
            "while true; do echo \"$(date): $(curl -s --max-time 4 ifconfig.me)\"; sleep 5; done",
        ])
        .egress(Egress::Warp)
        .health(warp_is_on())
        .depends_on(GATEWAY, Healthy)
        .differs("image.name", "it installed curl at each start, through the very network that it checks")
        .differs("command", "as above")
}
