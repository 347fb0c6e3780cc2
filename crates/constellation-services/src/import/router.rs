//! The fields of one of Traefik's routers and load balancers, as calls on a route.

use super::{
    expr::{self, literal},
    interpolate::{Part, Template},
    one_line,
    traefik::{Fields, Stays},
};

/// What a router says.
pub(super) fn router(fields: &Fields) -> Result<Vec<String>, Stays> {
    let mut calls = Vec::new();
    if let Some((rule, _)) = fields.get("rule") {
        match hosts_and_paths(rule) {
            Some((hosts, paths)) => {
                calls.extend(hosts.iter().map(|host| format!(".host({})", expr::text(host))));
                calls.extend(paths.iter().map(|path| format!(".path({})", expr::text(path))));
            }
            None => calls.push(format!(".rule({})", expr::text(rule))),
        }
    }
    for (field, (value, line)) in fields {
        match field.as_str() {
            "rule" | "service" => {}
            "entrypoints" => calls.extend(list(value).iter().map(|name| format!(".entry_point({name})"))),
            "middlewares" => calls.extend(middlewares(value)),
            "priority" => match value.as_literal().and_then(|text| text.parse::<i64>().ok()) {
                Some(priority) => calls.push(format!(".priority({priority})")),
                None => return Err((*line, "its priority is no number".to_owned())),
            },
            "tls" => match value.as_literal() {
                Some("true") => calls.push(".tls()".to_owned()),
                Some("false" | "") => {}
                _ => return Err((*line, "its `tls` is neither yes nor no".to_owned())),
            },
            "tls.certresolver" => calls.push(format!(".cert_resolver({})", expr::text(value))),
            "tls.options" => calls.push(format!(".tls_options({})", expr::text(value))),
            other => return Err((*line, format!("the language has no word for `{}`", one_line(other)))),
        }
    }
    // `.cert_resolver(…)` says TLS by itself.
    if fields.contains_key("tls.certresolver") || fields.contains_key("tls.options") {
        calls.retain(|call| call != ".tls()");
    }
    Ok(calls)
}

fn list(value: &Template) -> Vec<String> {
    let items = value.split(',').into_iter().map(trimmed).filter(|item| !item.0.is_empty());
    items.map(|item| expr::text(&item)).collect()
}

fn trimmed(template: Template) -> Template {
    let head = template.head();
    let start = head.len() - head.trim_start().len();
    let spaces = head[..start].to_owned();
    template.strip_prefix(&spaces).unwrap_or(template).trim_end()
}

/// The first one that asks who is there is said to do so.
fn middlewares(value: &Template) -> Vec<String> {
    let mut asked = false;
    let name = |item: &String| item.to_ascii_lowercase().contains("auth");
    let calls = list(value).into_iter().map(|item| {
        let word = if !asked && name(&item) { "auth" } else { "middleware" };
        asked |= word == "auth";
        let item = item.replace("@docker\"", "\"");
        format!(".{word}({item})")
    });
    calls.collect()
}

/// What a load balancer says.
pub(super) fn balancer(fields: &Fields) -> Result<Vec<String>, Stays> {
    let mut calls = Vec::new();
    if let Some((scheme, line)) = fields.get("server.scheme") {
        match scheme.as_literal().map(str::to_ascii_lowercase).as_deref() {
            Some("http") => {}
            Some("https") => calls.push(".scheme(Scheme::Https)".to_owned()),
            Some("h2c") => calls.push(".scheme(Scheme::H2c)".to_owned()),
            _ => return Err((*line, "the scheme of its server is none".to_owned())),
        }
    }
    if let Some((pass, line)) = fields.get("passhostheader") {
        match pass.as_literal() {
            Some(answer @ ("true" | "false")) => calls.push(format!(".pass_host_header({answer})")),
            _ => return Err((*line, "its `passhostheader` is neither yes nor no".to_owned())),
        }
    }
    calls.extend(health(fields)?);
    calls.extend(sticky(fields)?);
    Ok(calls)
}

