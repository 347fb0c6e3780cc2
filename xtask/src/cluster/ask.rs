//! What can be asked of a node, and done by asking: by its command line, its provider, and its Traefik's API.

use std::{collections::BTreeSet, net::IpAddr, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Document, SERVICE,
    document::address_of,
    node::{Node, PROVIDER_PORT, TRAEFIK_API_PORT, clean},
};
use crate::{child, http::Client};

/// A question to an agent on this machine.
const ASK_LIMIT: Duration = Duration::from_secs(15);

/// Asks the service for its health, with nothing but what every Debian has.
const HEALTH: &str = "bash -c 'exec 3<>\"/dev/tcp/$CONSTELLATION_ADDRESS/$PORT\" && \
                      printf \"GET /health HTTP/1.0\\r\\n\\r\\n\" >&3 && grep -q OK <&3'";

/// How a service is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Started again when it ends, and asked for its health every second.
    Full,
    /// Left alone: for measuring a death without what follows it.
    None,
}

/// One line of `process ls --json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) pid: Option<i32>,
}

impl Node {
    /// Runs a command of the agent's command line against this node and returns what it prints.
    ///
    /// # Errors
    /// When it fails; what it said is in the node's `commands.log`.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<String> {
        let (before, after) = match arguments.iter().position(|argument| *argument == "--") {
            Some(at) => arguments.split_at(at),
            None => (arguments, &[][..]),
        };
        let mut command = Command::new(&self.program);
        clean(&mut command);
        command.args(before).arg("--socket").arg(&self.socket).args(after);
        command.stderr(self.log("commands.log")?);
        child::output(&format!("{} {}", self.name, before.join(" ")), &mut command, ASK_LIMIT)
    }

    /// Starts a process that does nothing.
    ///
    /// # Errors
    /// When the agent refuses it.
    pub(crate) fn deploy_sleeper(&self, name: &str, mark: (&str, &str)) -> Result<()> {
        let mark = format!("{}={}", mark.0, mark.1);
        self.ask(&["process", "run", "--name", name, "--env", &mark, "--", "/bin/sleep", "1000000"])?;
        Ok(())
    }

    /// What a person types to ask its agent.
    pub(crate) fn command(&self, verb: &str) -> String {
        format!("{} {verb} --socket {}", self.program.display(), self.socket.display())
    }

    /// Starts the service; `mark` goes into its environment.
    ///
    /// # Errors
    /// When the agent refuses it.
    pub(crate) fn deploy(&self, mark: (&str, &str), care: Care) -> Result<()> {
        self.deploy_as(SERVICE, self.service_port(), &[], mark, care)
    }

    /// Starts a service under any name, with more labels; see [`Node::deploy`].
    ///
    /// # Errors
    /// When the agent refuses it.
    pub(crate) fn deploy_as(
        &self,
        name: &str,
        port: u16,
        labels: &[&str],
        mark: (&str, &str),
        care: Care,
    ) -> Result<()> {
        let port = port.to_string();
        // The runtime says by the environment which address and port it announces for the process.
        let script = "exec \"$0\" whoami --listen \"$CONSTELLATION_ADDRESS:$PORT\" --name \"$1\"";
        let program = self.program.display().to_string();
        let service = format!("constellation.service={name}");
        let mark = format!("{}={}", mark.0, mark.1);
        let mut arguments = vec!["process", "run", "--name", name, "--expose", &port];
        if care == Care::Full {
            arguments.extend(["--restart", "always", "--health", HEALTH, "--health-interval", "1s"]);
        }
        arguments.extend(["--label", "traefik.enable=true", "--label", &service, "--env", &mark]);
        arguments.extend(labels.iter().flat_map(|label| ["--label", label]));
        arguments.extend(["--", "/bin/sh", "-c", script, &program, &self.name]);
        self.ask(&arguments)?;
        Ok(())
    }

    /// The service's process, if it runs.
    ///
    /// # Errors
    /// When the agent cannot be asked.
    pub(crate) fn service(&self) -> Result<Option<Process>> {
        Ok(self.processes()?.into_iter().find(|process| process.name == SERVICE && process.pid.is_some()))
    }

    /// What its agent looks after, running or not.
    ///
    /// # Errors
    /// When the agent cannot be asked.
    pub(crate) fn processes(&self) -> Result<Vec<Process>> {
        let text = self.ask(&["process", "ls", "--json"])?;
        serde_json::from_str(&text).context("could not read `process ls --json`")
    }

    /// Removes every process of this node.
    pub(super) fn remove_services(&self) -> Result<()> {
        self.processes()?
            .iter()
            .try_for_each(|process| self.ask(&["process", "rm", "--force", &process.name]).map(|_| ()))
    }

    /// How many nodes it sees as live, itself included.
    ///
    /// # Errors
    /// When the agent cannot be asked.
    pub(crate) fn live_members(&self) -> Result<usize> {
        let text = self.ask(&["members", "--json"])?;
        let rows: Value = serde_json::from_str(&text).context("could not read `members --json`")?;
        let rows = rows.as_array().context("`members --json` is not a list")?;
        Ok(rows.iter().filter(|row| row["state"] == "live").count())
    }

    /// The provider's document.
    ///
    /// # Errors
    /// When it does not answer with one.
    pub(crate) fn document(&self) -> Result<Document> {
        let mut client = Client::tcp(self.at(PROVIDER_PORT), ASK_LIMIT);
        let response = client.get("/api/dynamic")?;
        if response.status != 200 {
            bail!("the provider of {} answered {}: {}", self.name, response.status, response.text());
        }
        Document::parse(&response.body)
    }

    /// Traefik's routers that came from the provider: name, rule, status.
    ///
    /// # Errors
    /// When Traefik's API does not answer.
    pub(crate) fn traefik_routers(&self) -> Result<Vec<(String, String, String)>> {
        let mut client = Client::tcp(self.at(TRAEFIK_API_PORT), ASK_LIMIT);
        let response = client.get("/api/http/routers?per_page=1000")?;
        let value: Value =
            serde_json::from_slice(&response.body).context("Traefik's API did not answer in JSON")?;
        let text = |router: &Value, field: &str| router[field].as_str().unwrap_or_default().to_owned();
        Ok(value
            .as_array()
            .into_iter()
            .flatten()
            .filter(|router| router["provider"] == "http")
            .map(|router| (text(router, "name"), text(router, "rule"), text(router, "status")))
            .collect())
    }

    /// Where Traefik sends requests, whatever the service.
    ///
    /// # Errors
    /// When Traefik's API does not answer.
    pub(crate) fn traefik_servers(&self) -> Result<BTreeSet<IpAddr>> {
        let mut client = Client::tcp(self.at(TRAEFIK_API_PORT), ASK_LIMIT);
        let response = client.get("/api/http/services?per_page=1000")?;
        let services: Value =
            serde_json::from_slice(&response.body).context("Traefik's API did not answer in JSON")?;
        let servers = services.as_array().into_iter().flatten();
        Ok(servers
            .filter_map(|service| service["loadBalancer"]["servers"].as_array())
            .flatten()
            .filter_map(|server| Some(address_of(server["url"].as_str()?)?.ip()))
            .collect())
    }
}
