//! Chunks that a job reports complete: their files go while it is at work.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::{both, harness, home, json_of, names, put};

#[test]
fn a_completed_chunk_goes_at_once_while_its_job_is_at_work_and_nothing_else_does() {
    both("", "", |home, path| {
        home.done(&["job", "start", "a"]);
        for name in
            ["job_a_chunk_1_x", "job_a_chunk_1_y", "job_a_chunk_2_x", "job_a_x", "job_b_chunk_1_x", "z"]
        {
            put(&path.join(name));
        }
        put(&path.join("job_a_chunk_1_dir/deep"));
        let told = json_of(&home.done(&["chunk", "complete", "a", "1", "--json"]));
        assert_eq!(told["sweep"]["report"]["trigger"], "chunk_completed", "{told}");
        assert_eq!(told["sweep"]["report"]["phases"][0]["policy"], "chunks", "{told}");
        assert_eq!(told["sweep"]["report"]["files_deleted"], 3, "{told}");
        let left = names(path);
        assert!(!left.iter().any(|name| name.starts_with("job_a_chunk_1") && name != "job_a_chunk_1_dir"));
        for name in ["job_a_chunk_2_x", "job_a_x", "job_b_chunk_1_x", "z"] {
            assert!(left.contains(&name.to_owned()), "{left:?}");
        }
        // The same chunk again, in later work: what is written since is not given up.
        put(&path.join("job_a_chunk_1_again"));
        home.run(&["sweep", "--json"]);
        assert!(path.join("job_a_chunk_1_again").exists());
        let (code, _, err) = home.run(&["chunk", "complete", "nobody", "1"]);
        assert!(code != 0 && err.contains("nobody"), "{code} {err}");
    });
}

