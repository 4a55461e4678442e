//! Reloading the settings: refused as a whole when they are wrong.

use std::sync::{Arc, PoisonError};

use crate::config::Settings;
use crate::sys::notify_service;

use super::chain;
use super::roots::{Claim, check_nesting};
use super::slots;
use super::state::Agent;

/// Reads the settings anew, or says what is wrong with them.
pub type ReadAgain = Box<dyn Fn() -> Result<Settings, String> + Send>;

/// Reads the settings again and takes them. Roots that did not change go on
/// without a gap; changed ones are opened anew; removed ones are let go. State
/// directory and socket stay what they were until a restart.
pub fn reload(agent: &Arc<Agent>, again: &ReadAgain) {
    notify_service::reloading();
    match again() {
        Err(why) => {
            tracing::error!(reason = %why, "the new configuration is refused; the old one stays in force")
        }
        Ok(mut new) => {
            let old = agent.settings();
            if new.agent.state_dir != old.agent.state_dir || new.agent.socket != old.agent.socket {
                tracing::error!(
                    "the new configuration is refused: state_dir and socket change only with a restart; the old one stays in force"
                );
            } else if let Err(error) = check_nesting(&new.roots) {
                tracing::error!(reason = %chain(&error), "the new configuration is refused; the old one stays in force");
            } else {
                new.agent.log_format = old.agent.log_format;
                for warning in &new.warnings {
                    tracing::warn!("{warning}");
                }
                if new.agent.metrics_listen != old.agent.metrics_listen {
                    tracing::warn!("metrics_listen changes only with a restart; the old one stays in force");
                    new.agent.metrics_listen = old.agent.metrics_listen;
                }
                take(agent, new);
                tracing::info!("the configuration was reloaded");
            }
        }
    }
    notify_service::ready();
}

fn take(agent: &Arc<Agent>, new: Settings) {
    let old = agent.slots();
    let mut next = Vec::new();
    let mut fresh = Vec::new();
    for settings in &new.roots {
        let kept = old.iter().find(|slot| slot.settings == *settings);
        let slot = kept.map_or_else(|| slots::waiting(settings.clone()), Arc::clone);
        if kept.is_none() {
            fresh.push(Arc::clone(&slot));
        }
        next.push(slot);
    }
    for slot in old.iter().filter(|slot| !next.iter().any(|kept| Arc::ptr_eq(kept, slot))) {
        slots::suspend(agent, slot, "no longer configured".to_owned());
    }
    *agent.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    *agent.slots.write().unwrap_or_else(PoisonError::into_inner) = next;
    agent.take_hooks();
    for slot in fresh {
        if let Err(error) = slots::open(agent, &slot, Claim::Usual) {
            tracing::error!(root = %slot.name(), reason = %chain(&error), "the root is not guarded yet");
        }
    }
    agent.stir.bell.ring();
    agent.schedule_bell.ring();
}
