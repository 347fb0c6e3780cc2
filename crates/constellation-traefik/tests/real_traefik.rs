//! What is generated, in a real Traefik: it is accepted, requests get through, and they survive what it is meant for.
//!
//! `CONSTELLATION_E2E_TRAEFIK=path/to/traefik cargo test -p constellation-traefik --features e2e-traefik --test
//! real_traefik`, with Traefik 3.7 or later.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers may panic"
)]

mod support;

use std::{sync::Arc, time::Duration};

use constellation_core::{
    ClusterView, Health, RouteSet,
    route::{Failover, HttpHealthCheck, HttpRouter, HttpService, RouterTls, StickyCookie},
};
use constellation_tasks::{Supervisor, SystemClock};
use constellation_traefik::{Provider, ProviderConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use self::support::{Answer, Backend, Behaviour, PATIENCE, Placed, Stack, ask, routes, until, view};

/// Two backends behind one service `web`, and the stack that serves them.
struct Pair {
    stack: Stack,
    one: Backend,
    two: Backend,
    routes: RouteSet,
}

impl Pair {
    async fn start(change: impl Fn(&mut HttpService)) -> Self {
        let (one, two) = (Backend::start("one").await, Backend::start("two").await);
        let routes = routes("web", change);
        let stack = Stack::start(Self::view(1, &one, &two, &routes, Health::Healthy)).await;
        Self { stack, one, two, routes }
    }

    fn view(
        version: u64,
        one: &Backend,
        two: &Backend,
        routes: &RouteSet,
        health: Health,
    ) -> Arc<ClusterView> {
        let placed = |node, at| Placed { node, service: "web", health, at, routes };
        view(version, &[placed(1, one.address), placed(2, two.address)])
    }

    async fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        self.stack.traefik.request(method, "web.test", path, body).await
    }

    /// So many requests, a few at a time as from several clients; their answers.
    async fn load(&self, method: &'static str, count: usize) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(count);
        let mut under_way = tokio::task::JoinSet::new();
        for number in 0..count {
            let to = self.stack.traefik.web;
            under_way.spawn(async move {
                let body = if method == "POST" { number.to_string() } else { String::new() };
                ask(to, method, "web.test", &format!("/{number}"), "", &body).await
            });
            if under_way.len() >= 8 {
                answers.push(under_way.join_next().await.unwrap().unwrap());
            }
        }
        answers.extend(under_way.join_all().await);
        answers
    }
}

fn statuses(answers: &[Answer]) -> Vec<(u16, usize)> {
    let mut counted = std::collections::BTreeMap::new();
    for answer in answers {
        *counted.entry(answer.status).or_insert(0) += 1;
    }
    counted.into_iter().collect()
}

#[tokio::test]
async fn every_generated_router_is_enabled_and_leads_where_it_says() {
    let pair = Pair::start(|_| {}).await;
    let routers = pair.stack.traefik.has("routers").await;
    let names: Vec<&str> = routers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "generated+web.example.org",
            "generated+web.example.org++unsafe",
            "generated+web.n1.example.org",
            "generated+web.n2.example.org",
            "web",
            "web++unsafe",
        ]
    );
    assert!(routers.iter().all(|(_, status)| status == "enabled"), "{routers:?}");
    for method in ["GET", "POST"] {
        let mut bodies = Vec::new();
        for _ in 0..4 {
            bodies.push(pair.request(method, "/", "").await.body);
        }
        assert!(
            bodies.contains(&"one".to_owned()) && bodies.contains(&"two".to_owned()),
            "{method} {bodies:?}"
        );
    }
    let web = &pair.stack.traefik;
    for _ in 0..3 {
        assert_eq!(web.request("GET", "web.n1.example.org", "/", "").await.body, "one");
        assert_eq!(web.request("GET", "web.n2.example.org", "/", "").await.body, "two");
    }
    assert_eq!(web.request("GET", "web.example.org", "/", "").await.status, 200);
    assert_eq!(web.request("GET", "nobody.example.org", "/", "").await.status, 404);
    pair.stack.stop().await;
}

#[tokio::test]
async fn where_the_last_server_died_the_answer_is_503_and_not_404() {
    let pair = Pair::start(|_| {}).await;
    let stopped = Pair::view(2, &pair.one, &pair.two, &pair.routes, Health::Stopped);
    pair.stack.show(stopped).await;
    for host in ["web.test", "web.example.org", "web.n1.example.org"] {
        assert_eq!(pair.stack.traefik.request("GET", host, "/", "").await.status, 503, "{host}");
    }
    pair.stack.show(Pair::view(3, &pair.one, &pair.two, &pair.routes, Health::Healthy)).await;
    assert_eq!(pair.request("GET", "/", "").await.status, 200);
    pair.stack.stop().await;
}

#[tokio::test]
async fn no_safe_request_is_lost_when_a_server_is_killed_before_anybody_noticed() {
    let mut pair = Pair::start(|_| {}).await;
    assert_eq!(statuses(&pair.load("GET", 40).await), [(200, 40)]);
    pair.one.kill().await;
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(statuses(&pair.load(method, 200).await), [(200, 200)], "{method}");
    }
    pair.stack.stop().await;
}