#[test]
fn named_files_go_and_those_that_are_not_of_the_chunk_are_refused_by_name() {
    both("", "", |home, path| {
        home.done(&["job", "start", "a"]);
        let own = put(&path.join("job_a_chunk_1_x"));
        let spared = put(&path.join("job_a_chunk_1_y"));
        let other = put(&path.join("job_a_chunk_2_x"));
        let outside = put(&home.path("job_a_chunk_1_z"));
        let tree = path.join("job_a_chunk_1_dir");
        fs::create_dir(&tree).unwrap();
        let link = path.join("link");
        std::os::unix::fs::symlink(home.path(""), &link).unwrap();
        let through = format!("{}/job_a_chunk_1_z", link.display());
        let gone = path.join("job_a_chunk_1_gone");
        let list = home.path("list");
        let mut file = File::create(&list).unwrap();
        for name in [&own, &other, &outside, tree.to_str().unwrap(), gone.to_str().unwrap()] {
            file.write_all(name.as_bytes()).unwrap();
            file.write_all(b"\0").unwrap();
        }
        let (code, out, err) =
            home.run(&["chunk", "complete", "a", "1", "--files0-from", list.to_str().unwrap(), "--json"]);
        assert_eq!(code, 1, "{out}{err}");
        let told = json_of(&out);
        let refused: Vec<&str> =
            told["refused"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
        assert_eq!(refused, [&other, &outside, tree.to_str().unwrap()], "{told}");
        assert!(!Path::new(&own).exists());
        for kept in [&spared, &other, &outside] {
            assert!(Path::new(kept).exists(), "{kept}");
        }
        // By a link out of the root: nothing happens to where it leads.
        assert_eq!(home.run(&["chunk", "complete", "a", "1", &through]).0, 1);
        assert!(Path::new(&outside).exists());
        let (code, _, err) = home.run(&["chunk", "complete", "a", "1", "--files0-from", "/dev/null"]);
        assert!(code == 2 && err.contains("no path"), "{err}");
        assert!(Path::new(&spared).exists(), "an empty list does not stand for everything");
    });
}

#[test]
fn an_open_file_of_a_completed_chunk_stays_and_goes_at_a_later_sweep_also_after_a_kill() {
    let (mut home, path) = home("", "");
    home.start();
    home.done(&["job", "start", "a"]);
    let held = path.join("job_a_chunk_1_held");
    put(&held);
    put(&path.join("job_a_chunk_1_free"));
    let open = File::open(&held).unwrap();
    let told = json_of(&home.done(&["chunk", "complete", "a", "1", "--json"]));
    assert_eq!(told["sweep"]["report"]["files_deleted"], 1, "{told}");
    assert_eq!(told["sweep"]["report"]["skipped"]["in_use"], 1, "{told}");
    home.kill();
    drop(open);
    home.start();
    home.until_root_is("ready");
    put(&path.join("job_a_chunk_1_later"));
    let told = json_of(&home.done(&["sweep", "--json"]));
    assert_eq!(told["files_deleted"], 1, "{told}");
    assert_eq!(names(&path), ["job_a_chunk_1_later"]);
}

#[test]
fn an_emergency_takes_what_a_completed_chunk_left_before_anything_else() {
    let (home, path) = home("automatic = false", "capacity = \"1MiB\"\nlow_water = 50\nhigh_water = 95");
    let mut home = home;
    home.start();
    home.done(&["job", "start", "a"]);
    let held = path.join("job_a_chunk_1_held");
    harness::file(&held, 600_000, 5);
    harness::file(&path.join("old"), 300_000, 90_000);
    let open = File::open(&held).unwrap();
    home.done(&["chunk", "complete", "a", "1"]);
    drop(open);
    let told = json_of(&home.done(&["sweep", "emergency", "--json"]));
    assert_eq!(names(&path), ["old"], "{told}");
    let phase = told["phases"].as_array().unwrap().iter().find(|one| one["policy"] == "chunks").unwrap();
    assert_eq!(phase["files_deleted"], 1, "{told}");
}

#[test]
fn a_job_that_starts_again_has_given_up_nothing_of_its_new_life() {
    both("", "", |home, path| {
        home.done(&["job", "start", "a"]);
        let held = path.join("job_a_chunk_1_held");
        put(&held);
        let open = File::open(&held).unwrap();
        home.done(&["chunk", "complete", "a", "1"]);
        drop(open);
        home.done(&["job", "fail", "a"]);
        home.done(&["job", "start", "a"]);
        home.done(&["sweep"]);
        assert!(held.exists());
    });
}

#[test]
fn a_chunk_is_completed_over_the_socket_and_held_or_marked_files_stay() {
    let (mut home, path) = home("", "protect = [\"*.keep\"]");
    home.start();
    home.done(&["job", "start", "a"]);
    for name in ["job_a_chunk_1_x", "job_a_chunk_1_x.keep", "job_a_chunk_1_marked", "job_a_chunk_1_later"] {
        put(&path.join(name));
    }
    let mark = |name: &str, key: &str, value: &[u8]| {
        let file = File::open(path.join(name)).unwrap();
        rustix::fs::fsetxattr(&file, key, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    mark("job_a_chunk_1_marked", "user.guardian.keep", b"1");
    // An expiry is the time by which it goes at the latest; its job is done with it now.
    mark("job_a_chunk_1_later", "user.guardian.expires", b"2099-01-01T00:00:00Z");
    let client = guardian::cli::Client::find(&[home.path("socket")]).unwrap();
    let answer = client.post("/v1/jobs/a/chunks/1/complete?wait=true", &json!({})).unwrap();
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["sweep"]["state"], "done", "{told}");
    assert_eq!(told["sweep"]["report"]["files_deleted"], 2, "{told}");
    assert_eq!(names(&path), ["job_a_chunk_1_marked", "job_a_chunk_1_x.keep"]);
    assert!(client.post("/v1/jobs/a/chunks/1/complete", &json!({"file": []})).is_err());
    assert!(client.post("/v1/jobs/nobody/chunks/1/complete", &json!({})).is_err());
}
