//! Ports on the host.

use super::{
    draft::{Draft, Long, items},
    expr,
    interpolate::Template,
    one_line,
    yaml::Node,
};

const EVERYWHERE: &str =
    "on every address of the host, as Compose has it: `localhost` where only this machine needs it";
const CHOSEN: &str =
    "the engine chose the port of the host: declared only; `publish` it where that port matters";

/// Published and declared ports.
pub(super) fn ports(draft: &mut Draft<'_>, in_host_network: bool) {
    if let Some(node) = draft.take("ports") {
        for item in items(node) {
            if let Some(port) = read(draft, item) {
                write(draft, &port, item.line, in_host_network);
            }
        }
    }
    let Some(node) = draft.take("expose") else { return };
    for (text, line) in draft.texts(node, "expose") {
        match range_with_protocol(&text) {
            Some((range, udp)) => expose(draft, &range, udp),
            None => draft.note(line, "expose", "is no port: left out"),
        }
    }
}

/// One port, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Range {
    /// An expression.
    One(String),
    Many(u16, u16),
}

struct Published {
    address: Option<String>,
    host: Option<Range>,
    inside: Range,
    udp: bool,
}

fn read(draft: &mut Draft<'_>, node: &Node) -> Option<Published> {
    let no_port = |draft: &mut Draft<'_>, what: &str| {
        draft.note(node.line, "ports", format!("{what}: left out"));
        None
    };
    if let Some(mut long) = Long::of(node, "ports") {
        let text = |draft: &mut Draft<'_>, node: Option<&Node>| draft.template(node?, "ports");
        let target = long.take("target");
        let inside = text(draft, target).as_ref().and_then(range);
        let published = long.take("published");
        let host = text(draft, published);
        let protocol = long.take("protocol");
        let protocol = text(draft, protocol).and_then(|text| text.at_defaults());
        let host_ip = long.take("host_ip");
        let address = text(draft, host_ip).and_then(|text| text.at_defaults());
        // Both modes are the same on one machine, and the rest is for people.
        for field in ["mode", "name", "app_protocol"] {
            let _ = long.take(field);
        }
        draft.finish_long(&long);
        let udp = match protocol.as_deref() {
            None | Some("tcp") => false,
            Some("udp") => true,
            Some(_) => return no_port(draft, "neither TCP nor UDP"),
        };
        let Some(inside) = inside else { return no_port(draft, "the port inside is not said") };
        let host = match host {
            None => None,
            Some(host) => match range(&host) {
                Some(range) => Some(range),
                None => return no_port(draft, "the port of the host is none"),
            },
        };
        return Some(Published { address, host, inside, udp });
    }
    let text = draft.template(node, "ports")?;
    let (text, udp) = match text.split_once('/') {
        None => (text, false),
        Some((text, protocol)) => match protocol.as_literal() {
            Some("tcp") => (text, false),
            Some("udp") => (text, true),
            _ => return no_port(draft, "neither TCP nor UDP"),
        },
    };
    let (address, text) = address(draft, text, node);
    let pieces = text.split(':');
    let (host, inside) = match pieces.as_slice() {
        [inside] => (None, inside),
        [host, inside] if host.0.is_empty() => (None, inside),
        [host, inside] => (Some(host), inside),
        _ => return no_port(draft, "more colons than a port has"),
    };
    let Some(inside) = range(inside) else { return no_port(draft, "the port inside is none") };
    let host = match host.map(|host| (range(host), host)) {
        None => None,
        Some((Some(range), _)) => Some(range),
        Some((None, host)) => {
            // `${PORT}:80`: a variable that has no default gets that of the port inside.
            match (&inside, super::draft::is_plain_variable(host)) {
                (Range::One(port), true) if port.parse::<u16>().is_ok() => {
                    let name = host.0.first().and_then(|part| match part {
                        super::interpolate::Part::Variable(variable) => Some(variable.name.clone()),
                        super::interpolate::Part::Text(_) => None,
                    })?;
                    draft.note(
                        node.line,
                        "ports",
                        format!("{name} has no default in the file: the port inside is it here"),
                    );
                    Some(Range::One(format!("cfg.port({}, {port})", expr::literal(&name))))
                }
                _ => return no_port(draft, "the port of the host is none"),
            }
        }
    };
    Some(Published { address, host, inside, udp })
}

