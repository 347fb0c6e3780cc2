//! What passes through unchanged, what is changed on the way, and what survives a change of the table.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{sync::Arc, time::Duration};

use constellation_proxy::http::{Listen, Policy, Router, Service, Table, Target};
use constellation_tasks::Drained;
use support::{Backend, PATIENCE, Proxy, Reply, backend, table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn the_backend_is_told_who_asked_and_nothing_that_was_meant_for_the_proxy() {
    let web = Backend::new(Reply::ok("")).await;
    let proxy = Proxy::of(&[&web]);
    let request = "GET /a%20b?c=d HTTP/1.1\r\nHost: App.Test:8080\r\nConnection: keep-alive, X-Own\r\nX-Own: 1\r\n\
                   Keep-Alive: 5\r\nProxy-Authorization: Basic eDp5\r\nX-Forwarded-For: 198.51.100.1\r\nX-Other: kept\r\n\r\n";
    assert_eq!(proxy.ask(request).await.status, 200);
    let seen = web.requests()[0].to_ascii_lowercase();
    assert!(seen.starts_with("get /a%20b?c=d http/1.1\r\n"), "{seen}");
    for told in [
        "host: app.test:8080\r\n",
        "x-other: kept\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: app.test:8080\r\n",
        "x-real-ip: 127.0.0.1\r\n",
        "forwarded: for=127.0.0.1;host=\"app.test:8080\";proto=http\r\n",
    ] {
        assert!(seen.contains(told), "{told:?} is missing in {seen}");
    }
    for gone in ["x-own", "keep-alive", "proxy-authorization", "198.51.100.1", "connection"] {
        assert!(!seen.contains(gone), "{gone:?} in {seen}");
    }
}

#[tokio::test]
async fn a_trusted_neighbours_word_on_its_client_is_continued() {
    let web = Backend::new(Reply::ok("")).await;
    let proxy = Proxy::with(table(vec![backend(web.address, 0)], Policy::default()), |config| {
        config.trusted = constellation_rules::AddressRange::parse("127.0.0.0/8").into_iter().collect();
    });
    proxy
        .ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n\r\n")
        .await;
    let seen = web.requests()[0].to_ascii_lowercase();
    assert!(seen.contains("x-forwarded-for: 198.51.100.1, 127.0.0.1\r\n"), "{seen}");
    assert!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
}

#[tokio::test]
async fn a_redirect_is_the_clients_to_follow() {
    let reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/gone\r\nContent-Length: 0\r\nKeep-Alive: timeout=5\r\n\r\n";
    let web = Backend::new(Reply::raw(reply)).await;
    let answer = Proxy::of(&[&web]).get("/").await;
    assert_eq!((answer.status, answer.field("location")), (302, Some("http://127.0.0.1:1/gone")));
    assert!(answer.field("keep-alive").is_none());
}

#[tokio::test]
async fn many_requests_over_one_connection_take_one_connection_to_the_backend() {
    let web = Backend::new(Reply::ok("same")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    for _ in 0..50 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.body, "same");
    }
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((client.answer().await.status, client.answer().await.status), (200, 200), "pipelined");
    assert_eq!((web.count(), web.connections()), (52, 1));
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_fit_for_the_next() {
    let web = Backend::new(Reply::ok("")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    for (reply, status) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
    ] {
        web.behave(Reply::raw(reply));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.status, status);
    }
    web.behave(Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"));
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.head().await.unwrap();
    assert!(head.to_ascii_lowercase().contains("content-length: 1234"), "{head}");
    web.behave(Reply::ok("after"));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.body, "after");
    assert_eq!(web.connections(), 1);
}

#[tokio::test]
async fn chunks_and_trailers_pass_in_both_directions() {
    let reply = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n";
    let web = Backend::new(Reply::raw(reply)).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n")
        .await;
    let head = client.head().await.unwrap();
    assert!(head.contains("chunked"), "{head}");
    let mut rest = String::new();
    while !rest.ends_with("\r\n\r\n") {
        rest.push_str(&client.take(1).await);
    }
    assert!(rest.contains("abc") && rest.contains("de"), "{rest}");
    assert!(rest.to_ascii_lowercase().contains("x-sum: 5"), "{rest}");
    assert!(web.requests()[0].contains("4\r\nwxyz\r\n0\r\n"), "{:?}", web.requests());
}

