//! What clients tell of files, from a request to the records: the same for the
//! agent and for a command that works alone.
//!
//! Promises: every path is looked up beneath its root without following
//! links, and whose file it is decides who may speak for it; one wrong path
//! refuses the whole request by name. Must not know: HTTP, sweeps.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use crate::api::{
    ApiError, HoldRequest, HoldResource, Listing, Page, PathText, PeerIdentity, ReleaseRequest,
    SessionResource, SessionState, TrackRequest, TrackedFile,
};
use crate::model::{
    FileKind, HoldId, HoldRecord, RelPath, RootName, SessionId, SessionRecord, Timestamp, WirePath,
    escape_control,
};
use crate::store::StoreError;
use crate::sweep::named::look;
use crate::sweep::root::OwnFiles;
use crate::sys::dir::RootDir;

use super::explain::below;
use super::jobs::Caller;
use super::problems;
use super::references::{Named, References, Telling};

/// A configured root, as far as looking up files needs it.
pub struct Place {
    /// Its name.
    pub name: RootName,
    /// Where it is configured to be.
    pub path: PathBuf,
    /// Its directory and guardian's own files; or why it is not touched now.
    pub open: Result<(Arc<RootDir>, OwnFiles), String>,
}

/// The records, and the roots that requests may name.
pub struct Desk<'a> {
    /// The records.
    pub references: &'a References,
    /// The roots.
    pub places: Vec<Place>,
}

const fn caller(by: &PeerIdentity) -> Caller {
    Caller { uid: by.uid, admin: by.admin }
}

fn shown(bytes: &[u8]) -> String {
    escape_control(&String::from_utf8_lossy(bytes))
}

impl Desk<'_> {
    /// The root that a path lies in, and where there.
    fn locate(&self, path: &PathText) -> Result<(&Place, RelPath, Vec<u8>), ApiError> {
        let bytes = path.to_bytes().map_err(|why| ApiError::invalid(why.to_string()))?;
        let found = self.places.iter().find_map(|place| Some((place, below(&place.path, &bytes)?)));
        let Some((place, below)) = found else {
            return Err(ApiError::invalid(format!("{} lies beneath no root", shown(&bytes)))
                .with_help("give an absolute path that leads there without symbolic links"));
        };
        if below.is_root() {
            return Err(ApiError::invalid(format!("{} is the root itself", shown(&bytes))));
        }
        Ok((place, below, bytes))
    }

    fn find(&self, paths: &[PathText], by: &PeerIdentity) -> Result<Vec<Named>, ApiError> {
        paths.iter().map(|path| self.find_one(path, by)).collect()
    }

    fn find_one(&self, path: &PathText, by: &PeerIdentity) -> Result<Named, ApiError> {
        let (place, below, bytes) = self.locate(path)?;
        let (dir, own) = place
            .open
            .as_ref()
            .map_err(|why| ApiError::conflict(format!("root {} is suspended: {why}", place.name)))?;
        let facts = look(dir.handle(), &below)
            .map_err(|why| ApiError::invalid(format!("failed to look at {}: {why}", shown(&bytes))))?;
        let private = below.components().next() == Some(b".guardian".as_slice());
        if private || own.contains(&facts.id) {
            return Err(ApiError::conflict(format!("{} is guardian's own", shown(&bytes))));
        }
        if !by.admin && facts.uid != by.uid {
            return Err(ApiError::not_permitted(format!(
                "uid {} may not speak for {}: it belongs to uid {}",
                by.uid,
                shown(&bytes),
                facts.uid
            )));
        }
        Ok(Named { root: place.name.clone(), path: below, facts })
    }

    fn absolute(&self, root: &RootName, path: &RelPath) -> WirePath {
        let place = self.places.iter().find(|place| place.name == *root);
        // A root that is not configured any more: what is known of the path.
        place.map_or_else(
            || WirePath::from_bytes(path.as_bytes()),
            |place| WirePath::from_path(&path.under(&place.path)),
        )
    }

    fn shown_hold(&self, hold: &HoldRecord) -> HoldResource {
        HoldResource::of(hold, self.absolute(&hold.root, &hold.path))
    }

    /// Holds files and directories.
    pub fn hold(
        &self,
        request: &HoldRequest,
        by: &PeerIdentity,
        now: Timestamp,
    ) -> Result<Listing<HoldResource>, ApiError> {
        if request.until.is_some_and(|until| until <= now) {
            return Err(ApiError::invalid("until is in the past: expected a time to come"));
        }
        let files = self.find(&request.paths, by)?;
        let held = self.references.hold(files, request.until, request.reason.as_deref(), caller(by), now);
        let held = held.map_err(|error| problems::reference(&error))?;
        Ok(Listing::all(held.iter().map(|hold| self.shown_hold(hold)).collect()))
    }

    /// All holds, page by page.
    pub fn holds(&self, page: &Page) -> Result<Listing<HoldResource>, StoreError> {
        let after = page.after.as_deref().map(HoldId::new);
        let mut found = self.references.holds(after.as_ref(), page.limit.saturating_add(1))?;
        let more = found.len() > page.limit;
        found.truncate(page.limit);
        let next = found.last().filter(|_| more).map(|last| last.id.as_str().to_owned());
        Ok(Listing { items: found.iter().map(|hold| self.shown_hold(hold)).collect(), next })
    }

    /// Ends one hold.
    pub fn release(&self, id: &HoldId, by: &PeerIdentity) -> Result<HoldResource, ApiError> {
        let ended = self.references.release(id, caller(by)).map_err(|error| problems::reference(&error))?;
        Ok(self.shown_hold(&ended))
    }

    /// Ends holds by what they are on; it need not be there any more.
    pub fn release_paths(
        &self,
        request: &ReleaseRequest,
        by: &PeerIdentity,
    ) -> Result<Listing<HoldResource>, ApiError> {
        let mut paths = BTreeSet::new();
        for path in &request.paths {
            let (place, below, _) = self.locate(path)?;
            paths.insert((place.name.clone(), below));
        }
        let ended = self.references.release_paths(&paths, caller(by));
        let ended = ended.map_err(|error| problems::reference(&error))?;
        Ok(Listing::all(ended.iter().map(|hold| self.shown_hold(hold)).collect()))
    }

    /// Takes down what is told of files.
    pub fn track(
        &self,
        request: TrackRequest,
        by: &PeerIdentity,
        now: Timestamp,
    ) -> Result<Listing<TrackedFile>, ApiError> {
        let files = self.find(&request.paths, by)?;
        let other = |file: &&Named| !matches!(file.facts.id.kind, FileKind::Regular | FileKind::Symlink);
        if let Some(file) = files.iter().find(other) {
            return Err(ApiError::invalid(format!(
                "{} is not a file or a link: name the files themselves",
                self.absolute(&file.root, &file.path).path
            )));
        }
        let telling = Telling { expires_at: request.expires_at, session: request.session, job: request.job };
        let told = self.references.track(files, &telling, caller(by), now);
        let told = told.map_err(|error| problems::reference(&error))?;
        let items = told.iter().map(|one| TrackedFile::of(one, self.absolute(&one.root, &one.path)));
        Ok(Listing::all(items.collect()))
    }
}

