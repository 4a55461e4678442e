//! Who filled a volume, named where somebody is told that it is full.

use std::fs;

use super::harness::peers::{as_user, give, is_root, open_to_all};
use super::harness::volumes::{inside, tmpfs};
use super::harness::{Home, file, root};
use super::{HOUR, MIB, telling, told};

const ONE: u32 = 12345;
const TWO: u32 = 65534;

#[test]
fn the_jobs_users_and_directories_that_grew_most_are_named_with_the_alert_and_the_emergency() {
    if !is_root()
        || !inside(
            "blame::the_jobs_users_and_directories_that_grew_most_are_named_with_the_alert_and_the_emergency",
        )
    {
        return;
    }
    let mut home = Home::new();
    let at = home.path("volume");
    if let Err(why) = tmpfs(&at, 64) {
        eprintln!("skipped: {why}");
        return;
    }
    let marks = "warning = 40\nhigh_water = 80\nlow_water = 60";
    let hook = telling(&home, "\"warning\", \"critical\"");
    home.configure("sample_interval = \"1s\"", &(root(&at, marks) + &hook));
    // What lay there before grew nobody knows when.
    fs::create_dir(at.join("before")).unwrap();
    for n in 0..20 {
        file(&at.join(format!("before/old_{n}")), MIB, 50 * HOUR);
    }
    home.start();
    home.until_root_is("ready");
    open_to_all(&[at.parent().unwrap(), &at]);
    for (dir, uid) in [("much", ONE), ("little", TWO)] {
        fs::create_dir(at.join(dir)).unwrap();
        give(&at.join(dir), uid);
    }
    let write = |path: &str, uid: u32| {
        let path = at.join(path);
        as_user(uid, move || file(&path, MIB, 0));
    };
    (0..4).for_each(|n| write(&format!("little/job_small_{n}"), TWO));
    for n in 0..30 {
        write(&format!("much/job_big_{n}"), ONE);
        // Moved about, it is no more than it was.
        fs::rename(at.join(format!("much/job_big_{n}")), at.join(format!("much/job_big_done_{n}"))).unwrap();
    }
    let report = home.until_cleaned();
    eprintln!("{}", report["grown"]);
    let critical = home.until("the high mark is told", |home| {
        told(home).into_iter().find(|one| one["level"] == "critical" && one["kind"] == "usage")
    });
    eprintln!("{critical}");
    for grown in [&report["grown"], &critical["grown"]] {
        let bytes = |list: &str, place: usize| grown[list][place]["bytes"].as_u64().unwrap_or(0) / MIB as u64;
        assert_eq!(grown["users"][0]["uid"], ONE, "{grown}");
        assert!((20..=30).contains(&bytes("users", 0)), "{grown}");
        assert_eq!((&grown["users"][1]["uid"], bytes("users", 1)), (&TWO.into(), 4), "{grown}");
        assert!(grown["jobs"][0]["job"].as_str().unwrap().starts_with("big"), "{grown}");
        assert!(grown["jobs"].as_array().unwrap().iter().any(|one| one["job"] == "small"), "{grown}");
        assert_eq!(grown["directories"][0]["path"], at.join("much").to_str().unwrap(), "{grown}");
        assert!(!grown.to_string().contains("before"), "{grown}");
        assert!((1..=300).contains(&grown["seconds"].as_u64().unwrap()), "{grown}");
    }
    let log = home.log();
    let line = log.lines().find(|line| line.contains("past the high-water mark")).unwrap();
    eprintln!("{line}");
    assert!(line.contains("uid 12345 +") && line.contains("/much +") && line.contains("job big"), "{line}");
}

#[test]
fn where_nobody_follows_changes_nobody_is_named() {
    let mut home = Home::new();
    let at = super::scratch(&home);
    let marks = format!("{}\nwatch = \"none\"", super::SMALL);
    home.configure(
        "sample_interval = \"1s\"\nautomatic = false",
        &(root(&at, &marks) + &telling(&home, "\"critical\"")),
    );
    super::fill(&at, "old", 15, 50);
    home.start();
    let one = super::until_told(&home, "usage");
    assert!(one.get("grown").is_none(), "{one}");
    let log = home.log();
    let line = log.lines().find(|line| line.contains("past the high-water mark")).unwrap();
    assert!(!line.contains("grown"), "{line}");
}
