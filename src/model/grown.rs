//! Who filled a volume.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ByteSize, DirectoryHold, JobId, UserHold, escape_control};

/// What came to a root within the last minutes, less what went, as far as its
/// changes were followed: a file that is still being written counts from its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grown {
    /// Within so many seconds.
    pub seconds: u64,
    /// Jobs that their files may be read to name, the most grown first.
    pub jobs: Vec<JobGrowth>,
    /// Owners of the files.
    pub users: Vec<UserHold>,
    /// Directories that the files lie in.
    pub directories: Vec<DirectoryHold>,
}

/// What came of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobGrowth {
    /// Which.
    pub job: JobId,
    /// Allocated bytes.
    pub bytes: u64,
}

/// How many of each are named in a line.
const SAID: usize = 3;

impl fmt::Display for Grown {
    /// `job render +1.5GiB, uid 1000 +1.5GiB, /scratch/a +1.2GiB within 5m`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = self.jobs.iter().take(SAID).map(|one| (format!("job {}", one.job), one.bytes));
        let users = self.users.iter().take(SAID).map(|one| (format!("uid {}", one.uid), one.bytes));
        let directories =
            self.directories.iter().take(SAID).map(|one| (escape_control(&one.path.path), one.bytes));
        let all: Vec<String> = jobs
            .chain(users)
            .chain(directories)
            .map(|(who, bytes)| format!("{who} +{}", ByteSize(bytes)))
            .collect();
        write!(f, "{} within {}", all.join(", "), super::TimeSpan::from_secs(self.seconds))
    }
}
