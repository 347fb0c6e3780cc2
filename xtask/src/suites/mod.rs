//! `cargo xtask test`: every test that this machine can run, from one build of the tree.
//!
//! Cargo builds all executables once, with every gate open; we run them suite by suite. Running `cargo test` per
//! suite would build the tree again for each set of features.

mod artifacts;
pub(crate) mod plan;
mod run;

use std::{env, process::Command, time::Duration};

use anyhow::{Result, bail};

use self::{
    artifacts::Executable,
    plan::{Need, Suite},
    run::{Counts, Verdict, counted},
};
use crate::{
    child,
    clock::{self, seconds},
    table::Table,
    tools::{chromium, docker::Docker, nameservers, redis, traefik},
    workspace::{Workspace, cargo},
};

/// A cold build of everything on two cores, with room.
const BUILD_LIMIT: Duration = Duration::from_secs(2400);

/// What to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Only what needs no other program and no patience.
    pub(crate) unit_only: bool,
    /// Only tests whose name contains this.
    pub(crate) filter: Option<String>,
    /// Only these packages; all of them if none is named.
    pub(crate) packages: Vec<String>,
}

/// What cargo is told to select: packages, and the gates of theirs that are open.
struct Selection {
    arguments: Vec<String>,
    features: Vec<String>,
    /// Without a library there are no documentation examples, and cargo calls that an error.
    has_libs: bool,
}

impl Selection {
    fn of(workspace: &Workspace, options: &Options) -> Result<Self> {
        let members = &workspace.metadata.packages;
        if let Some(unknown) =
            options.packages.iter().find(|name| members.iter().all(|member| member.name != **name))
        {
            bail!("there is no package `{unknown}` in this workspace");
        }
        let features = if options.unit_only { Vec::new() } else { workspace.known_features(plan::FEATURES) };
        let features: Vec<String> = features
            .into_iter()
            .filter(|feature| {
                let package = feature.split('/').next().unwrap_or_default();
                options.packages.is_empty() || options.packages.iter().any(|wanted| wanted == package)
            })
            .collect();
        let mut arguments: Vec<String> =
            options.packages.iter().flat_map(|name| ["--package".to_owned(), name.clone()]).collect();
        if arguments.is_empty() {
            arguments.push("--workspace".to_owned());
        }
        if !features.is_empty() {
            arguments.extend(["--features".to_owned(), features.join(",")]);
        }
        let selected = |name: &String| options.packages.is_empty() || options.packages.contains(name);
        let has_libs = members.iter().any(|member| {
            selected(&member.name) && member.targets.iter().any(crate::workspace::Target::is_lib)
        });
        Ok(Self { arguments, features, has_libs })
    }
}

/// How a suite ended.
enum Outcome {
    Ran { verdict: Verdict, took: Duration },
    LeftOut { why: String },
}

/// What the suites share; each thing is prepared when the first suite asks for it.
#[derive(Default)]
struct Kit {
    docker: Option<Result<Docker, String>>,
    traefik: Option<Result<String, String>>,
    nameservers: Option<Result<(), String>>,
    redis: Option<Result<(), String>>,
    chromium: Option<Result<String, String>>,
}

impl Kit {
    /// The environment for a suite with these needs, or why it cannot run here.
    fn environment(
        &mut self,
        workspace: &Workspace,
        needs: &[Need],
    ) -> Result<Vec<(&'static str, String)>, String> {
        let mut environment = Vec::new();
        for need in needs {
            match need {
                Need::Docker => {
                    let prepare = || Docker::prepare(workspace).map_err(|error| format!("{error:#}"));
                    let docker = self.docker.get_or_insert_with(prepare).as_ref().map_err(Clone::clone)?;
                    environment.extend(docker.environment());
                }
                Need::NameServers => {
                    let prepare = || nameservers::prepare().map_err(|error| format!("{error:#}"));
                    self.nameservers.get_or_insert_with(prepare).clone()?;
                }
                Need::Redis => {
                    let prepare = || redis::prepare().map_err(|error| format!("{error:#}"));
                    self.redis.get_or_insert_with(prepare).clone()?;
                }
                Need::Chromium => {
                    let prepare = || {
                        let binary = chromium::prepare().map_err(|error| format!("{error:#}"))?;
                        Ok(binary.display().to_string())
                    };
                    let binary = self.chromium.get_or_insert_with(prepare).clone()?;
                    environment.push(("CONSTELLATION_E2E_CHROMIUM", binary));
                }
                Need::Traefik => {
                    let prepare = || {
                        let binary = traefik::prepare(workspace).map_err(|error| format!("{error:#}"))?;
                        Ok(binary.display().to_string())
                    };
                    let binary = self.traefik.get_or_insert_with(prepare).clone()?;
                    environment.push(("CONSTELLATION_E2E_TRAEFIK", binary));
                }
            }
        }
        Ok(environment)
    }
}

