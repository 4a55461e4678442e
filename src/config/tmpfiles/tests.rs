//! What the import promises, told by examples and against a model of systemd-tmpfiles.

use std::path::{Path, PathBuf};

use super::*;
use crate::config::{Environment, Inputs, Overrides, Settings, settle};

mod model;
mod reading;

/// A disk on which `/volume` is one of its own, `/link` leads to `/data`,
/// `/data/to` elsewhere, and `/data/checkout` is a checkout.
pub(super) struct Fake;

impl Probe for Fake {
    fn exists(&self, path: &Path) -> bool {
        path == Path::new("/data/checkout/.git")
    }
    fn resolve(&self, path: &Path) -> PathBuf {
        path.strip_prefix("/link").map_or_else(|_| path.to_owned(), |rest| Path::new("/data").join(rest))
    }
    fn is_link(&self, path: &Path) -> bool {
        path == Path::new("/link") || path == Path::new("/data/to")
    }
    fn device(&self, path: &Path) -> Option<u64> {
        Some(u64::from(path.starts_with("/volume")))
    }
}

fn from(text: &str) -> Import {
    import(&[SourceFile { path: PathBuf::from("t.conf"), bytes: text.as_bytes().to_vec() }], &Fake)
}

/// The text as the configuration that it is.
pub(super) fn settled(text: &str) -> Settings {
    let files = vec![SourceFile { path: PathBuf::from("import.toml"), bytes: text.as_bytes().to_vec() }];
    let environment = Environment { is_root: true, ..Environment::default() };
    let inputs =
        Inputs { files, environment: &environment, overrides: &Overrides::default(), cwd: Path::new("/") };
    settle(&inputs, &Fake).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Paths of the roots that are active.
fn active(import: &Import) -> Vec<&str> {
    import.roots.iter().filter(|root| root.refused.is_none()).map(|root| root.path.as_str()).collect()
}

fn globs(import: &Import) -> Vec<&str> {
    import.roots.iter().flat_map(|root| &root.protect).map(|one| one.glob.as_str()).collect()
}

/// What is said of the only line of a kind that something is said of.
fn only<T>(said: &[T], reason: impl Fn(&T) -> &str) -> &str {
    let [one] = said else { panic!("{} of them", said.len()) };
    reason(one)
}

#[test]
fn a_hosts_lines_become_this_configuration() {
    let text = from(include_str!("tests/host.conf")).to_toml();
    if std::env::var_os("GUARDIAN_WRITE_EXPECTED").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tmpfiles/tests/host.toml");
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, include_str!("tests/host.toml"));
    let settings = settled(&text);
    let ages: Vec<_> = settings
        .roots
        .iter()
        .map(|root| (root.path.to_str().unwrap(), root.retain.max_age.unwrap().as_secs() / 86_400))
        .collect();
    assert_eq!(ages, [("/tmp", 10), ("/var/tmp", 30), ("/srv/drop", 1), ("/var/cache/man", 7)]);
}

#[test]
fn no_default_of_guardian_takes_what_is_younger_than_the_age() {
    let settings = settled(&from("d /data/a - - - 10d").to_toml());
    let retain = &settings.roots[0].retain;
    let age = retain.max_age.unwrap();
    assert_eq!(age.as_secs(), 864_000);
    assert_eq!([retain.orphans, retain.emergency_orphans, retain.min_age], [age; 3]);
    assert!(!settings.roots[0].remove_empty_dirs);
}

#[test]
fn a_system_directory_is_written_as_a_comment_that_is_right_once_the_marks_are_off() {
    for line in ["d /var/lib/systemd/coredump - - - 3d", "d /data/checkout - - - 3d", "d / - - - 3d"] {
        let text = from(line).to_toml();
        assert_eq!(settled(&text).roots.len(), 0, "{line}");
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(code) if !code.is_empty() && !code.starts_with(' ') => code,
            _ => line,
        });
        let taken_off = settled(&lines.collect::<Vec<_>>().join("\n"));
        assert!(taken_off.roots[0].allow_system_root, "{line}");
    }
}

#[test]
fn an_inner_line_that_keeps_longer_is_protected_and_one_that_keeps_shorter_lives_longer() {
    let import = from("d /data - - - 10d\nd /data/long - - - 20d\nd /data/short - - - 1d");
    assert_eq!(active(&import), ["/data"]);
    assert_eq!(globs(&import), ["{long,long/*}"]);
    let of_lines: Vec<_> = import.differences.iter().filter(|one| one.source.is_some()).collect();
    assert!(of_lines[0].reason.contains("/data/long and what is in it stays for good"));
    assert!(of_lines[1].reason.contains("files in /data/short stay longer"));
}

#[test]
fn an_inner_line_by_other_times_is_protected_however_short_its_age() {
    let import = from("d /data - - - m:10d\nd /data/read - - - am:1d\nd /data/written - - - m:1d");
    assert_eq!(globs(&import), ["{read,read/*}"]);
}

#[test]
fn what_has_a_line_of_its_own_stays_whatever_its_type() {
    let import = from("d /data - - - 10d\nf /data/a/b\nz /data/c?\nd /data/d%m\nr! /data/boot\nf /elsewhere");
    assert_eq!(globs(&import), ["a/b", "{c*,c*/*}", "{d*,d*/*}"]);
    assert!(import.not_imported.is_empty());
}

