//! An image out of one static binary, so that nothing has to be pulled.

use bytes::Bytes;

/// What the suite's scripts call; each is a link to the one binary.
const APPLETS: [&str; 8] = ["sh", "sleep", "echo", "test", "true", "cat", "httpd", "ls"];

/// A tar archive with busybox and its names.
pub(crate) fn busybox() -> Bytes {
    let path = std::env::var("CONSTELLATION_E2E_BUSYBOX").unwrap_or_else(|_| "/bin/busybox".to_owned());
    let program = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{path}: {error}: install busybox-static or set CONSTELLATION_E2E_BUSYBOX")
    });
    let mut tar = Vec::new();
    entry(&mut tar, "bin/busybox", b'0', "", &program);
    for applet in APPLETS {
        entry(&mut tar, &format!("bin/{applet}"), b'2', "busybox", &[]);
    }
    tar.extend([0; 1024]);
    Bytes::from(tar)
}

/// One entry of an archive in the `ustar` format: a header of 512 bytes, then the data in blocks of 512.
fn entry(tar: &mut Vec<u8>, name: &str, kind: u8, link: &str, data: &[u8]) {
    let mut header = [0_u8; 512];
    let mut field = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(0, name);
    field(100, "0000755\0");
    field(108, "0000000\0");
    field(116, "0000000\0");
    field(124, &format!("{:011o}\0", data.len()));
    field(136, "00000000000\0");
    field(148, "        "); // the checksum counts itself as spaces
    field(157, link);
    field(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(header);
    tar.extend(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}
