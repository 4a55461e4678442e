//! Paths that can't be given up, in words and as a status.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::api::ApiError;
use crate::model::WirePath;

/// A refusal with its kind, for the status of an answer that has nothing else.
pub(super) struct Refused {
    pub(super) path: WirePath,
    pub(super) status: u16,
    pub(super) reason: String,
}

/// Nothing of a request can be done: by what stands against it.
pub(super) fn nothing(refused: &[Refused]) -> ApiError {
    const SHOWN: usize = 20;
    let shown = |one: &Refused| {
        let path = one.path.to_bytes().unwrap_or_default();
        format!(
            "{} {}",
            crate::model::escape_control(&OsStr::from_bytes(&path).to_string_lossy()),
            one.reason
        )
    };
    let mut detail = refused.iter().take(SHOWN).map(shown).collect::<Vec<_>>().join("; ");
    if refused.len() > SHOWN {
        detail.push_str(&format!("; and {} more", refused.len() - SHOWN));
    }
    let one = refused.first().map(|first| first.status);
    match one.filter(|status| refused.iter().all(|other| other.status == *status)) {
        Some(400) => ApiError::invalid(detail),
        Some(403) => ApiError::not_permitted(detail),
        Some(500) => ApiError::new(crate::api::Problem::Internal, detail),
        _ => ApiError::conflict(detail),
    }
}
