//! The floors of the workspace: a crate may know only crates that stand below it.
//!
//! The table is the picture of `docs/architecture.md`. Crates on one floor meet in the agent, never in each other;
//! that is what lets each of them be built, tested and embedded alone.

use super::finding::Finding;

/// Each member and its floor. Names of crates to come are in it already, so that they are born on their floor.
const FLOORS: &[(&str, u8)] = &[
    ("constellation-core", 0),
    ("constellation-tasks", 1),
    ("constellation-security", 1),
    ("constellation-rules", 1),
    ("constellation-gossip", 2),
    ("constellation-consensus", 2),
    ("constellation-tailscale", 2),
    ("constellation-docker", 2),
    ("constellation-services", 3),
    ("constellation-stateful", 3),
    ("constellation-monitor", 3),
    ("constellation-dns", 3),
    ("constellation-traefik", 3),
    ("constellation-proxy", 3),
    ("constellation-api", 4),
    (TESTKIT, 5),
    ("constellation-agent", 6),
    ("constellation-deploy", 6),
    ("xtask", 6),
];

/// Simulations for tests: anybody's dev-dependency, nobody's dependency.
const TESTKIT: &str = "constellation-testkit";

/// Arrows that point down and are wrong all the same, each with its reason.
const NEVER: &[(&str, &[&str], &str)] = &[
    (
        "constellation-core",
        &["tokio", "tokio-util", "futures", "async-trait", "hyper", "axum"],
        "core holds plain values: no runtime, no I/O",
    ),
    ("constellation-dns", JOINED_BY_THE_AGENT, READS_WATCHES),
    ("constellation-traefik", JOINED_BY_THE_AGENT, READS_WATCHES),
    ("constellation-proxy", JOINED_BY_THE_AGENT, READS_WATCHES),
    (
        "xtask",
        WHOLE_WORKSPACE,
        "xtask must build when the crates that it checks do not: start them as programs",
    ),
];
const JOINED_BY_THE_AGENT: &[&str] = &["constellation-gossip", "constellation-consensus"];
const READS_WATCHES: &str = "it reads `watch` receivers of core's types, and the agent joins the ends";
/// Stands for every member.
const WHOLE_WORKSPACE: &[&str] = &["constellation-*"];

/// A member as this rule sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its manifest, relative to the root.
    pub(crate) manifest: String,
    pub(crate) dependencies: Vec<Arrow>,
}

/// One dependency of a member.
#[derive(Clone, Debug)]
pub(crate) struct Arrow {
    pub(crate) to: String,
    pub(crate) dev: bool,
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// Compares the members with the table.
pub(crate) fn check(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        // An example embeds whatever it likes, as a stranger's program would.
        if member.manifest.starts_with("examples/") {
            continue;
        }
        let Some(own) = floor(&member.name) else {
            findings.push(Finding::error(
                &member.manifest,
                format!(
                    "`{}` has no floor: add it to FLOORS in xtask/src/tidy/floors.rs and to docs/architecture.md",
                    member.name
                ),
            ));
            continue;
        };
        for arrow in &member.dependencies {
            findings.extend(judge(member, own, arrow));
        }
    }
    findings
}

fn judge(member: &Member, own: u8, arrow: &Arrow) -> Option<Finding> {
    let says = |why: String| Some(Finding::error(&member.manifest, why));
    let name = &member.name;
    let to = arrow.to.as_str();
    for (from, targets, why) in NEVER {
        let meant =
            |target: &&str| target.strip_suffix('*').map_or(*target == to, |start| to.starts_with(start));
        // A test of core may well run on tokio.
        let allowed_in_tests = arrow.dev && floor(to).is_none();
        if *from == *name && targets.iter().any(meant) && !allowed_in_tests {
            return says(format!("`{name}` may not depend on `{to}`: {why}"));
        }
    }
    let theirs = floor(to)?;
    if to == TESTKIT {
        let why = format!("`{name}` may have `{to}` only under [dev-dependencies]: it is for tests");
        return if arrow.dev { None } else { says(why) };
    }
    if theirs < own {
        return None;
    }
    let kind = if arrow.dev { "dev-dependency" } else { "dependency" };
    let why = if theirs == own { "they share a floor" } else { "it stands above" };
    says(format!(
        "{kind} of `{name}` (floor {own}) on `{to}` (floor {theirs}): {why}. Move what both need further down, \
         or let the agent join them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, dependencies: &[(&str, bool)]) -> Member {
        let dependencies =
            dependencies.iter().map(|(to, dev)| Arrow { to: (*to).to_owned(), dev: *dev }).collect();
        Member { name: name.to_owned(), manifest: format!("crates/{name}/Cargo.toml"), dependencies }
    }

    fn texts(members: &[Member]) -> Vec<String> {
        check(members).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn an_arrow_down_is_fine() {
        let monitor = member(
            "constellation-monitor",
            &[("constellation-docker", false), ("constellation-core", false)],
        );
        assert_eq!(texts(&[monitor]), [""; 0]);
    }

    #[test]
    fn an_arrow_up_is_an_error() {
        let found = texts(&[member("constellation-core", &[("constellation-tasks", false)])]);
        assert!(found[0].contains("it stands above"), "{found:?}");
    }

    #[test]
    fn crates_on_one_floor_do_not_know_each_other() {
        let found = texts(&[member("constellation-gossip", &[("constellation-docker", false)])]);
        assert!(found[0].contains("they share a floor"), "{found:?}");
    }

    #[test]
    fn dev_dependencies_obey_the_floors_too() {
        let found = texts(&[member("constellation-proxy", &[("constellation-monitor", true)])]);
        assert!(found[0].starts_with("dev-dependency"), "{found:?}");
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        assert_eq!(texts(&[member("constellation-gossip", &[(TESTKIT, true)])]), [""; 0]);
        let found = texts(&[member("constellation-agent", &[(TESTKIT, false)])]);
        assert!(found[0].contains("[dev-dependencies]"), "{found:?}");
    }

    #[test]
    fn routing_crates_never_import_gossip_though_it_stands_below() {
        for name in ["constellation-dns", "constellation-traefik", "constellation-proxy"] {
            let found = texts(&[member(name, &[("constellation-gossip", false)])]);
            assert!(found[0].contains("the agent joins the ends"), "{found:?}");
        }
    }

    #[test]
    fn core_has_no_runtime_except_in_its_tests() {
        let found = texts(&[member("constellation-core", &[("tokio", false)])]);
        assert!(found[0].contains("no runtime"), "{found:?}");
        assert_eq!(texts(&[member("constellation-core", &[("tokio", true)])]), [""; 0]);
    }

    #[test]
    fn xtask_links_no_crate_of_the_workspace() {
        let found = texts(&[member("xtask", &[("constellation-core", false)])]);
        assert!(found[0].contains("start them as programs"), "{found:?}");
    }

    #[test]
    fn a_member_without_a_floor_is_an_error() {
        let found = texts(&[member("constellation-teapot", &[])]);
        assert!(found[0].contains("has no floor"), "{found:?}");
    }

    #[test]
    fn an_example_may_embed_anything() {
        let mut example =
            member("embed", &[("constellation-gossip", false), ("constellation-traefik", false)]);
        example.manifest = "examples/embed/Cargo.toml".to_owned();
        assert_eq!(texts(&[example]), [""; 0]);
    }
}
