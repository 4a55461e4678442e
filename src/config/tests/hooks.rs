//! `[[alert_hook]]`: what is refused, what is warned of, and where it says so.

use super::*;

fn hook(lines: &str) -> String {
    format!("[[alert_hook]]\n{lines}\n")
}

#[test]
fn a_hook_is_a_program_with_levels_and_a_time() {
    let text = hook("command = ['/bin/page', '-x', '']\nlevels = ['warning', 'critical']\ntimeout = '3s'")
        + &hook("command = ['/bin/other']");
    let settings = from_files(&[&text]).unwrap();
    let [first, second] = settings.alert_hooks.as_slice() else { panic!("{:?}", settings.alert_hooks) };
    assert_eq!(first.command, ["/bin/page", "-x", ""]);
    assert_eq!(first.levels, [crate::model::Level::Warning, crate::model::Level::Critical]);
    assert_eq!(first.timeout, Duration::from_secs(3));
    assert_eq!(second.levels, [crate::model::Level::Critical]);
    assert_eq!(second.timeout, Duration::from_secs(10));
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn what_can_not_be_a_hook_is_refused_with_its_place() {
    let absolute = "a list of an absolute program and its arguments";
    for (lines, expected) in [
        ("levels = ['critical']", "0.toml:1:1: alert_hook: found an alert hook without a command; allowed: command = [\"/PROGRAM\", \"ARGUMENT\"]".to_owned()),
        ("command = ['page']", format!("0.toml:2:11: alert_hook.command: found \"page\"; allowed: {absolute}")),
        ("command = ['/a/../page']", format!("0.toml:2:11: alert_hook.command: found \"/a/../page\"; allowed: {absolute}")),
        ("command = []", format!("0.toml:2:11: alert_hook.command: found []; allowed: {absolute}")),
        ("command = '/bin/page'", format!("0.toml:2:11: alert_hook.command: found \"/bin/page\"; allowed: {absolute}")),
        ("command = ['/bin/page', 3]", format!("0.toml:2:25: alert_hook.command: found 3; allowed: {absolute}")),
    ] {
        assert_eq!(problems(&[&hook(lines)]), [expected], "{lines}");
    }
    let found = problems(&[&hook("command = ['/bin/page']\nlevels = ['info']\ntimeout = '0s'")]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_program_that_can_not_be_called_is_a_warning_with_its_place() {
    for (program, why) in
        [("/missing", "is not there"), ("/plain", "no program"), ("/open", "written by others")]
    {
        let settings = from_files(&[&hook(&format!("command = ['{program}']"))]).unwrap();
        let warnings: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let place = format!("0.toml:2:11: alert_hook.command: {program} ");
        assert!(warnings[0].starts_with(&place) && warnings[0].contains(why), "{warnings:?}");
        assert_eq!(settings.alert_hooks.len(), 1, "it is called once it is there");
    }
}
