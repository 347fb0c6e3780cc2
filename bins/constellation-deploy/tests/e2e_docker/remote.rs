//! Engines on other machines: over a real sshd and over TLS, both on loopback.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::{
    dockerd::PrivateDockerd,
    outage::may_do_as_root,
    world::{Ran, World, get},
};

/// An sshd of our own with one key that may log in, and an `ssh` that knows both.
struct Sshd {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Sshd {
    fn start(folder: &Path) -> Option<Self> {
        let Some(program) =
            ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).exists())
        else {
            assert!(std::env::var("CI").is_err(), "there is no sshd: install openssh-server");
            println!("left out: there is no sshd (package openssh-server)");
            return None;
        };
        // Where it shuts itself in before anybody has logged in.
        fs::create_dir_all("/run/sshd").unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)])
                .status()
                .unwrap();
            assert!(made.success());
        }
        fs::copy(folder.join("user.pub"), folder.join("authorized")).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile {}\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\n",
            path("host"),
            path("authorized"),
            path("pid")
        );
        fs::write(folder.join("sshd.conf"), config).unwrap();
        let log = fs::File::create(folder.join("sshd.log")).unwrap();
        let child = Command::new(program)
            .args(["-D", "-e", "-f", &path("sshd.conf")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let client = format!(
            "IdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\nStrictHostKeyChecking yes\n",
            path("user"),
            path("known")
        );
        fs::write(folder.join("client.conf"), client).unwrap();
        fs::write(folder.join("known"), "").unwrap();
        fs::create_dir(folder.join("bin")).unwrap();
        let ssh = folder.join("bin/ssh");
        let real = ["/usr/bin/ssh", "/bin/ssh"].into_iter().find(|path| Path::new(path).exists()).unwrap();
        fs::write(&ssh, format!("#!/bin/sh\nexec {real} -F {} \"$@\"\n", path("client.conf"))).unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self { child, folder: folder.to_owned(), port })
    }

    fn address(&self, socket: &Path) -> String {
        format!("ssh://root@127.0.0.1:{}{}", self.port, socket.display())
    }

    fn trust_its_key(&self) {
        let key = fs::read_to_string(self.folder.join("host.pub")).unwrap();
        fs::write(self.folder.join("known"), format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
    }

    fn command(&self, world: &World, arguments: &[&str]) -> Command {
        let mut command = world.command(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        command
    }

    fn tool(&self, world: &World, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(world, arguments))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_stack_is_brought_up_over_ssh_and_a_line_that_breaks_is_said() {
    if !may_do_as_root() {
        return;
    }
    let world = World::pair("ssh");
    let folder = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start(folder.path()) else { return };
    world.until("sshd listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, sshd.port)).is_ok());
    let host = sshd.address(world.socket());

    let unknown = sshd.tool(&world, &["--host", &host, "plan"]).expect(1);
    assert!(unknown.err.contains("compare its key"), "{}", unknown.err);
    sshd.trust_its_key();
    let elsewhere = sshd.address(Path::new("/run/there-is-none.sock"));
    let none = sshd.tool(&world, &["--host", &elsewhere, "plan"]).expect(1);
    assert!(none.err.contains("is Docker running there"), "{}", none.err);

    sshd.tool(&world, &["--host", &host, "plan"]).expect(2);
    sshd.tool(&world, &["--host", &host, "apply", "--yes"]).expect(0);
    sshd.tool(&world, &["--host", &host, "plan"]).expect(0);
    assert_eq!(get(world.gate(), "/").unwrap().1, "gate 1");

    world.set("WEB_VERSION", "2");
    world.set("WEB_SLOW_MS", "3000");
    let before = world.ids();
    let mut apply = sshd.command(&world, &["--host", &host, "apply", "--yes"]);
    let run = apply.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    world.until("the new one is being started", || world.ids().len() > before.len());
    let line = child_of(run.id()).expect("there is an ssh");
    assert!(Command::new("kill").args(["-9", &line.to_string()]).status().unwrap().success());
    let broken = Ran::from(run.wait_with_output().unwrap()).expect(1);
    assert!(broken.text().contains(&host), "{}", broken.text());

    world.set("WEB_SLOW_MS", "0");
    sshd.tool(&world, &["--host", &host, "apply", "--yes"]).expect(0);
    sshd.tool(&world, &["--host", &host, "plan"]).expect(0);
}

/// The first child of a process.
fn child_of(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let of_threads = || {
        let threads = fs::read_dir(format!("/proc/{parent}/task")).ok()?;
        let lists =
            threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).next()
    };
    children.split_whitespace().next().map(str::to_owned).or_else(of_threads)?.parse().ok()
}

#[test]
fn files_that_would_have_to_be_there_stop_a_plan_for_another_machine() {
    if !may_do_as_root() {
        return;
    }
    let world = World::ten("away");
    let folder = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start(folder.path()) else { return };
    world.until("sshd listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, sshd.port)).is_ok());
    sshd.trust_its_key();
    let refused = sshd.tool(&world, &["--host", &sshd.address(world.socket()), "apply", "--yes"]).expect(1);
    for words in [&format!("{}/store", world.name), "secret", "config", "run the tool on that machine"] {
        assert!(refused.text().contains(words), "`{words}` is not in {}", refused.text());
    }
    assert_eq!(world.ids().len(), 0);
}

/// An authority, and certificates that it gave.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes `ca.pem`, `cert.pem` and `key.pem`.
    fn give(&self, folder: &Path, name: &str) {
        fs::create_dir_all(folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("ca.pem"), &self.pem).unwrap();
        fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_stack_is_brought_up_over_tls_and_each_wrong_certificate_is_told() {
    if !may_do_as_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new(), Authority::new());
    let at = |name: &str| folder.path().join(name);
    authority.give(&at("server"), "127.0.0.1");
    authority.give(&at("client"), "operator");
    other.give(&at("stranger"), "operator");
    // Its certificate is the right one, and the authority that it trusts is not.
    authority.give(&at("mistaken"), "operator");
    fs::copy(at("stranger/ca.pem"), at("mistaken/ca.pem")).unwrap();
    // It trusts the right authority, and shows a certificate of another.
    fs::copy(at("client/ca.pem"), at("stranger/ca.pem")).unwrap();

    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let file = |flag: &str, name: &str| format!("--{flag}={}", at("server").join(name).display());
    let tls = [
        format!("--host=tcp://127.0.0.1:{port}"),
        "--tlsverify".to_owned(),
        file("tlscacert", "ca.pem"),
        file("tlscert", "cert.pem"),
        file("tlskey", "key.pem"),
    ];
    let mut daemon = PrivateDockerd::new(folder.path(), &tls);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(daemon.start());
    let world = World::on(at("d.sock"), "tls");
    world.set("SCENARIO", "pair");
    let host = format!("tcp://{}", SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let with = |certificates: &str, arguments: &[&str]| {
        world.set("DOCKER_CERT_PATH", at(certificates).display().to_string());
        let all: Vec<&str> = ["--host", &host].into_iter().chain(arguments.iter().copied()).collect();
        world.tool(&all)
    };
    for (certificates, words) in [
        ("absent", "--tls-ca"),
        ("mistaken", "is that file the right one"),
        ("stranger", "it does not take our certificate"),
    ] {
        let refused = with(certificates, &["plan"]).expect(1);
        assert!(refused.err.contains(words), "`{words}` is not in {}", refused.err);
    }
    fs::set_permissions(at("client/key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = with("client", &["plan"]).expect(1);
    assert!(open.err.contains("chmod 600"), "{}", open.err);
    fs::set_permissions(at("client/key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let plain = with("client", &["--insecure-tcp", "plan"]).expect(1);
    assert!(plain.err.contains("no engine answers"), "{}", plain.err);

    with("client", &["plan"]).expect(2);
    with("client", &["apply", "--yes"]).expect(0);
    with("client", &["plan"]).expect(0);
    assert_eq!(get(world.gate(), "/").unwrap().1, "gate 1");
    drop(world);
}
