//! Whose files a request reaches: never those of somebody else, by whatever
//! name, link or directory they are asked for.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::harness::peers::{give, is_root};
use super::{OTHER, OWNER, World, paths, text};

#[test]
fn a_users_job_protects_and_cleans_files_of_that_user_only_and_an_administrators_job_those_of_all() {
    if !is_root() {
        return;
    }
    let world = World::new("automatic = false", "retain = { failed_jobs = \"0s\" }");
    world.file("young", 0, 0);
    world.done(&world.owner, "PUT", "/v1/jobs/x", &json!({ "state": "active" }));
    world.done(&world.root, "PUT", "/v1/jobs/y", &json!({ "state": "active" }));
    let (mine, theirs) = (world.file("job_x_mine", OWNER, 50), world.file("job_x_theirs", OTHER, 50));
    let ys =
        [world.file("job_y_1", OWNER, 50), world.file("job_y_2", OTHER, 50), world.file("job_y_3", 0, 50)];
    let report = world.swept(&json!({ "policy": "orphans" }));
    assert_eq!(
        (&report["files_deleted"], &report["skipped"]["active_job"]),
        (&json!(1), &json!(4)),
        "{report}"
    );
    assert!(mine.exists() && !theirs.exists() && ys.iter().all(|path| path.exists()));

    // The failed job's files go, a stranger's of its name stay.
    let theirs = world.file("job_x_theirs", OTHER, 2);
    world.done(&world.owner, "PUT", "/v1/jobs/x", &json!({ "state": "failed" }));
    let report = world.done(&world.root, "POST", "/v1/jobs/x/sweep?wait=true", &Value::Null);
    assert_eq!(
        (&report["files_deleted"], mine.exists(), theirs.exists()),
        (&json!(1), false, true),
        "{report}"
    );
    world.done(&world.root, "PUT", "/v1/jobs/y", &json!({ "state": "failed" }));
    let report = world.done(&world.root, "POST", "/v1/jobs/failed/sweep?wait=true", &Value::Null);
    assert_eq!((&report["files_deleted"], theirs.exists()), (&json!(3), true), "{report}");
    assert!(ys.iter().all(|path| !path.exists()), "{report}");
}

#[test]
fn a_chunk_takes_files_of_the_jobs_owner_only_also_when_an_administrator_reports_it() {
    if !is_root() {
        return;
    }
    for by_admin in [false, true] {
        let world = World::new("automatic = false", "");
        world.done(&world.owner, "PUT", "/v1/jobs/x", &json!({ "state": "active" }));
        let mine = world.file("job_x_chunk_1_mine", OWNER, 0);
        let theirs = world.file("job_x_chunk_1_theirs", OTHER, 0);
        let by = if by_admin { &world.root } else { &world.owner };
        let named = json!({ "files": [text(&theirs)] });
        let said = world.done(by, "POST", "/v1/jobs/x/chunks/1/complete?wait=true", &named);
        assert!(said["refused"][0]["error"].as_str().unwrap().contains("belongs to uid 65534"), "{said}");
        assert!(mine.exists() && theirs.exists());
        let said = world.done(by, "POST", "/v1/jobs/x/chunks/1/complete?wait=true", &Value::Null);
        assert!(!mine.exists() && theirs.exists(), "{said}");
    }
}

#[test]
fn nothing_is_given_up_through_a_link_out_of_a_root_or_in_the_name_of_somebody_else() {
    if !is_root() {
        return;
    }
    let world = World::new("automatic = false\nrate_limit = \"1000/second\"", "");
    let outside = world.home.path("outside");
    fs::write(&outside, "x").unwrap();
    give(&outside, OWNER);
    let own_dir = world.at.join("own");
    fs::create_dir(&own_dir).unwrap();
    give(&own_dir, OWNER);
    let theirs = world.file("own/theirs", OTHER, 0);
    let deep = world.file("own/deep/theirs", OTHER, 0);
    give(&world.at.join("own/deep"), OWNER);
    let mine = world.file("own/mine", OWNER, 0);
    // A hard link to somebody else's file, in a directory of one's own.
    let linked = own_dir.join("linked");
    fs::hard_link(&theirs, &linked).unwrap();
    symlink(world.home.path(""), own_dir.join("out")).unwrap();
    symlink(&world.at, own_dir.join("in")).unwrap();
    let through_in = own_dir.join("in/own/mine");
    let dots = format!("{}/../outside", text(&world.at));
    let wrong = [
        text(&theirs),
        text(&linked),
        text(&own_dir.join("out/outside")),
        text(&through_in),
        text(&outside),
        dots.as_str(),
        text(&world.at),
        text(&world.at.join(".guardian")),
        text(&world.at.join(".guardian/lock")),
        "relative",
        "",
        "/",
    ]
    .map(str::to_owned);
    for route in ["/v1/deletions", "/v1/trash", "/v1/holds", "/v1/files/track"] {
        for path in &wrong {
            let mut body = json!({ "paths": [path] });
            if route == "/v1/files/track" {
                body["expires_at"] = json!("2020-01-01T00:00:00Z");
            }
            let answer = world.owner.ask("POST", route, &body);
            eprintln!("{route} {path:?}: {} {}", answer.status, answer.body["detail"]);
            assert!(matches!(answer.status, 400 | 403 | 409), "{route} {path:?}: {answer:?}");
        }
    }
    // A directory goes as a whole or not at all.
    for route in ["/v1/deletions", "/v1/trash"] {
        for path in [&own_dir, &own_dir.join("deep")] {
            let answer = world.owner.ask("POST", route, &paths(path));
            assert_eq!(answer.status, 403, "{route} {path:?}: {answer:?}");
        }
    }
    for path in [&theirs, &deep, &mine, &linked, &outside] {
        assert!(path.exists(), "{path:?}");
    }
    assert_eq!(world.done(&world.root, "GET", "/v1/holds", &Value::Null)["items"], json!([]));
    // The link itself is the owner's: it goes, what it leads to stays.
    give_link(&own_dir.join("out"), OWNER);
    world.done(&world.owner, "POST", "/v1/deletions", &paths(&own_dir.join("out")));
    assert!(fs::symlink_metadata(own_dir.join("out")).is_err() && outside.exists());
}

