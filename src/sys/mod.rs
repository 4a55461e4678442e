//! The one room with system calls: directory handles, the tree walker, the
//! verified removal, volumes, mounts, locks, clocks, processes and peers.
//!
//! Promises: nothing here follows a symbolic link below a root or crosses onto
//! another mount or device; names are bytes of any kind; what a caller may
//! expect to meet (a file in use, gone, changed) is a value, not an error.
//! Must not know: policies, the store, configuration.

pub mod activation;
pub mod clock;
pub mod command;
pub mod dir;
mod error;
pub mod lock;
pub mod memory;
pub mod mounts;
pub mod notify_service;
pub mod open_check;
pub mod own_file;
pub mod peer;
pub mod prealloc;
pub mod priority;
pub mod private_dir;
pub mod process;
pub mod program;
pub mod remove;
mod stat;
#[cfg(test)]
mod trees;
pub mod volume;
pub mod walk;
pub mod work;
pub mod xattr;

pub use dir::{DirHandle, RootDir};
pub use error::SysError;
pub use remove::{Refusal, Removed, Verified};
pub use stat::Seen;
