//! What a timer begins: nobody has looked, so what a scheduled sweep of the agent leaves to a
//! person is left to one here, too, and whatever was not done shows in the exit code.

use super::*;

const SWEEP: [&str; 4] = ["sweep", "scheduled", "--unattended", "--json"];

/// A host whose root is not new.
fn host(agent: &str) -> Host {
    Host::with(agent, "adoption_grace = \"0s\"")
}

/// Old files, and young ones.
fn files(host: &Host, old: usize, young: usize) {
    for number in 0..old {
        host.file(format!("old{number}"), 5000, 30);
    }
    for number in 0..young {
        host.file(format!("young{number}"), 5000, 1);
    }
}

#[test]
fn a_plan_over_the_share_waits_for_a_person_and_is_a_failure() {
    let host = host("");
    files(&host, 3, 2);
    let ran = host.run(&SWEEP);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert_eq!(host.names().len(), 5, "nothing may go");
    let report = ran.json();
    assert_eq!((&report["dry_run"], &report["trigger"]), (&true.into(), &"scheduled".into()), "{report}");
    assert_eq!(report["files_deleted"], 3, "what would go: {report}");
    for text in [&report["notes"].to_string(), &ran.err] {
        assert!(
            text.contains("60% of the root") && text.contains("guardian sweep scheduled --root scratch"),
            "{text}"
        );
    }
    let quiet = host.run(&["sweep", "scheduled", "--unattended", "-q"]);
    assert_eq!(quiet.code, 1);
    assert!(quiet.err.contains("limits.max_share"), "{}", quiet.err);
    // Whoever looked at it says so.
    host.ok(&["sweep", "scheduled", "--root", "scratch"]);
    assert_eq!(host.names(), ["young0", "young1"]);
}

#[test]
fn a_plan_within_the_share_is_carried_out_as_scheduled() {
    let host = host("");
    files(&host, 2, 2);
    let report = host.ok(&SWEEP).json();
    assert_eq!((&report["trigger"], &report["files_deleted"]), (&"scheduled".into(), &2.into()), "{report}");
    assert!(report.get("requested_by").is_none_or(Value::is_null), "nobody asked: {report}");
    assert_eq!(host.names(), ["young0", "young1"]);
    assert_eq!(host.ok(&SWEEP).json()["files_deleted"], 0, "and then there is nothing to do");
}

#[test]
fn on_a_new_root_it_only_plans() {
    let host = Host::new();
    files(&host, 1, 4);
    let report = host.ok(&SWEEP).json();
    assert_eq!((&report["dry_run"], &report["files_deleted"]), (&true.into(), &1.into()), "{report}");
    assert!(report["notes"].to_string().contains("adoption_grace"), "{report}");
    assert_eq!(host.names().len(), 5);
}

#[test]
fn each_root_is_judged_by_itself_and_one_that_is_suspended_is_a_failure() {
    let host = host("");
    let absent = host.home.path().join("absent");
    fs::create_dir(&absent).unwrap();
    let path = host.home.path().join("guardian.toml");
    let more = format!("[[root]]\npath = {absent:?}\nrequire_mount = true\n");
    fs::write(&path, fs::read_to_string(&path).unwrap() + &more).unwrap();
    for arguments in [&["sweep", "scheduled", "--unattended", "-q"][..], &["sweep", "scheduled", "-q"]] {
        files(&host, 1, 4);
        let ran = host.run(arguments);
        assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains("absent"), "{}", ran.err);
        assert_eq!(host.names().len(), 4, "the other root is swept");
    }
    let dry = host.ok(&["sweep", "scheduled", "--dry-run", "--json"]).json();
    assert!(dry["notes"].to_string().contains("absent"), "{dry}");
}

#[test]
fn where_the_configuration_removes_nothing_it_says_so() {
    let host = host("dry_run = true");
    files(&host, 1, 4);
    assert_eq!(host.ok(&SWEEP).json()["dry_run"], true);
    assert_eq!(host.names().len(), 5);
}

#[test]
fn what_a_person_chose_is_not_unattended() {
    let host = host("");
    files(&host, 1, 0);
    for more in [&["--plan", "x"][..], &["--older-than", "1h"], &["--adopt"], &["--until", "10"]] {
        let ran = host.run(&[&SWEEP[..], more].concat());
        assert_eq!(ran.code, 2, "{more:?}: {}{}", ran.out, ran.err);
    }
    let ran = host.run(&["sweep", "oldest", "--until", "10", "--unattended"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert_eq!(host.names(), ["old0"]);
}
