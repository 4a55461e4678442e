//! `guardian import tmpfiles` from outside: its exit codes, what it prints, and
//! that guardian by it takes nothing that systemd-tmpfiles leaves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use assert_cmd::prelude::*;
use serde_json::Value;

/// A place for configuration and state of its own.
struct Home(tempfile::TempDir);

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn say(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = Command::cargo_bin("guardian").unwrap();
        command.args(arguments).current_dir(self.0.path()).env("NO_COLOR", "1");
        command.env("XDG_STATE_HOME", self.0.path().join("state"));
        command.env("XDG_RUNTIME_DIR", self.0.path().join("run")).env_remove("GUARDIAN_SOCKET");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Who does not read it may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn import(&self, files: &[&str], input: &str) -> Said {
        self.say(&[&["import", "tmpfiles"], files].concat(), input)
    }

    /// What `config check` says of it.
    fn checked(&self, configuration: &str) -> Said {
        let path = self.file("checked.toml", configuration);
        self.say(&["config", "check", "--config", path.to_str().unwrap()], "")
    }
}

#[test]
fn what_is_printed_is_a_configuration_that_the_check_accepts() {
    let home = Home::new();
    let host = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tmpfiles/tests/host.conf");
    let mut cases = vec![home.import(&[host], ""), home.import(&["-"], "")];
    for said in &cases {
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.err.starts_with("guardian: from 1 file: "), "{}", said.err);
        assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    }
    // What this machine has, all and each; who knows what a later systemd brings.
    cases.push(home.import(&[], ""));
    for file in std::fs::read_dir("/usr/lib/tmpfiles.d").into_iter().flatten().flatten() {
        cases.push(home.import(&[file.file_name().to_str().unwrap()], ""));
    }
    for said in &cases {
        assert!(matches!(said.code, 0 | 1), "{}", said.err);
        let checked = home.checked(&said.out);
        assert_eq!(checked.code, 0, "{}\n{}", checked.err, said.out);
    }
    assert!(cases[0].out.contains("\n[[root]]\nname = \"tmp\"\n"));
}

#[test]
fn it_writes_nothing() {
    let home = Home::new();
    home.import(&["-"], "d /data - - - 1d");
    assert_eq!(std::fs::read_dir(home.0.path()).unwrap().count(), 0);
}

#[test]
fn lines_that_cannot_be_read_are_all_named_and_the_others_imported() {
    let home = Home::new();
    home.file("t.conf", "d /data - - - 1d\nd data\n\nd /b - - - 1x\n");
    let said = home.import(&["-q", "./t.conf"], "");
    assert_eq!(said.code, 1);
    let lines: Vec<_> = said.err.lines().collect();
    assert_eq!(lines[0], "guardian: failed to read ./t.conf:2:3: the path is not absolute");
    assert!(
        lines[1].starts_with("guardian: failed to read ./t.conf:4:12: \"1x\" is not an age"),
        "{}",
        lines[1]
    );
    assert_eq!(lines.len(), 2);
    assert!(said.out.contains("path = \"/data\""));
    assert_eq!(home.checked(&said.out).code, 0);
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_usage() {
    let home = Home::new();
    home.file("t.conf", "d /data - - - 1d\n");
    for (file, cause) in [
        ("./none.conf", "failed to read ./none.conf: No such file"),
        ("/", "failed to read /: "),
        ("t.conf", "t.conf is in none of /etc/tmpfiles.d, "),
    ] {
        let said = home.import(&[file], "");
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{file}");
        assert!(
            said.err.starts_with("guardian: failed to import tmpfiles: ") && said.err.contains(cause),
            "{}",
            said.err
        );
    }
}

#[test]
fn json_is_one_object() {
    let home = Home::new();
    let said = home.import(&["--json", "-"], "d /data - - - 1d\nx /data/a\nd /b - - - ~1d\n");
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["roots"][0]["max_age"], "24h");
    assert_eq!(json["protected"][0]["glob"], "{a,a/*}");
    assert_eq!(
        (&json["not_imported"][0]["file"], &json["not_imported"][0]["line"]),
        (&"<stdin>".into(), &3.into())
    );
    assert!(json["differences"].as_array().unwrap().len() > 3);
    assert_eq!(home.checked(json["configuration"].as_str().unwrap()).code, 0);
}

