//! Encryption at rest, key digests and derived keys.
//!
//! What lives here: the master key and everything made from it, the envelope in which secrets stand in the database, the file that
//! holds a generated secret, and the seal of a relay's last-good file. What must not: who may read a secret, and any network or
//! database. The only I/O is [`secret_file`]; the only source of randomness is [`random`].
//!
//! Start reading at [`Keyring`]. Nothing in this crate shows a secret through `Debug` or an error.

mod envelope;
pub mod keyring;
pub mod master;
pub mod node;
pub mod place;
pub mod random;
pub mod same;
pub mod secret_file;

pub use envelope::{OpenError, SealError};
pub use keyring::{KeyMatch, Keyring, SecretError};
pub use master::{DerivedKey, DigestKey, MasterKey, Purpose};
pub use node::{NodeKey, join_proof};
pub use place::Place;
pub use same::is_same_secret;
pub use secret_file::{SecretFile, SecretFileError};
