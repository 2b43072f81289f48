//! The store suite: what the database must keep true, on every engine of this run.

mod grants;
mod ground;
mod settling;
mod wallets;
