//! The `rbdgate` binary.
fn main() {}