fn health(fields: &Fields) -> Result<Option<String>, Stays> {
    let Some((path, line)) = fields.get("healthcheck.path") else {
        return match fields.iter().find(|(field, _)| field.starts_with("healthcheck.")) {
            Some((_, (_, line))) => Err((*line, "its health check has no path".to_owned())),
            None => Ok(None),
        };
    };
    let mut settings = String::new();
    for (field, word) in [("healthcheck.interval", "interval"), ("healthcheck.timeout", "timeout")] {
        let Some((time, line)) = fields.get(field) else { continue };
        let time = time.as_literal().and_then(expr::duration);
        let time = time.ok_or((*line, format!("`{field}` is no time")))?;
        settings.push_str(&format!("{word}: Some({time}), "));
    }
    if settings.is_empty() {
        return Ok(Some(format!(".health({})", expr::text(path))));
    }
    let Some(path) = path.as_literal() else {
        return Err((*line, "the path of its health check has a variable".to_owned()));
    };
    let check =
        format!("HttpHealthCheck {{ path: {}.to_owned(), {settings}..Default::default() }}", literal(path));
    Ok(Some(format!(".health_check({check})")))
}

fn sticky(fields: &Fields) -> Result<Option<String>, Stays> {
    let mut settings = String::new();
    let mut wanted = false;
    for (field, (value, line)) in fields.iter().filter(|(field, _)| field.starts_with("sticky.")) {
        let text = value.as_literal().ok_or((*line, "its cookie has a variable".to_owned()))?;
        wanted = true;
        let word = match field.as_str() {
            "sticky.cookie.httponly" => "http_only",
            "sticky.cookie.secure" => "secure",
            "sticky.cookie.name" | "sticky.cookie.samesite" => {
                let word = if field.ends_with("name") { "name" } else { "same_site" };
                settings.push_str(&format!("{word}: Some({}.to_owned()), ", literal(text)));
                continue;
            }
            _ if text == "true" => continue,
            _ => return Err((*line, "its `sticky.cookie` is neither yes nor no".to_owned())),
        };
        match text {
            "true" | "false" => settings.push_str(&format!("{word}: Some({text}), ")),
            _ => return Err((*line, format!("`{field}` is neither yes nor no"))),
        }
    }
    Ok(wanted.then(|| format!(".sticky_cookie(StickyCookie {{ {settings}..Default::default() }})")))
}

/// Stands for variables while a rule is taken apart: from the private use area of Unicode, where no rule has anything.
const FIRST_MARK: u32 = 0xE000;
const MARKS: usize = 64;

/// The hosts and paths of ``Host(`a`) || Host(`b`) && PathPrefix(`/c`)``; `None` for any other rule.
fn hosts_and_paths(rule: &Template) -> Option<(Vec<Template>, Vec<Template>)> {
    let (text, variables) = marked(rule)?;
    let conjuncts = split(&text, "&&")?;
    let (hosts, paths) = match conjuncts.as_slice() {
        [hosts] => (alternatives(hosts, "Host")?, Vec::new()),
        [first, second] => match (alternatives(first, "Host"), alternatives(second, "PathPrefix")) {
            (Some(hosts), Some(paths)) => (hosts, paths),
            _ => (alternatives(second, "Host")?, alternatives(first, "PathPrefix")?),
        },
        _ => return None,
    };
    let back = |texts: Vec<String>| texts.iter().map(|text| unmarked(text, &variables)).collect();
    let lower = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
    Some((back(lower), back(paths)))
}

fn marked(rule: &Template) -> Option<(String, Vec<Part>)> {
    let (mut text, mut variables) = (String::new(), Vec::new());
    for part in &rule.0 {
        match part {
            Part::Text(plain) if plain.chars().any(|c| mark_of(c).is_some()) => return None,
            Part::Text(plain) => text.push_str(plain),
            Part::Variable(_) => {
                let mark = u32::try_from(variables.len()).ok().filter(|_| variables.len() < MARKS)?;
                text.push(char::from_u32(FIRST_MARK + mark)?);
                variables.push(part.clone());
            }
        }
    }
    Some((text, variables))
}

