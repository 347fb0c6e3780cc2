//! `${NAME:-default}` in a text: what Compose replaces before it reads a field, and what a definition asks its
//! configuration for.

/// Nested defaults deeper than this are no Compose file's.
const DEPTH_MAX: usize = 8;

/// A text with variables in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template(pub(super) Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Variable(Variable),
}

/// A variable, and what stands in its place where it is unset (or set, for `:+`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) otherwise: Otherwise,
    /// `-`, `?` and `+` without the colon: an empty value counts as one.
    pub(super) empty_counts: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// `${NAME}`: nothing.
    Empty,
    /// `${NAME:-text}`.
    Default(Template),
    /// `${NAME:?why}`.
    Refused(String),
    /// `${NAME:+text}`: the text where it is set, else nothing.
    Alternative(Template),
}

impl Template {
    pub(super) fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        Self(if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What Compose would refuse, too.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        parse(text, 0)
    }

    /// The text, where it holds no variable.
    pub(super) fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with every variable at its default; `None` where one has none.
    pub(super) fn at_defaults(&self) -> Option<String> {
        let mut whole = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => whole.push_str(text),
                Part::Variable(variable) => match &variable.otherwise {
                    Otherwise::Default(default) => whole.push_str(&default.at_defaults()?),
                    Otherwise::Alternative(_) => {}
                    Otherwise::Empty | Otherwise::Refused(_) => return None,
                },
            }
        }
        Some(whole)
    }

    /// What stands before and behind the first `separator` outside of variables.
    pub(super) fn split_once(&self, separator: char) -> Option<(Self, Self)> {
        for (position, part) in self.0.iter().enumerate() {
            let Part::Text(text) = part else { continue };
            let Some((before, after)) = text.split_once(separator) else { continue };
            let mut left = Self(self.0[..position].to_vec());
            left.push_text(before);
            let mut right = Self::literal(after);
            right.0.extend_from_slice(&self.0[position + 1..]);
            return Some((left, right));
        }
        None
    }

    /// The pieces between `separator`s outside of variables.
    pub(super) fn split(&self, separator: char) -> Vec<Self> {
        let (mut pieces, mut rest) = (Vec::new(), self.clone());
        while let Some((before, after)) = rest.split_once(separator) {
            pieces.push(before);
            rest = after;
        }
        pieces.push(rest);
        pieces
    }

    /// The text at its very beginning, up to the first variable.
    pub(super) fn head(&self) -> &str {
        match self.0.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Without `prefix`, where it begins with that.
    pub(super) fn strip_prefix(&self, prefix: &str) -> Option<Self> {
        let rest = self.head().strip_prefix(prefix)?;
        let mut stripped = Self::literal(rest);
        stripped.0.extend_from_slice(self.0.get(1..).unwrap_or_default());
        Some(stripped)
    }

    pub(super) fn trim_end(mut self) -> Self {
        if let Some(Part::Text(text)) = self.0.last_mut() {
            text.truncate(text.trim_end().len());
        }
        self.0.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        self
    }

    pub(super) fn push_text(&mut self, more: &str) {
        match self.0.last_mut() {
            _ if more.is_empty() => {}
            Some(Part::Text(text)) => text.push_str(more),
            _ => self.0.push(Part::Text(more.to_owned())),
        }
    }

    /// All the text outside of variables.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Variable(_) => None,
        })
    }
}

fn parse(text: &str, depth: usize) -> Result<Template, String> {
    if depth > DEPTH_MAX {
        return Err("its defaults stand too deep in one another".to_owned());
    }
    let mut template = Template::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        template.push_text(before);
        if let Some(after) = after.strip_prefix('$') {
            template.push_text("$");
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let end = closing(inside).ok_or_else(|| "a `${` is not closed".to_owned())?;
            template.0.push(Part::Variable(variable(&inside[..end], depth)?));
            rest = &inside[end + 1..];
        } else {
            let length = name_length(after);
            if length == 0 {
                return Err("a `$` begins no variable (a dollar itself is written `$$`)".to_owned());
            }
            let name = after[..length].to_owned();
            template.0.push(Part::Variable(Variable {
                name,
                otherwise: Otherwise::Empty,
                empty_counts: false,
            }));
            rest = &after[length..];
        }
    }
    template.push_text(rest);
    Ok(template)
}

/// Where the brace that is already open closes.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(position);
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match text.chars().next() {
        Some(first) if fits(first) && !first.is_ascii_digit() => {
            text.find(|c| !fits(c)).unwrap_or(text.len())
        }
        _ => 0,
    }
}

fn variable(inside: &str, depth: usize) -> Result<Variable, String> {
    let length = name_length(inside);
    if length == 0 {
        return Err("a `${` names no variable".to_owned());
    }
    let (name, rest) = inside.split_at(length);
    let (colon, operator) = match rest.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, rest),
    };
    let otherwise = if operator.is_empty() && !colon {
        Otherwise::Empty
    } else if let Some(text) = operator.strip_prefix('-') {
        Otherwise::Default(parse(text, depth + 1)?)
    } else if let Some(why) = operator.strip_prefix('?') {
        Otherwise::Refused(why.trim().to_owned())
    } else if let Some(text) = operator.strip_prefix('+') {
        Otherwise::Alternative(parse(text, depth + 1)?)
    } else {
        return Err(format!("`${{{name}…}}` asks for something that Compose does not know"));
    };
    let empty_counts = !colon && otherwise != Otherwise::Empty;
    Ok(Variable { name: name.to_owned(), otherwise, empty_counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable_of(text: &str) -> Variable {
        match Template::parse(text).unwrap().0.as_slice() {
            [Part::Variable(variable)] => variable.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_form_of_compose_is_read() {
        assert_eq!(variable_of("$A"), variable_of("${A}"));
        let default = variable_of("${A:-b}");
        assert_eq!(default.otherwise, Otherwise::Default(Template::literal("b")));
        assert!(!default.empty_counts && variable_of("${A-b}").empty_counts);
        assert_eq!(variable_of("${A:?no A}").otherwise, Otherwise::Refused("no A".to_owned()));
        assert_eq!(variable_of("${A:+x}").otherwise, Otherwise::Alternative(Template::literal("x")));
        let Otherwise::Default(inner) = variable_of("${A:-${B:-c}d}").otherwise else { panic!() };
        assert_eq!(inner.at_defaults().as_deref(), Some("cd"));
        assert_eq!(Template::parse("a$$b").unwrap().as_literal(), Some("a$b"));
    }

    #[test]
    fn what_compose_refuses_is_refused() {
        for text in ["$", "$1", "${", "${}", "${A:=x}", "${A:}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert!(Template::parse(&format!("{}{}", "${A:-".repeat(50), "}".repeat(50))).is_err());
    }

    #[test]
    fn separators_within_a_variable_do_not_split() {
        let pieces = Template::parse("${A:-b:c}/x:/y:ro").unwrap().split(':');
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[0].at_defaults().as_deref(), Some("b:c/x"));
        assert_eq!((pieces[1].as_literal(), pieces[2].as_literal()), (Some("/y"), Some("ro")));
    }
}
