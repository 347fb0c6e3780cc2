//! The seam's calls, each in terms of the parts beside it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use containers_api::conn;
use futures::StreamExt;
use serde_json::Value;

use super::{
    DockerEngine, create, decode, events,
    fault::{self, Failure, Fault},
    lifecycle::{Change, Effect, perform},
    link::{Load, Request},
    logs::LogCollector,
    networks::NetworkJoin,
    text::{is_object_name, query},
    validate,
};
use crate::{
    container::{Container, ContainerId, ContainerSummary, RunState},
    error::RuntimeError,
    event::EventStream,
    runtime::{ContainerRuntime, ListFilter, LogLine, RuntimeInfo, StopOutcome},
    spec::ContainerSpec,
};

/// The most lines that [`ContainerRuntime::logs`] promises.
const TAIL_MAX: usize = 10_000;

#[async_trait]
impl ContainerRuntime for DockerEngine {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        const DEED: &str = "tell its version";
        let link = &self.link;
        let session = link.within(DEED, link.limits.query, link.negotiate()).await;
        let session = session.map_err(|failure| failure.into_error(DEED))?;
        Ok(RuntimeInfo {
            kind: "docker".to_owned(),
            endpoint: link.endpoint().to_owned(),
            version: format!("{}, API {}", session.engine, session.api),
        })
    }

    async fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>, RuntimeError> {
        const DEED: &str = "list the containers";
        let labels: Vec<String> = filter.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let filters = serde_json::json!({ "label": labels }).to_string();
        let mut pairs = vec![("all", if filter.running_only { "false" } else { "true" })];
        if !labels.is_empty() {
            pairs.push(("filters", filters.as_str()));
        }
        let request =
            Request::get(format!("/containers/json{}", query(&pairs)), DEED, self.link.limits.query);
        let documents: Vec<Value> =
            self.link.call_json(request).await.map_err(|failure| failure.into_error(DEED))?;
        let mut containers: Vec<ContainerSummary> = documents
            .iter()
            .map(decode::summary)
            .collect::<Result<_, _>>()
            .map_err(|error| fault::nonsense(DEED, error))?;
        // The daemon's filter saves work; what counts is decided here, by whole labels and one idea of "running".
        containers.retain(|container| {
            let has_labels =
                filter.labels.iter().all(|(key, value)| container.labels.get(key) == Some(value));
            has_labels && (!filter.running_only || container.state == RunState::Running)
        });
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        let (deed, document) = self.document(id).await?;
        decode::container(&document).map_err(|error| fault::nonsense(&deed, error))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        validate::check(spec)?;
        let deed = format!("create container `{}`", spec.name);
        let session = self.link.within(&deed, self.link.limits.query, self.link.session()).await;
        let api = session.map_err(|failure| failure.into_error(&deed))?.api;
        let body =
            serde_json::to_vec(&create::body(spec, api)).map_err(|error| fault::nonsense(&deed, error))?;
        let path = format!("/containers/create{}", query(&[("name", &spec.name)]));
        let request = Request::post(path, Load::Json(Bytes::from(body)), &deed, self.link.limits.change);
        let answer: Value =
            self.link.call_json(request).await.map_err(|failure| refused(spec, &deed, failure))?;
        let id = answer["Id"].as_str().filter(|id| is_object_name(id));
        let id = ContainerId::new(id.ok_or_else(|| fault::nonsense(&deed, "an answer without `Id`"))?);
        for warning in answer["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            tracing::warn!(container = %spec.name, warning, "the Docker Engine has reservations about a container");
        }
        for (network, aliases) in create::networks_after_create(spec, api) {
            let join = NetworkJoin { address: None, aliases: aliases.clone() };
            if let Err(error) = self.connect_network(network, &id, &join).await {
                // Half of its networks is not what was asked for, and its name would be in the way of another try.
                if let Err(left) = self.remove(&id, true).await {
                    tracing::warn!(container = %spec.name, error = %left, "could not remove a half-made container");
                }
                return Err(error);
            }
        }
        Ok(id)
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.change(id, Change::Start).await.map(|_| ())
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<StopOutcome, RuntimeError> {
        Ok(match self.change(id, Change::Stop { grace }).await? {
            Effect::Done => StopOutcome::Stopped,
            Effect::AlreadySo => StopOutcome::AlreadyStopped,
        })
    }

    async fn restart(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.change(id, Change::Restart { grace }).await.map(|_| ())
    }

    async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError> {
        self.change(id, Change::Kill { signal }).await.map(|_| ())
    }

    async fn remove(&self, id: &ContainerId, force: bool) -> Result<(), RuntimeError> {
        if !is_object_name(id.as_str()) {
            return Ok(());
        }
        let change = Change::Remove { force };
        let deed = change.deed(id.as_str());
        match perform(&self.link, id.as_str(), change).await {
            Ok(_) | Err(Failure::Fault(Fault { status: 404, .. })) => Ok(()),
            Err(Failure::Fault(Fault { status: 409, message })) if message.contains("in progress") => {
                self.removed(id, &deed).await
            }
            Err(Failure::Fault(Fault { status: 409, message }))
                if message.contains("running") || message.contains("restarting") =>
            {
                Err(RuntimeError::Running { id: id.to_string() })
            }
            Err(failure) => Err(failure.into_error(&deed)),
        }
    }

    async fn logs(&self, id: &ContainerId, tail: usize) -> Result<Vec<LogLine>, RuntimeError> {
        let (_, document) = self.document(id).await?;
        let deed = format!("show the logs of container `{}`", id.short());
        let tail = tail.min(TAIL_MAX);
        let options = [("stdout", "true"), ("stderr", "true"), ("tail", &tail.to_string())];
        let path = format!("/containers/{id}/logs{}", query(&options));
        let link = &self.link;
        let work = async {
            let mut body = link.open(Request::get(path, &deed, link.limits.logs)).await?;
            let mut lines = LogCollector::new(decode::has_terminal(&document), tail);
            while let Some(chunk) = body.next().await {
                let chunk = chunk
                    .map_err(|error| fault::transport(link.endpoint(), &deed, conn::Error::Hyper(error)))?;
                lines.push(&chunk).map_err(|error| fault::nonsense(&deed, error))?;
            }
            Ok(lines.finish())
        };
        link.within(&deed, link.limits.logs, work)
            .await
            .map_err(|failure| failure.about_container(&deed, id.as_str()))
    }

    async fn events(&self) -> Result<EventStream, RuntimeError> {
        events::subscribe(&Arc::clone(&self.link)).await
    }
}