#[tokio::test]
async fn no_safe_request_is_lost_when_a_server_takes_requests_and_drops_them() {
    let pair = Pair::start(|_| {}).await;
    pair.one.behave(Behaviour::Resets);
    assert_eq!(statuses(&pair.load("GET", 200).await), [(200, 200)]);
    pair.stack.stop().await;
}

#[tokio::test]
async fn a_request_that_changes_something_is_never_carried_out_twice() {
    let pair = Pair::start(|_| {}).await;
    pair.one.behave(Behaviour::Resets);
    let answers = pair.load("POST", 100).await;
    let (one, two) = (pair.one.asked("POST"), pair.two.asked("POST"));
    assert_eq!(one.len() + two.len(), 100, "each reached one server: {:?}", statuses(&answers));
    assert!(one.iter().all(|request| !two.contains(request)));
    assert_eq!(statuses(&answers), [(200, two.len()), (502, one.len())], "and its failure was told");
    pair.stack.stop().await;
}

#[tokio::test]
async fn a_request_that_changes_something_is_tried_elsewhere_while_nobody_received_it() {
    let mut pair = Pair::start(|_| {}).await;
    pair.one.kill().await;
    // Eight attempts over two servers: one request in 256 may find the dead one each time.
    let answers = pair.load("POST", 100).await;
    let got = pair.two.asked("POST");
    let mut distinct = got.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), got.len(), "none twice");
    assert!(got.len() >= 96, "{:?}", statuses(&answers));
    pair.stack.stop().await;
}

#[tokio::test]
async fn with_failover_off_every_request_is_sent_once() {
    let mut pair = Pair::start(|service| service.failover = Failover::Off).await;
    pair.one.kill().await;
    let answers = pair.load("GET", 40).await;
    assert!(statuses(&answers).iter().any(|(status, _)| *status == 502), "{:?}", statuses(&answers));
    pair.stack.stop().await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_after_its_response_timeout() {
    let pair = Pair::start(|service| service.response_timeout = Some(Duration::from_millis(300))).await;
    pair.one.behave(Behaviour::IsSilent);
    assert_eq!(statuses(&pair.load("GET", 40).await), [(200, 40)]);
    pair.stack.stop().await;
}

#[tokio::test]
async fn an_application_that_answers_500_stays_in_service_and_its_answer_is_passed_on() {
    let pair = Pair::start(|_| {}).await;
    for _ in 0..6 {
        assert_eq!(pair.request("GET", "/status/500", "").await.status, 500);
    }
    assert_eq!(pair.one.asked("GET").len() + pair.two.asked("GET").len(), 6, "none was repeated");
    assert_eq!(statuses(&pair.load("GET", 20).await), [(200, 20)]);
    assert!(pair.one.asked("GET").len() > 8 && pair.two.asked("GET").len() > 8, "both are still asked");
    pair.stack.stop().await;
}

#[tokio::test]
async fn a_sticky_client_stays_with_its_server_whatever_the_method() {
    let cookie = StickyCookie { name: Some("stay".to_owned()), ..StickyCookie::default() };
    let pair = Pair::start(|service| service.sticky = Some(cookie.clone())).await;
    let first = pair.request("GET", "/", "").await;
    let cookie = first.head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie").then(|| value.split(';').next().unwrap().to_owned())
    });
    let headers = format!("Cookie: {}\r\n", cookie.expect("a cookie is due"));
    for method in ["GET", "POST", "GET", "PUT", "GET", "DELETE"] {
        let answer = ask(pair.stack.traefik.web, method, "web.test", "/", &headers, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, first.body.as_str()), "{method}");
    }
    pair.stack.stop().await;
}

#[tokio::test]
async fn a_connection_that_changes_its_protocol_gets_through_a_service_that_fails_over() {
    let mut pair = Pair::start(|_| {}).await;
    pair.one.kill().await;
    for _ in 0..4 {
        let mut stream = TcpStream::connect(pair.stack.traefik.web).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let mut chunk = [0; 1024];
        for (said, awaited) in [("", "\r\n\r\n"), ("once", "once"), ("twice", "oncetwice")] {
            stream.write_all(said.as_bytes()).await.unwrap();
            while !text.ends_with(awaited) {
                let read = tokio::time::timeout(PATIENCE, stream.read(&mut chunk)).await;
                let count = read.expect("an answer is due").unwrap();
                assert_ne!(count, 0, "the connection ended after: {text}");
                text.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
            }
        }
        assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    }
    pair.stack.stop().await;
}

