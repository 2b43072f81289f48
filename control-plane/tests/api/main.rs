//! Stories through HTTP: what people and scripts see of the management API.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken assumption of a test must end it at once, in the functions that tests share, too"
)]

mod access;
mod bad_input;
mod balances;
mod bounds;
mod catalogue;
mod channel_settings;
mod demo;
mod described;
mod describing;
mod errands;
mod first_start;
mod limiting;
mod money;
mod notifying;
mod people;
mod reckoning;
mod reference;
mod requests;
mod signing_in;
mod switching_off;
mod world;
