use super::*;
use crate::language::{BACKEND, WARP_NAT_NET};

fn with_file(environment: &[(&str, &str)], text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deploy.toml");
    std::fs::write(&path, text).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(environment, Some(&path))
}

#[test]
fn the_environment_goes_before_the_file_and_the_file_before_the_default() {
    let config = with_file(
        &[("A", "environment")],
        "domain = \"example.org\"\n[variables]\nA = \"file\"\nB = \"file\"\nPORT = 81\nON = true\n",
    )
    .unwrap();
    assert_eq!(config.domain(), "example.org");
    assert_eq!(config.var("A", "default").as_str(), "environment");
    assert_eq!(config.var("B", "default").as_str(), "file");
    assert_eq!(config.var("C", "default").as_str(), "default");
    assert_eq!(config.port("PORT", 80), 81);
    assert!(config.flag("ON", false));
    assert_eq!(config.problems(), []);
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let config = Config::from_parts([("DOMAIN", "example.org"), ("A", "")]);
    assert_eq!(config.var("A", "default").as_str(), "default");
    assert_eq!(config.optional("A"), None);
}

#[test]
fn what_cannot_be_read_as_asked_is_said_with_what_to_do() {
    let config = Config::from_parts([("DOMAIN", "example.org"), ("PORT", "http"), ("ON", "perhaps")]);
    assert_eq!(config.port("PORT", 80), 80);
    assert!(config.flag("ON", true));
    config.required("PASSWORD", "the database's");
    let problems: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("PORT") && problems[0].contains("`http` is not a port"), "{problems:?}");
    assert!(problems[2].contains("set PASSWORD") && problems[2].contains("the database's"), "{problems:?}");
}

#[test]
fn a_missing_or_impossible_domain_is_a_problem() {
    assert!(Config::from_parts([]).problems()[0].to_string().contains("DOMAIN"));
    assert!(Config::from_parts([("DOMAIN", "exa mple")]).problems()[0].to_string().contains("exa mple"));
}

#[test]
fn an_unknown_key_is_refused_and_not_ignored() {
    let error = with_file(&[], "domian = \"example.org\"\n").unwrap_err();
    let ConfigError::Malformed { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("domian"), "{source}");
}

#[test]
fn two_defaults_for_one_variable_are_remembered() {
    let config = Config::example();
    config.var("PGID", "121");
    config.var("PGID", "988");
    assert_eq!(config.lookups()["PGID"].defaults.len(), 2);
}

#[test]
fn the_built_in_networks_are_the_reference_ones_and_can_be_changed() {
    let config = Config::example();
    assert_eq!(config.network(BACKEND), "infra_backend");
    assert_eq!(config.network(WARP_NAT_NET), "warp-nat-net");
    let config = with_file(
        &[("DOMAIN", "example.org"), ("STACK_NAME", "home"), ("PUBLICNET_SUBNET", "10.77.0.0/16")],
        "[networks.backend]\nsubnet = \"10.9.0.0/24\"\n[networks.lab]\ninternal = true\n",
    )
    .unwrap();
    let networks = config.networks();
    let of = |key: &str| networks.iter().find(|network| network.key() == key).unwrap();
    assert_eq!(of("backend").subnet.as_deref(), Some("10.9.0.0/24"));
    assert_eq!(of("backend").gateway, None);
    assert_eq!(of("publicnet").subnet.as_deref(), Some("10.77.0.0/16"));
    assert_eq!((of("lab").name.as_deref(), of("lab").internal), (Some("home_lab"), true));
}
