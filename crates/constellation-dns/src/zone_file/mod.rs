//! A zone file as RFC 1035 has it, for a name server of one's own: the provider that needs no account.
//!
//! Records of others may stand in the file and stay as they are, letter by letter, one record a line.

mod line;
mod render;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use constellation_core::{Clock, DomainName};
use tokio::sync::Mutex;

pub use self::render::zone_file_text;
use self::{
    line::{Line, Parsed},
    render::{Head, record_line},
};
use crate::{
    owner::Marker,
    plan::{Change, carry_out},
    provider::{DnsError, DnsProvider},
    record::{Found, RecordId, RecordName},
    rules::Rules,
};

/// The largest zone file that is read, in bytes.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Settings of a zone file.
#[derive(Clone, Debug)]
pub struct ZoneFileConfig {
    /// The file.
    pub path: PathBuf,
    /// The zone.
    pub zone: DomainName,
    /// The zone's name servers, for a file that is not there yet.
    pub name_servers: Vec<RecordName>,
}

/// A zone file.
pub struct ZoneFile {
    config: ZoneFileConfig,
    clock: Arc<dyn Clock>,
    /// One writer at a time in this process; the lease sees to the others.
    writing: Mutex<()>,
}

impl ZoneFile {
    /// The zone in this file, which need not be there yet.
    pub fn new(config: ZoneFileConfig, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, writing: Mutex::new(()) }
    }
}

#[async_trait]
impl DnsProvider for ZoneFile {
    fn place(&self) -> String {
        format!("zone {} in {}", self.config.zone, self.config.path.display())
    }

    fn rules(&self) -> Rules {
        Rules::ZONE_FILE
    }

    async fn records(&self) -> Result<Vec<Found>, DnsError> {
        let config = self.config.clone();
        blocking(&self.config.path, move || Ok(File::read(&config)?.found())).await
    }

    async fn apply(&self, batch: &[Change], marker: &Marker) -> Result<(), DnsError> {
        let _writing = self.writing.lock().await;
        let (config, batch, marker) = (self.config.clone(), batch.to_vec(), marker.clone());
        let now = self.clock.wall().0 / 1000;
        blocking(&self.config.path, move || {
            let mut file = File::read(&config)?;
            if file.change(&batch, &marker)? {
                file.write(&config, u32::try_from(now).unwrap_or(u32::MAX))?;
            }
            Ok(())
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, DnsError> + Send + 'static,
) -> Result<T, DnsError> {
    let failed = |error: tokio::task::JoinError| DnsError::File {
        deed: "work on",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// The file, understood.
struct File {
    head: Head,
    lines: Vec<Line>,
}

impl File {
    fn read(config: &ZoneFileConfig) -> Result<Self, DnsError> {
        let failed = |source| DnsError::File { deed: "read", path: config.path.clone(), source };
        let text = match std::fs::metadata(&config.path) {
            Ok(about) if about.len() > BYTES_MAX => {
                return Err(failed(std::io::Error::other("it is larger than 16 MiB")));
            }
            Ok(_) => std::fs::read_to_string(&config.path).map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let (soa, lines) = line::parse(&text, config.zone.as_str())
            .map_err(|(line, why)| DnsError::Malformed { path: config.path.clone(), line, why })?;
        let head = soa.map_or_else(|| Head::fresh(config), Head::Kept);
        Ok(Self { head, lines })
    }

    /// Every record but the SOA. The id is what the record says, and its number where it is there more than once.
    fn found(&self) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for line in &self.lines {
            if let Parsed::Record(record) = &line.parsed {
                let key = format!("{}/{}/{}", record.name, record.kind, record.content);
                let same = found.iter().filter(|other| other.id.0.split('#').next() == Some(&key)).count();
                let id = RecordId(if same == 0 { key } else { format!("{key}#{same}") });
                found.push(Found { id, ..record.clone() });
            }
        }
        found
    }

    /// Whether the batch changed anything.
    fn change(&mut self, batch: &[Change], marker: &Marker) -> Result<bool, DnsError> {
        let before = self.found();
        let mut zone = before.clone();
        for change in batch {
            refuse_impossible(&zone, change)?;
            let id = || RecordId(String::new());
            carry_out(&mut zone, change, marker, id);
        }
        if zone == before {
            return Ok(false);
        }
        // A line stays while its record is as it was; what changed is written anew below the rest.
        let mut lines = Vec::new();
        let mut old = before.iter();
        for line in std::mem::take(&mut self.lines) {
            let stays = match &line.parsed {
                Parsed::Record(_) => old.next().is_some_and(|record| zone.contains(record)),
                Parsed::Other => true,
            };
            if stays {
                lines.push(line);
            }
        }
        let mut fresh: Vec<&Found> = zone.iter().filter(|record| !before.contains(record)).collect();
        fresh.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
        for record in fresh {
            lines.push(Line { text: record_line(record), parsed: Parsed::Record(record.clone()) });
        }
        self.lines = lines;
        Ok(true)
    }

    fn write(&self, config: &ZoneFileConfig, now: u32) -> Result<(), DnsError> {
        let mut text = self.head.render(config.zone.as_str(), now);
        for line in &self.lines {
            text.push_str(&line.text);
            text.push('\n');
        }
        replace(&config.path, text.as_bytes()).map_err(|source| DnsError::File {
            deed: "write",
            path: config.path.clone(),
            source,
        })
    }
}

/// What Cloudflare refuses is refused here as well, so that the controller meets it before it meets Cloudflare.
pub(crate) fn refuse_impossible(zone: &[Found], change: &Change) -> Result<(), DnsError> {
    let refuse = |code, said: String| DnsError::Refused {
        deed: format!("change {}", change.name()),
        code: Some(code),
        said,
        advice: "the zone has changed since it was read; the next look will show it",
    };
    let there = |id: &RecordId| zone.iter().any(|found| found.id == *id);
    match change {
        Change::Create { to } => {
            let same =
                |found: &&Found| found.name == to.name.as_str() && found.value.as_ref() == Some(&to.value);
            zone.iter()
                .find(same)
                .map_or(Ok(()), |_| Err(refuse(81058, "there is such a record already".to_owned())))
        }
        Change::Delete { from }
        | Change::Update { from, .. }
        | Change::Stamp { from }
        | Change::Release { from } => {
            if there(&from.id) {
                Ok(())
            } else {
                Err(refuse(81044, format!("there is no record {}", from.id)))
            }
        }
    }
}

/// Puts a whole new file in the place of the old one: whoever reads meanwhile has one of the two.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = folder.join(name);
    let written = (|| {
        let mut file = std::fs::File::create(&fresh)?;
        if let Ok(about) = std::fs::metadata(path) {
            file.set_permissions(about.permissions())?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        std::fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // What is left of it helps nobody; the error that matters is the first one.
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests;
