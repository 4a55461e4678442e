//! What scrapers are told: over the socket, the plain listener and a file;
//! and what is expected of a volume that fills.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped, measured or failed is told there")]

#[path = "metrics/exposition.rs"]
mod exposition;
#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;
#[path = "metrics/prometheus.rs"]
mod prometheus;
#[path = "metrics/shipped.rs"]
mod shipped;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use exposition::{ask, find, samples, scrape, tcp};
use guardian::api::metrics::Kind;
use guardian::api::metrics::catalogue::{self, ALL};
use harness::volumes::{inside, tmpfs};
use harness::{Home, file, root, scratch};

const HOUR: u64 = 3600;
const MIB: usize = 1 << 20;

/// Where the agent serves scrapers, by its log.
fn listening_at(home: &Home) -> SocketAddr {
    home.until("the agent listens for scrapers", |home| {
        let log = home.log();
        let rest = log.split("serving metrics at http://").nth(1)?;
        rest.split('/').next()?.parse().ok()
    })
}

/// A root of 32 MiB that is filled past its mark and cleaned once.
fn cleaned(home: &mut Home, agent: &str) -> serde_json::Value {
    let root_dir = scratch(home);
    home.configure(
        &format!("sample_interval = \"1s\"\n{agent}"),
        &root(&root_dir, "capacity = \"32MiB\"\nhigh_water = 90\nlow_water = 60"),
    );
    home.start();
    home.until_root_is("ready");
    (0..30).for_each(|number| file(&root_dir.join(format!("orphan_{number}")), MIB, 50 * HOUR));
    home.until_cleaned()
}

#[test]
fn what_is_told_is_what_happened_under_names_that_are_known() {
    let mut home = Home::new();
    let report = cleaned(&mut home, "");
    let answer = scrape(&home, None);
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    // Reports are written aside, and the guard looks when it is time. The last
    // file may have come when there was room again.
    let (answer, freed) = home.until("what is told is what is in the history, and was seen", |home| {
        let (answer, reports) = (scrape(home, None), home.reports());
        let all = samples(&answer.body);
        let reported = |key: &str| -> f64 {
            let emergencies = reports.iter().filter(|report| report["policy"] == "emergency");
            emergencies.map(|report| report[key].as_f64().unwrap()).sum()
        };
        let told = |name: &str| find(&all, name, &[("policy", "emergency")]).iter().sum::<f64>();
        let (removed, freed) = (told("guardian_removed_files_total"), told("guardian_freed_bytes_total"));
        let used = find(&all, "guardian_volume_used_ratio", &[("resource", "bytes")]);
        let same = (removed, freed) == (reported("files_deleted"), reported("bytes_freed"));
        (same && used.first().is_some_and(|used| *used < 0.9)).then_some((answer, freed))
    });
    let all = samples(&answer.body);
    let one = |name: &str, labels: &[(&str, &str)]| {
        let found = find(&all, name, labels);
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}\n{}", answer.body);
        found[0]
    };
    assert!(one("guardian_removed_files_total", &[("policy", "emergency"), ("phase", "orphans")]) > 0.0);
    assert_eq!(one("guardian_unlinked_bytes_total", &[("root", "scratch")]), freed);
    assert_eq!(one("guardian_mark_ratio", &[("resource", "bytes"), ("mark", "high")]), 0.9);
    assert_eq!(one("guardian_root_state", &[("state", "ready")]), 1.0);
    assert_eq!(one("guardian_root_state", &[("state", "suspended")]), 0.0);
    assert_eq!(one("guardian_shortfall", &[("resource", "bytes")]), 0.0);
    assert!(one("guardian_run_duration_seconds_count", &[("policy", "emergency")]) >= 1.0);
    assert!(one("guardian_phase_duration_seconds_sum", &[("phase", "orphans")]) > 0.0);
    assert!(one("guardian_resident_memory_bytes", &[]) > 1e6);
    assert!(one("guardian_state_size_bytes", &[("part", "ledger")]) > 0.0);
    assert!(one("guardian_state_size_bytes", &[("part", "audit")]) > 0.0);
    assert!(one("guardian_events_total", &[]) > 0.0);
    let ended = report["end_time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let success = one("guardian_last_success_timestamp_seconds", &[("policy", "emergency")]);
    assert!(success >= ended.as_second() as f64, "{success} {report}");
    // A root with a capacity has no inodes of its own: no sample, and not 0.
    assert_eq!(find(&all, "guardian_volume_inodes", &[]), [0.0; 0]);
    assert_eq!(find(&all, "guardian_level", &[("resource", "inodes")]), [0.0; 0]);
    // Nothing waits.
    assert_eq!(find(&all, "guardian_queue_oldest_timestamp_seconds", &[]), [0.0; 0]);
    assert_eq!(one("guardian_queue_entries", &[("root", "scratch")]), 0.0);
    assert_in_the_catalogue(&all);
}

