//! Stories through HTTP: what people and scripts see of the management API.

mod access;
mod bad_input;
mod bounds;
mod catalogue;
mod first_start;
mod money;
mod people;
mod reference;
mod requests;
mod signing_in;
mod world;
