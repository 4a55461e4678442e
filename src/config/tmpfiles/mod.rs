//! tmpfiles.d(5) as configuration: what systemd-tmpfiles cleans by age becomes
//! roots with a greatest age, what it leaves out becomes protections.
//!
//! Lines are read (`line`), those without effect taken out (`effect`), the
//! outermost ones become roots (`roots`), all others beneath them protections
//! (`protections`), and the whole is written down as TOML with what differs
//! (`text`).
//!
//! Promises: by what is written, nothing goes sooner than systemd-tmpfiles took
//! it (by its own age; see `text` for emergencies and the few marks of files
//! that no glob can express); it is a valid configuration, whatever the lines
//! say; no line that ages or excludes is left out without a word. Must not
//! know: where the lines come from; the disk but through [`Probe`].

mod age;
mod differences;
mod effect;
mod glob;
mod line;
mod path;
mod protections;
mod roots;
#[cfg(test)]
mod tests;
mod text;
mod words;

use serde::Serialize;

pub use line::{Malformed, Source};

use super::merge::name_from_path;
use super::{Probe, SourceFile, show};
use crate::model::{FileTimes, RootName};

/// What became of the lines.
#[derive(Debug, Clone)]
pub struct Import {
    /// The roots, outer ones first.
    pub roots: Vec<ImportedRoot>,
    /// Where guardian will act otherwise than these lines did.
    pub differences: Vec<Difference>,
    /// Lines that say something of ages and have no part in the roots.
    pub not_imported: Vec<Note>,
    /// Lines that systemd-tmpfiles refuses, too.
    pub malformed: Vec<Malformed>,
    /// How many lines say nothing of ages.
    pub lines_without_age: usize,
}

/// A directory that was cleaned by age.
#[derive(Debug, Clone, Serialize)]
pub struct ImportedRoot {
    /// A name of its own.
    pub name: String,
    /// The directory.
    pub path: String,
    /// Why guardian refuses it unless it is allowed by name; then it is written as a comment.
    pub refused: Option<String>,
    /// The age, as the configuration writes it.
    pub max_age: String,
    /// The times that count.
    pub age_by: Vec<&'static str>,
    /// What stays.
    #[serde(skip)]
    pub protect: Vec<Protection>,
    /// Particulars, for the comment above it.
    pub notes: Vec<String>,
    /// The line.
    #[serde(flatten)]
    pub source: Source,
}

/// Something that stays.
#[derive(Debug, Clone, Serialize)]
pub struct Protection {
    /// The glob.
    pub glob: String,
    /// Why.
    pub reason: String,
    /// The line.
    #[serde(flatten)]
    pub source: Source,
}

/// A line and what is to be said of it.
#[derive(Debug, Clone, Serialize)]
pub struct Note {
    /// The line.
    #[serde(flatten)]
    pub source: Source,
    /// What.
    pub reason: String,
}

/// Something that guardian does otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// The line that it is about; none for what holds for all.
    #[serde(flatten)]
    pub source: Option<Source>,
    /// What.
    pub reason: String,
}

impl Difference {
    fn of(line: &line::Line, reason: String) -> Self {
        Self { source: Some(line.source.clone()), reason }
    }
}

/// Turns the lines of files, in the order in which they apply, into roots.
pub fn import(files: &[SourceFile], probe: &dyn Probe) -> Import {
    let (mut lines, mut malformed) = (Vec::new(), Vec::new());
    for file in files {
        line::read(&file.path, &file.bytes, &mut lines, &mut malformed);
    }
    let lines_without_age = lines.iter().filter(|line| line.age.is_none() && !line.is_exclusion()).count();
    let (mut differences, mut not_imported) = (Vec::new(), Vec::new());
    let lines = effect::in_effect(lines, &mut not_imported);
    let chosen = roots::choose(&lines, probe, &mut differences, &mut not_imported);
    let mut imported: Vec<ImportedRoot> = Vec::new();
    for root in &chosen {
        // What stays in a root that is only a comment makes no difference yet.
        let mut of_this = Vec::new();
        let protect = protections::of_root(root, &lines, probe, &mut of_this);
        if root.refused.is_none() {
            differences.append(&mut of_this);
        }
        let candidate = &root.candidate;
        imported.push(ImportedRoot {
            name: name_for(&candidate.path, &imported),
            path: candidate.path.clone(),
            refused: root.refused.clone(),
            max_age: show::span(candidate.age),
            age_by: words(candidate.by),
            protect,
            notes: notes(root, &chosen),
            source: candidate.line.source.clone(),
        });
    }
    not_imported.extend(lines.iter().filter_map(|line| unused(line, &imported)));
    let place = |source: &Source| (files.iter().position(|file| file.path == source.file), source.line);
    not_imported.sort_by_key(|note| place(&note.source));
    differences.sort_by_key(|difference| difference.source.as_ref().map(place));
    differences.splice(0..0, differences::of_all(&imported));
    Import { roots: imported, differences, not_imported, malformed, lines_without_age }
}

/// An exclusion, or an age of one, that no root knows of.
fn unused(line: &line::Line, roots: &[ImportedRoot]) -> Option<Note> {
    let is_used = roots.iter().any(|root| root.protect.iter().any(|known| known.source == line.source));
    (line.is_exclusion() && !is_used).then(|| Note {
        source: line.source.clone(),
        reason: "it excludes nothing: no imported root contains it, or another line protects the same"
            .to_owned(),
    })
}

/// What is particular about a root.
fn notes(root: &roots::Chosen<'_>, all: &[roots::Chosen<'_>]) -> Vec<String> {
    let candidate = &root.candidate;
    let mut notes = Vec::new();
    if candidate.line.of_var_run {
        notes.push("/var/run is read as /run, as systemd-tmpfiles reads it.".to_owned());
    }
    if candidate.at_each_run {
        notes.push(
            "The age was 0: everything, at each run. That was once a day, so a day it is here.".to_owned(),
        );
    }
    if root.refused.is_some() {
        let path = std::path::Path::new(&candidate.path);
        let inner = all
            .iter()
            .map(|one| &one.candidate.path)
            .filter(|other| *other != &candidate.path && std::path::Path::new(other).starts_with(path));
        notes.extend(inner.map(|other| {
            format!(
                "It contains {}: roots can't contain one another, so take one of them only.",
                show::text(other)
            )
        }));
    }
    notes
}

/// A name that no other root has.
fn name_for(path: &str, taken: &[ImportedRoot]) -> String {
    let path = std::path::Path::new(path);
    let own = name_from_path(path);
    let with_parent = path.parent().map(name_from_path).map(|parent| format!("{parent}-{own}"));
    let numbered = (2..).map(|number| format!("root-{number}"));
    let fits = |name: &String| {
        RootName::parse(name).is_ok()
            && name != "."
            && name != ".."
            && !taken.iter().any(|root| root.name == *name)
    };
    std::iter::once(own).chain(with_parent).chain(numbered).find(fits).unwrap_or_default()
}

fn words(by: FileTimes) -> Vec<&'static str> {
    [("mtime", by.mtime), ("ctime", by.ctime), ("atime", by.atime), ("btime", by.btime)]
        .into_iter()
        .filter_map(|(word, is_set)| is_set.then_some(word))
        .collect()
}
