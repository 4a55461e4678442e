//! What the service manager is told: a test holds its socket.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::harness::{Home, PATIENCE};

/// Everything that was told, with when.
pub(super) struct Manager {
    told: Arc<Mutex<Vec<(Instant, String)>>>,
    path: std::path::PathBuf,
}

impl Manager {
    pub(super) fn of(home: &Home) -> Self {
        let path = home.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let told: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let its = Arc::clone(&told);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                its.lock().unwrap().push((Instant::now(), text));
            }
        });
        Self { told, path }
    }

    /// The usual command, as the manager starts it.
    pub(super) fn starting(
        &self,
        watchdog: Option<Duration>,
        points: &str,
    ) -> impl FnOnce(Command) -> Command {
        let (path, points) = (self.path.clone(), points.to_owned());
        move |mut usual| {
            usual.env("NOTIFY_SOCKET", path).env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
            if let Some(interval) = watchdog {
                usual.env("WATCHDOG_USEC", interval.as_micros().to_string());
            }
            if !points.is_empty() {
                usual.env("FAILPOINTS", points);
            }
            usual
        }
    }

    /// All of it so far.
    pub(super) fn all(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }

    /// When lines were told that begin so.
    pub(super) fn times(&self, begin: &str) -> Vec<Instant> {
        let told = self.told.lock().unwrap();
        let has = |text: &str| text.lines().any(|line| line.starts_with(begin));
        told.iter().filter(|(_, text)| has(text)).map(|(at, _)| *at).collect()
    }

    /// Waits until something was told `count` times.
    pub(super) fn until(&self, begin: &str, count: usize) -> Instant {
        let limit = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.times(begin).get(count - 1) {
                return *at;
            }
            assert!(Instant::now() < limit, "{begin} was not told {count} times: {:#?}", self.all());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
