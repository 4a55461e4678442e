//! What holds, expiries and sessions come to.

use super::classify::registry;
use super::*;
use crate::model::{EntryId, HoldId, HoldRecord, Phase, Recorded, SessionId, SessionRecord, TrackRecord};

fn told(expires_at: Option<Timestamp>, session: Option<&str>, jobs: Vec<JobId>) -> TrackRecord {
    TrackRecord {
        root: rules().root,
        path: path("x"),
        recorded: Recorded::of(&file(0.0)),
        expires_at,
        session: session.map(|id| SessionId::parse(id).unwrap()),
        jobs,
        uid: 1000,
        covers: Covers::Owner(1000),
        tracked_at: ago(90.0),
    }
}

fn hold(at: &str, ino: u64, until: Option<Timestamp>, covers: Covers) -> HoldRecord {
    HoldRecord {
        id: HoldId::new(format!("hold on {at} {ino}")),
        root: rules().root,
        path: path(at),
        recorded: Recorded { ino, born: None },
        until,
        reason: None,
        uid: 1000,
        covers,
        created_at: ago(90.0),
    }
}

fn session(id: &str, active: f64, ended: Option<f64>) -> SessionRecord {
    SessionRecord {
        id: SessionId::parse(id).unwrap(),
        uid: 1000,
        created_at: ago(90.0),
        last_activity: ago(active),
        ended_at: ended.map(ago),
    }
}

/// What is said of the file `at` in a view.
fn told_of(phase: Phase, view: &ReferenceView, moment: &Moment, at: &str, facts: &FileFacts) -> String {
    let (rules, at) = (rules(), path(at));
    let dir = DirContext::new(&rules, at.parent().unwrap_or_default());
    match super::super::classify(phase, &rules, moment, &registry(), view, &dir, at.name(), facts) {
        Verdict::Remove { reason, .. } => format!("+ {reason}"),
        Verdict::Keep { keep, .. } => format!("- {keep}"),
    }
}

#[test]
fn holds_references_and_tracked_jobs_spare_a_file() {
    let calm = Moment::ordinary(now());
    let say = |fill: &dyn Fn(&mut ReferenceView)| {
        let mut view = ReferenceView::default();
        fill(&mut view);
        told_of(Phase::Orphans, &view, &calm, "x", &file(90.0))
    };
    assert!(say(&|_| {}).starts_with('+'));
    assert_eq!(say(&|view| view.put_track(told(None, None, vec![id("live")]))), "- active_job");
    assert_eq!(say(&|view| view.put_track(told(Some(now().plus(HOUR)), None, vec![]))), "- referred");
    assert!(say(&|view| view.put_track(told(Some(now()), None, vec![]))).starts_with('+'), "no longer");
    assert_eq!(
        say(&|view| view.set_waiting(&rules().root, &EntryId::new("1"), file(90.0).id, true)),
        "- referred"
    );
    let member = |view: &mut ReferenceView| view.put_track(told(None, Some("s"), vec![]));
    assert!(say(&member).starts_with('+'), "of a session that nobody knows");
    let going_on = |view: &mut ReferenceView| {
        member(view);
        view.put_session(&session("s", 2.0, None));
    };
    assert_eq!(say(&going_on), "- referred");
    let ended = |view: &mut ReferenceView| {
        going_on(view);
        view.put_session(&session("s", 2.0, Some(1.0)));
    };
    assert!(say(&ended).starts_with('+'));
}