fn give_link(path: &std::path::Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
}

#[test]
fn what_is_restored_goes_where_its_owner_may_write_and_over_nothing() {
    if !is_root() {
        return;
    }
    let world = World::new("automatic = false\nrate_limit = \"1000/second\"", "");
    let mine = world.file("own/mine", OWNER, 0);
    give(&world.at.join("own"), OWNER);
    let theirs = world.file("theirs/x", OTHER, 0);
    give(&world.at.join("theirs"), OTHER);
    let given = world.done(&world.owner, "POST", "/v1/trash", &paths(&mine));
    let id = given["items"][0]["id"].as_str().unwrap().to_owned();
    let to = |path: &std::path::Path| {
        world.owner.ask("POST", &format!("/v1/trash/{id}/restore"), &json!({ "to": text(path) }))
    };
    for wrong in
        [theirs.clone(), world.at.join("theirs/new"), world.home.path("outside"), world.at.join("../x")]
    {
        let answer = to(&wrong);
        eprintln!("{wrong:?}: {} {}", answer.status, answer.body["detail"]);
        assert!(matches!(answer.status, 400 | 403 | 409), "{wrong:?}: {answer:?}");
        assert!(!mine.exists());
    }
    assert!(!world.at.join("theirs/new").exists() && fs::read(&theirs).unwrap().len() == 10);
    assert_eq!(to(&mine).status, 200);
    assert!(mine.exists());
}

#[test]
fn the_end_of_a_session_takes_files_of_its_owner_only() {
    if !is_root() {
        return;
    }
    let world = World::new("automatic = false", "");
    let (mine, theirs) = (world.file("mine", OWNER, 0), world.file("theirs", OTHER, 0));
    world.done(&world.owner, "POST", "/v1/sessions/s/touch", &Value::Null);
    let track = |path| json!({ "paths": [text(path)], "session": "s" });
    world.done(&world.owner, "POST", "/v1/files/track", &track(&mine));
    // Whoever ends it would remove what an administrator put into it for somebody else.
    let answer = world.root.ask("POST", "/v1/files/track", &track(&theirs));
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.body["detail"].as_str().unwrap().contains("session s belongs to uid 12345"), "{answer:?}");
    // A file that changed hands since is not the one that was put into it.
    let sold = world.file("sold", OWNER, 0);
    world.done(&world.owner, "POST", "/v1/files/track", &track(&sold));
    give(&sold, OTHER);
    let roots = world.file("roots_of_owner", OWNER, 0);
    world.done(&world.root, "POST", "/v1/files/track", &track(&roots));
    give(&roots, OTHER);
    world.done(&world.owner, "POST", "/v1/sessions/s/end?wait=true", &Value::Null);
    assert!(!mine.exists() && theirs.exists() && sold.exists() && roots.exists());
    // An administrator's session takes what it was given, whoever owns it.
    world.done(&world.root, "POST", "/v1/sessions/t/touch", &Value::Null);
    world.done(&world.root, "POST", "/v1/files/track", &json!({ "paths": [text(&theirs)], "session": "t" }));
    assert_eq!(world.owner.ask("POST", "/v1/sessions/t/end", &Value::Null).status, 403);
    world.done(&world.root, "POST", "/v1/sessions/t/end?wait=true", &Value::Null);
    assert!(!theirs.exists());
}

#[test]
fn an_expiry_told_by_an_administrator_holds_whoever_owns_the_file() {
    if !is_root() {
        return;
    }
    let world = World::new("automatic = false", "");
    let theirs = world.file("theirs", OTHER, 0);
    world.file("young", 0, 0);
    let track = json!({ "paths": [text(&theirs)], "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(world.owner.ask("POST", "/v1/files/track", &track).status, 403);
    world.done(&world.root, "POST", "/v1/files/track", &track);
    assert_eq!(world.swept(&json!({ "policy": "expired" }))["files_deleted"], 1);
}

#[test]
fn a_command_does_not_run_unprotected_as_a_job_that_somebody_else_named_first() {
    if !is_root() {
        return;
    }
    for state in ["completed", "active"] {
        let world = World::new("automatic = false", "");
        // The name is easily guessed; such a job covers only the files of whoever began it.
        world.done(&world.other, "PUT", "/v1/jobs/nightly", &json!({ "state": state }));
        let mark = world.home.path("begun");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_guardian"));
        command.arg("--socket").arg(world.home.path("socket"));
        command.args(["job", "exec", "--id", "nightly", "--", "touch"]).arg(&mark);
        let output = command.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        eprintln!("{err}");
        assert_eq!(output.status.code(), Some(5), "{err}");
        assert!(err.contains("the name belongs to uid 65534") && err.contains("--id"), "{err}");
        assert!(!mark.exists(), "it ran all the same");
        let job = world.home.ask("/v1/jobs/nightly").unwrap();
        assert_eq!((&job["state"], &job["uid"]), (&json!(state), &json!(OTHER)), "nothing has changed");
    }
}
