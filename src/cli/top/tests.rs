//! The screen, as text, for models made of answers and events.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::model::{Dialog, Focus, Model, News, Wish};
use super::view::{Theme, draw};
use crate::model::Timestamp;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T12:00:00Z").unwrap()
}

fn health() -> Value {
    json!({"status": "critical", "paused": false, "roots": [
        {"name": "scratch", "path": "/scratch", "status": "critical", "usage_percent": 96.5, "inodes_percent": 12.0,
         "state": "ready", "open_check": "lease", "time_to_full_seconds": 7800},
        {"name": "results-of-the-week", "path": "/results", "status": "healthy", "usage_percent": 41.0,
         "inodes_percent": null, "state": "ready", "open_check": "lease", "time_to_full_seconds": null},
        {"name": "gone", "path": "/gone", "status": "critical", "usage_percent": null, "inodes_percent": null,
         "state": "suspended", "open_check": "proc", "time_to_full_seconds": null,
         "notes": ["another filesystem is mounted there"]}
    ]})
}

fn stats() -> Value {
    let job = |job: &str, bytes: u64, growth: Value| json!({"job": job, "bytes": bytes, "files": 1200, "growth_bytes_per_hour": growth});
    let jobs = [job("nightly", 12 << 30, json!(1_500_000_000)), job("import\u{1b}[2J", 3 << 30, json!(null))];
    json!({"roots": [{
        "name": "scratch", "storage_usage_percent": 96.5, "emergency_threshold": 95.0, "inodes_usage_percent": 12.0,
        "temp_files_count": 123_456, "temp_files_size_bytes": 20_u64 << 30, "tracked_files_count": 0,
        "active_jobs_count": 2, "failed_jobs_count": 1, "orphaned_files_count": 77,
        "orphaned_files_size_bytes": 1 << 30, "expired_files_count": 0, "results_past_retention_count": 0,
        "trash_files_count": 0, "trash_size_bytes": 0, "deferred_pending_count": 0, "cleanup_needed": true,
        "index": {"entries": 123_456, "state": "ready", "confidence": "complete"},
        "top": {
            "jobs": {"by_bytes": jobs, "by_growth": [jobs[0]]},
            "users": {"by_bytes": [{"uid": 1000, "bytes": 20_u64 << 30, "files": 5, "growth_bytes_per_hour": -4096}]},
            "directories": {"by_bytes": [
                {"path": "/scratch/a/very/deep/directory/whose/name/is/longer/than/its/place", "bytes": 1 << 30,
                 "files": 1, "growth_bytes_per_hour": 0}]}
        }}],
        "agent": {"version": "0.1.0", "pid": 7, "started_at": "2026-11-21T08:48:00Z", "uptime_seconds": 11_520,
            "memory_bytes": 32 << 20, "sweeps_queued": 0, "sweeps_running": 1, "paused": false, "dry_run": false}})
}

fn progress() -> Value {
    json!({"files": 1234, "bytes": 3_u64 << 30, "bytes_goal": 12_u64 << 30, "usage_percent": 93.2, "target_percent": 85.0})
}

fn sweeps() -> News {
    let one = json!({"id": "0199-a", "state": "running", "progress": progress(), "report": null,
        "request": {"policy": "orphans", "root": "scratch"}});
    News::Sweeps(serde_json::from_value(json!([one])).unwrap())
}

fn event(value: Value) -> News {
    News::Event(serde_json::from_value(value).unwrap())
}

fn full() -> Model {
    let start = Timestamp::parse("2026-11-21T11:58:00Z").unwrap();
    let mut model = Model::new(start);
    for (second, percent) in (0..120).zip(0..) {
        let mut health = health();
        health["roots"][0]["usage_percent"] = json!(84.5 + f64::from(percent) / 10.0);
        model.take(
            News::Health(serde_json::from_value(health).unwrap()),
            start.plus(Duration::from_secs(second)),
        );
    }
    model.take(News::Health(serde_json::from_value(health()).unwrap()), now());
    model.take(News::Stats(serde_json::from_value(stats()).unwrap()), now());
    model.take(sweeps(), now());
    model.take(
        event(
            json!({"event": "alert", "time": "2026-11-21T11:59:50Z", "kind": "usage", "state": "raised", "level": "critical", "root": "scratch",
            "message": "usage is critical: 95% of bytes"}),
        ),
        now(),
    );
    model.take(
        event(
            json!({"event": "level", "time": "2026-11-21T11:59:50Z", "root": "scratch", "resource": "bytes",
            "level": "critical", "rose": true, "lasts": false, "usage_percent": 95.0}),
        ),
        now(),
    );
    model.take(
        event(json!({"event": "sweep", "time": "2026-11-21T11:59:51Z", "policy": "emergency",
            "trigger": "emergency_threshold", "roots": ["scratch"], "state": "running",
            "progress": {"files": 0, "bytes": 0}})),
        now(),
    );
    model
}

fn shown(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, Theme { colour: false }, now())).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

