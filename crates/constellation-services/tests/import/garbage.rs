//! Whatever is fed in, nothing breaks: no panic, and code that is Rust.

use constellation_services::{ImportOptions, import};
use proptest::prelude::*;

const SAMPLES: [&str; 2] = [include_str!("blog.yaml"), include_str!("everything.yaml")];

/// Fields of services, known and unknown.
const FIELDS: &[&str] = &[
    "image",
    "build",
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "ports",
    "expose",
    "volumes",
    "networks",
    "network_mode",
    "depends_on",
    "healthcheck",
    "labels",
    "restart",
    "deploy",
    "cap_add",
    "cap_drop",
    "privileged",
    "user",
    "sysctls",
    "extra_hosts",
    "secrets",
    "configs",
    "logging",
    "tmpfs",
    "devices",
    "ulimits",
    "shm_size",
    "stop_grace_period",
    "profiles",
    "dns",
    "mem_limit",
    "cpus",
    "pull_policy",
    "container_name",
    "x-own",
    "no such",
];

/// What importing this text must not do, whatever it is.
fn survives(text: &str) {
    for folder in [None, Some("/srv/\"x\"".to_owned())] {
        let options = ImportOptions { stack: Some("s".to_owned()), folder };
        let Ok(imported) = import(text, &options) else { continue };
        if let Err(error) = syn::parse_file(&imported.code) {
            panic!("{error}: {:?} in\n{}\nof\n{text}", error.span(), imported.code);
        }
    }
}

/// Texts that want to be something else once they are between quotes or behind `//`.
fn nasty() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "\"",
        "\\",
        "\"#",
        "r#\"",
        "\n",
        "\r",
        "*/",
        "//!",
        "{",
        "}",
        "{}",
        "${A}",
        "${A:-",
        "}",
        "$$",
        "`",
        "'",
        ":",
        "=",
        "80",
        "0",
        "-1",
        "65536",
        "8080:80",
        "1-2",
        "[::1]:80:80",
        "/x",
        "./x",
        "../x",
        "~/x",
        "ro",
        "Host(`a`)",
        "&&",
        "||",
        "true",
        "no",
        "10s",
        "512m",
        "\u{202e}",
        "\u{2028}",
        "é",
        "\0",
        " ",
        "CMD",
        "CMD-SHELL",
        "ALL",
        "service:",
        "on-failure:x",
        "traefik.enable",
        "traefik.http.routers.a.rule",
        "traefik.http.middlewares.a.compress",
        "traefik.http.services.a.loadbalancer.server.port",
        "0440",
        "1e400",
        "99999999999999999999",
    ]);
    prop::collection::vec(words, 0..5).prop_map(|words| words.concat())
}

/// A value of any kind, as JSON, which is YAML.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        nasty().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    let names = prop::sample::select(vec![
        "test",
        "interval",
        "retries",
        "type",
        "source",
        "target",
        "published",
        "driver",
        "options",
        "context",
        "args",
        "limits",
        "resources",
        "memory",
        "soft",
        "hard",
        "condition",
        "aliases",
        "size",
        "mode",
        "uid",
        "order",
        "name",
    ]);
    leaf.prop_recursive(3, 16, 4, move |inner| {
        let name = prop_oneof![names.clone().prop_map(str::to_owned), nasty()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn service() -> impl Strategy<Value = serde_json::Value> {
    let field = prop::sample::select(FIELDS).prop_map(str::to_owned);
    prop::collection::btree_map(field, value(), 0..6)
        .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_an_error_or_code(text in "\\PC{0,200}") {
        survives(&text);
    }

    #[test]
    fn fields_of_any_shape_become_code_or_notes(
        services in prop::collection::btree_map(prop_oneof![nasty(), Just("web".to_owned())], service(), 1..4),
        rest in prop::collection::btree_map(
            prop::sample::select(vec!["networks", "volumes", "secrets", "configs", "name", "x-y"]), value(), 0..4),
    ) {
        let mut file = serde_json::Map::new();
        file.insert("services".to_owned(), serde_json::Value::Object(services.into_iter().collect()));
        file.extend(rest.into_iter().map(|(name, value)| (name.to_owned(), value)));
        survives(&serde_json::Value::Object(file).to_string());
    }

    #[test]
    fn a_field_that_nobody_knows_is_never_lost(name in "[a-w][a-z]{3,9}q") {
        let compose = format!("services:\n  web:\n    image: x:1.0\n    {name}: y\n");
        let imported = import(&compose, &ImportOptions::default()).unwrap();
        let place = format!("services.web.{name}");
        prop_assert!(imported.notes.iter().any(|note| note.place == place && note.line == 4));
        let comment = format!("// line 4, `{name}`: ");
        prop_assert!(imported.code.contains(&comment), "{}", imported.code);
    }

    #[test]
    fn a_damaged_file_is_an_error_or_code(
        sample in 0_usize..2, cut in any::<prop::sample::Index>(), length in 0_usize..40, with in nasty()
    ) {
        let lines = SAMPLES[sample];
        let start = cut.index(lines.len());
        let end = (start + length).min(lines.len());
        if lines.is_char_boundary(start) && lines.is_char_boundary(end) {
            survives(&format!("{}{with}{}", &lines[..start], &lines[end..]));
        }
    }
}
