use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::fs::{FileType, mknodat};

use super::*;
use crate::sys::open_check::{Doubt, OpenCheckKind, OpenFiles};
use crate::sys::trees::{Tree, deep, mount_tmpfs, rel, tree, tree_alone, with_private_mounts};

/// The ways to find out whether a file is open. Prepared when the file is
/// there: a new file can get the inode number of one that was open before.
const WAYS: [OpenCheckKind; 2] = [OpenCheckKind::Lease, OpenCheckKind::Proc];

/// Both ways; on this host some process may be out of reach, which is no matter here.
fn both() -> [OpenCheck; 2] {
    WAYS.map(|way| way.prepare(Doubt::Accept))
}

fn remove(tree: &Tree, name: &[u8], expected: &Identity, how: &OpenCheck) -> Result<Removed, Refusal> {
    verify(tree.dir(), name, expected, how)?.remove()
}

#[track_caller]
fn assert_skipped<T: std::fmt::Debug>(outcome: Result<T, Refusal>, why: Skip) {
    assert!(matches!(&outcome, Err(Refusal::Skip(found)) if *found == why), "{outcome:?} is not {why}");
}

#[test]
fn an_unchanged_closed_file_goes_and_says_what_it_frees() {
    for way in WAYS {
        let tree = tree();
        let path = tree.at(b"f");
        fs::write(&path, [1_u8; 10_000]).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        let facts = tree.dir().stat(b"f", FileTimes::default()).unwrap();
        let removed = remove(&tree, b"f", &facts.id, &way.prepare(Doubt::Accept)).unwrap();
        assert_eq!(removed, Removed { nlink_before: 1, freed_if_last: facts.allocated, facts });
        assert!(facts.allocated >= 10_000);
        assert!(!path.exists());
    }
}

#[test]
fn any_name_that_the_kernel_takes_can_be_removed() {
    let tree = tree();
    for name in [&b"line\nbreak"[..], b"not\xff\xfeutf8", &[b'n'; 255], b"-rf"] {
        tree.file(name);
        remove(&tree, name, &tree.identity(name), &OpenCheck::Lease).unwrap();
        assert!(!tree.at(name).exists());
    }
}

#[test]
fn a_file_deeper_than_path_max_can_be_removed() {
    let tree = tree();
    let (dir, path) = deep(&tree, 30, &"x".repeat(255));
    mknodat(&dir, "f", FileType::RegularFile, Mode::RUSR, 0).unwrap();
    let dir = tree.root.open_dir(&path).unwrap();
    let id = dir.stat(b"f", FileTimes::default()).unwrap().id;
    verify(&dir, b"f", &id, &OpenCheck::Lease).unwrap().remove().unwrap();
    assert!(dir.stat(b"f", FileTimes::default()).is_err());
}

#[test]
fn every_difference_from_the_plan_keeps_the_file() {
    let tree = tree();
    tree.file(b"f");
    let id = tree.identity(b"f");
    let later = |t: crate::model::Timestamp| t.plus(std::time::Duration::from_nanos(1));
    let others = [
        Identity { dev: id.dev + 1, ..id },
        Identity { ino: id.ino + 1, ..id },
        Identity { kind: FileKind::Symlink, ..id },
        Identity { size: id.size + 1, ..id },
        Identity { mtime: later(id.mtime), ..id },
        Identity { ctime: later(id.ctime), ..id },
    ];
    for other in others {
        assert_skipped(remove(&tree, b"f", &other, &OpenCheck::Lease), Skip::Changed);
    }
    assert!(tree.at(b"f").exists());
    remove(&tree, b"f", &id, &OpenCheck::Lease).unwrap();
    assert_skipped(remove(&tree, b"f", &id, &OpenCheck::Lease), Skip::Vanished);
}

#[test]
fn a_file_put_in_its_place_after_planning_stays() {
    let tree = tree();
    tree.file(b"f");
    let id = tree.identity(b"f");
    fs::rename(tree.file(b"new"), tree.at(b"f")).unwrap();
    assert_skipped(remove(&tree, b"f", &id, &OpenCheck::Lease), Skip::Changed);
    assert!(tree.at(b"f").exists());
}

