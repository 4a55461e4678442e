//! What the journal gets: a test listens where it would, in a mount namespace of its own.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::harness::volumes::{inside, tmpfs};
use super::harness::{Home, file, root, scratch};

const SOCKET: &str = "/run/systemd/journal/socket";

/// Entries as they come.
fn listening() -> Arc<Mutex<Vec<String>>> {
    let socket = UnixDatagram::bind(SOCKET).unwrap();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let its = Arc::clone(&told);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(length) = socket.recv(&mut buffer) {
            if length > 0 {
                its.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        }
    });
    told
}

/// The entries that have all of these lines.
fn with(told: &Mutex<Vec<String>>, lines: &[&str]) -> Vec<String> {
    let has = |entry: &String, line: &&str| entry.lines().any(|one| one == *line);
    told.lock().unwrap().iter().filter(|entry| lines.iter().all(|line| has(entry, line))).cloned().collect()
}

#[test]
fn the_journal_gets_fields_and_ids_that_its_catalog_explains() {
    if !inside("journal::the_journal_gets_fields_and_ids_that_its_catalog_explains") {
        return;
    }
    if let Err(why) = tmpfs(Path::new("/run"), 16) {
        eprintln!("skipped: {why}");
        return;
    }
    fs::create_dir_all(Path::new(SOCKET).parent().unwrap()).unwrap();
    let told = listening();
    let mut home = Home::new();
    let dir = scratch(&home);
    home.configure("", &root(&dir, "capacity = \"8MiB\"\nwarning = 10\nhigh_water = 60\nlow_water = 20"));
    let at = home.path("guardian.toml");
    let text = fs::read_to_string(&at).unwrap().replace("\"text\"", "\"journald\"");
    fs::write(&at, text.replace("[agent]", "[agent]\nsample_interval = \"1s\"")).unwrap();
    for number in 0..7 {
        // Who names files so wants to write lines of his own.
        file(&dir.join(format!("orphan_{number}\nMESSAGE=forged\u{1b}[31m")), 1 << 20, 90 * 3600);
    }
    home.start_by(|mut command| {
        command.env("GUARDIAN_LOG", "info,guardian=debug");
        command
    });
    home.until("the emergency is over", |_| {
        (!with(&told, &["GUARDIAN_POLICY=emergency", "GUARDIAN_ROOT=scratch", "PRIORITY=6"]).is_empty())
            .then_some(())
    });
    let critical = "MESSAGE_ID=c368a563b0f449db8fb4fc9d4a61c05d";
    let entries = with(&told, &[critical, "PRIORITY=3", "GUARDIAN_ROOT=scratch", "GUARDIAN_ALERT=usage"]);
    assert_eq!(entries.len(), 1, "{:#?}", told.lock().unwrap());
    assert!(entries[0].contains("GUARDIAN_USAGE_PERCENT=87.5"), "{}", entries[0]);
    assert!(
        entries[0].starts_with("MESSAGE=usage is past the high-water mark root=scratch usage_percent=87.5\n")
    );
    let back = "MESSAGE_ID=19130e6057d145bfa49e5a3986e3885f";
    home.until("and usage is back", |_| (!with(&told, &[back, "PRIORITY=6"]).is_empty()).then_some(()));
    let all = told.lock().unwrap().clone();
    for entry in &all {
        assert!(entry.lines().any(|line| line == "SYSLOG_IDENTIFIER=guardian"), "{entry}");
        assert!(
            !entry.contains('\u{1b}') && !entry.lines().any(|line| line.starts_with("MESSAGE=forged")),
            "{entry}"
        );
    }
    let named = all
        .iter()
        .any(|entry| entry.lines().any(|line| line.starts_with("GUARDIAN_PATH=") && line.contains("forged")));
    assert!(named, "removals name their files: {all:#?}");
    assert_eq!(home.stop(), Some(0));
    assert_eq!(home.log(), "", "nothing went elsewhere");
}
