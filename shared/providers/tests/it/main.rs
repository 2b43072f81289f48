//! What is told of providers is what the catalogue says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it goes wrong")]

mod defects;
mod goldens;
mod reference;
