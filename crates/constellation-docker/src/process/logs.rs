//! What a process prints: two files, each with one older piece beside it.
//!
//! The process writes to the files itself, so that it survives the agent. They are opened for appending, which makes
//! it safe to cut them under its hands: [`LogFiles::keep_bounded`] copies the end away and empties the file. A line
//! that is written in the microseconds between is lost, and between two looks a file may outgrow its bound.
//!
//! The files know the order of lines within a stream only, so [`LogFiles::tail`] gives one stream after the other,
//! the one that was written to last at the end.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use crate::runtime::{LogLine, LogStream};

/// The most lines that one call gives.
const LINES_MAX: usize = 10_000;
/// Where a line is cut, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The log files of one container.
#[derive(Debug)]
pub(super) struct LogFiles {
    folder: PathBuf,
    /// How large a file may be, in bytes.
    bytes_max: u64,
    /// Held while the files are read or cut, so that a reader sees each line once. Only blocking code takes it.
    files: Mutex<()>,
}

impl LogFiles {
    pub(super) fn new(folder: PathBuf, bytes_max: u64) -> Self {
        Self { folder, bytes_max: bytes_max.max(1), files: Mutex::new(()) }
    }

    fn path(&self, stream: LogStream) -> PathBuf {
        self.folder.join(match stream {
            LogStream::Stdout => "stdout.log",
            LogStream::Stderr => "stderr.log",
        })
    }

    /// The two files for a process to write to: standard output, standard error.
    pub(super) fn open(&self) -> io::Result<(File, File)> {
        let open = |stream| OpenOptions::new().append(true).create(true).mode(0o600).open(self.path(stream));
        Ok((open(LogStream::Stdout)?, open(LogStream::Stderr)?))
    }

    /// Cuts the files that have outgrown their bound.
    pub(super) fn keep_bounded(&self) -> io::Result<()> {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let path = self.path(stream);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() > self.bytes_max => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            let _files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
            let end = read_end(&mut file, self.bytes_max);
            // At once, as what is printed in between is lost; and whether or not the copy can be kept, as on a full
            // disk the bound matters more than the history.
            file.set_len(0)?;
            replace(&older(&path), &end?)?;
        }
        Ok(())
    }

    /// The last lines of both streams together, at most `tail`. Each stream gets half, and what it does not need
    /// goes to the other.
    pub(super) fn tail(&self, tail: usize) -> io::Result<Vec<LogLine>> {
        let tail = tail.min(LINES_MAX);
        let _files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut streams =
            [self.stream_tail(LogStream::Stdout, tail)?, self.stream_tail(LogStream::Stderr, tail)?];
        streams.sort_by_key(|stream| stream.written_at);
        let [earlier, later] = streams;
        let later_share = later.lines.len().min(tail - earlier.lines.len().min(tail / 2));
        let earlier_share = earlier.lines.len().min(tail - later_share);
        Ok(earlier.last(earlier_share).chain(later.last(later_share)).collect())
    }

    fn stream_tail(&self, stream: LogStream, tail: usize) -> io::Result<StreamTail> {
        let path = self.path(stream);
        let mut written_at = None;
        let mut bytes = Vec::new();
        for path in [older(&path), path] {
            match File::open(&path) {
                Ok(mut file) => {
                    let metadata = file.metadata()?;
                    if metadata.len() > 0 {
                        written_at = written_at.max(Some(metadata.modified()?));
                    }
                    bytes.extend(read_end(&mut file, self.bytes_max)?);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(StreamTail { stream, written_at, lines: last_lines(&bytes, tail) })
    }
}

/// The end of one stream.
struct StreamTail {
    stream: LogStream,
    /// `None` where nothing was written yet.
    written_at: Option<SystemTime>,
    lines: Vec<String>,
}

impl StreamTail {
    fn last(self, count: usize) -> impl Iterator<Item = LogLine> {
        let skip = self.lines.len() - count;
        self.lines.into_iter().skip(skip).map(move |text| LogLine { stream: self.stream, text })
    }
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// The last bytes of a file, at most so many, from the beginning of a line where that is possible.
fn read_end(file: &mut File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let skip = file.metadata()?.len().saturating_sub(bytes_max);
    // One byte earlier, to see whether the cut falls between two lines.
    file.seek(SeekFrom::Start(skip.saturating_sub(1)))?;
    let mut end = Vec::new();
    // The file may grow while it is read; a process that prints faster than we read must not keep us here.
    file.take(bytes_max.saturating_mul(2)).read_to_end(&mut end)?;
    let too_many = end.len().saturating_sub(usize::try_from(bytes_max).unwrap_or(usize::MAX));
    if too_many > 0 {
        let behind_line = end[too_many - 1..].iter().position(|byte| *byte == b'\n').map(|at| too_many + at);
        end.drain(..behind_line.filter(|at| *at < end.len()).unwrap_or(too_many));
    }
    Ok(end)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes).and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
        let _ = fs::remove_file(&new); // half a copy only takes room
    })
}

