use super::*;
use crate::prelude::*;

fn web() -> Service {
    Service::new("web", "example/web:1.0")
}

/// What is wrong with one service, as `field: what; advice`.
fn wrong(service: Service) -> Vec<String> {
    wrong_with(&Config::example(), [service])
}

fn wrong_with(config: &Config, services: impl IntoIterator<Item = Service>) -> Vec<String> {
    let stack = Stack::new("s").services(services);
    validate(&[stack], config).iter().map(ToString::to_string).collect()
}

/// That there is exactly one problem, with all these words.
#[track_caller]
fn assert_one(problems: &[String], words: &[&str]) {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    for word in words {
        assert!(problems[0].contains(word), "`{word}` is not in `{}`", problems[0]);
    }
}

#[test]
fn a_plain_service_has_no_problems() {
    assert_eq!(wrong(web()), Vec::<String>::new());
}

#[test]
fn all_problems_are_told_and_not_only_the_first() {
    let problems =
        wrong(web().publish(localhost(0)).depends_on("db", Started).memory(1.kib()).network("lan"));
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.starts_with("s/web: ")), "{problems:#?}");
}

#[test]
fn a_name_with_a_slash_is_refused_with_what_to_do() {
    assert_one(&wrong(Service::new("s/web", "x:1.0")), &["name: `s/web`", "leave the `/` out"]);
    let problems = validate(&[Stack::new("a/b")], &Config::example());
    assert_eq!(problems[0].field, "name");
}

#[test]
fn a_label_cannot_smuggle_another_one_in() {
    let problems = wrong(web().label("note", "x\ntraefik.enable=true"));
    assert_one(&problems, &["labels", "`note`", "on one line"]);
    assert_one(&wrong(web().label("a=b", "c")), &["labels", "`a=b`"]);
    assert_one(&wrong(web().label("constellation.service", "other/db")), &["the tool writes it"]);
    let host = "x`) || HostRegexp(`.*";
    assert_one(&wrong(web().route(Route::http(80).host(host))), &["routes", "not a host name"]);
    let tile = Homepage::new("Media\n", "x").href("https://example.org");
    assert_one(&wrong(web().homepage(tile)), &["homepage.group", "line breaks"]);
}

#[test]
fn a_free_label_cannot_contradict_the_language() {
    let routed =
        web().route(Route::http(80)).label("traefik.http.services.web.loadBalancer.server.port", "81");
    assert_one(&wrong(routed), &["labels", "`81`", "`80`"]);
    let same = web().route(Route::http(80)).label("traefik.enable", "true");
    assert_eq!(wrong(same), Vec::<String>::new());
}

#[test]
fn ports_of_one_host_clash_where_their_addresses_overlap() {
    let clash = |a: Publish, b: Publish| {
        let other = Service::new("other", "x:1.0").publish(b);
        wrong_with(&Config::example(), [web().publish(a), other])
    };
    assert_one(&clash(all_interfaces(80), localhost(80)), &["s/other: ports", "taken by s/web"]);
    assert_one(&clash(localhost(80), localhost(80).to(81)), &["taken by s/web"]);
    assert_one(&clash(on_address([0_u16; 8], 80), localhost(80)), &["taken by s/web"]);
    assert_eq!(clash(localhost(80), on_address([10, 0, 0, 1], 80)), Vec::<String>::new());
    assert_eq!(clash(localhost(53), localhost(53).udp()), Vec::<String>::new());
    let elsewhere = Service::new("other", "x:1.0").publish(localhost(80)).placement(on("n2"));
    assert_eq!(
        wrong_with(&Config::example(), [web().publish(localhost(80)), elsewhere]),
        Vec::<String>::new()
    );
}

#[test]
fn dependencies_must_exist_and_be_able_to_come_true() {
    assert_one(&wrong(web().depends_on("db", Healthy)), &["depends_on", "there is no service `db`"]);
    let db = || Service::new("db", "x:1.0");
    let pair = |condition, db| wrong_with(&Config::example(), [web().depends_on("db", condition), db]);
    assert_one(&pair(Healthy, db()), &["no health check"]);
    assert_one(&pair(Completed, db()), &["which runs on"]);
    assert_eq!(pair(Healthy, db().health(Health::cmd(["true"]))), Vec::<String>::new());
    assert_eq!(pair(Completed, Service::job("db", "x:1.0")), Vec::<String>::new());
}

#[test]
fn a_circle_of_dependencies_is_told_in_full() {
    let services = ["a", "b", "c"].map(|name| Service::new(name, "x:1.0"));
    let [a, b, c] = services;
    let circle = [a.depends_on("b", Started), b.depends_on("c", Started), c.depends_on("a", Started)];
    assert_one(&wrong_with(&Config::example(), circle), &["s/a -> s/b -> s/c -> s/a"]);
    assert_one(&wrong(web().depends_on("web", Started)), &["s/web -> s/web"]);
}

