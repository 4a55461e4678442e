//! What is counted of runs and alerts.

use serde_json::json;

use super::Meters;
use crate::api::metrics::{Figures, catalogue, written};
use crate::model::AlertKind;
use crate::model::{Level, Report, RootName};

fn report(more: serde_json::Value) -> Report {
    let mut report = json!({
        "id": "r1", "volume_run": "v1", "policy": "emergency", "trigger": "emergency_threshold",
        "root": "scratch", "dry_run": false, "resource": "bytes",
        "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:10Z", "duration_seconds": 10.0,
        "files_scanned": 9, "files_deleted": 4, "bytes_freed": 4_194_304,
        "storage_before_percent": 96.0, "storage_after_percent": 84.0,
        "inodes_before_percent": null, "inodes_after_percent": null,
        "target_percent": 85.0, "target_reached": true,
        "phases": [{"policy": "orphans", "files_deleted": 4, "bytes_freed": 4_194_304, "skipped": {},
            "errors_count": 0, "cutoff": null}],
        "skipped": {"in_use": 2, "held": 0},
        "reclaim": {"unlinked_bytes": 4_194_304}, "shortfall": null,
        "errors": [], "errors_total": 0, "requested_by": null
    });
    for (key, value) in more.as_object().unwrap() {
        report[key] = value.clone();
    }
    serde_json::from_value(report).unwrap()
}

fn text(meters: &Meters) -> String {
    written(meters.registry(), Figures::default()).unwrap()
}

fn has(meters: &Meters, line: &str) -> bool {
    text(meters).lines().any(|one| one == line)
}

fn short_of(bytes: u64, freed: u64) -> Report {
    let shortfall = json!({"bytes": bytes, "protected_bytes": 0, "active_jobs": [], "users": [],
        "directories": [], "deleted_open": []});
    report(json!({"target_reached": false, "bytes_freed": freed, "shortfall": shortfall}))
}

#[test]
fn a_run_is_counted_by_what_it_did_and_a_dry_one_is_not() {
    let meters = Meters::default();
    meters.ran(&report(json!({"dry_run": true})));
    assert!(!text(&meters).contains("scratch"), "{}", text(&meters));
    meters.ran(&report(json!({})));
    meters.ran(&report(json!({})));
    for line in [
        r#"guardian_runs_total{root="scratch",policy="emergency",trigger="emergency_threshold",result="done"} 2"#,
        r#"guardian_removed_files_total{root="scratch",policy="emergency",phase="orphans"} 8"#,
        r#"guardian_freed_bytes_total{root="scratch",policy="emergency",phase="orphans"} 8388608"#,
        r#"guardian_skipped_files_total{root="scratch",reason="in_use"} 4"#,
        r#"guardian_errors_total{root="scratch",policy="emergency"} 0"#,
        r#"guardian_run_duration_seconds_count{root="scratch",policy="emergency"} 2"#,
        r#"guardian_run_duration_seconds_bucket{le="10.0",root="scratch",policy="emergency"} 2"#,
        r#"guardian_last_success_timestamp_seconds{root="scratch",policy="emergency"} 1767225610.0"#,
    ] {
        assert!(has(&meters, line), "{line} is not in\n{}", text(&meters));
    }
    assert!(!text(&meters).contains("held"), "a reason that kept nothing");
}

#[test]
fn a_run_that_failed_is_no_success() {
    let meters = Meters::default();
    meters.ran(&report(json!({"errors_total": 1})));
    meters.ran(&short_of(1000, 900));
    assert!(text(&meters).contains("guardian_last_run_timestamp_seconds{"));
    assert!(!text(&meters).contains("guardian_last_success_timestamp_seconds{"), "{}", text(&meters));
    assert!(
        text(&meters).contains(r#"result="errors"} 1"#) && text(&meters).contains(r#"result="short"} 1"#)
    );
}

#[test]
fn an_emergency_in_vain_is_counted_and_its_shortfall_ends_with_one_that_helps() {
    let meters = Meters::default();
    let root = RootName::parse("scratch").unwrap();
    meters.know(&root);
    let futile = |count| format!(r#"guardian_futile_emergencies_total{{root="scratch"}} {count}"#);
    let shortfall = |bytes| format!(r#"guardian_shortfall{{root="scratch",resource="bytes"}} {bytes}"#);
    assert!(has(&meters, &futile(0)), "it begins at 0, so that the first is an increase");
    assert!(!text(&meters).contains("guardian_shortfall{"), "nobody knows before the first");
    meters.ran(&short_of(900, 100));
    assert!(has(&meters, &futile(0)) && has(&meters, &shortfall("900.0")), "{}", text(&meters));
    meters.ran(&short_of(901, 99));
    assert!(has(&meters, &futile(1)) && has(&meters, &shortfall("901.0")), "{}", text(&meters));
    meters.ran(&report(json!({})));
    assert!(has(&meters, &futile(1)) && has(&meters, &shortfall("0.0")), "{}", text(&meters));
}

#[test]
fn how_fast_a_volume_is_emptied_is_known_from_its_last_runs_that_freed_something() {
    let meters = Meters::default();
    let roots = [RootName::parse("scratch").unwrap(), RootName::parse("other").unwrap()];
    meters.ran(&report(json!({"bytes_freed": 4096, "duration_seconds": 100.0})));
    assert_eq!(meters.drain_rate(roots.iter()), None, "next to nothing was freed");
    meters.ran(&report(json!({"bytes_freed": 10_000_000, "duration_seconds": 1.0})));
    assert_eq!(meters.drain_rate(roots.iter()), Some(1e7));
    meters.ran(&report(json!({"root": "other", "bytes_freed": 10_000_000, "duration_seconds": 3.0})));
    assert_eq!(meters.drain_rate(roots.iter()), Some(5e6));
    for _ in 0..8 {
        meters.ran(&report(json!({"bytes_freed": 2_000_000, "duration_seconds": 1.0})));
    }
    assert_eq!(meters.drain_rate(roots[..1].iter()), Some(2e6), "the first is forgotten");
}

#[test]
fn what_was_unlinked_is_summed_by_volume_and_alerts_by_kind() {
    let meters = Meters::default();
    let roots = [RootName::parse("a").unwrap(), RootName::parse("b").unwrap()];
    meters.unlinked(&roots[0], 10);
    meters.unlinked(&roots[1], 5);
    meters.unlinked(&roots[0], 1);
    assert_eq!(meters.unlinked_in(roots.iter()), 16);
    assert_eq!(meters.unlinked_in(roots[..1].iter()), 11);
    meters.alert(AlertKind::Forecast, Level::Warning, Some(&roots[0]));
    assert!(has(&meters, r#"guardian_alerts_total{root="a",kind="forecast",level="warning"} 1"#));
}

#[test]
fn what_is_not_known_is_not_written() {
    let mut figures = Figures::default();
    figures.count(&catalogue::VOLUME_USED, &["a"], None);
    figures.add(&catalogue::GROWTH, &["a"], None);
    figures.flag(&catalogue::PAUSED, &[], false);
    let text = written(Meters::default().registry(), figures).unwrap();
    assert!(text.contains("guardian_paused 0.0\n") && !text.contains("volume"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}
