//! Names of jobs and of their directories.

use serde_json::json;

use super::place::{choose, name_of};
use super::*;

fn root(name: &str, patterns: &[&str]) -> RootResource {
    let value = json!({"name": name, "path": format!("/{name}"), "state": "ready", "patterns": patterns});
    serde_json::from_value(value).unwrap()
}

fn name(patterns: &[&str], id: &str) -> Result<String, String> {
    let named = name_of(&root("r", patterns), &JobId::parse(id).unwrap(), "run");
    named.map(|name| String::from_utf8(name).unwrap()).map_err(|failure| failure.to_string())
}

#[test]
fn a_directory_is_named_by_the_first_pattern_that_names_nothing_else() {
    let usual = ["job_{job}_chunk_{chunk}_*", "job_{job}_*", "job_{job}"];
    assert_eq!(name(&usual, "j1").unwrap(), "job_j1");
    assert_eq!(name(&["x-{job}.d", "{job}"], "j1").unwrap(), "x-j1.d");
    assert!(name(&["job_{job}_*"], "j1").unwrap_err().contains("no pattern of root r"));
    assert!(name(&[], "j1").unwrap_err().contains("no pattern"));
}

#[test]
fn no_directory_of_somebody_else_is_taken() {
    for id in [".", "..", ".guardian"] {
        assert!(name(&["{job}"], id).is_err(), "{id}");
        assert!(name(&["job_{job}"], id).is_ok(), "{id}");
    }
}

#[test]
fn the_root_is_the_one_that_is_named_or_the_only_one() {
    let (one, two) = ([root("a", &[])], [root("a", &[]), root("b", &[])]);
    let by = |text: &str| Some(RootName::parse(text).unwrap());
    assert_eq!(choose(&one, None, "run").unwrap().name.as_str(), "a");
    assert_eq!(choose(&two, by("b").as_ref(), "run").unwrap().name.as_str(), "b");
    let failure = choose(&two, None, "run").unwrap_err();
    assert_eq!((failure.exit, failure.help.as_deref()), (Exit::Usage, Some("say which with --root: a, b")));
    assert!(choose(&two, by("c").as_ref(), "run").unwrap_err().cause.contains("its roots: a, b"));
    assert!(choose(&[], None, "run").is_err());
    let mut gone = one;
    gone[0].state = crate::api::RootState::Suspended;
    assert_eq!(choose(&gone, None, "run").unwrap_err().exit, Exit::Refused);
}

#[test]
fn a_name_of_its_own_tells_when_and_by_whom() {
    let at = Timestamp::parse("2026-11-21T06:55:01Z").unwrap();
    assert_eq!(default_id(at, 4242).unwrap().as_str(), "exec-20261121T065501Z-4242");
}

#[test]
fn no_directory_is_made_where_others_could_put_something_else_in_its_place() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mut at = root("r", &["job_{job}"]);
    at.path = crate::model::WirePath::from_path(dir.path());
    let id = JobId::parse("j1").unwrap();
    let make = |mode| {
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        Place::make(&at, &id, "run")
    };
    let Err(failure) = make(0o777) else { panic!("anybody may rename it") };
    assert_eq!(failure.exit, Exit::Refused);
    assert!(failure.help.as_deref().is_some_and(|help| help.contains("chmod +t")), "{failure}");
    assert!(!dir.path().join("job_j1").exists());
    for mode in [0o1777, 0o775, 0o755] {
        make(mode).unwrap_or_else(|failure| panic!("{mode:o}: {failure}")).leave();
    }
}
