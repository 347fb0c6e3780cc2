//! Which containers take part at all, by their labels, in the language of Traefik's `constraints`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use regex::{Regex, RegexBuilder};

/// The longest expression that is read, in bytes.
const BYTES_MAX: usize = 4096;
/// How deep parentheses and negations may stand in each other.
const DEPTH_MAX: usize = 32;
/// The most memory that one pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// An expression over labels: ``Label(`name`, `value`)`` and ``LabelRegex(`name`, `pattern`)``, joined by `&&`, `||`, `!` and
/// parentheses. A pattern may match anywhere in the value.
#[derive(Clone, Debug)]
pub struct Constraints {
    text: String,
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Label(String, String),
    Pattern(String, Regex),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

/// An expression is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; write for example Label(`tier`,`web`) && !LabelRegex(`name`,`^test-`)")]
pub struct InvalidConstraints {
    reason: String,
}

impl Constraints {
    /// Whether a container with these labels takes part.
    pub fn admit(&self, labels: &BTreeMap<String, String>) -> bool {
        self.root.holds(labels)
    }
}

impl Node {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Label(name, value) => labels.get(name).is_some_and(|it| it == value),
            Self::Pattern(name, pattern) => labels.get(name).is_some_and(|it| pattern.is_match(it)),
            Self::Not(node) => !node.holds(labels),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(labels)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(labels)),
        }
    }
}

impl PartialEq for Constraints {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Constraints {}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Constraints {
    type Err = InvalidConstraints;

    fn from_str(text: &str) -> Result<Self, InvalidConstraints> {
        let failed = |reason| InvalidConstraints { reason };
        if text.len() > BYTES_MAX {
            return Err(failed(format!("the constraints are longer than {BYTES_MAX} bytes")));
        }
        let mut reader = Reader { rest: text };
        let root = reader.any(0).map_err(failed)?;
        if !reader.rest.trim().is_empty() {
            return Err(failed(format!("nothing is expected before `{}`", reader.ahead())));
        }
        Ok(Self { text: text.trim().to_owned(), root })
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn any(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = vec![self.all(depth)?];
        while self.takes("||") {
            nodes.push(self.all(depth)?);
        }
        Ok(Node::Any(nodes))
    }

    fn all(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = vec![self.one(depth)?];
        while self.takes("&&") {
            nodes.push(self.one(depth)?);
        }
        Ok(Node::All(nodes))
    }

    fn one(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return Err("the constraints are nested too deeply".to_owned());
        }
        if self.takes("!") {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(") {
            let node = self.any(depth + 1)?;
            self.demand(")")?;
            return Ok(node);
        }
        // The longer name first.
        if self.takes("LabelRegex") {
            let (name, pattern) = self.arguments()?;
            let built = RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build();
            let regex = built.map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
            return Ok(Node::Pattern(name, regex));
        }
        if self.takes("Label") {
            let (name, value) = self.arguments()?;
            return Ok(Node::Label(name, value));
        }
        Err(format!("`Label` or `LabelRegex` is expected before `{}`", self.ahead()))
    }

    fn arguments(&mut self) -> Result<(String, String), String> {
        self.demand("(")?;
        let name = self.quoted()?;
        self.demand(",")?;
        let value = self.quoted()?;
        self.demand(")")?;
        Ok((name, value))
    }

    /// Between backticks as it stands, or between double quotes where a backslash lets a quote or a backslash stand.
    fn quoted(&mut self) -> Result<String, String> {
        self.rest = self.rest.trim_start();
        let mut chars = self.rest.chars();
        let quote = chars.next().filter(|quote| matches!(quote, '`' | '"'));
        let Some(quote) = quote else {
            return Err(format!("a text in ` or \" is expected before `{}`", self.ahead()));
        };
        let mut text = String::new();
        loop {
            match chars.next() {
                None => return Err(format!("the text that begins with `{}` has no end", self.ahead())),
                Some(end) if end == quote => break,
                Some('\\') if quote == '"' => match chars.next() {
                    Some(escaped @ ('"' | '\\')) => text.push(escaped),
                    _ => {
                        return Err(
                            "between double quotes only \\\" and \\\\ are read; use backticks".to_owned()
                        );
                    }
                },
                Some(other) => text.push(other),
            }
        }
        self.rest = chars.as_str();
        Ok(text)
    }

    fn takes(&mut self, token: &str) -> bool {
        match self.rest.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn demand(&mut self, token: &str) -> Result<(), String> {
        if self.takes(token) {
            Ok(())
        } else {
            Err(format!("`{token}` is expected before `{}`", self.ahead()))
        }
    }

    fn ahead(&self) -> String {
        let ahead: String = self.rest.trim_start().chars().take(20).collect();
        if ahead.is_empty() { "the end".to_owned() } else { ahead }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admits(constraints: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        constraints.parse::<Constraints>().unwrap().admit(&labels)
    }

    #[test]
    fn labels_are_compared_whole_and_patterns_match_anywhere() {
        let web = [("tier", "web"), ("name", "shop-1")];
        for (constraints, admitted) in [
            ("Label(`tier`,`web`)", true),
            ("Label(`tier`, \"we\")", false),
            ("Label(`other`,``)", false),
            ("LabelRegex(`name`,`op-[0-9]`)", true),
            ("LabelRegex(`name`,`^op`)", false),
            ("!Label(`tier`,`web`)", false),
            ("! Label(`tier`,`db`) && Label(`name`,`shop-1`)", true),
            // `&&` binds closer.
            ("Label(`tier`,`web`) || Label(`a`,`b`) && Label(`c`,`d`)", true),
            ("(Label(`tier`,`web`) || Label(`a`,`b`)) && Label(`c`,`d`)", false),
            ("!(Label(`a`,`b`) || Label(`c`,`d`))", true),
        ] {
            assert_eq!(admits(constraints, &web), admitted, "{constraints}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for bad in [
            "",
            "Label(`a`)",
            "Label(`a`,`b`",
            "Label(a,b)",
            "Label(`a`,`b`) &&",
            "Label(`a`,`b`) Label(`a`,`b`)",
            "LabelRegex(`a`,`(`)",
            "Tag(`a`)",
            "Label(`a`,\"\\n\")",
            "Label(`a`,`b",
        ] {
            assert!(bad.parse::<Constraints>().is_err(), "{bad}");
        }
        assert!(format!("{}Label(`a`,`b`)", "!".repeat(100)).parse::<Constraints>().is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_panics(text in "[Label(Regx)`\",!&| ab\\\\]{0,60}") {
            let _ = text.parse::<Constraints>();
        }
    }
}
