//! One request and its answer, between a caller of one dialect and an upstream of the same or another.
//!
//! [`Request`] is what a caller sent. [`Request::write`] makes of it what one upstream is sent, and a [`Passage`]: what of the answer is
//! to be undone on the way back. [`Answer`] reads a whole answer by it, [`StreamMeter`] a stream; both tell what has to be known of any
//! answer (usage, output, end) and give the caller its own dialect.
//!
//! Same dialect on both sides: the bytes pass, and a side parser looks at them. Otherwise: read, and written anew, in one hop through the
//! [`ir`](crate::ir). Chat and its relatives have a side parser of their own ([`openai`](crate::openai)), which reads without building
//! anything; the other dialects are looked at by the same readers that conversions use.
//!
//! Upstreams may speak a vendor's own protocol, which callers never do ([`vendor`](crate::vendor)). Some of these stream whether asked or not,
//! and some never do; [`Passage::is_streamed`] says it, and either way the caller gets what it asked for.

mod answer;
mod codecs;
mod count;
mod facts;
mod gathered;
mod manner;
mod native;
mod output;
mod passage;
mod prompt;
mod remote;
mod rename;
mod request;
mod speech;
mod stops;
mod storing;
mod stream;
mod suffix;
mod system;
mod telling;

pub use answer::Answer;
pub use count::{Count, CountSurface, Counted};
pub use manner::{Instructions, Manner, Rank};
pub use passage::{Passage, Sent, Site, Unwritable, Way};
pub use remote::{Fetched, Remote};
pub use rename::{renamed, renamed_frame};
pub use request::{Form, Incoming, Request, RequestError};
pub use storing::Storing;
pub use stream::StreamMeter;
