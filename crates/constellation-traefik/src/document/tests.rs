use std::time::Duration;

use serde_json::json;

use super::*;

fn router(service: &str) -> Router {
    Router {
        entry_points: ["web".into()].into(),
        middlewares: [].into(),
        service: service.into(),
        rule: "Host(`a`)".to_owned(),
        priority: 9,
        tls: None,
        observability: None,
    }
}

fn balancer(urls: &[&str]) -> Service {
    let servers = urls.iter().map(|url| Server::at((*url).into())).collect();
    Service::LoadBalancer(LoadBalancer { servers, ..LoadBalancer::default() })
}

fn document() -> DynamicConfig {
    let mut document = DynamicConfig::default();
    document.http.routers.insert("a".into(), router("a").into());
    document.http.services.insert("a".into(), balancer(&["http://10.0.0.1:80"]).into());
    document
}

fn fault(change: impl FnOnce(&mut Http)) -> String {
    let mut document = document();
    change(&mut document.http);
    document.validate().expect_err("the document should be refused").to_string()
}

#[test]
fn a_document_without_content_has_no_maps_at_all() {
    assert_eq!(DynamicConfig::default().to_bytes(), b"{}");
}

#[test]
fn fields_are_spelt_as_traefik_spells_them_and_absent_ones_are_left_out() {
    let mut document = document();
    document.http.routers.get_mut("a").unwrap().tls = Some(Box::default());
    document.http.services.insert("none".into(), balancer(&[]).into());
    document.http.services.insert(
        "f".into(),
        Service::Failover(Failover {
            service: "a".into(),
            fallback: "none".into(),
            errors: FailoverErrors { status: ["502-504".into()].into(), max_request_body_bytes: 1 },
        })
        .into(),
    );
    document.http.servers_transports.insert(
        "t".into(),
        ServersTransport {
            forwarding_timeouts: ForwardingTimeouts {
                dial_timeout: GoDuration(Duration::from_millis(300)),
                response_header_timeout: None,
            },
        },
    );
    assert_eq!(document.validate(), Ok(()));
    assert_eq!(
        serde_json::to_value(&document).unwrap(),
        json!({"http": {
            "routers": {"a": {"entryPoints": ["web"], "service": "a", "rule": "Host(`a`)", "priority": 9, "tls": {}}},
            "services": {
                "a": {"loadBalancer": {"servers": [{"url": "http://10.0.0.1:80"}]}},
                "f": {"failover": {"service": "a", "fallback": "none",
                                   "errors": {"status": ["502-504"], "maxRequestBodyBytes": 1}}},
                "none": {"loadBalancer": {"servers": []}},
            },
            "serversTransports": {"t": {"forwardingTimeouts": {"dialTimeout": "300ms"}}},
        }})
    );
    let back: DynamicConfig = serde_json::from_slice(&document.to_bytes()).unwrap();
    assert_eq!(back, document);
}

#[test]
fn what_traefik_would_refuse_or_misread_is_a_fault() {
    assert_eq!(document().validate(), Ok(()));
    for (fault, expected) in [
        (fault(|http| http.services.clear()), "router `a` leads to a service that is not there"),
        (fault(|http| http.routers.get_mut("a").unwrap().entry_points = [].into()), "names no entry point"),
        (fault(|http| http.routers.get_mut("a").unwrap().priority = 0), "has priority 0"),
        (fault(|http| http.routers.get_mut("a").unwrap().priority = i64::MAX), "keeps to itself"),
        (fault(|http| http.routers.get_mut("a").unwrap().rule.clear()), "has a rule that is none"),
        (
            fault(|http| http.routers.get_mut("a").unwrap().middlewares = ["x".into()].into()),
            "a middleware that is not",
        ),
        (fault(|http| drop(http.routers.insert("a@b".into(), router("a").into()))), "would misread"),
        (
            fault(|http| drop(http.services.insert("b".into(), balancer(&["10.0.0.1:80"]).into()))),
            "URL is none",
        ),
        (
            fault(|http| {
                drop(
                    http.services.insert("b".into(), Service::Weighted(Weighted { services: vec![] }).into()),
                );
            }),
            "distributes over nothing",
        ),
        (
            fault(|http| {
                let errors = FailoverErrors { status: ["502".into()].into(), max_request_body_bytes: 0 };
                let circle = Failover { service: "b".into(), fallback: "a".into(), errors };
                http.services.insert("b".into(), Service::Failover(circle).into());
            }),
            "falls over between what is not there",
        ),
    ] {
        assert!(fault.contains(expected), "{expected}: {fault}");
    }
}

#[test]
fn what_another_provider_defines_is_taken_on_trust() {
    let mut document = document();
    let router = document.http.routers.get_mut("a").unwrap();
    router.service = "api@internal".into();
    router.middlewares = ["auth@file".into()].into();
    assert_eq!(document.validate(), Ok(()));
}
