//! Bytes and inodes of one volume: each has its emergency, whatever the other needs.

use std::fs;
use std::path::Path;

use super::harness::volumes::{inside, tmpfs_of};
use super::harness::{self, Home, file, root};

use super::{HOUR, MIB};

fn inodes_used_percent(at: &Path) -> f64 {
    let stat = rustix::fs::statvfs(at).unwrap();
    (stat.f_files - stat.f_ffree) as f64 * 100.0 / stat.f_files as f64
}

/// 60 of 64 MiB belong to a job at work, so no removal helps the bytes; the
/// inodes are used by files that only age gives up.
fn both_past_their_marks(home: &mut Home, agent: &str) -> Option<std::path::PathBuf> {
    let volume = home.path("volume");
    if let Err(why) = tmpfs_of(&volume, "size=64m,nr_inodes=400") {
        eprintln!("skipped: {why}");
        return None;
    }
    home.configure(
        agent,
        &root(
            &volume,
            "warning = 50\nhigh_water = 80\nlow_water = 70\ninodes_high_water = 80\ninodes_low_water = 60",
        ),
    );
    Some(volume)
}

fn fill(home: &Home, volume: &Path) {
    home.done(&["job", "start", "alive"]);
    file(&volume.join("job_alive_data"), 60 * MIB, 2 * HOUR);
    for number in 0..340 {
        file(&volume.join(format!("small_{number}")), 0, 600 + number);
    }
    assert!(inodes_used_percent(volume) > 80.0);
}

#[test]
fn inodes_are_cleaned_where_bytes_cannot_be_helped() {
    if !inside("resources::inodes_are_cleaned_where_bytes_cannot_be_helped") {
        return;
    }
    let mut home = Home::new();
    let Some(volume) = both_past_their_marks(&mut home, "sample_interval = \"1s\"") else { return };
    home.start();
    home.until_root_is("ready");
    fill(&home, &volume);
    let report = home.until_cleaned();
    assert_eq!(report["resource"], "inodes", "{report}");
    assert!(inodes_used_percent(&volume) <= 60.0, "{report}");
    // No more than a batch beyond the target, the oldest first, and nothing of the job.
    let left = fs::read_dir(&volume).unwrap().count();
    assert!(left > 200 && volume.join("small_0").exists() && !volume.join("small_339").exists(), "{left}");
    assert!(volume.join("job_alive_data").exists());
    let bytes = home.reports().into_iter().find(|report| report["resource"] == "bytes").unwrap();
    assert_eq!((&bytes["target_reached"], &bytes["files_deleted"]), (&false.into(), &0.into()), "{bytes}");
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn a_dry_run_of_an_emergency_plans_for_both() {
    if !inside("resources::a_dry_run_of_an_emergency_plans_for_both") {
        return;
    }
    let mut home = Home::new();
    let Some(volume) = both_past_their_marks(&mut home, "automatic = false") else { return };
    home.start();
    home.until_root_is("ready");
    fill(&home, &volume);
    home.until("the index knows the files", |home| {
        (harness::in_the_index(home) == harness::on_disk(&volume)).then_some(())
    });
    let before = harness::on_disk(&volume);
    let (code, planned, told) = home.run(&["sweep", "emergency", "--dry-run", "--json"]);
    assert_eq!(code, 0, "{told}");
    assert!(planned.contains("small_339") && !planned.contains("small_1\""), "{planned}");
    assert_eq!(harness::on_disk(&volume), before);
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn a_plan_of_an_emergency_that_is_over_removes_nothing_when_it_is_applied() {
    if !inside("resources::a_plan_of_an_emergency_that_is_over_removes_nothing_when_it_is_applied") {
        return;
    }
    let mut home = Home::new();
    let Some(volume) = both_past_their_marks(&mut home, "automatic = false") else { return };
    home.start();
    home.until_root_is("ready");
    for number in 0..60 {
        file(&volume.join(format!("f{number}")), MIB, 600 + number);
    }
    home.until("the index knows the files", |home| {
        (harness::in_the_index(home) == harness::on_disk(&volume)).then_some(())
    });
    let planned = home.done(&["sweep", "emergency", "--dry-run", "--json"]);
    let planned: serde_json::Value = serde_json::from_str(&planned).unwrap();
    let id = planned["plan"].as_str().unwrap_or_else(|| panic!("{planned}"));
    // Somebody tidies up, though not what was planned.
    for number in 0..40 {
        fs::remove_file(volume.join(format!("f{number}"))).unwrap();
    }
    let before = harness::on_disk(&volume);
    home.done(&["sweep", "--plan", id]);
    assert_eq!(harness::on_disk(&volume), before);
    assert_eq!(home.stop(), Some(0));
}
