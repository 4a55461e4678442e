//! The rules of the house, and the few exceptions that have a reason.

use std::collections::BTreeSet;

use super::paths::Source;

/// Floor of each room. Imports point to the same floor or further down.
pub(crate) const FLOORS: [(&str, u8); 12] = [
    ("model", 0),
    ("policy", 1),
    ("config", 1),
    ("sys", 2),
    ("store", 3),
    ("watch", 4),
    ("ingest", 4),
    ("usage", 4),
    ("sweep", 4),
    ("api", 5),
    ("agent", 6),
    ("cli", 6),
];

/// Not upward, and yet not allowed.
const STRANGERS: [(&str, &str); 5] = [
    ("policy", "config"), // decisions take facts and rules, wherever these were written down
    ("api", "sys"),       // it sends commands
    ("api", "sweep"),
    ("cli", "store"), // what it needs comes through its `Host`
    ("cli", "sweep"),
];

/// Names that say nothing about what lives there.
const NAMELESS: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];

/// What takes a name out of a directory, of the kernel and of the standard library.
const REMOVALS: [&str; 7] =
    ["unlinkat", "unlink", "remove_file", "remove_dir", "remove_dir_all", "rmdir", "REMOVEDIR"];

/// The files that may remove: one for anybody's files after verification, one for guardian's own.
const REMOVERS: [&str; 2] = ["src/sys/remove.rs", "src/sys/own_file.rs"];

/// The files that may ask for the proof without which `sys::remove` removes nothing.
const EXECUTORS: [&str; 5] = [
    "src/sweep/execute.rs",
    "src/sweep/execute/kept.rs",
    "src/sweep/execute/tree.rs",
    "src/sweep/execute/tree_out.rs",
    "src/sweep/dirs.rs",
];

/// More lines than this, tests left out, are worth a look for a second subject.
pub(crate) const LONG: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// An import points upward.
    Floors,
    /// A room knows one that it must not know.
    Strangers,
    /// A room without a floor, or with a name that says nothing.
    Rooms,
    /// redb is known outside the store.
    Redb,
    /// `unsafe` outside `sys`.
    Unsafe,
    /// A removal outside the two files for it.
    Removals,
    /// Verified removal asked for by somebody else than the executor.
    Executor,
}

/// Exceptions: rule, file, what is named there, and why it may be.
pub(crate) const EXCEPTIONS: &[(Rule, &str, &str, &str)] = &[
    (
        Rule::Removals,
        "src/store/ledger/begin.rs",
        "remove_file",
        "the ledger's own half-made file, which a full volume left behind",
    ),
    (
        Rule::Removals,
        "src/agent/socket.rs",
        "remove_file",
        "a socket's file: ours at the stop, and one that nobody listens on any more before ours takes its place",
    ),
    (
        Rule::Removals,
        "src/sys/open_check.rs",
        "unlinkat",
        "the trial file that it has just made in guardian's private directory",
    ),
    (
        Rule::Removals,
        "src/store/audit/mod.rs",
        "remove_file",
        "segments of its own record past their retention, by number in the state directory",
    ),
    (
        Rule::Removals,
        "src/store/audit/segment.rs",
        "remove_file",
        "the segment that it has just made, when there is no room to preallocate it",
    ),
    (
        Rule::Executor,
        "src/sweep/vault/moving.rs",
        "sys::remove",
        "looks as before a removal, and renames instead",
    ),
    (
        Rule::Executor,
        "src/sweep/vault/returning.rs",
        "sys::remove",
        "renames from the private directory back to its owner, never over anything",
    ),
    (
        Rule::Removals,
        "src/agent/demo/stage.rs",
        "remove_dir_all",
        "the directory that the demonstration has made, and nobody else can enter",
    ),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) file: String,
    pub(crate) line: usize,
    /// What was named.
    pub(crate) what: String,
    pub(crate) why: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.why)
    }
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// Everything that breaks a rule, exceptions included.
pub(crate) fn check(sources: &[Source]) -> Vec<Violation> {
    let rooms = rooms(sources);
    let test_modules: BTreeSet<&[String]> =
        sources.iter().flat_map(|source| &source.test_modules).map(Vec::as_slice).collect();
    let mut found = Vec::new();
    for source in sources {
        let module = source.module();
        let only_tests = (1..=module.len()).any(|depth| test_modules.contains(&module[..depth]));
        check_names(source, &module, &mut found);
        // The binary stands above all floors.
        if let Some(room) = module.first().filter(|room| rooms.contains(room.as_str())) {
            check_imports(source, room, &mut found);
        } else if module.is_empty() {
            check_root(source, &rooms, &mut found);
        }
        check_words(source, only_tests, &mut found);
    }
    found
}

