//! Tests and benches against the real binaries.
