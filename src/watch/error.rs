//! Why a directory is not watched.

use std::io;

/// A limit of the kernel that keeps directories from being watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `fs.inotify.max_user_watches`: watches of one user (ENOSPC, inotify(7)).
    Watches,
    /// `fs.inotify.max_user_instances`, or the process's file descriptors (EMFILE, inotify(7)).
    Instances,
}

impl Limit {
    /// The setting to raise.
    pub const fn sysctl(self) -> &'static str {
        match self {
            Self::Watches => "fs.inotify.max_user_watches",
            Self::Instances => "fs.inotify.max_user_instances",
        }
    }

    /// What the user can do about it, with the value in force.
    pub fn help(self) -> String {
        let path = format!("/proc/sys/{}", self.sysctl().replace('.', "/"));
        let now = std::fs::read_to_string(path).map(|text| text.trim().to_owned());
        let now = now.as_deref().unwrap_or("unknown");
        let more = match self {
            Self::Watches => "",
            Self::Instances => ", or the limit of open files of the agent (LimitNOFILE)",
        };
        format!(
            "raise {0} (now {now}){more}: sysctl -w {0}=N, and in /etc/sysctl.d to keep it; until then the unwatched \
             directories are listed periodically",
            self.sysctl()
        )
    }
}

/// What can fail while watching.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// No inotify instance could be made.
    #[error("failed to create an inotify instance")]
    Instance(#[source] notify::Error),
    /// One directory could not be watched.
    #[error("failed to watch directory {ino} of root {root}")]
    Directory {
        /// Number of the root.
        root: u32,
        /// Inode of the directory.
        ino: u64,
        /// Why.
        #[source]
        source: notify::Error,
    },
    /// Directories are named to the kernel by `/proc/self/fd`.
    #[error("failed to watch a directory through /proc/self/fd: are /proc and /dev there?")]
    NoProc(#[source] io::Error),
}
