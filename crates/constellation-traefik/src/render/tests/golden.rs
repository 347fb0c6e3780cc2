//! Whole documents, written out. A change here is a change of what every Traefik is told: read the difference before
//! taking it, with `GOLDEN=write cargo test -p constellation-traefik golden`.

use std::{path::PathBuf, time::Duration};

use constellation_core::{
    Health::{Healthy, Stopped},
    route::{HttpHealthCheck, RouterTls, Scheme, StickyCookie},
};

use super::*;

fn compare(name: &str, nodes: Vec<Node>, config: &RenderConfig) {
    let rendered = rendered(nodes, config);
    let problems: Vec<String> = texts(&rendered);
    let whole = serde_json::json!({"document": rendered.document, "problems": problems});
    let actual = format!("{whole:#}\n");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/render/tests/golden/{name}.json"));
    if std::env::var_os("GOLDEN").is_some_and(|wish| wish == "write") {
        std::fs::write(&path, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs", path.display());
}

#[test]
fn one_service_on_one_node() {
    let web = routes("web", &["Host(`web.example.net`)"]);
    compare("one_node", vec![node(1).with("a", "web", Healthy, 1, &web)], &RenderConfig::default());
}

#[test]
fn one_service_on_three_nodes_under_a_domain_with_certificates() {
    let web = routes("web", &["Host(`web.example.net`)"]);
    let config = RenderConfig {
        entry_points: vec!["websecure".to_owned()],
        cert_resolver: Some("le".to_owned()),
        ..under_domain()
    };
    let nodes = vec![
        node(1).with("a", "web", Healthy, 1, &web),
        node(2).with("b", "web", Healthy, 1, &web),
        node(3).with("c", "web", Stopped, 1, &web),
    ];
    compare("three_nodes", nodes, &config);
}

#[test]
fn a_service_with_everything_and_one_that_lost_its_name() {
    let mut all = with_service(routes("all", &["Host(`a`) || Host(`b`)"]), |service| {
        service.scheme = Scheme::Https;
        service.pass_host_header = Some(false);
        service.response_timeout = Some(Duration::from_secs(5));
        service.sticky = Some(StickyCookie { name: Some("c".to_owned()), ..StickyCookie::default() });
        service.health_check = Some(HttpHealthCheck {
            path: "/health".to_owned(),
            interval: Some(Duration::from_secs(10)),
            ..HttpHealthCheck::default()
        });
    });
    for router in all.routers.values_mut() {
        router.entry_points = vec!["web".to_owned(), "websecure".to_owned()];
        router.middlewares = vec!["auth@file".to_owned(), "compress@file".to_owned()];
        router.priority = Some(77);
        router.tls = Some(RouterTls {
            cert_resolver: Some("le".to_owned()),
            options: Some("mtls@file".to_owned()),
            ..RouterTls::default()
        });
    }
    let rival = routes("all", &["Host(`c`)"]);
    let nodes = vec![
        node(1).with("a", "shop/all", Healthy, 1, &all),
        node(2).with("b", "shop/all", Healthy, 1, &all).with("c", "blog/all", Healthy, 2, &rival),
    ];
    compare("everything", nodes, &RenderConfig::default());
}
