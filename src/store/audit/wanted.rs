//! What a query looks for: which blocks may hold it, and whether a row is it.

use std::io;

use super::filter_bits::{self, Key};
use super::query::Asked;
use super::records::{ReadFrame, RowFacts};
use super::sidecar::Block;
use super::{AuditEntry, AuditFilter, AuditRecord, Outcome};
use crate::model::WirePath;

/// What is looked for, as keys that a block must hold all of.
pub(super) struct Wanted<'a> {
    pub(super) filter: &'a AuditFilter<'a>,
    keys: Vec<Key>,
    /// How a wanted row names its job.
    job: Option<String>,
    /// What stands in a component of every wanted path, as JSON writes it too.
    plain: Option<String>,
}

/// The longest part of the wanted texts that lies in one component of a path
/// and that neither JSON nor the percent encoding writes otherwise.
fn plain(texts: &[Vec<u8>]) -> Option<String> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let pieces = texts.iter().flat_map(|text| text.split(|byte| !is_plain(byte)));
    let longest = pieces.max_by_key(|piece| piece.len()).filter(|piece| piece.len() > 2)?;
    String::from_utf8(longest.to_vec()).ok()
}

impl<'a> Wanted<'a> {
    pub(super) fn of(filter: &'a AuditFilter<'a>) -> Self {
        let mut keys = Vec::new();
        keys.extend(filter.run.iter().flat_map(|run| filter_bits::run(run.as_str())));
        keys.extend(filter.job.iter().flat_map(|job| filter_bits::job(job.as_str())));
        filter.path_contains.iter().for_each(|text| filter_bits::of_text(text, &mut keys));
        Self {
            filter,
            keys,
            job: filter.job.as_ref().map(|job| format!("\"{job}\"")),
            plain: plain(&filter.path_contains),
        }
    }

    pub(super) fn may_be_in(&self, asked: &Asked, block: &Block) -> io::Result<bool> {
        if self.filter.since.is_some_and(|since| block.newest < since.as_nanos()) {
            return Ok(false);
        }
        asked.may_hold_all(block, &self.keys)
    }

    /// The row as a record, if it is wanted.
    pub(super) fn row(&self, frame: &ReadFrame<'_>, n: usize) -> Option<AuditRecord> {
        let (header, row) = (frame.header.as_ref()?, frame.entries.get(n)?.get());
        // A job's id stands in a row as it is: no character of it is escaped.
        if self.job.as_ref().is_some_and(|job| !row.contains(job.as_str())) {
            return None;
        }
        // Far cheaper than to read the row, and most rows end here. What is not in
        // the path below the root may be in the root's.
        if let Some(plain) = &self.plain
            && !row.contains(plain.as_str())
            && !header.root_path.path.contains(plain.as_str())
        {
            return None;
        }
        if self.filter.path.is_some() {
            let path: WirePath = serde_json::from_str(row).ok()?;
            if !self.filter.wants_path(header, &path) {
                return None;
            }
        }
        if self.job.is_some() {
            let facts: RowFacts = serde_json::from_str(row).ok()?;
            if !self.filter.wants_job(&facts.reason) {
                return None;
            }
        }
        let entry: AuditEntry = serde_json::from_str(row).ok()?;
        // The position in the whole batch stands in until the outcome is known.
        let outcome = Outcome::NotRemoved((frame.first + n as u32).to_string());
        Some(AuditRecord::Removal { batch: frame.batch, header: header.clone(), entry, outcome })
    }
}
