//! What is installed beside the program: units that systemd takes and that give little away,
//! scripts that are well formed, a package whose every file is there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(package().join(file)).unwrap_or_else(|why| panic!("{file}: {why}"))
}

fn files_in(dir: &str, ends: &[&str]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(package().join(dir)).unwrap();
    let is = |path: &PathBuf| path.extension().is_some_and(|end| ends.iter().any(|one| end == *one));
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is).collect();
    found.sort();
    assert!(!found.is_empty(), "{dir}");
    found
}

/// Runs a program and says what it said; `None`, with the reason told, where there is none.
fn run(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        eprintln!("skipped: there is no {program} here");
        return None;
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said))
}

/// The units as they are installed, with the program where it is now, each also with all drop-ins.
fn units() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for unit in files_in("systemd", &["service", "socket", "timer"]) {
        let text = std::fs::read_to_string(&unit).unwrap();
        let text = text.replace("/usr/bin/guardian", env!("CARGO_BIN_EXE_guardian"));
        std::fs::write(dir.path().join(unit.file_name().unwrap()), text).unwrap();
    }
    dir
}

#[test]
fn systemd_takes_every_unit_as_it_is() {
    let dir = units();
    let verify = |what: &str| {
        for unit in std::fs::read_dir(dir.path()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            let path = unit.path();
            // The manual pages are not installed here.
            let arguments = ["verify", "--man=no", "--recursive-errors=no", path.to_str().unwrap()];
            let Some((taken, said)) = run("systemd-analyze", &arguments) else { return };
            let name = unit.file_name();
            assert!(taken && !said.contains(name.to_str().unwrap()), "{} {what}: {said}", path.display());
        }
    };
    verify("alone");
    let drop_ins = dir.path().join("guardian.service.d");
    std::fs::create_dir(&drop_ins).unwrap();
    for file in files_in("systemd/drop-ins", &["conf"]) {
        // What is only shown there as a comment must be well formed as well.
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("\n#RequiresMountsFor", "\nRequiresMountsFor").replace("\n#IP", "\nIP");
        std::fs::write(drop_ins.join(file.file_name().unwrap()), text).unwrap();
    }
    verify("with all drop-ins");
}

#[test]
fn services_give_away_little_by_the_measure_of_systemd() {
    let dir = units();
    for unit in files_in("systemd", &["service"]) {
        let unit = dir.path().join(unit.file_name().unwrap());
        // 1.5 on the scale from 0 to 10.
        let arguments =
            ["security", "--offline=true", "--no-pager", "--threshold=15", unit.to_str().unwrap()];
        let Some((good, said)) = run("systemd-analyze", &arguments) else { return };
        eprintln!("{}", said.lines().last().unwrap_or_default());
        assert!(good, "{said}");
    }
}

/// The settings of a section, comments apart. A key may stand more than once.
fn settings(text: &str, section: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line == format!("[{section}]");
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) {
            found.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    found
}

#[test]
fn a_sweep_without_the_agent_has_the_same_rights_and_walls() {
    let agent = settings(&text_of("systemd/guardian.service"), "Service");
    let sweep = settings(&text_of("systemd/guardian-sweep.service"), "Service");
    let text = text_of("systemd/guardian.service");
    let walls = &text[text.find("\nCapabilityBoundingSet=").unwrap()..];
    let keys = walls.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let keys: Vec<_> = keys.map(|(key, _)| key).filter(|key| agent.contains_key(*key)).collect();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        assert_eq!(sweep.get(key), agent.get(key), "{key}");
    }
}

#[test]
fn the_socket_is_where_the_configuration_says() {
    let reference: toml::Table = text_of("config/guardian.toml").parse().unwrap();
    let socket = settings(&text_of("systemd/guardian.socket"), "Socket");
    assert_eq!(socket["ListenStream"], [reference["agent"]["socket"].as_str().unwrap()]);
    assert!(reference.get("root").is_none(), "the package must not guard anything by itself");
}

#[test]
fn scripts_are_well_formed() {
    let of = |dir: &str, names: &[&str]| -> Vec<PathBuf> {
        names.iter().map(|name| package().join(dir).join(name)).collect()
    };
    let mut sh = of("systemd/debian", &["postinst", "prerm", "postrm"]);
    sh.extend(of("systemd/rpm", &["post", "preun", "postun"]));
    let mut bash = of("systemd/packaging", &["stage", "build-deb", "build-rpm"]);
    bash.extend(of("tests/service", &["machine.sh"]));
    for (shell, scripts) in [("sh", sh), ("bash", bash)] {
        for script in scripts {
            let script = script.to_str().unwrap();
            assert_eq!(run(shell, &["-n", script]).unwrap(), (true, String::new()), "{script}");
            if let Some((good, said)) = run("shellcheck", &["-s", shell, script]) {
                assert!(good, "{said}");
            }
        }
    }
}

