//! What the configuration promises, told by examples.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::key::{self, KEYS, Scope};
use super::raw::RawTable;
use super::*;

mod errors;
mod hooks;
mod outside;
mod reference;

/// A disk on which only the given paths exist, without links.
struct Fake(&'static [&'static str]);

impl Probe for Fake {
    fn exists(&self, path: &Path) -> bool {
        self.0.iter().any(|one| path == Path::new(one))
    }
    fn resolve(&self, path: &Path) -> PathBuf {
        if path == Path::new("/link-to-etc") { PathBuf::from("/etc") } else { path.to_owned() }
    }
    fn device(&self, path: &Path) -> Option<u64> {
        path.starts_with("/volume").then_some(7)
    }
    fn program(&self, path: &Path) -> Program {
        match path.to_str() {
            Some("/missing") => Program::Missing,
            Some("/plain") => Program::NotExecutable,
            Some("/open") => Program::WritableByOthers,
            _ => Program::Fine,
        }
    }
}

fn as_root(vars: &[(&str, &str)]) -> Environment {
    let vars = vars.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Environment { vars, is_root: true, uid: 0 }
}

fn settle_all(
    files: &[&str],
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Settings, ConfigError> {
    let files = files.iter().enumerate().map(|(i, text)| SourceFile {
        path: PathBuf::from(format!("{i}.toml")),
        bytes: text.as_bytes().to_vec(),
    });
    let inputs = Inputs { files: files.collect(), environment, overrides, cwd: Path::new("/data/dir") };
    settle(&inputs, &Fake(&["/checkout/.git"]))
}

fn from_files(files: &[&str]) -> Result<Settings, ConfigError> {
    settle_all(files, &as_root(&[]), &Overrides::default())
}

fn problems(files: &[&str]) -> Vec<String> {
    match from_files(files) {
        Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn without_any_file_everything_has_its_default() {
    let settings = from_files(&[]).unwrap();
    assert_eq!(settings.agent.state_dir, Path::new("/var/lib/guardian"));
    assert_eq!(settings.agent.sweep_interval, Duration::from_secs(3600));
    assert_eq!(settings.agent.admin_group.as_deref(), Some("guardian"));
    assert!(settings.roots.is_empty() && settings.warnings.is_empty());
}

#[test]
fn scalars_override_and_lists_append_across_files() {
    let settings = from_files(&[
        "[[root]]\npath = '/scratch'\nhigh_water = 90\nprotect = ['a']\npatterns = ['x_{job}']\n",
        "[[root]]\nname = 'scratch'\nhigh_water = 80\nprotect = ['b']\npatterns = ['y_{job}']\n",
    ])
    .unwrap();
    let root = &settings.roots[0];
    assert_eq!(settings.roots.len(), 1);
    assert_eq!((root.marks.high, root.marks.low, root.marks.warning), (80.0, 70.0, 80.0));
    assert_eq!(root.protect, ["a", "b"]);
    assert_eq!(root.patterns, ["x_{job}", "y_{job}"], "the first list replaces the default");
}

#[test]
fn a_reset_clears_what_earlier_files_listed() {
    let settings = from_files(&[
        "[[root]]\npath = '/scratch'\nprotect = ['a']\n",
        "[[root]]\npath = '/scratch'\nprotect = ['b']\nprotect_reset = true\npatterns_reset = true\n",
    ])
    .unwrap();
    assert_eq!(settings.roots[0].protect, ["b"]);
    assert!(settings.roots[0].patterns.is_empty());
}

#[test]
fn a_drop_in_without_a_name_speaks_of_the_root_at_its_path() {
    let settings = from_files(&[
        "[[root]]\nname = 'fast'\npath = '/scratch'\n",
        "[[root]]\npath = '/scratch/'\n[root.retain]\norphans = '2h'\n",
    ])
    .unwrap();
    assert_eq!(settings.roots.len(), 1);
    assert_eq!(settings.roots[0].name.as_str(), "fast");
    assert_eq!(settings.roots[0].retain.orphans, Duration::from_secs(7200));
}

#[test]
fn marks_that_are_not_given_follow_the_high_one() {
    let marks = |text: &str| from_files(&[&format!("[[root]]\npath='/s'\n{text}")]).unwrap().roots[0].clone();
    let default = Marks { warning: 85.0, high: 95.0, low: 85.0 };
    assert_eq!(marks("").marks, default);
    assert_eq!(marks("high_water = 50").marks, Marks { warning: 50.0, high: 50.0, low: 40.0 });
    assert_eq!(marks("low_water = 70").marks, Marks { low: 70.0, ..default });
    assert_eq!(marks("inodes_high_water = 92.5").inode_marks, Marks { high: 92.5, low: 82.5, ..default });
}

#[test]
fn min_free_never_asks_for_more_than_the_low_mark_leaves() {
    const GIB: u64 = 1 << 30;
    assert_eq!(MinFree::Default.resolve(1000 * GIB, 85.0), Ok(GIB));
    assert_eq!(MinFree::Default.resolve(1000, 80.0), Ok(100));
    assert_eq!(MinFree::Bytes(0).resolve(0, 85.0), Ok(0));
    assert_eq!(MinFree::Bytes(199).resolve(1000, 80.0), Ok(199));
    assert_eq!(MinFree::Bytes(200).resolve(1000, 80.0).unwrap_err().limit, 200);
}

#[test]
fn temporary_directories_are_fine_and_system_directories_are_not() {
    for path in
        ["/tmp", "/var/tmp", "/dev/shm", "/dev/shm/x", "/run/user/1000", "/scratch", "/home/u/tmp", "/mnt/x"]
    {
        assert!(!is_system_path(Path::new(path)), "{path}");
    }
    for path in [
        "/",
        "/etc",
        "/etc/x",
        "/usr/local",
        "/var",
        "/var/lib",
        "/home",
        "/home/u",
        "/root",
        "/dev",
        "/run/user",
    ] {
        assert!(is_system_path(Path::new(path)), "{path}");
    }
}

#[test]
fn what_is_shown_reads_back_to_the_same_settings() {
    let first = from_files(&[
        "[agent]\nsweep_interval='90m'\n[[root]]\npath='/s'\nname='a.b'\nprotect=['q\"\\\\x','ü']\nhigh_water=50\ncapacity=12345\n[root.limits]\nbatch=7\n",
    ])
    .unwrap();
    let text = first.show();
    let second = from_files(&[&text]).unwrap();
    assert_eq!(first.agent, second.agent);
    let mut root = second.roots[0].clone();
    root.path_origin = first.roots[0].path_origin.clone();
    assert_eq!(first.roots[0], root);
    assert!(text.contains("low_water = 40 # derived from high_water"), "{text}");
    assert!(text.contains("sweep_interval = \"90m\" # 0.toml:2:16"), "{text}");
    assert!(text.contains("automatic = true\n"), "{text}");
    assert_eq!(first.show_json()["roots"][0]["limits.batch"]["value"], 7);
    assert_eq!(first.show_json()["agent"]["automatic"]["origin"], "default");
}

#[test]
fn every_key_reaches_the_settings() {
    // A key that the checks never take would be silently without effect.
    let settings = from_files(&["[[root]]\npath = '/s'\n"]).unwrap();
    for key in KEYS.iter().filter(|key| key.scope != Scope::Hook) {
        let reset = key.name.ends_with("_reset");
        let shown = settings.shown.iter().any(|table| {
            table.heading == key.scope.heading() && table.values.iter().any(|(n, ..)| *n == key.name)
        });
        assert!(shown || reset, "{}", key.name);
    }
}

#[test]
fn files_are_read_in_name_order_and_only_the_default_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("guardian.toml");
    let env = as_root(&[]);
    let missing = load(Some(&file), &env, &Overrides::default(), Path::new("/")).unwrap_err().to_string();
    assert!(
        missing.contains("failed to read configuration") && missing.contains("guardian.toml"),
        "{missing}"
    );
    std::fs::write(&file, "[agent]\nworkers = 1\n").unwrap();
    let drop_ins = dir.path().join("guardian.d");
    std::fs::create_dir(&drop_ins).unwrap();
    for (name, workers) in [("20.toml", 3), ("10.toml", 2), (".30.toml", 4), ("40.txt", 5)] {
        std::fs::write(drop_ins.join(name), format!("[agent]\nworkers = {workers}\n")).unwrap();
    }
    let settings = load(Some(&file), &env, &Overrides::default(), Path::new("/")).unwrap();
    assert_eq!(settings.agent.workers, 3);
    let named = as_root(&[("GUARDIAN_CONFIG", file.to_str().unwrap())]);
    assert_eq!(load(None, &named, &Overrides::default(), Path::new("/")).unwrap().agent.workers, 3);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let environment = as_root(&[]);
        let overrides = Overrides::default();
        let files = vec![SourceFile { path: "x".into(), bytes }];
        let _ = settle(&Inputs { files, environment: &environment, overrides: &overrides, cwd: Path::new("/") }, &Fake(&[]));
    }

    #[test]
    fn no_value_of_any_key_makes_it_panic(
        index in 0..KEYS.len(),
        value in "(-?[0-9]{1,25}|[0-9]{1,3}\\.[0-9]e[0-9]{1,3}|nan|inf|true|'[^'\\n]{0,12}'|\\[('[^'\\n]{0,6}',?){0,2}\\]|\\{a=1\\}|1979-05-27)",
    ) {
        let key = &KEYS[index];
        let heading = match key.scope { Scope::Agent => "[agent]", Scope::Root => "[[root]]\npath='/s'", Scope::Hook => "[[alert_hook]]" };
        let result = from_files(&[&format!("{heading}\n{} = {value}\n", key.name)]);
        match result {
            Ok(settings) => { let again = from_files(&[&settings.show()]); prop_assert!(again.is_ok(), "{:?}", again) }
            Err(error) => prop_assert!(error.to_string().contains("0.toml:")),
        }
    }
}
