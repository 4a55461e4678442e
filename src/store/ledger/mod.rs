//! The ledger: durable truth.
use super::{RootKey, StoreError};
use crate::model::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
/// Where the ledger came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerOrigin {
    /***/ Existing,
    /***/ Created,
    /***/ Lost { /***/ reason: String },
}
/// A registered root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    pub name: RootName,
    pub path: WirePath,
    pub key: RootKey,
    pub fs_id: String,
    pub dir_ino: u64,
    pub marker: Option<String>,
    pub adopted_at: Option<Timestamp>,
    pub new_until: Option<Timestamp>,
    pub suspended: Option<String>,
}
/// Removals stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub until: Option<Timestamp>,
    pub emergencies: bool,
}
/// Last clock readings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockMark {
    pub wall: Timestamp,
    pub boot_id: String,
    pub boottime_nanos: u64,
}
/// Who asked for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    pub at: Timestamp,
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
    pub what: serde_json::Value,
}
/// Open for writing.
pub struct Ledger(());
/// Read only: changes no byte.
pub struct LedgerReader(());
macro_rules! reads {
    ($t:ty) => {
        #[allow(unused)]
        impl $t {
            pub fn id(&self) -> LedgerId {
                todo!()
            }
            pub fn began_at(&self) -> Timestamp {
                todo!()
            }
            pub fn trusted(&self) -> Result<bool, StoreError> {
                todo!()
            }
            pub fn job(&self, id: &JobId) -> Result<Option<JobRecord>, StoreError> {
                todo!()
            }
            pub fn jobs_page(
                &self,
                after: Option<&JobId>,
                limit: usize,
                state: Option<JobState>,
            ) -> Result<Vec<JobRecord>, StoreError> {
                todo!()
            }
            pub fn all_jobs(&self) -> Result<Vec<JobRecord>, StoreError> {
                todo!()
            }
            pub fn roots(&self) -> Result<Vec<RootRecord>, StoreError> {
                todo!()
            }
            pub fn root(&self, name: &RootName) -> Result<Option<RootRecord>, StoreError> {
                todo!()
            }
            pub fn report(&self, run: &RunId) -> Result<Option<Report>, StoreError> {
                todo!()
            }
            /// `newest_first`: order; `after`: the last id of the page before.
            pub fn history(
                &self,
                after: Option<&RunId>,
                limit: usize,
                newest_first: bool,
            ) -> Result<Vec<Report>, StoreError> {
                todo!()
            }
            pub fn clock_mark(&self) -> Result<Option<ClockMark>, StoreError> {
                todo!()
            }
            pub fn pause(&self) -> Result<Option<Pause>, StoreError> {
                todo!()
            }
            pub fn last_run(&self, schedule: &str) -> Result<Option<Timestamp>, StoreError> {
                todo!()
            }
            pub fn requests(&self, limit: usize) -> Result<Vec<RequestRecord>, StoreError> {
                todo!()
            }
        }
    };
}
reads!(Ledger);
reads!(LedgerReader);
#[allow(unused)]
impl LedgerReader {
    pub fn open(dir: &Path) -> Result<Option<Self>, StoreError> {
        todo!()
    }
}
#[allow(unused)]
impl Ledger {
    pub fn open(dir: &Path, now: Timestamp) -> Result<(Self, LedgerOrigin), StoreError> {
        todo!()
    }
    pub fn set_trusted(&self, trusted: bool) -> Result<(), StoreError> {
        todo!()
    }
    pub fn put_job(&self, job: &JobRecord) -> Result<(), StoreError> {
        todo!()
    }
    pub fn remove_job(&self, id: &JobId) -> Result<bool, StoreError> {
        todo!()
    }
    pub fn new_root_key(&self) -> Result<RootKey, StoreError> {
        todo!()
    }
    pub fn put_root(&self, root: &RootRecord) -> Result<(), StoreError> {
        todo!()
    }
    pub fn remove_root(&self, name: &RootName) -> Result<bool, StoreError> {
        todo!()
    }
    pub fn append_report(&self, report: &Report) -> Result<(), StoreError> {
        todo!()
    }
    pub fn prune_history(&self, before: Timestamp) -> Result<u64, StoreError> {
        todo!()
    }
    pub fn set_clock_mark(&self, mark: &ClockMark) -> Result<(), StoreError> {
        todo!()
    }
    pub fn set_pause(&self, pause: Option<&Pause>) -> Result<(), StoreError> {
        todo!()
    }
    pub fn set_last_run(&self, schedule: &str, at: Timestamp) -> Result<(), StoreError> {
        todo!()
    }
    pub fn log_request(&self, request: &RequestRecord) -> Result<(), StoreError> {
        todo!()
    }
    pub fn backup(&self, path: &Path) -> Result<(), StoreError> {
        todo!()
    }
}
