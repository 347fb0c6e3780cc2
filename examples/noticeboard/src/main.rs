//! A notice board: a store behind a password, a job that writes the page from what is in it, and a web server that shows
//! the page. An operator's own crate looks like this; `constellation-deploy new <dir>` writes a smaller one.
//!
//! ```sh
//! (umask 077; printf %s "$PASSWORD" > "$SECRETS_PATH/store-password.txt")
//! cargo run -p noticeboard -- plan
//! ```

mod board;

use std::process::ExitCode;

fn main() -> ExitCode {
    constellation_services::cli(|cfg| vec![board::noticeboard(cfg)])
}

#[cfg(test)]
mod tests {
    use constellation_services::{Severity, lint, prelude::*, validate};

    use super::board::{REDIS_USER, noticeboard};

    #[test]
    fn the_notice_board_is_valid_and_takes_no_risk_that_is_an_error() {
        let cfg = Config::example();
        let stacks = [noticeboard(&cfg)];
        assert_eq!(validate(&stacks, &cfg), []);
        let errors: Vec<_> =
            lint(&stacks, &cfg).into_iter().filter(|it| it.severity == Severity::Error).collect();
        assert_eq!(errors, []);
    }

    #[test]
    fn the_password_is_in_no_variable_and_on_no_command_line() {
        let cfg = Config::example();
        let desired =
            constellation_services::render(&[noticeboard(&cfg)], &cfg, &Default::default()).unwrap();
        for service in desired.services.iter().filter(|service| service.id.name() != "web") {
            let copy = service.secrets.first().unwrap();
            assert_eq!((copy.mode, copy.owner), (0o400, Some(REDIS_USER)), "{}", service.id);
            assert!(service.spec.env.keys().all(|name| name == "FIRST_NOTICE"), "{:?}", service.spec.env);
        }
    }
}
