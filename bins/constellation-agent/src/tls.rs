//! Certificates from a folder, for this node's Traefik and for its own ingress.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use constellation_api::{Problem, model::CertificateRow};
use constellation_core::{Clock, error_chain};
use constellation_security::certificates::{
    CertificateFolder, CertificateProblem, CertificateResolver, CertificateStore,
};
use constellation_tasks::{Early, Nudge, Supervisor, nudge};
use constellation_traefik::document::{InlineCertificate, TlsSection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Between two looks at the folder. What renews certificates does so weeks before they expire.
const EVERY: Duration = Duration::from_secs(5);
/// Before its end a certificate is worth a person's attention for this long, in seconds.
const EXPIRES_SOON: i64 = 14 * DAY;
const DAY: i64 = 24 * 60 * 60;

/// What runs.
#[derive(Clone)]
pub(crate) struct TlsHandle {
    pub(crate) resolver: CertificateResolver,
    pub(crate) inline: watch::Receiver<Arc<TlsSection>>,
    problems: watch::Receiver<Arc<Vec<CertificateProblem>>>,
    again: Nudge,
}

impl TlsHandle {
    /// Nothing to serve with.
    pub(crate) fn none() -> Self {
        Self {
            resolver: CertificateResolver::default(),
            inline: watch::channel(Arc::default()).1,
            problems: watch::channel(Arc::default()).1,
            again: nudge(),
        }
    }

    /// Reads the folder, and again whenever it changes.
    pub(crate) async fn start(
        folder: PathBuf,
        supervisor: &Supervisor,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let name = folder.display().to_string();
        let (folder, read) = read(CertificateFolder::new(folder)).await?;
        let (store, problems) = read.with_context(|| {
            format!("the certificates in {name} could not be read (see --tls-certificates)")
        })?;
        let resolver = CertificateResolver::new(Arc::new(store));
        let (inline, told) = watch::channel(Arc::new(section(&resolver.current())));
        let (faulty, problems_seen) = watch::channel(Arc::new(Vec::new()));
        let handle =
            Self { resolver: resolver.clone(), inline: told, problems: problems_seen, again: nudge() };
        let mut keeper =
            Keeper { name, resolver, inline, faulty, clock, warned: None, again: handle.again.clone() };
        keeper.tell(problems);
        info!(
            folder = keeper.name,
            certificates = keeper.resolver.current().certificates().len(),
            "certificates were read"
        );
        supervisor.spawn("certificates", Early::Fatal, keeper.keep(folder, supervisor.shutdown()));
        Ok(handle)
    }

    /// Reads the folder now.
    pub(crate) fn again(&self) {
        self.again.nudge();
    }

    /// The certificates, for people.
    pub(crate) fn rows(&self, now: i64) -> Vec<CertificateRow> {
        let store = self.resolver.current();
        let rows = store.certificates().iter().map(|certificate| CertificateRow {
            names: certificate.names().to_vec(),
            file: certificate.file().display().to_string(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            days_left: (certificate.not_after() - now).div_euclid(DAY),
            fingerprint: certificate.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect(),
        });
        rows.collect()
    }

    /// What a person should know of.
    pub(crate) fn problems(&self, now: i64) -> Vec<Problem> {
        let problem = |subject: String, message| Problem { area: "tls".to_owned(), subject, message };
        let faulty = Arc::clone(&self.problems.borrow());
        let files = faulty.iter().map(|it| problem(it.file.display().to_string(), it.message()));
        let ends = self.rows(now).into_iter().filter_map(|row| {
            let message = ending(&row, now)?;
            Some(problem(row.file, message))
        });
        files.chain(ends).collect()
    }
}

/// What is to be said of a certificate's end.
fn ending(row: &CertificateRow, now: i64) -> Option<String> {
    let names = row.names.join(", ");
    if now > row.not_after {
        return Some(format!("the certificate for {names} has expired: put a new one there"));
    }
    let soon = row.not_after - now < EXPIRES_SOON;
    soon.then(|| format!("the certificate for {names} expires in {} days: renew it", row.days_left))
}

struct Keeper {
    name: String,
    resolver: CertificateResolver,
    inline: watch::Sender<Arc<TlsSection>>,
    faulty: watch::Sender<Arc<Vec<CertificateProblem>>>,
    clock: Arc<dyn Clock>,
    /// The day on which the log was last told of ends.
    warned: Option<i64>,
    again: Nudge,
}

impl Keeper {
    async fn keep(mut self, mut folder: CertificateFolder, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.again.nudged() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            let Ok((next, read)) = read(folder).await else { return };
            folder = next;
            match read {
                Ok((store, problems)) => {
                    self.replace(store);
                    self.tell(problems);
                }
                Err(error) => {
                    let why = format!("could not read it: {}", error_chain(&error));
                    self.tell(vec![CertificateProblem { file: self.name.clone().into(), why, kept: true }]);
                }
            }
        }
    }

    fn replace(&self, store: CertificateStore) {
        if store.same_as(&self.resolver.current()) {
            return;
        }
        let store = Arc::new(store);
        info!(certificates = store.certificates().len(), "the certificates changed");
        self.inline.send_replace(Arc::new(section(&store)));
        self.resolver.replace(store);
    }

    /// Keeps what is wrong, and says once what is new, and once a day what ends.
    fn tell(&mut self, problems: Vec<CertificateProblem>) {
        for problem in problems.iter().filter(|it| !self.faulty.borrow().contains(it)) {
            warn!("a certificate cannot be used: {problem}");
        }
        self.faulty.send_replace(Arc::new(problems));
        let now = seconds(&*self.clock);
        let today = now.div_euclid(DAY);
        if self.warned == Some(today) {
            return;
        }
        self.warned = Some(today);
        for certificate in self.resolver.current().certificates() {
            let left = certificate.not_after() - now;
            if left < EXPIRES_SOON {
                let days = left.div_euclid(DAY);
                warn!(file = %certificate.file().display(), days, "a certificate ends soon, or has ended");
            }
        }
    }
}

type Read = std::io::Result<(CertificateStore, Vec<CertificateProblem>)>;

/// Reads on a thread that may wait for the disk.
async fn read(mut folder: CertificateFolder) -> anyhow::Result<(CertificateFolder, Read)> {
    let reading = tokio::task::spawn_blocking(move || {
        let read = folder.read();
        (folder, read)
    });
    reading.await.context("reading the certificates broke off")
}

fn section(store: &CertificateStore) -> TlsSection {
    let inline = store.certificates().iter().map(|certificate| InlineCertificate {
        cert_file: certificate.chain_pem().to_owned(),
        key_file: certificate.key_pem().to_owned(),
    });
    TlsSection { certificates: inline.collect() }
}

/// The calendar, in seconds since 1970.
pub(crate) fn seconds(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.wall().0 / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_in_time_and_as_what_it_is() {
        let row = |left: i64| CertificateRow {
            names: vec!["a.test".to_owned()],
            file: String::new(),
            not_before: 0,
            not_after: 1_000_000_000 + left,
            days_left: left.div_euclid(DAY),
            fingerprint: String::new(),
        };
        let said = |left| ending(&row(left), 1_000_000_000).unwrap_or_default();
        assert_eq!(said(20 * DAY), "");
        assert!(said(13 * DAY).contains("in 13 days"));
        assert!(said(-1).contains("has expired"));
    }
}
