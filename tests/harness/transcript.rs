//! What somebody at a terminal would have seen, for tests that are read with `--nocapture`.

use super::Home;

/// Says what happens next.
pub(crate) fn tell(what: &str) {
    eprintln!("-- {what}");
}

fn show(text: &str) {
    for line in text.lines().filter(|line| !line.is_empty()) {
        eprintln!("   {line}");
    }
}

/// Shows how something ended that was started as `command`.
pub(crate) fn show_end(command: &str, code: Option<i32>, said: &str) {
    eprintln!("$ {command}");
    show(said);
    eprintln!("   (exit {})", code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string()));
}

impl Home {
    /// Runs a command as [`Home::run`] does, and shows it: exit code and all that it said.
    pub(crate) fn shown(&self, arguments: &[&str]) -> (i32, String) {
        let (code, out, err) = self.run(arguments);
        show_end(&format!("guardian {}", arguments.join(" ")), Some(code), &(out.clone() + &err));
        (code, out + &err)
    }

    /// Waits until `part` is in the log, and shows the line.
    pub(crate) fn logged(&self, part: &str) {
        let line = self.until(&format!("{part:?} is in the log"), |home| {
            home.log().lines().find(|line| line.contains(part)).map(str::to_owned)
        });
        eprintln!("   log: {line}");
    }
}
