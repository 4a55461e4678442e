//! Holds and expiries while runs are planned and at work.

use std::time::Duration;

use crate::model::{
    Covers, HoldId, HoldRecord, JobState, Phase, Policy, Recorded, RelPath, Timestamp, TrackRecord,
};
use crate::sys::clock;

use super::{HOUR, Observer, World};

impl World {
    fn recorded(&self, path: &str) -> (RelPath, Recorded) {
        let path = RelPath::from_bytes(path.as_bytes()).unwrap();
        let facts = crate::sweep::named::look(self.root.dir.handle(), &path).unwrap();
        (path, Recorded::of(&facts))
    }

    fn hold(&self, path: &str) -> HoldRecord {
        let (path, recorded) = self.recorded(path);
        HoldRecord {
            id: HoldId::new(path.to_string()),
            root: self.root.name.clone(),
            path,
            recorded,
            until: None,
            reason: None,
            uid: 0,
            covers: Covers::AnyOwner,
            created_at: clock::now(),
        }
    }

    fn expires(&self, path: &str, at: Timestamp) {
        let (path, recorded) = self.recorded(path);
        self.references.write().unwrap().put_track(TrackRecord {
            root: self.root.name.clone(),
            path,
            recorded,
            expires_at: Some(at),
            session: None,
            jobs: Vec::new(),
            uid: 0,
            covers: Covers::AnyOwner,
            tracked_at: clock::now(),
        });
    }
}

fn ago(seconds: u64) -> Timestamp {
    clock::now().minus(Duration::from_secs(seconds))
}

#[test]
fn a_hold_that_comes_after_the_plan_keeps_its_file() {
    let world = World::new();
    let file = world.file("d/f", 10, 50 * HOUR);
    let (hold, references) = (world.hold("d"), &world.references);
    std::thread::scope(|scope| {
        let (comes, came) = std::sync::mpsc::channel::<()>();
        let (took, taken) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            came.recv().unwrap();
            references.write().unwrap().put_hold(&hold);
            took.send(()).unwrap();
        });
        let observer = Observer::default();
        *observer.before_removal.lock().unwrap() = Some(Box::new(move || {
            comes.send(()).unwrap();
            taken.recv().unwrap();
        }));
        let report = world.run_with(&world.orders(Policy::Orphans), &observer);
        assert_eq!((report.files_deleted, report.skipped["held"]), (0, 1));
    });
    assert!(file.exists());
}

#[test]
fn an_emergency_takes_what_has_expired_before_everything_else() {
    let world = World::with_capacity(Some(100 << 20));
    world.file("old", 9 << 20, 50 * HOUR);
    for n in 0..9 {
        world.file(&format!("fill{n}"), 9 << 20, 2 * HOUR);
    }
    let expired = world.file("expired", 9 << 20, 0);
    let later = world.file("later", 10, 0);
    let busy = world.file("job_live_1", 10, 0);
    world.expires("expired", ago(1));
    world.expires("job_live_1", ago(5));
    world.expires("later", clock::now().plus(Duration::from_secs(60)));
    world.job("live", JobState::Active, 0);
    let (report, observer) = world.run(&world.orders(Policy::Emergency));
    let first = observer.intended.lock().unwrap()[0].clone();
    assert_eq!(first, (Phase::Expired, vec![expired.clone()]), "{report:?}");
    assert!(!expired.exists() && later.exists() && busy.exists());
    let phase = report.phases.iter().find(|phase| phase.policy == Phase::Expired).unwrap();
    assert_eq!((phase.files_deleted, phase.skipped.get("active_job")), (1, Some(&1)));
}

#[test]
fn a_plan_of_expired_files_takes_what_a_run_then_takes_in_order_of_expiry() {
    let world = World::new();
    let mut expected = Vec::new();
    for (n, seconds) in [30, 10, 20].into_iter().enumerate() {
        let path = world.file(&format!("d{n}/f"), 10, n as u64);
        world.expires(&format!("d{n}/f"), ago(seconds));
        expected.push((std::cmp::Reverse(seconds), path));
    }
    world.file("d0/other", 10, 50 * HOUR);
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(_, path)| path).collect();
    let orders = world.orders(Policy::Expired);
    assert_eq!(world.planned(&orders), expected);
    let (report, observer) = world.run(&orders);
    assert_eq!((report.files_deleted, report.files_scanned), (3, 3), "nothing else is looked at");
    assert_eq!(observer.intended.lock().unwrap()[0].1, expected);
}
