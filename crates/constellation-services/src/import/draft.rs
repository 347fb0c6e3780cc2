//! One service while it is being written: its Compose fields, the calls that they became, and notes on the rest.

use std::collections::BTreeSet;

use super::{
    Note,
    expr::{self, literal},
    interpolate::{Otherwise, Part, Template},
    project::Project,
    yaml::{Entry, Node, Value},
};

/// A line of the function that describes a service.
pub(super) enum Line {
    Call(String),
    Comment(String),
}

/// A name and a value, from `NAME=value` or `NAME: value`.
pub(super) struct Pair {
    pub(super) name: Template,
    /// `None`: the name alone was written.
    pub(super) value: Option<Template>,
    pub(super) line: usize,
}

/// A service while it is being written.
pub(super) struct Draft<'a> {
    pub(super) project: &'a Project<'a>,
    pub(super) name: &'a str,
    fields: &'a [Entry],
    taken: BTreeSet<&'a str>,
    pub(super) lines: Vec<Line>,
    pub(super) notes: Vec<Note>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(project: &'a Project<'a>, name: &'a str, fields: &'a [Entry]) -> Self {
        Self { project, name, fields, taken: BTreeSet::new(), lines: Vec::new(), notes: Vec::new() }
    }

    /// A field, which counts as looked at from now on. One that holds nothing is as good as absent.
    pub(super) fn take(&mut self, field: &str) -> Option<&'a Node> {
        let entry = self.fields.iter().find(|entry| entry.key == field)?;
        self.taken.insert(&entry.key);
        (!matches!(entry.node.value, Value::Null)).then_some(&*entry.node)
    }

    /// A field, without taking it.
    pub(super) fn peek(&self, field: &str) -> Option<&'a Node> {
        self.fields.iter().find(|entry| entry.key == field).map(|entry| &*entry.node)
    }

    /// Fields that nobody has taken.
    pub(super) fn rest(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let taken = self.taken.clone();
        self.fields.iter().filter(move |entry| !taken.contains(entry.key.as_str()))
    }

    /// A call of the builder: `word(argument)`.
    pub(super) fn call(&mut self, word: &str, argument: impl AsRef<str>) {
        self.lines.push(Line::Call(format!(".{word}({})", argument.as_ref())));
    }

    /// A call whose argument is a builder of its own, in lines where one is too long.
    pub(super) fn call_chain(&mut self, word: &str, head: &str, calls: &[String]) {
        let line = format!("{head}{}", calls.concat());
        if line.len() <= expr::LINE_WANTED || calls.is_empty() {
            return self.call(word, line);
        }
        self.call(word, format!("\n            {},\n        ", expr::chain(head, calls, 16)));
    }

    /// What could not be carried over, or is to be looked at.
    pub(super) fn note(&mut self, line: usize, field: &str, text: impl Into<String>) {
        let note = Note {
            line,
            place: format!("services.{}.{field}", super::one_line(self.name)),
            text: text.into(),
        };
        self.lines.push(Line::Comment(format!("line {line}, `{}`: {}", super::one_line(field), note.text)));
        self.notes.push(note);
    }

    /// That a field is of another kind than it should be.
    pub(super) fn odd(&mut self, node: &Node, field: &str, wanted: &str) {
        self.note(node.line, field, format!("is {} and should be {wanted}: left out", node.kind()));
    }

    /// A text with its variables.
    pub(super) fn template(&mut self, node: &Node, field: &str) -> Option<Template> {
        match &node.value {
            Value::Text(text) => Some(self.parse(text, node.line, field)),
            Value::Null => Some(Template::default()),
            _ => {
                self.odd(node, field, "a text");
                None
            }
        }
    }

    fn parse(&mut self, text: &str, line: usize, field: &str) -> Template {
        match Template::parse(text) {
            Ok(template) => {
                let empty = |part: &Part| matches!(part, Part::Variable(v) if v.empty_counts);
                if template.0.iter().any(empty) {
                    let text =
                        "an empty variable counts as unset here: Compose tells the two apart without the `:`";
                    self.note(line, field, text);
                }
                template
            }
            Err(problem) => {
                self.note(line, field, format!("{problem}: taken as it stands"));
                Template::literal(text)
            }
        }
    }

    /// A text where the language wants something else than text: variables are fixed at their defaults.
    pub(super) fn fixed(&mut self, node: &Node, field: &str) -> Option<String> {
        let template = self.template(node, field)?;
        self.fix(&template, node.line, field)
    }

    pub(super) fn fix(&mut self, template: &Template, line: usize, field: &str) -> Option<String> {
        if let Some(text) = template.as_literal() {
            return Some(text.to_owned());
        }
        let names: Vec<&str> = template
            .0
            .iter()
            .filter_map(|part| match part {
                Part::Variable(variable) => Some(variable.name.as_str()),
                Part::Text(_) => None,
            })
            .collect();
        let names = names.join(", ");
        match template.at_defaults() {
            Some(text) => {
                self.note(
                    line,
                    field,
                    format!("{names} is fixed at its default here: ask `cfg` where it varies"),
                );
                Some(text)
            }
            None => {
                self.note(line, field, format!("{names} has no default: write the value"));
                None
            }
        }
    }

    /// A text as an expression.
    pub(super) fn text(&mut self, node: &Node, field: &str) -> Option<String> {
        let template = self.template(node, field)?;
        Some(expr::text(&template))
    }

    /// A plain `.word("text")` of the field of that name.
    pub(super) fn text_call(&mut self, field: &str, word: &str) {
        if let Some(node) = self.take(field)
            && let Some(text) = self.text(node, field)
        {
            self.call(word, text);
        }
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, node: &Node, field: &str) -> Option<bool> {
        let text = self.fixed(node, field)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => {
                self.note(node.line, field, "is neither yes nor no: left out");
                None
            }
        }
    }

    /// An amount, read by `read`.
    pub(super) fn amount(
        &mut self,
        node: &Node,
        field: &str,
        what: &str,
        read: impl FnOnce(&str) -> Option<String>,
    ) -> Option<String> {
        let text = self.fixed(node, field)?;
        let amount = read(&text);
        if amount.is_none() {
            self.note(node.line, field, format!("`{}` is not {what}: left out", super::one_line(&text)));
        }
        amount
    }

    /// Texts of a list, or one text alone.
    pub(super) fn texts(&mut self, node: &Node, field: &str) -> Vec<(Template, usize)> {
        items(node)
            .into_iter()
            .filter_map(|item| self.template(item, field).map(|text| (text, item.line)))
            .collect()
    }

    /// `.word("…")` once for every text of a field.
    pub(super) fn text_calls(&mut self, field: &str, word: &str) {
        let Some(node) = self.take(field) else { return };
        for (text, _) in self.texts(node, field) {
            self.call(word, expr::text(&text));
        }
    }

    /// Names with values: a mapping, or a list of `NAME=value`.
    pub(super) fn pairs(&mut self, node: &Node, field: &str, separators: &[char]) -> Vec<Pair> {
        let mut pairs = Vec::new();
        if let Value::Map(entries) = &node.value {
            for entry in entries {
                let name = Template::literal(&entry.key);
                let value = match entry.node.value {
                    Value::Null => None,
                    _ => match self.template(&entry.node, &format!("{field}.{}", entry.key)) {
                        Some(value) => Some(value),
                        None => continue,
                    },
                };
                pairs.push(Pair { name, value, line: entry.line });
            }
            return pairs;
        }
        for (text, line) in self.texts(node, field) {
            let split = separators.iter().find_map(|separator| text.split_once(*separator));
            pairs.push(match split {
                Some((name, value)) => Pair { name, value: Some(value), line },
                None => Pair { name: text, value: None, line },
            });
        }
        pairs
    }

    /// Notes what nobody took of a long form.
    pub(super) fn finish_long(&mut self, long: &Long<'_>) {
        for entry in long.entries.iter().filter(|entry| !long.taken.contains(entry.key.as_str())) {
            let field = format!("{}.{}", long.field, entry.key);
            self.note(entry.line, &field, "the language has no word for it: left out");
        }
    }

    /// The expression of a path of the host: absolute, or relative to the folder of the Compose file.
    pub(super) fn host_path(&mut self, path: &Template, line: usize, field: &str) -> String {
        if path.head().starts_with('~') {
            self.note(line, field, "`~` was the home of whoever ran Compose: write the path");
            return expr::text(path);
        }
        let relative = match path.as_literal() {
            Some("." | "./") => Some(Template::default()),
            Some(text) if !text.starts_with('/') => Some(Template::literal(text.trim_start_matches("./"))),
            Some(_) => None,
            None => path.strip_prefix("./"),
        };
        let Some(relative) = relative else { return expr::text(path) };
        if relative.texts().any(|text| text.split('/').any(|part| part == "..")) {
            return match (self.project.base, relative.as_literal()) {
                (Some(base), Some(relative)) => literal(&normal(&format!("{base}/{relative}"))),
                _ => {
                    self.note(line, field, "a path with `..` is refused: write it out");
                    expr::text(path)
                }
            };
        }
        match self.project.base {
            Some(_) => expr::below_here(&relative),
            None => format!("cfg.root({})", reference(&relative)),
        }
    }
}

/// The items of a list, or one item alone.
pub(super) fn items(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().map(|item| &**item).collect(),
        Value::Null => Vec::new(),
        _ => vec![node],
    }
}

/// An expression of type `&str`.
fn reference(template: &Template) -> String {
    match template.as_literal() {
        Some(text) => literal(text),
        None => format!("&{}", expr::text(template)),
    }
}

/// A path without its `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The long form of an item: a mapping whose fields are looked at one by one.
pub(super) struct Long<'n> {
    entries: &'n [Entry],
    field: &'static str,
    pub(super) line: usize,
    taken: BTreeSet<&'n str>,
}

impl<'n> Long<'n> {
    /// The node, if it is a mapping.
    pub(super) fn of(node: &'n Node, field: &'static str) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self { entries, field, line: node.line, taken: BTreeSet::new() }),
            _ => None,
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        self.taken.insert(&entry.key);
        (!matches!(entry.node.value, Value::Null)).then_some(&*entry.node)
    }
}

/// Whether an expression of this template asks the configuration.
pub(super) fn is_plain_variable(template: &Template) -> bool {
    matches!(template.0.as_slice(), [Part::Variable(variable)] if !matches!(variable.otherwise, Otherwise::Alternative(_)))
}
