//! Further names that an operator asks for: `app=leader,proxied`, `docs=name:pages.example.net`, `_web._tcp=srv:web:443`.

use std::str::FromStr;

use constellation_core::{DomainName, ServiceId};
use serde::{Deserialize, Serialize};

use crate::record::{RecordName, Ttl};

/// Where a further name leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// To the machine that holds `lb-leader`.
    Leader,
    /// To every ingress machine.
    All,
    /// To the machines that run an instance of this service which takes traffic.
    Instances(ServiceId),
    /// To another name.
    Name(RecordName),
    /// Nowhere: it is text.
    Text(String),
    /// To this port on the machines that run the service.
    Srv {
        /// The service.
        service: ServiceId,
        /// The port.
        port: u16,
    },
}

/// A further name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// The name: below the domain, unless it ends in the domain already.
    pub name: String,
    /// Where it leads.
    pub target: Target,
    /// For how long; else as everything.
    pub ttl: Option<Ttl>,
    /// Whether it is proxied; else it is not.
    pub proxied: Option<bool>,
}

impl ServiceRecord {
    /// The whole name.
    pub fn full_name(&self, domain: &DomainName) -> String {
        let name = self.name.trim_end_matches('.').to_lowercase();
        let whole = name == domain.as_str() || name.ends_with(&format!(".{domain}"));
        if whole { name } else { format!("{name}.{domain}") }
    }
}

const FORM: &str = "write NAME=TARGET[,ttl=60][,proxied], where TARGET is `leader`, `all`, `instances:SERVICE`, `name:OTHER`, \
                    `srv:SERVICE:PORT` or `text:ANYTHING` (which takes the rest of the line)";

impl FromStr for ServiceRecord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("`{text}`: {why}; {FORM}");
        let (name, rest) = text.split_once('=').ok_or_else(|| refuse("there is no `=`"))?;
        let mut record =
            Self { name: name.trim().to_owned(), target: Target::Leader, ttl: None, proxied: None };
        // Whether it is a name is decided in some domain, so any will do.
        format!("{}.example.org", record.name.trim_end_matches('.'))
            .parse::<RecordName>()
            .map_err(|error| refuse(&error.to_string()))?;
        if let Some(words) = rest.strip_prefix("text:") {
            record.target = Target::Text(words.to_owned());
            return Ok(record);
        }
        let mut parts = rest.split(',').map(str::trim);
        let target = parts.next().unwrap_or_default();
        record.target = match target.split_once(':') {
            None if target == "leader" => Target::Leader,
            None if target == "all" => Target::All,
            Some(("instances", service)) => {
                Target::Instances(service.parse().map_err(|error| refuse(&format!("{error}")))?)
            }
            Some(("name", other)) => {
                Target::Name(other.parse().map_err(|error| refuse(&format!("{error}")))?)
            }
            Some(("srv", service)) => {
                let (service, port) =
                    service.rsplit_once(':').ok_or_else(|| refuse("the port is missing"))?;
                Target::Srv {
                    service: service.parse().map_err(|error| refuse(&format!("{error}")))?,
                    port: port.parse().map_err(|_| refuse("the port is not one"))?,
                }
            }
            _ => return Err(refuse("the target is none")),
        };
        for part in parts {
            match part.split_once('=') {
                None if part == "proxied" => record.proxied = Some(true),
                Some(("ttl", seconds)) => {
                    record.ttl =
                        Some(Ttl(seconds.parse().map_err(|_| refuse("the TTL is no number of seconds"))?));
                }
                _ => return Err(refuse("what follows the target is not known")),
            }
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_name_is_one_word_of_a_command_line() {
        let record: ServiceRecord = "app=leader,proxied".parse().unwrap();
        assert_eq!((record.target, record.proxied, record.ttl), (Target::Leader, Some(true), None));
        let record: ServiceRecord = "_web._tcp=srv:shop/web:443,ttl=120".parse().unwrap();
        let service = "shop/web".parse().unwrap();
        assert_eq!((record.target, record.ttl), (Target::Srv { service, port: 443 }, Some(Ttl(120))));
        let record: ServiceRecord = "note=text:a, b = c".parse().unwrap();
        assert_eq!(record.target, Target::Text("a, b = c".to_owned()));
        for bad in
            ["app", "=leader", "a b=leader", "app=", "app=srv:web", "app=leader,ttl=x", "app=leader,fast"]
        {
            assert!(bad.parse::<ServiceRecord>().unwrap_err().contains("NAME=TARGET"), "{bad}");
        }
    }

    #[test]
    fn a_name_is_below_the_domain_unless_it_says_so_itself() {
        let domain = "example.org".parse().unwrap();
        let name = |text: &str| text.parse::<ServiceRecord>().unwrap().full_name(&domain);
        assert_eq!(name("app=all"), "app.example.org");
        assert_eq!(name("App.Example.org.=all"), "app.example.org");
        assert_eq!(name("myexample.org=all"), "myexample.org.example.org");
    }
}
