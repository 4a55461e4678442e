//! Plans made before and applied later.

use std::collections::VecDeque;
use std::fs;
use std::time::Duration;

use crate::model::{Action, JobState, PlanAction, Policy};

use super::super::carry_out::carry_out_plan;
use super::super::run::{Shared, plan};
use super::{HOUR, Observer, World};

/// What the plan's request named.
const ASKED: Option<Duration> = Some(Duration::from_secs(HOUR));

/// Plans orphans older than an hour, as JSON and back.
fn planned(world: &World) -> Vec<(usize, Action)> {
    planned_by(world, ASKED)
}

fn planned_by(world: &World, older_than: Option<Duration>) -> Vec<(usize, Action)> {
    let mut root = world.run_root(false);
    root.moment.older_than = older_than;
    let roots = [root];
    let shared = Shared { jobs: &world.jobs, references: &world.references };
    let plans = plan(&world.orders(Policy::Orphans), &roots, shared, None, &mut Vec::new()).unwrap();
    plans[0]
        .actions
        .iter()
        .map(|action| {
            let wire = PlanAction::of(action, Policy::Orphans, &world.root.name, world.root.path());
            let text = serde_json::to_string(&wire).unwrap();
            let read: PlanAction = serde_json::from_str(&text).unwrap();
            (0, read.to_action(world.root.path()).unwrap())
        })
        .collect()
}

fn apply(world: &World, actions: Vec<(usize, Action)>) -> crate::model::Report {
    apply_by(world, ASKED, actions)
}

fn apply_by(
    world: &World,
    older_than: Option<Duration>,
    actions: Vec<(usize, Action)>,
) -> crate::model::Report {
    let mut root = world.run_root(false);
    root.moment.older_than = older_than;
    let roots = [root];
    let shared = Shared { jobs: &world.jobs, references: &world.references };
    carry_out_plan(&world.orders(Policy::Orphans), &roots, shared, &Observer::default(), &mut actions.into())
        .remove(0)
}

#[test]
fn a_plan_is_applied_by_the_limit_it_was_made_with() {
    let world = World::new();
    for n in 0..25 {
        world.file(&format!("d/f{n}"), 10, 2 * HOUR + n);
    }
    let young = world.file("d/young", 10, 600);
    let report = apply(&world, planned(&world));
    assert_eq!(report.files_deleted, 25);
    assert!(young.exists());
}

#[test]
fn a_rule_that_became_milder_since_keeps_files_of_the_plan() {
    let mut world = World::new();
    let (old, older) = (world.file("d/old", 10, 30 * HOUR), world.file("d/older", 10, 90 * HOUR));
    let actions = planned_by(&world, None);
    assert_eq!(actions.len(), 2);
    world.root.rules.retain.orphans = Duration::from_secs(48 * HOUR);
    let report = apply_by(&world, None, actions);
    assert!(old.exists() && !older.exists(), "{report:?}");
    assert_eq!(report.skipped["changed"], 1);
    // What the request named replaces the rule, then and now.
    let actions = planned(&world);
    assert_eq!(apply(&world, actions).files_deleted, 1);
    assert!(!old.exists());
}

#[test]
fn a_rule_that_became_stricter_since_takes_nothing_that_the_plan_would_have_kept() {
    let mut world = World::new();
    world.job("1", JobState::Failed, 3 * HOUR);
    let file = world.file("job_1_x", 10, 9 * HOUR);
    let orders = world.orders(Policy::FailedJobs);
    let plan = |world: &World| -> VecDeque<(usize, Action)> {
        let roots = [world.run_root(false)];
        let shared = Shared { jobs: &world.jobs, references: &world.references };
        let plans = plan(&orders, &roots, shared, None, &mut Vec::new()).unwrap();
        plans[0].actions.iter().map(|action| (0, action.clone())).collect()
    };
    world.root.rules.retain.failed_jobs = Duration::from_secs(2 * HOUR);
    let mut actions = plan(&world);
    assert_eq!(actions.len(), 1);
    world.root.rules.retain.failed_jobs = Duration::from_secs(60);
    // It began again meanwhile, and failed again.
    world.job("1", JobState::Failed, HOUR);
    let roots = [world.run_root(false)];
    let shared = Shared { jobs: &world.jobs, references: &world.references };
    let report = carry_out_plan(&orders, &roots, shared, &Observer::default(), &mut actions).remove(0);
    assert!(file.exists() && report.files_deleted == 0, "{report:?}");
}