impl DockerEngine {
    async fn change(&self, id: &ContainerId, change: Change<'_>) -> Result<Effect, RuntimeError> {
        let id = object(id)?;
        let deed = change.deed(id);
        perform(&self.link, id, change).await.map_err(|failure| failure.about_container(&deed, id))
    }

    /// The whole document about one container, and the deed that it answers.
    pub(super) async fn document(&self, id: &ContainerId) -> Result<(String, Value), RuntimeError> {
        let id = object(id)?;
        let deed = format!("inspect container `{}`", id.get(..12).unwrap_or(id));
        let request = Request::get(format!("/containers/{id}/json"), &deed, self.link.limits.query);
        match self.link.call_json(request).await {
            Ok(document) => Ok((deed, document)),
            Err(failure) => Err(failure.about_container(&deed, id)),
        }
    }

    /// Waits until a removal that somebody else began is done.
    async fn removed(&self, id: &ContainerId, deed: &str) -> Result<(), RuntimeError> {
        let path = format!("/containers/{id}/wait{}", query(&[("condition", "removed")]));
        let request = Request::post(path, Load::Nothing, deed, self.link.limits.change);
        match self.link.call(request).await {
            Ok(_) | Err(Failure::Fault(Fault { status: 404, .. })) => Ok(()),
            Err(failure) => Err(failure.into_error(deed)),
        }
    }
}

/// An identity that may stand in a path; one that may not is nobody's.
fn object(id: &ContainerId) -> Result<&str, RuntimeError> {
    if is_object_name(id.as_str()) {
        return Ok(id.as_str());
    }
    Err(RuntimeError::NotFound { id: id.as_str().chars().take(64).collect() })
}

/// Why a container could not be made.
fn refused(spec: &ContainerSpec, deed: &str, failure: Failure) -> RuntimeError {
    match failure {
        Failure::Fault(Fault { status: 409, message }) if message.contains("already in use") => {
            RuntimeError::NameTaken { name: spec.name.clone() }
        }
        Failure::Fault(Fault { status: 404, message }) if is_missing_image(&message) => {
            RuntimeError::ImageNotFound { image: spec.image.clone() }
        }
        other => other.into_error(deed),
    }
}

/// A 404 may as well be about a network, and either may have the other's word in its name.
fn is_missing_image(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("no such image") || (message.contains("image") && !message.contains("network"))
}