/// `(source, target)` of every file of both packages.
fn assets() -> Vec<(String, String)> {
    let manifest: toml::Table = text_of("Cargo.toml").parse().unwrap();
    let metadata = &manifest["package"]["metadata"];
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let deb = metadata["deb"]["assets"].as_array().unwrap().iter();
    let deb = deb.map(|asset| (text(&asset[0]), text(&asset[1])));
    let rpm = metadata["generate-rpm"]["assets"].as_array().unwrap().iter();
    let rpm = rpm.map(|asset| (text(&asset["source"]), text(&asset["dest"])));
    deb.chain(rpm).collect()
}

#[test]
fn every_file_of_the_packages_exists_and_every_unit_and_drop_in_is_in_them() {
    let assets = assets();
    let script = text_of("systemd/packaging/stage");
    for (source, _) in &assets {
        let dir = package().join(source);
        let beside = dir.parent().unwrap();
        match (source.strip_prefix("target/release/"), source.split_once('*')) {
            // Made by the script, which must name it.
            (Some(made), _) => {
                let name = made.rsplit('/').next().unwrap().trim_end_matches(".gz");
                assert!(script.contains(name.trim_start_matches('*')), "{source} is not made");
            }
            (None, Some((start, end))) => {
                let found = std::fs::read_dir(beside).unwrap().flatten().any(|entry| {
                    let path = entry.path();
                    let path = path.strip_prefix(package()).unwrap().to_str().unwrap();
                    path.starts_with(start) && path.ends_with(end)
                });
                assert!(found, "{source}");
            }
            (None, None) => assert!(package().join(source).is_file(), "{source}"),
        }
    }
    for (ends, place) in [
        (&["service", "socket", "timer"][..], "usr/lib/systemd/system/"),
        (&["catalog"], "usr/lib/systemd/catalog/"),
    ] {
        for file in files_in("systemd", ends) {
            let name = file.strip_prefix(package()).unwrap().to_str().unwrap().to_owned();
            let targets: Vec<_> = assets.iter().filter(|(source, _)| *source == name).collect();
            assert_eq!(targets.len(), 2, "{name} is in both packages: {targets:?}");
            assert!(targets.iter().all(|(_, target)| target.ends_with(place)), "{targets:?}");
        }
    }
}

#[test]
fn what_the_catalog_explains_is_known_after_installation_and_forgotten_after_removal() {
    for script in ["debian/postinst", "debian/postrm", "rpm/post", "rpm/postun"] {
        assert!(text_of(&format!("systemd/{script}")).contains("journalctl --update-catalog"), "{script}");
    }
}

#[test]
fn the_timer_is_enabled_by_nobody_but_the_administrator() {
    let enabling = ["deb-systemd-helper enable", "systemctl --no-reload preset", "systemctl preset"];
    for script in ["debian/postinst", "rpm/post"] {
        for line in text_of(&format!("systemd/{script}")).lines() {
            let enables = enabling.iter().any(|command| line.contains(command));
            assert!(!(enables && line.contains("guardian-sweep")), "{script}: {line}");
        }
    }
}

#[test]
fn no_cause_that_passes_makes_systemd_give_up_on_the_agent() {
    let service = settings(&text_of("systemd/guardian.service"), "Service");
    assert_eq!(service["Restart"], ["on-failure"]);
    // Any limit is reached some day: clients of the socket start it too, and it starts the socket.
    for unit in ["guardian.service", "guardian.socket"] {
        let unit = settings(&text_of(&format!("systemd/{unit}")), "Unit");
        assert_eq!(unit["StartLimitIntervalSec"], ["0"]);
    }
    // Or the agent starts at last, and its socket fails because of the clients before.
    let socket = settings(&text_of("systemd/guardian.socket"), "Socket");
    let seconds = |value: &str| value.strip_suffix('s').unwrap().parse::<u32>().unwrap();
    assert!(seconds(&socket["TriggerLimitIntervalSec"][0]) * 2 <= seconds(&service["RestartSec"][0]));
}

#[test]
fn what_the_timer_begins_is_unattended() {
    let sweep = settings(&text_of("systemd/guardian-sweep.service"), "Service");
    assert!(sweep["ExecStart"][0].contains(" --unattended"), "{:?}", sweep["ExecStart"]);
}

#[test]
fn the_package_is_of_this_version() {
    let changelog = text_of("systemd/debian/changelog");
    let newest = changelog.lines().next().unwrap();
    let version = format!("storage-guardian ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(newest.starts_with(&version), "systemd/debian/changelog begins with {newest}");
    assert!(text_of("tests/service/package.rs").contains(&format!("\"{}-1\"", env!("CARGO_PKG_VERSION"))));
}
