//! What jobs give up while they live and leave when they end.

use std::sync::Arc;

use super::*;
use crate::model::{ChunkFiles, ChunkId, CompletedChunk, EntryId, Keep, Phase};

const HERE: &str = "scratch";

fn report(job: &str, chunk: &str, hours: f64, files: Option<&[&str]>) -> Arc<CompletedChunk> {
    let root = RootName::parse(HERE).unwrap();
    Arc::new(CompletedChunk {
        job: id(job),
        chunk: ChunkId::parse(chunk).unwrap(),
        at: ago(hours),
        files: files.map(|all| ChunkFiles::new(all.iter().map(|one| (root.clone(), path(one))))),
    })
}

fn of(state: JobState, reports: Vec<Arc<CompletedChunk>>) -> JobFacts {
    JobFacts { completed: reports, ..job(state, None) }
}

fn says(jobs: &JobsView, at: &str, hours: f64) -> String {
    match judge(Phase::Chunks, &rules(), &Moment::ordinary(now()), jobs, &path(at), &file(hours)) {
        Verdict::Remove { reason, .. } => format!("+ {reason}"),
        Verdict::Keep { keep, .. } => format!("- {keep}"),
    }
}

#[test]
fn of_a_living_job_only_files_of_a_completed_chunk_go_and_only_as_they_were_then() {
    let view = jobs(vec![("a", of(JobState::Active, vec![report("a", "1", 1.0, None)]))]);
    assert_eq!(says(&view, "job_a_chunk_1_x", 2.0), "+ chunk 1 of job a was reported complete 1h ago");
    assert_eq!(says(&view, "sub/job_a_chunk_1_dir/deep/x", 1.0)[..1], *"+");
    // Written since: it is not what was processed.
    assert_eq!(says(&view, "job_a_chunk_1_x", 0.9), "- not_subject");
    for other in ["job_a_chunk_2_x", "job_a_chunk_10_x", "job_a_x", "job_b_chunk_1_x", "x"] {
        assert_eq!(says(&view, other, 2.0), "- not_subject", "{other}");
    }
    // No other phase takes what the living job still protects.
    let orphan = judge(
        Phase::Orphans,
        &rules(),
        &Moment::ordinary(now()),
        &view,
        &path("job_a_chunk_1_x"),
        &file(90.0),
    );
    assert!(!orphan.is_remove());
}

#[test]
fn where_files_were_named_only_these_go() {
    let view =
        jobs(vec![("a", of(JobState::Active, vec![report("a", "1", 1.0, Some(&["job_a_chunk_1_x"]))]))]);
    assert_eq!(says(&view, "job_a_chunk_1_x", 2.0)[..1], *"+");
    assert_eq!(says(&view, "job_a_chunk_1_y", 2.0), "- not_subject");
    assert_eq!(says(&view, "d/job_a_chunk_1_x", 2.0), "- not_subject");
}

#[test]
fn a_completed_chunk_yields_to_other_living_jobs_results_protection_and_owners() {
    let done = || of(JobState::Active, vec![report("a", "1", 1.0, None)]);
    let view = jobs(vec![("a", done()), ("a_chunk_1", job(JobState::Pending, None))]);
    assert_eq!(says(&view, "job_a_chunk_1_x", 2.0), "- active_job");
    // The longer name is registered and ended: the file may as well be its.
    let view = jobs(vec![("a", done()), ("a_chunk_1", job(JobState::Failed, Some(9.0)))]);
    assert_eq!(says(&view, "job_a_chunk_1_x", 2.0), "- not_subject");
    let view = jobs(vec![("a", done())]);
    assert_eq!(says(&view, "job_a_chunk_1_x.result", 2.0), "- result");
    assert_eq!(says(&view, "job_a_chunk_1_x.keep", 2.0), "- protected");
    let owned = JobFacts { covers: Covers::Owner(7), ..done() };
    assert_eq!(says(&jobs(vec![("a", owned)]), "job_a_chunk_1_x", 2.0), "- not_subject");
    // Reported by a clock that was set back since.
    let ahead = CompletedChunk { at: now().plus(HOUR), ..(*report("a", "1", 0.0, None)).clone() };
    let view = jobs(vec![("a", of(JobState::Active, vec![Arc::new(ahead)]))]);
    assert_eq!(says(&view, "job_a_chunk_1_x", 2.0), "- clock_uncertain");
}

