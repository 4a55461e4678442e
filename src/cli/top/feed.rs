//! Asks the agent, listens to it and tells it what somebody wants, on threads
//! of its own: the screen never waits for the socket.

use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::super::client::{Client, Refusal};
use super::super::output::{Format, Output};
use super::super::report;
use super::model::{News, Wish};
use crate::api::{Event, HoldRequest, HoldResource, Listing, PathText, SweepResource, SweepState};
use crate::model::{Policy, RootName, RunId, SweepRequest, escape_control};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at a dry run.
const DRY_LOOK: Duration = Duration::from_millis(200);
/// Figures cost the agent more than health: one look in so many.
const STATS_EVERY: u32 = 2;

/// The way to the agent.
#[derive(Clone)]
pub(super) struct Feed {
    sockets: Vec<PathBuf>,
    news: Sender<News>,
}

impl Feed {
    /// Begins to ask and to listen. Whoever has the other end of `news` may leave at any time.
    pub(super) fn start(sockets: Vec<PathBuf>, news: Sender<News>) -> std::io::Result<Self> {
        let feed = Self { sockets, news };
        feed.on_a_thread("guardian-asks", Self::ask_again_and_again)?;
        feed.on_a_thread("guardian-hears", Self::listen_again_and_again)?;
        Ok(feed)
    }

    fn on_a_thread(&self, name: &str, work: impl FnOnce(&Self) + Send + 'static) -> std::io::Result<()> {
        let feed = self.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&feed)).map(drop)
    }

    /// False once nobody looks any more.
    fn tell(&self, news: News) -> bool {
        self.news.send(news).is_ok()
    }

    fn ask_again_and_again(&self) {
        let mut looks = 0_u32;
        loop {
            // Found anew each time: the agent may have been started again elsewhere.
            let asked = Client::find(&self.sockets).map_err(Refusal::Silent).and_then(|client| {
                let mut told = self.tell(News::Health(read(&client, "/v1/health")?));
                let sweeps: Box<Listing<SweepResource>> = read(&client, "/v1/sweeps")?;
                told &= self.tell(News::Sweeps(sweeps.items));
                if looks.is_multiple_of(STATS_EVERY) {
                    told &= self.tell(News::Stats(read(&client, "/v1/stats")?));
                }
                Ok(told)
            });
            let heard = match asked {
                Ok(told) => told,
                Err(Refusal::Silent(_)) => self.tell(News::Silent),
                Err(refusal) => self.tell(News::Told(Err(refusal.into_failure("ask the agent").to_string()))),
            };
            if !heard {
                return;
            }
            looks = looks.wrapping_add(1);
            std::thread::sleep(PAUSE);
        }
    }

    fn listen_again_and_again(&self) {
        let mut heard = true;
        while heard {
            if let Ok(client) = Client::find(&self.sockets) {
                heard = self.tell(News::Listening);
                // How it ended does not matter: it is tried again, and the other thread tells of silence.
                let _ = client.listen("/v1/events", |data| {
                    let event = serde_json::from_slice::<Event>(data);
                    // An agent of another version may tell more than is understood here.
                    heard &= event.map_or(true, |event| self.tell(News::Event(Box::new(event))));
                    heard
                });
            }
            std::thread::sleep(PAUSE);
            heard &= self.tell(News::Listening);
        }
    }

    /// Begins to do what somebody wants; what comes of it is news.
    pub(super) fn fulfil(&self, wish: Wish) {
        let doing = self.on_a_thread("guardian-acts", move |feed| {
            let news = match wish {
                Wish::Quit => return,
                Wish::DryRun(root) => News::DryRun(feed.dry_run(root)),
                Wish::Hold(path) => News::Told(feed.hold(&path)),
                Wish::Cancel(id) => News::Told(feed.cancel(&id)),
            };
            feed.tell(news);
        });
        if let Err(why) = doing {
            self.tell(News::Told(Err(format!("failed to start a thread: {why}"))));
        }
    }

    fn client(&self, attempt: &str) -> Result<Client, String> {
        Client::find(&self.sockets).map_err(|none| none.into_failure(attempt).to_string())
    }

    fn dry_run(&self, root: RootName) -> Result<Vec<String>, String> {
        let attempt = "plan a sweep";
        let failed = |refusal: Refusal| refusal.into_failure(attempt).to_string();
        let client = self.client(attempt)?;
        let request = SweepRequest { root: Some(root), dry_run: true, ..SweepRequest::of(Policy::Scheduled) };
        let begun = client.post("/v1/sweeps", &request).map_err(failed)?;
        let mut sweep: SweepResource = begun.read(attempt).map_err(|why| why.to_string())?;
        while !sweep.state.is_over() {
            std::thread::sleep(DRY_LOOK);
            let look = client.get(&format!("/v1/sweeps/{}", sweep.id)).map_err(failed)?;
            sweep = look.read(attempt).map_err(|why| why.to_string())?;
        }
        if sweep.state != SweepState::Done {
            return Err(sweep.error.unwrap_or_else(|| format!("the dry run {} ended early", sweep.id)));
        }
        let mut lines = in_words(&sweep)?;
        let any = sweep.reports.iter().any(|report| report.files_deleted > 0);
        if let Some(plan) = sweep.plan.as_ref().filter(|_| any) {
            lines.push(String::new());
            lines.push("apply it with:".to_owned());
            lines.push(format!("  guardian sweep --plan {plan}"));
        }
        Ok(lines)
    }

    fn hold(&self, path: &str) -> Result<String, String> {
        let attempt = "hold";
        let request =
            HoldRequest { paths: vec![PathText::from_bytes(path.as_bytes())], until: None, reason: None };
        let answer = self.client(attempt)?.post("/v1/holds", &request);
        let answer = answer.map_err(|refusal| refusal.into_failure(attempt).to_string())?;
        let holds: Listing<HoldResource> = answer.read(attempt).map_err(|why| why.to_string())?;
        let held: Vec<_> = holds.items.iter().map(|hold| escape_control(&hold.path.path)).collect();
        Ok(format!("held until released: {}", held.join(", ")))
    }

    fn cancel(&self, id: &RunId) -> Result<String, String> {
        let attempt = "cancel the sweep";
        self.client(attempt)?
            .delete(&format!("/v1/sweeps/{id}"))
            .map(|_| "the sweep ends after its batch".to_owned())
            .map_err(|refusal| refusal.into_failure(attempt).to_string())
    }
}

fn read<T: DeserializeOwned>(client: &Client, path: &str) -> Result<Box<T>, Refusal> {
    let answer = client.get(path)?;
    serde_json::from_slice(&answer.body).map(Box::new).map_err(|why| {
        let detail = format!("the agent's answer cannot be read: {why}");
        Refusal::Problem(Box::new(crate::api::ApiError::invalid(detail)), answer.body)
    })
}

/// The report as `guardian sweep --dry-run` prints it.
fn in_words(sweep: &SweepResource) -> Result<Vec<String>, String> {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);
    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let page = Page::default();
    let mut out = Output::to(Box::new(page.clone()), Format::Text, None);
    for one in &sweep.reports {
        report::render(one, false, &mut out).map_err(|why| why.to_string())?;
    }
    let bytes = page.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines: Vec<String> = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
    if lines.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    Ok(lines)
}
