//! Ids, quota, usage, statuses and the clock: the words every part of Sluice shares.
//!
//! Pure: no I/O, and the clock is a value that binaries pass in. Everything here is valid by construction: text from outside is
//! parsed once, at the edge, into these types, and trusted afterwards.

pub mod clock;
pub mod id;
pub mod key;
pub mod limit;
pub mod name;
pub mod outcome;
pub mod quota;
pub mod record;
pub mod standing;
pub mod suffix;
pub mod surface;
pub mod usage;

pub use clock::{Clock, Now, UnixMillis};
pub use id::{AccountId, ChannelId, ChannelKeyId, Epoch, Id, LeaseId, NodeId, RequestId, TokenId, UserId};
pub use key::{KeyDigest, PresentedKey};
pub use limit::{Counted, Limit, LimitError, Limits};
pub use name::{GroupName, ModelName, NameError};
pub use outcome::{Dialect, Outcome};
pub use quota::{Quota, QuotaOverflow};
pub use record::{Attempt, LeaseCharge, Record, RequestRecord};
pub use standing::{Role, Status};
pub use usage::Usage;
