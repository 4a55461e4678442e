//! Random actions against a plain model, and damage.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::*;
use crate::model::{FileKind, RelPath, Timestamp};

const ROOT: RootKey = RootKey(3);

fn options() -> OpenOptions {
    let readings: Readings = Arc::new(|name, out| {
        if let Some(rest) = name.strip_prefix(b"job_") {
            out.extend(rest.split(|b| *b == b'_').next().map(Into::into));
        }
    });
    OpenOptions { cache_bytes: 16 << 20, readings: Arc::new(move |_| Arc::clone(&readings)) }
}

fn file(name: &str, ino: u64, time: i64, nlink: u32) -> FileEntry {
    let time = Timestamp::from_unix(time, 7);
    FileEntry {
        name: name.as_bytes().into(),
        ino,
        kind: FileKind::Regular,
        size: ino * 10,
        allocated: 4096 * (1 + ino % 3),
        nlink,
        uid: 1000,
        mtime: time,
        ctime: time,
        age_time: time,
        expires_at: None,
    }
}

#[derive(Default)]
struct Model {
    dirs: BTreeMap<u64, (u64, String)>,
    files: BTreeMap<(u64, String), FileEntry>,
}

impl Model {
    fn beneath(&self, mut dir: u64, top: u64) -> bool {
        while dir != 0 {
            if dir == top {
                return true;
            }
            dir = self.dirs[&dir].0;
        }
        false
    }
    fn child(&self, parent: u64, name: &str) -> Option<u64> {
        self.dirs.iter().find(|(_, d)| d.0 == parent && d.1 == name).map(|(ino, _)| *ino)
    }
    fn remove_tree(&mut self, top: u64) {
        let gone: Vec<u64> = self.dirs.keys().copied().filter(|d| self.beneath(*d, top)).collect();
        self.files.retain(|(dir, _), _| !gone.contains(dir));
        self.dirs.retain(|ino, _| !gone.contains(ino));
    }
    fn path(&self, dir: u64) -> String {
        let (parent, name) = &self.dirs[&dir];
        let above = if *parent == 0 { String::new() } else { self.path(*parent) };
        if above.is_empty() { name.clone() } else { format!("{above}/{name}") }
    }
}

