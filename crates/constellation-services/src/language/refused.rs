//! What the compiler refuses. Each mistake stands below the same line written right, so that a mistake that compiled
//! would fail the tests of this page, and so would a line that is refused for another reason.
//!
//! **A bare number has no unit.**
//! ```
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").memory(512.mib()).cpus(0.5.cores()).health(Health::cmd(["true"]).every(secs(10)));
//! ```
//! ```compile_fail,E0308
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").memory(512);
//! ```
//! ```compile_fail,E0308
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").cpus(0.5);
//! ```
//! ```compile_fail,E0308
//! # use constellation_services::prelude::*;
//! Health::cmd(["true"]).every(10);
//! ```
//!
//! **Units are not mixed up.**
//! ```
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").cpu_shares(512.shares()).cpus(500.millicores());
//! ```
//! ```compile_fail,E0308
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").cpu_shares(500.millicores());
//! ```
//! ```compile_fail,E0308
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").memory(secs(512));
//! ```
//!
//! **A secret does not become the value of a variable, a label or a word of a command line.**
//! ```
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").secret(secret("key.txt").env_file("KEY_FILE"));
//! ```
//! ```compile_fail,E0277
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").env("KEY", secret("key.txt"));
//! ```
//! ```compile_fail,E0277
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").label("key", secret("key.txt"));
//! ```
//! ```compile_fail,E0277
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").command([secret("key.txt")]);
//! ```
//!
//! **A port is published on an address that somebody chose.**
//! ```
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").publish(localhost(8080)).publish(all_interfaces(443));
//! ```
//! ```compile_fail,E0308
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").publish(8080);
//! ```
//!
//! **A route has a port, and only what has names is routed by name.**
//! ```
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").route(Route::http(80).host("a.example.org")).route(Route::udp(53).entry_point("dns"));
//! ```
//! ```compile_fail,E0061
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").route(Route::http().host("a.example.org"));
//! ```
//! ```compile_fail,E0277
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").route("a.example.org");
//! ```
//! ```compile_fail,E0599
//! # use constellation_services::prelude::*;
//! Route::udp(53).host("dns.example.org");
//! ```
//!
//! **A volume has a place, a dependency a condition, an allowed lint a reason.**
//! ```
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0")
//!     .volume(named("data").at("/data"))
//!     .depends_on("db", Healthy)
//!     .allow(Lint::FloatingTag, "the project has no other tags");
//! ```
//! ```compile_fail,E0308
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").volume(named("data"));
//! ```
//! ```compile_fail,E0061
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").depends_on("db");
//! ```
//! ```compile_fail,E0061
//! # use constellation_services::prelude::*;
//! Service::new("web", "x:1.0").allow(Lint::FloatingTag);
//! ```
