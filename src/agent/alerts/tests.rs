//! What is told of alerts, and when.

use super::*;
use crate::model::Timestamp;

fn root() -> RootName {
    RootName::parse("scratch").unwrap()
}

fn suspended(why: &str) -> Alert {
    Alert::new(Subject::of(AlertKind::RootSuspended, Some(&root())), Level::Critical, why)
}

/// What listeners were told: (state, level, message), in order.
fn told(work: impl FnOnce(&Alerts)) -> Vec<(AlertState, Level, String)> {
    let events = Arc::new(Events::begun(Timestamp::EPOCH));
    let reader = events.read(0, None).unwrap();
    let alerts = Alerts::new(Arc::clone(&events), Arc::default());
    work(&alerts);
    events.close();
    drop(alerts);
    let read = |event: Event| match event {
        Event::Alert { state, level, message, time, .. } => {
            assert!(time > Timestamp::EPOCH);
            (state, level, message)
        }
        other => panic!("{other:?}"),
    };
    reader.rest().into_iter().map(read).collect()
}

const HOUR: u64 = 3600;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_condition_is_told_once_again_each_hour_and_when_it_is_over() {
    let kinds = [AlertKind::RootSuspended];
    let all = told(|alerts| {
        for second in 0..2 * HOUR + 10 {
            alerts.observe(&kinds, &[suspended(&format!("gone, {second}"))], at(second));
            alerts.remind(at(second));
        }
        alerts.observe(&kinds, &[], at(9000));
        alerts.observe(&kinds, &[], at(9001));
        alerts.remind(at(20 * HOUR));
    });
    let (critical, healthy) = (Level::Critical, Level::Healthy);
    let expected = [
        (AlertState::Raised, critical, "gone, 0"),
        (AlertState::Lasts, critical, "gone, 3600"),
        (AlertState::Lasts, critical, "gone, 7200"),
        (AlertState::Ended, healthy, "the root is not suspended any more"),
    ];
    assert_eq!(all, expected.map(|(state, level, text)| (state, level, text.to_owned())));
}

#[test]
fn what_is_about_something_else_stands_for_itself() {
    let part = |part| {
        Alert::new(Subject::of(AlertKind::PolicyFailing, Some(&root())).part(part), Level::Warning, part)
    };
    let all = told(|alerts| {
        alerts.raise(&part("orphans"), at(0));
        alerts.raise(&part("trash"), at(1));
        alerts.observe(&[AlertKind::RootSuspended], &[], at(2));
        alerts.observe(&[AlertKind::PolicyFailing], &[part("trash")], at(3));
        alerts.end_where(|subject| subject.root.is_some());
        alerts.end(&part("trash").subject);
    });
    let states: Vec<AlertState> = all.iter().map(|one| one.0).collect();
    assert_eq!(states, [AlertState::Raised, AlertState::Raised, AlertState::Ended, AlertState::Ended]);
}

#[test]
fn what_becomes_worse_is_told_at_once() {
    let of = |level| Alert::new(Subject::of(AlertKind::Clock, None), level, "x");
    let all = told(|alerts| {
        for level in [Level::Warning, Level::Warning, Level::Critical, Level::Critical, Level::Warning] {
            alerts.raise(&of(level), at(0));
        }
    });
    let states: Vec<AlertState> = all.iter().map(|one| one.0).collect();
    assert_eq!(states, [AlertState::Raised, AlertState::Raised, AlertState::Eased]);
}