#[tokio::test]
async fn events_arrive_while_the_answer_goes_on_and_no_time_ends_it() {
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let events = [head, b"8\r\ndata: 1\n\r\n".to_vec(), b"8\r\ndata: 2\n\r\n".to_vec()];
    let web = Backend::new(Reply::Pieces(events.to_vec(), Duration::from_millis(300))).await;
    let policy = Policy {
        response_timeout: Some(Duration::from_millis(200)),
        total_timeout: Some(Duration::from_millis(200)),
        ..Policy::default()
    };
    let proxy = Proxy::start(table(vec![backend(web.address, 0)], policy));
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await.unwrap();
    assert!(client.take(13).await.contains("data: 1"), "before the second is sent");
    assert!(client.take(13).await.contains("data: 2"));
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it() {
    let web = Backend::new(Reply::ok("done")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    let leave = client.head().await.unwrap();
    assert!(leave.starts_with("HTTP/1.1 100"), "{leave}");
    client.send("body").await;
    assert_eq!(client.answer().await.body, "done");
    assert!(!web.requests()[0].to_ascii_lowercase().contains("expect"));
}

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_websocket_survives_a_change_of_the_table_and_ends_with_its_backend() {
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let web = Backend::new(Reply::Echo(agreed.into())).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
    client.send("ping").await;
    assert_eq!(client.take(4).await, "ping");
    proxy.tables.send_replace(Arc::new(Table::default()));
    proxy.until("the table is empty", |status| status.routers == 0).await;
    assert_eq!(proxy.get("/").await.status, 404);
    client.send("still").await;
    assert_eq!(client.take(5).await, "still");
    assert_eq!(proxy.handle.status().tunnels, 1);
    web.kill();
    assert!(client.ends().await);
    proxy.until("no tunnel is open", |status| status.tunnels == 0).await;
}

#[tokio::test]
async fn an_upgrade_that_is_declined_is_an_answer_like_any_other() {
    let web = Backend::new(Reply::ok("no websocket here")).await;
    let answer = Proxy::of(&[&web]).ask(UPGRADE).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "no websocket here"));
}

#[tokio::test]
async fn an_upgrade_fails_over_and_is_waited_for_no_longer_than_any_other_request() {
    let silent = Backend::new(Reply::Silence).await;
    let busy = Backend::new(Reply::status(503, "busy")).await;
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let web = Backend::new(Reply::Echo(agreed.into())).await;
    let policy = Policy { response_timeout: Some(Duration::from_millis(100)), ..Policy::default() };
    let ranked = [&silent, &busy, &web].into_iter().zip(0..).map(|(it, rank)| backend(it.address, rank));
    let proxy = Proxy::start(table(ranked.collect(), policy.clone()));
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.answer().await.status, 101);
    client.send("ping").await;
    assert_eq!(client.take(4).await, "ping");
    assert_eq!((silent.count(), busy.count()), (1, 1));
    let alone = Proxy::start(table(vec![backend(silent.address, 0)], policy));
    assert_eq!(alone.ask(UPGRADE).await.status, 504);
}

#[tokio::test]
async fn no_request_is_lost_while_tables_change_under_load() {
    let (one, other) = (Backend::new(Reply::ok("one")).await, Backend::new(Reply::ok("other")).await);
    let proxy = Proxy::of(&[&one, &other]);
    let address = proxy.address();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        clients.spawn(async move {
            let mut client = support::Client::connect(address).await;
            for _ in 0..150 {
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
                assert_eq!(client.answer().await.status, 200);
            }
        });
    }
    let only = |it: &Backend| table(vec![backend(it.address, 0)], Policy::default());
    let mut flips = 0;
    while clients.try_join_next().is_none_or(|ended| {
        ended.unwrap();
        !clients.is_empty()
    }) {
        let next = if flips % 2 == 0 { only(&one) } else { only(&other) };
        proxy.tables.send_replace(Arc::new(next));
        flips += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(flips > 5, "the table changed {flips} times");
    assert_eq!(one.count() + other.count(), 8 * 150);
}

#[tokio::test]
async fn connections_to_a_backend_that_is_routed_no_more_close() {
    let web = Backend::new(Reply::ok("x")).await;
    let proxy = Proxy::of(&[&web]);
    proxy.get("/").await;
    proxy.until("its connection lies idle", |status| status.idle == 1).await;
    proxy.tables.send_replace(Arc::new(Table::default()));
    proxy
        .until("nothing lies idle, and it is not told of", |status| {
            status.idle == 0 && status.backends.is_empty()
        })
        .await;
}

