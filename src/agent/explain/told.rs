//! What was told of a file, in words: holds, expiry, session.

use std::time::Duration;

use crate::model::{RelPath, TimeSpan, Timestamp};
use crate::policy::{FileAt, ReferenceView};
use crate::sweep::root::GuardedRoot;

/// Whole seconds: a shorter time says nothing to people.
pub(super) fn whole(span: Duration) -> TimeSpan {
    TimeSpan::from_secs(span.as_secs())
}

/// When a time to come comes, or how long ago it was.
pub(super) fn when(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("at {at:#}, in {}", whole(now.age_at(at)))
    } else {
        format!("at {at:#}, {} ago", whole(at.age_at(now)))
    }
}

/// A remark for each thing that was told of the file at `path`, with its numbers.
pub(super) fn notes(
    view: &ReferenceView,
    at: &FileAt<'_>,
    path: &RelPath,
    root: &GuardedRoot,
    now: Timestamp,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(hold) = view.hold(at, now) {
        let on = if hold.path == *path { String::new() } else { format!(" with {}", hold.path) };
        let until = hold.until.map_or_else(
            || "until released".to_owned(),
            |until| format!("until {until:#}, for {} more", whole(now.age_at(until))),
        );
        let why = hold.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        notes.push(format!("held{on} by uid {} {until}{why}", hold.uid));
    }
    let Some(told) = view.told_of(&root.name, path) else { return notes };
    if view.track(at).is_none() {
        notes.push(format!(
            "what was told of this path at {:#} was of another file, or by somebody who may not speak for it: \
             it guards this one and lets nothing go",
            told.tracked_at
        ));
    }
    if let Some(expiry) = told.expires_at {
        let word = if expiry > now { "expires" } else { "expired" };
        notes.push(format!("{word} {}; told by uid {}", when(expiry, now), told.uid));
    }
    if let Some(id) = &told.session {
        notes.push(match view.session_facts(id) {
            None => format!("member of session {id}, which is not known (any more)"),
            Some(session) => match session.ended_at {
                Some(ended) => format!("member of session {id}, which ended {}", when(ended, now)),
                None => format!(
                    "member of session {id}, last active {} ago; without activity it ends at {:#} (retain.sessions {})",
                    whole(session.last_activity.age_at(now)),
                    session.last_activity.plus(root.rules.retain.sessions),
                    TimeSpan(root.rules.retain.sessions)
                ),
            },
        });
    }
    notes.extend(told.jobs.iter().map(|job| format!("belongs to job {job} by `track`")));
    notes
}
