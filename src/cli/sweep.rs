//! `guardian sweep`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::follow::{Looks, look};
use super::host::{Standalone, StandaloneSweep};
use super::output::{Format, tell};
use super::progress::SweepBar;
use super::report;
use super::session::{Session, Worker};
use crate::api::{Listing, PlanResource, RootResource, SweepResource, SweepState, check_sweep, waited_body};
use crate::model::{
    ByteSize, JobId, PlanId, Policy, Report, RootName, SessionId, SweepRequest, TimeSpan, escape_control,
};

#[derive(Debug, clap::Args)]
pub(super) struct SweepArgs {
    /// What may go
    #[arg(value_parser = policy, default_value = "scheduled", hide_possible_values = true, long_help =
        "scheduled, emergency, orphans, failed-jobs, expired, results, session, oldest, deferred, trash or chunks")]
    policy: Policy,
    /// Only this root, by name or directory
    #[arg(long, value_name = "NAME|DIR")]
    root: Option<String>,
    /// Only this job's files
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,
    /// Only this session's files
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// Replace the policy's age
    #[arg(long, value_name = "DUR")]
    older_than: Option<TimeSpan>,
    /// Free this many bytes more
    #[arg(long, value_name = "SIZE")]
    free: Option<ByteSize>,
    /// Stop at usage at or below this percentage
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    until: Option<f64>,
    /// At most this many files
    #[arg(long, value_name = "N")]
    max_files: Option<u64>,
    /// Files in one batch
    #[arg(long, value_name = "N")]
    batch_size: Option<u64>,
    /// Plan and report, remove nothing
    #[arg(long, conflicts_with = "plan")]
    dry_run: bool,
    /// Apply a kept plan, or one that `--dry-run --json` wrote
    #[arg(long, value_name = "ID|FILE")]
    plan: Option<String>,
    /// Print each removal
    #[arg(long)]
    list: bool,
    /// Take over a root that another ledger claims (without an agent)
    #[arg(long)]
    adopt: bool,
    /// Begun by a timer: as the agent's own scheduled sweeps, for hosts without one
    #[arg(long, hide = true, conflicts_with_all =
        ["plan", "adopt", "job", "session", "older_than", "free", "until"])]
    unattended: bool,
}

pub(super) fn policy(text: &str) -> Result<Policy, String> {
    Policy::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Policy::ALL.iter().map(|policy| policy.as_str()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    number
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "expected a percentage from 0 to 100".to_owned())
}

/// What `--plan` names.
enum PlanSource {
    Kept(PlanId),
    File(Vec<PlanResource>),
}

pub(super) fn run(args: &SweepArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "sweep";
    let mut request = SweepRequest {
        policy: args.policy,
        root: None,
        job: args.job.clone(),
        chunk: None,
        session: args.session.clone(),
        older_than: args.older_than,
        free: args.free,
        until_percent: args.until,
        max_files: args.max_files,
        batch_size: args.batch_size,
        max_attempts: None,
        dry_run: args.dry_run,
        list: args.list,
        plan: None,
    };
    if args.unattended && args.policy != Policy::Scheduled {
        return Err(Failure::usage(attempt, "--unattended is for the policy scheduled"));
    }
    let plan = args.plan.as_deref().map(find_plan).transpose()?;
    if let Some(text) = &args.plan {
        // Checked with its name in place, whatever it turns out to be.
        let named = SweepRequest { plan: Some(PlanId::new(text.as_str())), ..request.clone() };
        check_sweep(&named).map_err(|why| Failure::usage(attempt, why))?;
        if args.root.is_some() {
            return Err(Failure::usage(attempt, "--plan says what goes: it cannot be combined with --root"));
        }
    } else {
        check_sweep(&request).map_err(|why| Failure::usage(attempt, in_flags(&why)))?;
    }
    let cancelled = interruption(attempt)?;
    let (worker, root) = session.worker_for(args.root.as_deref(), attempt)?;
    match worker {
        // It began since the timer looked.
        Worker::Agent(_) if args.unattended => {
            session.out.note("nothing to do: the agent sweeps by itself");
            Ok(Exit::Done)
        }
        Worker::Agent(client) => {
            if args.adopt {
                return Err(Failure::usage(attempt, "--adopt works without an agent only"));
            }
            match plan {
                Some(PlanSource::Kept(id)) => request.plan = Some(id),
                Some(PlanSource::File(_)) => {
                    return Err(Failure::usage(
                        attempt,
                        "this plan was made without an agent, and an agent is running",
                    )
                    .with_help("make it again now, with --dry-run --json, and apply that"));
                }
                None => {}
            }
            if let Some(root) = &args.root {
                request.root = Some(find_root(root, &client, session, attempt)?);
            }
            by_agent(&request, args, &client, &cancelled, session, attempt)
        }
        Worker::Own(own) => {
            let plan = match plan {
                Some(PlanSource::Kept(id)) => {
                    return Err(Failure::usage(
                        attempt,
                        format!("{id} is not a file, and no agent keeps plans"),
                    )
                    .with_help("write a plan with `guardian sweep --dry-run --json > FILE`"));
                }
                Some(PlanSource::File(plans)) => Some(plans),
                None => None,
            };
            request.root = root;
            let (adopt, list, unattended) = (args.adopt, args.list || args.dry_run, args.unattended);
            let sweep = StandaloneSweep { request, plan, adopt, list, unattended };
            alone(&sweep, args, own.as_ref(), &cancelled, session, attempt)
        }
    }
}

