//! An agent that answers from memory, served on a socket in a directory of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::*;
use crate::model::*;

pub(super) struct Fake {
    critical: bool,
    cancelled: AtomicBool,
    events: Events,
}

fn from<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    Ok(serde_json::from_value(value).unwrap())
}

pub(in crate::cli) fn report() -> Value {
    json!({
        "id": "r1", "volume_run": "v1", "policy": "orphans", "trigger": "manual", "root": "scratch",
        "dry_run": false, "resource": "bytes",
        "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:01Z", "duration_seconds": 1.0,
        "files_scanned": 2, "files_deleted": 1, "bytes_freed": 4096,
        "storage_before_percent": 50.0, "storage_after_percent": 49.0,
        "inodes_before_percent": null, "inodes_after_percent": null,
        "target_percent": null, "target_reached": null, "phases": [], "skipped": {},
        "reclaim": {"unlinked_bytes": 4096, "gap": {}}, "shortfall": null, "errors": [], "errors_total": 0,
        "requested_by": {"uid": 0, "gid": 0, "pid": 1}
    })
}

fn job(id: &JobId, state: &str) -> Value {
    json!({"id": id, "state": state, "presumed": false, "root": null, "ttl": 60, "pid": null, "uid": 1000,
        "created_at": "2026-01-01T00:00:00Z", "last_heartbeat": null, "ended_at": null, "files_count": 1, "bytes": 2})
}

impl Fake {
    fn sweep_at(&self, id: &str) -> SweepResource {
        let state = match id {
            "cut" => SweepState::Running,
            "slow" if !self.cancelled.load(Ordering::SeqCst) => SweepState::Running,
            "slow" => SweepState::Cancelled,
            _ => SweepState::Done,
        };
        let count = if id == "two" { 2 } else { 1 };
        let reports = (0..count).map(|_| from(report()).unwrap()).collect();
        SweepResource::new(RunId::new(id), state, Progress::default(), reports)
    }
}

impl KeptCommands for Fake {
    fn delete(&self, request: DeletionRequest, _: &PeerIdentity) -> Result<Given, ApiError> {
        let path = |text: &PathText| String::from_utf8(text.to_bytes().unwrap()).unwrap();
        let (taken, refused): (Vec<_>, Vec<_>) =
            request.paths.iter().map(path).partition(|path| !path.contains("held"));
        let taken: Vec<_> =
            taken.iter().map(|path| json!({"id": "e1", "file_path": path, "moved": true})).collect();
        let refused: Vec<_> =
            refused.iter().map(|path| json!({"file_path": path, "reason": "is kept: it is held"})).collect();
        from(json!({"items": taken, "refused": refused}))
    }
    fn deletions(&self, _: &Page) -> Result<Listing<DeletionResource>, ApiError> {
        from(json!({"items": [{"id": "e1", "file_path": "/scratch/a", "root": "scratch", "client_id": null,
            "uid": 0, "queued_at": 0, "attempts": 1, "last_error": "busy", "next_try_at": 0, "moved": true,
            "files": 1, "bytes": 4096}], "next": null}))
    }
    fn deletion_stats(&self) -> Result<DeletionStats, ApiError> {
        from(json!({"total_pending": 1, "oldest_queued": 0, "newest_queued": 0,
            "by_attempts": [{"attempts": 1, "count": 1}]}))
    }
    fn deletion_retry(&self, id: &EntryId, _: &PeerIdentity) -> Result<DeletionResource, ApiError> {
        Err(ApiError::not_found(format!("no deletion {id} waits")))
    }
    fn deletion_drop(&self, id: &EntryId, _: &PeerIdentity) -> Result<Returned, ApiError> {
        from(json!({"id": id, "file_path": "/scratch/a", "now": "restored"}))
    }
    fn deletions_clear(&self, _: &PeerIdentity) -> Result<Listing<Returned>, ApiError> {
        Ok(Listing::all(Vec::new()))
    }
    fn trash_put(&self, request: TrashRequest, by: &PeerIdentity) -> Result<Given, ApiError> {
        self.delete(DeletionRequest { paths: request.paths, client_id: None }, by)
    }
    fn trash(&self, _: &Page) -> Result<Listing<TrashResource>, ApiError> {
        from(json!({"items": [{"id": "e1", "path": "/scratch/a", "root": "scratch", "uid": 0, "owner": 0,
            "deleted_at": 0, "expires_at": null, "files": 1, "size_bytes": 4096, "moved": true, "failed": null}],
            "next": null}))
    }
    fn trash_restore(&self, id: &EntryId, _: RestoreRequest, _: &PeerIdentity) -> Result<Returned, ApiError> {
        Err(ApiError::conflict(format!("{id} exists already")))
    }
}