/// Builds, runs and sums up.
///
/// # Errors
/// When a test fails; under `CI=true` also when a suite had to be left out.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::read()?;
    let selection = Selection::of(&workspace, options)?;
    let executables = build(&workspace, &selection)?;
    let mut kit = Kit::default();
    let mut outcomes = Vec::new();
    for suite in plan::ALL.iter().copied().filter(|suite| suite.is_quick() || !options.unit_only) {
        let members: Vec<&Executable> =
            executables.iter().filter(|executable| plan::suite_of(executable) == suite).collect();
        if members.is_empty() && !(suite == Suite::Doc && selection.has_libs) {
            continue;
        }
        say!("\n=== {} ===", suite.name());
        let outcome = match kit.environment(&workspace, suite.needs()) {
            Ok(environment) => run_suite(&workspace, suite, &members, &selection, &environment, options)?,
            Err(why) => {
                say!("left out: {why}");
                Outcome::LeftOut { why }
            }
        };
        outcomes.push((suite, outcome));
    }
    drop(kit);
    summary(&outcomes, env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1"))
}

fn build(workspace: &Workspace, selection: &Selection) -> Result<Vec<Executable>> {
    let mut command = cargo(&workspace.root);
    command.arg("test").args(&selection.arguments).args(["--all-targets", "--no-run"]);
    command.arg("--message-format=json-render-diagnostics");
    let gates = if selection.features.is_empty() { "none".to_owned() } else { selection.features.join(", ") };
    say!("building the tests (features: {gates})");
    let messages = child::output("cargo test --no-run", &mut command, BUILD_LIMIT)?;
    Ok(artifacts::executables(&messages, &workspace.metadata))
}

fn run_suite(
    workspace: &Workspace,
    suite: Suite,
    members: &[&Executable],
    selection: &Selection,
    environment: &[(&'static str, String)],
    options: &Options,
) -> Result<Outcome> {
    let start = clock::now();
    let end = start + suite.limit();
    let mut verdict = Verdict::default();
    if suite == Suite::Doc {
        let mut command = cargo(&workspace.root);
        command.arg("test").args(&selection.arguments).arg("--doc");
        command.args(options.filter.iter().flat_map(|filter| ["--", filter]));
        verdict = counted("cargo test --doc", quiet(&mut command), end)?;
    }
    for executable in members {
        let name = format!("{} {} ({})", executable.package, executable.target, executable.kind);
        say!("\nRunning {name}");
        let mut command = Command::new(&executable.path);
        command
            .current_dir(&executable.folder)
            .env("CARGO_MANIFEST_DIR", &executable.folder)
            .envs(environment.iter().map(|(key, value)| (*key, value.as_str())))
            .args(suite.arguments())
            .args(&options.filter);
        let began = clock::now();
        let of_this = counted(&name, quiet(&mut command), end)?;
        say!("{}", run::took(&name, of_this.counts, clock::now() - began));
        verdict.add(of_this);
    }
    Ok(Outcome::Ran { verdict, took: clock::now() - start })
}

/// Tests provoke panics on purpose; their backtraces would bury the one that matters. Whoever wants them says so.
fn quiet(command: &mut Command) -> &mut Command {
    if env::var_os("RUST_BACKTRACE").is_none() {
        command.env("RUST_BACKTRACE", "0");
    }
    command
}

fn summary(outcomes: &[(Suite, Outcome)], strict: bool) -> Result<()> {
    let mut table = Table::new(&["suite", ">passed", ">failed", ">ignored", ">time", "remark"]);
    let mut total = Counts::default();
    let (mut failed, mut left_out) = (Vec::new(), Vec::new());
    for (suite, outcome) in outcomes {
        match outcome {
            Outcome::Ran { verdict: Verdict { counts, failures }, took } => {
                total = total.plus(*counts);
                failed.extend(failures.iter().map(|failure| format!("{}: {failure}", suite.name())));
                let numbers = [counts.passed, counts.failed, counts.ignored].map(|number| number.to_string());
                table.row([vec![suite.name().to_owned()], numbers.to_vec(), vec![seconds(*took)]].concat());
            }
            Outcome::LeftOut { why } => {
                left_out.push(suite.name());
                table.row([
                    suite.name(),
                    "-",
                    "-",
                    "-",
                    "-",
                    &format!("left out: {}", why.replace('\n', " ")),
                ]);
            }
        }
    }
    say!("\n{}", table.render());
    failed.iter().for_each(|failure| say!("failed: {failure}"));
    say!("{} passed, {} failed", total.passed, total.failed);
    if total.failed > 0 {
        bail!("tests failed: {}", total.failed);
    }
    if strict && !left_out.is_empty() {
        bail!("CI=true, and this machine left out: {}", left_out.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(passed: usize, failed: usize) -> Outcome {
        let verdict = Verdict { counts: Counts { passed, failed, ignored: 0 }, failures: Vec::new() };
        Outcome::Ran { verdict, took: Duration::ZERO }
    }

    #[test]
    fn one_failed_test_fails_the_run() {
        assert!(summary(&[(Suite::Unit, ran(5, 0)), (Suite::Docker, ran(3, 1))], false).is_err());
        assert!(summary(&[(Suite::Unit, ran(5, 0))], true).is_ok());
    }

    #[test]
    fn a_suite_left_out_is_a_failure_only_in_ci() {
        let left_out = || [(Suite::Docker, Outcome::LeftOut { why: "no engine".to_owned() })];
        assert!(summary(&left_out(), false).is_ok());
        let error = summary(&left_out(), true).unwrap_err();
        assert!(error.to_string().contains("Docker Engine"), "{error}");
    }
}
