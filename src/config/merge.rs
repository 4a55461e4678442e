//! Layers into one: scalars override, lists of `protect`, `results` and
//! `patterns` append, roots meet by name (or by path, where they give no name).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::RootName;

use super::key::{self, Key, Kind, Scope};
use super::raw::{Data, Layer, RawTable, Value};
use super::{Origin, Problem, paths};

/// Values by key name.
pub(super) type Values = BTreeMap<&'static str, Value>;

/// A root with the values of all layers.
#[derive(Debug, Clone)]
pub(super) struct MergedRoot {
    pub(super) name: String,
    /// Where it was first spoken of.
    pub(super) origin: Origin,
    pub(super) values: Values,
}

/// All layers merged.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) agent: Values,
    pub(super) roots: Vec<MergedRoot>,
    pub(super) hooks: Vec<RawTable>,
}

impl Merged {
    /// Adds a later layer, which wins.
    pub(super) fn add(&mut self, layer: Layer, problems: &mut Vec<Problem>) {
        self.agent.extend(layer.agent.into_iter().map(|(key, value)| (key.name, value)));
        self.hooks.extend(layer.hooks);
        let mut spoken_of: Vec<(usize, Origin)> = Vec::new();
        for table in layer.roots {
            let Some(index) = self.place(&table, problems) else { continue };
            if let Some((_, first)) = spoken_of.iter().find(|(earlier, _)| *earlier == index) {
                problems.push(Problem {
                    origin: table.origin.clone(),
                    key: format!("root.{}", self.roots[index].name),
                    found: format!("a second root of this name or path (the first is at {first})"),
                    allowed: "one [[root]] table for each name and path in a file".to_owned(),
                });
                continue;
            }
            spoken_of.push((index, table.origin.clone()));
            reset_lists(&mut self.roots[index].values, &table);
            for (key, value) in table.values {
                // Environment and flags speak of a root by its name; they do not give it.
                if key.kind != Kind::Name || matches!(value.origin, Origin::File { .. }) {
                    set(&mut self.roots[index].values, key, value);
                }
            }
        }
    }

    /// The root that a table is about, made if it is new.
    fn place(&mut self, table: &RawTable, problems: &mut Vec<Problem>) -> Option<usize> {
        let path = table.get("path").and_then(path_of);
        let given = match table.get("name") {
            Some(Value { data: Data::Text(name), .. }) => Some(name.clone()),
            Some(_) => Some(String::new()), // of a wrong type: reported when its value is checked
            None => None,
        };
        let found = match (&given, &path) {
            (Some(name), _) => self.roots.iter().position(|root| root.name == *name),
            (None, Some(path)) => self.roots.iter().position(|root| root.path().as_ref() == Some(path)),
            // Not an absolute path: reported as what it is when its value is checked.
            (None, None) if table.get("path").is_some() => None,
            (None, None) => {
                problems.push(Problem {
                    origin: table.origin.clone(),
                    key: "root".to_owned(),
                    found: "a root with neither a path nor a name".to_owned(),
                    allowed: "path = \"/DIRECTORY\", or the name of a root that another file gives"
                        .to_owned(),
                });
                return None;
            }
        };
        if found.is_some() {
            return found;
        }
        let name = given.or_else(|| path.as_deref().map(name_from_path)).unwrap_or_default();
        if let Some(other) = self.roots.iter().find(|root| root.name == name) {
            problems.push(Problem {
                origin: table.origin.clone(),
                key: format!("root.{name}"),
                found: format!(
                    "the name {name:?}, which follows from the path, for a second root (the first is at {})",
                    other.origin
                ),
                allowed: "a name of its own for each root".to_owned(),
            });
            return None;
        }
        self.roots.push(MergedRoot { name, origin: table.origin.clone(), values: Values::new() });
        Some(self.roots.len() - 1)
    }
}

impl MergedRoot {
    /// Its path, if one was given that is well formed.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.values.get("path").and_then(path_of)
    }

    /// Where its name came from.
    pub(super) fn name_origin(&self) -> Origin {
        self.values.get("name").map_or(Origin::Derived("path"), |value| value.origin.clone())
    }
}

fn path_of(value: &Value) -> Option<PathBuf> {
    match &value.data {
        Data::Text(text) => paths::plain_absolute(Path::new(text)),
        Data::Path(path) => paths::plain_absolute(path),
        _ => None,
    }
}

/// The last component, with what a name cannot hold replaced by `_`.
pub(super) fn name_from_path(path: &Path) -> String {
    let last = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = last.chars().map(plain).take(RootName::MAX_LEN).collect();
    if path.parent().is_none() { "root".to_owned() } else { name }
}

/// Empties the lists that the table resets, whatever the order of its keys.
fn reset_lists(values: &mut Values, table: &RawTable) {
    for (key, value) in &table.values {
        if let (Some(list), Data::Flag(true)) = (key.name.strip_suffix("_reset"), &value.data)
            && let Some(list) = key::find(Scope::Root, list)
        {
            values.insert(list.name, Value { data: Data::List(Vec::new()), origin: value.origin.clone() });
        }
    }
}

fn set(values: &mut Values, key: &'static Key, value: Value) {
    if let (true, Some(Value { data: Data::List(earlier), .. }), Data::List(items)) =
        (key.appends(), values.get(key.name), &value.data)
    {
        let data = Data::List(earlier.iter().chain(items).cloned().collect());
        values.insert(key.name, Value { data, origin: value.origin });
    } else {
        values.insert(key.name, value);
    }
}
