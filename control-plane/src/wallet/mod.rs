//! Accounts and the ledger: the only code that writes balances.
//!
//! An account is a user's wallet, a token's cap, or a token's number of uses. Its total is `balance + leased + in_doubt`; it changes only together with a row of
//! the ledger. [`post`] is the way for every movement but usage; leases and settlement move money in sets, through [`moves`].

mod adjust;
mod api;
pub mod audit;
mod entry;
pub mod moves;
mod store;

pub use adjust::{Adjusted, adjust, balance, ledger};
pub use api::routes;
pub use entry::{Account, AccountKind, Entry, EntryKind, Standing, WalletError};
pub use store::{LedgerOf, LedgerRow, accounts_of, ledger_page, open, post, standings};