fn last_lines(bytes: &[u8], tail: usize) -> Vec<String> {
    let mut lines = VecDeque::new();
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for line in text.rsplit(|byte| *byte == b'\n').take(if bytes.is_empty() { 0 } else { tail }) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut text = String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]).into_owned();
        // A replaced byte takes three: cut again, between characters.
        while text.len() > LINE_BYTES_MAX {
            text.pop();
        }
        lines.push_front(text);
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn print(file: &mut File, lines: std::ops::Range<usize>) {
        for n in lines {
            writeln!(file, "line {n:04}").unwrap();
        }
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_file_that_outgrew_its_bound_is_cut_between_lines_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogFiles::new(folder.path().to_owned(), 1000); // 100 lines of ten bytes
        let (mut out, _err) = logs.open().unwrap();
        for round in 0..10 {
            print(&mut out, round * 150..(round + 1) * 150);
            logs.keep_bounded().unwrap();
            let size: u64 =
                fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
            assert!(size <= 2000, "{size} bytes");
        }
        print(&mut out, 1500..1503);
        let lines = logs.tail(100).unwrap();
        let expected: Vec<_> = (1403..1503).map(|n| format!("line {n:04}")).collect();
        assert_eq!(texts(&lines), expected);
    }

    #[test]
    fn a_file_that_grew_before_it_was_cut_leaves_no_more_than_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogFiles::new(folder.path().to_owned(), 995);
        let (mut out, _err) = logs.open().unwrap();
        print(&mut out, 0..150);
        let mut file = File::open(logs.path(LogStream::Stdout)).unwrap();
        let end = read_end(&mut file, 995).unwrap();
        assert_eq!((end.len(), &end[..10]), (990, &b"line 0051\n"[..]));
        assert_eq!(read_end(&mut file, 4).unwrap(), b"149\n", "a bound shorter than a line cuts the line");
    }

    #[test]
    fn both_streams_share_the_tail_and_the_one_written_last_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogFiles::new(folder.path().to_owned(), 1 << 20);
        let (mut out, mut err) = logs.open().unwrap();
        print(&mut err, 0..2);
        print(&mut out, 0..50);
        let times = [(&err, 1), (&out, 2)];
        for (file, second) in times {
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second)).unwrap();
        }
        let lines = logs.tail(10).unwrap();
        let errors = lines.iter().take_while(|line| line.stream == LogStream::Stderr).count();
        assert_eq!((errors, lines.len()), (2, 10));
        assert_eq!(lines[9].text, "line 0049");
        assert_eq!(texts(&logs.tail(1).unwrap()), ["line 0049"]);
        assert!(logs.tail(0).unwrap().is_empty());
    }

    #[test]
    fn before_the_first_line_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LogFiles::new(folder.path().to_owned(), 1000);
        assert!(logs.tail(5).unwrap().is_empty());
        logs.keep_bounded().unwrap();
    }

    #[test]
    fn a_line_without_end_is_cut_and_bytes_that_are_no_text_are_replaced() {
        let mut bytes = vec![b'x'; 3 * LINE_BYTES_MAX];
        bytes.extend(b"\nbad \xff byte\r\n\nend");
        let lines = last_lines(&bytes, 10);
        assert_eq!(lines[0].len(), LINE_BYTES_MAX);
        assert_eq!(lines[1..], ["bad \u{fffd} byte", "", "end"]);
    }

    proptest! {
        #[test]
        fn never_more_lines_than_asked_for_and_never_longer_than_allowed(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..2000),
            tail in 0usize..50,
        ) {
            let lines = last_lines(&bytes, tail);
            prop_assert!(lines.len() <= tail);
            prop_assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX && !line.contains('\n')));
        }
    }
}