/// The words of the socket, as flags.
fn in_flags(why: &str) -> String {
    let flags = [
        ("older_than", "--older-than"),
        ("until_percent", "--until"),
        ("max_files", "--max-files"),
        ("batch_size", "--batch-size"),
        ("free", "--free"),
        ("a session", "--session"),
    ];
    flags.iter().fold(why.to_owned(), |text, (word, flag)| text.replace(word, flag))
}

/// Ctrl-C is remembered; the second one ends the process at once.
fn interruption(attempt: &str) -> Result<Arc<AtomicBool>, Failure> {
    use signal_hook::{consts, flag};
    let cancelled = Arc::new(AtomicBool::new(false));
    for signal in [consts::SIGINT, consts::SIGTERM] {
        flag::register_conditional_shutdown(
            signal,
            i32::from(Exit::Interrupted.code()),
            Arc::clone(&cancelled),
        )
        .and_then(|_| flag::register(signal, Arc::clone(&cancelled)))
        .map_err(|why| {
            Failure::new(Exit::Failures, attempt, format!("failed to watch for signals: {why}"))
        })?;
    }
    Ok(cancelled)
}

/// A file that exists is read; anything else is the id of a kept plan.
fn find_plan(text: &str) -> Result<PlanSource, Failure> {
    let path = PathBuf::from(text);
    if !text.contains('/') && !path.exists() {
        return Ok(PlanSource::Kept(PlanId::new(text)));
    }
    let attempt = format!("read the plan {text}");
    let bytes = std::fs::read(&path).map_err(|why| Failure::usage(&*attempt, why.to_string()))?;
    let bad = |why: serde_json::Error| {
        Failure::usage(&*attempt, why.to_string())
            .with_help("expected what `guardian sweep --dry-run --json` prints")
    };
    let value: Value = serde_json::from_slice(&bytes).map_err(bad)?;
    // A report of an agent's dry run names the plan it left; a plan of an agent has an id itself.
    let is_report = value.get("files_deleted").is_some();
    let first = value.get("items").and_then(|items| items.get(0)).unwrap_or(&value);
    let is_report = is_report || first.get("files_deleted").is_some();
    let kept = if is_report { first.get("plan") } else { first.get("id") };
    if let Some(id) = kept.and_then(Value::as_str) {
        return Ok(PlanSource::Kept(PlanId::new(id)));
    }
    let items = match value.get("items") {
        Some(Value::Array(items)) => items.clone(),
        _ => vec![value],
    };
    let plans: Result<Vec<PlanResource>, _> = items
        .into_iter()
        .map(|mut item| {
            if item.get("files_deleted").is_some()
                && let Some(fields) = item.as_object_mut()
            {
                // The id of a report is its run's.
                fields.remove("id");
            }
            serde_json::from_value(item)
        })
        .collect();
    Ok(PlanSource::File(plans.map_err(bad)?))
}

/// A root of the agent by its name, or by its directory.
fn find_root(
    text: &str,
    client: &Client,
    session: &mut Session<'_>,
    attempt: &str,
) -> Result<RootName, Failure> {
    use std::os::unix::fs::MetadataExt;
    let answer = session.expect(client.get("/v1/roots"), attempt)?;
    let roots: Listing<RootResource> = answer.read(attempt)?;
    if let Some(root) = roots.items.iter().find(|root| root.name.as_str() == text) {
        return Ok(root.name.clone());
    }
    let identity = |path: &std::path::Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let wanted = identity(text.as_ref());
    let found = roots.items.iter().find(|root| {
        let path = root.path.to_bytes().ok().map(|bytes| {
            PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
        });
        wanted.is_some() && path.and_then(|path| identity(&path)) == wanted
    });
    found.map(|root| root.name.clone()).ok_or_else(|| {
        let names: Vec<_> = roots.items.iter().map(|root| root.name.as_str()).collect();
        Failure::usage(attempt, format!("{text} is not a root of the agent; its roots: {}", names.join(", ")))
            .with_help("configure it as a [[root]], or stop the agent to sweep a directory of its own")
    })
}

