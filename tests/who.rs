//! Who may do what, asked by real users: root, a member of the administrators'
//! group, the owner of a thing, and somebody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped, and each cell of the table, is told there")]

#[allow(dead_code, reason = "not every file of tests uses all of it")]
mod harness;
#[path = "who/limits.rs"]
mod limits;
#[path = "who/record.rs"]
mod record;
#[path = "who/subtle.rs"]
mod subtle;
#[path = "who/table.rs"]
mod table;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use harness::peers::{Peer, give, open_to_all};
use harness::{Home, file, root, scratch};
use serde_json::{Value, json};

pub(crate) const OWNER: u32 = 12345;
pub(crate) const OTHER: u32 = 65534;
pub(crate) const HOUR: u64 = 3600;

/// An agent over one root that anybody may write to, and its peers.
pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) at: PathBuf,
    pub(crate) root: Peer,
    pub(crate) owner: Peer,
    pub(crate) other: Peer,
}

impl World {
    pub(crate) fn new(agent: &str, more: &str) -> Self {
        let mut home = Home::new();
        let at = scratch(&home);
        home.configure(agent, &root(&at, more));
        open_to_all(&[at.parent().unwrap()]);
        fs::set_permissions(&at, fs::Permissions::from_mode(0o1777)).unwrap();
        home.start();
        home.until_root_is("ready");
        let socket = home.path("socket");
        let peer = |uid| Peer::of(uid, &socket);
        Self { at, root: peer(0), owner: peer(OWNER), other: peer(OTHER), home }
    }

    pub(crate) fn peer(&self, uid: u32) -> Peer {
        Peer::of(uid, &self.home.path("socket"))
    }

    /// A file of a user, so many hours old.
    pub(crate) fn file(&self, name: &str, uid: u32, hours: u64) -> PathBuf {
        let path = self.at.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        file(&path, 10, hours * HOUR + 5);
        give(&path, uid);
        path
    }

    /// Asks for something that must be done.
    pub(crate) fn done(&self, by: &Peer, method: &str, path: &str, body: &Value) -> Value {
        let answer = by.ask(method, path, body);
        assert!((200..300).contains(&answer.status), "uid {} {method} {path}: {answer:?}", by.uid);
        answer.body
    }

    pub(crate) fn swept(&self, body: &Value) -> Value {
        self.done(&self.root, "POST", "/v1/sweeps?wait=true", body)
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn paths(path: &Path) -> Value {
    json!({ "paths": [text(path)] })
}
