//! What is shipped beside the program speaks of metrics that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use guardian::api::metrics::catalogue::ALL;
use guardian::api::metrics::{Kind, Metric};

fn text_of(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Every word of a text that looks like the name of a metric.
fn named_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("guardian_")).map(str::to_owned).collect()
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let mut known = BTreeSet::new();
    for metric in ALL {
        let name = metric.full_name();
        if metric.kind == Kind::Histogram {
            known.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        }
        known.insert(name);
    }
    for file in
        ["config/prometheus-alerts.yml", "config/grafana-dashboard.json", "tests/metrics/alerts_test.yml"]
    {
        let named = named_in(&text_of(file));
        assert!(named.len() > 10, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_json_with_panels_that_ask_for_something() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&text_of("config/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels share an id");
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|one| one["expr"].is_string()), "{panel}");
    }
}

/// The table of the README, made from the catalogue.
fn table() -> String {
    let row = |metric: &Metric| {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {kind} | {} | {} |\n", metric.full_name(), labels.join(" "), metric.help)
    };
    let head = "| metric | kind | labels | what |\n|---|---|---|---|\n".to_owned();
    ALL.iter().fold(head, |table, metric| table + &row(metric))
}

#[test]
fn the_readme_has_every_metric_and_no_other() {
    let table = table();
    assert!(
        text_of("README.md").contains(&table),
        "the table in README.md, section \"Metrics and alerts\", must be:\n{table}"
    );
}

#[test]
fn names_say_their_units_and_are_given_once() {
    let mut names = BTreeSet::new();
    for metric in ALL {
        let name = metric.full_name();
        assert!(name.starts_with("guardian_"), "{name}");
        assert!(names.insert(name.clone()), "{name} twice");
        assert!(!metric.help.ends_with('.') && !metric.help.contains(['"', '\\', '\n']), "{name}");
        assert!(!metric.labels.contains(&"path"), "{name}: paths would be series without end");
    }
}