#[test]
fn a_name_that_two_stacks_have_must_be_written_with_its_stack() {
    let db = || Service::new("db", "x:1.0");
    let stacks = |name: &str| {
        [
            Stack::new("a").service(db()),
            Stack::new("b").service(db().container_name("b-db")),
            Stack::new("c").service(web().depends_on(name, Started)),
        ]
    };
    let problems = validate(&stacks("db"), &Config::example());
    assert!(problems[0].what.contains("a/db, b/db"), "{problems:?}");
    assert_eq!(validate(&stacks("b/db"), &Config::example()), []);
}

#[test]
fn a_secret_that_others_could_read_is_refused() {
    assert_one(&wrong(web().secret(secret("key.txt").mode(0o444))), &["secrets", "0444", "`.mode(0o400)`"]);
    assert_one(&wrong(web().secret(secret("key.txt").mode(0o440))), &["secrets", "owner(uid, gid)"]);
    assert_eq!(wrong(web().secret(secret("key.txt").mode(0o440).owner(1000, 1000))), Vec::<String>::new());
    assert_one(&wrong(web().secret(secret("../shadow"))), &["secrets", "below the secrets path"]);
    let twice = web().env("KEY", "x").secret(secret("key.txt").env_file("KEY"));
    assert_one(&wrong(twice), &["`KEY` is set by `env` and by a secret"]);
}

#[test]
fn an_even_number_of_voters_is_refused() {
    let config = |count: usize| {
        let mut text = "domain = \"example.org\"\nnode = \"n1\"\n".to_owned();
        (1..=count).for_each(|number| text.push_str(&format!("[nodes.n{number}]\n")));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, text).unwrap();
        Config::load([], Some(&path)).unwrap()
    };
    let voters = |count| web().quorum().placement(replicas(count));
    assert_one(&wrong_with(&config(5), [voters(2)]), &["placement", "2 voters", "`replicas(3)`"]);
    assert_eq!(wrong_with(&config(5), [voters(3)]), Vec::<String>::new());
    assert_one(&wrong_with(&config(2), [voters(3)]), &["placement", "2 are known"]);
    assert_one(&wrong(web().placement(replicas(0))), &["placement", "no replicas at all"]);
}

#[test]
fn an_unknown_network_is_told_with_those_that_there_are() {
    assert_one(&wrong(web().network("lan")), &["networks", "no network `lan`", "backend", "publicnet"]);
}

#[test]
fn the_host_s_network_has_neither_networks_nor_published_ports() {
    assert_one(&wrong(web().network(BACKEND).host_network()), &["networks", "`backend`"]);
    assert_one(&wrong(web().host_network().publish(localhost(80))), &["ports", "with `expose`"]);
    assert_one(&wrong(web().no_network().route(Route::http(80))), &["routes", "no network"]);
    assert_one(&wrong(web().network_of("vpn")), &["network_mode", "no service `vpn`"]);
    assert_one(
        &wrong(web().host_network().sysctl("net.core.somaxconn", "1")),
        &["sysctls", "the host itself"],
    );
}

#[test]
fn anonymous_egress_has_no_way_around_it() {
    let warp = || web().egress(Egress::Warp);
    assert_eq!(wrong(warp()), Vec::<String>::new());
    assert_one(&wrong(warp().network(BACKEND)), &["egress", "not on `warp-nat-net`"]);
    assert_one(
        &wrong(warp().networks([WARP_NAT_NET, PUBLICNET])),
        &["networks", "second default route is a leak"],
    );
    assert_one(
        &wrong(web().networks([WARP_NAT_NET, BACKEND])),
        &["networks", "second default route is a leak"],
    );
    assert_one(&wrong(warp().host_network()), &["egress", "do not pass"]);
    let peers = Stack::new("s")
        .network(Network::new("peers").internal())
        .service(warp().networks([WARP_NAT_NET, "peers"]));
    assert_eq!(validate(&[peers], &Config::example()), []);
}