/// The rooms are what `src/lib.rs` names; other modules at the top are the binary's.
fn rooms(sources: &[Source]) -> BTreeSet<&str> {
    let lib = sources.iter().find(|source| source.file == "src/lib.rs");
    let tokens = lib.map_or(&[][..], |lib| &lib.tokens);
    tokens.windows(2).filter(|two| two[0].text == "mod").map(|two| two[1].text.as_str()).collect()
}

fn check_root(source: &Source, rooms: &BTreeSet<&str>, found: &mut Vec<Violation>) {
    for room in rooms.iter().filter(|room| floor(room).is_none()) {
        found.push(violation(Rule::Rooms, source, 1, room, format!("room {room} has no floor")));
    }
    for token in source.tokens.iter().filter(|token| token.text == "use") {
        let why = "the crate's root names rooms; a re-export there would hide where things live".to_owned();
        found.push(violation(Rule::Rooms, source, token.line, "use", why));
    }
}

fn check_names(source: &Source, module: &[String], found: &mut Vec<Violation>) {
    if let Some(name) = module.iter().find(|part| NAMELESS.contains(&part.as_str())) {
        let why = format!("a module called {name} says nothing about what lives there");
        found.push(violation(Rule::Rooms, source, 1, name, why));
    }
}

fn check_imports(source: &Source, room: &str, found: &mut Vec<Violation>) {
    for named in &source.named {
        let Some(other) = named.segments.first() else { continue };
        if other == room {
            continue;
        }
        match (floor(room), floor(other)) {
            (Some(own), Some(theirs)) if theirs > own => {
                let why = format!("{room} (floor {own}) imports {other} (floor {theirs})");
                found.push(violation(Rule::Floors, source, named.line, other, why));
            }
            (_, None) => {
                let why = format!("{room} names crate::{other}, which is no room");
                found.push(violation(Rule::Floors, source, named.line, other, why));
            }
            _ => {}
        }
        if STRANGERS.contains(&(room, other.as_str())) {
            let why = format!("{room} must not know {other}");
            found.push(violation(Rule::Strangers, source, named.line, other, why));
        }
        if named.segments.starts_with(&["sys".to_owned(), "remove".to_owned()])
            && !EXECUTORS.contains(&source.file.as_str())
            && room != "sys"
        {
            let why = "only the sweep's execution asks for removals".to_owned();
            found.push(violation(Rule::Executor, source, named.line, "sys::remove", why));
        }
    }
}

/// What a single word gives away.
fn check_words(source: &Source, only_tests: bool, found: &mut Vec<Violation>) {
    let in_room = |room: &str| source.file.starts_with(&format!("src/{room}/"));
    for (token, in_test) in source.tokens.iter().zip(&source.in_test) {
        let word = token.text.as_str();
        if word == "redb" && !in_room("store") {
            let why = "redb is known to the store alone".to_owned();
            found.push(violation(Rule::Redb, source, token.line, word, why));
        }
        if matches!(word, "unsafe" | "unsafe_code") && !in_room("sys") {
            let why = "unsafe code lives in sys alone".to_owned();
            found.push(violation(Rule::Unsafe, source, token.line, word, why));
        }
        let tested = only_tests || *in_test;
        if REMOVALS.contains(&word) && !tested && !REMOVERS.contains(&source.file.as_str()) {
            let why = format!("{word} outside {}", REMOVERS.join(" and "));
            found.push(violation(Rule::Removals, source, token.line, word, why));
        }
    }
}

fn violation(rule: Rule, source: &Source, line: usize, what: &str, why: String) -> Violation {
    Violation { rule, file: source.file.clone(), line, what: what.to_owned(), why }
}
