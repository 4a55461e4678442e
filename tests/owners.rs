//! Deferred deletion and trash as an ordinary user asks for them, through the socket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(clippy::print_stderr, reason = "what is skipped or measured is told there")]

#[allow(dead_code, reason = "shared by several files of tests, none of which needs all of it")]
mod harness;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::given_up::{id, items, text, until_queue_is_empty};
use harness::{Home, file, root, scratch};
use serde_json::Value;

const SOMEBODY: u32 = 4242;
const ANOTHER: u32 = 4343;

/// An agent on a root that is open to all, and the program where others can run it.
struct Shared {
    home: Home,
    root_dir: PathBuf,
}

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

fn shared() -> Option<Shared> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can ask as somebody else");
        return None;
    }
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("rate_limit = \"1000/hour\"", &root(&root_dir, ""));
    mode(root_dir.parent().unwrap(), 0o755);
    mode(&root_dir, 0o1777);
    fs::copy(env!("CARGO_BIN_EXE_guardian"), home.path("guardian")).unwrap();
    mode(&home.path("guardian"), 0o755);
    home.start();
    home.until_root_is("ready");
    Some(Shared { home, root_dir })
}

impl Shared {
    fn ask(&self, uid: u32, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(self.home.path("guardian"));
        command.env_clear().args(arguments).arg("--socket").arg(self.home.path("socket"));
        let output = command.current_dir("/").uid(uid).gid(uid).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn file_of(&self, uid: u32, name: &str) -> PathBuf {
        let path = self.root_dir.join(name);
        file(&path, 10, 0);
        chown(&path, Some(uid), Some(uid)).unwrap();
        path
    }

    fn dir_of(&self, uid: u32, name: &str, bits: u32) -> PathBuf {
        let path = self.root_dir.join(name);
        fs::create_dir_all(&path).unwrap();
        chown(&path, Some(uid), Some(uid)).unwrap();
        mode(&path, bits);
        path
    }

    /// Puts a new file of his into the trash; its entry.
    fn trashed(&self, uid: u32, name: &str) -> String {
        let path = self.file_of(uid, name);
        let (code, out, err) = self.ask(uid, &["trash", "put", "--json", text(&path)]);
        assert_eq!(code, 0, "{err}");
        assert!(!path.exists());
        id(&serde_json::from_str::<Value>(&out).unwrap()["items"][0])
    }
}

#[test]
fn whoever_owns_a_file_may_delete_it_and_nobody_else() {
    let Some(all) = shared() else { return };
    all.home.done(&["pause"]);
    let (mine, other) = (all.file_of(SOMEBODY, "mine"), all.file_of(ANOTHER, "other"));
    let tree = all.dir_of(SOMEBODY, "tree", 0o777);
    all.file_of(SOMEBODY, "tree/mine");
    let in_it = all.file_of(ANOTHER, "tree/other");
    for verb in [&["delete"][..], &["trash", "put"]] {
        for path in [&other, &tree] {
            let (code, _, err) = all.ask(SOMEBODY, &[verb, &[text(path)]].concat());
            assert!(code == 5 && err.contains("belongs to uid 4343"), "{verb:?} {path:?}: {code} {err}");
        }
    }
    assert!(other.exists() && in_it.exists());
    let (code, out, err) = all.ask(SOMEBODY, &["delete", "--json", text(&mine), text(&other)]);
    assert_eq!(code, 1, "his goes, the other is refused: {err}");
    let given: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (given["items"].as_array().unwrap().len(), given["refused"].as_array().unwrap().len()),
        (1, 1)
    );
    assert!(!mine.exists() && other.exists());
    let entry = id(&given["items"][0]);
    let (code, _, err) = all.ask(ANOTHER, &["queue", "drop", &entry]);
    assert!(code == 5 && err.contains("belongs to uid 4242"), "{code} {err}");
    for verb in ["run", "clear"] {
        assert_eq!(all.ask(SOMEBODY, &["queue", verb]).0, 5, "{verb} takes an administrator");
    }
    assert_eq!(all.ask(ANOTHER, &["queue", "list"]).0, 0, "whoever can open the socket may read");
    let (code, _, err) = all.ask(SOMEBODY, &["queue", "drop", &entry]);
    assert_eq!(code, 0, "{err}");
    assert!(mine.exists());
    all.home.done(&["resume"]);
    assert_eq!(all.ask(SOMEBODY, &["delete", text(&mine)]).0, 0);
    until_queue_is_empty(&all.home);
    assert!(!mine.exists() && other.exists());
}

#[test]
fn whoever_has_something_back_gets_it_where_he_may_put_files_himself() {
    let Some(all) = shared() else { return };
    let root_dir = &all.root_dir;
    all.dir_of(SOMEBODY, "own", 0o700);
    all.dir_of(SOMEBODY, "own_closed", 0o500);
    all.dir_of(ANOTHER, "open", 0o777);
    all.dir_of(ANOTHER, "readable", 0o755);
    // For the group alone, and for all but the group: groups are not looked up.
    all.dir_of(ANOTHER, "for_group", 0o770);
    all.dir_of(ANOTHER, "not_for_group", 0o707);
    // His own, but behind a door that is closed to him.
    all.dir_of(ANOTHER, "closed", 0o700);
    all.dir_of(SOMEBODY, "closed/own", 0o777);
    for (number, (to, may)) in [
        ("own", true),
        ("open", true),
        ("", true),
        ("own_closed", false),
        ("readable", false),
        ("for_group", false),
        ("not_for_group", false),
        ("closed/own", false),
    ]
    .into_iter()
    .enumerate()
    {
        let entry = all.trashed(SOMEBODY, &format!("file{number}"));
        let to = root_dir.join(to).join(format!("back{number}"));
        let restore = ["trash", "restore", &entry, "--to", text(&to)];
        assert_eq!(all.ask(ANOTHER, &restore).0, 5, "it is not his");
        let (code, _, err) = all.ask(SOMEBODY, &restore);
        assert_eq!((code, to.exists()), (if may { 0 } else { 5 }, may), "{to:?}: {err}");
        if !may {
            assert!(err.contains("may not put files into"), "{err}");
            assert_eq!(all.ask(SOMEBODY, &["trash", "restore", &entry]).0, 0, "where it lay he may");
        }
    }
    assert!(items(&all.home, &["trash", "list"]).is_empty());
}

#[test]
fn an_access_list_is_not_read_so_that_it_can_not_be_read_wrongly() {
    let Some(all) = shared() else { return };
    let dir = all.dir_of(ANOTHER, "listed", 0o777);
    let done = Command::new("setfacl").args(["-m", "u:4242:---"]).arg(&dir).output();
    if !done.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no access list can be set: {done:?}");
        return;
    }
    let entry = all.trashed(SOMEBODY, "file");
    let to = dir.join("back");
    let (code, _, err) = all.ask(SOMEBODY, &["trash", "restore", &entry, "--to", text(&to)]);
    assert!(code == 5 && !to.exists(), "{code} {err}");
}
