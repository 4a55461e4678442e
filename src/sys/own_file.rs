//! guardian's own small files, by directory handle.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::{DirHandle, SysError};

/// Longest own file that is read into memory, in bytes.
const MAX_READ: u64 = 64 << 20;

/// Device and inode of what these paths lead to now; of a link its own too.
/// What is not there is left out.
pub fn identities(paths: &[PathBuf]) -> HashSet<(u64, u64)> {
    let looks = paths.iter().flat_map(|path| [path.symlink_metadata(), path.metadata()]);
    looks.flatten().map(|seen| (seen.dev(), seen.ino())).collect()
}

/// Puts `bytes` under `name` so that a reader sees the old text or the new one,
/// also after a power cut: written beside it, synced, renamed.
pub fn write_atomic(dir: &DirHandle, name: &str, bytes: &[u8]) -> Result<(), SysError> {
    let beside = format!(".{name}.new");
    let failed = |e: std::io::Error| SysError::named("write file", name.as_bytes(), e);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = openat(dir, &beside, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
    let mut file = File::from(fd);
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(renameat(dir, &beside, dir, name)?));
    if let Err(error) = written {
        // On a full volume the half-written file must not stay in the way.
        let _ = unlinkat(dir, &beside, AtFlags::empty());
        return Err(failed(error));
    }
    // The rename is lasting only once the directory is.
    rustix::fs::fsync(dir).map_err(|e| failed(e.into()))
}

/// Puts `bytes` under `name` for everybody to read, so that a reader sees the
/// old text or the new one; not lasting, since the next one follows soon. What
/// somebody else put in the way is never written to.
pub fn publish(dir: &DirHandle, name: &str, bytes: &[u8]) -> Result<(), SysError> {
    // A collector of `*.prom` must not read it before it is whole.
    let beside = format!(".{name}.new");
    let failed = |e: std::io::Error| SysError::named("write file", name.as_bytes(), e);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let make = || openat(dir, &beside, flags, Mode::RUSR | Mode::WUSR);
    let made = match make() {
        // Left behind when the last one was cut off.
        Err(Errno::EXIST) => {
            unlinkat(dir, &beside, AtFlags::empty()).map_err(|e| failed(e.into()))?;
            make()
        }
        made => made,
    };
    let mut file = File::from(made.map_err(|e| failed(e.into()))?);
    let readable = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let written = file.write_all(bytes).and_then(|()| {
        rustix::fs::fchmod(&file, readable)?;
        Ok(renameat(dir, &beside, dir, name)?)
    });
    written.map_err(|error| {
        // On a full volume the half-written file must not stay in the way.
        let _ = unlinkat(dir, &beside, AtFlags::empty());
        failed(error)
    })
}

/// Puts `bytes` under `name`, as yet neither whole nor lasting: for many files
/// that one sync follows. With `sync` it is lasting when this returns.
pub fn write(dir: &DirHandle, name: &str, bytes: &[u8], sync: bool) -> Result<(), SysError> {
    let failed = |e: std::io::Error| SysError::named("write file", name.as_bytes(), e);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = openat(dir, name, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
    let mut file = File::from(fd);
    let synced = |file: &File| if sync { file.sync_all() } else { Ok(()) };
    file.write_all(bytes).and_then(|()| synced(&file)).map_err(failed)
}

/// Makes the names in a directory lasting.
pub fn sync_names(dir: &DirHandle) -> Result<(), SysError> {
    rustix::fs::fsync(dir).map_err(|e| SysError::io("sync directory", dir.proc_path(), e))
}

/// Reads a whole own file; `None` when there is none.
pub fn read(dir: &DirHandle, name: &str) -> Result<Option<Vec<u8>>, SysError> {
    let failed = |e: std::io::Error| SysError::named("read file", name.as_bytes(), e);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = match openat(dir, name, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let mut bytes = Vec::new();
    File::from(fd).take(MAX_READ).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Removes one of guardian's own files. `Ok(false)`: there was none. Never for
/// anybody else's: those go through [`super::remove`].
pub fn discard(dir: &DirHandle, name: &str) -> Result<bool, SysError> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(SysError::named("remove own file", name.as_bytes(), error)),
    }
}

/// Removes a directory that this process has made, if nothing is in it and it
/// is still that one (device and inode). `Ok(false)`: it stays.
pub fn discard_empty_dir(dir: &DirHandle, name: &[u8], made: (u64, u64)) -> Result<bool, SysError> {
    let failed = |error: std::io::Error| SysError::named("remove own directory", name, error);
    match dir.open_child(name) {
        Ok(now) if (now.dev(), now.ino()) == made => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    }
    match unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(false),
        Err(error) => Err(failed(error.into())),
    }
}