fn mark_of(c: char) -> Option<usize> {
    let mark = usize::try_from(u32::from(c).checked_sub(FIRST_MARK)?).ok()?;
    (mark < MARKS).then_some(mark)
}

fn unmarked(text: &str, variables: &[Part]) -> Template {
    let mut template = Template::default();
    for c in text.chars() {
        match mark_of(c).and_then(|mark| variables.get(mark)) {
            Some(variable) => template.0.push(variable.clone()),
            None => template.push_text(c.encode_utf8(&mut [0; 4])),
        }
    }
    template
}

/// Splits outside of parentheses and quotes.
fn split<'t>(text: &'t str, operator: &str) -> Option<Vec<&'t str>> {
    let (mut pieces, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (position, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) => quote = (open != c).then_some(open),
            (None, '`' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.checked_sub(1)?,
            (None, _) if depth == 0 && position >= start && text[position..].starts_with(operator) => {
                pieces.push(text[start..position].trim());
                start = position + operator.len();
            }
            _ => {}
        }
    }
    if depth > 0 || quote.is_some() {
        return None;
    }
    pieces.push(text.get(start..)?.trim());
    Some(pieces)
}

/// The arguments of alternatives that are all `matcher`.
fn alternatives(text: &str, matcher: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    if let Some(inner) = inner.filter(|inner| split(inner, "||").is_some()) {
        return alternatives(inner, matcher);
    }
    let mut found = Vec::new();
    for piece in split(text, "||")? {
        let arguments = piece.strip_prefix(matcher)?.trim().strip_prefix('(')?.strip_suffix(')')?;
        for argument in split(arguments, ",")? {
            let quoted = ['`', '"'].into_iter().find_map(|quote| {
                argument.strip_prefix(quote)?.strip_suffix(quote).filter(|text| !text.contains(quote))
            })?;
            found.push(quoted.to_owned());
        }
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rule: &str) -> Option<(Vec<String>, Vec<String>)> {
        let (hosts, paths) = hosts_and_paths(&Template::parse(rule).unwrap())?;
        let code = |items: Vec<Template>| items.iter().map(expr::text).collect::<Vec<_>>();
        Some((code(hosts), code(paths)))
    }

    #[test]
    fn rules_of_hosts_and_paths_are_taken_apart() {
        let words = |items: &[&str]| items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>();
        for (rule, hosts, paths) in [
            ("Host(`a.example.org`)", &["a.example.org"][..], &[][..]),
            ("Host(`A.b`) || Host(\"c.d\")", &["a.b", "c.d"], &[]),
            ("Host(`a.b`, `c.d`)", &["a.b", "c.d"], &[]),
            (
                "(Host(`a.b`) || Host(`c.d`)) && (PathPrefix(`/x`) || PathPrefix(`/y`))",
                &["a.b", "c.d"],
                &["/x", "/y"],
            ),
            ("PathPrefix(`/x`) && Host(`a.b`)", &["a.b"], &["/x"]),
        ] {
            assert_eq!(read(rule), Some((words(hosts), words(paths))), "{rule}");
        }
        let (hosts, _) = read("Host(`blog.${DOMAIN}`)").unwrap();
        assert_eq!(hosts, ["cfg.fqdn(\"blog\")"]);
    }

    #[test]
    fn any_other_rule_stays_whole() {
        for rule in [
            "HostRegexp(`.*`)",
            "Host(`a.b`) && Path(`/x`)",
            "!Host(`a.b`)",
            "Host(`a.b`) && Method(`GET`) && PathPrefix(`/`)",
            "Host(`a.b`) || PathPrefix(`/x`)",
            "(Host(`a.b`) && PathPrefix(`/x`)) || Host(`c.d`)",
            "Host(`a.b`",
            "Host()",
            "",
        ] {
            assert_eq!(read(rule), None, "{rule}");
        }
    }
}
