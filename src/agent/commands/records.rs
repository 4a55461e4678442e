//! History and audit, newest first.

use std::collections::VecDeque;

use serde_json::Value;

use crate::agent::problems;
use crate::api::{ApiError, AuditEntry, AuditFilter, Listing, Page};
use crate::model::{JobId, RelPath, Report, Requester, RunId, WirePath};
use crate::policy::Globs;
use crate::store::audit::{self, AuditRecord, Outcome};

use super::Served;

/// Records that are read from the log at once.
const READ: usize = 1000;

impl Served {
    pub(super) fn list_history(&self, page: &Page) -> Result<Listing<Report>, ApiError> {
        let after = page.after.as_deref().map(RunId::new);
        let mut items = self
            .agent
            .ledger
            .history(after.as_ref(), page.limit.saturating_add(1), true)
            .map_err(|error| problems::store(&error))?;
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        for report in &mut items {
            report.actions = None;
        }
        let next = items.last().filter(|_| more).map(|last| last.id.as_str().to_owned());
        Ok(Listing { items, next })
    }

    /// The log is written, and read, oldest first: each page reads all that
    /// match, of which only one page is held. Places are counted from the
    /// oldest, so that what is appended meanwhile moves nothing.
    pub(super) fn list_audit(
        &self,
        filter: &AuditFilter,
        page: &Page,
    ) -> Result<Listing<AuditEntry>, ApiError> {
        let Some(log) = &self.agent.engine.audit else { return Ok(Listing::all(Vec::new())) };
        let before: u64 = match &page.after {
            None => u64::MAX,
            Some(after) => after.parse().map_err(|_| {
                ApiError::invalid(format!(
                    "{after:?} is not a place in this list: pass `next` of the page before"
                ))
            })?,
        };
        let accepts = filter.path.as_deref().map(|glob| self.matcher(glob)).transpose()?;
        let wanted = audit::AuditFilter {
            path: accepts.as_deref(),
            job: filter.job.clone(),
            run: filter.run.clone(),
            since: filter.since,
        };
        let mut held: VecDeque<AuditRecord> = VecDeque::new();
        let (mut seen, mut after) = (0_u64, None);
        loop {
            let read = log.query(&wanted, after.as_ref(), READ).map_err(|error| problems::store(&error))?;
            for record in read.items {
                if seen >= before {
                    break;
                }
                seen += 1;
                held.push_back(record);
                if held.len() > page.limit {
                    held.pop_front();
                }
            }
            after = read.next;
            if after.is_none() || seen >= before {
                break;
            }
        }
        let first = seen - held.len() as u64;
        Ok(Listing {
            items: held.into_iter().rev().map(entry).collect(),
            next: (first > 0).then(|| first.to_string()),
        })
    }

    /// Matches absolute paths: by an absolute glob, or by one relative to the roots.
    fn matcher(&self, glob: &[u8]) -> Result<Box<dyn Fn(&[u8]) -> bool>, ApiError> {
        let text = std::str::from_utf8(glob)
            .map_err(|_| ApiError::invalid("the path is not UTF-8: use a glob, such as *"))?;
        let globs = Globs::compile(&[text.to_owned()]).map_err(|why| ApiError::invalid(why.to_string()))?;
        let roots: Vec<_> = self.agent.slots().iter().map(|slot| slot.settings.path.clone()).collect();
        let absolute = text.starts_with('/');
        Ok(Box::new(move |path| {
            let below = if absolute {
                None
            } else {
                roots.iter().find_map(|root| {
                    use std::os::unix::ffi::OsStrExt;
                    path.strip_prefix(root.as_os_str().as_bytes())?.strip_prefix(b"/")
                })
            };
            let below = below.unwrap_or_else(|| path.strip_prefix(b"/").unwrap_or(path));
            RelPath::from_bytes(below).is_ok_and(|path| globs.covers(&path))
        }))
    }
}

fn entry(record: AuditRecord) -> AuditEntry {
    match record {
        AuditRecord::Removal { header, entry, outcome, .. } => {
            let mut path = header.root_path.to_bytes().unwrap_or_default();
            path.push(b'/');
            path.extend(entry.path.to_bytes().unwrap_or_default());
            let (outcome, why) = match outcome {
                Outcome::Removed => ("removed", None),
                Outcome::NotRemoved(why) => ("not_removed", Some(why)),
                Outcome::Unknown => ("intended", None),
            };
            let reason = match why {
                None => entry.reason.to_string(),
                Some(why) => format!("{}; not removed: {why}", entry.reason),
            };
            AuditEntry {
                time: header.time,
                action: "remove".to_owned(),
                run: Some(header.run),
                root: Some(header.root),
                path: Some(WirePath::from_bytes(&path)),
                policy: Some(header.policy),
                phase: Some(header.phase),
                job: entry.reason.job().cloned(),
                reason,
                inode: Some(entry.ino),
                size_bytes: Some(entry.size),
                bytes: Some(entry.allocated),
                outcome: Some(outcome.to_owned()),
                requested_by: None,
            }
        }
        AuditRecord::Change(change) => {
            let text = |key: &str| change.what.get(key).and_then(Value::as_str);
            AuditEntry {
                time: change.time,
                action: text("action").unwrap_or("change").to_owned(),
                run: None,
                root: None,
                path: None,
                policy: None,
                phase: None,
                job: text("job").and_then(|job| JobId::parse(job).ok()),
                reason: change.what.to_string(),
                inode: None,
                size_bytes: None,
                bytes: None,
                outcome: None,
                requested_by: Some(Requester { uid: change.uid, gid: change.gid, pid: change.pid }),
            }
        }
    }
}
