use proptest::prelude::*;

use super::*;
use crate::model::Phase;

/// Compiled once: globs are too slow to compile for each case.
static RULES: std::sync::LazyLock<RootRules> = std::sync::LazyLock::new(rules);

/// What happens to a path: `-` and the reason it stays, or `+` and why it goes.
fn says(phase: Phase, rules: &RootRules, moment: &Moment, jobs: &JobsView, at: &str, hours: f64) -> String {
    match judge(phase, rules, moment, jobs, &path(at), &file(hours)) {
        Verdict::Remove { reason, .. } => format!("+ {reason}"),
        Verdict::Keep { keep, .. } => format!("- {keep}"),
    }
}

pub(super) fn registry() -> JobsView {
    jobs(vec![
        ("live", job(JobState::Active, None)),
        ("next", job(JobState::Pending, None)),
        ("done", job(JobState::Completed, Some(2.0))),
        ("bad", job(JobState::Failed, Some(0.5))),
        ("old_bad", job(JobState::Error, Some(30.0))),
        ("gone", JobFacts { presumed: true, ..job(JobState::Failed, Some(0.5)) }),
    ])
}

#[test]
fn a_clock_that_was_set_back_does_not_make_the_newest_files_the_oldest() {
    let rules = rules();
    // It says a hundred days ago; files from before it was set back are up to two hours newer than `now`.
    let wall = ago(2400.0);
    let moment = Moment { clock_trusted: false, wall: Some(wall), ..Moment::emergency(now()) };
    let jobs = jobs(vec![(
        "gone",
        JobFacts {
            presumed: true,
            ended_at: Some(wall),
            last_sign_of_life: ago(2400.1),
            ..job(JobState::Failed, Some(2400.0))
        },
    )]);
    for (phase, at, hours, expected) in [
        (Phase::Oldest, "just_written", 2400.0, "- too_young"),
        (Phase::Orphans, "written_half_an_hour_ago", 2400.5, "- too_young"),
        (Phase::FailedJobs, "job_gone_1", 2400.0, "- active_job"),
        (Phase::Orphans, "from_before", 2.0, "+ "),
        (Phase::Orphans, "from_long_before", 2402.0, "+ "),
    ] {
        let said = says(phase, &rules, &moment, &jobs, at, hours);
        assert!(said.starts_with(expected), "{at}: {said}");
    }
}

#[test]
fn a_presumption_alone_takes_no_file_by_its_mere_age() {
    let rules = RootRules { retain: Retain { max_age: Some(48 * HOUR), ..Retain::default() }, ..rules() };
    let calm = Moment::ordinary(now());
    let presumed =
        |hours| jobs(vec![("gone", JobFacts { presumed: true, ..job(JobState::Failed, Some(hours)) })]);
    for phase in [Phase::MaxAge, Phase::Oldest] {
        assert_eq!(says(phase, &rules, &calm, &presumed(0.5), "job_gone_1", 90.0), "- active_job");
        assert!(says(phase, &rules, &calm, &presumed(1.0), "job_gone_1", 90.0).starts_with('+'));
        let reported = jobs(vec![("gone", job(JobState::Failed, Some(0.5)))]);
        assert!(says(phase, &rules, &calm, &reported, "job_gone_1", 90.0).starts_with('+'));
    }
}

