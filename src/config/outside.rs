//! Environment and flags as layers, in the form that files have.

use std::collections::BTreeMap;
use std::path::Path;

use super::key::{self, Key, Kind, Scope};
use super::merge::{Merged, name_from_path};
use super::raw::{self, Data, Layer, RawTable, Value};
use super::{Environment, Origin, Overrides, Problem, Warning, paths};

/// Variables of ours that are no keys: for the command line, for children of `job exec` and for alert hooks.
const OTHER_VARIABLES: &[&str] = &[
    "GUARDIAN_CONFIG",
    "GUARDIAN_LOG",
    "GUARDIAN_JOB",
    "GUARDIAN_JOB_ID",
    "GUARDIAN_COLOR",
    "GUARDIAN_ALERT_KIND",
    "GUARDIAN_ALERT_STATE",
    "GUARDIAN_ALERT_LEVEL",
    "GUARDIAN_ALERT_ROOT",
    "GUARDIAN_ALERT_MESSAGE",
];

/// The environment as a layer over the roots that the files name.
pub(super) fn environment(
    environment: &Environment,
    merged: &Merged,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Warning>,
) -> Layer {
    let mut meanings: BTreeMap<String, Vec<(Option<&str>, &'static Key)>> = BTreeMap::new();
    for key in key::of(Scope::Agent) {
        meanings.entry(key.variable(None)).or_default().push((None, key));
    }
    for root in &merged.roots {
        for key in key::of(Scope::Root).filter(|key| key.kind != Kind::Name) {
            meanings.entry(key.variable(Some(&root.name))).or_default().push((Some(&root.name), key));
        }
    }
    let mut layer = Layer::default();
    let mut roots: BTreeMap<&str, RawTable> = BTreeMap::new();
    for (name, value) in &environment.vars {
        let name = name.to_string_lossy();
        if !name.starts_with("GUARDIAN_") || OTHER_VARIABLES.contains(&name.as_ref()) {
            continue;
        }
        let origin = Origin::Env(name.clone().into_owned());
        let (root, key) = match meanings.get(name.as_ref()).map(Vec::as_slice) {
            Some([one]) => *one,
            Some(several) => {
                let names: Vec<String> = several.iter().map(|(root, key)| labelled(*root, key)).collect();
                problems.push(Problem {
                    origin,
                    key: names.join(" and "),
                    found: "one variable for several keys".to_owned(),
                    allowed: "names of roots that differ in more than \"-\", \".\", \"_\" and case"
                        .to_owned(),
                });
                continue;
            }
            None => {
                let near = key::nearest(&name, meanings.keys().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                warnings.push(Warning { origin, text: format!("unknown, ignored{hint}") });
                continue;
            }
        };
        let Some(text) = value.to_str() else {
            problems.push(Problem {
                origin,
                key: labelled(root, key),
                found: format!("{value:?}, which is not UTF-8"),
                allowed: key.allowed(),
            });
            continue;
        };
        let value = Value { data: from_text(key.kind, text, &origin), origin: origin.clone() };
        match root {
            None => layer.agent.push((key, value)),
            Some(root) => {
                let table = roots.entry(root).or_insert_with(|| named(root, &origin));
                table.values.push((key, value));
            }
        }
    }
    layer.roots = roots.into_values().collect();
    layer
}

fn labelled(root: Option<&str>, key: &Key) -> String {
    root.map_or_else(|| format!("agent.{}", key.name), |root| format!("root.{root}.{}", key.name))
}

/// A table about a root that is known by name.
fn named(root: &str, origin: &Origin) -> RawTable {
    let values = key::find(Scope::Root, "name")
        .map(|key| (key, Value { data: Data::Text(root.to_owned()), origin: origin.clone() }));
    RawTable { origin: origin.clone(), values: values.into_iter().collect() }
}

/// A variable's text as the value that a file would hold. What does not fit stays
/// text and is refused by the check of its key.
fn from_text(kind: Kind, text: &str, origin: &Origin) -> Data {
    let as_text = || Data::Text(text.to_owned());
    match kind {
        Kind::Flag => text.trim().parse().map_or_else(|_| as_text(), Data::Flag),
        Kind::Count { .. } => text.trim().parse().map_or_else(|_| as_text(), Data::Whole),
        Kind::Percent => match (text.trim().parse(), text.trim().parse()) {
            (Ok(whole), _) => Data::Whole(whole),
            (_, Ok(fraction)) => Data::Fraction(fraction),
            _ => as_text(),
        },
        Kind::Globs | Kind::Patterns | Kind::Words(_) | Kind::Command => {
            if text.trim_start().starts_with('[') {
                raw::read_list(text.trim(), origin).unwrap_or_else(|_| as_text())
            } else {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                let item = |item: &str| Value { data: Data::Text(item.to_owned()), origin: origin.clone() };
                Data::List(items.map(item).collect())
            }
        }
        _ => as_text(),
    }
}

/// The flags as a layer over everything else.
pub(super) fn flags(
    overrides: &Overrides,
    cwd: &Path,
    merged: &Merged,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::default();
    let mut agent = |name, data, flag| {
        layer.agent.extend(
            key::find(Scope::Agent, name).map(|key| (key, Value { data, origin: Origin::Flag(flag) })),
        );
    };
    if let Some(path) = &overrides.state_dir {
        agent("state_dir", Data::Path(paths::absolute(path, cwd)), "--state-dir");
    }
    if let Some(path) = &overrides.socket {
        agent("socket", Data::Path(paths::absolute(path, cwd)), "--socket");
    }
    if overrides.dry_run {
        agent("dry_run", Data::Flag(true), "--dry-run");
    }
    let mut seen = Vec::new();
    for path in &overrides.roots {
        let path = paths::absolute(path, cwd);
        let plain = paths::plain_absolute(&path).unwrap_or_else(|| path.clone());
        if seen.contains(&plain) {
            continue; // the same flag twice means the same root
        }
        let mut table = RawTable { origin: Origin::Flag("--root"), values: Vec::new() };
        match merged.roots.iter().find(|root| root.path().as_ref() == Some(&plain)) {
            Some(configured) => table = named_like(&configured.name),
            None => {
                if paths::plain_absolute(&path).is_none() {
                    problems.push(Problem {
                        origin: Origin::Flag("--root"),
                        key: format!("root.{}", name_from_path(&path)),
                        found: Data::Path(path).show(),
                        allowed: "a directory without \"..\" after a name".to_owned(),
                    });
                    continue;
                }
                push(&mut table, "path", Data::Path(path), "--root");
            }
        }
        if let Some(size) = overrides.capacity {
            push(&mut table, "capacity", size_data(size.0), "--capacity");
        }
        seen.push(plain);
        layer.roots.push(table);
    }
    if let (true, Some(size)) = (overrides.roots.is_empty(), overrides.capacity) {
        if let [only] = merged.roots.as_slice() {
            let mut table = named_like(&only.name);
            push(&mut table, "capacity", size_data(size.0), "--capacity");
            layer.roots.push(table);
        } else {
            problems.push(Problem {
                origin: Origin::Flag("--capacity"),
                key: "root.capacity".to_owned(),
                found: format!("{} configured roots and no --root", merged.roots.len()),
                allowed: "--capacity with --root, or with exactly one configured root".to_owned(),
            });
        }
    }
    layer
}

fn size_data(bytes: u64) -> Data {
    i64::try_from(bytes).map_or_else(|_| Data::Text(bytes.to_string()), Data::Whole)
}

fn named_like(root: &str) -> RawTable {
    named(root, &Origin::Flag("--root"))
}

fn push(table: &mut RawTable, name: &str, data: Data, flag: &'static str) {
    let value = Value { data, origin: Origin::Flag(flag) };
    table.values.extend(key::find(Scope::Root, name).map(|key| (key, value)));
}
