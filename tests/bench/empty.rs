//! Does nothing: the least that starting a Rust program takes.

fn main() {}
