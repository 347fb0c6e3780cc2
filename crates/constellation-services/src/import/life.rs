//! When a service starts, ends and is replaced.

use super::{
    draft::{Draft, Long, items},
    expr::{self, literal},
    one_line,
    project::find,
    yaml::{Node, Value},
};

/// The health check.
pub(super) fn health(draft: &mut Draft<'_>) {
    let Some(node) = draft.take("healthcheck") else { return };
    let Some(mut check) = Long::of(node, "healthcheck") else {
        return draft.odd(node, "healthcheck", "a mapping");
    };
    let disabled = check.take("disable").and_then(|node| draft.flag(node, "healthcheck.disable"));
    let test = check.take("test");
    if disabled == Some(true) {
        return draft.note(
            node.line,
            "healthcheck",
            "the image's own check cannot be switched off: left out",
        );
    }
    let Some(test) = test else {
        draft.note(
            node.line,
            "healthcheck",
            "it changes the image's own check, which the language does not see: say the test",
        );
        return;
    };
    let Some(head) = health_test(draft, test) else { return };
    let mut calls = Vec::new();
    for (field, word) in [("interval", "every"), ("timeout", "timeout"), ("start_period", "start_period")] {
        let place = format!("healthcheck.{field}");
        if let Some(node) = check.take(field)
            && let Some(time) = draft.amount(node, &place, "a time such as `10s`", expr::duration)
        {
            calls.push(format!(".{word}({time})"));
        }
    }
    if let Some(node) = check.take("retries")
        && let Some(retries) = draft.amount(node, "healthcheck.retries", "a number", number)
    {
        calls.push(format!(".retries({retries})"));
    }
    draft.finish_long(&check);
    draft.call_chain("health", &head, &calls);
}

fn number(text: &str) -> Option<String> {
    text.parse::<u32>().ok().map(|number| number.to_string())
}

fn health_test(draft: &mut Draft<'_>, test: &Node) -> Option<String> {
    if !matches!(test.value, Value::List(_)) {
        return draft.text(test, "healthcheck.test").map(|line| format!("Health::shell({line})"));
    }
    let words: Vec<_> = draft.texts(test, "healthcheck.test").into_iter().map(|(text, _)| text).collect();
    match words.split_first().map(|(kind, words)| (kind.as_literal(), words)) {
        Some((Some("CMD-SHELL"), [line])) => Some(format!("Health::shell({})", expr::text(line))),
        Some((Some("CMD"), words)) if !words.is_empty() => {
            Some(format!("Health::cmd({})", expr::array(words)))
        }
        Some((Some("NONE"), _)) => {
            draft.note(test.line, "healthcheck", "the image's own check cannot be switched off: left out");
            None
        }
        _ => {
            draft.note(
                test.line,
                "healthcheck.test",
                "it begins with neither `CMD` nor `CMD-SHELL`: left out",
            );
            None
        }
    }
}

/// What it waits for.
pub(super) fn depends_on(draft: &mut Draft<'_>) {
    let Some(node) = draft.take("depends_on") else { return };
    if let Value::Map(entries) = &node.value {
        for entry in entries {
            let field = format!("depends_on.{}", entry.key);
            let mut condition = None;
            for inner in entry.node.entries().unwrap_or_default() {
                match inner.key.as_str() {
                    "condition" => condition = draft.fixed(&inner.node, &field),
                    "required" if inner.node.text() == Some("true") => {}
                    "restart" if inner.node.text() == Some("false") => {}
                    "restart" => draft.note(
                        inner.line,
                        &field,
                        "it is not restarted together with the other: left out",
                    ),
                    _ => draft.note(inner.line, &field, format!("`{}` is left out", one_line(&inner.key))),
                }
            }
            let condition = match condition.as_deref() {
                None | Some("service_started") => "Started",
                Some("service_healthy") if draft.project.has_health(&entry.key) => "Healthy",
                Some("service_healthy") => {
                    let text =
                        "the file gives the other no health check: give it one, and write `Healthy` here";
                    draft.note(entry.line, &field, text);
                    "Started"
                }
                Some("service_completed_successfully") => "Completed",
                Some(_) => {
                    draft.note(entry.line, &field, "no condition of Compose: started is enough here");
                    "Started"
                }
            };
            wait_for(draft, &entry.key, condition, entry.line);
        }
        return;
    }
    for item in items(node) {
        if let Some(name) = draft.fixed(item, "depends_on") {
            wait_for(draft, &name, "Started", item.line);
        }
    }
}

fn wait_for(draft: &mut Draft<'_>, service: &str, condition: &str, line: usize) {
    if find(draft.project.services, service).is_none() {
        let text = format!("the file has no service `{}`: left out", one_line(service));
        return draft.note(line, "depends_on", text);
    }
    let name = literal(&super::write::service_name(service));
    draft.call("depends_on", format!("{name}, {condition}"));
}

