//! Labels for other tools: the start page, the uptime monitor, the metrics collector.

use std::time::Duration;

use serde::Serialize;

use super::units::secs;

/// A tile on the start page (`homepage.*` labels).
///
/// ```
/// use constellation_services::prelude::*;
/// let tile = Homepage::new("Media", "Blog").icon("blog.png").description("What we write");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Homepage {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) icon: Option<String>,
    pub(crate) href: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) weight: Option<i32>,
    pub(crate) widget: Vec<(String, String)>,
}

impl Homepage {
    /// A tile of this group and name. Without [`href`](Self::href) it leads to the service's first routed host.
    pub fn new(group: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            name: name.into(),
            icon: None,
            href: None,
            description: None,
            weight: None,
            widget: Vec::new(),
        }
    }

    /// Its picture.
    #[must_use]
    pub fn icon(mut self, icon: impl Into<String>) -> Self {
        self.icon = Some(icon.into());
        self
    }

    /// Where it leads.
    #[must_use]
    pub fn href(mut self, href: impl Into<String>) -> Self {
        self.href = Some(href.into());
        self
    }

    /// A line below the name.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Lower comes first.
    #[must_use]
    pub fn weight(mut self, weight: i32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// A setting of its widget, such as `type` or `url`.
    #[must_use]
    pub fn widget(mut self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.widget.push((field.into(), value.into()));
        self
    }
}

/// A monitor in Uptime Kuma, made by AutoKuma from `kuma.<id>.http.*` labels.
///
/// ```
/// use constellation_services::prelude::*;
/// let watched = Uptime::http();                                   // the first routed host, every minute
/// let other = Uptime::http().url("https://example.org/health").every(secs(20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uptime {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) interval: Duration,
}

impl Uptime {
    /// Asks the service's first routed host over HTTPS every minute, under the service's name.
    pub fn http() -> Self {
        Self { id: None, name: None, url: None, interval: secs(60) }
    }

    /// Another id than the service's name.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Another name than `<service>.<node>.<domain>`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Another address than the first routed host's.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// How often.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }
}

/// Where Prometheus finds metrics (`prometheus.io/*` labels).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Metrics {
    pub(crate) port: u16,
    pub(crate) path: String,
}
