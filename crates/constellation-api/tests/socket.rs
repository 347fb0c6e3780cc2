//! The API over a real unix socket, with real processes behind it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use constellation_api::{
    Agent, Client, ClientError, Cluster, ClusterRefusal, Leases, MemberRow, RaftStatus, Rung, ServeError,
    ServiceRow, Status,
    cluster::{Committed, Note, TokenMade, TokenRequest},
    model::{Addresses, GossipStatus, TraefikStatus},
    serve,
};
use constellation_core::{Generation, NodeName};
use constellation_docker::{ContainerRuntime, ContainerSpec, ProcessConfig, ProcessRuntime, RunState};
use constellation_tasks::{Early, Supervisor};
use tempfile::TempDir;

struct Fake {
    processes: Option<Arc<ProcessRuntime>>,
}

#[async_trait]
impl Agent for Fake {
    async fn status(&self) -> Status {
        Status {
            node: "web-1".parse().unwrap(),
            cluster: "home".parse().unwrap(),
            version: "1".to_owned(),
            generation: Generation(7),
            uptime_seconds: 1,
            rung: Rung::Full,
            still_works: Rung::Full.still_works().to_owned(),
            addresses: Addresses {
                mesh: "127.0.0.1".parse().unwrap(),
                gossip: "127.0.0.1:1".parse().unwrap(),
                provider: "127.0.0.1:2".parse().unwrap(),
                runtime: "none".to_owned(),
            },
            nodes_known: 1,
            nodes_live: 1,
            containers: 0,
            routable: 0,
            gossip: GossipStatus::default(),
            leases: String::new(),
            dns: String::new(),
            traefik: TraefikStatus::default(),
            gateway: vec![],
            ingress: None,
            certificates: vec![],
            problems: vec![],
        }
    }

    fn members(&self) -> Vec<MemberRow> {
        vec![]
    }

    fn cluster(&self) -> Arc<dyn Cluster> {
        Arc::new(Outsider)
    }

    fn services(&self) -> Vec<ServiceRow> {
        vec![]
    }

    fn processes(&self) -> Option<Arc<dyn ContainerRuntime>> {
        self.processes.clone().map(|runtime| runtime as Arc<dyn ContainerRuntime>)
    }
}

struct World {
    directory: TempDir,
    supervisor: Supervisor,
}

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), supervisor: Supervisor::new() }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    async fn open(&self, processes: Option<Arc<ProcessRuntime>>) -> Result<Client, ServeError> {
        let service = serve(&self.socket(), Arc::new(Fake { processes }), self.supervisor.shutdown()).await?;
        self.supervisor.spawn("api", Early::Fatal, service);
        Ok(Client::new(self.socket()))
    }
}

#[tokio::test]
async fn what_the_agent_says_arrives_unchanged() {
    let world = World::new();
    let client = world.open(None).await.unwrap();
    assert_eq!(client.status().await.unwrap(), Fake { processes: None }.status().await);
}