#[test]
fn a_file_put_in_its_place_after_verification_stays() {
    for way in WAYS {
        let tree = tree();
        tree.file(b"f");
        let verified = verify(tree.dir(), b"f", &tree.identity(b"f"), &way.prepare(Doubt::Accept)).unwrap();
        fs::rename(tree.file(b"new"), tree.at(b"f")).unwrap();
        assert_skipped(verified.remove(), Skip::Changed);
        assert!(tree.at(b"f").exists());
    }
}

#[test]
fn a_file_written_to_after_planning_stays() {
    let tree = tree();
    let path = tree.file(b"f");
    let id = tree.identity(b"f");
    // Same length, and mtime put back as any program can: ctime still tells.
    let mut file = File::options().write(true).open(&path).unwrap();
    file.write_all(b"CONTENT").unwrap();
    let before = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(id.mtime.as_nanos() as u64);
    file.set_modified(before).unwrap();
    drop(file);
    assert_eq!(tree.identity(b"f").mtime, id.mtime);
    // The kernel's clock for times may tick as slowly as every 10 ms.
    while tree.identity(b"f").ctime == id.ctime {
        File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    }
    assert_skipped(remove(&tree, b"f", &id, &OpenCheck::Lease), Skip::Changed);
}

#[test]
fn an_open_file_is_in_use_until_it_is_closed() {
    let tree = tree();
    let path = tree.file(b"f");
    let id = tree.identity(b"f");
    for options in [File::options().read(true), File::options().append(true)] {
        let open = options.open(&path).unwrap();
        for how in both() {
            assert_skipped(remove(&tree, b"f", &id, &how), Skip::InUse);
        }
        drop(open);
    }
    remove(&tree, b"f", &id, &OpenCheck::Lease).unwrap();
}

#[test]
fn a_file_open_in_another_process_is_in_use() {
    let tree = tree_alone();
    let path = tree.file(b"f");
    let id = tree.identity(b"f");
    let mut other = Command::new("sleep").arg("600").stdin(File::open(&path).unwrap()).spawn().unwrap();
    for how in both() {
        assert_skipped(remove(&tree, b"f", &id, &how), Skip::InUse);
    }
    other.kill().unwrap();
    other.wait().unwrap();
    remove(&tree, b"f", &id, &OpenCheck::Lease).unwrap();
}

#[test]
fn a_mapped_file_is_in_use_though_no_descriptor_is_open() {
    let tree = tree_alone();
    // A running program is mapped, and nobody has it open.
    let path = tree.at(b"program");
    fs::copy("/bin/sleep", &path).unwrap();
    let mut program = Command::new(&path).arg("600").stdin(Stdio::null()).spawn().unwrap();
    let id = tree.identity(b"program");
    for how in both() {
        assert_skipped(remove(&tree, b"program", &id, &how), Skip::InUse);
    }
    program.kill().unwrap();
    program.wait().unwrap();
    remove(&tree, b"program", &id, &OpenCheck::Lease).unwrap();
}

#[test]
fn whoever_opens_the_file_after_verification_keeps_it() {
    let tree = tree();
    let path = tree.file(b"f");
    let verified = verify(tree.dir(), b"f", &tree.identity(b"f"), &OpenCheck::Lease).unwrap();
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| File::open(&path).unwrap());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let lease = verified.held.lease.as_ref().unwrap();
        while lease.is_whole(&verified.held.fd) {
            assert!(std::time::Instant::now() < deadline, "the opener never came");
            std::thread::yield_now();
        }
        assert_skipped(verified.remove(), Skip::InUse);
        opener.join().unwrap();
    });
    assert!(path.exists());
}

