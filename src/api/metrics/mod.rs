//! Figures for monitoring: what there is, how it is written down, and a plain
//! listener for scrapers that cannot open the socket.
//!
//! Promises: a number that can't be known has no sample, never 0; labels name
//! roots, policies and reasons, never paths, so that there are only so many
//! series; names and units are those of [`catalogue::ALL`].
//! Must not know: where the figures come from.

pub mod catalogue;
mod figures;
mod format;
mod listener;
mod route;

pub use catalogue::{Kind, Metric};
pub use figures::{Figures, Labels, written};
pub use format::Format;
pub use listener::serve_metrics;
pub(super) use route::metrics;
