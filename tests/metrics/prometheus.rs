//! The real programs: promtool on what is shipped, and Prometheus scraping an agent.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::exposition::{ask, scrape, tcp};
use crate::harness::volumes::{inside, tmpfs};
use crate::harness::{Home, file, root};
use crate::{MIB, listening_at};

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// Whether a program is there; says so if not.
fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: {program} is missing (Debian: apt-get install prometheus)");
    }
    found
}

/// What a program said, if it was content.
fn content(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{said}");
    said
}

#[test]
fn the_alert_rules_are_rules_and_each_fires_when_it_should() {
    if !have("promtool") {
        return;
    }
    let rules = config("prometheus-alerts.yml");
    eprintln!("{}", content(Command::new("promtool").args(["check", "rules"]).arg(&rules)));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/metrics/alerts_test.yml");
    eprintln!("{}", content(Command::new("promtool").args(["test", "rules"]).arg(&tests)));
    // A rule without a test of its own would be one that nobody has seen fire.
    let (rules, tests) = (fs::read_to_string(rules).unwrap(), fs::read_to_string(tests).unwrap());
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let fires = tests.split("alertname: ").skip(1).any(|test| {
            test.starts_with(name) && test.lines().take(3).any(|line| line.trim().starts_with("- exp_labels"))
        });
        assert!(fires, "{name} fires in no test");
    }
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    if !have("promtool") {
        return;
    }
    let mut home = Home::new();
    let root_dir = crate::harness::scratch(&home);
    home.configure("", &root(&root_dir, "capacity = \"32MiB\""));
    home.start();
    home.until_root_is("ready");
    home.done(&["sweep", "orphans"]);
    let text = scrape(&home, Some("text/plain")).body;
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
}

/// A Prometheus of its own; ends with the test.
struct Prometheus {
    child: Child,
    log: PathBuf,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of Prometheus:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// Starts one that scrapes `target` each second, with the shipped rules but for
/// their patience: a test must not wait for minutes.
fn prometheus(home: &Home, target: &str) -> Prometheus {
    let dir = home.path("prometheus");
    fs::create_dir(&dir).unwrap();
    let rules: String = fs::read_to_string(config("prometheus-alerts.yml"))
        .unwrap()
        .lines()
        .map(|line| {
            if line.trim().starts_with("for: ") {
                "        for: 1s\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    fs::write(dir.join("rules.yml"), rules).unwrap();
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
         scrape_configs:\n  - job_name: guardian\n    static_configs: [{{targets: ['{target}']}}]\n"
    );
    fs::write(dir.join("prometheus.yml"), text).unwrap();
    let log = dir.join("log");
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .arg("--web.listen-address=127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    Prometheus { child, log }
}

#[test]
fn a_real_prometheus_scrapes_the_agent_and_its_rule_fires_on_a_full_volume() {
    if !have("prometheus")
        || !inside("prometheus::a_real_prometheus_scrapes_the_agent_and_its_rule_fires_on_a_full_volume")
    {
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = tmpfs(&volume, 32) {
        eprintln!("skipped: tmpfs: {why}");
        return;
    }
    // It is to watch the volume stay full.
    home.configure(
        "automatic = false\nsample_interval = \"1s\"\nmetrics_listen = \"127.0.0.1:0\"",
        &root(&volume, "warning = 50\nhigh_water = 70\nlow_water = 55"),
    );
    home.start();
    let target = listening_at(&home);
    (0..28).for_each(|number| file(&volume.join(format!("f{number}")), MIB, 7200));

    let prometheus = prometheus(&home, &target.to_string());
    let address = home.until("Prometheus listens", |_| {
        let log = fs::read_to_string(&prometheus.log).ok()?;
        let line = log.lines().find(|line| line.contains("\"Listening on\""))?;
        line.split("address=").nth(1)?.trim().parse().ok()
    });
    let query = |path: &str| -> Value {
        serde_json::from_str(&ask(tcp(address), "GET", path, None).body).unwrap_or_default()
    };
    let value = |series: &str| -> Option<f64> {
        let found = query(&format!("/api/v1/query?query={series}"));
        found["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    };
    home.until("the agent is up for Prometheus", |_| value("up").filter(|up| *up == 1.0));
    let used = home.until("the usage is known to Prometheus", |_| {
        value("guardian_volume_used_ratio%7Bresource=%22bytes%22,root=%22scratch%22%7D")
            .filter(|used| *used > 0.8)
    });
    let alert = home.until("the rule fires", |_| {
        let alerts = query("/api/v1/alerts");
        let all = alerts["data"]["alerts"].as_array()?.clone();
        all.into_iter().find(|alert| {
            alert["labels"]["alertname"] == "GuardianUsageCritical" && alert["state"] == "firing"
        })
    });
    assert_eq!(alert["labels"]["root"], "scratch", "{alert}");
    assert_eq!(alert["labels"]["resource"], "bytes", "{alert}");
    // It took the newer format, as Prometheus 2 does, and nothing of it was refused.
    let targets = query("/api/v1/targets");
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "", "{targets}");
    eprintln!("up 1, used {used:.3}, firing: {}", alert["annotations"]["summary"]);
    drop(prometheus);
    assert_eq!(home.stop(), Some(0), "{}", home.log());
}
