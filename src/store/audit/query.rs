//! Asking the audit log, by reading its segments.

use std::collections::{HashMap, HashSet};

use super::records::Frame;
use super::{AuditError, AuditFilter, AuditLog, AuditRecord, NotRemoved, Outcome, segment};
use crate::store::StoreError;

/// Place of a record in the log; prints as text for clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditCursor {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the frame.
    pub offset: u64,
    /// Position in the frame.
    pub entry: u32,
}

impl std::fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.segment, self.offset, self.entry)
    }
}

impl std::str::FromStr for AuditCursor {
    type Err = crate::store::index::BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || crate::store::index::BadCursor(text.to_owned());
        let mut parts = text.split('.').map(|part| part.parse::<u64>().map_err(|_| bad()));
        let mut next = || parts.next().unwrap_or_else(|| Err(bad()));
        let (segment, offset, entry) = (next()?, next()?, next()?);
        let small = |n: u64| u32::try_from(n).map_err(|_| bad());
        Ok(Self { segment: small(segment)?, offset, entry: small(entry)? })
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What it holds.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<AuditCursor>,
}

impl AuditLog {
    /// Records that pass `filter`, oldest first, behind `after`. Reads the segments
    /// from there on (2 MiB each).
    pub fn query(
        &self,
        filter: &AuditFilter<'_>,
        after: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<Page<AuditRecord>, AuditError> {
        let failed = |error| StoreError::io("read audit log", &self.dir, error);
        let start = after.map_or(0, |after| after.segment);
        let mut numbers = segment::numbers(&self.dir).map_err(failed)?;
        numbers.retain(|n| *n >= start);
        let mut page = Page { items: Vec::new(), next: None };
        let mut wanted: HashSet<u64> = HashSet::new();
        let mut outcomes: HashMap<u64, Vec<NotRemoved>> = HashMap::new();
        let mut positions = Vec::new();
        for number in numbers {
            if page.next.is_some() && wanted.is_empty() {
                break;
            }
            let Some(bytes) = segment::load(&self.dir, number).map_err(failed)? else { continue };
            for (offset, payload) in segment::frames(&bytes) {
                let Ok(frame) = serde_json::from_slice::<Frame>(payload) else { continue };
                let mut give = |entry: u32, batch: Option<(u64, u32)>, record: AuditRecord| {
                    let at = AuditCursor { segment: number, offset, entry };
                    if after.is_some_and(|after| at <= *after) || page.next.is_some() {
                        return;
                    }
                    if page.items.len() == limit {
                        page.next = positions.last().cloned().or_else(|| after.cloned());
                        return;
                    }
                    wanted.extend(batch.map(|(batch, _)| batch));
                    positions.push(at);
                    page.items.push(record);
                };
                match frame {
                    Frame::Outcome { batch, not_removed } => {
                        if wanted.remove(&batch) {
                            outcomes.insert(batch, not_removed);
                        }
                    }
                    Frame::Change { change } if filter.wants_change(&change) => {
                        give(0, None, AuditRecord::Change(change));
                    }
                    Frame::Change { .. } => {}
                    Frame::Intent { batch, first, header, entries } if filter.wants_batch(&header) => {
                        for (n, entry) in entries.into_iter().enumerate() {
                            if filter.wants_entry(&header, &entry) {
                                let header = header.clone();
                                let n = n as u32;
                                // The position in the whole batch stands in until the outcome is known.
                                let outcome = Outcome::NotRemoved((first + n).to_string());
                                let record = AuditRecord::Removal { batch, header, entry, outcome };
                                give(n, Some((batch, first + n)), record);
                            }
                        }
                    }
                    Frame::Intent { .. } => {}
                }
            }
        }
        for item in &mut page.items {
            if let AuditRecord::Removal { batch, outcome, .. } = item {
                *outcome = match (outcomes.get(batch), &*outcome) {
                    (Some(stayed), Outcome::NotRemoved(place)) => stayed
                        .iter()
                        .find(|NotRemoved(n, _)| n.to_string() == *place)
                        .map_or(Outcome::Removed, |NotRemoved(_, why)| Outcome::NotRemoved(why.clone())),
                    _ => Outcome::Unknown,
                };
            }
        }
        Ok(page)
    }
}
