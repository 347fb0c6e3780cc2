//! The rclone daemon with its page, which three services are.

use constellation_services::prelude::*;

use super::{common::versioned, variables::from_files};

/// The password of the daemons' API, which can read and write every remote.
pub(super) const PASSWORD: &str = "rclone-rc-password.txt";

/// Who the API knows.
pub(super) fn user(cfg: &Config) -> Var {
    cfg.var("RCLONE_USERNAME", "rclone")
}

/// rclone in one version for all.
pub(super) fn image(cfg: &Config) -> String {
    versioned(cfg, "docker.io/rclone/rclone", "RCLONE_TAG", "1.70.3")
}

/// Makes the service a daemon whose API and page listen on this port and ask for the password.
pub(super) fn daemon(cfg: &Config, port: u16, more: &[&str]) -> impl FnOnce(Service) -> Service {
    let user = user(cfg);
    let address = format!("--rc-addr=:{port}");
    let words = ["rcd", "--rc-web-gui", "--rc-web-gui-no-open-browser", &address];
    let words: Vec<String> = words.iter().chain(more).map(|word| (*word).to_owned()).collect();
    move |service| {
        service
            .env("RCLONE_RC_USER", user)
            .with(from_files().key(PASSWORD, "RCLONE_RC_PASS").then(&["rclone"]))
            .command(words)
    }
}

/// The daemon answers, and asks who is there.
pub(super) fn asks_for_its_password(port: u16) -> Health {
    Health::shell(format!("wget -q -O /dev/null http://127.0.0.1:{port}/ 2>&1 | grep -q '401 Unauthorized'"))
}
