//! Reloading the settings: refused as a whole when they are wrong, otherwise
//! taken without a gap.
//!
//! Promises: what can be known to be wrong with the new settings is found before
//! anything changes; a root whose settings can be taken in place is watched,
//! indexed and sampled on; whoever changes what takes a restart is told so. Must
//! not know: what the settings mean.

mod restart;

use std::sync::{Arc, PoisonError};

use crate::config::Settings;
use crate::model::RootName;
use crate::sys::notify_service;

use super::chain;
use super::roots::{check_nesting, check_place};
use super::state::{Agent, Slot};
use super::{slots, status};

/// Reads the settings anew, or says what is wrong with them.
pub type ReadAgain = Box<dyn Fn() -> Result<Settings, String> + Send>;

/// Reads the settings again and takes them, as a whole or not at all.
pub fn reload(agent: &Arc<Agent>, again: &ReadAgain) {
    notify_service::reloading();
    match again().and_then(|new| prepare(agent, new)) {
        Err(why) => {
            // One line, however many problems there are.
            let why = why.lines().map(str::trim).collect::<Vec<_>>().join("; ");
            tracing::error!(reason = %why, "the new configuration is refused; the old one stays in force");
            agent.status.note_refusal(Some(&why));
        }
        Ok(prepared) => {
            for warning in &prepared.settings.warnings {
                tracing::warn!("{warning}");
            }
            for key in &prepared.kept {
                tracing::warn!("{key} changes only with a restart; the old one stays in force");
            }
            take(agent, prepared);
            tracing::info!("the configuration was reloaded");
            agent.status.note_refusal(None);
        }
    }
    status::renew(agent);
    notify_service::ready(&agent.status.line());
}

/// What is about to be taken.
pub(super) struct Prepared {
    settings: Settings,
    /// Keys that keep their old value.
    kept: Vec<&'static str>,
    /// The roots in their order.
    slots: Vec<Next>,
}

/// What becomes of a root.
enum Next {
    /// It goes on as it is.
    Stays(Arc<Slot>),
    /// It goes on by other settings, in a slot that takes the old one's place.
    InPlace { old: Arc<Slot>, new: Arc<Slot> },
    /// It is opened.
    Opened(Arc<Slot>),
}

impl Next {
    const fn slot(&self) -> &Arc<Slot> {
        match self {
            Self::Stays(slot) | Self::InPlace { new: slot, .. } | Self::Opened(slot) => slot,
        }
    }

    /// The slot whose place it takes, with its root.
    const fn replaces(&self) -> Option<&Arc<Slot>> {
        match self {
            Self::InPlace { old, .. } => Some(old),
            Self::Stays(_) | Self::Opened(_) => None,
        }
    }
}

/// Puts together what the settings lead to, or says why they can't be taken.
/// Nothing changes by it.
pub(super) fn prepare(agent: &Agent, mut new: Settings) -> Result<Prepared, String> {
    let old = agent.settings();
    if new.agent.state_dir != old.agent.state_dir || new.agent.socket != old.agent.socket {
        return Err("state_dir and socket change only with a restart".to_owned());
    }
    check_nesting(&new.roots).map_err(|error| chain(&error))?;
    let kept = restart::keep(&old.agent, &mut new.agent);
    let own = slots::own_files_by(&new);
    // These are in each root as runs see it.
    let for_all = new.agent.workers != old.agent.workers || new.files != old.files;
    let known = agent.slots();
    let mut next = Vec::new();
    for settings in &new.roots {
        let was = known.iter().find(|slot| slot.name() == &settings.name);
        if let Some(slot) = was.filter(|slot| slot.settings == *settings && !for_all) {
            next.push(Next::Stays(Arc::clone(slot)));
            continue;
        }
        if let Some(old) = was
            && let Some(slot) = slots::in_place::taken(old, settings, &own, new.agent.workers)
                .map_err(|error| chain(&error))?
        {
            next.push(Next::InPlace { old: Arc::clone(old), new: slot });
            continue;
        }
        let record = agent.ledger.root(&settings.name).map_err(|error| chain(&error))?;
        let adopted = record.is_some_and(|record| record.marker.is_some() && !record.unmarked);
        match check_place(settings, adopted) {
            Err(error) if error.is_configuration() => return Err(chain(&error)),
            // What may pass by itself is no reason to go on by old settings.
            _ => next.push(Next::Opened(slots::waiting(settings.clone()))),
        }
    }
    Ok(Prepared { settings: new, kept, slots: next })
}

pub(super) fn take(agent: &Arc<Agent>, prepared: Prepared) {
    let Prepared { settings, slots: next, .. } = prepared;
    let olds: Vec<Arc<Slot>> = next.iter().filter_map(Next::replaces).cloned().collect();
    // Nobody suspends or opens one of these until the new slots are there.
    let held: Vec<_> = olds.iter().filter_map(|old| Some((old, slots::in_place::held(old)?))).collect();
    let is_held = |slot: &Arc<Slot>| held.iter().any(|(old, _)| Arc::ptr_eq(old, slot));
    let next: Vec<Next> = next
        .into_iter()
        .map(|one| match one {
            // Suspended meanwhile, or another root by now: what was prepared
            // would guard what nobody has looked at.
            Next::InPlace { old, new } if !(is_held(&old) && slots::in_place::is_same_root(&old, &new)) => {
                Next::Opened(slots::waiting(new.settings.clone()))
            }
            one => one,
        })
        .collect();
    let stays = |slot: &Arc<Slot>| next.iter().any(|one| Arc::ptr_eq(one.slot(), slot));
    let is_replaced =
        |slot: &Arc<Slot>| next.iter().filter_map(Next::replaces).any(|old| Arc::ptr_eq(old, slot));
    // The root of one that is replaced in place goes on.
    let (replaced, gone): (Vec<_>, Vec<_>) =
        agent.slots().into_iter().filter(|slot| !stays(slot)).partition(is_replaced);
    *agent.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    *agent.slots.write().unwrap_or_else(PoisonError::into_inner) =
        next.iter().map(|one| Arc::clone(one.slot())).collect();
    drop(held);
    // Not before: until then they would be taken back.
    for slot in gone {
        slots::suspend(agent, &slot, "no longer configured".to_owned());
    }
    for slot in replaced {
        slots::give_up(&slot);
    }
    agent.take_hooks();
    forget_removed(agent);
    for one in &next {
        if let Next::Opened(slot) = one
            && let Err(error) = slots::open_after(agent, slot, || {})
        {
            tracing::error!(root = %slot.name(), reason = %chain(&error), "the root is not guarded yet");
        }
    }
    agent.stir.bell.ring();
    agent.schedule_bell.ring();
    agent.presence_bell.ring();
}

/// What was told of roots that are not configured any more is over.
fn forget_removed(agent: &Agent) {
    let slots = agent.slots();
    let is_there = |root: &RootName| slots.iter().any(|slot| slot.name() == root);
    agent.engine.alerts.end_where(|subject| subject.root.as_ref().is_some_and(|root| !is_there(root)));
    agent.remarks.lock().unwrap_or_else(PoisonError::into_inner).retain(|root, _| is_there(root));
}
