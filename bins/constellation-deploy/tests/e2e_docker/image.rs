//! Images out of programs of this machine and the libraries that they are linked with, so that nothing is pulled.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The user of the official image of Redis, whose own its data are there.
const REDIS_USER: (u64, u64) = (999, 1000);

/// Redis of this machine. The server looks at the name that it is started under: the file is that of the checker, which is
/// in the package that starts no service.
pub(crate) fn redis() -> Vec<u8> {
    let (server, client) = (Path::new("/usr/bin/redis-check-rdb"), Path::new("/usr/bin/redis-cli"));
    assert!(
        server.exists() && client.exists(),
        "{} is missing: install redis-tools, or run this suite by `cargo xtask test`",
        server.display()
    );
    let mut programs = vec![(server.to_owned(), "/usr/bin/redis-server".to_owned())];
    programs.push((client.to_owned(), "/usr/bin/redis-cli".to_owned()));
    programs.extend(busybox_as(&["sh", "cat", "grep", "sed"]));
    of(&programs)
}

/// The busybox of this machine under these names.
pub(crate) fn busybox(names: &[&str]) -> Vec<u8> {
    of(&busybox_as(names))
}

fn busybox_as(names: &[&str]) -> Vec<(PathBuf, String)> {
    let busybox = std::env::var("CONSTELLATION_E2E_BUSYBOX").unwrap_or_else(|_| "/bin/busybox".to_owned());
    names.iter().map(|name| (PathBuf::from(&busybox), format!("/bin/{name}"))).collect()
}

/// The actor of this suite.
pub(crate) fn actor() -> Vec<u8> {
    of(&[(PathBuf::from(env!("CARGO_BIN_EXE_e2e-actor")), "/bin/actor".to_owned())])
}

/// A tar archive with these programs at these paths, their libraries, and folders that programs expect.
fn of(programs: &[(PathBuf, String)]) -> Vec<u8> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (program, inside) in programs {
        files.insert(inside.trim_start_matches('/').to_owned(), program.clone());
        for library in libraries(program) {
            files.insert(library.trim_start_matches('/').to_owned(), PathBuf::from(library));
        }
    }
    let mut archive = tar::Builder::new(Vec::new());
    for folder in ["tmp", "run", "run/secrets", "etc", "data"] {
        let mut header = tar::Header::new_ustar();
        // A new volume takes over whose the folder is that it is mounted on.
        let (uid, gid) = if folder == "data" { REDIS_USER } else { (0, 0) };
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(if folder == "tmp" { 0o1777 } else { 0o755 });
        header.set_size(0);
        archive.append_data(&mut header, folder, std::io::empty()).unwrap();
    }
    for (inside, outside) in files {
        let content = fs::read(&outside).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, inside, content.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// The libraries that a program is linked with, its loader among them; none of a static one.
fn libraries(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    paths.map(str::to_owned).collect()
}
