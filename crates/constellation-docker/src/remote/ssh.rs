//! One `ssh` process that forwards the engine's socket.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::UnixStream,
    process::{Child, ChildStderr, Command},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{RemoteError, address::SshAddress, ping};

/// How long the login may take, as `ssh` takes it: in seconds.
const CONNECT_SECONDS: u64 = 10;
/// Between two looks whether the forwarded socket is there.
const LOOK: Duration = Duration::from_millis(20);
/// After an answer that did not come, how long `ssh` may take to say why.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What is kept of what `ssh` says.
const LINES_KEPT: usize = 8;
const LINE_BYTES_MAX: u64 = 400;

/// The process. It is killed with the value.
#[derive(Debug)]
pub(super) struct Tunnel {
    _child: Child,
    // A set of one: what is in it ends when it is dropped.
    _reader: JoinSet<()>,
}

impl Tunnel {
    /// Logs in, waits until the socket is forwarded, and asks the engine whether it is there.
    pub(super) async fn open(to: &SshAddress, socket: &Path, shown: &str) -> Result<Self, RemoteError> {
        let mut child = command(to, socket).spawn().map_err(|source| RemoteError::NoSsh { source })?;
        let said: Said = Said::default();
        let mut reader = JoinSet::new();
        if let Some(stderr) = child.stderr.take() {
            reader.spawn(listen(stderr, said.clone()));
        }
        let failed =
            |said: String| RemoteError::Ssh { address: shown.to_owned(), advice: advice(&said, to), said };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stream = loop {
            tokio::select! {
                ended = child.wait() => {
                    // Its last words may still be on their way.
                    let _ = timeout(LAST_WORDS, reader.join_next()).await;
                    let ended = ended.map_or_else(|error| error.to_string(), |status| format!("it ended with {status}"));
                    return Err(failed(said.text().unwrap_or(ended)));
                }
                _ = looks.tick() => if let Ok(stream) = UnixStream::connect(socket).await { break stream },
            }
        };
        if let Err(error) = ping(&mut stream).await {
            // The reason is on its way on another channel than the closed connection.
            let mut looks = interval(LOOK);
            let told = async {
                while said.text().is_none() {
                    looks.tick().await;
                }
            };
            let _ = timeout(LAST_WORDS, told).await;
            return Err(failed(said.text().unwrap_or(error)));
        }
        Ok(Self { _child: child, _reader: reader })
    }
}

fn command(to: &SshAddress, socket: &Path) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-n", "-N", "-T"]);
    for option in [
        // Nobody is there to be asked.
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={CONNECT_SECONDS}"),
        "ExitOnForwardFailure=yes".to_owned(),
        // Whoever may speak to the socket is root over there.
        "StreamLocalBindMask=0177".to_owned(),
        // A machine that went silent is noticed.
        "ServerAliveInterval=5".to_owned(),
        "ServerAliveCountMax=3".to_owned(),
        // A connection of its own: one that is shared may end when somebody else's does.
        "ControlMaster=no".to_owned(),
        "ControlPath=none".to_owned(),
        "ForwardAgent=no".to_owned(),
        "ForwardX11=no".to_owned(),
    ] {
        command.arg("-o").arg(option);
    }
    command.arg("-L").arg(format!("{}:{}", socket.display(), to.socket));
    if let Some(user) = &to.user {
        command.arg("-l").arg(user);
    }
    if let Some(port) = to.port {
        command.arg("-p").arg(port.to_string());
    }
    command.arg("--").arg(&to.host);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The last lines that `ssh` said.
#[derive(Clone, Debug, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn text(&self) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!lines.is_empty()).then(|| lines.join(" / "))
    }

    fn add(&self, line: &str) {
        let line: String = line.trim().chars().filter(|c| !c.is_control()).collect();
        if line.is_empty() {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_KEPT {
            lines.remove(0);
        }
        lines.push(line);
    }
}

/// Reads what `ssh` says to its end: a pipe that nobody reads would stop it.
async fn listen(stderr: ChildStderr, said: Said) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stderr).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => said.add(&String::from_utf8_lossy(&line)),
        }
    }
}

/// What helps against what `ssh` said.
fn advice(said: &str, to: &SshAddress) -> String {
    let has = |words: &str| said.contains(words);
    let host = &to.host;
    if has("Host key verification failed") || has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        format!("log in once by hand (`ssh {host}`) and compare its key with the machine's own")
    } else if has("administratively prohibited") || has("open failed: unknown channel type") {
        "let its sshd forward sockets (AllowStreamLocalForwarding yes)".to_owned()
    } else if has("open failed") {
        format!(
            "is Docker running there, is {} its socket, and may this user open it (group `docker`)?",
            to.socket
        )
    } else if has("Permission denied") {
        format!(
            "nobody is asked for a password here: give the key to the agent (`ssh-add`), and try `ssh {host} true`"
        )
    } else if has("Could not resolve hostname") {
        "is the name right?".to_owned()
    } else {
        format!("try `ssh {host} true`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_kept_within_bounds() {
        let said = Said::default();
        assert_eq!(said.text(), None);
        for number in 0..20 {
            said.add(&format!("line {number}\r\n"));
        }
        let text = said.text().unwrap();
        assert!(text.starts_with("line 12 / ") && text.ends_with("line 19"), "{text}");
    }

    #[test]
    fn each_refusal_has_its_advice() {
        let to =
            SshAddress { user: None, host: "n1".into(), port: None, socket: "/var/run/docker.sock".into() };
        for (said, words) in [
            ("Host key verification failed.", "compare its key"),
            ("me@n1: Permission denied (publickey).", "ssh-add"),
            ("channel 2: open failed: connect failed: Permission denied", "group `docker`"),
            (
                "channel 2: open failed: administratively prohibited: open failed",
                "AllowStreamLocalForwarding",
            ),
            ("ssh: Could not resolve hostname n1: Name or service not known", "is the name right"),
            ("anything else", "ssh n1 true"),
        ] {
            assert!(advice(said, &to).contains(words), "{said}: {}", advice(said, &to));
        }
    }
}