#[test]
fn a_hold_keeps_a_file_by_its_path_its_inode_and_the_directories_above() {
    let calm = Moment::ordinary(now());
    let facts = file(90.0);
    let ino = facts.id.ino;
    let held = |record: HoldRecord, at: &str| {
        let mut view = ReferenceView::default();
        view.put_hold(&record);
        let kept = told_of(Phase::Orphans, &view, &calm, at, &facts) == "- held";
        view.remove_hold(&record);
        assert!(told_of(Phase::Orphans, &view, &calm, at, &facts).starts_with('+'), "released");
        kept
    };
    let any = Covers::AnyOwner;
    assert!(held(hold("d/x", 0, None, any), "d/x"), "its path, whatever lies there");
    assert!(held(hold("elsewhere", ino, None, any), "d/x"), "it was renamed");
    assert!(held(hold("d", 0, None, any), "d/e/x"));
    assert!(held(hold("d/e", 0, None, any), "d/e/x"));
    assert!(!held(hold("d/ex", 0, None, any), "d/e/x"), "a name is no prefix");
    assert!(!held(hold("d/e", 0, Some(now()), any), "d/e/x"), "it is over");
    assert!(held(hold("d/e", 0, Some(now().plus(HOUR)), any), "d/e/x"));
    assert!(held(hold("d/e", 0, None, Covers::Owner(facts.uid)), "d/e/x"));
    assert!(!held(hold("d/e", 0, None, Covers::Owner(7)), "d/e/x"), "a file of somebody else");
    let rules = rules();
    let mut view = ReferenceView::default();
    view.put_hold(&hold("old/name", 77, None, any));
    let dir = DirContext::new(&rules, path("new/name")).with_inodes([5, 77].into());
    let verdict =
        super::super::classify(Phase::Orphans, &rules, &calm, &registry(), &view, &dir, b"x", &facts);
    assert!(!verdict.is_remove(), "the directory above was renamed");
}

#[test]
fn an_expiry_lets_go_of_the_file_it_was_given_to_and_of_no_other() {
    let calm = Moment::ordinary(now());
    let facts = file(1.0);
    let view = |record: TrackRecord| {
        let mut view = ReferenceView::default();
        view.put_track(record);
        view
    };
    let say =
        |record: TrackRecord, facts: &FileFacts| told_of(Phase::Expired, &view(record), &calm, "x", facts);
    let due = || told(Some(ago(2.0)), None, vec![]);
    assert_eq!(say(due(), &facts), format!("+ expired at {:#}, 2h ago", ago(2.0)));
    assert_eq!(say(told(Some(now()), None, vec![]), &facts), format!("+ expired at {:#}, 0s ago", now()));
    assert_eq!(say(told(Some(now().plus(HOUR)), None, vec![]), &facts), "- unexpired");
    assert_eq!(say(told(None, Some("s"), vec![]), &facts), "- not_subject");
    assert_eq!(say(told(Some(ago(2.0)), None, vec![id("live")]), &facts), "- active_job");
    let mut other = facts;
    other.id.ino += 1;
    assert_eq!(say(due(), &other), "- not_subject", "another file took its name");
    let others = FileFacts { uid: 7, ..facts };
    assert_eq!(say(due(), &others), "- not_subject", "it was given away");
    let born = |at| FileFacts { btime: Some(at), ..facts };
    let dated = TrackRecord { recorded: Recorded::of(&born(ago(5.0))), ..due() };
    assert!(say(dated.clone(), &born(ago(5.0))).starts_with('+'));
    assert_eq!(say(dated, &born(ago(1.0))), "- not_subject", "a later file under its name and number");
    let marked = |at| FileFacts { expires_at: Some(at), ..facts };
    let untold = ReferenceView::default();
    assert!(told_of(Phase::Expired, &untold, &calm, "x", &marked(ago(2.0))).starts_with('+'), "by its mark");
    assert_eq!(say(due(), &marked(now().plus(HOUR))), "- unexpired", "the later of both counts");
    let doubt = Moment { clock_trusted: false, ..calm.clone() };
    assert_eq!(told_of(Phase::Expired, &view(due()), &doubt, "x", &facts), "- clock_uncertain");
    let mut held = view(due());
    held.put_hold(&hold("x", 0, None, Covers::AnyOwner));
    assert_eq!(told_of(Phase::Expired, &held, &calm, "x", &facts), "- held");
    let mut waiting = view(due());
    waiting.set_waiting(&rules().root, &EntryId::new("1"), facts.id, true);
    assert_eq!(told_of(Phase::Expired, &waiting, &calm, "x", &facts), "- referred");
}

