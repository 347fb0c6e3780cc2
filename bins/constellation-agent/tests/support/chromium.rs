//! A real Chromium without a screen, spoken to by the DevTools protocol over a pair of pipes: it ends with its pipes, so also with
//! a test that is killed.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::IpAddr,
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, comes, is_over};

/// Names the Chromium; `cargo xtask test` sets it. Without it the one in PATH is taken.
const VARIABLE: &str = "CONSTELLATION_E2E_CHROMIUM";
/// Answers that nobody has fetched yet. A question is asked when the last one is answered, so few are events.
const ANSWERS_BOUND: usize = 64;
/// Chromium reads from descriptor 3 and writes to 4. What its launcher says on standard output is none of ours.
const PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#;

/// A browser with one page. Ended when this is dropped.
pub(crate) struct Chromium {
    process: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    asked: u64,
    session: Value,
    /// Its profile, and what it said.
    folder: TempDir,
}

impl Chromium {
    /// Starts one for which `host` is at `address` and no other host exists, and opens a page.
    pub(crate) fn open(url: &str, host: &str, address: IpAddr) -> Self {
        let folder = tempfile::Builder::new().prefix("cst-chromium-").tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", PIPES]).arg(std::env::var_os(VARIABLE).unwrap_or_else(|| "chromium".into()));
        command.args(["--headless", "--remote-debugging-pipe", "--no-proxy-server"]);
        command.args(["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--disable-breakpad", "--disable-component-update", "--disable-sync"]);
        // Root has no sandbox there, and the pages are our own; certificates are looked at by other tests.
        command.args(["--no-sandbox", "--ignore-certificate-errors"]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command.arg(format!("--host-resolver-rules=MAP {host} {address}, MAP * ~NOTFOUND"));
        command.env("HOME", folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.process_group(0).spawn().unwrap();
        let (to, from) = (process.stdin.take().unwrap(), answers(process.stdout.take().unwrap()));
        let mut chromium = Self { process, to, from, asked: 0, session: Value::Null, folder };
        let page = chromium.ask("Target.createTarget", &json!({ "url": url }));
        let attached =
            chromium.ask("Target.attachToTarget", &json!({ "targetId": page["targetId"], "flatten": true }));
        chromium.session = attached["sessionId"].clone();
        chromium
    }

    /// What an expression is worth in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        self.ask("Runtime.evaluate", &parameters)["result"]["value"].take()
    }

    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let mut question = json!({ "id": self.asked, "method": method, "params": parameters });
        if !self.session.is_null() {
            question["sessionId"] = self.session.clone();
        }
        let sent = write!(self.to, "{question}\0").and_then(|()| self.to.flush());
        sent.unwrap_or_else(|error| panic!("chromium takes no question: {error}\n{}", self.log()));
        loop {
            let answer = self.from.recv_timeout(PATIENCE);
            let mut answer =
                answer.unwrap_or_else(|error| panic!("{method}: no answer: {error}\n{}", self.log()));
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// What it writes: documents with a zero byte after each. The thread ends when the browser does.
fn answers(from: ChildStdout) -> Receiver<Value> {
    let (to, answers) = sync_channel(ANSWERS_BOUND);
    std::thread::spawn(move || {
        for text in BufReader::new(from).split(0).map_while(Result::ok) {
            let Ok(answer) = serde_json::from_slice(&text) else { return };
            if to.send(answer).is_err() {
                return;
            }
        }
    });
    answers
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Asked first, so that it takes its helpers along and leaves its profile alone.
        let question = json!({ "id": 0, "method": "Browser.close" });
        if write!(self.to, "{question}\0").and_then(|()| self.to.flush()).is_ok() {
            let pid = self.process.id().to_string();
            comes(|| is_over(&pid));
        }
        // Before it is waited for, while its id can be nobody else's.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        drop(self.process.wait());
    }
}
