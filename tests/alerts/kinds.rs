//! Each kind, on a real agent: raised once, ended when it is over.

use std::fs;

use super::harness::volumes::inside_limits;
use super::{SMALL, fill, logged, once_and_over, started, telling, told, until_told};

const BOTH: &str = "\"warning\", \"critical\"";

#[test]
fn a_volume_that_fills_is_told_at_each_mark_and_when_it_is_back_to_normal() {
    let (home, at) = started("automatic = false", SMALL, |home| telling(home, BOTH));
    let first = fill(&at, "a", 9, 0);
    let one = until_told(&home, "usage");
    assert_eq!(
        (&one["level"], &one["state"], &one["root"]),
        (&"warning".into(), &"raised".into(), &"scratch".into())
    );
    assert!(
        one["time"].is_string() && one["message"].as_str().unwrap().contains("usage is warning"),
        "{one}"
    );
    let second = fill(&at, "b", 6, 0);
    let two = home
        .until("the high mark is told", |home| told(home).into_iter().find(|one| one["level"] == "critical"));
    assert_eq!(two["kind"], "usage");
    // Looked at many more times, and told no more.
    first.iter().chain(&second).for_each(|path| fs::remove_file(path).unwrap());
    home.logged("usage is back to normal");
    assert_eq!(told(&home).len(), 2, "{:?}", told(&home));
    let log = home.log();
    assert_eq!(log.matches("usage is past the warning mark").count(), 1, "{log}");
    assert_eq!(log.matches("usage is past the high-water mark").count(), 1, "{log}");
}

#[test]
fn an_emergency_that_falls_short_is_told_once_however_often_it_is_tried() {
    let (home, at) = started("", &format!("protect = [\"kept_*\"]\n{SMALL}"), |home| telling(home, BOTH));
    let paths = fill(&at, "kept", 15, 50);
    until_told(&home, "shortfall");
    until_told(&home, "futile");
    let runs = home.reports().len();
    home.until("it is tried again", |home| {
        let vain = home.reports().iter().filter(|run| run["target_reached"] == false).count();
        (vain >= 3 && home.reports().len() > runs).then_some(())
    });
    let log = home.log();
    assert_eq!(log.matches("target not reached").count(), 1, "{log}");
    assert_eq!(logged(&home, "shortfall").len(), 1);
    paths.iter().for_each(|path| fs::remove_file(path).unwrap());
    once_and_over(&home, "shortfall");
    once_and_over(&home, "futile");
}

#[test]
fn a_root_that_is_moved_away_is_told_and_so_is_its_return() {
    let (home, at) = started("", "", |home| telling(home, BOTH));
    let away = home.path("away");
    fs::rename(&at, &away).unwrap();
    let one = until_told(&home, "root_suspended");
    assert_eq!((&one["level"], &one["root"]), (&"critical".into(), &"scratch".into()));
    fs::rename(&away, &at).unwrap();
    home.until_root_is("ready");
    once_and_over(&home, "root_suspended");
}

#[test]
fn a_tree_that_can_not_be_watched_as_a_whole_is_told() {
    if !inside_limits("kinds::a_tree_that_can_not_be_watched_as_a_whole_is_told") {
        return;
    }
    let limit = "/proc/sys/user/max_inotify_watches";
    if let Err(why) = fs::write(limit, "8") {
        eprintln!("skipped: {limit}: {why}");
        return;
    }
    let (home, at) = started("", "", |home| telling(home, BOTH));
    (0..30).for_each(|n| fs::create_dir(at.join(format!("d{n}"))).unwrap());
    let one = until_told(&home, "root_unwatched");
    assert_eq!(one["level"], "warning");
    assert!(one["message"].as_str().unwrap().contains("max_user_watches"), "{one}");
    assert_eq!(logged(&home, "root_unwatched").len(), 1);
}

#[test]
fn a_plan_that_waits_for_a_person_is_told_once_and_over_when_it_has_gone() {
    let (home, at) =
        started("orphan_sweep_interval = \"1s\"", "adoption_grace = \"0s\"", |home| telling(home, BOTH));
    let old = fill(&at, "old", 4, 50);
    until_told(&home, "plan_waits");
    old.iter().for_each(|path| fs::remove_file(path).unwrap());
    once_and_over(&home, "plan_waits");
}
