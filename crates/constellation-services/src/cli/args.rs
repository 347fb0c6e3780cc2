//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Plans and applies services that are described in Rust.
#[derive(Debug, Parser)]
#[command(
    name = "constellation-deploy",
    version,
    about,
    max_term_width = 110,
    disable_help_subcommand = true
)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// When output has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What runs services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RuntimeKind {
    /// A Docker Engine.
    Docker,
    /// Supervised processes, without containers.
    Process,
}

/// Settings of every command. What is a variable, too, goes before the environment.
#[derive(Debug, ClapArgs)]
pub(super) struct Global {
    /// The configuration file (else ./deploy.toml, else /etc/constellation/deploy.toml, if there)
    #[arg(long, global = true, env = "CONSTELLATION_DEPLOY_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The domain that services are served under [env: DOMAIN]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) domain: Option<String>,
    /// This node's name [env: TS_HOSTNAME]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// Where services keep their files [env: CONFIG_PATH]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) config_path: Option<String>,
    /// Where secrets are [env: SECRETS_PATH]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) secrets_path: Option<String>,
    /// Where this tool keeps its own files [env: DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<String>,
    /// Another variable of the definitions, before the environment
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    pub(super) set: Vec<String>,
    /// The engine: unix:///path/to/docker.sock, ssh://user@machine or tcp://machine:2376 (else DOCKER_HOST, else
    /// /var/run/docker.sock)
    #[arg(long, global = true, value_name = "URL")]
    pub(super) host: Option<String>,
    /// For tcp://: the authorities that the engine's certificate may come from (else ca.pem in DOCKER_CERT_PATH, else in
    /// ~/.docker)
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) tls_ca: Option<PathBuf>,
    /// For tcp://: our certificate (else cert.pem there)
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,
    /// For tcp://: its key (else key.pem there)
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,
    /// For tcp://: without TLS; whoever is on the way is root on the engine's machine
    #[arg(long, global = true, conflicts_with_all = ["tls_ca", "tls_cert", "tls_key"])]
    pub(super) insecure_tcp: bool,
    /// What runs the services
    #[arg(long, global = true, value_enum, default_value = "docker")]
    pub(super) runtime: RuntimeKind,
    /// When output has colours
    #[arg(long = "color", global = true, value_enum, default_value = "auto")]
    pub(super) colour: Colour,
    /// Answers as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// Which services a command is about.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(super) struct Selection {
    /// Services, as `name` or `stack/name`; all of them if none is named
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
    /// All services of this stack
    #[arg(long = "stack", value_name = "STACK")]
    pub(super) stacks: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what would be done, field by field (exit code 2 if there is something)
    Plan(PlanArgs),
    /// Make it so: asks first, and does what was shown
    Apply(ApplyArgs),
    /// Go back to what ran before the last run, or before another one
    Rollback(RollbackArgs),
    /// Show what runs
    Status(Selection),
    /// Show the last lines of a service's output
    Logs {
        /// Which service
        service: String,
        /// How many lines
        #[arg(long, default_value_t = 100, value_name = "LINES")]
        tail: usize,
    },
    /// Restart services, as they are
    Restart(Selection),
    /// Stop and remove services
    Down {
        #[command(flatten)]
        selection: Selection,
        /// Remove their volumes, with everything in them
        #[arg(long)]
        volumes: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Compare a definition with the engine's own words, whether or not a run would change anything
    Diff(Selection),
    /// Look for risks (exit code 1 if there are unanswered errors)
    Lint {
        #[command(flatten)]
        selection: Selection,
        /// Show those as well that a service answers for
        #[arg(long)]
        all: bool,
    },
    /// Check the definitions and the configuration, without a machine
    Validate,
    /// List what is defined
    List(Selection),
    /// Say why each field of a service has its value
    Explain {
        /// Which service
        service: String,
    },
    /// Take over a running container of the same name, as it is
    Adopt {
        /// Which service
        service: String,
        /// Also if it differs: the next `apply` recreates it then
        #[arg(long)]
        different: bool,
    },
    /// Show what earlier runs did
    History {
        /// How many runs
        #[arg(long, default_value_t = 10, value_name = "RUNS")]
        last: usize,
    },
    /// Write a crate of one's own: one routed service, and this whole tool around it
    New(NewArgs),
    /// Write Rust code from a Compose file
    Import(ImportArgs),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Write the plan to this file, for `apply --plan`
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Remove and make anew networks that have other settings, interrupting what is on them
    #[arg(long)]
    pub(super) recreate_networks: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Do what this plan says, and nothing if it is not what would be done now
    #[arg(long, value_name = "FILE", conflicts_with_all = ["services", "stacks", "pull", "recreate_networks"])]
    pub(super) plan: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Fetch every image anew, and recreate where there is another one
    #[arg(long)]
    pub(super) pull: bool,
    /// How many services are worked on at once
    #[arg(long, default_value_t = 4, value_name = "SERVICES")]
    pub(super) parallel: usize,
    /// Remove and make anew networks that have other settings, interrupting what is on them
    #[arg(long)]
    pub(super) recreate_networks: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct RollbackArgs {
    /// The run to undo, by its number in `history`, with all that came after it
    #[arg(long, value_name = "RUN")]
    pub(super) to_before: Option<u64>,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct NewArgs {
    /// The folder to make; its name is the crate's
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    /// Depend on this working copy of the repository instead of the repository itself
    #[arg(long, env = "CONSTELLATION_SOURCE", value_name = "DIR")]
    pub(super) source: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ImportArgs {
    /// The Compose file
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The stack's name where the file has none (else its folder's)
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Write the code to this file, such as src/blog.rs
    #[arg(long, short, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}
