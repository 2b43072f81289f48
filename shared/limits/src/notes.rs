//! What relays of a fleet note for each other, beside counters: small texts that end by themselves and may be lost at any time.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::shared::Away;

/// Notes of a whole fleet. Whoever reads one must do without it: nothing that is owed or allowed may depend on a note.
pub trait Notes: fmt::Debug + Send + Sync + 'static {
    /// Notes a text under a name, in place of an earlier one, for so long.
    fn note<'a>(&'a self, name: &'a str, text: &'a str, lifetime: Duration) -> BoxFuture<'a, Result<(), Away>>;

    /// What is noted under a name.
    fn noted<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Away>>;

    /// Takes a note out.
    fn strike<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Away>>;
}
