//! Asks an agent of its own what its document allows and what it does not,
//! by schemathesis (`tests/schemathesis.py`).

use std::path::Path;
use std::process::Command;

/// In vain where there is no Python, or schemathesis can't be had.
const NOT_HERE: i32 = 77;

fn schemathesis(examples: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis.py");
    let asked = Command::new("python3")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_guardian"))
        .args(["--examples", examples])
        .output();
    let asked = match asked {
        Ok(asked) => asked,
        Err(why) => return eprintln!("skipped: no python3: {why}"),
    };
    let told = String::from_utf8_lossy(&asked.stdout);
    if asked.status.code() == Some(NOT_HERE) {
        return eprintln!("skipped: {told}");
    }
    let summary = told.find("SUMMARY").map_or(&*told, |at| &told[at..]);
    let wrong = String::from_utf8_lossy(&asked.stderr);
    assert!(asked.status.success(), "{told}\n{wrong}");
    println!("{summary}");
}

#[test]
fn no_request_that_can_be_thought_of_breaks_the_interface() {
    let long = std::env::var_os("GUARDIAN_LONG").is_some();
    schemathesis(if long { "300" } else { "5" });
}
