//! The house stands as its plan says: which room may know which, and where
//! the dangerous things live. Source is read, not compiled: a file that is
//! left out by a feature is judged like the rest.

#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/tokens.rs"]
mod tokens;

use std::path::{Path, PathBuf};

use paths::Source;
use rules::{EXCEPTIONS, FLOORS, LONG, Rule, Violation, check};

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).unwrap_or_else(|why| panic!("{}: {why}", dir.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The sources of this package.
fn house() -> Vec<Source> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let name = path.strip_prefix(package).unwrap_or(&path).to_string_lossy().into_owned();
        Source::read(&name, &text)
    };
    rust_files(&package.join("src")).into_iter().map(read).collect()
}

fn is_exception(violation: &Violation) -> bool {
    EXCEPTIONS.iter().any(|(rule, file, what, _)| {
        *rule == violation.rule && *file == violation.file && *what == violation.what
    })
}

fn holds(rule: Rule) {
    let broken: Vec<String> = check(&house())
        .iter()
        .filter(|violation| violation.rule == rule && !is_exception(violation))
        .map(ToString::to_string)
        .collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// What the checker finds in a house of the given files.
fn found_in(files: &[(&str, &str)]) -> Vec<(Rule, usize)> {
    let sources: Vec<_> = files.iter().map(|(name, text)| Source::read(name, text)).collect();
    check(&sources).into_iter().map(|violation| (violation.rule, violation.line)).collect()
}

const LIB: (&str, &str) = ("src/lib.rs", "pub mod model; pub mod policy; pub mod sys; pub mod api;");

#[test]
fn imports_point_downward_only() {
    holds(Rule::Floors);
}

#[test]
fn no_room_knows_one_that_it_must_not_know() {
    holds(Rule::Strangers);
}

#[test]
fn every_room_has_a_floor_and_a_name_that_says_something() {
    holds(Rule::Rooms);
}

#[test]
fn redb_is_known_to_the_store_alone() {
    holds(Rule::Redb);
}

#[test]
fn unsafe_code_lives_in_sys_alone() {
    holds(Rule::Unsafe);
}

#[test]
fn files_are_removed_in_two_places_only() {
    holds(Rule::Removals);
}

#[test]
fn only_the_execution_of_a_sweep_asks_for_removals() {
    holds(Rule::Executor);
}

#[test]
fn every_exception_is_still_needed() {
    let found = check(&house());
    for (rule, file, what, reason) in EXCEPTIONS {
        assert!(
            found.iter().any(|one| one.rule == *rule && one.file == *file && one.what == *what),
            "{file} no longer names {what} ({reason}): take the exception out"
        );
    }
}

#[test]
fn long_files_are_named_so_that_somebody_looks_for_a_second_subject() {
    for source in house() {
        let code = source.lines_outside_tests();
        if code > LONG {
            eprintln!("long: {} has {code} lines without its tests", source.file);
        }
    }
}

#[test]
fn the_sources_are_really_read() {
    let house = house();
    let named: usize = house.iter().map(|source| source.named.len()).sum();
    assert!(house.len() > 50 && named > 100, "{} files naming {named} paths", house.len());
    assert!(house.iter().any(|source| source.file == "src/sys/remove.rs"));
}

#[test]
fn an_upward_import_is_caught_in_every_spelling() {
    let spellings = [
        "use crate::sys::walk;",
        "use crate::{model::Job, sys::{walk, Seen}};",
        "use super::super::sys::walk;",
        "fn f() { crate::sys::walk(); }",
        "mod inner { use super::super::super::sys; }",
        "use guardian::sys;",
        "use super::{super::{sys}};",
        "macro_rules! m { () => { $crate::sys::walk() } }",
        "#[cfg(test)] mod tests { use crate::sys::walk; }",
    ];
    for text in spellings {
        let mut found = found_in(&[LIB, ("src/model/job.rs", text)]);
        found.dedup();
        assert_eq!(found, [(Rule::Floors, 1)], "{text}");
    }
}

#[test]
fn a_downward_import_and_one_within_the_room_are_not() {
    let spellings = [
        "use crate::model::{Job, JobId as Id}; use super::walk; use super::super::sys::lock;",
        "//! Unlike [`crate::api`]\n/* use crate::api; /* nested */ */ const S: &str = \"crate::api::X\";",
        "const R: &str = r#\"\" use crate::api; \"#; fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' }",
        "pub(in crate::sys) fn f() {} pub(crate) fn g() {} pub(super) fn h() {}",
        "mod tests { use super::*; mod deeper { use super::super::walk; } }",
    ];
    for text in spellings {
        assert_eq!(found_in(&[LIB, ("src/sys/dir.rs", text)]), [], "{text}");
    }
}

#[test]
fn hiding_behind_the_crates_root_is_caught() {
    for text in ["use crate as c;", "use crate::*;", "use crate::{self as c};", "use super::*;"] {
        assert_eq!(found_in(&[LIB, ("src/sys/mod.rs", text)]), [(Rule::Floors, 1)], "{text}");
    }
    let lib = ("src/lib.rs", "pub mod sys;\npub use sys::walk;");
    assert_eq!(found_in(&[lib]), [(Rule::Rooms, 2)]);
}

#[test]
fn a_stranger_is_caught_though_it_lives_below() {
    let planted = ("src/api/server.rs", "\nuse crate::sys::peer;");
    assert_eq!(found_in(&[LIB, planted]), [(Rule::Strangers, 2)]);
}

#[test]
fn a_room_without_a_floor_or_a_speaking_name_is_caught() {
    assert_eq!(found_in(&[("src/lib.rs", "pub mod attic;")]), [(Rule::Rooms, 1)]);
    assert_eq!(found_in(&[LIB, ("src/sys/utils.rs", "")]), [(Rule::Rooms, 1)]);
    assert!(FLOORS.iter().all(|(name, _)| !name.is_empty()));
}

#[test]
fn redb_and_unsafe_are_caught_outside_their_rooms() {
    let text = "use redb::Database;\nfn f() { unsafe { g() } }\n#[allow(unsafe_code)] fn h() {}";
    let planted = [(Rule::Redb, 1), (Rule::Unsafe, 2), (Rule::Unsafe, 3)];
    assert_eq!(found_in(&[LIB, ("src/policy/mod.rs", text)]), planted);
    assert_eq!(found_in(&[LIB, ("src/host.rs", text)]), planted);
    assert_eq!(found_in(&[("src/store/index.rs", text)]), planted[1..]);
    assert_eq!(found_in(&[("src/sys/lease.rs", text)]), planted[..1]);
}

#[test]
fn a_removal_is_caught_except_in_tests() {
    let text = "fn f() {\n std::fs::remove_file(p); rustix::fs::unlinkat(d, n, AtFlags::REMOVEDIR) }";
    let planted = ("src/api/server.rs", text);
    assert_eq!(found_in(&[LIB, planted]), [(Rule::Removals, 2); 3]);

    let in_tests = "#[cfg(test)]\n#[expect(dead_code)]\nmod tests { fn f() { std::fs::remove_file(p) } }";
    assert_eq!(found_in(&[LIB, ("src/api/server.rs", in_tests)]), []);
    let after = "#[cfg(test)] mod tests { fn f() {} }\nfn g() { std::fs::remove_dir_all(p) }";
    assert_eq!(found_in(&[LIB, ("src/api/server.rs", after)]), [(Rule::Removals, 2)]);
    let not_in_tests = "#[cfg(not(test))]\nfn f() { std::fs::remove_file(p) }";
    assert_eq!(found_in(&[LIB, ("src/api/server.rs", not_in_tests)]), [(Rule::Removals, 2)]);

    let parent = ("src/api/mod.rs", "#[cfg(test)] mod trial; mod server;");
    assert_eq!(found_in(&[LIB, parent, ("src/api/trial.rs", text)]), []);
    assert_eq!(found_in(&[LIB, parent, ("src/api/trial/deep.rs", text)]), []);
    assert_eq!(found_in(&[LIB, parent, planted]), [(Rule::Removals, 2); 3]);
}

#[test]
fn asking_for_verified_removal_is_caught_outside_the_execution() {
    let text = "use crate::sys::{Seen, remove::{verify, Unit}};";
    let lib = ("src/lib.rs", "pub mod sys; pub mod sweep;");
    assert_eq!(found_in(&[lib, ("src/sweep/execute.rs", text)]), []);
    assert_eq!(found_in(&[lib, ("src/sweep/run.rs", text)]), [(Rule::Executor, 1); 2]);
}
