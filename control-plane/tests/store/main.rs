//! The store suite: what the database must keep true, on every engine of this run.

mod changes;
mod grants;
mod ground;
mod opening;
mod publishing;
mod settling;
mod upkeep;
mod wallets;
