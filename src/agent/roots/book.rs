//! What the ledger knows of roots.

use crate::model::{LedgerId, RootName};
use crate::store::ledger::{Ledger, RootRecord};
use crate::store::{RootKey, StoreError};

/// The part of the ledger that roots need; a trait so that tests can make its
/// writes fail.
pub trait RootBook {
    /// See [`Ledger::id`].
    fn id(&self) -> LedgerId;
    /// See [`Ledger::root`].
    fn root(&self, name: &RootName) -> Result<Option<RootRecord>, StoreError>;
    /// See [`Ledger::put_root`].
    fn put_root(&self, root: &RootRecord) -> Result<(), StoreError>;
    /// See [`Ledger::new_root_key`].
    fn new_root_key(&self) -> Result<RootKey, StoreError>;
    /// See [`Ledger::set_trusted`].
    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError>;
}

impl RootBook for Ledger {
    fn id(&self) -> LedgerId {
        Self::id(self)
    }

    fn root(&self, name: &RootName) -> Result<Option<RootRecord>, StoreError> {
        Self::root(self, name)
    }

    fn put_root(&self, root: &RootRecord) -> Result<(), StoreError> {
        Self::put_root(self, root)
    }

    fn new_root_key(&self) -> Result<RootKey, StoreError> {
        Self::new_root_key(self)
    }

    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError> {
        Self::set_trusted(self, trusted)
    }
}
