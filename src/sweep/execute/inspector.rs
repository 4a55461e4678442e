//! The looks of a removal without the removal: what a dry run ends with.

use std::collections::HashSet;

use crate::model::{Action, FileKind, RelPath, Skip};
use crate::sweep::root::GuardedRoot;

use super::{Conditions, Ended, Place, Refusal, State, refused_directory};

/// Asks of planned files what [`super::execute`] asks of them, and changes nothing:
/// so a plan leaves out what would stay when it is carried out.
pub struct Inspector<'a> {
    state: State<'a>,
    at: Option<Place>,
}

impl<'a> Inspector<'a> {
    /// For files of one root, as it is now.
    pub fn new(root: &'a GuardedRoot, with: Conditions<'a>) -> Self {
        Self { state: State::new(root, &[], with), at: None }
    }

    /// Why the file would stay. One that could not be removed for want of
    /// permission is no such case: a run tries, and reports the error.
    ///
    /// `by_name`: files that will have gone by then.
    pub fn objection_to(&mut self, action: &Action, by_name: &HashSet<RelPath>) -> Option<Skip> {
        if let Some((id, true)) = action.reason.kept() {
            return self.state.objection_to_moved(action, id);
        }
        let parent = action.path.parent().unwrap_or_default();
        if self.at.as_ref().is_none_or(|place| place.path != parent) {
            match self.state.enter(parent) {
                Ok(place) => self.at = Some(place),
                Err(error) => return skipped(&refused_directory(&error)),
            }
        }
        let place = self.at.as_ref()?;
        if action.reason.is_tree() {
            let looked = self.state.look_through(action, place, by_name);
            return looked.err().as_ref().and_then(skipped);
        }
        if self.state.goes_with_its_tree(action, place) {
            return Some(Skip::Changed);
        }
        if action.facts.id.kind == FileKind::Directory {
            return None;
        }
        let known = self.state.with.read();
        match self.state.confirm(action, place, action.path.name(), &known) {
            Err(Refusal::Skip(why)) => Some(why),
            Ok(_) | Err(Refusal::Failed(_)) => None,
        }
    }
}

const fn skipped(ended: &Ended) -> Option<Skip> {
    match ended {
        Ended::Skipped(why) => Some(*why),
        _ => None,
    }
}
