//! Behaviour of the decisions: properties, and tables of situations.

mod classify;
mod ends;
mod flow;
mod forecast;
mod naming;
mod pressure;
mod pulse;
mod references;
mod trees;

use std::time::Duration;

use super::*;
use crate::model::{
    Covers, FileFacts, FileKind, FileTimes, Identity, JobId, JobState, RelPath, RootName, Timestamp,
};

const HOUR: Duration = Duration::from_secs(3600);

/// "Now" of all situations.
fn now() -> Timestamp {
    Timestamp::from_unix(1_800_000_000, 0)
}

fn ago(hours: f64) -> Timestamp {
    now().minus(HOUR.mul_f64(hours))
}

fn id(text: &str) -> JobId {
    JobId::parse(text).unwrap()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn default_patterns() -> Patterns {
    Patterns::compile(&texts(&["job_{job}_chunk_{chunk}_*", "job_{job}_*", "job_{job}"])).unwrap()
}

pub(super) fn rules() -> RootRules {
    RootRules {
        root: RootName::parse("scratch").unwrap(),
        patterns: default_patterns(),
        protect: Globs::compile(&texts(&["*.keep", "lib/**"])).unwrap(),
        results: Globs::compile(&texts(&["*.result"])).unwrap(),
        age_by: FileTimes::default(),
        retain: Retain::default(),
        registry_grace: None,
        orphans_untracked: false,
        whole_trees: false,
    }
}

fn job(state: JobState, ended: Option<f64>) -> JobFacts {
    JobFacts {
        state,
        presumed: false,
        covers: Covers::AnyOwner,
        root: None,
        ended_at: ended.map(ago),
        last_sign_of_life: ago(ended.unwrap_or(0.0)),
        completed: Vec::new(),
    }
}

/// A registry of a hundred hours with these jobs.
fn jobs(list: Vec<(&str, JobFacts)>) -> JobsView {
    JobsView {
        jobs: list.into_iter().map(|(name, facts)| (id(name), facts)).collect(),
        began_at: ago(100.0),
        known: true,
    }
}

fn file(hours: f64) -> FileFacts {
    FileFacts {
        id: Identity {
            dev: 1,
            ino: 2,
            kind: FileKind::Regular,
            size: 10,
            mtime: ago(hours),
            ctime: ago(hours),
        },
        allocated: 4096,
        nlink: 1,
        uid: 1000,
        atime: None,
        btime: None,
        expires_at: None,
    }
}

fn path(text: &str) -> RelPath {
    RelPath::from_bytes(text.as_bytes()).unwrap()
}

fn judge(
    phase: crate::model::Phase,
    rules: &RootRules,
    moment: &Moment,
    jobs: &JobsView,
    at: &RelPath,
    facts: &FileFacts,
) -> Verdict {
    let dir = DirContext::new(rules, at.parent().unwrap_or_default());
    super::classify(phase, rules, moment, jobs, &ReferenceView::default(), &dir, at.name(), facts)
}