#[test]
fn links_are_removed_themselves_and_never_what_they_point_to() {
    let tree = tree();
    let target = tree.file(b"target");
    symlink(&target, tree.at(b"link")).unwrap();
    symlink("nowhere", tree.at(b"dangling")).unwrap();
    for name in [&b"link"[..], b"dangling"] {
        let removed = remove(&tree, name, &tree.identity(name), &OpenCheck::Lease).unwrap();
        assert_eq!(removed.facts.id.kind, FileKind::Symlink);
    }
    assert!(target.exists());
    // A link in the place of a planned file.
    let id = tree.identity(b"target");
    fs::rename(&target, tree.at(b"away")).unwrap();
    symlink("away", &target).unwrap();
    assert_skipped(remove(&tree, b"target", &id, &OpenCheck::Lease), Skip::Changed);
    assert!(tree.at(b"away").exists());
}

#[test]
fn fifos_sockets_and_directories_are_refused_without_waiting() {
    let tree = tree();
    mknodat(tree.dir(), "fifo", FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(tree.at(b"socket")).unwrap();
    fs::create_dir(tree.at(b"dir")).unwrap();
    for name in [&b"fifo"[..], b"socket", b"dir"] {
        assert_skipped(remove(&tree, name, &tree.identity(name), &OpenCheck::Lease), Skip::Protected);
        assert!(tree.at(name).exists());
    }
    // A FIFO swapped in for a planned file does not block us either.
    tree.file(b"f");
    let id = tree.identity(b"f");
    fs::rename(tree.at(b"fifo"), tree.at(b"f")).unwrap();
    assert_skipped(remove(&tree, b"f", &id, &OpenCheck::Lease), Skip::Changed);
    let fd = open_to_read(tree.dir(), b"f").unwrap();
    assert_skipped(compare(&fd, b"f", &id), Skip::Changed);
}

#[test]
fn all_planned_links_of_one_inode_go_as_one_unit() {
    let tree = tree();
    let first = tree.file(b"a");
    File::open(&first).unwrap().sync_all().unwrap();
    fs::create_dir(tree.at(b"sub")).unwrap();
    fs::hard_link(&first, tree.at(b"b")).unwrap();
    fs::hard_link(&first, tree.at(b"sub/c")).unwrap();
    let id = tree.identity(b"a");
    let (removed, mut unit) =
        verify(tree.dir(), b"a", &id, &OpenCheck::Lease).unwrap().remove_first().unwrap();
    assert_eq!((removed.nlink_before, removed.freed_if_last), (3, 0));
    let stranger = tree.file(b"x");
    assert_skipped(unit.remove_link(tree.dir(), b"x"), Skip::Changed);
    assert!(stranger.exists());
    assert_eq!(unit.remove_link(tree.dir(), b"b").unwrap().nlink_before, 2);
    let sub = tree.root.open_dir(&rel("sub")).unwrap();
    let last = unit.remove_link(&sub, b"c").unwrap();
    assert_eq!((last.nlink_before, last.freed_if_last), (1, last.facts.allocated));
    assert_eq!(unit.facts().nlink, 0);
}

#[test]
fn marks_are_told_before_the_file_goes() {
    let tree = tree();
    tree.file(b"f");
    let open = || File::open(tree.at(b"f")).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if let Err(e) = rustix::fs::fsetxattr(open(), "user.guardian.keep", b"", flags) {
        eprintln!("skipped: no user attributes on this file system: {e}");
        return;
    }
    rustix::fs::fsetxattr(open(), "user.expires", b"1700000000", flags).unwrap();
    let verified = verify(tree.dir(), b"f", &tree.identity(b"f"), &OpenCheck::Lease).unwrap();
    assert_eq!(verified.keep_mark(), Mark::Present);
    assert_eq!(verified.expires(), Some(crate::model::Timestamp::from_unix(1_700_000_000, 0)));
    drop(verified);
    // Guardian's own key goes before the other, also where nobody can tell what it says.
    let long = [b'9'; 100];
    for unreadable in [b"2199-01-01".as_slice(), &long, b""] {
        rustix::fs::fsetxattr(open(), "user.guardian.expires", unreadable, flags).unwrap();
        let verified = verify(tree.dir(), b"f", &tree.identity(b"f"), &OpenCheck::Lease).unwrap();
        assert_eq!(verified.expires(), None);
        assert_eq!(crate::sys::xattr::expires_by_name(tree.dir(), b"f"), None);
    }
    tree.file(b"plain");
    let plain = verify(tree.dir(), b"plain", &tree.identity(b"plain"), &OpenCheck::Lease).unwrap();
    assert_eq!((plain.keep_mark(), plain.expires()), (Mark::Absent, None));
}

#[test]
fn a_move_takes_the_verified_file_and_replaces_nothing() {
    let tree = tree();
    tree.file(b"f");
    fs::create_dir(tree.at(b"to")).unwrap();
    let to = tree.root.open_dir(&rel("to")).unwrap();
    let id = tree.identity(b"f");
    tree.file(b"to/taken");
    let verified = || verify(tree.dir(), b"f", &id, &OpenCheck::Lease).unwrap();
    assert!(matches!(verified().move_to(&to, b"taken"), Err(Refusal::Failed(_))));
    let there = verified().move_to(&to, b"f").unwrap();
    assert_eq!(there.id.ino, id.ino);
    assert_eq!(to.stat(b"f", FileTimes::default()).unwrap().id, there.id);
}

#[test]
fn only_the_empty_directory_that_was_meant_is_removed() {
    let tree = tree();
    fs::create_dir_all(tree.at(b"full/inner")).unwrap();
    let id = |name: &[u8]| (tree.identity(name).dev, tree.identity(name).ino);
    let (dev, ino) = id(b"full");
    assert!(matches!(remove_empty_dir(tree.dir(), b"full", dev, ino), Ok(false)));
    assert_skipped(remove_empty_dir(tree.dir(), b"full", dev, ino + 1), Skip::Changed);
    fs::remove_dir(tree.at(b"full/inner")).unwrap();
    assert!(matches!(remove_empty_dir(tree.dir(), b"full", dev, ino), Ok(true)));
    assert_skipped(remove_empty_dir(tree.dir(), b"full", dev, ino), Skip::Vanished);
    tree.file(b"f");
    let (dev, ino) = id(b"f");
    assert_skipped(remove_empty_dir(tree.dir(), b"f", dev, ino), Skip::Changed);
}

#[test]
fn what_is_mounted_on_is_protected() {
    with_private_mounts(|| {
        let tree = tree();
        fs::create_dir(tree.at(b"dir")).unwrap();
        let file = tree.file(b"f");
        fs::write(tree.at(b"other"), b"").unwrap();
        mount_tmpfs(&tree.at(b"dir"));
        rustix::mount::mount_bind(tree.at(b"other"), &file).unwrap();
        let (dir, id) = (tree.identity(b"dir"), tree.identity(b"f"));
        assert_skipped(remove_empty_dir(tree.dir(), b"dir", dir.dev, dir.ino), Skip::Protected);
        assert_skipped(remove(&tree, b"f", &id, &OpenCheck::Lease), Skip::Protected);
        assert!(tree.at(b"other").exists());
    });
}

#[test]
fn a_file_that_may_be_open_where_nobody_let_us_look_stays_unless_that_is_accepted() {
    let tree = tree();
    let id = {
        tree.file(b"f");
        tree.identity(b"f")
    };
    let uid = rustix::process::geteuid().as_raw();
    let way = |unread, doubt| OpenCheck::Proc(std::sync::Arc::new(OpenFiles::unread(unread, doubt)));
    assert_skipped(remove(&tree, b"f", &id, &way(Some(uid), Doubt::Keep)), Skip::InUse);
    assert_skipped(remove(&tree, b"f", &id, &way(None, Doubt::Keep)), Skip::InUse);
    verify(tree.dir(), b"f", &id, &way(Some(uid + 1), Doubt::Keep)).unwrap();
    remove(&tree, b"f", &id, &way(Some(uid), Doubt::Accept)).unwrap();
}
