//! How problems read, word for word.

use super::*;

#[test]
fn all_problems_are_named_at_once_with_place_key_found_and_allowed() {
    let text = "[agent]\nsate_dir = \"/x\"\nworkers = -1\nlog_format = 'xml'\n\n[[root]]\nname = \"scratch\"\npath = 'scratch'\nhigh_water = 120\n[root.retain]\norphans = 24\n";
    assert_eq!(
        problems(&[text]),
        [
            "0.toml:2:1: agent.sate_dir: found the unknown key \"sate_dir\"; allowed: did you mean state_dir? One of state_dir, socket, admin_group, automatic, dry_run, keep_files_for_debugging, sample_interval, sweep_interval, orphan_sweep_interval, reconcile_interval, rate_limit, workers, audit_retention, ballast, forecast_warning, metrics_textfile, metrics_listen, log_format",
            "0.toml:3:11: agent.workers: found -1; allowed: a whole number from 0 to 1024",
            "0.toml:4:14: agent.log_format: found \"xml\"; allowed: \"auto\" or \"text\" or \"json\" or \"journald\"",
            "0.toml:8:8: root.scratch.path: found \"scratch\"; allowed: an absolute path without \"..\"",
            "0.toml:9:14: root.scratch.high_water: found 120; allowed: a percentage from 1 to 100",
            "0.toml:11:11: root.scratch.retain.orphans: found 24; allowed: a duration such as \"90s\", \"15m\", \"24h\", \"30d\" or \"1h30m\" up to 36500d",
        ]
    );
}

#[test]
fn bad_syntax_names_its_place() {
    let found = problems(&["[agent]\nworkers = = 3\n", "[[root]]\npath = '/s'\nhigh_water = 0\n"]);
    assert!(found[0].starts_with("0.toml:2:11: found \"=\"; allowed: TOML ("), "{found:?}");
    assert!(
        found.iter().any(|line| line
            .starts_with("1.toml:3:14: root.s.high_water: found 0; allowed: a percentage from 1 to 100")),
        "{found:?}"
    );
}

