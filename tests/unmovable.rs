//! What was given up and can't be moved: it stays in its place, or is refused,
//! and the reason is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(clippy::print_stderr, reason = "what is skipped or measured is told there")]

#[allow(dead_code, reason = "shared by several files of tests, none of which needs all of it")]
mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::given_up::{body, id, items, kept, removals, started, text, until_queue_is_empty};
use harness::volumes::{bind, inside, loop_mounted, overlay, remount, tmpfs};
use harness::{Home, file, root, scratch};
use serde_json::Value;

const MIB: usize = 1 << 20;

#[test]
fn a_private_directory_that_was_replaced_ends_deferral_and_takes_nothing() {
    let (home, root_dir) = started("", "");
    file(&root_dir.join("a"), 10, 0);
    fs::rename(root_dir.join(".guardian"), root_dir.join("away")).unwrap();
    fs::create_dir(root_dir.join(".guardian")).unwrap();
    fs::set_permissions(root_dir.join(".guardian"), fs::Permissions::from_mode(0o700)).unwrap();
    for verb in [&["delete"][..], &["trash", "put"]] {
        let (code, _, err) = home.run(&[verb, &[text(&root_dir.join("a"))]].concat());
        assert_eq!(code, 5, "{err}");
        assert!(err.contains("taken its place"), "{err}");
    }
    assert!(root_dir.join("a").exists());
    assert_eq!(fs::read_dir(root_dir.join(".guardian")).unwrap().count(), 0);
    home.until("an alert", |home| home.log().contains("private directory is not usable").then_some(()));
}

#[test]
fn on_a_full_volume_entries_stay_in_their_place_and_go_from_there() {
    if !inside("on_a_full_volume_entries_stay_in_their_place_and_go_from_there") {
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    tmpfs(&volume, 8).unwrap();
    home.configure("automatic = false", &root(&volume, ""));
    home.start();
    home.until_root_is("ready");
    file(&volume.join("a"), 4096, 0);
    fs::create_dir(volume.join("tree")).unwrap();
    file(&volume.join("tree/b"), 4096, 0);
    let _ = fs::write(volume.join("fill"), vec![1; 16 * MIB]);
    let given = items(&home, &["delete", text(&volume.join("a")), text(&volume.join("tree"))]);
    assert!(given.iter().all(|item| item["moved"] == false), "{given:?}");
    assert!(volume.join("a").exists() && volume.join("tree/b").exists());
    home.done(&["queue", "run"]);
    assert!(!volume.join("a").exists() && !volume.join("tree").exists());
    assert_eq!(body(&home, &["queue", "stats"])["total_pending"], 0);
    // One that was changed since is another file.
    file(&volume.join("c"), 4096, 0);
    let _ = fs::write(volume.join("fill2"), vec![1; 16 * MIB]);
    home.done(&["delete", text(&volume.join("c"))]);
    fs::remove_file(volume.join("fill")).unwrap();
    fs::write(volume.join("c"), "changed").unwrap();
    home.done(&["queue", "run"]);
    assert_eq!(fs::read_to_string(volume.join("c")).unwrap(), "changed");
    assert_eq!(body(&home, &["queue", "stats"])["total_pending"], 0);
}

#[test]
fn a_tree_with_a_mount_beneath_is_refused() {
    if !inside("a_tree_with_a_mount_beneath_is_refused") {
        return;
    }
    let (home, root_dir) = started("", "");
    fs::create_dir_all(root_dir.join("tree/deep/mounted")).unwrap();
    fs::create_dir(home.path("elsewhere")).unwrap();
    fs::write(home.path("elsewhere/safe"), "safe").unwrap();
    bind(&home.path("elsewhere"), &root_dir.join("tree/deep/mounted")).unwrap();
    for verb in [&["delete"][..], &["trash", "put"]] {
        let (code, _, err) = home.run(&[verb, &[text(&root_dir.join("tree"))]].concat());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("mounted"), "{err}");
    }
    assert!(home.path("elsewhere/safe").exists() && root_dir.join("tree/deep/mounted/safe").exists());
}

