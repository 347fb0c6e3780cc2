//! How a router ends TLS, over HTTP and over TCP alike.

use constellation_core::route::{RouterTls, TlsDomain};

use super::value;

/// The most certificates that a router may ask for.
const DOMAINS_MAX: usize = 32;

/// Reads `tls` or a field of it; `ends` is asked for where it switches TLS on.
pub(super) fn read<'t>(
    path: &str,
    text: &str,
    ends: impl FnOnce() -> &'t mut RouterTls,
) -> Result<(), String> {
    match path.split('[').next().unwrap_or(path) {
        "tls" => {
            if value::boolean(text)? {
                ends();
            }
        }
        "tls.certresolver" => {
            let resolver = value::reference(text)?;
            ends().cert_resolver = Some(resolver);
        }
        "tls.options" => {
            let options = match text.trim() {
                "default" => "default".to_owned(),
                _ => value::foreign(text)?,
            };
            ends().options = Some(options);
        }
        "tls.domains" => domain(&mut ends().domains, path, text)?,
        _ => return Err("a router has no such field".to_owned()),
    }
    Ok(())
}

/// What is to be said once every field is read.
pub(super) fn finish(ends: Option<&mut RouterTls>) {
    if let Some(ends) = ends {
        // Numbers that nobody wrote: Traefik counts only those that are there.
        ends.domains.retain(|domain| *domain != TlsDomain::default());
    }
}

/// `tls.domains[n].main` or `.sans`, perhaps `.sans[m]`.
fn domain(domains: &mut Vec<TlsDomain>, path: &str, text: &str) -> Result<(), String> {
    let field = path.strip_prefix("tls.domains[").and_then(|rest| rest.split_once("]."));
    let Some((number, field)) = field else { return Err("a domain is `tls.domains[0].main`".to_owned()) };
    let number: usize = value::number(number, "a number of a domain")?;
    if number >= DOMAINS_MAX {
        return Err(format!("a router may have {DOMAINS_MAX} domains"));
    }
    if domains.len() <= number {
        domains.resize(number + 1, TlsDomain::default());
    }
    let Some(domain) = domains.get_mut(number) else { return Ok(()) };
    match field.split('[').next() {
        Some("main") => domain.main = host_name(text)?,
        Some("sans") => {
            for name in value::list(text) {
                domain.sans.push(host_name(&name)?);
            }
        }
        _ => return Err("a domain has no such field".to_owned()),
    }
    Ok(())
}

/// A name that a certificate may have; the first part may be a star.
fn host_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let rest = text.strip_prefix("*.").unwrap_or(text);
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    if (1..=253).contains(&rest.len()) && rest.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no name that a certificate can have", value::short(text)))
    }
}
