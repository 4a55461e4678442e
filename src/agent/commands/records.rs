//! History and audit, newest first.

use serde_json::Value;

use crate::agent::problems;
use crate::api::{
    ApiError, AuditEntry, AuditFilter, HistoryFilter, Listing, Page, RequestEntry, RequestFilter,
};
use crate::model::{JobId, RelPath, Report, Requester, RunId, WirePath};
use crate::policy::{Globs, literals};
use crate::store::audit::{self, AuditCursor, AuditRecord, Outcome};
use crate::store::ledger::RequestRecord;

use super::Served;

/// Accepts or refuses an absolute path.
type Matcher = Box<dyn Fn(&[u8]) -> bool>;

impl Served {
    pub(super) fn list_history(
        &self,
        filter: &HistoryFilter,
        page: &Page,
    ) -> Result<Listing<Report>, ApiError> {
        if let Some(name) = &filter.root
            && !matches!(self.agent.ledger.root(name), Ok(Some(_)))
        {
            // One that is no longer configured has its past still.
            self.named(name)?;
        }
        let wanted = |report: &Report| {
            filter.since.is_none_or(|since| report.start_time >= since)
                && filter.root.as_ref().is_none_or(|root| report.root == *root)
                && filter.policy.is_none_or(|policy| report.policy == policy)
        };
        let after = page.after.as_deref().map(RunId::new);
        let mut items = self
            .agent
            .ledger
            .history(after.as_ref(), page.limit.saturating_add(1), true, wanted)
            .map_err(|error| problems::store(&error))?;
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        for report in &mut items {
            report.actions = None;
        }
        let next = items.last().filter(|_| more).map(|last| last.id.as_str().to_owned());
        Ok(Listing { items, next })
    }

    pub(super) fn list_audit(
        &self,
        filter: &AuditFilter,
        page: &Page,
    ) -> Result<Listing<AuditEntry>, ApiError> {
        let Some(log) = &self.agent.engine.audit else { return Ok(Listing::all(Vec::new())) };
        let after: Option<AuditCursor> = match &page.after {
            None => None,
            Some(after) => Some(after.parse().map_err(|_| {
                ApiError::invalid(format!(
                    "{after:?} is not a place in this list: pass `next` of the page before"
                ))
            })?),
        };
        let accepts = filter.path.as_deref().map(|glob| self.matcher(glob)).transpose()?;
        let text = filter.path.as_deref().and_then(|glob| std::str::from_utf8(glob).ok());
        let wanted = audit::AuditFilter {
            path: accepts.as_deref(),
            path_contains: text.map(literals).unwrap_or_default(),
            job: filter.job.clone(),
            run: filter.run.clone(),
            since: filter.since,
        };
        let read = log.page(&wanted, after.as_ref(), page.limit).map_err(|error| problems::store(&error))?;
        Ok(Listing {
            items: read.items.into_iter().map(entry).collect(),
            next: read.next.map(|next| next.to_string()),
        })
    }

    pub(super) fn list_requests(
        &self,
        filter: &RequestFilter,
        page: &Page,
    ) -> Result<Listing<RequestEntry>, ApiError> {
        let after = page.after.as_deref().map(|after| {
            after.parse().map_err(|_| {
                ApiError::invalid(format!(
                    "{after:?} is not a place in this list: pass `next` of the page before"
                ))
            })
        });
        let wanted = |record: &RequestRecord| {
            filter.since.is_none_or(|since| record.at >= since)
                && filter.uid.is_none_or(|uid| record.uid == uid)
                && filter.action.as_deref().is_none_or(|action| action_of(&record.what) == Some(action))
        };
        let found = self.agent.ledger.requests(after.transpose()?, page.limit.saturating_add(1), wanted);
        let mut found = found.map_err(|error| problems::store(&error))?;
        let more = found.len() > page.limit;
        found.truncate(page.limit);
        let next = found.last().filter(|_| more).map(|(number, _)| number.to_string());
        let shown = |(id, record): (u64, RequestRecord)| RequestEntry {
            id,
            time: record.at,
            action: action_of(&record.what).unwrap_or("change").to_owned(),
            requested_by: Requester { uid: record.uid, gid: record.gid, pid: record.pid },
            request: record.what,
        };
        Ok(Listing { items: found.into_iter().map(shown).collect(), next })
    }

    /// Matches absolute paths: by an absolute glob, or by one relative to the roots.
    fn matcher(&self, glob: &[u8]) -> Result<Matcher, ApiError> {
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

fn action_of(what: &Value) -> Option<&str> {
    what.get("action").and_then(Value::as_str)
}

fn entry(record: AuditRecord) -> AuditEntry {
    match record {
        AuditRecord::Removal { header, entry, outcome, .. } => {
            let path = header.absolute(&entry.path);
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