/// Sets or takes away an attribute of an inode (chattr(1)); `false`: it can't be had here.
fn chattr(change: &str, path: &Path) -> bool {
    let done = Command::new("chattr").arg(change).arg(path).output();
    let why = match done {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(why) => why.to_string(),
    };
    eprintln!("skipped: chattr {change} can't be: {why}");
    false
}

/// Gives an attribute back even when the test fails, so that its directory can go.
struct Attribute<'a>(&'a str, &'a Path);

impl Drop for Attribute<'_> {
    fn drop(&mut self) {
        chattr(self.0, self.1);
    }
}

#[test]
fn what_an_immutable_or_append_only_directory_holds_stays_until_it_may_go() {
    for (set, unset) in [("+i", "-i"), ("+a", "-a")] {
        let (home, root_dir) = started("", "[root.limits]\nmax_attempts = 9");
        let dir = root_dir.join("closed");
        fs::create_dir(&dir).unwrap();
        let path = dir.join("one");
        file(&path, 10, 0);
        if !chattr(set, &dir) {
            return;
        }
        let open_again = Attribute(unset, &dir);
        let given = items(&home, &["delete", text(&path)]);
        assert_eq!(given[0]["moved"], false, "{given:?}");
        let waiting = items(&home, &["queue", "list"]);
        let why = waiting[0]["last_error"].as_str().unwrap();
        assert!(why.contains("os error 1"), "{why}");
        home.run(&["queue", "run"]);
        assert!(path.exists());
        let why = items(&home, &["queue", "list"])[0]["last_error"].as_str().unwrap().to_owned();
        assert!(why.contains("remove") && why.contains("os error 1"), "{why}");
        drop(open_again);
        home.done(&["queue", "retry", &id(&waiting[0])]);
        until_queue_is_empty(&home);
        assert!(!path.exists());
        home.until("the removal is on record", |home| {
            (removals(home).get(text(&path)).map(|counts| counts.0) == Some(1)).then_some(())
        });
    }
}

#[test]
fn what_lies_in_a_lower_layer_goes_from_its_place_where_it_can_not_be_moved() {
    if !inside("what_lies_in_a_lower_layer_goes_from_its_place_where_it_can_not_be_moved") {
        return;
    }
    let mut home = Home::new();
    let layers = home.path("layers");
    // Layers on a file system of their own: the temporary directory may be an overlay itself.
    tmpfs(&layers, 16).unwrap();
    for name in ["lower/tree", "upper", "work", "merged"] {
        fs::create_dir_all(layers.join(name)).unwrap();
    }
    file(&layers.join("lower/one"), 10, 0);
    file(&layers.join("lower/tree/inner"), 10, 0);
    let merged = layers.join("merged");
    if let Err(why) = overlay(&layers, &merged) {
        eprintln!("skipped: no overlay can be mounted: {why}");
        return;
    }
    home.configure("", &root(&merged, ""));
    home.start();
    home.until_root_is("ready");
    // A directory of a lower layer can't be renamed (EXDEV).
    let given = items(&home, &["delete", text(&merged.join("tree")), text(&merged.join("one"))]);
    let moved = |path: &Path| {
        let one =
            given.iter().find(|one| one["file_path"] == text(path)).unwrap_or_else(|| panic!("{given:?}"));
        one["moved"].clone()
    };
    assert_eq!(moved(&merged.join("tree")), false, "{given:?}");
    until_queue_is_empty(&home);
    assert!(!merged.join("tree").exists() && !merged.join("one").exists());
    assert!(layers.join("lower/tree/inner").exists(), "a layer below is never touched");
}

