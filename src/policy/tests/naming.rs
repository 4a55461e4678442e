use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::model::ChunkId;

/// The same question answered the slow way: try every split.
fn by_hand(
    pattern: &str,
    name: &[u8],
    job: Option<&str>,
    chunk: Option<&str>,
    out: &mut BTreeSet<(String, Option<String>)>,
) {
    let splits = |out: &mut BTreeSet<(String, Option<String>)>, rest: &str, is_job: bool| {
        for end in 1..=name.len().min(128) {
            let Ok(text) = std::str::from_utf8(&name[..end]) else { break };
            if is_job && id_like(text) && text != "failed" {
                by_hand(rest, &name[end..], Some(text), chunk, out);
            } else if !is_job && id_like(text) {
                by_hand(rest, &name[end..], job, Some(text), out);
            }
        }
    };
    if let Some(rest) = pattern.strip_prefix("{job}") {
        splits(out, rest, true);
    } else if let Some(rest) = pattern.strip_prefix("{chunk}") {
        splits(out, rest, false);
    } else if let Some(rest) = pattern.strip_prefix('*') {
        for end in 0..=name.len() {
            by_hand(rest, &name[end..], job, chunk, out);
        }
    } else if let Some(first) = pattern.bytes().next() {
        if name.first() == Some(&first) {
            by_hand(&pattern[1..], &name[1..], job, chunk, out);
        }
    } else if name.is_empty() {
        out.extend(job.map(|job| (job.to_owned(), chunk.map(str::to_owned))));
    }
}

fn id_like(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn pattern_texts() -> impl Strategy<Value = Vec<String>> {
    let one = prop::sample::select(vec![
        "job_{job}_chunk_{chunk}_*",
        "job_{job}_*",
        "job_{job}",
        "*{job}*",
        "{job}.{chunk}",
        "{chunk}_{job}",
        "*_{job}_{chunk}",
        "a{job}{chunk}",
        "{job}",
        "*a*{job}_*{chunk}",
        "{chunk}*{job}a",
    ]);
    prop::collection::vec(one.prop_map(str::to_owned), 1..4)
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"job_"[..],
        b"_chunk_",
        b"_",
        b"a",
        b"b",
        b".",
        b"failed",
        b"\xff",
        b" ",
    ]);
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_reading_is_found_and_none_is_invented(texts in pattern_texts(), name in names()) {
        let patterns = Patterns::compile(&texts).unwrap();
        let mut expected = BTreeSet::new();
        for text in &texts {
            by_hand(text, &name, None, None, &mut expected);
        }
        let found: BTreeSet<_> = patterns.readings(&name).into_iter()
            .map(|r| (r.job.as_str().to_owned(), r.chunk.map(|c| c.as_str().to_owned()))).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn every_reading_begins_with_one_of_the_shortest_and_each_of_those_is_a_reading(
        texts in pattern_texts(), name in names()
    ) {
        let patterns = Patterns::compile(&texts).unwrap();
        let readings = patterns.readings(&name);
        let mut shortest = Vec::new();
        patterns.shortest(&name, &mut shortest);
        for reading in &readings {
            prop_assert!(shortest.iter().any(|key| reading.job.as_str().as_bytes().starts_with(key)));
        }
        for key in &shortest {
            prop_assert!(readings.iter().any(|r| r.job.as_str().as_bytes() == &**key));
            prop_assert!(!shortest.iter().any(|other| other != key && key.starts_with(other)));
        }
    }

    #[test]
    fn could_name_agrees_with_the_readings(texts in pattern_texts(), name in names(), job in "[ab_.]{1,4}") {
        let patterns = Patterns::compile(&texts).unwrap();
        let readings = patterns.readings(&name);
        for reading in &readings {
            prop_assert!(patterns.could_name(&name, &reading.job));
        }
        let job = id(&job);
        prop_assert_eq!(patterns.could_name(&name, &job), readings.iter().any(|r| r.job == job));
    }

    #[test]
    fn every_name_of_a_job_begins_with_one_of_its_prefixes(texts in pattern_texts(), name in names()) {
        let patterns = Patterns::compile(&texts).unwrap();
        for reading in patterns.readings(&name) {
            prop_assert!(patterns.name_prefixes(&reading.job).iter().any(|prefix| name.starts_with(prefix)));
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_without_panic(name in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = default_patterns().readings(&name);
    }
}

#[test]
fn a_name_is_read_in_every_way_with_its_chunks_paired() {
    let patterns = default_patterns();
    let jobs = |name: &str| -> Vec<String> {
        let mut list: Vec<_> =
            patterns.readings(name.as_bytes()).iter().map(|r| r.job.as_str().to_owned()).collect();
        list.dedup();
        list
    };
    assert_eq!(jobs("job_my_job_x"), ["my", "my_job", "my_job_x"]);
    assert_eq!(jobs("job_failed"), [""; 0]);
    assert_eq!(jobs("job_failed_x"), ["failed_x"]);
    assert_eq!(jobs("xjob_a"), [""; 0]);
    let all = PathReadings::of(&patterns, &path("job_outer/job_in_chunk_7_data"));
    assert!(all.names_chunk(&id("in"), &ChunkId::parse("7").unwrap()));
    assert!(!all.names_chunk(&id("outer"), &ChunkId::parse("7").unwrap()));
    assert!(all.jobs().any(|job| *job == id("outer")));
    assert_eq!(patterns.name_prefixes(&id("a")), [b"job_a".to_vec()]);
}

#[test]
fn ids_longer_than_128_bytes_are_no_readings() {
    let patterns = Patterns::compile(&texts(&["{job}"])).unwrap();
    assert_eq!(patterns.readings(&[b'a'; 128]).len(), 1);
    assert_eq!(patterns.readings(&[b'a'; 129]).len(), 0);
}

#[test]
fn a_hostile_name_is_read_in_bounded_time() {
    let patterns =
        Patterns::compile(&texts(&["*{job}*{chunk}*", "*_*_{job}_*_*_{chunk}_*", "{job}{chunk}"])).unwrap();
    let begin = Instant::now();
    let readings = patterns.readings(&[b'_'; 255]);
    assert!((1..=128).all(|n| readings.iter().any(|r| r.job.as_str().len() == n)), "no job may be missing");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[test]
fn bad_patterns_are_refused_with_what_is_wrong() {
    for (text, says) in [
        ("x_*", "{job} exactly once"),
        ("{job}_{job}", "{job} exactly once"),
        ("{job}_{chunk}_{chunk}", "{chunk} may stand once"),
        ("{job}_{user}", "\"{user}\" is neither"),
        ("{job}}", "\"}\" is neither"),
        ("a/{job}", "one component"),
    ] {
        let error = Patterns::compile(&texts(&[text])).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn globs_match_names_paths_and_subtrees() {
    let globs = Globs::compile(&texts(&["*.keep", "lib/**", "/top", "a/*/c", "dir/"])).unwrap();
    for (at, covered) in [
        ("x.keep", true),
        ("d/x.keep/below", true),
        ("lib/a/b", true),
        ("lib", false),
        ("sub/lib/a", false),
        ("top/x", true),
        ("d/top", false),
        ("a/b/c/d", true),
        ("a/b/b/c", false),
        ("x/dir/y", true),
        ("n\n.keep", true),
    ] {
        assert_eq!(globs.covers(&path(at)), covered, "{at:?}");
    }
    assert!(globs.covers(&RelPath::from_bytes(b"\xff\xfe.keep".to_vec()).unwrap()));
    assert!(Globs::compile(&texts(&["a["])).is_err());
}
