//! What runs on our machines: `cargo run -- plan` shows what would change, `cargo run -- apply` makes it so.

use std::process::ExitCode;

use constellation_services::prelude::*;

fn main() -> ExitCode {
    constellation_services::cli(stacks)
}

/// Everything that we run. A stack is services that belong together; add yours beside this one.
fn stacks(cfg: &Config) -> Vec<Stack> {
    vec![hello(cfg)]
}

/// One page, served at `hello.<domain>`.
fn hello(cfg: &Config) -> Stack {
    let web = Service::new("web", "docker.io/library/busybox:1.36.1")
        .about("Says hello")
        .command(["/bin/httpd", "-f", "-p", "8080", "-h", "/www"])
        // It does not listen to the signal that asks it to end, and has nothing to finish.
        .stop_grace(secs(1))
        .user("65534:65534")
        .config(config_file("/www/index.html", PAGE))
        .route(Route::http(8080).host(cfg.host("hello")).public("it says hello to everybody"))
        .health(Health::http(8080, "/").every(secs(5)))
        .read_only_root()
        .memory(32.mib())
        .cpus(0.5.cores());
    Stack::new("hello").about("A first service, to be replaced").service(web)
}

const PAGE: &str = "<!doctype html><title>Hello</title><h1>It works</h1>\n";

#[cfg(test)]
mod tests {
    use constellation_services::{Severity, lint, validate};

    use super::*;

    #[test]
    fn nothing_is_wrong_with_what_we_run() {
        let cfg = Config::example();
        let stacks = stacks(&cfg);
        assert_eq!(validate(&stacks, &cfg), []);
        let open = |severity| {
            let findings = lint(&stacks, &cfg).into_iter();
            findings.filter(|it| it.severity == severity && it.allowed.is_none()).collect::<Vec<_>>()
        };
        assert_eq!(open(Severity::Error), []);
    }
}
