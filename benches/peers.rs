//! guardian against the tools people use now, on the same data in one run.

fn main() {}
