//! Code from Compose files: what is generated stands beside this file and is compiled with it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

#[rustfmt::skip]
#[allow(unreachable_pub, reason = "it is an operator's module")]
mod blog;
#[rustfmt::skip]
#[allow(unreachable_pub, reason = "it is an operator's module")]
mod everything;
mod garbage;

use std::path::Path;

use constellation_docker::{ContainerSpec, MountKind, RestartPolicy};
use constellation_services::{ImportOptions, Imported, import, prelude::*, render, validate};

fn imported(compose: &str, folder: Option<&str>) -> Imported {
    let options = ImportOptions { stack: None, folder: folder.map(str::to_owned) };
    import(compose, &options).unwrap()
}

/// Compares with the file beside this one; with `CONSTELLATION_BLESS` set, writes it.
#[track_caller]
fn assert_is(name: &str, stands_there: &str, code: &str) {
    if std::env::var_os("CONSTELLATION_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name);
        std::fs::write(path, code).unwrap();
    } else if stands_there != code {
        let line = stands_there.lines().zip(code.lines()).position(|(a, b)| a != b);
        let line = line.unwrap_or(stands_there.lines().count().min(code.lines().count()));
        panic!(
            "{name} differs from line {}: `{}` stands there, `{}` is generated; set CONSTELLATION_BLESS=1 and read the \
             difference",
            line + 1,
            stands_there.lines().nth(line).unwrap_or_default(),
            code.lines().nth(line).unwrap_or_default(),
        );
    }
}

#[test]
fn the_code_of_a_small_project_is_what_stands_beside_this_test() {
    let imported = imported(include_str!("blog.yaml"), Some("/srv/blog"));
    assert_is("blog.rs", include_str!("blog.rs"), &imported.code);
}

#[test]
fn the_code_of_every_field_is_what_stands_beside_this_test() {
    let imported = imported(include_str!("everything.yaml"), None);
    assert_is("everything.rs", include_str!("everything.rs"), &imported.code);
}

fn spec(services: &constellation_services::Desired, name: &str) -> ContainerSpec {
    let id = format!("blog/{name}");
    services.services.iter().find(|service| service.id.to_string() == id).unwrap().spec.clone()
}

#[test]
fn what_compose_would_have_run_is_what_the_code_runs() {
    let cfg = Config::from_parts([("DOMAIN", "example.org"), ("DB_NAME", "posts")]);
    let stacks = [blog::stack(&cfg)];
    assert_eq!(validate(&stacks, &cfg), []);
    let desired = render(&stacks, &cfg, &Default::default()).unwrap();
    let (db, web) = (spec(&desired, "db"), spec(&desired, "web"));

    assert_eq!(db.image, "postgres:16.4-alpine");
    assert_eq!(db.env["POSTGRES_DB"], "posts");
    assert_eq!(db.env["POSTGRES_PASSWORD_FILE"], "/run/secrets/db_password");
    assert_eq!(db.restart, RestartPolicy::UnlessStopped);
    let volume = MountKind::Volume { name: "blog_db-data".to_owned() };
    assert!(db.mounts.iter().any(|mount| mount.kind == volume), "as Compose names it: {:?}", db.mounts);
    assert_eq!(db.networks.keys().collect::<Vec<_>>(), ["blog_default"], "as Compose names it");

    assert_eq!(web.env["DATABASE_URL"], "postgres://blog@db/posts");
    assert_eq!(web.env.get("LOG_LEVEL"), None, "a name alone is left out where nobody sets it");
    let uploads = MountKind::Bind { source: "/srv/blog/uploads".to_owned() };
    assert!(web.mounts.iter().any(|mount| mount.kind == uploads), "{:?}", web.mounts);
    for (label, value) in [
        ("traefik.enable", "true"),
        ("traefik.http.routers.blog.rule", "Host(`blog.example.org`) || Host(`www.example.org`)"),
        ("traefik.http.routers.blog.entrypoints", "websecure"),
        ("traefik.http.routers.blog.tls.certresolver", "letsencrypt"),
        ("traefik.http.routers.blog.middlewares", "gzip@docker"),
        ("traefik.http.middlewares.gzip.compress", "true"),
        ("traefik.http.services.blog.loadbalancer.server.port", "8080"),
    ] {
        assert_eq!(web.labels.get(label).map(String::as_str), Some(value), "{label}");
    }
    let migrate = desired.services.iter().find(|service| service.id.name() == "migrate").unwrap();
    assert!(migrate.job, "others wait for its end");
    assert_eq!(migrate.spec.command.as_ref().unwrap()[3], "latest schema");
}

#[test]
fn what_is_passed_on_is_what_the_configuration_has() {
    let cfg = Config::from_parts([("DOMAIN", "example.org"), ("LOG_LEVEL", "debug")]);
    let desired = render(&[blog::stack(&cfg)], &cfg, &Default::default()).unwrap();
    assert_eq!(spec(&desired, "web").env["LOG_LEVEL"], "debug");
}

#[test]
fn what_could_not_be_carried_over_is_found_by_validation_or_said_in_a_note() {
    let cfg = Config::from_parts([("DOMAIN", "example.org"), ("VERSION", "1")]);
    let problems = validate(&[everything::stack(&cfg)], &cfg);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    // Its note says why: a folder outside of the one that nobody named.
    assert!(problems.iter().any(|problem| problem.contains("`../shared`")), "{problems:#?}");
    // Start-first and a published port: Compose ignored the former outside of a swarm.
    assert!(problems.iter().any(|problem| problem.contains("update")), "{problems:#?}");
    let imported = imported(include_str!("everything.yaml"), None);
    for place in
        ["include", "services.long-forms.tty", "services.long-forms.env_file", "services.host-net.pid"]
    {
        assert!(imported.notes.iter().any(|note| note.place == place), "{place}: {:#?}", imported.notes);
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    let error = |text: &str| import(text, &ImportOptions::default()).unwrap_err().to_string();
    assert!(
        error("services:\n  a: {\n").starts_with("line 2: ")
            || error("services:\n  a: {\n").starts_with("line 3: ")
    );
    assert!(error("- a\n- b\n").contains("it is no mapping"));
    assert!(error("volumes: {}\n").contains("it has no `services`"));
    assert!(error(&"#".repeat(1 << 20)).contains("check the path"));
}
