//! Keys of `[agent]` that are used at the start alone.

use crate::config::AgentSettings;

/// Puts back what can't change while the agent runs; the names of these keys.
/// The state directory and the socket are not among them: a reload that changes
/// those is refused.
pub(super) fn keep(old: &AgentSettings, new: &mut AgentSettings) -> Vec<&'static str> {
    // By name, so that whoever adds one has to judge it.
    let AgentSettings {
        metrics_listen,
        log_format,
        reconcile_interval,
        // Refused.
        state_dir: _,
        socket: _,
        // Read anew whenever they are needed.
        admin_group: _,
        automatic: _,
        dry_run: _,
        keep_files_for_debugging: _,
        sample_interval: _,
        sweep_interval: _,
        orphan_sweep_interval: _,
        rate_limit: _,
        audit_retention: _,
        ballast: _,
        forecast_warning: _,
        metrics_textfile: _,
        // The roots take it with their settings.
        workers: _,
    } = new;
    let mut kept = Vec::new();
    if *metrics_listen != old.metrics_listen {
        *metrics_listen = old.metrics_listen;
        kept.push("metrics_listen");
    }
    if *log_format != old.log_format {
        *log_format = old.log_format;
        kept.push("log_format");
    }
    if *reconcile_interval != old.reconcile_interval {
        *reconcile_interval = old.reconcile_interval;
        kept.push("reconcile_interval");
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, Overrides, load};

    fn settings(dir: &Path, key: &str) -> AgentSettings {
        let file = dir.join("guardian.toml");
        std::fs::write(&file, format!("[agent]\n{key}\n")).unwrap();
        let environment = Environment { vars: Default::default(), is_root: true, uid: 0 };
        load(Some(&file), &environment, &Overrides::default(), Path::new("/")).unwrap().agent
    }

    #[test]
    fn each_key_takes_effect_or_is_named_as_one_that_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let old = settings(dir.path(), "");
        let textfile = format!("metrics_textfile = {:?}", dir.path().join("g.prom"));
        let all = [
            ("admin_group", "admin_group = \"root\""),
            ("automatic", "automatic = false"),
            ("dry_run", "dry_run = true"),
            ("keep_files_for_debugging", "keep_files_for_debugging = true"),
            ("sample_interval", "sample_interval = \"7s\""),
            ("sweep_interval", "sweep_interval = \"7m\""),
            ("orphan_sweep_interval", "orphan_sweep_interval = \"7h\""),
            ("reconcile_interval", "reconcile_interval = \"7h\""),
            ("rate_limit", "rate_limit = \"7/hour\""),
            ("workers", "workers = 3"),
            ("audit_retention", "audit_retention = \"7d\""),
            ("forecast_warning", "forecast_warning = \"7h\""),
            ("metrics_textfile", textfile.as_str()),
            ("metrics_listen", "metrics_listen = \"127.0.0.1:9743\""),
            ("log_format", "log_format = \"json\""),
        ];
        for (key, line) in all {
            let asked = settings(dir.path(), line);
            assert_ne!(asked, old, "{key} is another one");
            let mut new = asked.clone();
            let kept = keep(&old, &mut new);
            if ["reconcile_interval", "metrics_listen", "log_format"].contains(&key) {
                assert_eq!((kept, &new), (vec![key], &old));
            } else {
                assert_eq!((kept, &new), (vec![], &asked), "{key}");
            }
        }
    }
}
