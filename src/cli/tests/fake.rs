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
}

fn from<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    Ok(serde_json::from_value(value).unwrap())
}

pub(super) fn report() -> Value {
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
            "slow" if !self.cancelled.load(Ordering::SeqCst) => SweepState::Running,
            "slow" => SweepState::Cancelled,
            _ => SweepState::Done,
        };
        let count = if id == "two" { 2 } else { 1 };
        let reports = (0..count).map(|_| from(report()).unwrap()).collect();
        SweepResource::new(RunId::new(id), state, Progress::default(), reports)
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
        assert!(by.admin, "only administrators get here");
        match request.policy {
            Policy::Results => Err(ApiError::rate_limited("60 sweeps in this hour", 7)),
            Policy::Trash => panic!("a defect in the agent"),
            Policy::Emergency => Ok(self.sweep_at("two")),
            Policy::Oldest => Ok(self.sweep_at("slow")),
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
        if id.as_str() == "none" {
            return Err(ApiError::not_found("there is no sweep none"));
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
        let refuse =
            |file: &crate::api::NamedPath| json!({"path": file.to_wire().path, "error": "not of it"});
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
    fn history(&self, _: &Page) -> Result<Listing<Report>, ApiError> {
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
                let fake = Arc::new(Fake { critical, cancelled: AtomicBool::new(false) });
                let identify = move |stream: &tokio::net::UnixStream| {
                    let peer = stream.peer_cred()?;
                    let uid = if admin { 0 } else { 1001 };
                    Ok(PeerIdentity { uid, gid: uid, pid: peer.pid().unwrap_or(0).cast_unsigned(), admin })
                };
                serve(listener, fake, identify, async { drop(stopped.await) }).await;
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