impl Commands for Fake {
    fn health(&self) -> Result<Health, ApiError> {
        let status = if self.critical { "critical" } else { "healthy" };
        from(json!({"status": status, "paused": false, "roots": [{"name": "scratch", "path": "/scratch",
            "status": status, "usage_percent": 50.0, "inodes_percent": null, "state": "ready",
            "open_check": "lease", "time_to_full_seconds": 7200}]}))
    }
    fn stats(&self) -> Result<Stats, ApiError> {
        from(json!({"roots": [], "agent": {"version": "0", "pid": 1, "started_at": 0, "uptime_seconds": 1,
            "memory_bytes": null, "sweeps_queued": 0, "sweeps_running": 0, "paused": false, "dry_run": false}}))
    }
    fn metrics(&self) -> Result<String, ApiError> {
        Ok("# EOF\n".to_owned())
    }
    fn roots(&self) -> Result<Vec<RootResource>, ApiError> {
        from(json!([{"name": "scratch", "path": "/", "state": "ready"}]))
    }
    fn accept_root(&self, root: &RootName, _: &PeerIdentity) -> Result<RootResource, ApiError> {
        if root.as_str() == "scratch" {
            return from(json!({"name": root, "path": "/", "state": "ready"}));
        }
        Err(ApiError::not_found(format!("there is no root {root}")))
    }
    fn files(&self, _: Option<&RootName>, page: &Page) -> Result<Listing<FileEntry>, ApiError> {
        let first: usize = page.after.as_deref().map_or(0, |key| key.parse().unwrap());
        let last = (first + page.limit).min(2500);
        let items = (first..last).map(|n| {
            json!({"path": format!("/scratch/{n}"), "inode": n, "size_bytes": 1, "allocated_bytes": 4096,
                "mtime": "2026-01-01T00:00:00Z", "jobs": ["j1"]})
        });
        from(json!({"items": items.collect::<Vec<_>>(), "next": (last < 2500).then(|| last.to_string())}))
    }
    fn sweep(&self, request: SweepRequest, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        assert!(by.admin || request.dry_run, "others get here with dry runs only");
        match request.policy {
            Policy::Results => Err(ApiError::rate_limited("60 sweeps in this hour", 7)),
            Policy::Trash => panic!("a defect in the agent"),
            Policy::Emergency => Ok(self.sweep_at("two")),
            Policy::Oldest => Ok(self.sweep_at("slow")),
            Policy::Expired => Ok(self.sweep_at("cut")),
            _ => Ok(self.sweep_at("s1")),
        }
    }
    fn await_sweep(&self, id: &RunId) -> Result<SweepResource, ApiError> {
        Ok(self.sweep_at(id.as_str()))
    }
    fn sweeps(&self, _: &Page) -> Result<Listing<SweepResource>, ApiError> {
        Ok(Listing::all(vec![self.sweep_at("s1")]))
    }
    fn sweep_get(&self, id: &RunId) -> Result<SweepResource, ApiError> {
        if matches!(id.as_str(), "none" | "cut") {
            return Err(ApiError::not_found(format!("there is no sweep {id}")).with_help("see elsewhere"));
        }
        Ok(self.sweep_at(id.as_str()))
    }
    fn sweep_cancel(&self, id: &RunId, _: &PeerIdentity) -> Result<SweepResource, ApiError> {
        self.cancelled.store(true, Ordering::SeqCst);
        Ok(self.sweep_at(id.as_str()))
    }
    fn plan(&self, request: SweepRequest, _: &PeerIdentity) -> Result<PlanResource, ApiError> {
        from(
            json!({"id": "p1", "as_of": 0, "policy": request.policy, "root": null, "actions": [], "kept": {"held": 1},
            "expires_at": null}),
        )
    }
    fn plan_get(&self, id: &PlanId) -> Result<PlanResource, ApiError> {
        Err(ApiError::not_found(format!("there is no plan {id}")))
    }
    fn job_put(&self, id: &JobId, put: JobPut, by: &PeerIdentity) -> Result<JobResource, ApiError> {
        by.may_change_job(id, Some(1000))?;
        from(job(id, put.state.unwrap_or(JobState::Active).as_str()))
    }
    fn job_get(&self, id: &JobId) -> Result<JobResource, ApiError> {
        if id.as_str() == "none" {
            return Err(ApiError::not_found("there is no job none"));
        }
        from(job(id, "active"))
    }
    fn jobs(&self, _: &Page) -> Result<Listing<JobResource>, ApiError> {
        from(json!({"items": [job(&JobId::parse("j1").unwrap(), "active")], "next": null}))
    }
    fn job_heartbeat(&self, id: &JobId, by: &PeerIdentity) -> Result<JobResource, ApiError> {
        by.may_change_job(id, Some(1000))?;
        from(job(id, "active"))
    }
    fn chunk_complete(
        &self,
        job: &JobId,
        chunk: &ChunkId,
        request: ChunkRequest,
        _: &PeerIdentity,
    ) -> Result<ChunkCompletion, ApiError> {
        let refuse = |file: &PathText| json!({"path": String::from_utf8(file.to_bytes().unwrap()).unwrap(), "error": "no"});
        from(json!({"job": job, "chunk": chunk, "sweep": self.sweep_at("s1"),
            "refused": request.files.iter().map(refuse).collect::<Vec<_>>()}))
    }
    fn job_sweep(&self, _: &JobId, _: &PeerIdentity) -> Result<SweepResource, ApiError> {
        Ok(self.sweep_at("s1"))
    }
    fn failed_jobs_sweep(&self, _: &PeerIdentity) -> Result<SweepResource, ApiError> {
        Ok(self.sweep_at("failed"))
    }
    fn explain(&self, path: &[u8]) -> Result<Explanation, ApiError> {
        let path = serde_json::to_value(WirePath::from_bytes(path)).unwrap();
        let mut value =
            json!({"root": null, "exists": false, "jobs": [], "summary": "stays", "policies": []});
        value.as_object_mut().unwrap().extend(path.as_object().unwrap().clone());
        from(value)
    }
    fn pause(&self, request: PauseRequest, _: &PeerIdentity) -> Result<PauseState, ApiError> {
        let until = request.duration.map(|span| Timestamp::EPOCH.plus(span.0));
        Ok(PauseState { paused: true, until, emergencies: request.emergencies })
    }
    fn resume(&self, _: &PeerIdentity) -> Result<PauseState, ApiError> {
        Ok(PauseState { paused: false, until: None, emergencies: false })
    }
    fn history(&self, _: &HistoryFilter, _: &Page) -> Result<Listing<Report>, ApiError> {
        from(json!({"items": [report()], "next": null}))
    }
    fn audit(&self, filter: &AuditFilter, _: &Page) -> Result<Listing<AuditEntry>, ApiError> {
        let path = filter.path.as_deref().unwrap_or(b"/scratch/a");
        let entry = AuditEntry {
            time: filter.since.unwrap_or_default(),
            action: "remove".into(),
            run: filter.run.clone(),
            root: None,
            path: Some(WirePath::from_bytes(path)),
            policy: None,
            phase: None,
            reason: "orphan".into(),
            job: filter.job.clone(),
            inode: None,
            size_bytes: None,
            bytes: Some(4096),
            outcome: None,
            requested_by: None,
        };
        Ok(Listing::all(vec![entry]))
    }
    fn requests(&self, filter: &RequestFilter, _: &Page) -> Result<Listing<RequestEntry>, ApiError> {
        let uid = filter.uid.unwrap_or(1000);
        from(json!({"items": [{"id": 7, "time": "2026-01-31T12:00:00Z", "action": "hold",
            "requested_by": {"uid": uid, "gid": uid, "pid": 4242},
            "request": {"action": "hold", "count": 1}}], "next": null}))
    }
    fn events(&self, by: &PeerIdentity, last: Option<&EventId>) -> Result<EventReader, ApiError> {
        let reader = self.events.read(by.uid, last);
        let message = "a first word".to_owned();
        self.events.publish(&Event::Alert {
            time: Timestamp::EPOCH,
            kind: AlertKind::Clock,
            state: AlertState::Raised,
            level: Level::Warning,
            root: None,
            message,
            grown: None,
        });
        self.events.close();
        reader
    }
    fn registry_trust(&self, _: &PeerIdentity) -> Result<TrustState, ApiError> {
        Ok(TrustState { trusted: true, changed: true })
    }
    fn clock_trust(&self, _: &PeerIdentity) -> Result<TrustState, ApiError> {
        Ok(TrustState { trusted: true, changed: false })
    }
}

