//! The directories of one root as far as they are known, in memory.
//!
//! Every hint names a directory by inode; this is where its path comes from,
//! whatever was renamed above it, and also while the index cannot be read.
//! Costs about 200 bytes a directory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::RelPath;

/// What is known of a directory beside its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// Its changes are reported.
    pub(super) watched: bool,
    /// Its watch ended or something of it was missed: wherever it turns up, it
    /// must be watched anew and listed.
    pub(super) suspect: bool,
    /// It waits to be listed.
    pub(super) queued: bool,
    /// With all beneath it.
    pub(super) deep: bool,
}

#[derive(Debug)]
struct Node {
    /// `None` for the root, and for a directory that is nowhere at the moment.
    place: Option<(u64, Arc<[u8]>)>,
    children: BTreeMap<Arc<[u8]>, u64>,
    mark: Mark,
}

/// The directories of one root.
#[derive(Debug)]
pub(super) struct Tree {
    root: u64,
    nodes: HashMap<u64, Node>,
}

impl Tree {
    pub(super) fn new(root: u64) -> Self {
        let node = Node { place: None, children: BTreeMap::new(), mark: Mark::default() };
        Self { root, nodes: HashMap::from([(root, node)]) }
    }

    pub(super) const fn root(&self) -> u64 {
        self.root
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn contains(&self, ino: u64) -> bool {
        self.nodes.contains_key(&ino)
    }

    pub(super) fn mark(&self, ino: u64) -> Option<Mark> {
        self.nodes.get(&ino).map(|node| node.mark)
    }

    pub(super) fn mark_mut(&mut self, ino: u64) -> Option<&mut Mark> {
        self.nodes.get_mut(&ino).map(|node| &mut node.mark)
    }

    /// The directory above and the name in it; `None` for the root and for what is nowhere.
    pub(super) fn place(&self, ino: u64) -> Option<(u64, &[u8])> {
        self.nodes.get(&ino)?.place.as_ref().map(|(parent, name)| (*parent, &**name))
    }

    pub(super) fn child(&self, dir: u64, name: &[u8]) -> Option<u64> {
        self.nodes.get(&dir)?.children.get(name).copied()
    }

    pub(super) fn children(&self, dir: u64) -> impl Iterator<Item = (&[u8], u64)> {
        self.nodes.get(&dir).into_iter().flat_map(|node| &node.children).map(|(name, ino)| (&**name, *ino))
    }

    pub(super) fn inodes(&self) -> impl Iterator<Item = (u64, Mark)> {
        self.nodes.iter().map(|(ino, node)| (*ino, node.mark))
    }

    /// The path below the root; `None` if the directory is unknown or nowhere.
    pub(super) fn path(&self, ino: u64) -> Option<RelPath> {
        let mut names = Vec::new();
        let mut here = ino;
        while here != self.root {
            let (parent, name) = self.place(here)?;
            names.push(name);
            here = parent;
        }
        Some(names.iter().rev().fold(RelPath::root(), |path, name| path.join(name)))
    }

    /// The places on the way from the root down to `ino`, its own last.
    pub(super) fn way_down(&self, ino: u64) -> Vec<(u64, Box<[u8]>, u64)> {
        let mut way = Vec::new();
        let mut here = ino;
        while let Some((parent, name)) = self.place(here) {
            way.push((parent, name.into(), here));
            here = parent;
        }
        way.reverse();
        way
    }

    /// Puts a directory, new or known, at `name` in `parent`; what was there
    /// before must have been taken away. `false` (and nothing done) if that
    /// cannot be: `parent` is unknown, lies beneath it, or it is the root.
    pub(super) fn attach(&mut self, ino: u64, parent: u64, name: &[u8]) -> bool {
        if ino == self.root || !self.contains(parent) || self.is_beneath(parent, ino) {
            return false;
        }
        self.detach(ino);
        let name: Arc<[u8]> = name.into();
        let node = Node { place: None, children: BTreeMap::new(), mark: Mark::default() };
        self.nodes.entry(ino).or_insert(node).place = Some((parent, Arc::clone(&name)));
        if let Some(above) = self.nodes.get_mut(&parent) {
            let before = above.children.insert(name, ino);
            debug_assert!(before.is_none_or(|before| before == ino), "the name was free");
        }
        true
    }

    /// Takes a directory from its place, with all beneath it; it stays known.
    pub(super) fn detach(&mut self, ino: u64) {
        let place = self.nodes.get_mut(&ino).and_then(|node| node.place.take());
        if let Some((parent, name)) = place
            && let Some(above) = self.nodes.get_mut(&parent)
        {
            above.children.remove(&name);
        }
    }

    /// Forgets a directory and all beneath it; gives their inodes. The root stays.
    pub(super) fn remove(&mut self, ino: u64) -> Vec<u64> {
        if ino == self.root || !self.contains(ino) {
            return Vec::new();
        }
        self.detach(ino);
        let mut gone = vec![ino];
        let mut next = 0;
        while let Some(here) = gone.get(next).copied() {
            next += 1;
            if let Some(node) = self.nodes.remove(&here) {
                gone.extend(node.children.into_values());
            }
        }
        gone
    }

    /// Whether `ino` is `above` or lies beneath it.
    fn is_beneath(&self, ino: u64, above: u64) -> bool {
        let mut here = Some(ino);
        while let Some(at) = here {
            if at == above {
                return true;
            }
            here = self.place(at).map(|(parent, _)| parent);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Action {
        Attach(u64, u64, u8),
        Detach(u64),
        Remove(u64),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            4 => (1u64..12, 1u64..12, 0u8..4).prop_map(|(ino, parent, name)| Action::Attach(ino, parent, name)),
            1 => (1u64..12).prop_map(Action::Detach),
            1 => (1u64..12).prop_map(Action::Remove),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_done_every_directory_is_at_one_place_and_none_in_a_circle(
            actions in proptest::collection::vec(action(), 0..60),
        ) {
            let mut tree = Tree::new(1);
            for action in actions {
                match action {
                    Action::Attach(ino, parent, name) => {
                        if tree.child(parent, &[name]).is_none_or(|there| there == ino) {
                            tree.attach(ino, parent, &[name]);
                        }
                    }
                    Action::Detach(ino) => tree.detach(ino),
                    Action::Remove(ino) => {
                        for gone in tree.remove(ino) {
                            prop_assert!(!tree.contains(gone));
                        }
                    }
                }
                prop_assert!(tree.contains(1) && tree.place(1).is_none());
                let known: Vec<u64> = tree.inodes().map(|(ino, _)| ino).collect();
                for ino in known {
                    // Would not return if there were a circle.
                    let _ = tree.path(ino);
                    if let Some((parent, name)) = tree.place(ino) {
                        prop_assert_eq!(tree.child(parent, name), Some(ino));
                    }
                    for (name, child) in tree.children(ino) {
                        prop_assert_eq!(tree.place(child), Some((ino, name)));
                    }
                }
            }
        }
    }

    #[test]
    fn a_rename_changes_the_path_of_all_beneath() {
        let mut tree = Tree::new(1);
        for (ino, parent, name) in [(2, 1, "a"), (3, 2, "b"), (4, 1, "z")] {
            assert!(tree.attach(ino, parent, name.as_bytes()));
        }
        assert!(tree.attach(2, 4, b"moved"));
        assert_eq!(tree.path(3).unwrap().as_bytes(), b"z/moved/b");
        assert!(!tree.attach(4, 3, b"circle"));
        tree.detach(2);
        assert_eq!(tree.path(3), None);
        assert_eq!(tree.remove(2), [2, 3]);
    }
}