#[test]
fn situations_and_their_reasons() {
    use Phase::{CompletedJobs, FailedJobs, MaxAge, Oldest, Orphans};
    let (rules, all) = (rules(), registry());
    let calm = Moment::ordinary(now());
    let emergency = Moment::emergency(now());
    for (phase, moment, at, hours, expected) in [
        (Orphans, &calm, "tmp/x", 24.0, "+ orphan: names no job, nothing refers to it; age 24h, limit 24h"),
        (Orphans, &calm, "tmp/x", 23.9, "- too_young"),
        (Orphans, &emergency, "tmp/x", 1.0, "+ orphan: names no job, nothing refers to it; age 1h, limit 1h"),
        (
            Orphans,
            &calm,
            "job_who_1",
            25.0,
            "+ orphan: names job who, unknown to the registry; age 25h, limit 24h",
        ),
        (Orphans, &calm, "job_live_1", 90.0, "- active_job"),
        (Orphans, &calm, "job_live/job_done_1", 90.0, "- active_job"),
        (Orphans, &calm, "job_next_1", 90.0, "- active_job"),
        (Orphans, &calm, "job_done_1", 25.0, "+ orphan: job done completed 2h ago; age 25h, limit 24h"),
        (Orphans, &calm, "job_bad_1", 25.0, "- job_retention"),
        (Orphans, &calm, "job_done_1.result", 90.0, "- result"),
        (Orphans, &calm, "lib/x", 900.0, "- protected"),
        (Orphans, &calm, ".guardian/x", 900.0, "- protected"),
        (FailedJobs, &calm, "job_bad_1", 0.1, "- job_retention"),
        (FailedJobs, &emergency, "job_bad_1", 0.1, "+ job bad failed 30m ago, limit 0s"),
        (FailedJobs, &emergency, "job_gone_1", 0.1, "- active_job"),
        (FailedJobs, &calm, "job_old_bad_1", 0.1, "+ job old_bad error 30h ago, limit 1h"),
        (FailedJobs, &calm, "job_done_1", 9.0, "- not_subject"),
        (CompletedJobs, &calm, "job_done_1", 0.1, "+ job done completed 2h ago, limit 1h"),
        (CompletedJobs, &calm, "job_done_1.result", 0.1, "- result"),
        (MaxAge, &calm, "x", 9000.0, "- not_subject"),
        (Oldest, &emergency, "x", 0.5, "+ among the oldest; age 30m, at least 1m"),
        (Oldest, &emergency, "x", 0.01, "- too_young"),
        (Oldest, &emergency, "x.result", 0.5, "+ among the oldest; age 30m, at least 1m"),
        (Oldest, &calm, "x.result", 0.5, "- result"),
        (Oldest, &emergency, "job_live_1.result", 90.0, "- active_job"),
        (Oldest, &emergency, "job_gone_1", 90.0, "- active_job"),
        (Phase::Trash, &emergency, "x", 90.0, "- not_subject"),
    ] {
        assert_eq!(says(phase, &rules, moment, &all, at, hours), expected, "{phase} {at} {hours}h");
    }
}

#[test]
fn a_lost_ledger_spares_whatever_names_a_job_in_every_phase() {
    let mut lost = registry();
    lost.known = false;
    for phase in CLASSIFIED {
        let verdict = says(phase, &rules(), &Moment::emergency(now()), &lost, "job_who_1", 900.0);
        // Which chunks were completed, and what is a result of which job, is asked first.
        let none = matches!(phase, Phase::Chunks | Phase::Results);
        assert_eq!(verdict, if none { "- not_subject" } else { "- registry_lost" }, "{phase}");
    }
    assert!(says(Phase::Orphans, &rules(), &Moment::emergency(now()), &lost, "x", 900.0).starts_with('+'));
}

#[test]
fn a_young_registry_spares_unknown_jobs_for_its_grace() {
    let mut young = registry();
    young.began_at = ago(0.5);
    let mut rules = rules();
    let emergency = Moment::emergency(now());
    let new_root = Moment { new_root: true, ..emergency.clone() };
    let say = |rules: &RootRules, phase, moment: &Moment, hours| {
        says(phase, rules, moment, &young, "job_who_1", hours)
    };
    assert_eq!(say(&rules, Phase::Orphans, &emergency, 90.0), "- registry_grace");
    assert_eq!(say(&rules, Phase::Oldest, &emergency, 90.0), "- registry_grace");
    assert_eq!(say(&rules, Phase::Oldest, &new_root, 90.0), "+ among the oldest; age 3d 18h, at least 1h");
    assert_eq!(say(&rules, Phase::Oldest, &new_root, 0.5), "- too_young");
    let impatient = Moment { older_than: Some(Duration::ZERO), ..Moment::ordinary(now()) };
    assert_eq!(say(&rules, Phase::Orphans, &impatient, 90.0), "- registry_grace");
    rules.registry_grace = Some(Duration::ZERO);
    assert!(say(&rules, Phase::Orphans, &emergency, 90.0).starts_with('+'));
    rules.registry_grace = Some(24 * HOUR);
    assert_eq!(say(&rules, Phase::Oldest, &new_root, 90.0), "- registry_grace");
}

#[test]
fn one_jobs_sweep_takes_that_jobs_files_now_and_nothing_else() {
    let forced = Moment { forced_job: Some(id("bad")), clock_trusted: false, ..Moment::ordinary(now()) };
    let say = |at| says(Phase::FailedJobs, &rules(), &forced, &registry(), at, 0.0);
    assert_eq!(say("job_bad_1"), "+ job bad failed 30m ago, limit 0s");
    assert_eq!(say("job_old_bad_1"), "- not_subject");
    assert_eq!(say("job_bad_1.result"), "- result");
    assert_eq!(say("job_live/job_bad_1"), "- active_job");
}

