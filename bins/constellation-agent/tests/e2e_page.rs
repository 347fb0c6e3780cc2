//! A page in a real Chromium, through the ingress of an agent, while the routes change.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::{cell::RefCell, net::SocketAddr};

use rustix::process::{Signal, kill_process};
use serde::Deserialize;
use support::{Cluster, Node, chromium::Chromium, free_port, http, page, tls};

const HOST: &str = "page.example.test";
/// By this variable the test below learns that it is to serve, and under which name.
const SERVE: &str = "CONSTELLATION_TEST_PAGE";

/// Not a test by itself: what the agents run in the others.
#[test]
fn an_instance_for_the_other_tests() {
    let Ok(name) = std::env::var(SERVE) else { return };
    let setting = |name| std::env::var(name).unwrap();
    page::serve(&format!("{}:{}", setting("CONSTELLATION_ADDRESS"), setting("PORT")), &name);
}

/// What the page says of itself; `support/page.html` says what each means.
#[derive(Clone, Debug, Default, Deserialize)]
struct State {
    opened: u64,
    closed: u64,
    answered: u64,
    gaps: u64,
    socket: Option<String>,
    fetched: u64,
    failed: u64,
    failures: Vec<String>,
    instance: Option<String>,
}

struct Page(RefCell<Chromium>);

impl Page {
    fn state(&self) -> Option<State> {
        let text = self.0.borrow_mut().evaluate("document.getElementById('state')?.textContent");
        serde_json::from_str(text.as_str()?).ok()
    }

    /// Waits until it has had further answers over its socket and to its requests from now on; what it says then.
    fn goes_on(&self, node: &Node) -> State {
        let before = self.state().unwrap_or_default();
        node.wait("the page goes on", |_| {
            self.state()
                .is_some_and(|now| now.answered >= before.answered + 3 && now.fetched >= before.fetched + 3)
        });
        self.state().unwrap()
    }
}

/// Two nodes, of which the first serves the page; the page is open, and holds a socket of `first`.
struct Stage {
    page: Page,
    nodes: Vec<Node>,
    web: SocketAddr,
    cluster: Cluster,
}

fn run(node: &Node, name: &str, service: &str) {
    let service = format!("constellation.service={service}");
    let labels = ["--label", &service, "--label", "traefik.enable=true"];
    let program = std::env::current_exe().unwrap();
    let command = [program.to_str().unwrap(), "--exact", "an_instance_for_the_other_tests"];
    let port = free_port([127, 0, 0, 1].into());
    node.run(name, port, &labels, &["--env", &format!("{SERVE}={name}")], &command);
}

impl Stage {
    fn new(scheme: &str) -> Self {
        let cluster = Cluster::new();
        let (mut first, mut second) = (cluster.node(1), cluster.node(2));
        let web = SocketAddr::new(first.address, free_port(first.address));
        first.set("ingress", format!("web={web}"));
        if scheme == "https" {
            tls::write(cluster.directory.path(), "site", &["*.example.test"]);
            first.set("tls-entry-points", "web");
            first.set("tls-certificates", cluster.directory.path().display());
        }
        first.start();
        second.start();
        first.wait_for_members(2);
        run(&first, "first", "page");
        first.wait("it is routed", |node| node.servers().len() == 1);
        first.wait("it answers", |_| status(scheme, web, HOST) == Some(200));
        let url = format!("{scheme}://{HOST}:{}/", web.port());
        let page = Page(RefCell::new(Chromium::open(&url, HOST, web.ip())));
        first.wait("the page has a socket", |_| page.state().is_some_and(|it| it.answered > 0));
        Self { page, nodes: vec![first, second], web, cluster }
    }

