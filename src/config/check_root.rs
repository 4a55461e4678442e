//! The rules of one root, and between roots.

use std::path::Path;

use crate::model::{FileTimes, RootName};

use super::fields::Fields;
use super::key::Scope;
use super::merge::MergedRoot;
use super::paths::{checkout_mark, is_system_path};
use super::show::{self, ShownTable};
use super::{Limits, Marks, MinFree, Origin, Probe, Problem, Retain, RootSettings, Warning};

/// Checks a root; `None` if it has no name to speak of it by.
pub(super) fn check(
    root: &MergedRoot,
    probe: &dyn Probe,
    problems: &mut Vec<Problem>,
) -> Option<(RootSettings, ShownTable)> {
    // One without a usable path has no name either.
    let title = if root.name.is_empty() { "root".to_owned() } else { format!("root.{}", root.name) };
    let mut fields = Fields::new(Scope::Root, title.clone(), &root.values, problems);
    if fields.given("path").is_none() {
        fields.problems.push(Problem {
            origin: root.origin.clone(),
            key: format!("{title}.path"),
            found: "no path".to_owned(),
            allowed: "path = \"/DIRECTORY\"".to_owned(),
        });
    }
    let path_origin = fields.given("path").cloned().unwrap_or(Origin::Default);
    let path = fields.path("path"); // empty if it was refused
    fields.text("name");
    let name = RootName::parse(&root.name);
    // What follows from a path that was refused would only hide that.
    let is_usable = !path.as_os_str().is_empty();
    if let (Err(error), None, true) = (&name, fields.given("name"), is_usable) {
        fields.refuse("path", error.to_string(), "a name for the root".to_owned());
    }
    fields.note("name", show::text(&root.name), root.name_origin());
    let allow_system_root = fields.flag("allow_system_root");
    if !allow_system_root
        && is_usable
        && let Some(why) = unfit(&path, probe)
    {
        let allowed = "a directory of temporary files, or allow_system_root = true for this root".to_owned();
        fields.refuse("path", format!("{}, {why}", show::text(&path.to_string_lossy())), allowed);
    }
    let capacity = fields.size("capacity");
    if capacity == Some(0) {
        fields.refuse("capacity", "0".to_owned(), "a size above 0, or \"\" for none".to_owned());
    }
    let marks = marks(&mut fields, ["warning", "high_water", "low_water"]);
    let inode_marks = marks_of_inodes(&mut fields);
    let min_free = fields.size("min_free").map_or(MinFree::Default, MinFree::Bytes);
    if let Some(total) = capacity.filter(|total| *total > 0)
        && let Err(error) = min_free.resolve(total, marks.low)
    {
        fields.refuse(
            "min_free",
            error.min_free.to_string(),
            format!("less than {} bytes for this capacity and low_water", error.limit),
        );
    }
    let times = fields.list("age_by");
    let by = |time: &str| times.iter().any(|word| word == time);
    let age_by = FileTimes { mtime: by("mtime"), ctime: by("ctime"), atime: by("atime"), btime: by("btime") };
    for reset in ["patterns_reset", "results_reset", "protect_reset"] {
        fields.flag(reset);
    }
    let settings = RootSettings {
        path,
        path_origin,
        require_mount: fields.flag("require_mount"),
        allow_system_root,
        capacity,
        marks,
        inode_marks,
        min_free,
        patterns: fields.list("patterns"),
        results: fields.list("results"),
        protect: fields.list("protect"),
        age_by,
        registry_grace: fields.optional_span("registry_grace"),
        adoption_grace: fields.span("adoption_grace"),
        orphans_untracked: fields.flag("orphans_untracked"),
        unit: fields.word("unit"),
        watch: fields.word("watch"),
        user_marks: fields.word("user_marks"),
        xattr_expiry: fields.flag("xattr_expiry"),
        remove_empty_dirs: fields.flag("remove_empty_dirs"),
        emergency_futile: fields.word("emergency_futile"),
        retain: Retain {
            orphans: fields.span("retain.orphans"),
            emergency_orphans: fields.span("retain.emergency_orphans"),
            failed_jobs: fields.span("retain.failed_jobs"),
            completed_jobs: fields.span("retain.completed_jobs"),
            results: fields.span("retain.results"),
            sessions: fields.span("retain.sessions"),
            trash: fields.span("retain.trash"),
            records: fields.span("retain.records"),
            max_age: fields.optional_span("retain.max_age"),
            min_age: fields.span("retain.min_age"),
        },
        limits: Limits {
            batch: fields.count("limits.batch"),
            max_files: fields.count("limits.max_files"),
            max_share: fields.percent("limits.max_share"),
            max_attempts: fields.count("limits.max_attempts"),
        },
        // Last, so that a bad name does not hide what else is wrong.
        name: name.ok()?,
    };
    Some((settings, fields.finish()))
}