/// A session with the number of its members.
pub fn shown_session(references: &References, record: &SessionRecord) -> SessionResource {
    let view = references.view().read().unwrap_or_else(PoisonError::into_inner);
    SessionResource {
        id: record.id.clone(),
        state: if record.ended_at.is_some() { SessionState::Ended } else { SessionState::Active },
        uid: record.uid,
        created_at: record.created_at,
        last_activity: record.last_activity,
        ended_at: record.ended_at,
        files_count: view.roots().map(|root| view.members(root, &record.id).count() as u64).sum(),
    }
}

/// A sign of activity.
pub fn touch(
    references: &References,
    id: &SessionId,
    by: &PeerIdentity,
    now: Timestamp,
) -> Result<SessionResource, ApiError> {
    let record = references.touch(id, caller(by), now).map_err(|error| problems::reference(&error))?;
    Ok(shown_session(references, &record))
}

/// Ends a session; its files are not touched here.
pub fn end(
    references: &References,
    id: &SessionId,
    by: &PeerIdentity,
    now: Timestamp,
) -> Result<SessionResource, ApiError> {
    let record = references.end(id, caller(by), now).map_err(|error| problems::reference(&error))?;
    Ok(shown_session(references, &record))
}

/// One session.
pub fn session(references: &References, id: &SessionId) -> Result<SessionResource, ApiError> {
    let found = references.session(id).map_err(|error| problems::store(&error))?;
    let record = found.ok_or_else(|| ApiError::not_found(format!("session {id} is not known")))?;
    Ok(shown_session(references, &record))
}

/// All sessions, the last active first; a page goes on behind the session that ended the one before.
pub fn sessions(references: &References, page: &Page) -> Result<Listing<SessionResource>, ApiError> {
    let bad = || ApiError::invalid("after is not a place in this list: pass `next` of the page before");
    let after = match page.after.as_deref().map(|key| key.split_once(':').ok_or_else(bad)).transpose()? {
        Some((time, id)) => Some((time.parse::<i64>().map_err(|_| bad())?, id.to_owned())),
        None => None,
    };
    let mut all = references.all_sessions().map_err(|error| problems::store(&error))?;
    let key = |one: &SessionRecord| (one.last_activity.as_nanos(), one.id.as_str().to_owned());
    all.sort_by_key(|one| std::cmp::Reverse(key(one)));
    let mut behind = all.iter().filter(|one| after.as_ref().is_none_or(|after| key(one) < *after));
    let records: Vec<&SessionRecord> = behind.by_ref().take(page.limit).collect();
    let next = behind.next().and(records.last()).map(|last| {
        let (time, id) = key(last);
        format!("{time}:{id}")
    });
    Ok(Listing { items: records.into_iter().map(|one| shown_session(references, one)).collect(), next })
}