/// A service with everything that labels may say.
fn everything(name: &str) -> RouteSet {
    let mut set = routes(name, |service| {
        service.sticky = Some(StickyCookie {
            name: Some("c".to_owned()),
            http_only: Some(true),
            secure: Some(false),
            same_site: Some("lax".to_owned()),
            max_age: Some(60),
            path: Some("/".to_owned()),
            domain: Some("example.org".to_owned()),
        });
        service.health_check = Some(HttpHealthCheck {
            path: "/".to_owned(),
            interval: Some(Duration::from_secs(5)),
            unhealthy_interval: Some(Duration::from_secs(1)),
            timeout: Some(Duration::from_millis(500)),
            hostname: Some("h".to_owned()),
            scheme: Some("http".to_owned()),
            mode: Some("http".to_owned()),
            method: Some("GET".to_owned()),
            status: Some(200),
            port: None,
            follow_redirects: Some(false),
            headers: [("X-Probe".to_owned(), "yes".to_owned())].into(),
        });
        service.pass_host_header = Some(false);
        service.response_timeout = Some(Duration::from_secs(5));
    });
    let rules = [
        "HostRegexp(`^.+\\.example\\.net$`) && !ClientIP(`192.0.2.0/24`)",
        "Header(`X-A`, `b`) || HeaderRegexp(`X-A`, `^b`) || Query(`q`) || Query(`q`, `1`) || QueryRegexp(`q`, `^1`)",
        "Path(\"/a`b\\n\\\"\") && (PathPrefix(`/a`) || PathRegexp(`^/[a-z]{1,3}$`)) && Method(`GET`)",
    ];
    for (index, rule) in rules.into_iter().enumerate() {
        let router = HttpRouter {
            rule: rule.to_owned(),
            service: name.to_owned(),
            entry_points: vec!["websecure".to_owned()],
            priority: Some(-7),
            tls: Some(RouterTls::default()),
            ..HttpRouter::default()
        };
        set.routers.insert(format!("{name}-{index}").parse().unwrap(), router);
    }
    let dashboard = HttpRouter {
        rule: "Host(`dashboard.test`)".to_owned(),
        service: "api@internal".to_owned(),
        ..HttpRouter::default()
    };
    set.routers.insert(format!("{name}-dashboard").parse().unwrap(), dashboard);
    set
}

#[tokio::test]
async fn traefik_refuses_nothing_of_whatever_shape_the_document_has() {
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let (all, simple) = (everything("all"), routes("simple", |_| {}));
    let bare_cookie = routes("bare", |service| service.sticky = Some(StickyCookie::default()));
    let grpc = routes("grpc", |service| {
        let mode = Some("grpc".to_owned());
        service.health_check = Some(HttpHealthCheck { mode, ..HttpHealthCheck::default() });
    });
    let checked = routes("checked", |service| {
        service.health_check = Some(HttpHealthCheck { path: "/".to_owned(), ..HttpHealthCheck::default() });
    });
    let both = |service, routes| {
        [(1, one.address), (2, two.address)].map(|(node, at)| Placed {
            node,
            service,
            health: Health::Healthy,
            at,
            routes,
        })
    };
    let at = |node, health, service, routes| Placed { node, service, health, at: one.address, routes };
    let mut shapes = vec![
        vec![at(1, Health::Healthy, "simple", &simple)],
        vec![at(1, Health::Stopped, "simple", &simple), at(2, Health::Stopped, "all", &all)],
    ];
    let sets =
        [("all", &all), ("simple", &simple), ("bare", &bare_cookie), ("grpc", &grpc), ("checked", &checked)];
    shapes.push(sets.into_iter().flat_map(|(service, set)| both(service, set)).collect());
    let mut crowded: Vec<Placed<'_>> = both("simple", &simple).into_iter().collect();
    crowded.push(Placed { at: two.address, ..at(1, Health::Healthy, "simple", &simple) });
    shapes.push(crowded);
    shapes.push(vec![]);

    let stack = Stack::start(view(1, &both("simple", &simple))).await;
    for (version, shape) in (2..).zip(&shapes) {
        stack.show(view(version, shape)).await;
        for kind in ["routers", "services"] {
            let bad: Vec<_> =
                stack.traefik.has(kind).await.into_iter().filter(|(_, s)| s != "enabled").collect();
            assert!(bad.is_empty(), "view {version}: {bad:?}");
        }
    }
    let refused: Vec<String> = stack
        .traefik
        .complaints()
        .into_iter()
        // A health check may find a backend that is already gone; that is no word about the configuration.
        .filter(|line| !line.contains("Health check failed"))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    stack.stop().await;
}

#[tokio::test]
async fn traefik_keeps_its_routes_while_an_agent_that_restarts_knows_nothing() {
    let pair = Pair::start(|_| {}).await;
    let address = pair.stack.handle.listen();
    let traefik = pair.stack.stop_provider().await;
    let supervisor = Supervisor::new();
    let (_views, receiver) = watch::channel(Arc::new(ClusterView::empty("n1".parse().unwrap())));
    let config =
        ProviderConfig { listen: address, grace: Duration::from_secs(3600), ..ProviderConfig::default() };
    let clock = Arc::new(SystemClock::start());
    let again = Provider::start(config, receiver, &supervisor, clock).await.unwrap();
    until("Traefik asks the new agent", || async { again.status().polls >= 2 }).await;
    assert_eq!(traefik.request("GET", "web.test", "/", "").await.status, 200);
    drop(traefik);
    supervisor.drain(PATIENCE).await;
}