#[tokio::test]
async fn nobody_else_may_open_the_socket() {
    let world = World::new();
    world.open(None).await.unwrap();
    let mode = std::fs::metadata(world.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_socket_that_a_dead_agent_left_is_replaced_and_a_live_one_is_not() {
    let world = World::new();
    drop(std::os::unix::net::UnixListener::bind(world.socket()).unwrap());
    let client = world.open(None).await.unwrap();
    assert!(client.status().await.is_ok());
    assert!(matches!(world.open(None).await, Err(ServeError::InUse { .. })));
    assert!(client.status().await.is_ok(), "the first one still answers");
}

#[tokio::test]
async fn without_an_agent_the_client_says_what_to_look_at() {
    let error = Client::new("/nonexistent/agent.sock").status().await.unwrap_err();
    assert!(matches!(error, ClientError::Absent { .. }) && error.to_string().contains("systemctl status"));
}

#[tokio::test]
async fn a_node_with_an_engine_sends_people_to_the_engine() {
    let world = World::new();
    let client = world.open(None).await.unwrap();
    let error = client.processes().await.unwrap_err().to_string();
    assert!(error.contains("--runtime process"), "{error}");
}

#[tokio::test]
async fn a_process_is_started_found_by_name_and_by_id_and_removed() {
    let world = World::new();
    let runtime =
        ProcessRuntime::open(ProcessConfig::new(world.directory.path().join("processes"))).await.unwrap();
    let runtime = Arc::new(runtime);
    let client = world.open(Some(Arc::clone(&runtime))).await.unwrap();
    let spec = ContainerSpec::new("sleeper", "sh").command(["/bin/sh", "-c", "echo awake; exec sleep 1000"]);
    let started = client.run_process(&spec).await.unwrap();
    assert_eq!(started.state.run, RunState::Running);
    let again = client.run_process(&spec).await.unwrap_err().to_string();
    assert!(again.contains("in use"), "{again}");
    let refused = client.remove_process("sleeper", false).await.unwrap_err().to_string();
    assert!(refused.contains("running"), "{refused}");
    assert_eq!(client.act(started.id.short(), "stop").await.unwrap().state.run, RunState::Exited);
    assert!(client.act("nobody", "stop").await.unwrap_err().to_string().contains("no container `nobody`"));
    client.remove_process("sleeper", false).await.unwrap();
    assert!(client.processes().await.unwrap().is_empty());
    runtime.remove_all(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_no_specification_is_refused_with_its_field() {
    let world = World::new();
    let runtime =
        ProcessRuntime::open(ProcessConfig::new(world.directory.path().join("processes"))).await.unwrap();
    let client = world.open(Some(Arc::new(runtime))).await.unwrap();
    let spec = ContainerSpec { privileged: true, ..ContainerSpec::new("root", "sh").command(["true"]) };
    let error = client.run_process(&spec).await.unwrap_err().to_string();
    assert!(error.contains("privileged"), "{error}");
}

/// A node that is no member.
struct Outsider;

impl Outsider {
    fn refusal<T>() -> Result<T, ClusterRefusal> {
        Err(ClusterRefusal::Conflict("this node is no member".to_owned()))
    }
}

#[async_trait]
impl Cluster for Outsider {
    async fn leases(&self, fresh: bool) -> Result<Leases, ClusterRefusal> {
        if fresh {
            return Err(ClusterRefusal::Unavailable("no majority is in reach".to_owned()));
        }
        Ok(Leases {
            node: "web-1".parse().unwrap(),
            member: false,
            cluster: "home".parse().unwrap(),
            epoch: 0,
            boot: "00".to_owned(),
            applied: 0,
            leader: None,
            worker_pid: 1,
            as_of_boottime_ns: 1,
            leases: vec![],
            history: vec![],
        })
    }

    async fn raft(&self) -> RaftStatus {
        RaftStatus {
            node: "web-1".parse().unwrap(),
            member: false,
            id: 0,
            cluster: "home".parse().unwrap(),
            epoch: 0,
            term: 0,
            role: "outsider".to_owned(),
            leader: None,
            commit: 0,
            applied: 0,
            profile: "lan".to_owned(),
            ttl_ms: 0,
            voters: vec![],
            learners: vec![],
            signs: false,
            certificate_expires: None,
            members: vec![],
            why_not: Some("nobody let it in".to_owned()),
        }
    }

    async fn transfer(&self, _: &NodeName) -> Result<(), ClusterRefusal> {
        Self::refusal()
    }

    async fn remove(&self, _: &NodeName) -> Result<(), ClusterRefusal> {
        Self::refusal()
    }

    async fn token(&self, _: TokenRequest) -> Result<TokenMade, ClusterRefusal> {
        Self::refusal()
    }

    async fn commit(&self, _: Note) -> Result<Committed, ClusterRefusal> {
        Self::refusal()
    }

    async fn backup(&self) -> Result<Vec<u8>, ClusterRefusal> {
        Ok(b"everything".to_vec())
    }

    async fn cordon(&self, _: bool) -> Result<(), ClusterRefusal> {
        Ok(())
    }
}

#[tokio::test]
async fn the_cluster_answers_and_its_refusals_arrive_in_words() {
    let world = World::new();
    let client = world.open(None).await.unwrap();
    assert!(!client.leases(false).await.unwrap().member);
    let error = client.leases(true).await.unwrap_err().to_string();
    assert_eq!(error, "no majority is in reach");
    assert_eq!(client.raft().await.unwrap().why_not.as_deref(), Some("nobody let it in"));
    let refused = client.transfer(&"web-2".parse().unwrap()).await.unwrap_err().to_string();
    assert_eq!(refused, "this node is no member");
    assert_eq!(&client.backup().await.unwrap()[..], b"everything");
    client.cordon(true).await.unwrap();
    client.cordon(false).await.unwrap();
}
