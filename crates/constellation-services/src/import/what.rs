//! What runs: image, command, environment, labels that are nothing but labels.

use super::{
    draft::{Draft, Long, Pair},
    expr::{self, literal},
    interpolate::{Part, Template},
    yaml::{Node, Value},
};

/// An image: how its expression begins, and the calls on that.
pub(super) struct ImageCode {
    head: String,
    calls: Vec<String>,
}

impl ImageCode {
    pub(super) fn code(&self) -> String {
        format!("{}{}", self.head, self.calls.concat())
    }

    /// With each call on its own line.
    pub(super) fn lines(&self) -> String {
        expr::chain(&self.head, &self.calls, 8)
    }
}

/// The image, the second argument of `Service::new`.
pub(super) fn image(draft: &mut Draft<'_>) -> ImageCode {
    let reference = draft.take("image").and_then(|node| draft.text(node, "image"));
    let mut image = match (draft.take("build"), reference) {
        (Some(node), reference) => {
            let tag = reference.unwrap_or_else(|| {
                literal(&format!("{}-{}:latest", draft.project.stack, draft.name).to_ascii_lowercase())
            });
            let mut image = build(draft, node);
            image.calls.push(format!(".tagged({tag})"));
            image
        }
        (None, Some(reference)) => ImageCode { head: reference, calls: Vec::new() },
        (None, None) => {
            draft.note(0, "image", "it has neither `image` nor `build`: name its image");
            ImageCode { head: "\"\"".to_owned(), calls: Vec::new() }
        }
    };
    let Some(node) = draft.take("pull_policy") else { return image };
    let policy = draft.fixed(node, "pull_policy");
    let pull = match policy.as_deref() {
        Some("always") => "Pull::Always",
        Some("never") => "Pull::Never",
        // What an image is anyway, made here or not.
        Some("missing" | "if_not_present" | "build") | None => return image,
        Some(_) => {
            draft.note(node.line, "pull_policy", "the language pulls always, never, or what is missing");
            return image;
        }
    };
    if image.calls.is_empty() {
        image.head = format!("image({})", image.head);
    }
    image.calls.push(format!(".pull({pull})"));
    image
}

fn build(draft: &mut Draft<'_>, node: &Node) -> ImageCode {
    let Some(mut long) = Long::of(node, "build") else {
        let context = draft.template(node, "build").unwrap_or_default();
        return ImageCode { head: folder(draft, &context, node.line, "build"), calls: Vec::new() };
    };
    let context = long.take("context").and_then(|node| draft.template(node, "build.context"));
    let context = context.unwrap_or_else(|| Template::literal("."));
    let head = folder(draft, &context, node.line, "build.context");
    let mut calls = Vec::new();
    if let Some(file) = long.take("dockerfile").and_then(|node| draft.text(node, "build.dockerfile")) {
        calls.push(format!(".dockerfile({file})"));
    }
    if let Some(args) = long.take("args") {
        for Pair { name, value, line } in draft.pairs(args, "build.args", &['=']) {
            match value {
                Some(value) => calls.push(format!(".arg({}, {})", expr::text(&name), expr::text(&value))),
                None => {
                    draft.note(line, "build.args", "an argument without a value came from the shell: say it");
                }
            }
        }
    }
    draft.finish_long(&long);
    ImageCode { head, calls }
}

fn folder(draft: &mut Draft<'_>, context: &Template, line: usize, field: &str) -> String {
    let head = context.head();
    if head.contains("://") || head.starts_with("git@") {
        let text = "an image is made from a folder of this machine: fetch the repository first";
        draft.note(line, field, text);
    }
    let path = draft.host_path(context, line, field);
    // A folder of the configuration is a `HostPath`.
    if path.starts_with("cfg.root(") { format!("build({path}.as_str())") } else { format!("build({path})") }
}