#[test]
fn a_session_lets_go_of_its_members_when_it_ends_and_when_nobody_was_active() {
    let calm = Moment::ordinary(now());
    let facts = file(0.0);
    let say = |session: SessionRecord, expires_at: Option<Timestamp>, jobs: Vec<JobId>, moment: &Moment| {
        let mut view = ReferenceView::default();
        view.put_session(&session);
        view.put_track(told(expires_at, Some("s"), jobs));
        told_of(Phase::Sessions, &view, moment, "x", &facts)
    };
    let ended = || session("s", 0.5, Some(0.25));
    assert_eq!(say(ended(), None, vec![], &calm), "+ session s ended 15m ago");
    assert!(say(ended(), Some(now().plus(HOUR)), vec![], &calm).starts_with('+'), "whatever its expiry");
    assert_eq!(say(ended(), None, vec![id("live")], &calm), "- active_job");
    assert_eq!(say(session("s", 0.5, None), None, vec![], &calm), "- session_alive");
    assert_eq!(
        say(session("s", 3.0, None), None, vec![], &calm),
        "+ session s without activity for 3h, limit 1h"
    );
    let only = |id: &str| Moment { session: Some(SessionId::parse(id).unwrap()), ..calm.clone() };
    assert!(say(ended(), None, vec![], &only("s")).starts_with('+'));
    assert_eq!(say(ended(), None, vec![], &only("other")), "- not_subject");
    let doubt = Moment { clock_trusted: false, ..only("s") };
    assert!(say(ended(), None, vec![], &doubt).starts_with('+'), "no clock is needed for what was ended");
    assert_eq!(say(session("s", 3.0, None), None, vec![], &doubt), "- clock_uncertain");
    let impatient = Moment { older_than: Some(Duration::ZERO), ..calm.clone() };
    assert_eq!(say(session("s", 0.5, None), None, vec![], &impatient), "- session_alive");
}

#[test]
fn what_still_guards_a_file_is_not_spent() {
    let root = rules().root;
    let spent = |record: TrackRecord, sessions: &[SessionRecord]| {
        let mut view = ReferenceView::default();
        sessions.iter().for_each(|session| view.put_session(session));
        view.put_track(record);
        !view.spent(&root, now(), |job| job.as_str() == "live").is_empty()
    };
    assert!(spent(told(Some(ago(1.0)), None, vec![]), &[]));
    assert!(!spent(told(Some(now().plus(HOUR)), None, vec![]), &[]));
    assert!(!spent(told(Some(ago(1.0)), Some("s"), vec![]), &[session("s", 9.0, None)]));
    assert!(spent(told(Some(ago(1.0)), Some("s"), vec![]), &[session("s", 9.0, Some(1.0))]));
    assert!(!spent(told(None, None, vec![id("live")]), &[]));
    assert!(spent(told(None, None, vec![id("done")]), &[]));
}

#[test]
fn what_waits_is_known_by_all_that_a_later_file_with_its_inode_has_not() {
    let root = rules().root;
    let (mut view, first) = (ReferenceView::default(), file(5.0));
    let mut later = first;
    later.id.ctime = ago(1.0);
    let waits = |view: &ReferenceView, facts: &FileFacts| {
        let dir = RelPath::default();
        let at = FileAt { root: &root, dir: &dir, name: b"x", facts: Some(facts), above: &[] };
        view.waits(&at)
    };
    let (one, other) = (EntryId::new("1"), EntryId::new("2"));
    view.set_waiting(&root, &one, first.id, true);
    assert!(waits(&view, &first) && !waits(&view, &later));
    // Two names of one file: it waits until both are settled, however often that is told.
    view.set_waiting(&root, &other, first.id, true);
    view.set_waiting(&root, &other, first.id, true);
    view.set_waiting(&root, &one, first.id, false);
    assert!(waits(&view, &first));
    view.set_waiting(&root, &other, first.id, false);
    view.set_waiting(&root, &other, first.id, false);
    assert!(!waits(&view, &first));
    // Of a directory nothing that changes with its content.
    let mut tree = first;
    tree.id.kind = FileKind::Directory;
    view.set_waiting(&root, &one, tree.id.waiting(), true);
    tree.id.mtime = ago(0.5);
    tree.id.ctime = ago(0.5);
    assert!(waits(&view, &tree) && !waits(&view, &first));
}
