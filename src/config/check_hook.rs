//! One `[[alert_hook]]`: a program that can be called, as far as can be told now.

use std::path::Path;

use super::fields::Fields;
use super::key::Scope;
use super::merge::Values;
use super::raw::RawTable;
use super::show::{self, ShownTable};
use super::{AlertHook, Probe, Problem, Program, Warning, paths};
use crate::model::Level;

/// The hook, and its table for `config show`. A program that can't be called
/// today is a warning: nothing else goes unguarded for it.
pub(super) fn check(
    table: &RawTable,
    probe: &dyn Probe,
    warnings: &mut Vec<Warning>,
    problems: &mut Vec<Problem>,
) -> (AlertHook, ShownTable) {
    let values: Values = table.values.iter().map(|(key, value)| (key.name, value.clone())).collect();
    let mut fields = Fields::new(Scope::Hook, "alert_hook".to_owned(), &values, problems);
    let before = fields.problems.len();
    let command = fields.list("command");
    match (fields.given("command").cloned(), command.first()) {
        (None, _) => fields.problems.push(Problem {
            origin: table.origin.clone(),
            key: "alert_hook".to_owned(),
            found: "an alert hook without a command".to_owned(),
            allowed: "command = [\"/PROGRAM\", \"ARGUMENT\"]".to_owned(),
        }),
        (Some(origin), Some(program)) if fields.problems.len() == before => {
            if paths::plain_absolute(Path::new(program)).is_none()
                || command.iter().any(|one| one.contains('\0'))
            {
                let allowed = "a list of an absolute program and its arguments";
                fields.refuse("command", show::text(program), allowed.to_owned());
            } else if let Some(why) = trouble(probe.program(Path::new(program))) {
                let text = format!("alert_hook.command: {program} {why}");
                warnings.push(Warning { origin, text });
            }
        }
        _ => {}
    }
    let level = |word: &String| if word == "critical" { Level::Critical } else { Level::Warning };
    let hook = AlertHook {
        command,
        levels: fields.list("levels").iter().map(level).collect(),
        timeout: fields.span("timeout"),
    };
    (hook, fields.finish())
}

const fn trouble(found: Program) -> Option<&'static str> {
    match found {
        Program::Fine => None,
        Program::Missing => Some("is not there: nobody is called until it is"),
        Program::NotExecutable => Some("is no program that can be run: nobody is called until it is"),
        Program::WritableByOthers => Some(
            "can be written by others, and runs with the rights of the agent: take that away (chmod go-w)",
        ),
    }
}