#[tokio::test]
async fn a_router_that_cannot_keep_its_guards_lets_nothing_through_and_nothing_past_it() {
    let web = Backend::new(Reply::ok("open")).await;
    let plain = table(vec![backend(web.address, 0)], Policy::default());
    let guarded = Router {
        name: "guarded".into(),
        rule: "Host(`app.test`)".parse().unwrap(),
        priority: 10,
        entry_points: vec![],
        tls: false,
        target: Target::Refuse { reason: "it needs the middleware auth@file".into() },
    };
    let routers = plain.routers().iter().cloned().chain([guarded]).collect();
    let proxy = Proxy::start(Table::new(routers, plain.services().to_vec()));
    let refused = proxy.get("/").await;
    assert_eq!(refused.status, 501);
    assert!(!refused.body.contains("auth"), "{}", refused.body);
    assert_eq!(proxy.ask("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n").await.body, "open");
}

#[tokio::test]
async fn a_listener_by_header_asks_no_rules_and_is_on_loopback_alone() {
    let web = Backend::new(Reply::ok("by name")).await;
    let service =
        Service { name: "web".into(), backends: vec![backend(web.address, 0)], policy: Policy::default() };
    let proxy = Proxy::with(Table::new(vec![], vec![service]), |config| {
        config.listeners[0].by_header = true;
    });
    let ask = |name: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Constellation-Service: {name}\r\n\r\n");
    assert_eq!(proxy.ask(&ask("web")).await.body, "by name");
    assert!(!web.requests()[0].to_ascii_lowercase().contains("x-constellation-service"));
    assert_eq!(proxy.ask(&ask("other")).await.status, 404);
    assert_eq!(proxy.get("/").await.status, 404);

    let (_tables, receiver) = tokio::sync::watch::channel(Arc::default());
    let open = Listen { by_header: true, ..Listen::plain(([0, 0, 0, 0], 0).into()) };
    let config = constellation_proxy::http::ProxyConfig::for_listeners(vec![open]);
    let clock = Arc::new(constellation_tasks::SystemClock::start());
    let supervisor = constellation_tasks::Supervisor::new();
    let refused = constellation_proxy::http::HttpProxy::start(config, receiver, &supervisor, clock);
    assert!(refused.unwrap_err().to_string().contains("loopback"));
}

#[tokio::test]
async fn a_drain_lets_open_requests_finish_and_takes_no_new_ones() {
    let slow = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab";
    let pieces = vec![slow.into(), b"cd".to_vec(), b"ef".to_vec()];
    let web = Backend::new(Reply::Pieces(pieces, Duration::from_millis(150))).await;
    let proxy = Proxy::of(&[&web]);
    let (mut busy, mut idle) = (proxy.client().await, proxy.client().await);
    proxy.until("both are let in", |status| status.connections == 2).await;
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    busy.head().await.unwrap();
    let supervisor = proxy.supervisor.clone();
    let draining = async move { supervisor.drain(PATIENCE).await };
    let asking = async {
        let body = busy.take(6).await;
        (body, busy.ends().await, idle.ends().await)
    };
    let (drained, asked) = tokio::join!(draining, asking);
    assert_eq!(asked, ("abcdef".to_owned(), true, true));
    assert_eq!(drained, Drained::Clean);
    assert!(tokio::net::TcpStream::connect(proxy.address()).await.is_err());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away_and_counted() {
    let web = Backend::new(Reply::ok("x")).await;
    let proxy = Proxy::with(table(vec![backend(web.address, 0)], Policy::default()), |config| {
        config.limits.connections_max = 1;
    });
    let mut first = proxy.client().await;
    proxy.until("the first is let in", |status| status.connections == 1).await;
    let mut second = proxy.client().await;
    assert!(second.ends().await);
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(proxy.handle.status().turned_away, 1);
}

#[tokio::test]
async fn a_host_that_is_not_to_be_passed_on_is_replaced_by_the_address() {
    let web = Backend::new(Reply::ok("")).await;
    let policy = Policy { pass_host_header: false, ..Policy::default() };
    Proxy::start(table(vec![backend(web.address, 0)], policy)).get("/").await;
    let seen = web.requests()[0].to_ascii_lowercase();
    assert!(seen.contains(&format!("host: {}\r\n", web.address)), "{seen}");
    assert!(seen.contains("x-forwarded-host: app.test\r\n"), "{seen}");
}

#[tokio::test]
async fn a_large_body_arrives_whole_in_both_directions() {
    let body = "0123456789abcdef".repeat(128 * 1024);
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let web = Backend::new(Reply::Bytes(reply.into_bytes())).await;
    let proxy = Proxy::of(&[&web]);
    let mut stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    let head =
        format!("PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with(&body), "{} bytes", answer.len());
    assert!(web.requests()[0].ends_with(&body));
}