/// What stands before the last two colons: `127.0.0.1:80:80`, `[::1]:80:80`.
fn address(draft: &mut Draft<'_>, text: Template, node: &Node) -> (Option<String>, Template) {
    if let Some(rest) = text.strip_prefix("[")
        && let Some((address, rest)) = rest.split_once(']')
    {
        let rest = rest.strip_prefix(":").unwrap_or(rest);
        return (draft.fix(&address, node.line, "ports"), rest);
    }
    let pieces = text.split(':');
    match pieces.as_slice() {
        [address, host, inside] => {
            let mut rest = host.clone();
            rest.push_text(":");
            rest.0.extend(inside.0.iter().cloned());
            // Two texts side by side would not split again.
            let rest = merged(rest);
            (draft.fix(address, node.line, "ports"), rest)
        }
        _ => (None, text),
    }
}

fn merged(template: Template) -> Template {
    let mut merged = Template::default();
    for part in template.0 {
        match part {
            super::interpolate::Part::Text(text) => merged.push_text(&text),
            variable => merged.0.push(variable),
        }
    }
    merged
}

fn range(template: &Template) -> Option<Range> {
    if let Some(port) = expr::port(template) {
        return Some(Range::One(port));
    }
    let (first, last) = template.as_literal()?.split_once('-')?;
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    match () {
        () if first == 0 || first > last => None,
        () if first == last => Some(Range::One(first.to_string())),
        () => Some(Range::Many(first, last)),
    }
}

fn range_with_protocol(template: &Template) -> Option<(Range, bool)> {
    match template.split_once('/') {
        None => Some((range(template)?, false)),
        Some((template, protocol)) => {
            let udp = match protocol.as_literal()? {
                "udp" => true,
                "tcp" => false,
                _ => return None,
            };
            Some((range(&template)?, udp))
        }
    }
}

fn expose(draft: &mut Draft<'_>, range: &Range, udp: bool) {
    let word = if udp { "expose_udp" } else { "expose" };
    match range {
        Range::One(port) => draft.call(word, port),
        Range::Many(first, last) => {
            draft.call("with", format!("|service| ({first}..={last}).fold(service, Service::{word})"));
        }
    }
}

fn write(draft: &mut Draft<'_>, port: &Published, line: usize, in_host_network: bool) {
    if in_host_network {
        draft.note(line, "ports", "in the host's own network every port is the host's: declared only");
        return expose(draft, &port.inside, port.udp);
    }
    let Some(host) = &port.host else {
        draft.note(line, "ports", CHOSEN);
        return expose(draft, &port.inside, port.udp);
    };
    let place = match port.address.as_deref().map(str::parse::<std::net::IpAddr>) {
        None => {
            draft.note(line, "ports", EVERYWHERE);
            "all_interfaces(".to_owned()
        }
        Some(Ok(address)) if address == std::net::Ipv4Addr::LOCALHOST => "localhost(".to_owned(),
        Some(Ok(address)) if address == std::net::Ipv4Addr::UNSPECIFIED => "all_interfaces(".to_owned(),
        Some(Ok(address)) => format!("on_address({}, ", expr::address(address)),
        Some(Err(_)) => {
            let address = one_line(port.address.as_deref().unwrap_or_default());
            return draft.note(line, "ports", format!("`{address}` is no address: left out"));
        }
    };
    let udp = if port.udp { ".udp()" } else { "" };
    match (host, &port.inside) {
        (Range::One(host), Range::One(inside)) => {
            let to = if host == inside { String::new() } else { format!(".to({inside})") };
            draft.call("publish", format!("{place}{host}){to}{udp}"));
        }
        (Range::Many(first, last), Range::Many(inside, inside_last))
            if last - first == inside_last - inside =>
        {
            let to = match (inside.checked_sub(*first), first.checked_sub(*inside)) {
                (Some(0), _) => String::new(),
                (Some(more), _) => format!(".to(port + {more})"),
                (None, less) => format!(".to(port - {})", less.unwrap_or_default()),
            };
            let publish = format!("service.publish({place}port){to}{udp})");
            draft.call(
                "with",
                format!("|service| ({first}..={last}).fold(service, |service, port| {publish})"),
            );
        }
        _ => draft.note(line, "ports", "the ranges are not of one length: left out"),
    }
}
