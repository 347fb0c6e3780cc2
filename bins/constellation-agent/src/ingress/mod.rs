//! The failover proxy as this node's ingress, where there is no Traefik or beside it.

mod table;
mod trust;

use std::{net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use anyhow::Context;
use constellation_core::Clock;
use constellation_proxy::http::{HttpProxy, Listen, ProxyConfig, ProxyHandle};
use constellation_tasks::{Early, Supervisor};
use constellation_traefik::{TraefikHandle, Turn};
use tokio::sync::watch;

use self::table::Tables;
use crate::{config::Config, tls::TlsHandle};

/// How long open requests may go on when the agent ends: within what its floor gets for that.
const DRAIN: Duration = Duration::from_secs(8);

/// An entry point of our own: its name, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// What routers call it.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

impl FromStr for EntryPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no entry point: write a name and an address, as in web=0.0.0.0:80");
        let (name, address) = text.split_once('=').ok_or_else(wrong)?;
        let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let address = address.parse().map_err(|_| wrong())?;
        if valid { Ok(Self { name: name.to_owned(), address }) } else { Err(wrong()) }
    }
}

/// Starts the proxy; it follows what Traefik would be told, with the view that this comes from for who is near.
pub(crate) fn start(
    settings: &Config,
    tls: &TlsHandle,
    traefik: &TraefikHandle,
    supervisor: &Supervisor,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<ProxyHandle> {
    let secure = tls.resolver.server_config(&["h2", "http/1.1"]).context("TLS could not be set up")?;
    let by_header = settings.proxy.map(|address| Listen {
        entry_point: "constellation".into(),
        by_header: true,
        ..Listen::plain(address)
    });
    let listeners = settings
        .ingress
        .iter()
        .map(|it| {
            let speaks_tls = settings.tls_entry_points.contains(&it.name);
            Listen {
                entry_point: it.name.as_str().into(),
                tls: speaks_tls.then(|| Arc::clone(&secure)),
                ..Listen::plain(it.address)
            }
        })
        .chain(by_header)
        .collect();
    let config = ProxyConfig {
        backend_roots: Arc::new(
            trust::roots(&settings.ingress_backend_ca).context("see --ingress-backend-ca")?,
        ),
        access_log: settings.ingress_access_log,
        drain: DRAIN,
        ..ProxyConfig::for_listeners(listeners)
    };
    let (mut turns, mut maker) = (traefik.turns(), Tables::default());
    let mut make = move |turn: Turn| {
        turn.document.map(|document| maker.table(&document, &turn.view)).unwrap_or_default()
    };
    let first = turns.borrow_and_update().clone();
    let (tables, table) = watch::channel(Arc::new(make(first)));
    let proxy =
        HttpProxy::start(config, table, supervisor, clock).context("see --ingress and --proxy-listen")?;
    let shutdown = supervisor.shutdown();
    supervisor.spawn("ingress table", Early::Fatal, async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Ok(()) = turns.changed() => {}
                else => return shutdown.cancelled().await,
            }
            let turn = turns.borrow_and_update().clone();
            let next = make(turn);
            tables.send_if_modified(|table| {
                let changed = **table != next;
                if changed {
                    *table = Arc::new(next);
                }
                changed
            });
        }
    });
    Ok(proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_point_is_a_name_and_an_address() {
        let web: EntryPoint = "web=0.0.0.0:80".parse().unwrap();
        assert_eq!((web.name.as_str(), web.address.port()), ("web", 80));
        for wrong in ["web", "=0.0.0.0:80", "web=80", "we b=0.0.0.0:80", "web=localhost:80"] {
            assert!(wrong.parse::<EntryPoint>().unwrap_err().contains("web=0.0.0.0:80"), "{wrong}");
        }
    }
}