/// Every sample is of a known metric, with exactly its labels.
fn assert_in_the_catalogue(all: &[exposition::Sample]) {
    for sample in all {
        let metric = ALL.iter().find(|metric| {
            let name = metric.full_name();
            match metric.kind {
                Kind::Histogram => ["_bucket", "_sum", "_count"]
                    .iter()
                    .any(|part| sample.name.strip_suffix(part).is_some_and(|base| base == name)),
                _ => sample.name == name,
            }
        });
        let metric = metric.unwrap_or_else(|| panic!("{} is not in the catalogue", sample.name));
        let given: BTreeSet<&str> = sample.labels.keys().map(String::as_str).filter(|l| *l != "le").collect();
        assert_eq!(given, metric.labels.iter().copied().collect(), "{sample:?}");
    }
}

#[test]
fn every_metric_of_the_catalogue_is_told_once_there_is_something_to_tell() {
    let name = "every_metric_of_the_catalogue_is_told_once_there_is_something_to_tell";
    if !inside(name) {
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = tmpfs(&volume, 64) {
        eprintln!("skipped: tmpfs: {why}");
        return;
    }
    home.configure(
        "sample_interval = \"1s\"\nautomatic = false",
        &root(&volume, "high_water = 90\nlow_water = 60\nemergency_futile = \"stop\""),
    );
    home.start();
    home.until_root_is("ready");
    (0..10).for_each(|number| file(&volume.join(format!("old_{number}")), MIB, 50 * HOUR));
    fs::write(volume.join("waits"), "x").unwrap();
    // Nothing removes it: sweeps don't begin by themselves.
    home.done(&["delete", volume.join("waits").to_str().unwrap()]);
    home.done(&["sweep", "orphans"]);
    home.done(&["sweep", "emergency"]);
    // Slowly, so that there is a trend.
    let mut number = 0;
    let missing = home.until("all metrics have samples", |home| {
        number += 1;
        file(&volume.join(format!("new_{number}")), MIB / 8, 0);
        std::thread::sleep(Duration::from_millis(200));
        let text = scrape(home, None).body;
        let all = samples(&text);
        assert_in_the_catalogue(&all);
        let told = |metric: &catalogue::Metric| {
            let name = metric.full_name();
            all.iter().any(|sample| sample.name == name || sample.name == format!("{name}_count"))
        };
        let missing: Vec<String> =
            ALL.iter().filter(|metric| !told(metric)).map(catalogue::Metric::full_name).collect();
        // What needs removals that fail, and a comparison of everything.
        let rare = ["guardian_policy_suspended", "guardian_skipped_files_total"];
        (missing.iter().all(|name| rare.contains(&name.as_str()))).then_some(missing)
    });
    eprintln!("{} metrics, without samples: {missing:?}", ALL.len());
}

#[test]
fn who_asks_for_plain_text_gets_the_older_format() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, "capacity = \"32MiB\""));
    home.start();
    // Both answers are of the same state: what is not known yet has no sample.
    home.until("the volume has been looked at", |home| {
        scrape(home, None).body.contains("\nguardian_level{").then_some(())
    });
    let answer = scrape(&home, Some("text/plain;version=0.0.4"));
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(!answer.body.contains("# EOF") && !answer.body.contains("# UNIT"), "{}", answer.body);
    assert!(answer.body.contains("# TYPE guardian_futile_emergencies_total counter\n"), "{}", answer.body);
    assert!(answer.body.contains("# TYPE guardian_build_info gauge\n"), "{}", answer.body);
    let names = |text: &str| samples(text).into_iter().map(|sample| sample.name).collect::<BTreeSet<_>>();
    assert_eq!(names(&answer.body), names(&scrape(&home, None).body));
    let refused = ask(
        std::os::unix::net::UnixStream::connect(home.path("socket")).unwrap(),
        "GET",
        "/metrics?name=x",
        None,
    );
    assert_eq!(refused.status, 400);
}

