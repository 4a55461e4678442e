//! Directories of jobs as the unit.

use proptest::prelude::*;

use super::*;
use crate::model::{Keep, Phase, Reason};

fn whole() -> RootRules {
    RootRules { whole_trees: true, ..rules() }
}

#[test]
fn a_tree_is_the_topmost_directory_that_names_a_job() {
    let rules = whole();
    for (dir, top) in [
        ("", None),
        ("a/b", None),
        ("job_1", Some("job_1")),
        ("a/job_1/b/job_2", Some("a/job_1")),
        ("job_1_x/y", Some("job_1_x")),
        ("xjob_1", None),
    ] {
        assert_eq!(tree_of(&rules, &path(dir)), top.map(path), "{dir}");
    }
    assert_eq!(tree_of(&super::rules(), &path("job_1")), None, "each file for itself");
}

/// A file of the tree `job_1`: its name, hours of age, and inode.
type Part = (&'static str, f64, u64);

fn fold(phase: Phase, moment: &Moment, jobs: &JobsView, parts: &[Part]) -> (TreeVerdict, Vec<InTree>) {
    let (rules, top) = (whole(), path("job_1"));
    let dir = DirContext::new(&rules, top.clone());
    let mut fold = TreeFold::new(&top);
    let mut each = Vec::new();
    for (name, hours, ino) in parts {
        let mut facts = file(*hours);
        facts.id.ino = *ino;
        let at = top.join(name.as_bytes());
        let references = ReferenceView::default();
        let judged =
            classify_in_tree(phase, &rules, moment, jobs, &references, &dir, name.as_bytes(), &facts);
        each.push(judged.clone());
        fold.add(&at, &facts, rules.age_by.newest(&facts), judged);
    }
    (fold.end(moment, None, false), each)
}

const NAMES: [&str; 6] = ["part", "x.result", "precious.keep", "job_2_x", "job_3_x", "job_4"];
const PHASES: [Phase; 6] =
    [Phase::Orphans, Phase::FailedJobs, Phase::CompletedJobs, Phase::Results, Phase::MaxAge, Phase::Oldest];

fn registry() -> JobsView {
    jobs(vec![
        ("1", job(JobState::Failed, Some(50.0))),
        ("2", job(JobState::Active, None)),
        ("3", job(JobState::Completed, Some(2000.0))),
    ])
}

proptest! {
    #[test]
    fn a_tree_goes_exactly_if_each_of_its_files_may_in_whatever_order(
        picked in proptest::collection::vec((0..NAMES.len(), 0.0..1500.0_f64), 1..6),
        phase in 0..PHASES.len(),
        turn in any::<prop::sample::Index>(),
        emergency in any::<bool>(),
    ) {
        let mut parts: Vec<Part> =
            picked.iter().enumerate().map(|(ino, (name, hours))| (NAMES[*name], *hours, ino as u64)).collect();
        let moment = if emergency { Moment::emergency(now()) } else { Moment::ordinary(now()) };
        let (verdict, each) = fold(PHASES[phase], &moment, &registry(), &parts);
        let all = each.iter().all(|one| one.verdict.is_remove()) && each.iter().any(|one| one.is_subject);
        prop_assert_eq!(matches!(verdict, TreeVerdict::Remove { .. }), all, "{:?}", verdict);
        let kept = each.iter().filter(|one| !one.verdict.is_remove()).count() as u64;
        if let TreeVerdict::Keep { obstacles, .. } = &verdict {
            prop_assert_eq!(*obstacles, kept.max(1));
        }
        parts.rotate_left(turn.index(picked.len()));
        prop_assert_eq!(fold(PHASES[phase], &moment, &registry(), &parts).0, verdict);
    }
}

#[test]
fn an_active_job_is_told_before_a_young_file_whichever_comes_first() {
    let (moment, parts) =
        (Moment::ordinary(now()), [("young", 1.0, 1), ("job_2_x", 50.0, 2), ("old", 50.0, 3)]);
    let (verdict, _) = fold(Phase::Orphans, &moment, &registry(), &parts);
    let TreeVerdict::Keep { obstacle, obstacles, due_at: None } = verdict else { panic!("{verdict:?}") };
    assert_eq!((obstacle.path, obstacle.keep, obstacles), (path("job_1/job_2_x"), Keep::ActiveJob, 2));
    assert_eq!(obstacle.detail.job, Some(id("2")));
}

#[test]
fn a_result_goes_with_its_tree_only_past_its_own_retention() {
    let moment = Moment { older_than: Some(HOUR), ..Moment::ordinary(now()) };
    let parts = [("part", 800.0, 1), ("x.result", 800.0, 2)];
    let ended = |hours| jobs(vec![("1", job(JobState::Failed, Some(hours)))]);
    let (verdict, _) = fold(Phase::FailedJobs, &moment, &ended(50.0), &parts);
    let TreeVerdict::Keep { obstacle, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!((obstacle.path, obstacle.keep), (path("job_1/x.result"), Keep::JobRetention));
    let (verdict, _) = fold(Phase::FailedJobs, &moment, &ended(721.0), &parts);
    let TreeVerdict::Remove { reason: Reason::Tree { results_of, because, files, .. }, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!((results_of, because.rule(), files), (vec![id("1")], "failed_job", 2));
    // Where results are what it is about, what is left of the job goes with them.
    let ordinary = Moment::ordinary(now());
    let (verdict, _) = fold(Phase::Results, &ordinary, &ended(721.0), &parts);
    assert!(matches!(verdict, TreeVerdict::Remove { .. }), "{verdict:?}");
    let (verdict, _) = fold(Phase::Results, &ordinary, &ended(721.0), &parts[..1]);
    assert!(matches!(verdict, TreeVerdict::Keep { .. }), "nothing that the phase is about: {verdict:?}");
}

#[test]
fn an_inode_counts_once_and_only_if_all_its_links_are_in_the_tree() {
    let top = path("job_1");
    let go = || InTree {
        verdict: Verdict::Remove { reason: Reason::MaxAge { age: HOUR, limit: HOUR }, age: HOUR },
        is_subject: true,
    };
    let linked = |ino, nlink| {
        let mut facts = FileFacts { nlink, ..file(50.0) };
        facts.id.ino = ino;
        facts
    };
    let mut all = TreeFold::new(&top);
    for (name, facts) in [("a", linked(1, 2)), ("b", linked(1, 2)), ("c", linked(2, 1)), ("d", linked(3, 2))]
    {
        all.add(&top.join(name.as_bytes()), &facts, ago(50.0), go());
    }
    let verdict = all.end(&Moment::ordinary(now()), None, true);
    assert!(matches!(verdict, TreeVerdict::Remove { bytes: 8192, .. }), "{verdict:?}");
    let mut outside = TreeFold::new(&top);
    outside.add(&top.join(b"d"), &linked(3, 2), ago(50.0), go());
    let kept = outside.clone().end(&Moment::ordinary(now()), None, true);
    assert!(matches!(&kept, TreeVerdict::Keep { obstacle, .. } if obstacle.keep == Keep::Linked), "{kept:?}");
    let goes = outside.end(&Moment::ordinary(now()), None, false);
    assert!(matches!(goes, TreeVerdict::Remove { bytes: 0, .. }), "{goes:?}");
}