/// A served agent; stops when dropped.
pub(super) struct Served {
    pub(super) socket: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _home: tempfile::TempDir,
}

impl Served {
    /// `admin` is who every peer is taken for: an administrator, or uid 1001.
    pub(super) fn start(admin: bool, critical: bool) -> Self {
        let identify = move |stream: &tokio::net::UnixStream| {
            let peer = stream.peer_cred()?;
            let uid = if admin { 0 } else { 1001 };
            Ok(PeerIdentity { uid, gid: uid, pid: peer.pid().unwrap_or(0).cast_unsigned(), admin })
        };
        Self::start_with(identify, critical, None)
    }

    /// With another way to tell who comes, and a pulse.
    pub(super) fn start_with(
        identify: impl Fn(&tokio::net::UnixStream) -> std::io::Result<PeerIdentity> + Send + Sync + 'static,
        critical: bool,
        pulse: Option<Pulse>,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("guardian.sock");
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let fake = Arc::new(Fake {
                    critical,
                    cancelled: AtomicBool::new(false),
                    events: Events::begun(Timestamp::EPOCH),
                });
                serve(listener, fake, identify, async { drop(stopped.await) }, pulse).await;
            });
        });
        Self { socket, stop: Some(stop), thread: Some(thread), _home: home }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
    }
}