#[test]
fn what_may_be_of_a_chunk_that_was_not_reported_stays_until_that_is_complete_too() {
    let active = |reports| jobs(vec![("a", of(JobState::Active, reports))]);
    let only = |chunk: &str| active(vec![report("a", chunk, 1.0, None)]);
    // `1_2` and `1` both fit, and so do `x` and `x_y`.
    for (chunk, at) in [
        ("1", "job_a_chunk_1_2_x"),
        ("1_2", "job_a_chunk_1_2_x"),
        ("x", "job_a_chunk_x_y_z"),
        ("x_y", "job_a_chunk_x_y_z"),
        // Below a directory of another chunk, on either side.
        ("1", "job_a_chunk_1_d/job_a_chunk_2_x"),
        ("2", "job_a_chunk_1_d/job_a_chunk_2_x"),
        ("2", "job_a_chunk_2_d/job_a_chunk_1_d/job_a_chunk_2_x"),
    ] {
        assert_eq!(says(&only(chunk), at, 2.0), "- active_job", "{chunk} {at}");
    }
    let both = |one, two| active(vec![report("a", one, 1.0, None), report("a", two, 1.0, None)]);
    assert_eq!(says(&both("1", "1_2"), "job_a_chunk_1_2_x", 2.0)[..1], *"+");
    assert_eq!(says(&both("1", "2"), "job_a_chunk_1_d/job_a_chunk_2_x", 2.0)[..1], *"+");
    // The other's report was about what lay there before.
    let early = active(vec![report("a", "1", 1.0, None), report("a", "1_2", 5.0, None)]);
    assert_eq!(says(&early, "job_a_chunk_1_2_x", 2.0), "- active_job");
    let named = |files: &[&str]| active(vec![report("a", "1", 1.0, Some(files))]);
    assert_eq!(says(&named(&["job_a_chunk_1_2_x"]), "job_a_chunk_1_2_x", 2.0)[..1], *"+");
    // A number is not continued by words: what follows it is the rest of the name.
    for at in ["job_a_chunk_1_part_x", "job_a_chunk_1_part_2_x", "job_a_chunk_1_2.x"] {
        assert_eq!(says(&only("1"), at, 2.0)[..1], *"+", "{at}");
    }
    // The job has ended: its retention says when.
    let ended = jobs(vec![("a", of(JobState::Failed, vec![report("a", "1", 1.0, None)]))]);
    assert_eq!(says(&ended, "job_a_chunk_1_2_x", 2.0), "- job_retention");
}

#[test]
fn what_lies_in_the_trash_in_its_own_place_does_not_go_with_a_chunk() {
    let view = jobs(vec![("a", of(JobState::Active, vec![report("a", "1", 1.0, None)]))]);
    let mut references = ReferenceView::default();
    references.set_waiting(&rules().root, &EntryId::new("1"), file(2.0).id, true);
    let (rules, at, moment) = (rules(), path("job_a_chunk_1_x"), Moment::ordinary(now()));
    let dir = DirContext::new(&rules, RelPath::default());
    let verdict = classify(Phase::Chunks, &rules, &moment, &view, &references, &dir, at.name(), &file(2.0));
    assert!(matches!(verdict, Verdict::Keep { keep: Keep::Referred, .. }), "{verdict:?}");
}

#[test]
fn in_an_emergency_a_chunk_yields_to_another_job_that_fell_silent_just_now() {
    let silent = |hours| JobFacts {
        presumed: true,
        last_sign_of_life: ago(hours),
        ..job(JobState::Failed, Some(hours / 2.0))
    };
    let done = of(JobState::Active, vec![report("a_chunk_1", "2", 0.1, None)]);
    let says = |hours, moment: &Moment| {
        let view = jobs(vec![("a", silent(hours)), ("a_chunk_1", done.clone())]);
        judge(Phase::Chunks, &rules(), moment, &view, &path("job_a_chunk_1_chunk_2_x"), &file(2.0))
    };
    let kept = says(0.5, &Moment::emergency(now()));
    assert!(matches!(kept, Verdict::Keep { keep: Keep::ActiveJob, .. }), "{kept:?}");
    assert!(says(1.5, &Moment::emergency(now())).is_remove());
    assert!(says(0.5, &Moment::ordinary(now())).is_remove());
}