#[test]
fn what_nobody_knows_has_no_sample() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    let gone = home.path("gone");
    fs::create_dir(&gone).unwrap();
    home.configure(
        "",
        &format!(
            "{}[[root]]\nname = \"gone\"\npath = {gone:?}\nrequire_mount = true\n",
            root(&root_dir, "capacity = \"32MiB\"")
        ),
    );
    home.start();
    home.until_root_is("ready");
    let text = scrape(&home, None).body;
    let all = samples(&text);
    let of_gone: BTreeSet<&str> = all
        .iter()
        .filter(|sample| sample.labels.get("root").is_some_and(|root| root == "gone"))
        .map(|sample| sample.name.as_str())
        .collect();
    assert_eq!(find(&all, "guardian_root_state", &[("root", "gone"), ("state", "suspended")]), [1.0]);
    let unknown = of_gone.iter().find(|name| name.contains("volume") || name.contains("index"));
    assert_eq!(unknown, None, "{text}");
    // Whoever asks does not make guardian look.
    let age = |text: &str| find(&samples(text), "guardian_sample_age_seconds", &[("root", "scratch")])[0];
    home.until("two scrapes fall between two looks", |home| {
        let (first, second) = (scrape(home, None).body, scrape(home, None).body);
        (age(&second) > age(&first)).then_some(())
    });
    // Nothing fills, and two looks are no trend.
    assert_eq!(find(&all, "guardian_volume_time_to_full_seconds", &[]), [0.0; 0]);
    // No run has ended yet.
    assert_eq!(find(&all, "guardian_last_run_timestamp_seconds", &[]), [0.0; 0]);
}

#[test]
fn what_is_due_goes_before_the_mark_where_emptying_would_take_longer_than_filling() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    let big = |name: &str, bytes: u64| {
        let file = fs::File::create(root_dir.join(name)).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
    };
    // Room that is taken without being written, so that there is much to free.
    if let Err(why) = big("young_big", 3 << 30) {
        eprintln!("skipped: 3 GiB can't be allocated at once here: {why}");
        return;
    }
    home.configure(
        "sample_interval = \"1s\"\norphan_sweep_interval = \"24h\"\nsweep_interval = \"24h\"",
        &root(
            &root_dir,
            "capacity = \"4GiB\"\nadoption_grace = \"0s\"\nwarning = 50\nhigh_water = 99\nlow_water = 1",
        ),
    );
    home.start();
    home.until_root_is("ready");
    // How fast it is emptied is known from small files, of which a second has few bytes.
    (0..600).for_each(|number| file(&root_dir.join(format!("small_{number}")), 2048, 90 * HOUR));
    home.done(&["sweep", "orphans"]);
    let drain = find(&samples(&scrape(&home, None).body), "guardian_drain_bytes_per_second", &[])[0];
    fs::write(root_dir.join("old"), "x").unwrap();
    harness::aged(&root_dir.join("old"), 90 * HOUR);
    let mut number = 0;
    let report = home.until("what is due goes", |home| {
        std::thread::sleep(Duration::from_millis(100));
        if number < 100 {
            big(&format!("young_{number}"), 8 << 20).unwrap();
            number += 1;
        }
        home.reports()
            .into_iter()
            .find(|report| report["trigger"] == "forecast" && report["policy"] == "orphans")
    });
    eprintln!("emptied at {drain:.0} bytes/s; {report}");
    assert!(!root_dir.join("old").exists(), "{report}");
    assert!(
        root_dir.join("young_big").exists()
            && (0..number).all(|n| root_dir.join(format!("young_{n}")).exists())
    );
    assert!(home.log().contains("fills faster than it could be emptied"), "{}", home.log());
    let emergencies = home.reports().into_iter().filter(|report| report["policy"] == "emergency").count();
    assert_eq!(emergencies, 0, "no mark was reached");
}

