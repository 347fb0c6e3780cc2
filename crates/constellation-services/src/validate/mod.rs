//! Everything that is wrong with definitions, at once, each with its service, its field and what to do.

mod depends;
mod files;
mod names;
mod network;
mod ports;
mod routes;
mod run;

use crate::{
    config::Config,
    index::{Index, Member},
    language::Stack,
    problem::Problem,
};

/// Everything that is wrong with these definitions under this configuration. Nothing is read but them: missing files
/// are found by `plan`.
///
/// ```
/// use constellation_services::{prelude::*, validate};
/// let stack = Stack::new("blog").service(Service::new("web", "blog:1.0").depends_on("db", Healthy));
/// let problems = validate(&[stack], &Config::example());
/// assert_eq!(problems[0].place, "blog/web");
/// assert_eq!(problems[0].field, "depends_on");
/// ```
pub fn validate(stacks: &[Stack], config: &Config) -> Vec<Problem> {
    let mut found = Found { problems: config.problems() };
    names::check_stacks(stacks, config, &mut found);
    let index = Index::new(stacks, config);
    for member in index.members() {
        let mut about = About { member, found: &mut found };
        names::check(&mut about);
        files::check(&mut about);
        network::check(&index, &mut about);
        ports::check(&mut about);
        routes::check(config, &mut about);
        depends::check(&index, &mut about);
        run::check(config, &mut about);
    }
    names::check_containers(&index, &mut found);
    network::check_networks(&index, &mut found);
    ports::check_clashes(&index, &mut found);
    routes::check_together(&index, config, &mut found);
    depends::check_circles(&index, &mut found);
    let mut problems = found.problems;
    problems.dedup();
    problems
}

struct Found {
    problems: Vec<Problem>,
}

impl Found {
    fn add(
        &mut self,
        place: impl Into<String>,
        field: &str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.problems.push(Problem::new(place, field, what, advice));
    }
}

/// The service that is being looked at.
struct About<'a, 'f> {
    member: Member<'a>,
    found: &'f mut Found,
}

impl About<'_, '_> {
    fn wrong(&mut self, field: &str, what: impl Into<String>, advice: impl Into<String>) {
        self.found.add(self.member.id(), field, what, advice);
    }
}

/// What Docker takes for a name: letters, digits, `_`, `.`, `-`, beginning with a letter or digit.
fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'))
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

/// A text as it is shown in a message: one line, not too long.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", cut.escape_debug())
}

const NAME_RULE: &str = "use letters, digits, `_`, `.` and `-`, beginning with a letter or digit";

#[cfg(test)]
mod tests;