    /// The page goes on after a change as if there had been none.
    fn unmoved(&self, change: &str) -> State {
        let state = self.page.goes_on(&self.nodes[0]);
        assert_eq!((state.failed, &state.failures[..]), (0, &[][..]), "{change}: {state:?}");
        assert_eq!((state.opened, state.closed, state.gaps), (1, 0, 0), "{change}: {state:?}");
        assert_eq!(state.socket.as_deref(), Some("first"), "{change}");
        state
    }

    fn wait_for_servers(&self, count: usize) {
        self.nodes[0].wait(&format!("{count} are behind it"), |node| node.servers().len() == count);
    }

    fn wait_for_instance(&self, name: &str) {
        self.nodes[0].wait(&format!("{name} answers the page"), |_| {
            self.page.state().is_some_and(|state| state.instance.as_deref() == Some(name))
        });
    }

    /// Instances and services come and go beside the one that holds the socket.
    fn change_the_table(&self, scheme: &str) {
        self.unmoved("nothing yet");
        run(&self.nodes[1], "elsewhere", "page");
        self.wait_for_servers(2);
        self.unmoved("an instance came on the other node");
        run(&self.nodes[0], "second", "page");
        self.wait_for_servers(3);
        self.wait_for_instance("second");
        self.unmoved("an instance came on this node");

        let web = self.web;
        run(&self.nodes[1], "other", "other");
        let other = move || status(scheme, web, "other.example.test");
        self.nodes[0].wait("another service is served", |_| other() == Some(200));
        self.unmoved("another service came");
        self.nodes[1].ask(&["process", "rm", "--force", "other"]);
        self.nodes[0].wait("another service is gone", |_| other() == Some(503));
        self.unmoved("another service went");

        kill_process(self.nodes[0].process_pid("second").unwrap(), Signal::KILL).unwrap();
        self.wait_for_servers(2);
        self.wait_for_instance("first");
        self.unmoved("an instance was killed");
        self.nodes[1].ask(&["process", "rm", "--force", "elsewhere"]);
        self.wait_for_servers(1);
        self.unmoved("the instance on the other node went");
        run(&self.nodes[1], "elsewhere", "page");
        self.wait_for_servers(2);
        self.unmoved("an instance is on the other node again");
    }
}

/// What a router answers; `None` where nobody does.
fn status(scheme: &str, web: SocketAddr, host: &str) -> Option<u16> {
    match scheme {
        // The only certificate is that of the zone, which both hosts are in.
        "https" => tls::Connection::open(web, host)?.get(host),
        _ => http::get(web, host, "/").ok().map(|(status, _)| status),
    }
}

#[test]
fn a_websocket_of_a_page_outlives_every_change_of_the_table_but_the_end_of_its_instance() {
    let stage = Stage::new("http");
    stage.change_the_table("http");

    // The socket was that instance's all along: it ends with it, and the page loses nothing else.
    kill_process(stage.nodes[0].process_pid("first").unwrap(), Signal::KILL).unwrap();
    let page = &stage.page;
    stage.nodes[0].wait("the page has a socket elsewhere", |_| {
        page.state().is_some_and(|state| state.socket.as_deref() == Some("elsewhere"))
    });
    stage.wait_for_instance("elsewhere");
    let state = page.goes_on(&stage.nodes[0]);
    assert_eq!((state.failed, &state.failures[..]), (0, &[][..]), "{state:?}");
    assert_eq!(state.gaps, 0, "{state:?}");
    assert!(state.opened == 2 && state.closed >= 1, "{state:?}");
}

#[test]
fn a_websocket_over_tls_outlives_changes_of_the_table_and_of_the_certificate() {
    let stage = Stage::new("https");
    stage.change_the_table("https");

    let next = tls::write(stage.cluster.directory.path(), "site", &["*.example.test"]);
    stage.nodes[0].signal(Signal::HUP);
    let web = stage.web;
    stage.nodes[0].wait("the successor is served", |_| {
        tls::Connection::open(web, HOST).is_some_and(|it| it.shown() == next)
    });
    stage.unmoved("a new certificate");
}
