//! Who asked for what.
//!
//! Promises: a request is on record in the very transaction of the first thing
//! that it changes, so that no change is durable without it; one that changes
//! nothing here is written by itself. A bounded number is kept.

use std::cell::RefCell;

use redb::{ReadableTable, WriteTransaction};

use super::tables::{self, REQUESTS};
use super::{Ledger, RequestRecord};
use crate::model::{LedgerId, Timestamp};
use crate::store::StoreError;
use crate::store::error::Fault;

/// Most requests kept.
const KEPT: u64 = 10_000;

thread_local! {
    /// On whose behalf this thread changes which ledger now. A request is
    /// carried out by one thread from its beginning to its end.
    static IN_HAND: RefCell<Option<(LedgerId, RequestRecord)>> = const { RefCell::new(None) };
}

/// Ends a request also when the work on it panics.
struct Hand;

impl Drop for Hand {
    fn drop(&mut self) {
        take();
    }
}

fn take() -> Option<(LedgerId, RequestRecord)> {
    IN_HAND.with(|hand| hand.borrow_mut().take())
}

/// The request in hand for this ledger that is not on record yet.
pub(super) fn in_hand(ledger: &LedgerId) -> Option<RequestRecord> {
    let is_its = |(of, request): &(LedgerId, RequestRecord)| (of == ledger).then(|| request.clone());
    IN_HAND.with(|hand| hand.borrow().as_ref().and_then(is_its))
}

/// It is on record now.
pub(super) fn recorded() {
    take();
}

/// Puts a request behind the others; the oldest of too many is forgotten.
pub(super) fn append(transaction: &WriteTransaction, request: &RequestRecord) -> Result<(), Fault> {
    let mut table = transaction.open_table(REQUESTS)?;
    let last = table.last()?.and_then(|(key, _)| number(key.value()));
    let next = last.map_or(0, |last| last + 1);
    table.insert(next.to_be_bytes().as_slice(), tables::encode(request)?.as_slice())?;
    if let Some(old) = next.checked_sub(KEPT) {
        table.remove(old.to_be_bytes().as_slice())?;
    }
    Ok(())
}

fn number(key: &[u8]) -> Option<u64> {
    key.first_chunk().copied().map(u64::from_be_bytes)
}

impl Ledger {
    /// Does the work that `request` asks for. What it changes first carries the
    /// request's record; where it succeeds without a change here, the record is
    /// written by itself, and the second result says whether it could be.
    pub fn on_behalf<T, E>(
        &self,
        request: RequestRecord,
        work: impl FnOnce() -> Result<T, E>,
    ) -> (Result<T, E>, Result<(), StoreError>) {
        IN_HAND.with(|hand| *hand.borrow_mut() = Some((self.id.clone(), request)));
        let _ends = Hand;
        let result = work();
        // Still there: no write has taken it.
        let recorded = match take() {
            Some((_, request)) if result.is_ok() => self.write(|t| append(t, &request)),
            _ => Ok(()),
        };
        (result, recorded)
    }

    /// Requests that `keep` accepts, newest first, behind the number `after`.
    pub fn requests(
        &self,
        after: Option<u64>,
        limit: usize,
        keep: impl Fn(&RequestRecord) -> bool,
    ) -> Result<Vec<(u64, RequestRecord)>, StoreError> {
        self.read(|t| {
            let table = t.open_table(REQUESTS)?;
            let end = after.unwrap_or(u64::MAX).to_be_bytes();
            let mut page = Vec::new();
            for row in table.range::<&[u8]>(..end.as_slice())?.rev() {
                if page.len() >= limit {
                    break;
                }
                let (key, value) = row?;
                let record: RequestRecord = tables::decode(value.value())?;
                if keep(&record) {
                    page.extend(number(key.value()).map(|number| (number, record)));
                }
            }
            Ok(page)
        })
    }

    /// Forgets requests from before `before`.
    pub fn prune_requests(&self, before: Timestamp) -> Result<(), StoreError> {
        self.write(|t| {
            t.open_table(REQUESTS)?.retain(|_, value| {
                !serde_json::from_slice::<RequestRecord>(value).is_ok_and(|record| record.at < before)
            })?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ledger::tests::job;

    fn request(uid: u32, what: &str) -> RequestRecord {
        let at = Timestamp::from_unix(i64::from(uid), 0);
        RequestRecord { at, uid, gid: 1, pid: 2, what: serde_json::json!({ "action": what }) }
    }

    fn uids(ledger: &Ledger) -> Vec<u32> {
        ledger.requests(None, 100, |_| true).unwrap().into_iter().map(|(_, record)| record.uid).collect()
    }

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(dir.path(), Timestamp::EPOCH).unwrap();
        (dir, ledger)
    }

    #[test]
    fn a_request_is_on_record_as_soon_as_its_change_is_and_once() {
        let (_dir, ledger) = ledger();
        let (done, recorded) = ledger.on_behalf(request(7, "job_put"), || {
            ledger.put_job(&job("a"))?;
            assert_eq!(uids(&ledger), [7], "in the same transaction");
            ledger.put_job(&job("b"))
        });
        assert!(done.is_ok() && recorded.is_ok());
        // What the agent writes by itself is nobody's request.
        ledger.put_job(&job("c")).unwrap();
        assert_eq!(uids(&ledger), [7]);
    }

    #[test]
    fn one_that_changes_nothing_is_written_by_itself_and_one_that_is_refused_not_at_all() {
        let (_dir, ledger) = ledger();
        let (done, _) = ledger.on_behalf(request(1, "sweep"), || Ok::<_, ()>(()));
        assert!(done.is_ok());
        let (done, _) = ledger.on_behalf(request(2, "sweep"), || Err::<(), _>("not permitted"));
        assert!(done.is_err());
        assert_eq!(uids(&ledger), [1]);
    }

    #[test]
    fn the_newest_come_first_page_by_page_and_the_old_are_forgotten() {
        let (_dir, ledger) = ledger();
        for uid in 0..5 {
            let (done, _) = ledger.on_behalf(request(uid, "sweep"), || Ok::<_, ()>(()));
            done.unwrap();
        }
        let first = ledger.requests(None, 2, |_| true).unwrap();
        assert_eq!(first.iter().map(|(_, record)| record.uid).collect::<Vec<_>>(), [4, 3]);
        let rest = ledger.requests(Some(first[1].0), 10, |record| record.uid != 1).unwrap();
        assert_eq!(rest.iter().map(|(_, record)| record.uid).collect::<Vec<_>>(), [2, 0]);
        ledger.prune_requests(Timestamp::from_unix(3, 0)).unwrap();
        assert_eq!(uids(&ledger), [4, 3]);
        // Numbers go on, so that pages stay where they were.
        let (done, _) = ledger.on_behalf(request(9, "sweep"), || Ok::<_, ()>(()));
        done.unwrap();
        assert_eq!(uids(&ledger), [9, 4, 3]);
    }
}
