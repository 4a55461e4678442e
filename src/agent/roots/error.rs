//! Why a root cannot be guarded as configured.

use std::path::{Path, PathBuf};

use crate::config::{MinFreeError, Origin};
use crate::model::RootName;
use crate::policy::PatternError;
use crate::store::StoreError;
use crate::sys::SysError;

/// What to do where the path may exist for everybody but a service: its unit
/// closes these directories (`ProtectHome=`, systemd.exec(5)).
fn closed_to_services(path: &Path) -> &'static str {
    if ["/home", "/root", "/run/user"].iter().any(|closed| path.starts_with(closed)) {
        "; if it exists, the unit of the service closes it: open it with the drop-in home.conf"
    } else {
        ""
    }
}

/// Why a root cannot be guarded as configured, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The path leads nowhere, and the ledger never knew the root.
    #[error("failed to open root {name}: {} does not exist ({origin}); create the directory or correct the path{}", path.display(), closed_to_services(path))]
    Missing {
        /// Which root.
        name: RootName,
        /// Its path.
        path: PathBuf,
        /// Where it was given.
        origin: Origin,
    },
    /// The path leads to something else.
    #[error("failed to open root {name}: {} is not a directory ({origin})", path.display())]
    NotADirectory {
        /// Which root.
        name: RootName,
        /// Its path.
        path: PathBuf,
        /// Where it was given.
        origin: Origin,
    },
    /// A system directory, found when links were resolved.
    #[error("failed to accept root {name}: {} is a system or home directory ({origin}); set allow_system_root = true if that is meant", path.display())]
    System {
        /// Which root.
        name: RootName,
        /// Its path with links resolved.
        path: PathBuf,
        /// Where it was given.
        origin: Origin,
    },
    /// A version-controlled checkout.
    #[error("failed to accept root {name}: {} is a version-controlled checkout, it has {mark} ({origin}); set allow_system_root = true if that is meant", path.display())]
    Checkout {
        /// Which root.
        name: RootName,
        /// Its path with links resolved.
        path: PathBuf,
        /// What marks it.
        mark: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// One root lies in another, or is the same.
    #[error("failed to accept root {inner}: {} lies in root {outer} ({}); nested roots are not possible", inner_path.display(), outer_path.display())]
    Nested {
        /// The root that lies in the other.
        inner: RootName,
        /// Its path.
        inner_path: PathBuf,
        /// The other.
        outer: RootName,
        /// Its path.
        outer_path: PathBuf,
    },
    /// `min_free` doesn't fit the volume.
    #[error("failed to accept min_free of root {name}")]
    MinFree {
        /// Which root.
        name: RootName,
        /// Why.
        #[source]
        source: MinFreeError,
    },
    /// A pattern or glob can't be read.
    #[error("failed to accept the patterns of root {name}")]
    Pattern {
        /// Which root.
        name: RootName,
        /// Why.
        #[source]
        source: PatternError,
    },
    /// The system refused.
    #[error("failed to open root {name}")]
    Refused {
        /// Which root.
        name: RootName,
        /// Why.
        #[source]
        source: SysError,
    },
    /// The volume didn't say what or how large it is.
    #[error("failed to ask the volume of root {name} ({})", path.display())]
    Volume {
        /// Which root.
        name: RootName,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The ledger could not be read.
    #[error("failed to look up root {name} in the ledger")]
    Store {
        /// Which root.
        name: RootName,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Its owner changes it faster than it can be looked at.
    #[error("failed to open root {name}: its marker changed while it was looked at; try again")]
    Unsteady {
        /// Which root.
        name: RootName,
    },
}

impl RootError {
    /// Whether somebody has to mend the configuration; anything else may pass.
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::NotADirectory { .. }
            | Self::System { .. }
            | Self::Checkout { .. }
            | Self::Nested { .. }
            | Self::MinFree { .. }
            | Self::Pattern { .. } => true,
            Self::Refused { .. } | Self::Volume { .. } | Self::Store { .. } | Self::Unsteady { .. } => false,
        }
    }

    pub(super) fn sys(name: &RootName) -> impl FnOnce(SysError) -> Self {
        let name = name.clone();
        move |source| Self::Refused { name, source }
    }

    pub(super) fn store(name: &RootName) -> impl FnOnce(StoreError) -> Self {
        let name = name.clone();
        move |source| Self::Store { name, source }
    }
}
