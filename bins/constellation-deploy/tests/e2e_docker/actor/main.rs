//! Plays every part in the containers of the suite: web server, job, slow start, flaky start, crash loop, client.
//!
//! It is told by its arguments what it is, and by its environment how it behaves.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    os::unix::fs::PermissionsExt,
    process::ExitCode,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

const PORT: u16 = 8080;
/// A request is one line and a few headers.
const REQUEST_BYTES_MAX: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["web"] => web(),
        ["sleep"] => loop {
            thread::sleep(Duration::from_secs(3600));
        },
        ["crash"] => {
            eprintln!("cannot open the database");
            ExitCode::from(3)
        }
        ["job", rest @ ..] => job(rest),
        ["get", path] => match get(&format!("127.0.0.1:{PORT}"), path) {
            Ok((200, _)) => ExitCode::SUCCESS,
            other => {
                eprintln!("{other:?}");
                ExitCode::FAILURE
            }
        },
        ["load", host] => load(host),
        other => {
            eprintln!("no such part: {other:?}");
            ExitCode::from(64)
        }
    }
}

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// Serves `/` (name and version), `/health`, `/env/<NAME>`, `/file/<path>` and `/mode/<path>`.
fn web() -> ExitCode {
    let pause = setting("SLOW_MS").parse().unwrap_or(0);
    thread::sleep(Duration::from_millis(pause));
    let Ok(listener) = TcpListener::bind(("0.0.0.0", PORT)) else { return ExitCode::FAILURE };
    println!("{} {} serves", setting("NAME"), setting("VERSION"));
    let asked = AtomicU32::new(0);
    for stream in listener.incoming().flatten() {
        let asked = &asked;
        // One at a time is enough for a test, and none of them waits for the client for long.
        let _ = answer(stream, asked);
    }
    ExitCode::SUCCESS
}

fn answer(mut stream: TcpStream, asked: &AtomicU32) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut chunk = [0; 512];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        match stream.read(&mut chunk)? {
            0 => break,
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or("/");
    let sick = setting("SICK") == "1";
    let flaky: u32 = setting("FLAKY").parse().unwrap_or(0);
    let (status, body) = match path.split_at(path.len().min(6)) {
        ("/healt", _) if sick || asked.fetch_add(1, Ordering::Relaxed) < flaky => (503, "sick".to_owned()),
        ("/healt", _) => (200, "well".to_owned()),
        ("/env/", _) => (404, String::new()),
        _ => match path.strip_prefix("/env/") {
            Some(name) => (200, setting(name)),
            None => match (path.strip_prefix("/file"), path.strip_prefix("/mode")) {
                (Some(file), _) => {
                    fs::read_to_string(file).map_or_else(|error| (404, error.to_string()), |text| (200, text))
                }
                (_, Some(file)) => fs::metadata(file).map_or_else(
                    |error| (404, error.to_string()),
                    |there| (200, format!("{:o}", there.permissions().mode() & 0o7777)),
                ),
                _ if sick => (500, "sick".to_owned()),
                _ => (200, format!("{} {}", setting("NAME"), setting("VERSION"))),
            },
        },
    };
    write!(stream, "HTTP/1.0 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Looks whether `host:port` answers, if it is told to, and ends with the code that it is told.
fn job(words: &[&str]) -> ExitCode {
    let mut code = 0;
    for word in words {
        match word.split_once('=') {
            Some(("reach", address)) => match connect(address) {
                Ok(_) => println!("reached {address}"),
                Err(error) => {
                    println!("could not reach {address}: {error}");
                    return ExitCode::from(9);
                }
            },
            Some(("exit", number)) => code = number.parse().unwrap_or(1),
            Some(("wait_ms", time)) => thread::sleep(Duration::from_millis(time.parse().unwrap_or(0))),
            _ => println!("{word}"),
        }
    }
    ExitCode::from(code)
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let unknown = || std::io::Error::new(std::io::ErrorKind::NotFound, format!("{address} has no address"));
    let address = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

/// Asks a host by its name without a pause, and says every 50 requests how that went.
fn load(host: &str) -> ExitCode {
    let (mut well, mut failed) = (0_u64, 0_u64);
    loop {
        match get(&format!("{host}:{PORT}"), "/") {
            Ok((200, _)) => well += 1,
            other => {
                failed += 1;
                println!("failure {other:?}");
            }
        }
        if (well + failed).is_multiple_of(50) {
            println!("well={well} failed={failed}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}