/// Command, user and the like.
pub(super) fn process(draft: &mut Draft<'_>) {
    for field in ["entrypoint", "command"] {
        command(draft, field);
    }
    draft.text_call("working_dir", "workdir");
    draft.text_call("user", "user");
    draft.text_calls("group_add", "group");
    draft.text_call("container_name", "container_name");
    draft.text_call("hostname", "hostname");
}

fn command(draft: &mut Draft<'_>, field: &'static str) {
    let Some(node) = draft.take(field) else { return };
    let items: Vec<Template> = match &node.value {
        Value::List(_) => draft.texts(node, field).into_iter().map(|(text, _)| text).collect(),
        _ => {
            let Some(whole) = draft.template(node, field) else { return };
            match words(&whole) {
                Some(items) => items,
                None => {
                    draft.note(node.line, field, "its quotes do not close: taken as one word");
                    vec![whole]
                }
            }
        }
    };
    if items.is_empty() {
        draft.note(
            node.line,
            field,
            "an empty one took away the image's own: the language has no word for that",
        );
        return;
    }
    draft.call(field, expr::array(&items));
}

/// Environment variables, but for those that say where a secret stands.
pub(super) fn environment(draft: &mut Draft<'_>, of_secrets: &[String]) {
    let Some(node) = draft.take("environment") else { return };
    for Pair { name, value, .. } in draft.pairs(node, "environment", &['=']) {
        if name.as_literal().is_some_and(|name| of_secrets.iter().any(|other| other == name)) {
            continue;
        }
        match value {
            Some(value) => draft.call("env", format!("{}, {}", expr::text(&name), expr::env_value(&value))),
            // The name alone: passed on from the shell where it is set there.
            None => draft.call("with", format!("pass_on(cfg, {})", expr::text(&name))),
        }
    }
}

/// Labels, but for those that became words of the language.
pub(super) fn labels(draft: &mut Draft<'_>) {
    let Some(node) = draft.take("labels") else { return };
    let pairs = draft.pairs(node, "labels", &['=']);
    let kept = super::traefik::routes(draft, pairs);
    for Pair { name, value, line } in kept {
        let value = value.unwrap_or_default().trim_end();
        let bad_name = name.texts().any(|text| text.contains(|c: char| c.is_whitespace() || c.is_control()));
        let bad_value = value.texts().any(|text| text.contains(char::is_control));
        let own = ["constellation.stack", "constellation.service", "constellation.definition"];
        if bad_name || bad_value {
            draft.note(line, "labels", "a label with line breaks or spaces in its name is refused: left out");
        } else if name.as_literal().is_some_and(|name| own.contains(&name.to_ascii_lowercase().as_str())) {
            draft.note(line, "labels", "it says whose the container is, and the tool writes it: left out");
        } else {
            draft.call("label", format!("{}, {}", expr::text(&name), expr::text(&value)));
        }
    }
}

/// A command line as a shell splits it; `None` where a quote is not closed.
fn words(line: &Template) -> Option<Vec<Template>> {
    let mut words: Vec<Template> = Vec::new();
    let (mut current, mut begun) = (Template::default(), false);
    let (mut quote, mut escaped) = (None, false);
    for part in &line.0 {
        let Part::Text(text) = part else {
            current.0.push(part.clone());
            begun = true;
            continue;
        };
        for c in text.chars() {
            let mut take = |begun: &mut bool| {
                current.push_text(c.encode_utf8(&mut [0; 4]));
                *begun = true;
            };
            match (quote, c) {
                _ if escaped => {
                    // Within quotes a backslash before anything else is one.
                    escaped = false;
                    take(&mut begun);
                }
                (None | Some('"'), '\\') => escaped = true,
                (Some(open), _) if open == c => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(c);
                    begun = true;
                }
                (None, _) if c.is_whitespace() => {
                    if begun {
                        words.push(std::mem::take(&mut current));
                        begun = false;
                    }
                }
                _ => take(&mut begun),
            }
        }
    }
    if quote.is_some() || escaped {
        return None;
    }
    if begun {
        words.push(current);
    }
    Some(words)
}