#[test]
fn the_textfile_is_whole_and_readable_and_nothing_in_its_way_is_written_to() {
    let mut home = Home::new();
    let dir = home.path("collector");
    fs::create_dir(&dir).unwrap();
    let (textfile, victim) = (dir.join("guardian.prom"), home.path("victim"));
    fs::write(&victim, "precious").unwrap();
    // Somebody who may write there guessed the name that it is written under first.
    symlink(&victim, dir.join(".guardian.prom.new")).unwrap();
    let root_dir = scratch(&home);
    home.configure(
        &format!("sample_interval = \"1s\"\nmetrics_textfile = {textfile:?}"),
        &root(&root_dir, "capacity = \"32MiB\""),
    );
    home.start();
    let first = home.until("the textfile is there", |_| fs::read_to_string(&textfile).ok());
    assert!(!first.contains("# EOF") && first.ends_with('\n'), "{first}");
    assert!(find(&samples(&first), "guardian_build_info", &[]) == [1.0], "{first}");
    assert_eq!(textfile.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let others = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(others.iter().all(|name| !name.to_str().unwrap().ends_with(".prom") || name == "guardian.prom"));
    let changed = textfile.metadata().unwrap().modified().unwrap();
    home.until("it is written again", |_| {
        (textfile.metadata().unwrap().modified().unwrap() > changed).then_some(())
    });
}

#[test]
fn a_textfile_that_can_not_be_written_is_said_once_and_cleaning_goes_on() {
    let mut home = Home::new();
    let textfile = home.path("not/there/guardian.prom");
    let report = cleaned(&mut home, &format!("metrics_textfile = {textfile:?}"));
    assert_eq!(report["target_reached"], true);
    let said = |home: &Home| home.log().matches("metrics are not written to the textfile").count();
    home.until("it is said", |home| (said(home) > 0).then_some(()));
    fs::create_dir_all(textfile.parent().unwrap()).unwrap();
    home.until("it is written once it can be", |_| textfile.exists().then_some(()));
    assert_eq!(said(&home), 1, "{}", home.log());
}

#[test]
fn the_plain_listener_serves_figures_and_nothing_else() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("metrics_listen = \"127.0.0.1:0\"", &root(&root_dir, "capacity = \"32MiB\""));
    home.start();
    let address = listening_at(&home);
    let answer = ask(tcp(address), "GET", "/metrics", None);
    assert_eq!(answer.status, 200);
    assert!(find(&samples(&answer.body), "guardian_build_info", &[]) == [1.0], "{}", answer.body);
    let head = ask(tcp(address), "HEAD", "/metrics", None);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for (method, path, status) in [
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/v1/health", 404),
        ("POST", "/v1/sweeps", 404),
        ("POST", "/v1/pause", 404),
    ] {
        assert_eq!(ask(tcp(address), method, path, None).status, status, "{method} {path}");
    }
    // Whoever says nothing keeps nobody out.
    let _silent: Vec<_> = (0..8).map(|_| tcp(address)).collect();
    assert_eq!(ask(tcp(address), "GET", "/metrics", None).status, 200);
    assert!(!home.log().contains("not a loopback address"), "{}", home.log());
    assert_eq!(home.stop(), Some(0), "{}", home.log());
}

#[test]
fn a_port_that_somebody_has_keeps_no_agent_from_guarding() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut home = Home::new();
    let report = cleaned(&mut home, &format!("metrics_listen = \"{address}\""));
    assert_eq!(report["target_reached"], true);
    home.until("it says so", |home| home.log().contains("failed to listen for scrapers").then_some(()));
    drop(taken);
    assert_eq!(listening_at(&home), address);
    assert_eq!(ask(tcp(address), "GET", "/metrics", None).status, 200);
}