#[test]
fn settings_of_networks_are_checked() {
    let of = |network: Network| {
        let problems = validate(&[Stack::new("s").network(network)], &Config::example());
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_one(
        &of(Network::new("x").subnet("10.0.7.128/25")),
        &["subnet", "overlaps that of network backend"],
    );
    assert_one(&of(Network::new("x").subnet("10.9.0.1/24")), &["subnet", "at 10.9.0.0"]);
    assert_one(&of(Network::new("x").subnet("10.9.0.0/24").gateway("10.8.0.1")), &["gateway", "`10.8.0.1`"]);
    assert_one(&of(Network::new("x").bridge("a-name-too-long-for-it")), &["bridge", "15 characters"]);
    assert_one(&of(Network::new("x").named("infra_backend")), &["name", "network backend"]);
}

#[test]
fn routes_say_where_and_to_what() {
    assert_one(&wrong(web().route(Route::http(0))), &["routes", "port 0"]);
    assert_one(&wrong(web().route(Route::udp(53))), &["routes", "entry_point"]);
    assert_one(&wrong(web().route(Route::tcp(5432))), &["routes", "entry_point"]);
    assert_one(&wrong(web().route(Route::tcp(5432).sni("db.example.org"))), &["names no host"]);
    assert_one(&wrong(web().route(Route::http(80).middleware("gzip"))), &["defines the middleware `gzip`"]);
    assert_one(
        &wrong(web().route(Route::http(80).named("a.b"))),
        &["`a.b`", "a dot would begin another field"],
    );
    let two = web().route(Route::http(80)).route(Route::http(81).host("x.example.org"));
    assert!(wrong(two).iter().any(|problem| problem.contains("`.named(…)`")));
    assert_one(&wrong(Service::job("j", "x:1.0").route(Route::http(80))), &["a job ends"]);
}

#[test]
fn two_services_cannot_answer_the_same_requests() {
    let named = |name: &str| Service::new(name, "x:1.0").route(Route::http(80).host("x.example.org"));
    assert_one(&wrong_with(&Config::example(), [named("a"), named("b")]), &["s/b: routes", "s/a answers"]);
}

#[test]
fn a_middleware_that_several_services_define_alike_is_one() {
    let named = |name: &str, gzip| {
        Service::new(name, "x:1.0").route(Route::http(80).middleware("gzip")).middleware(gzip)
    };
    let gzip = || Middleware::compress("gzip");
    assert_eq!(
        wrong_with(&Config::example(), [named("a", gzip()), named("b", gzip())]),
        Vec::<String>::new()
    );
    let other = gzip().set("minResponseBodyBytes", "1");
    assert_one(
        &wrong_with(&Config::example(), [named("a", gzip()), named("b", other)]),
        &["s/b: middlewares"],
    );
}

#[test]
fn two_containers_cannot_have_one_name() {
    let stacks = ["a", "b"].map(|name| Stack::new(name).service(web()));
    let problems = validate(&stacks, &Config::example());
    assert_eq!((problems[0].place.as_str(), problems[0].field.as_str()), ("b/web", "container_name"));
}

#[test]
fn paths_must_be_absolute_and_mounted_once() {
    assert_one(&wrong(web().volume(bind("data").at("/data"))), &["volumes", "`data`"]);
    assert_one(&wrong(web().volume(named("cache").at("data"))), &["volumes", "`data`"]);
    assert_one(&wrong(web().volume(bind("/x/../etc").at("/data"))), &["volumes", "`/x/../etc`"]);
    assert_one(&wrong(web().volume(named("cache").at("/"))), &["volumes", "`/`"]);
    let twice = web().volume(named("a1").at("/data")).config(config_file("/data/", "x"));
    assert_one(&wrong(twice), &["`/data` is mounted twice"]);
}

#[test]
fn updates_limits_and_health_make_sense() {
    let update = web().publish(localhost(80)).update(Update::start_first());
    assert_one(&wrong(update), &["update", "twice"]);
    assert_one(&wrong(web().memory(1.gib()).memory_reservation(2.gib())), &["memory_reservation"]);
    assert_one(&wrong(web().health(Health::cmd(Vec::<String>::new()))), &["health", "no command"]);
    assert_one(&wrong(web().health(Health::cmd(["x"]).retries(0))), &["health", "retries(1)"]);
    assert_one(&wrong(Service::job("j", "x:1.0").restart(Restart::Always)), &["restart", "never completes"]);
    assert_one(&wrong(web().allow(Lint::Privileged, " ")), &["allow", "without a reason"]);
    assert_one(&wrong(web().privileged().caps(STEP_DOWN)), &["caps"]);
    assert_one(&wrong(web().uptime(Uptime::http())), &["uptime", "not routed"]);
    assert_one(&wrong(web().env("A", "1").env("A", "2")), &["env", "`A` is said twice"]);
}

#[test]
fn a_broken_configuration_is_a_problem_among_the_others() {
    let config = Config::from_parts([("DOMAIN", "example.org"), ("PORT", "x")]);
    config.port("PORT", 80);
    assert_one(&wrong_with(&config, [web()]), &["configuration: PORT"]);
}