fn compare(index: &Index, model: &Model, now: &str) {
    let snapshot = index.snapshot().unwrap();
    let counters = snapshot.counters(ROOT).unwrap();
    let mut linked: BTreeMap<u64, u64> = BTreeMap::new();
    let mut bytes = 0;
    for entry in model.files.values() {
        if entry.nlink > 1 {
            linked.insert(entry.ino, entry.allocated);
        } else {
            bytes += entry.allocated;
        }
    }
    let expected = Counters {
        files: model.files.len() as u64,
        allocated_bytes: bytes + linked.values().sum::<u64>(),
        dirs: model.dirs.len() as u64,
    };
    assert_eq!(counters, expected, "{now}");
    for ino in model.dirs.keys() {
        let path = RelPath::from_bytes(model.path(*ino).into_bytes()).unwrap();
        assert_eq!(snapshot.path_of(ROOT, *ino).unwrap().as_ref(), Some(&path), "{now}");
        assert_eq!(snapshot.dir_ino(ROOT, &path).unwrap(), Some(*ino), "{now}");
    }
    let all: Vec<IndexedFile> =
        model.files.iter().map(|((dir, _), entry)| IndexedFile { dir: *dir, entry: entry.clone() }).collect();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = snapshot.files_page(ROOT, after.as_ref(), 7).unwrap();
        let Some(last) = page.last() else { break };
        let cursor = Cursor { dir: last.dir, name: last.entry.name.clone() };
        after = Some(cursor.to_string().parse::<Cursor>().unwrap());
        paged.extend(page);
    }
    assert_eq!(paged, all, "{now}");
    let mut by_age = all;
    by_age.sort_by(|a, b| {
        (a.entry.age_time, a.dir, &a.entry.name).cmp(&(b.entry.age_time, b.dir, &b.entry.name))
    });
    assert_eq!(index.oldest(ROOT).collect::<Result<Vec<_>, _>>().unwrap(), by_age, "{now}");
    for ino in linked.keys() {
        let links = model.files.values().filter(|e| e.nlink > 1 && e.ino == *ino).count();
        assert_eq!(snapshot.links_of(ROOT, *ino).unwrap().len(), links, "{now}");
    }
    let mut jobs = std::collections::BTreeSet::new();
    for job in 0..6 {
        let wanted = format!("job_{job}_");
        let is = |name: &str| name.starts_with(&wanted);
        let mut expected: Vec<(u64, String)> = model.files.keys().filter(|k| is(&k.1)).cloned().collect();
        expected.extend(model.dirs.values().filter(|d| is(&d.1)).cloned());
        expected.sort();
        let range = NameRange { start: b"job_"[..].into(), end: Some(b"job`"[..].into()) };
        let mut found = Vec::new();
        let matches = |name: &[u8]| name.starts_with(wanted.as_bytes());
        let visit = &mut |one: JobMatch| {
            let (dir, name) = match one {
                JobMatch::File(f) => (f.dir, f.entry.name),
                JobMatch::Dir(d) => (d.parent, d.name),
            };
            found.push((dir, String::from_utf8(name.into_vec()).unwrap()));
            ControlFlow::Continue(())
        };
        snapshot.job_files(ROOT, job.to_string().as_bytes(), &[range], &matches, visit).unwrap();
        found.sort();
        assert_eq!(found, expected, "{now}: job {job}");
        if !expected.is_empty() {
            jobs.insert(job.to_string().into_bytes().into_boxed_slice());
        }
    }
    assert_eq!(snapshot.job_keys(ROOT, None, 100).unwrap(), jobs.into_iter().collect::<Vec<_>>(), "{now}");
}

fn name(n: u64) -> String {
    if n.is_multiple_of(3) { format!("job_{}_{n}", n % 6) } else { format!("plain_{n:0>30}") }
}

