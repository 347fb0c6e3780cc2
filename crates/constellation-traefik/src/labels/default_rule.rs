//! The rule of routers whose labels have none: a template, as Traefik's `defaultRule` is one.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// The longest template that is read, in bytes.
const BYTES_MAX: usize = 4096;

/// A template for rules, such as ``Host(`{{ normalize .Name }}.example.org`)``.
///
/// Of Go's templates these are read: `.Name`, `index .Labels "name"`, texts in quotes, parentheses, `|`, and the functions
/// `normalize`, `lower`, `upper`, `trim`, `trimPrefix`, `trimSuffix`, `replace` and `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRule {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Expression),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    Name,
    Label(Box<Expression>),
    Text(String),
    Call(Function, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Normalize,
    Lower,
    Upper,
    Trim,
    TrimPrefix,
    TrimSuffix,
    Replace,
    Default,
}

impl Function {
    const ALL: [(&'static str, Self, usize); 8] = [
        ("normalize", Self::Normalize, 1),
        ("lower", Self::Lower, 1),
        ("upper", Self::Upper, 1),
        ("trim", Self::Trim, 1),
        ("trimPrefix", Self::TrimPrefix, 2),
        ("trimSuffix", Self::TrimSuffix, 2),
        ("replace", Self::Replace, 3),
        ("default", Self::Default, 2),
    ];

    /// The last argument is the one that a `|` gives.
    fn call(self, arguments: &[String]) -> String {
        let argument = |index: usize| arguments.get(index).map_or("", String::as_str);
        match self {
            Self::Normalize => normalize(argument(0)),
            Self::Lower => argument(0).to_lowercase(),
            Self::Upper => argument(0).to_uppercase(),
            Self::Trim => argument(0).trim().to_owned(),
            Self::TrimPrefix => argument(1).strip_prefix(argument(0)).unwrap_or(argument(1)).to_owned(),
            Self::TrimSuffix => argument(1).strip_suffix(argument(0)).unwrap_or(argument(1)).to_owned(),
            Self::Replace => argument(2).replace(argument(0), argument(1)),
            Self::Default if argument(1).is_empty() => argument(0).to_owned(),
            Self::Default => argument(1).to_owned(),
        }
    }
}

/// As Traefik does it: what is neither letter nor digit becomes `-`, of several one, and none at either end.
pub(super) fn normalize(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// A template is none that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{reason}; of Go's templates .Name, index .Labels \"name\", texts, parentheses, | and normalize, lower, upper, trim, trimPrefix, \
     trimSuffix, replace and default are read, as in Host(`{{{{ normalize .Name }}}}.example.org`)"
)]
pub struct InvalidDefaultRule {
    reason: String,
}

impl DefaultRule {
    /// The rule for a container: what Traefik calls it, and its labels.
    pub fn rule(&self, name: &str, labels: &BTreeMap<String, String>) -> String {
        let value = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(expression) => expression.value(name, labels),
        };
        self.parts.iter().map(value).collect()
    }
}

impl Expression {
    fn value(&self, name: &str, labels: &BTreeMap<String, String>) -> String {
        match self {
            Self::Name => name.to_owned(),
            Self::Label(label) => labels.get(&label.value(name, labels)).cloned().unwrap_or_default(),
            Self::Text(text) => text.clone(),
            Self::Call(function, arguments) => {
                let values: Vec<String> = arguments.iter().map(|it| it.value(name, labels)).collect();
                function.call(&values)
            }
        }
    }
}

impl fmt::Display for DefaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for DefaultRule {
    type Err = InvalidDefaultRule;

    fn from_str(text: &str) -> Result<Self, InvalidDefaultRule> {
        let failed = |reason: String| InvalidDefaultRule { reason };
        if text.len() > BYTES_MAX {
            return Err(failed(format!("the template is longer than {BYTES_MAX} bytes")));
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((action, after)) = after.split_once("}}") else {
                return Err(failed("`{{` has no end".to_owned()));
            };
            // `{{-` and `-}}` take away the blanks beside them.
            let (action, trims_before) = action.strip_prefix("- ").map_or((action, false), |it| (it, true));
            let (action, trims_after) = action.strip_suffix(" -").map_or((action, false), |it| (it, true));
            parts.push(Part::Text(if trims_before { before.trim_end() } else { before }.to_owned()));
            let mut tokens = tokens(action).map_err(failed)?.into_iter().peekable();
            let value = pipeline(&mut tokens, 0).map_err(failed)?;
            if let Some(token) = tokens.next() {
                return Err(failed(format!("`{token}` is one too many")));
            }
            parts.push(Part::Value(value));
            rest = if trims_after { after.trim_start() } else { after };
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { text: text.to_owned(), parts })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Text(text) => f.write_str(text),
            Self::Sign(sign) => write!(f, "{sign}"),
        }
    }
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Token>>;

