//! The agent as a whole, inside this process: what holds between its parts.

mod breakers;
mod chunks;
mod clock;
mod day;
mod reload;
mod resuming;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use crate::config::{Environment, Overrides, Settings, load};

use super::service::Running;
use super::signals::Notice;

const HOUR: u64 = 3600;

/// An agent that removes nothing by itself, over one root.
struct Host {
    home: tempfile::TempDir,
    running: Running,
    _notices: Receiver<Notice>,
}

fn settings(home: &Path, root: &str) -> Settings {
    let file = home.join("guardian.toml");
    let text = format!(
        "[agent]\nstate_dir = {:?}\nsocket = {:?}\nautomatic = false\nsample_interval = \"1h\"\n\
         [[root]]\nname = \"scratch\"\npath = {:?}\nage_by = [\"mtime\"]\nregistry_grace = \"0s\"\n\
         adoption_grace = \"0s\"\n{root}\n",
        home.join("state"),
        home.join("sock"),
        home.join("scratch")
    );
    fs::write(&file, text).unwrap();
    let environment = Environment { vars: Default::default(), is_root: true, uid: 0 };
    load(Some(&file), &environment, &Overrides::default(), Path::new("/")).unwrap()
}

impl Host {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With more settings of its root.
    fn start_with(root: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("scratch")).unwrap();
        let settings = settings(home.path(), root);
        Self::start_in(home, settings)
    }

    /// In a home that may have been used before.
    fn start_in(home: tempfile::TempDir, settings: Settings) -> Self {
        let (notices, noticed) = channel();
        let running = Running::start(settings, notices).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        // After its first round the guard looks at nothing for an hour.
        while running.agent().heart.rounds.load(Ordering::Relaxed) == 0 {
            assert!(Instant::now() < deadline, "the guard begins");
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { home, running, _notices: noticed }
    }

    /// A file that is so many hours old.
    fn file(&self, name: &str, hours: u64) -> PathBuf {
        file(self.home.path(), name, hours)
    }
}

/// A file in the root of `home` that is so many hours old.
fn file(home: &Path, name: &str, hours: u64) -> PathBuf {
    let path = home.join("scratch").join(name);
    fs::write(&path, b"content").unwrap();
    let then = SystemTime::now() - Duration::from_secs(hours * HOUR);
    fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    path
}