#[test]
fn whatever_happens_in_a_tree_the_index_says_what_a_plain_model_says() {
    for seed in 1..=3_u64 {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("index.redb");
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (mut index, opened) = Index::open(&path, options()).unwrap();
        assert_eq!(opened, Opened::Created);
        let load = index.bulk_load(ROOT, 1).unwrap();
        let mut model = Model::default();
        model.dirs.insert(1, (0, String::new()));
        let files: Vec<FileEntry> = (0..300).map(|n| file(&name(n), 1000 + n, n as i64 % 50, 1)).collect();
        for entry in &files {
            model.files.insert((1, String::from_utf8(entry.name.to_vec()).unwrap()), entry.clone());
        }
        let top = Listing { ino: 1, parent: 0, name: Box::default(), mtime: Timestamp::EPOCH, files };
        load.push(top).unwrap();
        load.finish(Timestamp::EPOCH).unwrap();
        compare(&index, &model, "loaded");
        let mut next = 2_u64;
        for step in 0..160 {
            let mut changes = Vec::new();
            for _ in 0..random(12) {
                let dirs: Vec<u64> = model.dirs.keys().copied().collect();
                let dir = dirs[random(dirs.len() as u64) as usize];
                let called = name(random(400));
                match random(10) {
                    0..=3 => {
                        if let Some(old) = model.child(dir, &called) {
                            model.remove_tree(old);
                        }
                        next += 1;
                        // Inodes of several links come from a few numbers, so that links meet.
                        let (ino, nlink) =
                            if random(4) == 0 { (random(5) + 9000, 2) } else { (10_000 + next, 1) };
                        let entry = file(&called, ino, random(50) as i64, nlink);
                        model.files.insert((dir, called), entry.clone());
                        changes.push(Change::PutFile { dir, entry });
                    }
                    4..=5 => {
                        if let Some(old) = model.child(dir, &called) {
                            model.remove_tree(old);
                        }
                        model.files.remove(&(dir, called.clone()));
                        changes.push(Change::RemoveName { dir, name: called.into_bytes().into() });
                    }
                    6 => {
                        if let Some(old) = model.child(dir, &called) {
                            model.remove_tree(old);
                        }
                        model.files.remove(&(dir, called.clone()));
                        next += 1;
                        model.dirs.insert(next, (dir, called.clone()));
                        let name = called.into_bytes().into();
                        changes.push(Change::PutDir {
                            parent: dir,
                            name,
                            ino: next,
                            mtime: Timestamp::EPOCH,
                        });
                    }
                    7 => {
                        let ino = dirs[random(dirs.len() as u64) as usize];
                        let taken = model.child(dir, &called);
                        if ino == 1 || model.beneath(dir, ino) || taken.is_some_and(|t| model.beneath(ino, t))
                        {
                            continue;
                        }
                        taken.into_iter().for_each(|old| model.remove_tree(old));
                        model.files.remove(&(dir, called.clone()));
                        model.dirs.insert(ino, (dir, called.clone()));
                        let new_name = called.into_bytes().into();
                        changes.push(Change::MoveDir { ino, new_parent: dir, new_name });
                    }
                    8 => {
                        let files: Vec<FileEntry> = (0..random(90))
                            .map(|n| file(&name(n * 3), 50_000 + step * 100 + n, n as i64, 1))
                            .collect();
                        let subdirs: Vec<(String, u64)> = model
                            .dirs
                            .iter()
                            .filter(|(_, d)| d.0 == dir)
                            .map(|(ino, d)| (d.1.clone(), *ino))
                            .filter(|(called, _)| !files.iter().any(|f| *f.name == *called.as_bytes()))
                            .collect();
                        let gone: Vec<u64> = model
                            .dirs
                            .iter()
                            .filter(|(ino, d)| d.0 == dir && !subdirs.iter().any(|s| s.1 == **ino))
                            .map(|(ino, _)| *ino)
                            .collect();
                        gone.into_iter().for_each(|old| model.remove_tree(old));
                        model.files.retain(|k, _| k.0 != dir);
                        for entry in &files {
                            let called = String::from_utf8(entry.name.to_vec()).unwrap();
                            model.files.insert((dir, called), entry.clone());
                        }
                        let subdirs = subdirs.into_iter().map(|(n, i)| (n.into_bytes().into(), i)).collect();
                        changes.push(Change::ReplaceListing { dir, mtime: Timestamp::EPOCH, files, subdirs });
                    }
                    _ if dir != 1 && random(3) == 0 => {
                        model.remove_tree(dir);
                        changes.push(Change::RemoveDirTree { ino: dir });
                    }
                    _ => {}
                }
            }
            let applied = index.apply(ROOT, &changes).unwrap();
            assert_eq!(applied.unresolved, Vec::<usize>::new(), "seed {seed} step {step}: {changes:?}");
            if step % 40 == 39 {
                index.checkpoint().unwrap();
                drop(index);
                let (reopened, found) = Index::open(&path, options()).unwrap();
                assert_eq!(found, Opened::Clean);
                index = reopened;
            }
            if step % 8 == 7 {
                compare(&index, &model, &format!("seed {seed} step {step}"));
            }
        }
    }
}

