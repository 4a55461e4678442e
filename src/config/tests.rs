//! What the configuration promises, told by examples.