#[test]
fn an_address_that_others_reach_is_warned_of() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("metrics_listen = \"0.0.0.0:0\"", &root(&root_dir, "capacity = \"32MiB\""));
    home.start();
    listening_at(&home);
    assert!(home.log().contains("metrics_listen is not a loopback address"), "{}", home.log());
}

#[test]
fn a_volume_that_fills_is_foretold_and_warned_of_and_one_at_rest_is_not() {
    if !inside("a_volume_that_fills_is_foretold_and_warned_of_and_one_at_rest_is_not") {
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = tmpfs(&volume, 256) {
        eprintln!("skipped: tmpfs: {why}");
        return;
    }
    home.configure(
        "sample_interval = \"1s\"\nautomatic = false\nforecast_warning = \"30m\"",
        &root(&volume, "warning = 98\nhigh_water = 99\nlow_water = 90"),
    );
    home.start();
    home.until_root_is("ready");
    assert!(!home.log().contains("expected to be full"), "{}", home.log());
    // 128 KiB each quarter of a second: half a MiB a second, full in about 8 minutes.
    let began = Instant::now();
    let mut written: f64 = 0.0;
    let (mut number, mut next) = (0, began);
    let seconds = home.until("it is foretold", |home| {
        while Instant::now() >= next {
            file(&volume.join(format!("f{number}")), MIB / 8, 0);
            (number, next, written) = (number + 1, next + Duration::from_millis(250), written + 0.125);
        }
        let health = home.ask("/v1/health")?;
        home.log()
            .contains("expected to be full in")
            .then(|| health["roots"][0]["time_to_full_seconds"].as_f64())?
    });
    let expected = (256.0 - written) / (written / began.elapsed().as_secs_f64());
    eprintln!(
        "foretold {seconds} s after {:.0} s, expected about {expected:.0} s",
        began.elapsed().as_secs_f64()
    );
    assert!(seconds > expected / 3.0 && seconds < expected * 3.0, "{seconds} instead of about {expected}");
    let all = samples(&scrape(&home, None).body);
    let told = find(&all, "guardian_volume_time_to_full_seconds", &[("root", "scratch")]);
    assert_eq!(told.len(), 1);
    assert!(find(&all, "guardian_volume_growth_bytes_per_second", &[("root", "scratch")])[0] > 1e5);
    assert_eq!(find(&all, "guardian_alerts_total", &[("kind", "forecast"), ("level", "warning")]), [1.0]);
    assert_eq!(home.log().matches("expected to be full in").count(), 1, "{}", home.log());
    let stats = home.ask("/v1/stats").unwrap();
    let growth = stats["roots"][0]["growth_bytes_per_second"].as_f64().unwrap();
    assert!(growth > 1e5 && stats["roots"][0]["time_to_full_seconds"].is_u64(), "{stats}");
    let stats = home.done(&["stats"]);
    assert!(stats.contains("full in") && stats.contains("growing by"), "{stats}");
    let (_, health, _) = home.run(&["health"]);
    assert!(health.contains("FULL IN") && !health.lines().nth(2).unwrap().contains(" - "), "{health}");

    // What guardian removes itself is no trend: it begins anew.
    (0..number / 2).for_each(|number| harness::aged(&volume.join(format!("f{number}")), 90 * HOUR));
    home.done(&["sweep", "orphans"]);
    home.until("the growth is unknown", |home| {
        let stats = home.ask("/v1/stats")?;
        stats["roots"][0]["growth_bytes_per_second"].is_null().then_some(())
    });
    // It rests: sooner or later that is known, and nothing is made up.
    home.until("it is known to rest", |home| {
        let stats = home.ask("/v1/stats")?;
        let root = &stats["roots"][0];
        assert!(root["time_to_full_seconds"].is_null(), "{stats}");
        (root["growth_bytes_per_second"].as_f64()? == 0.0).then_some(())
    });
}