#[test]
fn a_change_in_an_unknown_directory_or_a_directory_within_itself_is_told_and_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (index, _) = Index::open(&place.path().join("i"), options()).unwrap();
    let put = |ino, parent, name: &str| Change::PutDir {
        parent,
        name: name.as_bytes().into(),
        ino,
        mtime: Timestamp::EPOCH,
    };
    let loops = Change::MoveDir { ino: 2, new_parent: 3, new_name: b"x"[..].into() };
    let lost = Change::PutFile { dir: 77, entry: file("a", 5, 1, 1) };
    let applied = index.apply(ROOT, &[put(1, 0, ""), put(2, 1, "a"), put(3, 2, "b"), loops, lost]).unwrap();
    assert_eq!(applied.unresolved, vec![3, 4]);
    let path = index.snapshot().unwrap().path_of(ROOT, 3).unwrap().unwrap();
    assert_eq!(path.as_bytes(), b"a/b");
}

#[test]
fn a_damaged_file_is_set_aside_and_an_empty_index_begun() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index.redb");
    std::fs::write(&path, vec![0x5a; 100_000]).unwrap();
    let (index, opened) = Index::open(&path, options()).unwrap();
    assert!(matches!(opened, Opened::Quarantined(_)), "{opened:?}");
    assert!(place.path().join("index.redb.damaged-1").exists());
    assert_eq!(index.snapshot().unwrap().root(ROOT).unwrap(), None);
}

#[test]
fn the_oldest_file_comes_next_also_when_the_index_changes_between_pages() {
    let place = tempfile::tempdir().unwrap();
    let (index, _) = Index::open(&place.path().join("i"), options()).unwrap();
    let load = index.bulk_load(ROOT, 1).unwrap();
    let files = (0..3000_u64).map(|n| file(&name(n), 10 + n, (n * 7 % 3000) as i64, 1)).collect();
    load.push(Listing { ino: 1, parent: 0, name: Box::default(), mtime: Timestamp::EPOCH, files }).unwrap();
    load.finish(Timestamp::EPOCH).unwrap();
    let mut seen = Vec::new();
    for found in index.oldest(ROOT) {
        let found = found.unwrap();
        seen.push(found.entry.age_time);
        index.apply(ROOT, &[Change::RemoveName { dir: 1, name: found.entry.name }]).unwrap();
    }
    assert_eq!(seen.len(), 3000);
    assert!(seen.is_sorted());
}

/// Figures: `cargo test --release --lib bulk_figures -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn bulk_figures() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index.redb");
    let (index, _) = Index::open(&path, options()).unwrap();
    let listings: Vec<Listing> = (0..2000_u64)
        .map(|d| Listing {
            ino: 2 + d * 101,
            parent: u64::from(d > 0) * 2,
            name: if d == 0 { Box::default() } else { format!("dir{d:05}").into_bytes().into() },
            mtime: Timestamp::EPOCH,
            files: (0..100)
                .map(|n| {
                    let mut entry = file(&format!("file_{n:06}.tmp"), 3 + d * 101 + n, 1_700_000_000, 1);
                    let jitter = ((d * 7919 + n * 104_729) % 86_400_000_000_000) as i64;
                    entry.mtime = Timestamp::from_nanos(1_700_000_000_000_000_000 + jitter);
                    (entry.ctime, entry.age_time) = (entry.mtime, entry.mtime);
                    entry
                })
                .collect(),
        })
        .collect();
    let begun = std::time::Instant::now();
    let load = index.bulk_load(ROOT, 1).unwrap();
    for listing in listings {
        load.push(listing).unwrap();
    }
    load.finish(Timestamp::EPOCH).unwrap();
    let took = begun.elapsed();
    index.checkpoint().unwrap();
    drop(index);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("200,000 files: {took:?}, {} bytes a file", bytes / 200_000);
}

#[test]
fn a_file_that_was_begun_without_room_is_replaced_while_it_runs() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("not there yet").join("i");
    let (index, opened) = Index::open(&path, options()).unwrap();
    assert!(matches!(opened, Opened::Unavailable(_)), "{opened:?}");
    // What redb leaves where it could make the file longer and not write to it.
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, vec![0; 1 << 16]).unwrap();
    assert!(index.snapshot().is_err());
    index.flush().unwrap();
    assert!(index.snapshot().is_ok());
}
