//! The `guardian` command.

fn main() {}
