//! The README is true: its commands parse, its keys and defaults are those of
//! the reference, and its links lead somewhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(package().join(file)).unwrap()
}

/// The lines of all shell examples, without comments and with continued lines joined.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (inside, line.trim()) {
            (false, "```sh") => inside = true,
            (true, "```") => inside = false,
            (true, line) => lines.push(line.split(" #").next().unwrap_or(line).trim().to_owned()),
            _ => {}
        }
    }
    lines.join("\n").replace("\\\n", " ").lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The arguments of every call of guardian in the examples.
fn calls(text: &str) -> Vec<Vec<String>> {
    let words = |rest: &str| {
        std::iter::once("guardian").chain(rest.split_whitespace()).map(str::to_owned).collect::<Vec<_>>()
    };
    shell_lines(text)
        .iter()
        .flat_map(|line| line.split("&&").map(|part| part.trim().to_owned()).collect::<Vec<_>>())
        .filter_map(|part| {
            let part = part.split(" >").next().unwrap_or(&part);
            let rest =
                part.strip_prefix("guardian ").or_else(|| part.strip_prefix("cargo run --release -- "));
            rest.map(words)
        })
        .collect()
}

#[test]
fn every_command_in_the_readme_parses() {
    let calls = calls(&text_of("README.md"));
    assert!(calls.len() > 30, "{} calls", calls.len());
    for call in calls {
        if let Err(why) = guardian::cli::Cli::try_parse_from(&call) {
            panic!("{}: {why}", call.join(" "));
        }
    }
}

#[test]
fn every_verb_of_the_program_is_in_the_readme() {
    let readme = text_of("README.md");
    let calls = calls(&readme);
    let verbs: Vec<String> = {
        use clap::CommandFactory;
        let command = guardian::cli::Cli::command();
        command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
    };
    assert!(verbs.len() > 10, "{verbs:?}");
    for verb in verbs {
        assert!(calls.iter().any(|call| call[1] == verb), "README.md shows no guardian {verb}");
    }
}

#[test]
fn the_keys_in_the_readme_stand_in_the_reference_with_the_same_default() {
    let (readme, reference) = (text_of("README.md"), text_of("config/guardian.toml"));
    let section = readme.split("## Configure").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut seen = 0;
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').rsplit('.').next().unwrap();
        let line = reference
            .lines()
            .map(|line| line.trim_start_matches('#'))
            .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))
            .unwrap_or_else(|| panic!("config/guardian.toml has no {name}"))
            .trim();
        // A default in words, or one that is cut short, is not compared beyond what it says.
        if let Some(default) = cells[2].strip_prefix('`') {
            let default = default.trim_end_matches('`').split(", …").next().unwrap();
            assert!(line.starts_with(default), "{name}: README.md says {default}, the reference {line}");
        }
        seen += 1;
    }
    assert!(seen > 10, "{seen} keys");
}

#[test]
fn the_example_configuration_is_one() {
    let readme = text_of("README.md");
    let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let table: toml::Table = example.parse().unwrap();
    let reference = text_of("config/guardian.toml");
    for key in table["root"][0].as_table().unwrap().keys() {
        assert!(reference.contains(&format!("#{key} = ")), "{key}");
    }
}

#[test]
fn links_lead_to_files_of_this_package() {
    let readme = text_of("README.md");
    let links: Vec<PathBuf> = readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://") && !link.starts_with('#'))
        .map(|link| package().join(link))
        .collect();
    assert!(!links.is_empty());
    for link in links {
        assert!(link.exists(), "{}", link.display());
    }
}

#[test]
fn the_checks_of_a_change_run_the_test_command_that_the_readme_gives() {
    let readme = text_of("README.md");
    let section = readme.split("\n## Tests\n").nth(1).unwrap();
    let command = section.split("```sh\n").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(command, "cargo test --locked");
    // The script takes the command from there; it must find the same line.
    if !package().join(".ci/run").exists() {
        eprintln!("skipped: this is a package, not a checkout: it comes without .ci/run");
        return;
    }
    let script = text_of(".ci/run");
    let function = script.split("readme_test_command() {").nth(1).unwrap().split("\n}").next().unwrap();
    let output = Command::new("bash").args(["-c", function]).current_dir(package()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), command);
}

/// The examples in this language, whole.
fn examples(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&opening).skip(1).filter_map(|rest| rest.split("\n```").next().map(str::to_owned)).collect()
}

/// What a program says to a text on its standard input; `None` where this machine lacks the program.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn judged(program: &str, arguments: &[&str], text: &str) -> Option<Result<(), String>> {
    use std::io::Write;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: there is no {program} here");
        return None;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    Some(if ended.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&ended.stderr).into_owned())
    })
}

#[test]
fn the_examples_for_the_shell_and_for_python_are_well_formed() {
    let text = text_of("README.md");
    let python = ["-c", "import sys; compile(sys.stdin.read(), 'README.md', 'exec')"];
    for (language, program, arguments) in [("sh", "sh", &["-n"][..]), ("python", "python3", &python[..])] {
        assert!(
            matches!(judged(program, arguments, "if ("), None | Some(Err(_))),
            "{program} takes anything"
        );
        let examples = examples(&text, language);
        assert!(examples.len() >= 2, "{language}: {} examples", examples.len());
        for example in examples {
            if let Some(Err(why)) = judged(program, arguments, &example) {
                panic!("{example}\n{why}");
            }
        }
    }
}
