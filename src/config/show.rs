//! `config show`: every value in effect and where it came from.

use super::Origin;

/// One table as `config show` prints it.
#[derive(Debug, Clone)]
pub(super) struct ShownTable {
    /// Its heading without brackets (`agent`, `root`).
    pub(super) heading: &'static str,
    /// Key, value as TOML text, origin; in the order of the key table.
    pub(super) values: Vec<(&'static str, String, Origin)>,
}