fn by_agent(
    request: &SweepRequest,
    args: &SweepArgs,
    client: &Client,
    cancelled: &AtomicBool,
    session: &mut Session<'_>,
    attempt: &str,
) -> Result<Exit, Failure> {
    let answer = session.expect(client.post("/v1/sweeps", request), attempt)?;
    let begun: SweepResource = answer.read(attempt)?;
    let place = format!("/v1/sweeps/{}", begun.id);
    if session.out.verbose {
        session.out.note(&format!("guardian: this is sweep {}", begun.id));
    }
    let mut looks = Looks::new();
    let mut asked_to_stop = false;
    let bar = SweepBar::new(!session.out.quiet);
    let tell = bar.listener();
    let (answer, ended) = loop {
        if cancelled.load(Ordering::Relaxed) && !asked_to_stop {
            asked_to_stop = true;
            session.out.note("guardian: cancelling after the current batch");
            session.expect(client.delete(&place), "cancel the sweep")?;
        }
        let answer = look(&begun.id, client, session, attempt)?;
        let sweep: SweepResource = answer.read(attempt)?;
        tell(&sweep.progress);
        if sweep.state.is_over() {
            break (answer, sweep);
        }
        looks.pause();
    };
    drop(bar);
    // The reports go out as the agent wrote them, not as they were understood here.
    let raw: Value = answer.read(attempt)?;
    let reports = raw.get("reports").and_then(Value::as_array).cloned().unwrap_or_default();
    let exit = report::exit_of(&ended.reports);
    // One that failed before it did anything had something to do, for all we know.
    if ended.state != SweepState::Failed || !ended.reports.is_empty() {
        finish(reports, &ended.reports, ended.plan.as_ref(), args, session)?;
    }
    match ended.state {
        _ if asked_to_stop => Ok(Exit::Interrupted),
        SweepState::Failed => {
            let why = ended.error.unwrap_or_else(|| "the agent gave no reason".to_owned());
            Err(Failure::new(Exit::Failures, attempt, why))
        }
        SweepState::Cancelled => Err(Failure::new(Exit::Failures, attempt, "somebody else cancelled it")),
        _ => Ok(exit),
    }
}

fn alone(
    sweep: &StandaloneSweep,
    args: &SweepArgs,
    own: &dyn Standalone,
    cancelled: &AtomicBool,
    session: &mut Session<'_>,
    attempt: &str,
) -> Result<Exit, Failure> {
    let bar = SweepBar::new(!session.out.quiet);
    let outcome = own.sweep(sweep, cancelled, Arc::new(bar.listener()));
    drop(bar);
    let outcome = outcome.map_err(|error| Failure::refused(attempt, &error))?;
    let mut reports = outcome.reports;
    let mut values = Vec::new();
    for (place, one) in reports.iter_mut().enumerate() {
        let plan = outcome.plans.get(place);
        if one.actions.is_none() {
            one.actions = plan.map(|plan| report::actions_of(&plan.actions));
        }
        let mut value = serde_json::to_value(&*one)
            .map_err(|why| Failure::new(Exit::Failures, "write the report as JSON", why.to_string()))?;
        if let Some(plan) = plan {
            // With these a dry run's report is also a plan that `--plan FILE` takes.
            value["as_of"] = Value::String(plan.as_of.to_string());
            value["kept"] = serde_json::json!(plan.kept);
            let asked = [
                ("older_than", serde_json::json!(plan.older_than)),
                ("job", serde_json::json!(plan.job)),
                ("session", serde_json::json!(plan.session)),
            ];
            for (name, what) in asked.into_iter().filter(|(_, what)| !what.is_null()) {
                value[name] = what;
            }
        }
        values.push(value);
    }
    finish(values, &reports, None, args, session)?;
    // Said even with -q, and by the exit code: nobody else will say it.
    for what in &outcome.not_done {
        tell(&format!("guardian: {}", escape_control(what)));
    }
    Ok(match report::exit_of(&reports) {
        _ if cancelled.load(Ordering::Relaxed) => Exit::Interrupted,
        Exit::Done if !outcome.not_done.is_empty() => Exit::Failures,
        exit => exit,
    })
}

fn finish(
    values: Vec<Value>,
    reports: &[Report],
    plan: Option<&PlanId>,
    args: &SweepArgs,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    match session.out.format {
        Format::Text => {
            if reports.is_empty() {
                session.out.note("nothing to do");
            }
            // From a timer no news is good news.
            let asked_for = args.list || args.dry_run || !session.out.quiet;
            let is_news =
                |one: &&Report| asked_for || report::exit_of(std::slice::from_ref(one)) != Exit::Done;
            for one in reports.iter().filter(is_news) {
                report::render(one, args.list || args.dry_run, &mut session.out)?;
            }
            let any = reports.iter().any(|one| one.files_deleted > 0);
            if let Some(id) = plan.filter(|_| any) {
                // After the list, which may still be on its way.
                session.out.flush()?;
                session.out.note(&format!("apply it with: guardian sweep --plan {id}"));
            }
            Ok(())
        }
        Format::Json => session.out.json(&waited_body(values, plan)),
        Format::JsonLines => values.iter().try_for_each(|value| session.out.line(value.to_string())),
    }
}