#[test]
fn a_link_within_a_root_stays_and_what_lies_beyond_one_is_a_root() {
    let import = from("d /data - - - 10d\nd /data/to - - - 1d");
    assert_eq!((active(&import), globs(&import)), (vec!["/data"], vec!["{to,to/*}"]));
    assert_eq!(active(&from("d /link/a - - - 1d")), ["/link/a"]);
}

#[test]
fn lines_below_var_run_are_of_run_and_say_so() {
    let import = from("d /var//run/./a - - - 1d\nx /var/run/a/b\nx %t/a/c\nd /run/a - - - 2d");
    assert_eq!((active(&import), globs(&import)), (vec!["/run/a"], vec!["{b,b/*}", "{c,c/*}"]));
    assert!(import.roots[0].notes[0].contains("/var/run"), "{:?}", import.roots[0].notes);
    let reasons: Vec<_> = import.roots[0].protect.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons, ["excluded; /var/run is read as /run", "excluded"]);
    assert_eq!(
        only(&import.not_imported, |note| &note.reason),
        "an earlier line for the same path wins (t.conf:1)"
    );
    // Of the link itself systemd-tmpfiles speaks as it is.
    assert_eq!(from("d /var/run - - - 1d").roots[0].path, "/var/run");
    assert_eq!(active(&from("d /var/runs/a - - - 1d")), ["/var/runs/a"]);
}

#[test]
fn names_with_wildcards_in_them_are_protected_as_they_are() {
    let import = from("d /data - - - 10d\nf \"/data/a*{b},c]\\\\\"\nx /data/[[:digit:]]/x");
    assert_eq!(globs(&import), ["{a[*][{]b[}][,]c[]]\\\\,a[*][{]b[}][,]c[]]\\\\/*}", "*/x"]);
}

#[test]
fn lines_that_guardian_cannot_follow_are_named_with_the_reason() {
    for (line, reason) in [
        ("e /data/*/cache - - - 1h", "write a [[root]] for each"),
        ("d /data/a - - - ~1d", "(~)"),
        ("d /data/%b - - - 1d", "%b depends on"),
        ("d /data/../b - - - 1d", "\"..\""),
        ("d /data/a - - - infinity", "infinite"),
        ("d /data/a - - - 200y", "36500 days"),
        ("d! /data/a - - - 1d", "at boot only"),
        ("d /link/ - - - 1d", "/link is a symbolic link"),
        ("x /data/a", "excludes nothing"),
    ] {
        let import = from(line);
        assert!(import.roots.is_empty(), "{line}");
        let said = only(&import.not_imported, |note| &note.reason);
        assert!(said.contains(reason), "{line}: {said}");
        assert!(import.to_toml().contains("t.conf:1: "), "{line}");
    }
}

#[test]
fn a_second_line_for_a_path_has_no_effect_unless_the_first_counts_at_boot_only() {
    let import = from("d! /data - - - 1d\nd /data - - - 2d\nv /data/ - - - 3d");
    assert_eq!(import.roots[0].max_age, "2d");
    let of_third = import.not_imported.iter().find(|note| note.source.line == 3).unwrap();
    assert_eq!(of_third.reason, "an earlier line for the same path wins (t.conf:2)");
}

#[test]
fn one_place_under_two_names_is_one_root() {
    let import = from("d /data/a - - - 1d\nd /link/a/b - - - 2d");
    assert_eq!(active(&import), ["/data/a"]);
    assert!(only(&import.not_imported, |note| &note.reason).contains("/link/a/b is /data/a/b"));
}

#[test]
fn roots_of_one_last_name_get_names_of_their_own() {
    let import = from("d /tmp - - - 1d\nd /var/tmp - - - 1d\nd /a/var/tmp - - - 1d\nd /ü/\u{1} - - - 1d");
    let names: Vec<_> = import.roots.iter().map(|root| root.name.as_str()).collect();
    assert_eq!(names, ["tmp", "var-tmp", "_", "root-2"]);
    assert_eq!(settled(&import.to_toml()).roots.len(), 4);
}

#[test]
fn a_file_that_marks_the_top_of_a_volume_stays() {
    assert!(globs(&from("d /volume - - - 1d")).contains(&"{lost+found,lost+found/*}"));
    assert!(globs(&from("d /volume/a - - - 1d")).is_empty());
}

#[test]
fn lines_without_an_age_are_counted_and_nothing_is_made_of_them() {
    let import = from("d /data\nL /data/a - - - - /b\nr! /data/x\n\n# d /data - - - 1d\n");
    assert_eq!((import.lines_without_age, import.roots.len(), import.not_imported.len()), (3, 0, 0));
    assert!(import.to_toml().contains("None of them can be imported"));
}

#[test]
fn json_says_the_same_as_the_text() {
    let import = from("d /data - - - 10d\nx /data/a\ne /data/*/b - - - 1d\nd x");
    let json = import.to_json();
    assert_eq!(json["roots"][0]["path"], "/data");
    assert_eq!(json["protected"][0]["root"], "data");
    assert_eq!((&json["protected"][0]["file"], &json["protected"][0]["line"]), (&"t.conf".into(), &2.into()));
    assert_eq!(json["not_imported"][0]["text"], "e /data/*/b - - - 1d");
    assert_eq!(json["malformed"][0]["column"], 3);
    assert!(json["differences"][0]["reason"].is_string() && json["differences"][0].get("file").is_none());
    assert_eq!(json["configuration"], import.to_toml());
}