fn hold_at(path: &PathText) -> Value {
    let bytes = path.to_bytes().unwrap();
    let mut hold = json!({"id": "h1", "root": "scratch", "until": null, "reason": null, "uid": 1000,
        "created_at": "2026-01-01T00:00:00Z"});
    let path = serde_json::to_value(WirePath::from_bytes(&bytes)).unwrap();
    hold.as_object_mut().unwrap().extend(path.as_object().unwrap().clone());
    hold
}

fn session_called(id: &SessionId, state: &str) -> Value {
    json!({"id": id, "state": state, "uid": 1000, "created_at": "2026-01-01T00:00:00Z",
        "last_activity": "2026-01-01T00:00:00Z", "ended_at": null, "files_count": 1})
}

impl ReferenceCommands for Fake {
    fn hold(&self, request: HoldRequest, _: &PeerIdentity) -> Result<Listing<HoldResource>, ApiError> {
        from(json!({"items": request.paths.iter().map(hold_at).collect::<Vec<_>>(), "next": null}))
    }
    fn holds(&self, _: &Page) -> Result<Listing<HoldResource>, ApiError> {
        from(json!({"items": [], "next": null}))
    }
    fn release(&self, id: &HoldId, _: &PeerIdentity) -> Result<HoldResource, ApiError> {
        Err(ApiError::not_found(format!("there is no hold {id}")))
    }
    fn release_paths(
        &self,
        request: ReleaseRequest,
        _: &PeerIdentity,
    ) -> Result<Listing<HoldResource>, ApiError> {
        from(json!({"items": request.paths.iter().map(hold_at).collect::<Vec<_>>(), "next": null}))
    }
    fn track(&self, _: TrackRequest, _: &PeerIdentity) -> Result<Listing<TrackedFile>, ApiError> {
        from(json!({"items": [], "next": null}))
    }
    fn session_touch(&self, id: &SessionId, _: &PeerIdentity) -> Result<SessionResource, ApiError> {
        from(session_called(id, "active"))
    }
    fn session_end(&self, id: &SessionId, _: &PeerIdentity) -> Result<SessionEnd, ApiError> {
        Ok(SessionEnd { session: from(session_called(id, "ended"))?, sweep: Some(self.sweep_at("one")) })
    }
    fn sessions(&self, _: &Page) -> Result<Listing<SessionResource>, ApiError> {
        from(json!({"items": [], "next": null}))
    }
    fn session(&self, id: &SessionId) -> Result<SessionResource, ApiError> {
        from(session_called(id, "active"))
    }
}