fn tokens(action: &str) -> Result<Vec<Token>, String> {
    let (mut found, mut rest) = (Vec::new(), action.trim_start());
    while let Some(first) = rest.chars().next() {
        let inner = rest.get(first.len_utf8()..).unwrap_or_default();
        match first {
            '(' | ')' | '|' => {
                found.push(Token::Sign(first));
                rest = inner;
            }
            '"' | '`' => {
                let Some((text, after)) = inner.split_once(first) else {
                    return Err(format!("`{rest}` has no end"));
                };
                if first == '"' && text.contains('\\') {
                    return Err("escapes in texts are not read; use backticks".to_owned());
                }
                found.push(Token::Text(text.to_owned()));
                rest = after;
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | '"' | '`');
                let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
                found.push(Token::Word(word.to_owned()));
                rest = after;
            }
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

/// Commands with `|` between them; each is given the one before as its last argument.
fn pipeline(tokens: &mut Tokens, depth: usize) -> Result<Expression, String> {
    let mut value = command(tokens, None, depth)?;
    while tokens.next_if_eq(&Token::Sign('|')).is_some() {
        value = command(tokens, Some(value), depth)?;
    }
    Ok(value)
}

fn command(tokens: &mut Tokens, piped: Option<Expression>, depth: usize) -> Result<Expression, String> {
    if depth > 16 {
        return Err("the template is nested too deeply".to_owned());
    }
    let function = match tokens.peek() {
        Some(Token::Word(word)) if !word.starts_with('.') => Some(word.clone()),
        _ => None,
    };
    let Some(name) = function else {
        let value = operand(tokens, depth)?;
        return if piped.is_some() { Err("a value takes nothing from a `|`".to_owned()) } else { Ok(value) };
    };
    tokens.next();
    if name == "index" {
        if tokens.next() != Some(Token::Word(".Labels".to_owned())) {
            return Err("`index` is for .Labels".to_owned());
        }
        let label = match piped {
            Some(piped) => piped,
            None => operand(tokens, depth)?,
        };
        return Ok(Expression::Label(Box::new(label)));
    }
    let Some((_, function, takes)) = Function::ALL.into_iter().find(|(known, ..)| *known == name) else {
        return Err(format!("`{name}` is not understood"));
    };
    let mut arguments = Vec::new();
    while !matches!(tokens.peek(), None | Some(Token::Sign(')' | '|'))) {
        arguments.push(operand(tokens, depth)?);
    }
    arguments.extend(piped);
    if arguments.len() == takes {
        Ok(Expression::Call(function, arguments))
    } else {
        Err(format!("`{name}` takes {takes} and has {}", arguments.len()))
    }
}

fn operand(tokens: &mut Tokens, depth: usize) -> Result<Expression, String> {
    match tokens.next() {
        Some(Token::Text(text)) => Ok(Expression::Text(text)),
        Some(Token::Word(word)) if word == ".Name" => Ok(Expression::Name),
        Some(Token::Sign('(')) => {
            let value = pipeline(tokens, depth + 1)?;
            match tokens.next() {
                Some(Token::Sign(')')) => Ok(value),
                _ => Err("`(` has no end".to_owned()),
            }
        }
        Some(Token::Word(word)) if word.starts_with('.') => Err(not_given(&word)),
        Some(token) => Err(format!("`{token}` is not understood")),
        None => Err("a value is missing".to_owned()),
    }
}

/// Why a field is none that a template may ask for: Traefik gives `.Name`, `.ContainerName` and `.Labels`.
fn not_given(field: &str) -> String {
    match field.strip_prefix(".Labels.") {
        Some(label) => format!("a label is written index .Labels \"{label}\""),
        None if field == ".ContainerName" => {
            "`.ContainerName` is another for each instance of a service, and their routers are one; .Name is \
             the service's"
                .to_owned()
        }
        None => format!("there is no `{field}`, with Traefik neither"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(template: &str) -> String {
        let labels = [("team".to_owned(), "Red".to_owned())].into();
        template.parse::<DefaultRule>().unwrap().rule("my_app.web", &labels)
    }

    #[test]
    fn a_template_is_filled_in_as_traefik_does() {
        for (template, filled) in [
            ("Host(`a`)", "Host(`a`)"),
            ("Host(`{{ normalize .Name }}.x`)", "Host(`my-app-web.x`)"),
            ("Host(`{{.Name}}`)", "Host(`my_app.web`)"),
            ("{{ index .Labels \"team\" | lower }}", "red"),
            ("{{ .Name | trimPrefix \"my_\" | upper }}", "APP.WEB"),
            ("{{ trimSuffix `.web` .Name }}-{{ replace \"_\" \"\" .Name }}", "my_app-myapp.web"),
            ("{{ default .Name (index .Labels \"none\") }}", "my_app.web"),
            ("a {{- normalize (index .Labels `team`) -}} b", "aRedb"),
        ] {
            assert_eq!(rule(template), filled, "{template}");
        }
    }

    #[test]
    fn what_would_be_filled_in_otherwise_is_refused() {
        for bad in [
            "{{ .Name",
            "{{ }}",
            "{{ .ContainerName }}",
            "{{ if .Name }}a{{ end }}",
            "{{ env `HOME` }}",
            "{{ normalize }}",
            "{{ normalize .Name .Name }}",
            "{{ .Name | .Name }}",
            "{{ (.Name }}",
            "{{ index .Name `a` }}",
            "{{ lower \"\\n\" }}",
        ] {
            assert!(bad.parse::<DefaultRule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_field_that_is_not_given_is_refused_with_its_reason() {
        for (template, reason) in [
            ("{{ .ContainerName }}", ".Name is the service's"),
            ("{{ lower .Labels.team }}", "a label is written index .Labels \"team\""),
            ("{{ .ID }}", "there is no `.ID`, with Traefik neither"),
        ] {
            let error = template.parse::<DefaultRule>().expect_err(template).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_filled_in_and_never_panics(text in "[{}(.Name)|`\" lower-]{0,60}") {
            if let Ok(template) = text.parse::<DefaultRule>() {
                let _ = template.rule("a", &BTreeMap::new());
            }
        }
    }
}
