//! What lies under a name now, and what would be found there when it is about to go.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use crate::model::{FileFacts, FileKind, FileTimes, RelPath, Skip, Timestamp};
use crate::sweep::root::GuardedRoot;
use crate::sys::Seen;
use crate::sys::dir::DirHandle;
use crate::sys::open_check::{OpenCheckKind, OpenFiles};
use crate::sys::xattr::{self, Mark};

/// What stands against a removal that policy would allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    pub(super) skip: Skip,
    pub(super) why: &'static str,
}

/// What was found at a file that policy does not see.
#[derive(Debug, Default)]
pub(super) struct Obstacles {
    pub(super) notes: Vec<String>,
    /// Binds outside emergencies.
    pub(super) quiet: Option<Bar>,
    /// Binds in emergencies.
    pub(super) urgent: Option<Bar>,
}

/// A name, and what lies there.
pub(super) struct Place {
    pub(super) dir: Option<DirHandle>,
    pub(super) seen: Seen,
}

impl Place {
    pub(super) fn find(root: &GuardedRoot, path: &RelPath) -> std::io::Result<Self> {
        let Some(parent) = path.parent() else {
            return Ok(Self { dir: None, seen: root.dir.handle().look_at_self()? });
        };
        let dir = root.dir.handle().open_below(&parent)?;
        // The time of creation tells a tracked file from a later one of its name.
        let seen = dir.look(path.name(), FileTimes { btime: true, ..root.rules.age_by })?;
        Ok(Self { dir: Some(dir), seen })
    }

    /// Inodes of the directories above, as far as they can be opened now.
    pub(super) fn above(&self, root: &GuardedRoot, path: &RelPath) -> Arc<[u64]> {
        let mut inodes = Vec::new();
        let mut above = path.parent();
        while let Some(dir) = above.filter(|dir| !dir.is_root()) {
            inodes.extend(root.dir.open_dir(&dir).map(|opened| opened.ino()));
            above = dir.parent();
        }
        inodes.into()
    }

    /// What would be found when the file is about to go, as far as looking tells.
    pub(super) fn obstacles(
        &self,
        root: &GuardedRoot,
        path: &RelPath,
        facts: &FileFacts,
        now: Timestamp,
    ) -> Obstacles {
        let mut found = Obstacles::default();
        if facts.nlink > 1 {
            found.notes.push(format!(
                "has {} links: sweeps that aim at space leave it while a link outside the plan remains",
                facts.nlink
            ));
        }
        if facts.id.kind != FileKind::Regular {
            return found;
        }
        let (mark, _) = self.marks(path);
        match mark {
            Mark::Present => {
                let bar = Bar { skip: Skip::Held, why: "marked user.guardian.keep: it stays" };
                found.quiet = root.user_marks.bind(facts.uid, false).then_some(bar);
                found.urgent = root.user_marks.bind(facts.uid, true).then_some(bar);
                found.notes.push(
                    match (found.urgent, found.quiet) {
                        (Some(bar), _) => bar.why,
                        (None, Some(_)) => "marked user.guardian.keep: it stays, but not in an emergency",
                        (None, None) => "marked user.guardian.keep, which does not bind here (user_marks)",
                    }
                    .to_owned(),
                );
            }
            Mark::Absent | Mark::Unknown => {}
        }
        if let Some(at) = facts.expires_at {
            let when =
                if at > now { "until then only an emergency's last phase takes it" } else { "it is due" };
            found.notes.push(format!("marked to expire at {at:#}: {when}"));
        }
        let open = OpenFiles::snapshot();
        if open.contains(facts.id.dev, facts.id.ino) {
            let bar = Bar { skip: Skip::InUse, why: "open or mapped now: it stays while it is" };
            found.quiet = found.quiet.or(Some(bar));
            found.urgent = found.urgent.or(Some(bar));
            found.notes.push(bar.why.to_owned());
        } else if root.open_check == OpenCheckKind::Proc && open.may_contain(facts.uid) {
            let bar = Bar {
                skip: Skip::InUse,
                why: "perhaps open in a process that could not be looked into: only an emergency takes it",
            };
            found.quiet = found.quiet.or(Some(bar));
            found.notes.push(bar.why.to_owned());
        } else if root.open_check == OpenCheckKind::Partial {
            found.notes.push("other hosts or layers may have it open unseen".to_owned());
        }
        found
    }

    pub(super) fn marks(&self, path: &RelPath) -> (Mark, Option<Timestamp>) {
        let Some(dir) = &self.dir else { return (Mark::Absent, None) };
        let name = dir.proc_path().join(OsStr::from_bytes(path.name()));
        let mut options = OpenOptions::new();
        options.read(true);
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
        let opened = options
            .custom_flags(flags | libc::O_NOATIME)
            .open(&name)
            .or_else(|_| options.custom_flags(flags).open(&name));
        opened.map_or((Mark::Unknown, None), |file| (xattr::keep_mark(&file), xattr::expires(&file)))
    }
}
