//! Globs of `protect` and `results`, matched against bytes.
//!
//! Relative to the root; `*` stays within a component, `**` crosses; without a
//! slash any component matches; a directory that matches covers its subtree.
//! A leading slash anchors at the root, a trailing one is ignored.

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::PatternError;
use crate::model::RelPath;

/// A compiled list of globs.
#[derive(Debug, Clone, Default)]
pub struct Globs {
    /// Without a slash: matched against each component.
    names: GlobSet,
    /// With a slash: matched against the path and each directory above it.
    paths: GlobSet,
}

impl Globs {
    /// Compiles globs; the first bad one is the error.
    pub fn compile(globs: &[String]) -> Result<Self, PatternError> {
        let mut names = GlobSetBuilder::new();
        let mut paths = GlobSetBuilder::new();
        for text in globs {
            let plain = text.strip_suffix('/').unwrap_or(text);
            let anchored = plain.strip_prefix('/');
            let glob = build(text, anchored.unwrap_or(plain))?;
            if anchored.is_some() || plain.contains('/') { &mut paths } else { &mut names }.add(glob);
        }
        let finish = |set: GlobSetBuilder| {
            set.build().map_err(|e| PatternError::Glob { glob: globs.join(" "), cause: e.to_string() })
        };
        Ok(Self { names: finish(names)?, paths: finish(paths)? })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.paths.is_empty()
    }

    /// Whether `path` or a directory above it matches.
    pub fn covers(&self, path: &RelPath) -> bool {
        let bytes = path.as_bytes();
        (!self.names.is_empty() && path.components().any(|name| self.matches_name(name)))
            || (!self.paths.is_empty()
                && !bytes.is_empty()
                && (0..bytes.len())
                    .filter(|at| bytes[*at] == b'/')
                    .chain([bytes.len()])
                    .any(|end| self.paths.is_match_candidate(&Candidate::from_bytes(&bytes[..end]))))
    }

    /// Whether `name` in `dir` itself matches; what covers `dir` is not looked at again.
    pub fn matches_in(&self, dir: &RelPath, name: &[u8]) -> bool {
        (!self.names.is_empty() && self.matches_name(name))
            || (!self.paths.is_empty()
                && self.paths.is_match_candidate(&Candidate::from_bytes(dir.join(name).as_bytes())))
    }

    fn matches_name(&self, name: &[u8]) -> bool {
        self.names.is_match_candidate(&Candidate::from_bytes(name))
    }
}

fn build(shown: &str, glob: &str) -> Result<Glob, PatternError> {
    if glob.is_empty() {
        return Err(PatternError::Glob { glob: shown.to_owned(), cause: "it is empty".to_owned() });
    }
    GlobBuilder::new(glob)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|e| PatternError::Glob { glob: shown.to_owned(), cause: e.kind().to_string() })
}
