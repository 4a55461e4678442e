//! Chunks reported complete by somebody who is not root: of its own jobs, and of others'.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped is told there")]

#[allow(dead_code, reason = "not every file of tests uses all of it")]
mod harness;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Home, on_disk, root, scratch};
use serde_json::Value;

const SOMEBODY: u32 = 4242;
const SOMEBODY_ELSE: u32 = 4343;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An agent of root's, and a way to ask it as other users.
struct Shared {
    home: Home,
    root_dir: PathBuf,
}

impl Shared {
    /// `None`, told as skipped, where other users can't be had.
    fn started() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can ask as somebody else");
            return None;
        }
        let mut home = Home::new();
        let root_dir = scratch(&home);
        home.configure("", &root(&root_dir, "capacity = \"1GiB\""));
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        open(root_dir.parent().unwrap(), 0o755);
        open(&root_dir, 0o1777);
        home.start();
        home.until_root_is("ready");
        // The program as well must be where they can run it.
        let program = home.path("guardian");
        fs::copy(env!("CARGO_BIN_EXE_guardian"), &program).unwrap();
        open(&program, 0o755);
        Some(Self { home, root_dir })
    }

    /// A file that belongs to `uid`.
    fn put(&self, name: &str, uid: u32) -> PathBuf {
        let path = self.root_dir.join(name);
        fs::write(&path, name).unwrap();
        chown(&path, Some(uid), None).unwrap();
        path
    }

    /// Exit code, and the one body that `--json` prints.
    fn ask(&self, uid: u32, arguments: &[&str]) -> (i32, Value) {
        let mut command = Command::new(self.home.path("guardian"));
        command.env_clear().args(arguments).args(["--json", "--socket"]).arg(self.home.path("socket"));
        let output = command.current_dir("/").uid(uid).gid(uid).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        let body =
            serde_json::from_str(&out).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {out}{err}"));
        (output.status.code().unwrap(), body)
    }

    fn done(&self, uid: u32, arguments: &[&str]) -> Value {
        let (code, body) = self.ask(uid, arguments);
        assert_eq!(code, 0, "{arguments:?}: {body}");
        body
    }
}

#[test]
fn nobody_but_its_owner_and_administrators_may_complete_a_chunk() {
    let Some(shared) = Shared::started() else { return };
    shared.home.done(&["job", "start", "roots"]);
    shared.done(SOMEBODY, &["job", "start", "mine"]);
    shared.done(SOMEBODY_ELSE, &["job", "start", "theirs"]);
    for (job, uid) in [("roots", 0), ("mine", SOMEBODY), ("theirs", SOMEBODY_ELSE)] {
        shared.put(&format!("job_{job}_chunk_1_x"), uid);
        shared.put(&format!("job_{job}_chunk_2_x"), uid);
        // Its name says so, but somebody else owns it.
        shared.put(&format!("job_{job}_chunk_1_of_{SOMEBODY}"), SOMEBODY);
    }
    let before = on_disk(&shared.root_dir);
    for job in ["roots", "theirs"] {
        let named = shared.root_dir.join(format!("job_{job}_chunk_1_x"));
        let own = shared.root_dir.join(format!("job_{job}_chunk_1_of_{SOMEBODY}"));
        for files in [&[][..], &[text(&named)], &[text(&own)]] {
            let (code, refusal) =
                shared.ask(SOMEBODY, &[&["chunk", "complete", job, "1"][..], files].concat());
            assert_eq!((code, &refusal["status"]), (5, &403.into()), "{job} {files:?}: {refusal}");
            assert!(refusal["detail"].as_str().unwrap().contains(job), "{refusal}");
        }
    }
    assert_eq!(on_disk(&shared.root_dir), before, "nothing went");
    // Nor is any of it on record for later: a sweep finds no chunk that was given up.
    let swept: Value =
        serde_json::from_str(&shared.home.done(&["sweep", "scheduled", "--dry-run", "--json"])).unwrap();
    assert_eq!(swept["files_deleted"], 0, "{swept}");

    // Files of others' jobs, named for a chunk of one's own.
    let (code, told) = shared.ask(
        SOMEBODY,
        &[
            "chunk",
            "complete",
            "mine",
            "2",
            text(&shared.root_dir.join("job_theirs_chunk_2_x")),
            text(&shared.root_dir.join("job_roots_chunk_2_x")),
            text(&shared.root_dir.join("job_mine_chunk_2_x")),
        ],
    );
    assert_eq!((code, told["refused"].as_array().map(Vec::len)), (1, Some(2)), "{told}");
    assert!(!shared.root_dir.join("job_mine_chunk_2_x").exists());
    assert_eq!(on_disk(&shared.root_dir).len(), before.len() - 1);

    // A whole chunk of one's own: one's own files in it go, and root's, put among them, does not.
    let foreign = shared.put("job_mine_chunk_1_of_root", 0);
    let told = shared.done(SOMEBODY, &["chunk", "complete", "mine", "1"]);
    assert_eq!(told["sweep"]["report"]["files_deleted"], 2, "{told}");
    assert!(foreign.exists());
    assert!(!shared.root_dir.join("job_mine_chunk_1_x").exists());
    assert!(!shared.root_dir.join(format!("job_mine_chunk_1_of_{SOMEBODY}")).exists());

    // An administrator may speak for anybody's job.
    shared.home.done(&["chunk", "complete", "theirs", "1"]);
    assert!(!shared.root_dir.join("job_theirs_chunk_1_x").exists());
    assert!(shared.root_dir.join("job_theirs_chunk_2_x").exists());
    for kept in ["job_roots_chunk_1_x", "job_roots_chunk_2_x"] {
        assert!(shared.root_dir.join(kept).exists(), "{kept}");
    }
}
