use proptest::prelude::*;

use super::*;
use crate::model::{Level, Resource, VolumeUsage};

fn usage(percent: f64) -> VolumeUsage {
    let used = (percent * 1e7) as u64;
    VolumeUsage {
        total: 1_000_000_000,
        used,
        available: 1_000_000_000 - used,
        inodes_total: 0,
        inodes_used: 0,
        inodes_available: 0,
    }
}

const MARKS: Marks = Marks {
    warning: 85.0,
    high: 95.0,
    low: 85.0,
    min_free: 20_000_000,
    inodes_warning: 85.0,
    inodes_high: 95.0,
    inodes_low: 85.0,
};

#[test]
fn an_emergency_begins_at_the_high_mark_and_ends_at_the_low_mark() {
    assert_eq!(emergency_needed(&usage(94.9), &MARKS), None);
    let need = emergency_needed(&usage(95.0), &MARKS).unwrap();
    assert_eq!((need.amount, need.cause.min_free), (100_000_000, false));
    assert!(!emergency_over(&usage(85.1), Resource::Bytes, &MARKS, need.cause));
    assert!(emergency_over(&usage(85.0), Resource::Bytes, &MARKS, need.cause));
    assert!(
        !is_urgent(&usage(98.7), Resource::Bytes, &MARKS) && is_urgent(&usage(98.8), Resource::Bytes, &MARKS)
    );
}

fn both(bytes: f64, inodes: f64) -> VolumeUsage {
    let used = (inodes * 10.0) as u64;
    VolumeUsage { inodes_total: 1000, inodes_used: used, inodes_available: 1000 - used, ..usage(bytes) }
}

#[test]
fn an_emergency_serves_each_resource_that_is_past_its_mark() {
    use Resource::{Bytes, Inodes};
    let served = |bytes, inodes| resources_to_serve(&both(bytes, inodes), &[MARKS]);
    assert_eq!(served(97.0, 97.0), [Bytes, Inodes], "neither waits for the other to be helped");
    assert_eq!(served(97.0, 90.0), [Bytes]);
    assert_eq!(served(90.0, 97.0), [Inodes]);
    // Asked for by a person.
    assert_eq!(served(90.0, 90.0), [Bytes, Inodes]);
    assert_eq!(served(10.0, 90.0), [Inodes]);
    assert_eq!(served(10.0, 10.0), [Bytes], "whose run says that there is nothing to do");
    let late = Marks { inodes_high: 99.0, high: 99.0, ..MARKS };
    let one_of_two = resources_to_serve(&both(97.0, 97.0), &[late, MARKS]);
    assert_eq!(one_of_two, [Bytes, Inodes], "the mark of any root counts");
    assert_eq!(resources_to_serve(&usage(97.0), &[MARKS]), [Bytes], "no fixed number of inodes");
}

#[test]
fn an_emergency_by_min_free_ends_at_one_and_a_half_times_that() {
    let marks = Marks { min_free: 120_000_000, ..MARKS };
    let need = emergency_needed(&usage(90.0), &marks).unwrap();
    assert!(need.cause.min_free && !need.cause.high_mark);
    assert!(!emergency_over(&usage(82.5), Resource::Bytes, &marks, need.cause));
    assert!(emergency_over(&usage(82.0), Resource::Bytes, &marks, need.cause));
}

#[test]
fn a_lasting_level_is_reported_each_hour_and_recovery_once() {
    let mut state = LevelState::default();
    let mut at = |seconds, percent| {
        state.observe(Duration::from_secs(seconds), &usage(percent), Resource::Bytes, &MARKS)
    };
    assert_eq!(at(10, 96.0), Some(Crossing::Rose { from: Level::Healthy, to: Level::Critical }));
    assert_eq!(at(20, 90.0), None);
    assert_eq!(at(3610, 90.0), Some(Crossing::Lasts(Level::Critical)));
    assert_eq!(at(3620, 84.0), Some(Crossing::Fell { from: Level::Critical, to: Level::Warning }));
    assert_eq!(at(3630, 82.0), Some(Crossing::Fell { from: Level::Warning, to: Level::Healthy }));
}

proptest! {
    #[test]
    fn wobbling_within_the_hysteresis_never_flaps(centre in 50.0f64..99.0, wobble in prop::collection::vec(-0.9f64..0.9, 2..60)) {
        let mut state = LevelState::default();
        let crossings = wobble.iter().enumerate().filter(|(i, by)| {
            state.observe(Duration::from_secs(*i as u64), &usage(centre + **by), Resource::Bytes, &MARKS).is_some()
        }).count();
        prop_assert!(crossings <= 2, "{crossings}");
    }

    #[test]
    fn freeing_the_excess_reaches_the_target(percent in 0.0f64..100.0, until in 0.0f64..100.0, free in 0u64..500_000_000) {
        let start = usage(percent);
        let target = Target::of_request(&start, Some(free), Some(until));
        let excess = target.excess(&start);
        let after = VolumeUsage { used: start.used - excess, available: start.available + excess, ..start };
        prop_assert!(target.is_reached(&after));
        let over = excess_over_high(&start, Resource::Bytes, &MARKS);
        let after = VolumeUsage { used: start.used - over, available: start.available + over, ..start };
        prop_assert_eq!(emergency_needed(&after, &MARKS), None);
    }
}
