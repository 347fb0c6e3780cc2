//! The provider's document, read as Traefik would: which servers it holds, and where they are.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result};
use serde_json::Value;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    value: Value,
}

impl Document {
    /// # Errors
    /// When it is not JSON.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        Ok(Self { value: serde_json::from_slice(text).context("the document is not JSON")? })
    }

    /// The addresses of all HTTP servers, in whatever service they stand.
    pub(crate) fn servers(&self) -> BTreeSet<SocketAddr> {
        let services = self.value["http"]["services"].as_object();
        services
            .into_iter()
            .flatten()
            .filter_map(|(_, service)| service["loadBalancer"]["servers"].as_array())
            .flatten()
            .filter_map(|server| address_of(server["url"].as_str()?))
            .collect()
    }

    /// The hosts of these servers: each node has an address of its own.
    pub(crate) fn nodes(&self) -> BTreeSet<IpAddr> {
        self.servers().iter().map(SocketAddr::ip).collect()
    }

    /// As a person reads it.
    pub(crate) fn pretty(&self) -> String {
        serde_json::to_string_pretty(&self.value).unwrap_or_default()
    }
}

/// `http://127.0.0.1:8000` or with a path.
pub(crate) fn address_of(url: &str) -> Option<SocketAddr> {
    let rest = url.split_once("://")?.1;
    rest.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_every_service_are_found_once() {
        let document = Document::parse(
            br#"{"http":{"routers":{"r":{"rule":"Host(`a`)"}},"services":{
            "a":{"loadBalancer":{"servers":[{"url":"http://127.0.0.11:40001"},{"url":"http://127.0.0.12:40001/"}]}},
            "b":{"loadBalancer":{"servers":[{"url":"http://127.0.0.11:40001"}]}},
            "empty":{"loadBalancer":{"servers":[]}},"w":{"weighted":{"services":[{"name":"a"}]}}}}}"#,
        )
        .unwrap();
        let servers: Vec<String> = document.servers().iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.11:40001", "127.0.0.12:40001"]);
    }

    #[test]
    fn an_empty_document_has_no_servers() {
        assert!(Document::parse(b"{}").unwrap().servers().is_empty());
        assert!(Document::parse(b"<html>").is_err());
    }
}
