//! Common work on the repository.
fn main() {}