/// What the engine does when it ends.
pub(super) fn restart(draft: &mut Draft<'_>, is_job: bool) {
    let Some(node) = draft.take("restart") else {
        return;
    };
    let Some(policy) = draft.fixed(node, "restart") else { return };
    let (policy, times) = policy.split_once(':').unwrap_or((&policy, "0"));
    let code = match policy {
        "always" | "unless-stopped" if is_job => {
            let text = "others wait for its end, so it is a job, which is not started again: left out";
            return draft.note(node.line, "restart", text);
        }
        // What a service does here unless told.
        "always" => return,
        "unless-stopped" => "Restart::UnlessStopped".to_owned(),
        "no" | "false" if is_job => return,
        "no" | "false" => "Restart::Never".to_owned(),
        "on-failure" => match times.parse::<u32>() {
            Ok(times) => format!("Restart::OnFailure({times})"),
            Err(_) => return draft.note(node.line, "restart", "its number of times is none: left out"),
        },
        other => {
            return draft.note(node.line, "restart", format!("`{}` is no policy: left out", one_line(other)));
        }
    };
    draft.call("restart", code);
}

/// How it is asked to end, and where its output goes.
pub(super) fn ending(draft: &mut Draft<'_>) {
    draft.text_call("stop_signal", "stop_signal");
    if let Some(node) = draft.take("stop_grace_period")
        && let Some(time) = draft.amount(node, "stop_grace_period", "a time such as `10s`", expr::duration)
    {
        draft.call("stop_grace", time);
    }
    if let Some(node) = draft.take("init")
        && draft.flag(node, "init") == Some(true)
    {
        draft.call("init", "");
    }
    let Some(node) = draft.take("logging") else { return };
    let Some(mut logging) = Long::of(node, "logging") else {
        return draft.odd(node, "logging", "a mapping");
    };
    let driver = logging.take("driver").and_then(|node| draft.text(node, "logging.driver"));
    let head = format!("Logging::driver({})", driver.unwrap_or_else(|| "\"json-file\"".to_owned()));
    let mut calls = Vec::new();
    if let Some(options) = logging.take("options") {
        for pair in draft.pairs(options, "logging.options", &['=']) {
            let value = pair.value.unwrap_or_default();
            calls.push(format!(".option({}, {})", expr::text(&pair.name), expr::text(&value)));
        }
    }
    draft.finish_long(&logging);
    draft.call_chain("logging", &head, &calls);
}

/// What Compose says for a swarm: replicas, updates.
pub(super) fn deploy(draft: &mut Draft<'_>, node: &Node) {
    let Some(mut deploy) = Long::of(node, "deploy") else {
        return draft.odd(node, "deploy", "a mapping");
    };
    if let Some(resources) = deploy.take("resources") {
        super::rights::resources(draft, resources);
    }
    if let Some(replicas) = deploy.take("replicas")
        && replicas.text() != Some("1")
    {
        let text = "a node runs one of it: `.placement(replicas(n))` puts it on n nodes";
        draft.note(replicas.line, "deploy.replicas", text);
    }
    if let Some(update) = deploy.take("update_config") {
        update_policy(draft, update);
    }
    if let Some(mode) = deploy.take("mode")
        && !matches!(mode.text(), Some("replicated" | "global"))
    {
        draft.note(mode.line, "deploy.mode", "a job is a `Service::job`");
    }
    if let Some(labels) = deploy.take("labels") {
        draft.note(labels.line, "deploy.labels", "a swarm's labels are of no container: left out");
    }
    if let Some(policy) = deploy.take("restart_policy") {
        let text = "`restart` says it here: `.restart(Restart::OnFailure(n))` and its like";
        draft.note(policy.line, "deploy.restart_policy", text);
    }
    draft.finish_long(&deploy);
}

fn update_policy(draft: &mut Draft<'_>, node: &Node) {
    let Some(mut update) = Long::of(node, "deploy.update_config") else { return };
    let order = update.take("order").and_then(|node| draft.fixed(node, "deploy.update_config.order"));
    let head = match order.as_deref() {
        Some("start-first") => "Update::start_first()",
        Some("stop-first") => "Update::stop_first()",
        _ => "Update::default()",
    };
    let mut calls = Vec::new();
    if let Some(node) = update.take("parallelism")
        && let Some(count) = draft.amount(node, "deploy.update_config.parallelism", "a number", |text| {
            text.parse::<u16>().ok().filter(|count| *count > 0).map(|count| count.to_string())
        })
    {
        calls.push(format!(".parallelism({count})"));
    }
    if let Some(node) = update.take("monitor")
        && let Some(time) = draft.amount(node, "deploy.update_config.monitor", "a time", expr::duration)
    {
        calls.push(format!(".monitor({time})"));
    }
    // What failed is always rolled back here.
    if let Some(action) = update.take("failure_action")
        && action.text() != Some("rollback")
    {
        draft.note(action.line, "deploy.update_config.failure_action", "what fails is rolled back here");
    }
    draft.finish_long(&update);
    if order.is_some() || !calls.is_empty() {
        draft.call_chain("update", head, &calls);
    }
}