#[test]
fn a_job_protects_only_what_it_covers() {
    let facts = JobFacts { covers: Covers::Owner(7), ..job(JobState::Active, None) };
    let bound = JobFacts { root: Some(RootName::parse("other").unwrap()), ..job(JobState::Active, None) };
    let view = jobs(vec![("mine", facts), ("there", bound)]);
    let calm = Moment::ordinary(now());
    let mut theirs = file(90.0);
    assert!(judge(Phase::Orphans, &rules(), &calm, &view, &path("job_mine"), &theirs).is_remove());
    assert!(judge(Phase::Orphans, &rules(), &calm, &view, &path("job_there"), &theirs).is_remove());
    theirs.uid = 7;
    assert!(!judge(Phase::Orphans, &rules(), &calm, &view, &path("job_mine"), &theirs).is_remove());
}

#[test]
fn a_clock_in_doubt_stops_age_policies_outside_emergencies() {
    let doubt = Moment { clock_trusted: false, ..Moment::ordinary(now()) };
    assert_eq!(says(Phase::Orphans, &rules(), &doubt, &registry(), "x", 90.0), "- clock_uncertain");
    let emergency = Moment { emergency: true, ..doubt };
    assert!(says(Phase::Orphans, &rules(), &emergency, &registry(), "x", 90.0).starts_with('+'));
}

#[test]
fn special_files_and_directories_never_go_but_links_do() {
    let mut facts = file(90.0);
    let calm = Moment::ordinary(now());
    for (kind, goes) in [(FileKind::Special, false), (FileKind::Directory, false), (FileKind::Symlink, true)]
    {
        facts.id.kind = kind;
        let verdict = judge(Phase::Orphans, &rules(), &calm, &registry(), &path("x"), &facts);
        assert_eq!(verdict.is_remove(), goes, "{kind:?}");
    }
}

#[test]
fn an_explanation_says_what_every_phase_says_and_when_the_file_is_due() {
    let told = explain(
        &rules(),
        &Moment::ordinary(now()),
        &registry(),
        &ReferenceView::default(),
        &path("job_done_1"),
        (&file(4.0), [].into()),
    );
    assert_eq!(told.owner, "job done, completed 2h ago");
    assert_eq!(told.phases.len(), CLASSIFIED.len());
    assert_eq!(told.phases[0].due_at, Some(ago(4.0).plus(24 * HOUR)));
    assert_eq!(told.phases[0].text, "kept: job done, completed 2h ago; age 4h, limit 24h");
    assert!(told.phases[3].verdict.is_remove());
    assert_eq!(told.phases[3].due_for, Some(HOUR), "two hours after its end, an hour past the limit");
}

fn moments() -> impl Strategy<Value = Moment> {
    (any::<[bool; 4]>(), prop::option::of(0u64..100_000)).prop_map(|([e, c, m, n], older)| Moment {
        now: now(),
        wall: None,
        emergency: e,
        clock_trusted: c,
        min_age_suspended: m,
        new_root: n,
        older_than: older.map(Duration::from_secs),
        at_least: Duration::ZERO,
        forced_job: None,
        forced_chunk: None,
        session: None,
    })
}

fn components() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "job_live_1",
        "job_done_x",
        "job_bad",
        "job_gone_2",
        "x",
        "job_who_chunk_1_x",
        "y.result",
        "job_next_z",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn nothing_that_a_living_job_may_own_goes_in_any_phase(
        mut parts in prop::collection::vec(components(), 1..4), at in 0usize..4, moment in moments(),
        tail in "[a-z_.]{0,8}", hours in 0.0f64..5000.0
    ) {
        parts.insert(at.min(parts.len()), format!("job_live_{tail}"));
        let at = path(&parts.join("/"));
        let (rules, registry) = (&*RULES, registry());
        for phase in Phase::ALL {
            prop_assert!(!judge(*phase, rules, &moment, &registry, &at, &file(hours)).is_remove());
        }
    }

    #[test]
    fn what_may_go_may_still_go_when_it_is_older(
        parts in prop::collection::vec(components(), 1..4), moment in moments(),
        hours in 0.0f64..200.0, more in 0.0f64..500.0
    ) {
        let at = path(&parts.join("/"));
        let (mut rules, registry) = (RULES.clone(), registry());
        rules.retain.max_age = Some(10 * HOUR);
        for phase in CLASSIFIED {
            if judge(phase, &rules, &moment, &registry, &at, &file(hours)).is_remove() {
                prop_assert!(judge(phase, &rules, &moment, &registry, &at, &file(hours + more)).is_remove());
            }
        }
    }
}
