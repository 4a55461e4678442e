//! Merged values to settings: the rules between keys.

use super::fields::Fields;
use super::key::Scope;
use super::merge::Merged;
use super::{AgentSettings, Environment, Origin, Probe, Problem, RootSettings, Settings, Verbosity, Warning};
use super::{check_hook, check_root, paths, show};

/// Checks everything. The settings mean something only if no problem was added.
pub(super) fn check(
    merged: &Merged,
    environment: &Environment,
    probe: &dyn Probe,
    mut warnings: Vec<Warning>,
    problems: &mut Vec<Problem>,
) -> Settings {
    let mut shown = Vec::new();
    let agent = {
        let mut fields = Fields::new(Scope::Agent, "agent".to_owned(), &merged.agent, problems);
        let agent = agent(&mut fields, environment, probe);
        shown.push(fields.finish());
        agent
    };
    let mut roots: Vec<RootSettings> = Vec::new();
    for root in &merged.roots {
        if let Some((root, table)) = check_root::check(root, probe, problems) {
            roots.push(root);
            shown.push(table);
        }
    }
    check_root::no_nesting(&roots, probe, problems);
    textfile_apart(&agent, &roots, merged, probe, problems);
    check_root::one_set_of_marks(&roots, probe, &mut warnings);
    let mut alert_hooks = Vec::new();
    for table in &merged.hooks {
        let (hook, table) = check_hook::check(table, probe, &mut warnings, problems);
        alert_hooks.push(hook);
        shown.push(table);
    }
    if agent.dry_run {
        let origin = merged.agent.get("dry_run").map_or(Origin::Default, |value| value.origin.clone());
        warnings.push(Warning { origin, text: "dry_run is on: nothing will be removed".to_owned() });
    }
    let verbosity = Verbosity::default();
    Settings { agent, roots, alert_hooks, files: Vec::new(), verbosity, warnings, shown }
}

fn agent(fields: &mut Fields<'_>, environment: &Environment, probe: &dyn Probe) -> AgentSettings {
    let mut state_dir = fields.path("state_dir");
    let users_own = paths::default_state_dir(environment);
    if fields.given("state_dir").is_none() {
        match &users_own {
            Some(path) => state_dir.clone_from(path),
            None => fields.refuse(
                "state_dir",
                "neither XDG_STATE_HOME nor HOME in the environment".to_owned(),
                "--state-dir DIR, or state_dir in [agent]".to_owned(),
            ),
        }
        fields.note("state_dir", show::text(&state_dir.to_string_lossy()), Origin::Default);
    }
    let mut socket = fields.path("socket");
    if fields.given("socket").is_none() {
        socket = paths::default_socket(environment, users_own.as_deref().unwrap_or(&state_dir), probe);
        fields.note("socket", show::text(&socket.to_string_lossy()), Origin::Default);
    }
    AgentSettings {
        state_dir,
        socket,
        admin_group: Some(fields.text("admin_group")).filter(|group| !group.is_empty()),
        automatic: fields.flag("automatic"),
        dry_run: fields.flag("dry_run"),
        keep_files_for_debugging: fields.flag("keep_files_for_debugging"),
        sample_interval: fields.span("sample_interval"),
        sweep_interval: fields.span("sweep_interval"),
        orphan_sweep_interval: fields.span("orphan_sweep_interval"),
        reconcile_interval: fields.span("reconcile_interval"),
        rate_limit: fields.rate("rate_limit"),
        workers: usize::try_from(fields.count("workers")).unwrap_or(0),
        audit_retention: fields.span("audit_retention"),
        ballast: fields.size("ballast").unwrap_or(0),
        forecast_warning: fields.span("forecast_warning"),
        metrics_textfile: fields.optional_path("metrics_textfile"),
        metrics_listen: fields.address("metrics_listen"),
        log_format: fields.word("log_format"),
    }
}

/// Refuses a textfile beneath a root: there it would be one of the files that may go.
fn textfile_apart(
    agent: &AgentSettings,
    roots: &[RootSettings],
    merged: &Merged,
    probe: &dyn Probe,
    problems: &mut Vec<Problem>,
) {
    let Some(path) = &agent.metrics_textfile else { return };
    let resolved = probe.resolve(path);
    let around = |root: &&RootSettings| {
        !root.path.as_os_str().is_empty() && resolved.starts_with(probe.resolve(&root.path))
    };
    if let Some(root) = roots.iter().find(around) {
        let origin =
            merged.agent.get("metrics_textfile").map_or(Origin::Default, |value| value.origin.clone());
        problems.push(Problem {
            origin,
            key: "agent.metrics_textfile".to_owned(),
            found: format!(
                "{}, beneath root {} ({})",
                show::text(&path.to_string_lossy()),
                root.name,
                root.path.display()
            ),
            allowed: "a path beneath no root: what lies there may be removed".to_owned(),
        });
    }
}