#[test]
fn on_a_volume_that_became_read_only_nothing_is_taken_and_the_reason_is_told() {
    if !inside("on_a_volume_that_became_read_only_nothing_is_taken_and_the_reason_is_told") {
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = loop_mounted("ext4", &home.path("image"), &volume, 32) {
        eprintln!("skipped: no ext4 can be mounted: {why}");
        return;
    }
    home.configure("automatic = false", &root(&volume, "[root.limits]\nmax_attempts = 9"));
    home.start();
    home.until_root_is("ready");
    let (first, second) = (volume.join("first"), volume.join("second"));
    file(&first, 4096, 0);
    file(&second, 4096, 0);
    let given = items(&home, &["trash", "put", text(&first)]);
    assert_eq!(given[0]["moved"], true, "{given:?}");
    // As ext4 does it after an error of the disk.
    remount(&volume, "abort").unwrap();
    let (code, out, err) = home.run(&["delete", "--json", text(&second)]);
    assert_eq!(code, 0, "{out}{err}");
    let given: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(given["items"][0]["moved"], false, "{given}");
    let waiting = items(&home, &["queue", "list"]);
    assert!(waiting[0]["last_error"].as_str().unwrap().contains("os error 30"), "{waiting:?}");
    assert_eq!(home.run(&["queue", "run"]).0, 1, "what failed is told");
    let waiting = items(&home, &["queue", "list"]);
    assert!(waiting[0]["last_error"].as_str().unwrap().contains("os error 30"), "{waiting:?}");
    let (code, _, err) = home.run(&["trash", "restore", &id(&items(&home, &["trash", "list"])[0])]);
    assert!(code != 0 && err.contains("os error 30"), "{code}: {err}");
    assert!(second.exists() && !first.exists());
}

#[test]
fn a_state_volume_without_room_keeps_nothing_that_was_given_up_from_going_in_an_emergency() {
    if !inside("a_state_volume_without_room_keeps_nothing_that_was_given_up_from_going_in_an_emergency") {
        return;
    }
    for by_itself in [false, true] {
        let mut home = Home::new();
        let state = home.path("small");
        tmpfs(&state, 96).unwrap();
        let root_dir = scratch(&home);
        let marks = "capacity = \"32MiB\"\nhigh_water = 90\nlow_water = 50";
        let agent = format!(
            "automatic = {by_itself}\nstate_dir = {:?}\nsample_interval = \"1s\"",
            state.join("state")
        );
        home.configure(&agent, &root(&root_dir, marks));
        home.start();
        home.until_root_is("ready");
        let named = |prefix: &str, count: usize| -> Vec<PathBuf> {
            (0..count).map(|number| root_dir.join(format!("{prefix}_{number}"))).collect()
        };
        let (deferred, trash) = (named("deferred", if by_itself { 0 } else { 8 }), named("trash", 16));
        for path in deferred.iter().chain(&trash) {
            file(path, MIB, 0);
        }
        let ask = |verb: &[&str], paths: &[PathBuf]| {
            let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
            home.done(&[verb, &paths].concat());
        };
        if !by_itself {
            ask(&["delete"], &deferred);
        }
        ask(&["trash", "put"], &trash);
        // Not a byte is left for the ledger.
        let mut fill = fs::File::create(state.join("fill")).unwrap();
        while std::io::Write::write(&mut fill, &[1; 4096]).is_ok_and(|written| written > 0) {}
        for number in 0..14 {
            file(&root_dir.join(format!("new_{number}.tmp")), MIB, 0);
        }
        if by_itself {
            home.until("the emergency empties the trash", |_| {
                (kept(&root_dir, "trash").0 <= 4).then_some(())
            });
        } else {
            let report = body(&home, &["sweep", "emergency"]);
            assert_eq!(report["target_reached"], true, "{report}");
            assert_eq!(kept(&root_dir, "queue").0, 0, "{report}");
            assert!(kept(&root_dir, "trash").0 <= 4, "{report}");
        }
        assert!((0..14).all(|number| root_dir.join(format!("new_{number}.tmp")).exists()));
    }
}