#[test]
fn the_readme_shows_what_becomes_of_lines() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split("\n## Coming from ").nth(1).unwrap().split("\n## ").next().unwrap();
    let block = |from: &str, opening: &str| {
        from.split(opening).nth(1).unwrap().split("```").next().unwrap().to_owned()
    };
    let home = Home::new();
    let lines = block(section, "These lines\n\n```\n");
    home.file("builds.conf", &lines);
    let said = home.import(&["./builds.conf"], "");
    assert_eq!(said.code, 0, "{}", said.err);
    let shown = block(section, "```toml\n");
    assert!(said.out.contains(&shown), "{shown}\n{}", said.out);
    let of_cron = block(section.split("### cron and find").nth(1).unwrap(), "```toml\n");
    for configuration in [&shown, &of_cron] {
        assert_eq!(home.checked(configuration).code, 0, "{configuration}");
    }
}

/// All files beneath a directory.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.to_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn a_directory_that_is_a_link_is_no_root_and_is_named() {
    let home = Home::new();
    home.file("there/old", "x");
    symlink(home.0.path().join("there"), home.0.path().join("link")).unwrap();
    let place = home.0.path().display();
    let said = home.import(&["-"], &format!("d {place}/link - - - 1s\nd {place}/there - - - 1d\n"));
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.out.matches("\n[[root]]\n").count(), 1, "{}", said.out);
    let text = said.out.replace("\n# ", " ").replace("   ", " ");
    assert!(text.contains(&format!("<stdin>:1: {place}/link is a symbolic link")), "{}", said.out);
}

#[test]
fn guardian_takes_nothing_that_systemd_tmpfiles_leaves() {
    if !Path::new("/usr/bin/systemd-tmpfiles").exists() {
        eprintln!("skipped: there is no systemd-tmpfiles here");
        return;
    }
    let home = Home::new();
    let data = home.0.path().join("data");
    for name in [
        "old",
        "sub/old",
        "sub/deep/old",
        ".hidden",
        "keep/a",
        "keep/b/c",
        "keeper",
        "long/a",
        "short/a",
        "own",
        "own2/a",
        "boot/a",
        "star1",
        "star.x/a",
        "x/X/a",
        "a b",
        "lock.1",
        "lock.x",
    ] {
        home.file(&format!("data/{name}"), "x");
    }
    home.file("elsewhere/old", "x");
    symlink(home.0.path().join("elsewhere"), data.join("link")).unwrap();
    let lines: String = [
        ("d", "", "1s"),
        ("x", "/keep", "-"),
        ("d", "/long", "1d"),
        ("d", "/short", "0"),
        ("f", "/own", "-"),
        ("d", "/own2", "-"),
        ("d!", "/boot", "10d"),
        ("x", "/star*", "-"),
        ("x", "/x", "-"),
        ("X", "/x/X", "-"),
        ("x", "/lock.[0-9]", "-"),
        ("d", "/link", "1s"),
    ]
    .iter()
    .map(|(kind, path, age)| format!("{kind} {}{path} - - - {age}\n", data.display()))
    .collect();
    let lines = home.file("t.conf", &lines);
    let said = home.import(&[lines.to_str().unwrap()], "");
    assert_eq!(said.code, 0, "{}", said.err);
    let configuration = home.file("guardian.toml", &said.out);
    std::thread::sleep(Duration::from_millis(2_500));

    let plan = home.say(
        &["sweep", "--root", "data", "--dry-run", "--json", "--config", configuration.to_str().unwrap()],
        "",
    );
    assert_eq!(plan.code, 0, "{}", plan.err);
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    let actions = plan["actions"].as_array().unwrap();
    let planned: BTreeSet<_> = actions.iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect();

    let before = files(&data);
    // Of this tree only, whatever else the machine has.
    let prefix = format!("--prefix={}", data.display());
    let cleaned = Command::new("systemd-tmpfiles").args(["--clean", &prefix]).arg(&lines).output().unwrap();
    assert!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
    let after = files(&data);
    let taken: BTreeSet<_> = before.difference(&after).cloned().collect();
    let too_many: Vec<_> = planned.difference(&taken).collect();
    assert!(too_many.is_empty(), "guardian would take, systemd-tmpfiles left: {too_many:?}\n{}", said.out);
    assert!(data.join("link").is_symlink() && home.0.path().join("elsewhere/old").exists());
    for name in ["old", "sub/deep/old", ".hidden", "boot/a", "short/a", "a b", "lock.x"] {
        assert!(planned.contains(data.join(name).to_str().unwrap()), "{name} stays: {planned:?}");
    }
}
