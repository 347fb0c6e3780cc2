//! Services as code: what should run is a typed value, and this crate says what is wrong with it and what the engine is
//! asked for.
//!
//! In reading order: [`language`] is what an operator writes ([`prelude`] brings all of it), [`Config`] is what differs
//! from one installation to the next, [`validate`] names everything that is wrong at once, and [`render`] makes
//! container specifications of the rest.
//!
//! Nothing here knows gossip, leases or Traefik's document: routes leave as labels, which the agent reads as it reads
//! anybody's.
//!
//! ```
//! use constellation_services::{prelude::*, validate};
//!
//! fn blog(cfg: &Config) -> Stack {
//!     let db = Service::new("db", "docker.io/library/postgres:17.2")
//!         .env("POSTGRES_USER", "blog")
//!         .secret(secret("db-password.txt").env_file("POSTGRES_PASSWORD_FILE"))
//!         .volume(bind(cfg.volume("blog/db")).at("/var/lib/postgresql/data"))
//!         .health(Health::cmd(["pg_isready", "-U", "blog"]).every(secs(10)))
//!         .caps(STEP_DOWN)
//!         .memory(512.mib());
//!     let web = Service::new("web", "ghcr.io/example/blog:1.4.0")
//!         .route(Route::http(8080).host(cfg.host("blog")).public("everybody reads it"))
//!         .health(Health::http(8080, "/healthz"))
//!         .depends_on("db", Healthy)
//!         .memory(256.mib());
//!     Stack::new("blog").service(db).service(web)
//! }
//!
//! let cfg = Config::example();
//! assert_eq!(validate(&[blog(&cfg)], &cfg), []);
//! ```

mod apply;
mod cli;
mod config;
mod host;
mod import;
mod index;
pub mod language;
mod lint;
mod material;
mod place;
mod plan;
mod problem;
mod registry;
mod render;
pub mod scaffold;
mod store;
mod survey;
mod validate;

pub use self::{
    apply::{Applied, Apply, ApplyError, Fetch, Happening, Nobody, ServiceResult, Watcher, fetch_images},
    cli::{cli, run_with},
    config::{Config, ConfigError, Lookup, Origin, Var},
    host::{Host, Progress},
    import::{ImportError, ImportOptions, Imported, Note, import},
    lint::{Finding, Lint, Severity, lint},
    material::{MaterialError, look as look_at_files},
    plan::{
        Actual, Deed, FieldChange, Found, NetworkStep, Paint, Plan, PlanOptions, Role, ServiceStep, plan,
    },
    problem::{Problem, Problems},
    render::{
        DEFINITION_LABEL, Desired, FileToWrite, FolderToMake, NETWORK_LABEL, Rendered, RenderedNetwork,
        SERVICE_LABEL, STACK_LABEL, SecretGenerations, SecretToCopy, VolumeToMake, Why, render,
    },
    store::{Adopted, DeployLock, Entry, LockError, Outcome, Run, Store, StoreError, StoredService},
    survey::{SurveyError, survey},
    validate::validate,
};

/// Everything that a definition is written with.
pub mod prelude {
    pub use constellation_core::route::{HttpHealthCheck, Scheme, StickyCookie};

    pub use crate::{
        config::{Config, Var},
        language::{
            Condition::{Completed, Healthy, Started},
            *,
        },
        lint::Lint,
    };
}
