//! From a request to orders: where a run ends, what it may take, and in which
//! circumstances it decides.

use std::time::Duration;

use crate::model::{Policy, Resource, SweepRequest, Timestamp, VolumeUsage};
use crate::policy::{Marks, Moment, Target, is_urgent, resource_needed, resources_to_serve};

use super::record::RunHead;
use super::root::GuardedRoot;
use super::run::{Orders, phases_of};

/// Whether `root` is past its own mark of `resource`: an emergency's last phase
/// takes only from such roots.
pub fn past_its_mark(root: &GuardedRoot, usage: &VolumeUsage, resource: Resource) -> bool {
    resource_needed(usage, resource, &root.marks).is_some()
}

/// Whether the request itself says where it ends.
const fn says_where(request: &SweepRequest) -> bool {
    request.free.is_some() || request.until_percent.is_some()
}

/// The runs that a request is carried out by over the roots of one volume, each
/// by the resource that it is about. Only an emergency can have two.
pub fn runs_of(request: &SweepRequest, roots: &[&GuardedRoot], usage: Option<&VolumeUsage>) -> Vec<Resource> {
    match usage {
        Some(usage) if request.policy == Policy::Emergency && !says_where(request) => {
            let marks: Vec<Marks> = roots.iter().map(|root| root.marks).collect();
            resources_to_serve(usage, &marks)
        }
        _ => vec![Resource::Bytes],
    }
}

/// Where an emergency's run for `resource` ends on the volume of `roots`: at the
/// strictest target of the roots that are past their marks. If a person asks for
/// one and no root is, at the lowest low mark (and nothing is done when already there).
pub fn emergency_target(roots: &[&GuardedRoot], usage: &VolumeUsage, resource: Resource) -> Target {
    let targets: Vec<Target> =
        roots.iter().filter_map(|root| Some(resource_needed(usage, resource, &root.marks)?.target)).collect();
    let low = roots.iter().map(|root| root.marks.of(resource).2).min_by(f64::total_cmp);
    let strictest = targets.iter().filter_map(|target| target.percent).min_by(f64::total_cmp);
    Target {
        percent: strictest.or(low),
        available: targets.iter().filter_map(|target| target.available).max(),
        ..Target::none(resource)
    }
}

/// The orders for one of a request's runs ([`runs_of`]) over the roots of one volume. `None`: the request
/// ends where usage says so, and usage is unknown. No target can stand in for
/// it: a run would take everything, or claim to have reached what nobody saw.
pub fn orders(
    head: RunHead,
    request: &SweepRequest,
    roots: &[&GuardedRoot],
    usage: Option<&VolumeUsage>,
    resource: Resource,
) -> Option<Orders> {
    let asked = says_where(request);
    let target = match usage {
        Some(usage) if request.policy == Policy::Emergency && !asked => {
            emergency_target(roots, usage, resource)
        }
        Some(usage) => Target::of_request(usage, request.free.map(|size| size.0), request.until_percent),
        None if asked || request.policy == Policy::Emergency => return None,
        None => Target::none(Resource::Bytes),
    };
    let bound = roots.iter().map(|root| root.limits.max_files).min();
    Some(Orders {
        phases: phases_of(head.policy).to_vec(),
        target,
        max_files: request.max_files.or(if request.policy == Policy::Emergency { None } else { bound }),
        at_most: Default::default(),
        batch: request.batch_size,
        list: false,
        max_attempts: None,
        head,
    })
}

/// The circumstances of the decisions about one root.
pub fn moment(
    request: &SweepRequest,
    root: &GuardedRoot,
    usage: Option<&VolumeUsage>,
    now: Timestamp,
    clock_trusted: bool,
) -> Moment {
    let emergency = request.policy == Policy::Emergency;
    let urgent = usage.is_some_and(|usage| {
        is_urgent(usage, Resource::Bytes, &root.marks) || is_urgent(usage, Resource::Inodes, &root.marks)
    });
    Moment {
        now,
        wall: None,
        emergency,
        clock_trusted,
        min_age_suspended: emergency && urgent,
        older_than: request.older_than.map(|span| span.0).filter(|age| *age < Duration::MAX),
        at_least: Duration::ZERO,
        forced_job: request.job.clone(),
        forced_chunk: request.chunk.clone(),
        session: request.session.clone(),
        new_root: root.new_until.is_some_and(|until| now < until),
    }
}