fn press(model: &mut Model, code: KeyCode) -> Option<Wish> {
    model.key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[track_caller]
fn same(found: &str, file: &str) {
    let file = format!("{}/src/cli/top/tests/{file}", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(&file).unwrap();
    assert!(found.trim_end() == expected.trim_end(), "{file} is not the screen, which is\n{found}\n");
}

#[test]
fn at_80_by_24_everything_that_matters_is_there() {
    same(&shown(&full(), 80, 24), "80x24.txt");
}

#[test]
fn at_120_by_40_kinds_of_holders_stand_side_by_side() {
    same(&shown(&full(), 120, 40), "120x40.txt");
}

#[test]
fn any_size_is_drawn_and_a_tiny_one_says_so() {
    let model = full();
    for (width, height) in [(1, 1), (59, 24), (80, 15)] {
        let text = shown(&model, width, height);
        assert!(width < 10 || text.starts_with("too small"), "{text}");
    }
    for (width, height) in [(60, 16), (61, 17), (100, 20), (109, 60), (110, 16), (300, 100)] {
        let text = shown(&model, width, height);
        for part in ["scratch", "96.5%", "SWEEPS", "EVENTS", "q quit"] {
            assert!(text.contains(part), "{part} is missing at {width}x{height}:\n{text}");
        }
    }
}

#[test]
fn before_the_first_answer_nothing_is_made_up() {
    let text = shown(&Model::new(now()), 80, 24);
    assert!(text.contains("asking the agent") && !text.contains('%'), "{text}");
}

#[test]
fn an_agent_that_goes_away_is_told_of_until_it_answers() {
    let mut model = full();
    model.take(News::Silent, now());
    let text = shown(&model, 80, 24);
    assert!(text.contains("agent does not answer, trying again (0s)"), "{text}");
    assert!(text.contains("none under way"), "nobody knows of sweeps then:\n{text}");
    let mut hung = full();
    hung.answered = Timestamp::parse("2026-11-21T11:58:00Z").unwrap();
    assert!(shown(&hung, 80, 24).contains("trying again (2m)"));
    model.take(News::Health(serde_json::from_value(health()).unwrap()), now());
    assert!(!shown(&model, 80, 24).contains("trying again"));
}

#[test]
fn an_ended_sweep_leaves_the_list_and_its_result_among_the_events() {
    let mut model = full();
    assert_eq!(model.sweeps.len(), 2);
    let mut report = crate::cli::tests::report();
    report["policy"] = json!("emergency");
    model.take(
        event(json!({"event": "sweep", "time": "2026-11-21T11:59:55Z", "policy": "emergency",
            "trigger": "emergency_threshold", "roots": ["scratch"], "state": "done",
            "progress": {"files": 1, "bytes": 4096}, "reports": [report]})),
        now(),
    );
    assert_eq!(model.sweeps.len(), 1);
    let text = shown(&model, 80, 24);
    assert!(text.contains("scratch: emergency done: removed 1 file, 4.0 KiB, 50.0% → 49.0%"), "{text}");
}

#[test]
fn keys_select_ask_and_quit() {
    let mut model = full();
    assert_eq!(press(&mut model, KeyCode::Down), None);
    assert_eq!(model.selected().unwrap().name.as_str(), "results-of-the-week");
    assert!(shown(&model, 80, 24).contains("not counted yet"));
    press(&mut model, KeyCode::Up);
    let Some(Wish::DryRun(root)) = press(&mut model, KeyCode::Char('d')) else { panic!("no dry run") };
    assert_eq!(root.as_str(), "scratch");
    assert!(shown(&model, 80, 24).contains("looking for what may go"));
    model.take(News::DryRun(Ok(vec!["scratch: scheduled would remove 3 files".to_owned()])), now());
    assert!(shown(&model, 80, 24).contains("would remove 3 files"));
    assert_eq!(press(&mut model, KeyCode::Esc), None, "closes the result, not the screen");
    press(&mut model, KeyCode::Char('?'));
    assert!(shown(&model, 80, 24).contains("removes nothing"));
    press(&mut model, KeyCode::Char('q'));
    assert_eq!(model.dialog, Dialog::None);
    for quit in [KeyCode::Char('q'), KeyCode::Esc] {
        assert_eq!(press(&mut model, quit), Some(Wish::Quit));
    }
    model.dialog = Dialog::Help;
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(model.key(interrupt), Some(Wish::Quit), "from anywhere");
}

#[test]
fn a_hold_takes_a_path_and_a_cancellation_asks_first() {
    let mut model = full();
    press(&mut model, KeyCode::Char('h'));
    assert_eq!(model.dialog, Dialog::Hold { path: "/scratch/".to_owned() });
    for c in "keeq".chars() {
        press(&mut model, KeyCode::Char(c));
    }
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Char('p'));
    assert!(shown(&model, 80, 24).contains("/scratch/keep▏"));
    assert_eq!(press(&mut model, KeyCode::Enter), Some(Wish::Hold("/scratch/keep".to_owned())));
    model.take(News::Told(Err("no such file".to_owned())), now());
    assert!(shown(&model, 80, 24).ends_with("no such file"));

    press(&mut model, KeyCode::Tab);
    assert_eq!(model.focus, Focus::Sweeps);
    let own = model.sweeps.iter().position(|sweep| sweep.id.is_none()).unwrap();
    model.sweep = own;
    assert_eq!(press(&mut model, KeyCode::Char('c')), None);
    assert!(shown(&model, 80, 24).contains("began this sweep itself"));
    model.sweep = 1 - own;
    press(&mut model, KeyCode::Char('c'));
    assert!(shown(&model, 80, 24).contains("Cancel this sweep?"));
    assert_eq!(press(&mut model, KeyCode::Char('x')), None, "a slip");
    assert!(matches!(model.dialog, Dialog::Cancel { .. }));
    assert!(
        matches!(press(&mut model, KeyCode::Char('y')), Some(Wish::Cancel(id)) if id.as_str() == "0199-a")
    );
}

#[test]
fn without_colours_nothing_is_coloured() {
    let model = full();
    let colours = |colour| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &model, Theme { colour }, now())).unwrap();
        let cells = terminal.backend().buffer().content.iter();
        cells.filter(|cell| cell.fg != ratatui::style::Color::Reset).count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 0);
}