/// Why a directory should not be a root, if so: as named, and with links resolved.
pub(super) fn unfit(path: &Path, probe: &dyn Probe) -> Option<String> {
    let resolved = probe.resolve(path);
    if is_system_path(path) {
        return Some("a system or home directory".to_owned());
    }
    if is_system_path(&resolved) {
        return Some(format!("which is {}, a system or home directory", resolved.display()));
    }
    checkout_mark(&resolved, probe).map(|mark| format!("a version-controlled checkout (it has {mark})"))
}

fn marks_of_inodes(fields: &mut Fields<'_>) -> Marks {
    marks(fields, ["inodes_warning", "inodes_high_water", "inodes_low_water"])
}

/// How far below the high mark the low one lies when only the high one is given.
const LOW_BELOW_HIGH: f64 = 10.0;

fn marks(fields: &mut Fields<'_>, [warning_key, high_key, low_key]: [&'static str; 3]) -> Marks {
    let before = fields.problems.len();
    let high = fields.percent(high_key);
    let mut low = fields.percent(low_key);
    let mut warning = fields.percent(warning_key);
    if fields.problems.len() > before {
        return Marks { warning, high, low }; // a comparison with a stand-in would mislead
    }
    let given = |key| fields.given(key).is_some();
    let (low_given, high_given, warning_given) = (given(low_key), given(high_key), given(warning_key));
    if high_given && !low_given {
        low = high - LOW_BELOW_HIGH;
        fields.note(low_key, show::number(low), Origin::Derived(high_key));
        if low < 1.0 {
            let allowed = format!("{low_key} too, when {high_key} is below 11");
            fields.refuse(high_key, show::number(high), allowed);
            return Marks { warning, high, low };
        }
    }
    if warning > high && !warning_given {
        warning = high;
        fields.note(warning_key, show::number(warning), Origin::Derived(high_key));
    }
    if low >= high {
        let key = if low_given { low_key } else { high_key };
        let found = format!("{low_key} {} and {high_key} {}", show::number(low), show::number(high));
        fields.refuse(key, found, format!("{low_key} below {high_key}"));
    }
    if warning > high {
        let found = format!("{warning_key} {} and {high_key} {}", show::number(warning), show::number(high));
        fields.refuse(warning_key, found, format!("{warning_key} at or below {high_key}"));
    }
    Marks { warning, high, low }
}

/// Refuses roots of one path or beneath one another, by path; the agent compares
/// devices and inodes once it has them open.
pub(super) fn no_nesting(roots: &[RootSettings], probe: &dyn Probe, problems: &mut Vec<Problem>) {
    let resolved: Vec<_> = roots.iter().map(|root| probe.resolve(&root.path)).collect();
    for (i, inner) in roots.iter().enumerate() {
        for (j, outer) in roots.iter().enumerate() {
            let same = resolved[i] == resolved[j];
            let known = !inner.path.as_os_str().is_empty() && !outer.path.as_os_str().is_empty();
            if known && i != j && resolved[i].starts_with(&resolved[j]) && (!same || j < i) {
                let relation = if same { "the same directory as" } else { "beneath" };
                problems.push(Problem {
                    origin: inner.path_origin.clone(),
                    key: format!("root.{}.path", inner.name),
                    found: format!(
                        "{}, {relation} root {} ({})",
                        show::text(&inner.path.to_string_lossy()),
                        outer.name,
                        outer.path.display()
                    ),
                    allowed: "roots that do not contain one another".to_owned(),
                });
            }
        }
    }
}

/// Warns of roots on one volume whose marks differ: each acts by its own, on
/// space that they share.
pub(super) fn one_set_of_marks(roots: &[RootSettings], probe: &dyn Probe, warnings: &mut Vec<Warning>) {
    let volumes: Vec<_> =
        roots.iter().map(|root| probe.device(&root.path).filter(|_| root.capacity.is_none())).collect();
    for (i, later) in roots.iter().enumerate() {
        let differs = |first: &RootSettings| {
            (first.marks, first.inode_marks, first.min_free)
                != (later.marks, later.inode_marks, later.min_free)
        };
        let other = (0..i).find(|j| volumes[i].is_some() && volumes[*j] == volumes[i] && differs(&roots[*j]));
        if let Some(j) = other {
            warnings.push(Warning {
                origin: later.path_origin.clone(),
                text: format!(
                    "roots {} and {} lie on one volume but have different marks; each acts by its own",
                    roots[j].name, later.name
                ),
            });
        }
    }
}
