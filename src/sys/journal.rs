//! The journal's socket (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
//!
//! Promises: an entry of any size gets through or is an error; a journal that
//! does not read keeps nobody waiting for longer than a moment, nor does whoever
//! should read standard error. Must not know: what is in an entry.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// A line that takes longer to get rid of is given up: guarding goes first.
const PATIENCE: Duration = Duration::from_millis(200);

/// Bytes that a pipe with room takes at once (`PIPE_BUF`).
const AT_ONCE: usize = 4096;

/// A way to the journal.
#[derive(Debug)]
pub struct JournalSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl JournalSocket {
    /// Finds the journal.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let found = Self { socket, path: path.to_owned() };
        // It ignores what is empty.
        found.send(&[])?;
        Ok(found)
    }

    /// Hands over one entry. By name each time: a journal that is started anew
    /// has another socket.
    ///
    /// # Errors
    /// When it is not there, or does not read.
    pub fn send(&self, entry: &[u8]) -> io::Result<()> {
        match self.socket.send_to(entry, &self.path) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                self.send_file(entry)
            }
            Err(error) => Err(error),
        }
    }

    /// What is too large for a datagram goes as a file that nobody can change any more.
    fn send_file(&self, entry: &[u8]) -> io::Result<()> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("guardian-journal", flags)?);
        file.write_all(entry)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&files)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let address = SocketAddrUnix::new(&self.path)?;
        sendmsg_addr(&self.socket, &address, &[IoSlice::new(&[])], &mut control, SendFlags::empty())?;
        Ok(())
    }
}

/// Writes a line to standard error, which may be the journal's too: where nobody
/// reads it, it is given up as an entry is.
///
/// # Errors
/// When it is closed, or full for longer than a moment.
pub fn tell_stderr(line: &[u8]) -> io::Result<()> {
    write_within(io::stderr().lock(), line)
}

fn write_within(to: impl AsFd, line: &[u8]) -> io::Result<()> {
    let patience = Timespec { tv_sec: 0, tv_nsec: PATIENCE.as_nanos() as _ };
    let mut rest = line;
    while !rest.is_empty() {
        let mut asked = [PollFd::new(&to, PollFlags::OUT)];
        match poll(&mut asked, Some(&patience)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // What has room at all takes so much without making us wait.
        let part = rest.get(..AT_ONCE).unwrap_or(rest);
        match rustix::io::write(&to, part) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether standard error goes to the journal: the variable alone is inherited
/// by programs whose output goes elsewhere (systemd.exec(5), `$JOURNAL_STREAM`).
pub fn is_stderr() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    fstat(io::stderr()).is_ok_and(|stat| is_named(&stream, stat.st_dev, stat.st_ino))
}

fn is_named(stream: &str, dev: u64, ino: u64) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    stream
        .split_once(':')
        .is_some_and(|(first, second)| (number(first), number(second)) == (Some(dev), Some(ino)))
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Read, Seek};

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    #[test]
    fn an_entry_of_any_size_gets_through() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(JournalSocket::open(&path).is_err(), "nobody listens");
        let journal = UnixDatagram::bind(&path).unwrap();
        let socket = JournalSocket::open(&path).unwrap();
        let mut buffer = [0; 100];
        assert_eq!(journal.recv(&mut buffer).unwrap(), 0, "nothing is said by looking");
        socket.send(b"MESSAGE=x\n").unwrap();
        assert_eq!(journal.recv(&mut buffer).unwrap(), 10);

        let long = vec![b'x'; 4 << 20];
        socket.send(&long).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut buffer)];
        recvmsg(&journal, into, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        let mut files = control.drain().flat_map(|one| match one {
            RecvAncillaryMessage::ScmRights(files) => files.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let mut file = File::from(files.next().unwrap());
        let mut got = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), long.len());
        assert!(file.set_len(1).is_err(), "nobody can change it any more");
    }

    #[test]
    fn a_journal_that_does_not_read_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _journal = UnixDatagram::bind(&path).unwrap();
        let socket = JournalSocket::open(&path).unwrap();
        let begun = std::time::Instant::now();
        let sent = (0..100_000).find_map(|_| socket.send(b"MESSAGE=x\n").err());
        assert!(sent.is_some() && begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_line_of_any_length_gets_through_where_somebody_reads_and_keeps_nobody_waiting_where_not() {
        let line = [vec![b'x'; 300_000], vec![b'\n']].concat();
        let (mut reader, writer) = io::pipe().unwrap();
        let sent = std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut got = Vec::new();
                reader.read_to_end(&mut got).unwrap();
                got
            });
            write_within(&writer, &line).unwrap();
            drop(writer);
            reading.join().unwrap()
        });
        assert!(sent == line);
        let (pipe, stream) = (io::pipe().unwrap(), std::os::unix::net::UnixStream::pair().unwrap());
        let begun = std::time::Instant::now();
        assert_eq!(write_within(&pipe.1, &line).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(write_within(&stream.0, &line).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(20));
        drop(pipe.0);
        assert_eq!(write_within(&pipe.1, b"x\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn the_variable_of_another_programs_output_says_nothing() {
        assert!(is_named("8:123", 8, 123));
        for other in ["8:124", "9:123", "8", "", "8:123:4", "x:123"] {
            assert!(!is_named(other, 8, 123), "{other}");
        }
    }
}
