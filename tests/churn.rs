//! Killed while four processes create, write, rename, link and remove, the
//! agent knows every file a moment after the last of them is done.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is measured or failed is told there")]

#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{Home, in_the_index, on_disk, root, scratch};

/// What a churning process is told: directory, seed, number of steps.
const CHURN: &str = "GUARDIAN_TEST_CHURN";

#[test]
#[ignore = "a process that another test starts"]
fn churner() {
    let Ok(told) = std::env::var(CHURN) else { return };
    let mut parts = told.splitn(3, ' ');
    let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
    let (mut state, steps) = (number() | 1, number());
    let dir = PathBuf::from(parts.next().unwrap());
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    // Others churn in the same names: what fails because of them is as it should be.
    for _ in 0..steps {
        let place = |random: &mut dyn FnMut(u64) -> u64| {
            let mut path = dir.clone();
            for _ in 0..random(3) {
                path.push(format!("d{}", random(6)));
            }
            path
        };
        let parent = place(&mut random);
        let other = place(&mut random);
        let (one, two) = (parent.join(format!("f{}", random(40))), other.join(format!("f{}", random(40))));
        let _ = match random(12) {
            0..4 => fs::write(&one, vec![0u8; random(9000) as usize]),
            4..6 => fs::create_dir_all(parent.join(format!("d{}", random(6)))),
            6 => fs::rename(&one, &two),
            7 => fs::rename(parent.join(format!("d{}", random(6))), other.join(format!("d{}", random(6)))),
            8 => fs::hard_link(&one, &two),
            9 => fs::remove_file(&one),
            10 => fs::remove_dir_all(parent.join(format!("d{}", random(6)))),
            _ => File::options().append(true).open(&one).and_then(|mut file| file.write_all(b"more")),
        };
    }
}

fn start_churn(dir: &Path, seed: u64, steps: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "churner", "--ignored", "--test-threads=1"])
        .env(CHURN, format!("{seed} {steps} {}", dir.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[test]
fn killed_in_the_middle_of_churn_it_knows_every_file_a_moment_later() {
    let long = std::env::var_os("GUARDIAN_LONG").is_some();
    let steps = if long { 100_000 } else { 10_000 };
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    home.start();
    home.until_root_is("ready");
    let mut churning: Vec<Child> =
        (1..=4).map(|seed| start_churn(&root_dir, seed * 7919, steps / 4)).collect();
    home.until("something is there", |_| (on_disk_count(&root_dir) > 30).then_some(()));
    home.kill();
    home.start();
    for child in &mut churning {
        assert!(child.wait().unwrap().success());
    }
    let end = Instant::now();
    let disk = on_disk(&root_dir);
    assert!(disk.len() > 20, "{} files", disk.len());
    let took = loop {
        let index = in_the_index(&home);
        if index == disk {
            break end.elapsed();
        }
        if end.elapsed() > Duration::from_secs(10) {
            let missing: Vec<_> = disk.iter().filter(|one| !index.contains(one)).take(10).collect();
            let wrong: Vec<_> = index.iter().filter(|one| !disk.contains(one)).take(10).collect();
            let inodes: Vec<u64> = missing.iter().map(|one| one.1).collect();
            let links: Vec<_> = disk.iter().filter(|one| inodes.contains(&one.1)).collect();
            panic!("not in the index: {missing:?}\nnot on disk: {wrong:?}\nall links on disk: {links:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    eprintln!("{steps} steps, {} files: the index agreed {took:?} after the last", disk.len());
    assert_eq!(home.stop(), Some(0));
}

fn on_disk_count(root: &Path) -> usize {
    walkdir::WalkDir::new(root)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|one| !one.file_type().is_dir())
        .count()
}