#[test]
fn one_line_tells_what_is_wrong() {
    let root = "[[root]]\npath = '/s'\n";
    for (text, expected) in [
        ("root = 1", "0.toml:1:1: root: found a value of type integer; allowed: tables headed [[root]]"),
        ("[root]\npath = '/s'", "0.toml:1:2: root: found one table [root]; allowed: tables headed [[root]]"),
        (
            "workers = 2",
            "0.toml:1:1: workers: found the unknown key \"workers\"; allowed: workers in [agent]",
        ),
        ("[[root]]\nname = 'a'", "0.toml:1:1: root.a.path: found no path; allowed: path = \"/DIRECTORY\""),
        (
            "[[root]]\npath = '/etc'",
            "0.toml:2:8: root.etc.path: found \"/etc\", a system or home directory; allowed: a directory of temporary files, or allow_system_root = true for this root",
        ),
        (
            "[[root]]\npath = '/link-to-etc'",
            "0.toml:2:8: root.link-to-etc.path: found \"/link-to-etc\", which is /etc, a system or home directory; allowed: a directory of temporary files, or allow_system_root = true for this root",
        ),
        (
            "[[root]]\npath = '/checkout'",
            "0.toml:2:8: root.checkout.path: found \"/checkout\", a version-controlled checkout (it has .git); allowed: a directory of temporary files, or allow_system_root = true for this root",
        ),
        (
            "[agent]\nmetrics_listen = 'localhost:9743'",
            "0.toml:2:18: agent.metrics_listen: found \"localhost:9743\"; allowed: an IP address with a port such as \"127.0.0.1:9743\" or \"[::1]:9743\", or \"\" for none",
        ),
        (
            "[agent]\nmetrics_textfile = 'guardian.prom'",
            "0.toml:2:20: agent.metrics_textfile: found \"guardian.prom\"; allowed: an absolute path without \"..\", or \"\" for none",
        ),
        (
            "[agent]\nmetrics_textfile = '/s/in/guardian.prom'\n[[root]]\npath = '/s'",
            "0.toml:2:20: agent.metrics_textfile: found \"/s/in/guardian.prom\", beneath root s (/s); allowed: a path beneath no root: what lies there may be removed",
        ),
        (
            "[agent]\nballast = '1GiB'",
            "0.toml:2:11: agent.ballast: found \"1GiB\"; allowed: only the default \"0\" in this version",
        ),
    ] {
        assert_eq!(problems(&[text]), [expected]);
    }
    for (key, expected) in [
        (
            "orphans = '1h'",
            "0.toml:3:1: root.orphans: found the unknown key \"orphans\"; allowed: orphans in [root.retain]",
        ),
        (
            "retain = 3",
            "0.toml:3:10: root.retain: found a value of type integer; allowed: a table headed [root.retain]",
        ),
        (
            "warning = 97",
            "0.toml:3:11: root.s.warning: found warning 97 and high_water 95; allowed: warning at or below high_water",
        ),
        (
            "low_water = 95",
            "0.toml:3:13: root.s.low_water: found low_water 95 and high_water 95; allowed: low_water below high_water",
        ),
        (
            "high_water = 5",
            "0.toml:3:14: root.s.high_water: found 5; allowed: low_water too, when high_water is below 11",
        ),
        (
            "watch = 'fanotify'",
            "0.toml:3:9: root.s.watch: found \"fanotify\", which is not available in this version; allowed: \"auto\" or \"inotify\" or \"fanotify\" or \"none\"",
        ),
        (
            "protect = ['a', '/b']",
            "0.toml:3:17: root.s.protect: found \"/b\" (globs are relative to the root); allowed: a list of globs relative to the root, such as [\"*.out\", \"results/**\"]",
        ),
        (
            "patterns = ['{job']",
            "0.toml:3:13: root.s.patterns: found \"{job\" (of braces there are only {job} and {chunk}); allowed: a list of name patterns with one {job}, at most one {chunk}, and *, such as [\"job_{job}_*\"]",
        ),
        (
            "age_by = []",
            "0.toml:3:10: root.s.age_by: found []; allowed: a list with at least one of \"mtime\", \"ctime\", \"atime\", \"btime\"",
        ),
        (
            "capacity = '0'",
            "0.toml:3:12: root.s.capacity: found 0; allowed: a size above 0, or \"\" for none",
        ),
        (
            "retain.trash = '720h'\nunit = 'directory'",
            "0.toml:4:8: root.s.unit: found \"directory\"; allowed: \"file\" or \"tree\"",
        ),
        (
            "retain.orphans = '24'",
            "0.toml:3:18: root.s.retain.orphans: found \"24\"; allowed: a duration such as \"90s\", \"15m\", \"24h\", \"30d\" or \"1h30m\" up to 36500d",
        ),
    ] {
        assert_eq!(problems(&[&format!("{root}{key}\n")]), [expected], "{key}");
    }
}

#[test]
fn roots_must_be_apart() {
    let found = problems(&["[[root]]\npath='/s'\n[[root]]\npath='/s/deep/er'\n"]);
    assert_eq!(
        found,
        [
            "0.toml:4:6: root.er.path: found \"/s/deep/er\", beneath root s (/s); allowed: roots that do not contain one another"
        ]
    );
    let found = problems(&["[[root]]\nname='a'\npath='/s'\n", "[[root]]\nname='b'\npath='/s'\n"]);
    assert_eq!(found.len(), 1, "{found:?}");
    let found = problems(&["[[root]]\npath='/a/tmp'\n[[root]]\npath='/b/tmp'\n"]);
    assert!(found[0].contains("a name of its own for each root"), "{found:?}");
    let found = problems(&["[[root]]\nname='a'\npath='/a'\n[[root]]\nname='a'\npath='/b'\n"]);
    assert!(
        found[0].contains("a second root of this name or path (the first is at 0.toml:1:1)"),
        "{found:?}"
    );
}

#[test]
fn a_byte_that_is_not_utf8_names_its_place() {
    let files = vec![SourceFile { path: "x.toml".into(), bytes: b"[agent]\n# \xff\n".to_vec() }];
    let (environment, overrides) = (as_root(&[]), Overrides::default());
    let inputs = Inputs { files, environment: &environment, overrides: &overrides, cwd: Path::new("/") };
    let error = settle(&inputs, &Fake(&[])).unwrap_err().to_string();
    assert!(error.contains("x.toml:2:3: found a byte that is not UTF-8"), "{error}");
}

#[test]
fn a_path_that_is_refused_is_one_problem_and_not_what_follows_from_it_too() {
    assert_eq!(
        problems(&["[[root]]\npath = 'rel'\nhigh_water = 120\n"]),
        [
            "0.toml:2:8: root.path: found \"rel\"; allowed: an absolute path without \"..\"",
            "0.toml:3:14: root.high_water: found 120; allowed: a percentage from 1 to 100",
        ]
    );
}
