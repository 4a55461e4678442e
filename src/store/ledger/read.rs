//! Reading the ledger: the same queries for the agent and for a dry run that
//! must not change a byte of the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use redb::{Database, ReadTransaction, ReadableDatabase};

use super::tables::{self, HISTORY, JOBS, LAST_RUNS, META, ROOTS};
use super::{ClockMark, FILE, Ledger, Pause, RootRecord};
use crate::model::{JobId, JobRecord, JobState, LedgerId, Report, RootName, RunId, Timestamp};
use crate::store::StoreError;
use crate::store::database::guarded;
use crate::store::error::Fault;

/// A ledger that is only read. It works on a copy of the file in memory,
/// because redb writes to a database that it opens.
pub struct LedgerReader {
    database: Database,
    path: std::path::PathBuf,
    id: LedgerId,
    began_at: Timestamp,
}

impl LedgerReader {
    /// Reads the ledger in the state directory `dir` without changing it;
    /// `None` if there is none. Not while an agent writes it: ask the agent.
    pub fn open(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(FILE);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        }
        let opened = guarded(|| {
            let memory = redb::backends::InMemoryBackend::new();
            redb::StorageBackend::set_len(&memory, bytes.len() as u64).map_err(io)?;
            redb::StorageBackend::write(&memory, 0, &bytes).map_err(io)?;
            let database = Database::builder().create_with_backend(memory)?;
            let (id, began_at) = super::identity(&database.begin_read()?)?
                .ok_or_else(|| Fault::Damaged("it has no id".to_owned()))?;
            Ok((database, id, began_at))
        });
        let (database, id, began_at) = opened.map_err(|fault| fault.on("read", &path))?;
        Ok(Some(Self { database, path, id, began_at }))
    }

    pub(super) fn read<T>(
        &self,
        call: impl FnOnce(&ReadTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        guarded(|| call(&self.database.begin_read()?)).map_err(|fault| fault.on("read", &self.path))
    }
}

fn io<E: Into<redb::BackendError>>(error: E) -> Fault {
    Fault::Damaged(format!("failed to copy it to memory: {:?}", error.into()))
}

macro_rules! queries {
    ($ledger:ty) => {
        impl $ledger {
            /// Which ledger this is.
            pub fn id(&self) -> LedgerId {
                self.id.clone()
            }

            /// When the registry began: files older than this may belong to jobs it never heard of.
            pub fn began_at(&self) -> Timestamp {
                self.began_at
            }

            /// Whether jobs that it does not know may be taken for finished ones
            /// (false after a loss, until `guardian registry trust`).
            pub fn trusted(&self) -> Result<bool, StoreError> {
                Ok(self.read(|t| tables::get(t, META, b"trusted"))?.unwrap_or(false))
            }

            /// One job.
            pub fn job(&self, id: &JobId) -> Result<Option<JobRecord>, StoreError> {
                self.read(|t| tables::get(t, JOBS, id.as_str().as_bytes()))
            }

            /// Jobs in order of id, behind `after`, of one state or of any.
            pub fn jobs_page(
                &self,
                after: Option<&JobId>,
                limit: usize,
                state: Option<JobState>,
            ) -> Result<Vec<JobRecord>, StoreError> {
                let after = after.map(|id| id.as_str().as_bytes());
                let keep = |job: &JobRecord| state.is_none_or(|state| job.state == state);
                self.read(|t| tables::page(t, JOBS, after, false, limit, keep))
            }

            /// All jobs in order of id.
            pub fn all_jobs(&self) -> Result<Vec<JobRecord>, StoreError> {
                self.jobs_page(None, usize::MAX, None)
            }

            /// All roots in order of name.
            pub fn roots(&self) -> Result<Vec<RootRecord>, StoreError> {
                self.read(|t| tables::page(t, ROOTS, None, false, usize::MAX, |_| true))
            }

            /// One root.
            pub fn root(&self, name: &RootName) -> Result<Option<RootRecord>, StoreError> {
                self.read(|t| tables::get(t, ROOTS, name.as_str().as_bytes()))
            }

            /// One run's report.
            pub fn report(&self, run: &RunId) -> Result<Option<Report>, StoreError> {
                self.read(|t| tables::get(t, HISTORY, run.as_str().as_bytes()))
            }

            /// Reports that `keep` accepts, in order of time (run ids sort by it), behind the run `after`.
            pub fn history(
                &self,
                after: Option<&RunId>,
                limit: usize,
                newest_first: bool,
                keep: impl Fn(&Report) -> bool,
            ) -> Result<Vec<Report>, StoreError> {
                let after = after.map(|id| id.as_str().as_bytes());
                self.read(|t| tables::page(t, HISTORY, after, newest_first, limit, keep))
            }

            /// The clocks as they were last seen.
            pub fn clock_mark(&self) -> Result<Option<ClockMark>, StoreError> {
                self.read(|t| tables::get(t, META, b"clock"))
            }

            /// The pause in force.
            pub fn pause(&self) -> Result<Option<Pause>, StoreError> {
                self.read(|t| tables::get(t, META, b"pause"))
            }

            /// When a schedule last ran.
            pub fn last_run(&self, schedule: &str) -> Result<Option<Timestamp>, StoreError> {
                self.read(|t| tables::get(t, LAST_RUNS, schedule.as_bytes()))
            }
        }
    };
}

queries!(Ledger);
queries!(LedgerReader);
