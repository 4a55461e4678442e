//! Hints that wait to be looked at, each name once.

use std::collections::HashMap;

use crate::watch::What;

/// What was heard of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Heard {
    /// Something was made or linked there: a directory there is not one that was renamed.
    pub(super) made: bool,
    /// Something was renamed to there.
    pub(super) arrived: bool,
    /// Something was renamed away: if it was a directory, it may turn up elsewhere.
    pub(super) left: bool,
    /// Attributes changed.
    pub(super) attributes: bool,
    /// Whether, by the last word on it, somebody has it open for writing; `None`: nothing was said.
    pub(super) open: Option<bool>,
    /// How often it could not be looked at because its directory was not where it should be.
    pub(super) tries: u8,
}

impl Heard {
    /// Something renamed away: to be looked at without having been heard of.
    pub(super) const LEFT: Self =
        Self { made: false, arrived: false, left: true, attributes: false, open: None, tries: 0 };

    fn add(&mut self, later: Self) {
        self.made |= later.made;
        self.arrived |= later.arrived;
        self.left |= later.left;
        self.attributes |= later.attributes;
        self.open = later.open.or(self.open);
        self.tries = self.tries.max(later.tries);
    }
}

impl Heard {
    /// Of one event on a name. `is_dir` as the kernel said it.
    pub(super) fn of(what: What, is_dir: Option<bool>) -> Self {
        let quiet = Self::default();
        let open = (is_dir != Some(true)).then_some(true);
        match what {
            What::Created => Self { made: true, open, ..quiet },
            What::Removed => Self { open: Some(false), ..quiet },
            What::MovedFrom { .. } => Self { left: true, open: Some(false), ..quiet },
            What::MovedTo { .. } => Self { arrived: true, ..quiet },
            What::Written => Self { open: Some(true), ..quiet },
            What::Closed => Self { open: Some(false), ..quiet },
            What::Attributes => Self { attributes: true, ..quiet },
            What::DirectoryGone => quiet,
        }
    }
}

/// A name to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hint {
    /// Inode of the directory.
    pub(super) dir: u64,
    /// The name in it.
    pub(super) name: Box<[u8]>,
    /// What was heard of it.
    pub(super) heard: Heard,
}

/// Names that wait to be looked at.
#[derive(Debug, Default)]
pub(super) struct Hints(HashMap<u64, HashMap<Box<[u8]>, Heard>>, usize);

impl Hints {
    pub(super) fn add(&mut self, dir: u64, name: Box<[u8]>, heard: Heard) {
        let names = self.0.entry(dir).or_default();
        let before = names.len();
        names.entry(name).or_default().add(heard);
        self.1 += names.len() - before;
    }

    pub(super) fn len(&self) -> usize {
        self.1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.1 == 0
    }

    /// All of them. Arrivals come first: a renamed directory that is found at
    /// its new place before its old name is looked at costs nothing. The rest
    /// is in the order of the index, so that neighbours are written together.
    pub(super) fn take(&mut self) -> Vec<Hint> {
        self.1 = 0;
        let mut hints: Vec<Hint> = std::mem::take(&mut self.0)
            .into_iter()
            .flat_map(|(dir, names)| names.into_iter().map(move |(name, heard)| Hint { dir, name, heard }))
            .collect();
        hints.sort_unstable_by(|a, b| {
            (!a.heard.arrived, a.dir, &a.name).cmp(&(!b.heard.arrived, b.dir, &b.name))
        });
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_at_once_however_often_it_was_heard_of() {
        let mut hints = Hints::default();
        for what in [What::Created, What::Written, What::Written, What::Closed] {
            hints.add(7, b"f"[..].into(), Heard::of(what, Some(false)));
        }
        hints.add(7, b"g"[..].into(), Heard::of(What::MovedTo { cookie: 1 }, None));
        assert_eq!(hints.len(), 2);
        let taken = hints.take();
        assert_eq!(taken[0].name[..], b"g"[..]);
        assert!(taken[1].heard.made && taken[1].heard.open == Some(false));
        assert!(hints.is_empty());
    }

    #[test]
    fn a_file_counts_as_open_until_the_last_word_says_otherwise() {
        let mut hints = Hints::default();
        for what in [What::Created, What::Closed, What::Attributes, What::Written, What::Attributes] {
            hints.add(7, b"f"[..].into(), Heard::of(what, None));
        }
        assert_eq!(hints.take()[0].heard.open, Some(true));
    }
}