#[test]
fn what_changed_since_the_plan_stays() {
    let world = World::new();
    let touched = world.file("touched", 10, 5 * HOUR);
    let now_a_jobs = world.file("job_late_x", 10, 5 * HOUR);
    let gone = world.file("gone", 10, 5 * HOUR);
    let plain = world.file("plain", 10, 5 * HOUR);
    let actions = planned(&world);
    assert_eq!(actions.len(), 4);
    fs::write(&touched, b"precious").unwrap();
    fs::remove_file(&gone).unwrap();
    world.job("late", JobState::Active, 0);
    let report = apply(&world, actions);
    assert!(touched.exists() && now_a_jobs.exists() && !plain.exists());
    assert_eq!(
        (report.skipped["changed"], report.skipped["active_job"], report.skipped["vanished"]),
        (1, 1, 1)
    );
}

#[test]
fn a_forged_plan_reaches_nothing_outside_the_root_and_nothing_that_policy_keeps() {
    let world = World::new();
    let file = world.file("f", 10, 5 * HOUR);
    let kept = world.file("model.keep", 10, 50 * HOUR);
    let mut actions = planned(&world);
    let wire = PlanAction::of(&actions[0].1, Policy::Orphans, &world.root.name, world.root.path());
    for forged in ["/etc/passwd", "relative", "/"] {
        let mut outside = wire.clone();
        outside.path.path = forged.to_owned();
        assert!(outside.to_action(world.root.path()).is_err(), "{forged}");
    }
    let mut climbing = wire;
    climbing.path.path = format!("{}/../f", world.root.path().display());
    assert!(climbing.to_action(world.root.path()).is_err());
    // The protected file under the facts it really has.
    let facts = world.root.dir.handle().stat(b"model.keep", Default::default()).unwrap();
    actions[0].1.path = crate::model::RelPath::from_bytes(&b"model.keep"[..]).unwrap();
    actions[0].1.facts = facts;
    let report = apply(&world, actions);
    assert!(file.exists() && kept.exists());
    assert_eq!(report.skipped["protected"], 1);
}

/// 96 of 100 MiB used; an emergency would take 11.
fn planned_emergency() -> (World, VecDeque<(usize, Action)>) {
    let world = World::with_capacity(Some(100 << 20));
    for n in 0..96 {
        world.file(&format!("f{n}"), 1 << 20, 50 * HOUR - n);
    }
    let orders = world.orders(Policy::Emergency);
    let roots = [world.run_root(true)];
    let usage = world.root.probe.look().unwrap();
    let shared = Shared { jobs: &world.jobs, references: &world.references };
    let plans = plan(&orders, &roots, shared, Some(&usage), &mut Vec::new()).unwrap();
    let actions: VecDeque<_> = plans[0].actions.iter().map(|action| (0, action.clone())).collect();
    assert_eq!(actions.len(), 11);
    drop(roots);
    (world, actions)
}

#[test]
fn an_emergencys_plan_is_applied_only_as_far_as_the_volume_needs_it_by_then() {
    let apply = |world: &World, actions: &mut VecDeque<_>| {
        let roots = [world.run_root(true)];
        let shared = Shared { jobs: &world.jobs, references: &world.references };
        let orders = world.orders(Policy::Emergency);
        carry_out_plan(&orders, &roots, shared, &Observer::default(), actions).remove(0)
    };
    // Others made room for 7 of the 11 meanwhile, with files that were not planned.
    let (world, mut actions) = planned_emergency();
    for n in 80..87 {
        fs::remove_file(world.path(&format!("f{n}"))).unwrap();
    }
    let report = apply(&world, &mut actions);
    assert_eq!((report.files_deleted, report.target_reached), (4, Some(true)), "{:?}", report.notes);
    assert_eq!(actions.len(), 7, "the rest stays in the plan");
    let (world, mut actions) = planned_emergency();
    for n in 80..96 {
        fs::remove_file(world.path(&format!("f{n}"))).unwrap();
    }
    assert_eq!(apply(&world, &mut actions).files_deleted, 0, "the volume is fine");
}

#[test]
fn the_last_phase_of_an_applied_plan_spares_roots_that_are_not_past_their_mark() {
    let (world, mut actions) = planned_emergency();
    for (_, action) in &mut actions {
        action.phase = crate::model::Phase::Oldest;
    }
    let mut root = world.run_root(true);
    root.past_its_mark = false;
    let shared = Shared { jobs: &world.jobs, references: &world.references };
    let orders = world.orders(Policy::Emergency);
    let report = carry_out_plan(&orders, &[root], shared, &Observer::default(), &mut actions).remove(0);
    assert_eq!((report.files_deleted, actions.len()), (0, 11));
    assert!(report.notes.iter().any(|note| note.contains("not past its mark")), "{:?}", report.notes);
}
