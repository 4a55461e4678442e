//! What tests of deferred deletion and trash have in common.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Home, root, scratch};

/// An agent on one root.
pub(crate) fn started(agent: &str, more: &str) -> (Home, PathBuf) {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure(agent, &root(&root_dir, more));
    home.start();
    home.until_root_is("ready");
    (home, root_dir)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The one body that `--json` prints.
pub(crate) fn body(home: &Home, arguments: &[&str]) -> Value {
    let out = home.done(&[arguments, &["--json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {out}"))
}

pub(crate) fn items(home: &Home, arguments: &[&str]) -> Vec<Value> {
    body(home, arguments)["items"].as_array().unwrap().clone()
}

pub(crate) fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

/// How often each path is on record as removed, and how often without an
/// outcome. Read from the segments themselves: a length, a checksum, JSON.
pub(crate) fn removals(home: &Home) -> BTreeMap<String, (u32, u32)> {
    let mut segments: Vec<PathBuf> =
        fs::read_dir(home.path("state/audit")).unwrap().map(|one| one.unwrap().path()).collect();
    segments.sort();
    let mut batches: BTreeMap<u64, Vec<(String, Option<bool>)>> = BTreeMap::new();
    for segment in segments {
        let bytes = fs::read(&segment).unwrap();
        let mut rest = bytes.as_slice();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some(payload) = behind.get(4..4 + length).filter(|payload| !payload.is_empty()) else {
                break;
            };
            rest = &behind[4 + length..];
            let frame: Value = serde_json::from_slice(payload).unwrap();
            let batch = || frame["batch"].as_u64().unwrap();
            match frame["frame"].as_str() {
                Some("intent") => {
                    let above = frame["header"]["root_path"]["path"].as_str().unwrap();
                    let entries = frame["entries"].as_array().unwrap().iter();
                    let names =
                        entries.map(|one| (format!("{above}/{}", one["path"].as_str().unwrap()), None));
                    batches.entry(batch()).or_default().extend(names);
                }
                Some("outcome") => {
                    let entries = batches.get_mut(&batch()).unwrap();
                    entries.iter_mut().for_each(|(_, removed)| *removed = Some(true));
                    for stayed in frame["not_removed"].as_array().unwrap() {
                        let place = usize::try_from(stayed[0].as_u64().unwrap()).unwrap();
                        entries[place].1 = Some(false);
                    }
                }
                _ => {}
            }
        }
    }
    let mut found: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for (path, removed) in batches.into_values().flatten() {
        match removed {
            Some(true) => found.entry(path).or_default().0 += 1,
            None => found.entry(path).or_default().1 += 1,
            Some(false) => {}
        }
    }
    found
}

/// Names in the private directory of a root: entries, and what describes them.
pub(crate) fn kept(root_dir: &Path, room: &str) -> (usize, usize) {
    let entries = fs::read_dir(root_dir.join(".guardian").join(room)).into_iter().flatten();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let infos = names.iter().filter(|name| name.ends_with(".info") || name.ends_with(".infos")).count();
    (names.len() - infos, infos)
}

pub(crate) fn until_queue_is_empty(home: &Home) {
    home.until("the queue is empty", |home| {
        (home.ask("/v1/deletions/stats")?["total_pending"] == 0).then_some(())
    });
}

/// Waits until a path is on record as removed, once and with its outcome: that
/// follows after the queue knows it no more.
pub(crate) fn until_removed_once(home: &Home, path: &Path) {
    home.until("the removal is on record", |home| {
        (removals(home).get(text(path)) == Some(&(1, 0))).then_some(())
    });
}

/// Makes files in directories of a thousand, and a list of them for `--files0-from`.
pub(crate) fn many(home: &Home, root_dir: &Path, count: usize) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> =
        (0..count).map(|number| root_dir.join(format!("d{}/f{number}", number / 1000))).collect();
    for path in &paths {
        if path.ends_with("f0") || !path.parent().unwrap().exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, b"x").unwrap();
    }
    let list: Vec<u8> = paths.iter().flat_map(|path| text(path).bytes().chain([0])).collect();
    fs::write(home.path("list"), list).unwrap();
    paths
}

pub(crate) fn is_long() -> bool {
    std::env::var_os("GUARDIAN_LONG").is_some()
}

/// How many paths: 100,000 in the long form, or as many as `GUARDIAN_LONG` says beyond 1.
pub(crate) fn paths_or(short: usize) -> usize {
    match std::env::var("GUARDIAN_LONG").map(|text| text.parse::<usize>()) {
        Ok(Ok(count)) if count > 1 => count,
        Ok(_) => 100_000,
        Err(_) => short,
    }
}
